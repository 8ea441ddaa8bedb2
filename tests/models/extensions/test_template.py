"""The package that `terrarium extension new` makes trains and samples; its run is read where it is not installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtWidgets import QLabel
from pytestqt.qtbot import QtBot

from terrarium.app.cli import main
from terrarium.app.run.spec_view import SpecView, summary
from terrarium.models.extensions.registry import Missing
from terrarium.models.extensions.template import make_package
from terrarium.models.files.atomic import atomic_write_json, read_json
from terrarium.models.library.run_record import inspect_run
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.run_spec import RunSpec
from terrarium.models.settings.spec_file import load_spec, write_spec
from tests import ROOT
from tests.installed_extension import run_python

SENTENCE = (
    "“sign_sgd” comes with the package terrarium-sign-sgd, which is not installed here: install it (pip install "
    "terrarium-sign-sgd), or choose another."
)
PROGRAM = """
import contextlib, io, json
from pathlib import Path
from terrarium.app.cli import main
changes = {"train.optimizer": "sign_sgd", "train.batch_size": 2, "model.n_layer": 1, "model.d_model": 16,
    "model.n_head": 2, "model.context_length": 16}
words = ["train", "--preset", "gpt2-tiny", "--data", "text.txt", "--tokenizer", "byte", "--steps", "3", "--json"]
words += ["--name", "tiny", *(part for item in changes.items() for part in ("--set", "{}={}".format(*item)))]
shown = io.StringIO()
with contextlib.redirect_stdout(shown):
    assert main(words) == 0
    for cut in ("0.0", "0.5"):
        sampled = ["generate", "tiny", "--prompt", "a", "--max-tokens", "6", "--temperature", "3", "--json"]
        assert main([*sampled, "--sign-sgd-cut", cut]) == 0
print(json.dumps([json.loads(line) for line in shown.getvalue().splitlines()]))
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_package("sign_sgd", tmp_path_factory.mktemp("new") / "package")


@pytest.fixture(scope="module")
def trained(package: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A library with a run that the installed package trained, and what was printed."""
    folder = tmp_path_factory.mktemp("trained")
    pip = ["-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--no-index", "-t", str(folder / "site")]
    subprocess.run([sys.executable, *pip, str(package)], check=True, capture_output=True)
    (folder / "text.txt").write_text("abcdefghij " * 200, encoding="utf-8")
    return folder / "home", run_python(PROGRAM, folder / "site", folder / "home")


def test_its_own_tests_pass(package: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", str(package)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_ADDOPTS": ""}
    done = subprocess.run(command, cwd=package, env=environment, capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, done.stdout
    assert "4 passed" in done.stdout


def test_it_trains_and_samples(trained: tuple[Path, Any]) -> None:
    home, (run, free, cut) = trained
    folder = RunFolder.open(next((home / "runs").iterdir()))
    assert run["step"] == 3
    assert folder.status == "finished"
    losses = [row["loss"] for row in folder.each_metric() if row["kind"] == "train"]
    assert losses[-1] < losses[0]
    assert free["text"] != cut["text"]


def test_its_run_is_read_without_it(trained: tuple[Path, Any], qtbot: QtBot, tmp_path: Path) -> None:
    home, _ = trained
    path = next((home / "runs").iterdir())
    info = inspect_run(path)
    assert (info.status, info.problem, info.step) == ("finished", None, 3)
    assert info.spec is not None
    optimizer = info.spec.train.optimizer
    assert isinstance(optimizer, Missing)
    assert optimizer == "sign_sgd"
    assert "sign_sgd" in summary(info.spec)
    view = SpecView(info.spec)
    qtbot.addWidget(view)
    shown = [label.text() for label in view.findChildren(QLabel)]
    assert "sign_sgd (of terrarium-sign-sgd, which is not installed)" in shown
    stored = info.spec.to_dict()
    assert stored["extensions"] == {"train.optimizer": "terrarium-sign-sgd"}
    assert RunSpec.from_dict(stored) == info.spec
    write_spec(tmp_path / "spec.toml", info.spec)
    assert load_spec(tmp_path / "spec.toml").train.optimizer == optimizer


def test_training_on_says_which_package_is_missing(
    trained: tuple[Path, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TERRARIUM_HOME", str(trained[0]))
    assert main(["train", "--like", "tiny", "--name", "again"]) == 1
    assert SENTENCE in capsys.readouterr().err
    assert len(list((trained[0] / "runs").iterdir())) == 1
    shutil.copytree(trained[0], tmp_path / "home")
    monkeypatch.setenv("TERRARIUM_HOME", str(tmp_path / "home"))
    path = next((tmp_path / "home" / "runs").iterdir())
    record = read_json(path / "run.json")
    atomic_write_json(path / "run.json", {**record, "status": "stopped"})
    assert main(["train", "--resume", "tiny"]) == 1
    assert SENTENCE in capsys.readouterr().err


@pytest.mark.parametrize("name", ["", "Sign", "1st", "a__b", "a-b", "lion", "x" * 31])
def test_a_name_that_cannot_be_used(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"is no name for an extension|already"):
        make_package(name, tmp_path / "new", taken=("lion",))
    assert not (tmp_path / "new").exists()


def test_files_of_others_stay(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.txt").write_text("mine", encoding="utf-8")
    assert main(["extension", "new", "fresh", str(tmp_path)]) == 1
    assert "is not an empty folder" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
    assert main(["extension", "new", "fresh", str(tmp_path / "new")]) == 0
    assert (tmp_path / "new" / "terrarium_fresh" / "blocks" / "retention.py").is_file()
