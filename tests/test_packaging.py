"""The two make commands on machines of every kind (faked), and what a wheel or bundle must hold."""

from __future__ import annotations

import ast
import os
import re
import runpy
import shutil
import subprocess
import sys
import tomllib
from importlib import import_module
from importlib.metadata import packages_distributions
from importlib.resources import files
from itertools import chain
from pathlib import Path
from typing import Any

import grimp
import pytest

from terrarium.app.commands.parser import COMMANDS, TOOLS
from tests import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
ON_UNIX = pytest.mark.skipif(sys.platform == "win32" or not shutil.which("make"), reason="the Makefile is for Unix")

FAKE_PYTHON = """#!/bin/sh
echo "python $*" >> "$LOG"
case "$*" in
*ensurepip*) [ -e "$STATE/ensurepip" ] ;;
*-venv*) echo python3.12-venv ;;
"-m venv --clear .venv") mkdir -p .venv/bin && cp "$0" .venv/bin/python && cp "$0" .venv/bin/lint-imports ;;
esac
"""
FAKE_APT = """#!/bin/sh
echo "apt-get $*" >> "$LOG"
case "$*" in
*-venv*) touch "$STATE/ensurepip" ;;
*libegl1*) touch "$STATE/libegl" "$STATE/fonts" ;;
*fonts*) touch "$STATE/fonts" ;;
esac
"""
FAKE_LDD = """#!/bin/sh
[ -e "$STATE/libegl" ] || echo "	libEGL.so.1 => not found"
"""
FAKE_FC_LIST = """#!/bin/sh
[ ! -e "$STATE/fonts" ] || echo "DejaVuSans.ttf: DejaVu Sans"
"""


class FakeMachine:
    """A copy of the set-up files, on a machine whose Python, packages and user are stand-ins that log what they do."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.bin, self.state = folder / "clone", folder / "bin", folder / "state"
        self.log = folder / "log"
        for made in (self.folder / "scripts", self.bin, self.state):
            made.mkdir(parents=True)
        for name in ("Makefile", "pyproject.toml", "scripts/setup.sh", "scripts/qt_packages.sh"):
            shutil.copy(ROOT / name, self.folder / name)
        for name in ("python3", "python3.11", "python3.12", "python3.13", "python3.14"):
            self.command(name, FAKE_PYTHON)
        self.command("apt-get", FAKE_APT)
        self.command("ldd", FAKE_LDD)
        self.command("fc-list", FAKE_FC_LIST)
        self.command("uname", "#!/bin/sh\necho Linux\n")
        self.become(0)

    def command(self, name: str, script: str) -> None:
        (self.bin / name).write_text(script)
        (self.bin / name).chmod(0o755)

    def become(self, user_id: int) -> None:
        self.command("id", f"#!/bin/sh\necho {user_id}\n")

    def make(self, target: str, **environment: str) -> subprocess.CompletedProcess[str]:
        basics = {"PATH": f"{self.bin}:/usr/bin:/bin", "LOG": str(self.log), "STATE": str(self.state)}
        return subprocess.run(
            [shutil.which("make") or "make", target],
            cwd=self.folder,
            env=basics | environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def log_since(self, before: int = 0) -> list[str]:
        return self.log.read_text().splitlines()[before:]


@pytest.fixture
def machine(tmp_path: Path) -> FakeMachine:
    return FakeMachine(tmp_path)


@ON_UNIX
def test_fresh_machine_as_root_installs_all_and_opens_the_window(machine: FakeMachine) -> None:
    done = machine.make("run", DISPLAY=":0")
    log = machine.log_since()
    assert done.returncode == 0, done.stderr
    installs = [line for line in log if line.startswith("apt-get install")]
    assert "python3.12-venv" in installs[0]
    assert "libxcb-cursor0" in installs[1]
    assert "fontconfig fonts-dejavu-core" in installs[1]
    assert log[-1] == "python -m terrarium"

    machine.make("run", DISPLAY=":0")
    second = machine.log_since(len(log))
    assert not [line for line in second if "pip" in line or "apt-get" in line], "the second call starts at once"
    assert second[-1] == "python -m terrarium"


@ON_UNIX
def test_without_a_display_the_quick_start_runs_and_pictures_are_written(machine: FakeMachine) -> None:
    done = machine.make("run")
    assert done.returncode == 0, done.stderr
    assert "no display" in done.stderr
    assert machine.log_since()[-2:] == [
        "python -m terrarium quickstart",
        "python -m terrarium screenshots screenshots --run Tiny World",
    ]


@ON_UNIX
def test_set_up_again_when_pyproject_changed(machine: FakeMachine) -> None:
    machine.make("run", DISPLAY=":0")
    before = len(machine.log_since())
    stamp = (machine.folder / ".venv/ready-run").stat().st_mtime
    os.utime(machine.folder / "pyproject.toml", (stamp + 5, stamp + 5))
    machine.make("run", DISPLAY=":0")
    assert "python -m pip install -e ." in machine.log_since(before)


@ON_UNIX
def test_make_test_runs_every_check(machine: FakeMachine) -> None:
    machine.make("test")
    log = machine.log_since()
    assert "python -m pip install -e . --group dev" in log
    for check in ("ruff check", "ruff format --check", "mypy"):
        assert f"python -m {check}" in log


@ON_UNIX
def test_cpu_only_torch_comes_first(machine: FakeMachine) -> None:
    machine.make("run", DISPLAY=":0", TORCH="cpu")
    installs = [line for line in machine.log_since() if "pip install" in line]
    assert "torch>=2.6 --index-url https://download.pytorch.org/whl/cpu" in installs[1]
    assert installs[2].endswith("install -e .")


@ON_UNIX
def test_an_ordinary_user_is_told_the_command(machine: FakeMachine) -> None:
    machine.become(1000)
    done = machine.make("run", DISPLAY=":0")
    assert done.returncode != 0
    assert "sudo apt-get install -y python3.12-venv" in done.stderr
    assert not any(line.startswith("apt-get") for line in machine.log_since())

    (machine.state / "ensurepip").touch()
    done = machine.make("run", DISPLAY=":0")
    assert done.returncode != 0
    assert "libEGL.so.1" in done.stderr
    assert re.search(r"sudo apt-get install -y .*libegl1.* fonts-dejavu-core", done.stderr)

    (machine.state / "libegl").touch()
    done = machine.make("run", DISPLAY=":0")
    assert done.returncode != 0
    assert "no font" in done.stderr


@ON_UNIX
def test_an_old_python_is_one_sentence(machine: FakeMachine) -> None:
    for name in ("python3", "python3.11", "python3.12", "python3.13", "python3.14"):
        machine.command(name, "#!/bin/sh\nexit 1\n")
    done = machine.make("run", DISPLAY=":0")
    assert done.returncode != 0
    assert "needs Python 3.11 or newer" in done.stderr


def test_void_qt_calls_lose_no_reference_to_none() -> None:
    # PySide6 6.12 does so on Python 3.11, which aborts the process after some thousand repaints.
    program = """
import sys
from PySide6.QtWidgets import QApplication, QWidget
app = QApplication([])
widget = QWidget()
before = sys.getrefcount(None)
for _ in range(1000):
    widget.update()
print(before - sys.getrefcount(None))
"""
    environment = os.environ | {"QT_QPA_PLATFORM": "offscreen"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 100


def test_every_folder_of_code_is_a_package() -> None:
    folders = {path.parent for top in ("app", "models", "terrarium") for path in (ROOT / top).rglob("*.py")}
    assert not sorted(str(folder) for folder in folders if not (folder / "__init__.py").exists())


def test_every_import_is_declared() -> None:
    lines = [*PROJECT["dependencies"], *chain.from_iterable(PROJECT["optional-dependencies"].values())]
    declared = {re.split(r"[<>=;\[ ]", line)[0].lower().replace("_", "-") for line in lines}
    owners = packages_distributions()
    graph = grimp.build_graph("terrarium", include_external_packages=True, cache_dir=None)
    imported = {module.split(".")[0]: graph.find_modules_that_directly_import(module) for module in graph.modules}
    ours = {"terrarium", *sys.stdlib_module_names}
    undeclared = {
        name: importers
        for name, importers in imported.items()
        # A distribution may bring its code in another one, as pydantic-monty does: then the name is enough.
        if name not in ours
        and not declared & {owner.lower().replace("_", "-") for owner in (*owners.get(name, []), name)}
    }
    assert not undeclared


def test_only_one_name_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}
    monkeypatch.setattr("setuptools.setup", asked.update)
    monkeypatch.chdir(ROOT)
    runpy.run_path(str(ROOT / "setup.py"))
    parts = ("app", "models", "resources")
    folders = [path.parent.relative_to(ROOT) for part in parts for path in ROOT.glob(f"{part}/**/__init__.py")]
    assert set(asked["packages"]) == {"terrarium", *(f"terrarium.{'.'.join(folder.parts)}" for folder in folders)}
    assert asked["package_dir"] == {f"terrarium.{part}": part for part in parts}
    for part in () if sys.platform == "win32" else parts:  # git makes no links there: the installation finds the parts
        assert (ROOT / "terrarium" / part).samefile(ROOT / part)


def test_the_console_script_is_there() -> None:
    module, _, function = PROJECT["scripts"]["terrarium"].partition(":")
    assert callable(getattr(import_module(module), function))


@pytest.mark.parametrize(
    "name", ["icon.svg", "chat_template.jinja", "style/terrarium.qss", "guide/glossary.md", "extension/README.md.txt"]
)
def test_resources_travel_with_the_package(name: str) -> None:
    assert files("terrarium.resources").joinpath(name).read_text(encoding="utf-8").strip()


def test_the_bundle_spec_keeps_its_promises() -> None:
    tree = ast.parse((ROOT / "build.spec").read_text(encoding="utf-8"))
    calls = {node.func.id: node for node in ast.walk(tree) if isinstance(node, ast.Call) and hasattr(node.func, "id")}
    options = {
        (name, keyword.arg): keyword.value.value
        for name, call in calls.items()
        for keyword in call.keywords
        if isinstance(keyword.value, ast.Constant)
    }
    assert options["EXE", "exclude_binaries"] is True, "one folder, not one file"
    assert options["EXE", "upx"] is False
    assert options["COLLECT", "upx"] is False
    assert (ROOT / str(options["EXE", "entitlements_file"])).is_file()


@pytest.mark.parametrize("page", ["README.md", *(str(page.relative_to(ROOT)) for page in ROOT.glob("docs/**/*.md"))])
def test_a_document_links_only_to_what_there_is(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    linked = [target for target in re.findall(r"\]\(([^)#]+)[)#]", text) if not target.startswith("http")]
    assert not [target for target in linked if not (ROOT / page).parent.joinpath(target).is_file()]


def test_all_documents_can_be_reached_from_the_readme() -> None:
    reached, to_read = set[Path](), [ROOT / "README.md"]
    while to_read:
        page = to_read.pop()
        reached.add(page)
        linked = re.findall(r"\]\(([^)#:]+\.md)[)#]", page.read_text(encoding="utf-8"))
        to_read += {(page.parent / target).resolve() for target in linked} - reached
    assert set(ROOT.glob("docs/**/*.md")) <= reached
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150


def test_the_docs_list_every_command() -> None:
    text = (ROOT / "docs" / "reference" / "commands.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `terrarium (\w+)", text, re.MULTILINE)) == {*COMMANDS, *TOOLS}
