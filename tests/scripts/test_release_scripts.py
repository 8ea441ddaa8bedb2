"""What the release is made with: each script runs, says what is wrong, and is called as it is in the workflows."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
CHANGES = "# Changelog\n\n## 1.3.0 - 2026-12-01\n\n### Added\n- Much.\n\n## 1.2.0\n\n- Before.\n"


def script(name: str, *arguments: object, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a script of the folder `cwd`, as the workflows do."""
    return subprocess.run(
        [sys.executable, str(cwd / "scripts" / name), *map(str, arguments)],
        cwd=cwd,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A repository of version 1.3.0, with tags of earlier ones."""
    root = tmp_path / "clone"
    (root / "scripts").mkdir(parents=True)
    shutil.copy(ROOT / "scripts" / "check_release.py", root / "scripts")
    (root / "pyproject.toml").write_text('[project]\nversion = "1.3.0"\n')
    (root / "CHANGELOG.md").write_text(CHANGES)
    git(root, "init", "-q")
    git(root, "add", ".")
    git(root, "-c", "user.name=x", "-c", "user.email=x@x", "commit", "-qm", "x")
    for tag in ("v1.2.0", "v1.3.0rc1", "v0.9.12", "verse"):
        git(root, "tag", tag)
    return root


def git(root: Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=root, check=True, capture_output=True)


def test_a_release_has_one_version_everywhere(clone: Path) -> None:
    git(clone, "tag", "v1.3.0")
    done = script("check_release.py", "v1.3.0", "--notes", clone / "notes.md", cwd=clone)
    assert (done.returncode, done.stdout) == (0, "1.3.0\n"), done.stderr
    assert (clone / "notes.md").read_text() == "### Added\n- Much.\n"


@pytest.mark.parametrize(
    ("tag", "change", "sentence"),
    [
        ("v1.3", {}, "The tag v1.3 is none of a version"),
        ("1.3.0", {}, "The tag 1.3.0 is none of a version"),
        ("v1.3.1", {}, "pyproject.toml has version 1.3.0"),
        ("v1.3.0", {"CHANGELOG.md": CHANGES.replace("## 1.3.0", "## 1.4.0")}, "is not that of version 1.3.0"),
        ("v1.3.0", {"CHANGELOG.md": CHANGES.replace("2026-12-01", "unreleased")}, "has no date"),
        ("v1.3.0", {"CHANGELOG.md": "## 1.3.0 - 2026-12-01\n\n## 1.2.0\n"}, "says nothing of version 1.3.0"),
        ("v1.1.0", {"pyproject.toml": '[project]\nversion = "1.1.0"\n'}, "is not that of version 1.1.0"),
    ],
)
def test_what_does_not_agree_is_said(clone: Path, tag: str, change: dict[str, str], sentence: str) -> None:
    for name, text in change.items():
        (clone / name).write_text(text)
    done = script("check_release.py", tag, cwd=clone)
    assert done.returncode == 1
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_release_is_newer_than_all_before(clone: Path) -> None:
    git(clone, "tag", "v1.10.0")
    done = script("check_release.py", "v1.3.0", cwd=clone)
    assert done.returncode == 1
    assert "older than v1.10.0" in done.stderr


def test_a_bundle_has_a_budget(tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    (folder / "_internal" / "torch").mkdir(parents=True)
    (folder / "_internal" / "torch" / "big").write_bytes(bytes(3_000_000))
    (folder / "terrarium").write_bytes(bytes(1_000_000))
    fits = script("bundle_size.py", folder, "--budget", 4)
    assert fits.returncode == 0, fits.stderr
    assert "3.0 MB  torch" in fits.stdout
    assert "4.0 MB  in all; the budget is 4 MB" in fits.stdout
    above = script("bundle_size.py", folder, "--budget", 3)
    assert above.returncode == 1
    assert "33% more than the budget" in above.stderr
    assert script("bundle_size.py", tmp_path / "nothing").returncode == 1


@pytest.mark.skipif(sys.platform != "linux" or not shutil.which("zstd"), reason="as the archive is made on Linux")
def test_the_archive_has_what_a_desktop_needs(tmp_path: Path) -> None:
    folder = tmp_path / "terrarium"
    folder.mkdir()
    (folder / "terrarium").write_text("#!/bin/sh\n")
    (folder / "terrarium").chmod(0o755)
    (folder / "link").symlink_to("terrarium")
    done = script("archive.py", folder, "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    (archive,) = (tmp_path / "out").iterdir()
    assert re.fullmatch(r"terrarium-\d+\.\d+\.\d+\w*-linux-\w+\.tar\.zst", archive.name)
    subprocess.run(["tar", "--zstd", "-xf", archive, "-C", tmp_path / "out"], check=True)
    unpacked = tmp_path / "out" / "terrarium"
    assert (unpacked / "link").is_symlink()
    assert os.access(unpacked / "terrarium", os.X_OK)
    assert "MIT License" in (unpacked / "LICENSE").read_text()

    home = tmp_path / "hôme of mine"
    subprocess.run([unpacked / "install-for-me.sh"], check=True, env={"HOME": str(home), "PATH": "/usr/bin:/bin"})
    entry = (home / ".local/share/applications/terrarium.desktop").read_text()
    assert f'Exec="{unpacked}/terrarium" %f' in entry
    assert "MimeType=application/x-terrarium-run" in entry
    assert (home / ".local/share/mime/packages/terrarium-run.xml").is_file()
    assert (home / ".local/share/icons/hicolor/scalable/apps/terrarium.svg").is_file()


FAKE_PROGRAM = """
import json, os, sys
print("usage: fake", *sys.argv[1:])
match sys.argv[1:]:
    case ["quickstart", *_]:
        print(json.dumps({"accuracy": 0.5}))
    case ["selftest", *_] if os.environ.get("BROKEN"):
        sys.exit(3)
"""


def test_a_program_is_tried_from_the_self_test_to_a_reply(tmp_path: Path) -> None:
    fake = tmp_path / "fake.py"
    fake.write_text(FAKE_PROGRAM)
    command = (sys.executable, fake)
    done = script("try_program.py", *command, "--pictures", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "answers 50% of the held-out questions" in done.stdout
    assert f"usage: fake selftest --pictures {tmp_path}" in done.stdout
    assert "All of it works." in done.stdout
    done = script("try_program.py", *command, BROKEN="1")
    assert done.returncode == 1
    assert "“selftest” ended with 3" in done.stderr


def steps(workflow: Path) -> Iterator[dict[str, Any]]:
    for job in yaml.safe_load(workflow.read_text(encoding="utf-8"))["jobs"].values():
        yield job
        yield from job.get("steps", [])


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_call_what_there_is_and_may_do_little(workflow: Path) -> None:
    about = yaml.safe_load(workflow.read_text(encoding="utf-8"))
    assert about["permissions"] == {}
    assert all("permissions" in job for job in about["jobs"].values())
    used = [step["uses"] for step in steps(workflow) if "uses" in step]
    for action in used:
        assert re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40}", action) or (ROOT / action).is_file(), action
    text = workflow.read_text(encoding="utf-8")
    called = set(re.findall(r"scripts/[\w.]+", text))
    assert all((ROOT / name).is_file() for name in called)


def test_the_workflows_are_there() -> None:
    assert [path.stem for path in WORKFLOWS] == ["bundle", "ci", "nightly", "release"]
    text = "".join(path.read_text(encoding="utf-8") for path in WORKFLOWS)
    for name in ("check_release", "try_program", "bundle_size", "archive", "qt_packages"):
        assert f"scripts/{name}." in text
