"""Tries a program that was built or installed, as one who has just downloaded it would.

    python scripts/try_program.py dist/terrarium/terrarium --pictures pictures

The self-test, a quick start of one minute, and a run saved as one file and opened again: all in a library of their own.
The program is only started, never imported: this needs nothing but Python; with --bare, the program finds no Python,
and nothing else, on its PATH.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path


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
    parser.add_argument("--pictures", type=Path, help="where the self-test leaves pictures (default: nowhere)")
    parser.add_argument("--minutes", default="1", help="how long the quick start trains (default: 1)")
    parser.add_argument("--bare", action="store_true", help="give it an empty PATH: for a bundle, which needs nothing")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="a path with ümlauts ") as folder:
        home = Path(folder)
        program = Program(args.command, home, bare=args.bare)
        print(program.run("--help").splitlines()[0])
        print(program.run("selftest", *(("--pictures", str(args.pictures)) if args.pictures else ())))
        result = json.loads(program.run("quickstart", "--minutes", args.minutes, "--json").splitlines()[-1])
        print(f"The model of the quick start answers {result['accuracy']:.0%} of the held-out questions.")
        file = home / "a rün.terrarium"
        print(program.run("pack", "Tiny World", str(file)))
        print(program.run("unpack", str(file), "--name", "opened"))
        print(program.run("generate", "opened", "--prompt", "What is Mia's job?", "--max-tokens", "8"))
        print("All of it works.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
