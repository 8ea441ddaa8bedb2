"""Charts as files: pictures that can be opened again, and numbers that are the same when read back."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtGui import QImage
from PySide6.QtSvg import QSvgRenderer
from PySide6.QtWidgets import QFileDialog, QLabel
from pytestqt.qtbot import QtBot

from terrarium.app.kit.chart_export import write_csv, write_json
from terrarium.app.kit.export_button import ExportButton
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.session.session import Session
from tests.app.heard import Heard

NUMBERS = {"step": np.array([1.0, 2.0, 3.0]), "loss": np.array([0.1 + 0.2, math.nan, 1e-300])}


@pytest.fixture
def button(qtbot: QtBot, session: Session, theme: ThemeProvider) -> ExportButton:
    picture = QLabel("Perplexity of a run")
    picture.resize(200, 60)
    qtbot.addWidget(picture)
    button = ExportButton(session.notices, theme, picture, lambda: lambda: NUMBERS)
    qtbot.addWidget(button)
    return button


def test_numbers_are_read_back_as_they_were(tmp_path: Path) -> None:
    values = np.random.default_rng(0).standard_normal(1000) * 10.0 ** np.arange(-500, 500).clip(-300, 300)
    write_csv({"step": np.arange(1000.0), "loss": values}, tmp_path / "numbers.csv")
    with (tmp_path / "numbers.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows[:3]] == ["0", "1", "2"]
    assert [float(row["loss"]) for row in rows] == values.tolist()
    write_csv(NUMBERS, tmp_path / "numbers.csv")
    assert (tmp_path / "numbers.csv").read_bytes() == b"step,loss\r\n1,0.30000000000000004\r\n2,\r\n3,1e-300\r\n"


def test_words_are_written_too(tmp_path: Path) -> None:
    columns = {"token": ["é", 'say "no"', None], **NUMBERS}
    write_csv(columns, tmp_path / "words.csv")
    with (tmp_path / "words.csv").open(newline="", encoding="utf-8") as file:
        assert [row["token"] for row in csv.DictReader(file)] == ["é", 'say "no"', ""]
    write_json(columns, tmp_path / "words.json")
    found = json.loads((tmp_path / "words.json").read_text("utf-8"))
    assert found == {"token": ["é", 'say "no"', None], "step": [1.0, 2.0, 3.0], "loss": [0.1 + 0.2, None, 1e-300]}


def test_pictures_show_the_widget(button: ExportButton, heard: Heard, tmp_path: Path) -> None:
    button.export_to(tmp_path / "a.png", "png")
    assert QImage(str(tmp_path / "a.png")).size() == button.picture.size() * 2
    button.export_to(tmp_path / "a.svg", "svg")
    assert "Perplexity of a run" in (tmp_path / "a.svg").read_text("utf-8")
    assert QSvgRenderer(str(tmp_path / "a.svg")).viewBox().size() == button.picture.size()


def test_what_became_of_a_file_is_said(
    button: ExportButton, session: Session, until: Callable[[Callable[[], bool]], None], tmp_path: Path
) -> None:
    notices: list[str] = []
    failures: list[str] = []
    session.notices.notified.connect(notices.append)
    session.notices.failed.connect(lambda sentence, details: failures.append(sentence))
    button.export_to(tmp_path / "a.csv", "csv")
    until(lambda: bool(notices))
    assert notices == [f"a.csv was saved to {tmp_path}."]
    assert (tmp_path / "a.csv").read_text().startswith("step,loss")
    (tmp_path / "file").touch()
    button.export_to(tmp_path / "file" / "a.png", "png")
    assert len(failures) == 1
    button.export_to(tmp_path / "file" / "a.csv", "csv")
    until(lambda: len(failures) == 2)


def test_where_to_is_asked_for(button: ExportButton, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[str] = []

    def answer(parent: object, title: str, name: str, filters: str) -> tuple[str, str]:
        asked.append(name)
        return (str(tmp_path / "chosen.png") if len(asked) == 1 else "", filters)

    monkeypatch.setattr(QFileDialog, "getSaveFileName", answer)
    button.name = "a/b: curves"
    button.choose_file("png")
    button.choose_file("svg")
    assert asked == ["a-b- curves.png", "a-b- curves.svg"]
    assert [path.name for path in tmp_path.glob("*.*g")] == ["chosen.png"]
