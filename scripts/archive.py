"""Packs the bundle for download: terrarium-VERSION-SYSTEM-MACHINE.tar.zst, or .zip on Windows and macOS.

    python scripts/archive.py dist/terrarium --out release

Links and permissions stay, without which Qt does not start on macOS. On Linux a launcher's entry, the type of
.terrarium files and the icon are put beside the program (install-for-me.sh there adds them to the user's menu).
"""

from __future__ import annotations

import argparse
import platform
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
SYSTEMS = {"linux": "linux", "darwin": "macos", "win32": "windows"}
MACHINES = {"x86_64": "x64", "amd64": "x64", "arm64": "arm64", "aarch64": "arm64"}
LINUX_FILES = ("terrarium.desktop", "terrarium-run.xml", "install-for-me.sh")


def name_of() -> str:
    """The archive's name without its ending."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    machine = platform.machine().lower()
    return f"terrarium-{version}-{SYSTEMS[sys.platform]}-{MACHINES.get(machine, machine)}"


def pack(folder: Path, out: Path) -> Path:
    """Pack `folder`; returns the archive."""
    out.mkdir(parents=True, exist_ok=True)
    if folder.suffix != ".app":  # which is signed as it is; its licences are in Help
        shutil.copy2(ROOT / "LICENSE", folder / "LICENSE")
    if sys.platform == "linux":
        for name in LINUX_FILES:
            shutil.copy2(ROOT / "resources" / "packaging" / name, folder / name)
        shutil.copy2(ROOT / "resources" / "icon.svg", folder / "terrarium.svg")
        archive = out / f"{name_of()}.tar.zst"
        subprocess.run(["tar", "--zstd", "-cf", archive, "-C", folder.parent, folder.name], check=True)
    elif sys.platform == "darwin":
        archive = out / f"{name_of()}.zip"
        subprocess.run(["ditto", "-c", "-k", "--sequesterRsrc", "--keepParent", folder, archive], check=True)
    else:
        archive = Path(shutil.make_archive(str(out / name_of()), "zip", folder.parent, folder.name))
    return archive


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, default=Path("release"))
    args = parser.parse_args()
    archive = pack(args.folder.absolute(), args.out)
    print(f"{archive} ({archive.stat().st_size / 1e6:.1f} MB)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
