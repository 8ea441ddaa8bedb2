"""terrarium selftest: passes on a working installation, and names the check that fails on a broken one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PySide6.QtGui import QPixmap
from PySide6.QtWidgets import QWidget

from terrarium.app.cli import main
from terrarium.app.commands import selftest
from terrarium.models.library.library import Library


@pytest.mark.usefixtures("qapp")
def test_all_checks_pass_one_line_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TERRARIUM_HOME", str(tmp_path))
    pictures = tmp_path / "pictures"
    assert main(["selftest", "--device", "cpu", "--pictures", str(pictures)]) == 0
    assert {path.stem for path in pictures.iterdir()} == {"home", "tokenizer", "data", "builder", "training", "chat"}
    lines = capsys.readouterr().out.splitlines()
    assert [line[:2] for line in lines[:-1]] == ["ok"] * 13
    assert all(line[20] == " " and line[21] != " " for line in lines[:-1]), "what was found stands in one column"
    assert lines[-1] == "All 13 checks passed."
    assert not (tmp_path / "runs").exists(), "it leaves the user's library alone"


def test_json_is_one_object(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TERRARIUM_HOME", str(tmp_path))
    monkeypatch.setattr(selftest, "checks", lambda library, device, _: {"device": lambda: device})
    assert main(["selftest", "--json", "--device", "cpu"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["ok"] is True
    assert [(check["check"], check["finding"]) for check in result["checks"]] == [("device", "cpu")]


def test_a_failure_names_the_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def lacking() -> str:
        raise FileNotFoundError("CET-CBL2.csv is missing")

    monkeypatch.setenv("TERRARIUM_HOME", str(tmp_path))
    monkeypatch.setattr(selftest, "checks", lambda *_: {"colour maps": lacking})
    assert main(["selftest"]) == 1
    captured = capsys.readouterr()
    assert "colour maps" in captured.err
    assert "CET-CBL2.csv is missing" in captured.err
    assert "passed" not in captured.out


def test_what_a_bundle_must_carry_besides_is_checked(library: Library) -> None:
    found = selftest.checks(library, "cpu")
    assert {name: found[name]() for name in ("parquet", "functions")} == {
        "parquet": "a table written and read",
        "functions": "a function passed its case in the sandbox",
    }
    assert found["scores of texts"]() == "bleu 100, chrf2 100 of a right translation"


@pytest.mark.usefixtures("qapp")
def test_a_window_that_draws_nothing_is_found(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(_: QWidget) -> QPixmap:
        picture = QPixmap(320, 200)
        picture.fill("#f4f6f2")
        return picture

    monkeypatch.setattr(QWidget, "grab", nothing)
    with pytest.raises(ValueError, match="the page “home” is blank"):
        selftest.check_window(library)
