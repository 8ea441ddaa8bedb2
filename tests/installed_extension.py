"""Extensions that are installed for a test, and Terrarium in a process of its own that finds them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests import ROOT


def install(site: Path, package: str, points: Mapping[str, str], module: str = "", source: str = "") -> None:
    """Put what pip leaves of a package into a folder: its metadata with entry points, and its module, if given."""
    about = site / f"{package.replace('-', '_')}-1.2.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.2\nAuthor: Ada Example\n")
    lines = [f"{name} = {value}\n" for name, value in points.items()]
    (about / "entry_points.txt").write_text(f"[terrarium.plugins]\n{''.join(lines)}")
    if module:
        (site / f"{module}.py").write_text(source, encoding="utf-8")


def run_python(program: str, site: Path, home: Path, **environment: str) -> Any:
    """Run a program in a process that finds the extensions in `site`; returns the JSON that it prints last."""
    paths = os.pathsep.join((str(site), str(ROOT)))
    env = {**os.environ, "PYTHONPATH": paths, "TERRARIUM_HOME": str(home), **environment}
    done = subprocess.run(
        [sys.executable, "-c", program], env=env, cwd=home.parent, capture_output=True, text=True, encoding="utf-8"
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])
