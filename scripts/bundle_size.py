"""How large a bundle is, by what is in it, and whether that is within its budget.

    python scripts/bundle_size.py dist/terrarium

Exits with 1 where it has more than a tenth above the budget: find out what came in, or write down the new size.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from pathlib import Path

BUDGET_MB = {"linux": 980, "darwin": 800, "win32": 1000}
"""Of the unpacked bundle with the CPU build of torch, in 10⁶ bytes: on Linux as measured with torch 2.13 (0.32 GB
packed); on the other systems guessed, to be written down when they were built for the first time."""
TOLERANCE = 1.1
N_SHOWN = 12


def sizes(folder: Path) -> Counter[str]:
    """Bytes of each package or library in a bundle; links take none."""
    found: Counter[str] = Counter()
    for where, _, files in os.walk(folder):
        for name in files:
            file = Path(where, name)
            if not file.is_symlink():
                parts = file.relative_to(folder).parts
                found[parts[1] if parts[0] == "_internal" and len(parts) > 1 else parts[0]] += file.stat().st_size
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--budget", type=float, help="in MB (default: this system's)")
    args = parser.parse_args()
    found = sizes(args.folder)
    total = sum(found.values())
    for name, size in found.most_common(N_SHOWN):
        print(f"{size / 1e6:8.1f} MB  {name}")
    rest = total - sum(size for _, size in found.most_common(N_SHOWN))
    print(f"{rest / 1e6:8.1f} MB  the rest, {max(0, len(found) - N_SHOWN)} parts")
    budget = args.budget if args.budget is not None else BUDGET_MB[sys.platform]
    print(f"{total / 1e6:8.1f} MB  in all; the budget is {budget:.0f} MB")
    if total == 0:
        print(f"There is nothing in {args.folder}.", file=sys.stderr)
        return 1
    if total > TOLERANCE * budget * 1e6:
        print(f"That is {total / budget / 1e6 - 1:.0%} more than the budget.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
