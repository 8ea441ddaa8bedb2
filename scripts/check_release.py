"""Whether this commit can be released as a tag says: prints the version, and writes its notes.

    python scripts/check_release.py v0.2.0 --notes notes.md

The tag must be “v” and the version in pyproject.toml, the first heading of CHANGELOG.md must be that version with its
date, and all other tags of versions must be older. Exits with 1 and a sentence where that is not so.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tomllib
from pathlib import Path

HEADING = re.compile(r"^## (\S+)(?: - (\S+))?\s*$", re.MULTILINE)
TAG = re.compile(r"v(\d+)\.(\d+)\.(\d+)(?:rc(\d+))?")
DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


def order(tag: str) -> tuple[int, ...] | None:
    """What versions are compared by, None for a tag that is none; a candidate comes before its version."""
    match = TAG.fullmatch(tag)
    if match is None:
        return None
    *numbers, candidate = match.groups()
    return (*map(int, numbers), int(candidate) if candidate else sys.maxsize)


def check(tag: str, root: Path, others: list[str]) -> tuple[str, str]:
    """The version and its notes.

    Raises:
        ValueError: where this is no release, saying why.
    """
    version = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    if order(tag) is None:
        raise ValueError(f"The tag {tag} is none of a version: it must be like v1.2.3 or v1.2.3rc1.")
    if tag != f"v{version}":
        raise ValueError(f"The tag is {tag}, but pyproject.toml has version {version}.")
    changes = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    headings = list(HEADING.finditer(changes))
    if not headings or headings[0].group(1) != version:
        raise ValueError(f"The first heading of CHANGELOG.md is not that of version {version}.")
    if not DATE.fullmatch(headings[0].group(2) or ""):
        raise ValueError(f"The heading of {version} in CHANGELOG.md has no date: write “## {version} - YYYY-MM-DD”.")
    newer = [other for other in others if other != tag and (order(other) or ()) > (order(tag) or ())]
    if newer:
        raise ValueError(f"{tag} is older than {newer[0]}, which is there already.")
    end = headings[1].start() if len(headings) > 1 else len(changes)
    notes = changes[headings[0].end() : end].strip()
    if not notes:
        raise ValueError(f"CHANGELOG.md says nothing of version {version}.")
    return version, notes + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tag")
    parser.add_argument("--notes", type=Path, help="the file to write the notes to")
    args = parser.parse_args()
    root = Path(__file__).parents[1]
    tags = subprocess.run(["git", "tag", "--list", "v*"], cwd=root, capture_output=True, text=True, check=True)
    try:
        version, notes = check(args.tag, root, tags.stdout.split())
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    if args.notes is not None:
        args.notes.write_text(notes, encoding="utf-8")
    print(version)
    return 0


if __name__ == "__main__":
    sys.exit(main())
