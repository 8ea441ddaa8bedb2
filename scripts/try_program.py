"""Tries a program that was built or installed, as one who has just downloaded it would.

    python scripts/try_program.py dist/terrarium/terrarium --pictures pictures

The self-test, a quick start of one minute, a run saved as one file and opened again, and pictures of the window
that are not blank: all in a library of their own. The program is only started, never imported: this needs nothing but
Python; with --bare, the program finds no Python, and nothing else, on its PATH.
"""

from __future__ import annotations

import argparse
import json
import os
import struct
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path

LEAST_VALUES = 32
"""Different bytes in the data of a picture: one of a single colour has a handful, a window hundreds."""


def is_blank(picture: Path) -> bool:
    """Whether a PNG file shows nothing, or is none."""
    data = picture.read_bytes()
    if data[:8] != b"\x89PNG\r\n\x1a\n":
        return True
    parts, place = [], 8
    while place + 8 <= len(data):
        length, kind = struct.unpack(">I4s", data[place : place + 8])
        if kind == b"IDAT":
            parts.append(data[place + 8 : place + 8 + length])
        place += length + 12
    try:
        return len(set(zlib.decompress(b"".join(parts)))) < LEAST_VALUES
    except zlib.error:
        return True


class Program:
    """The program, with a library of its own in `home`."""

    def __init__(self, command: list[str], home: Path, *, bare: bool) -> None:
        self._command = command
        self._environment = os.environ | {"TERRARIUM_HOME": str(home / "library"), "PYTHONUTF8": "1"}
        self._environment.pop("PYTHONPATH", None)
        if bare:
            self._environment["PATH"] = r"C:\Windows\System32" if sys.platform == "win32" else str(home)

    def run(self, *arguments: str) -> str:
        """What it prints.

        Raises:
            SystemExit: where it fails.
        """
        print(f"--- {' '.join(arguments)}", flush=True)
        done = subprocess.run([*self._command, *arguments], env=self._environment, capture_output=True, check=False)
        text, said = (stream.decode(errors="replace") for stream in (done.stdout, done.stderr))
        if done.returncode != 0:
            raise SystemExit(f"“{' '.join(arguments)}” ended with {done.returncode}.\n{text}\n{said[-4000:]}")
        return text


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", nargs="+", help="the program, and what it needs before its own arguments")
    parser.add_argument("--pictures", type=Path, help="where to leave the pictures (default: nowhere)")
    parser.add_argument("--minutes", default="1", help="how long the quick start trains (default: 1)")
    parser.add_argument("--bare", action="store_true", help="give it an empty PATH: for a bundle, which needs nothing")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="a path with ümlauts ") as folder:
        home = Path(folder)
        program = Program(args.command, home, bare=args.bare)
        print(program.run("--help").splitlines()[0])
        print(program.run("selftest"))
        result = json.loads(program.run("quickstart", "--minutes", args.minutes, "--json").splitlines()[-1])
        print(f"The model of the quick start answers {result['accuracy']:.0%} of the held-out questions.")
        file = home / "a rün.terrarium"
        print(program.run("pack", "Tiny World", str(file)))
        print(program.run("unpack", str(file), "--name", "opened"))
        print(program.run("generate", "opened", "--prompt", "What is Mia's job?", "--max-tokens", "8"))
        pictures = args.pictures or home / "pictures"
        program.run("screenshots", str(pictures), "--run", "Tiny World", "--task-minutes", "0")
        made = sorted(pictures.glob("*.png"))
        blank = [picture.name for picture in made if is_blank(picture)]
        if not made or blank:
            raise SystemExit(f"{len(made)} pictures were made, and these are blank: {', '.join(blank) or 'none'}.")
        print(f"All of it works; {len(made)} pictures, none of them blank.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
