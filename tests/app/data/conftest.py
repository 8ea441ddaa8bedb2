"""Fixtures of the data tab's tests: the tab, and files to import."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from terrarium.app.data.data_tab import DataTab
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.session.session import Session

Until = Callable[[Callable[[], bool]], None]


@pytest.fixture
def tab(qtbot: QtBot, session: Session, theme: ThemeProvider) -> DataTab:
    tab = DataTab(session, theme)
    qtbot.addWidget(tab)
    tab.resize(1280, 700)
    tab.show()
    return tab


@pytest.fixture
def films(tmp_path: Path) -> Path:
    """60 rows: a text, whether it is good, and a year; every tenth repeats another."""
    path = tmp_path / "films.csv"
    rows = ["sentence,opinion,year"]
    for n in range(60):
        number = n - 1 if n % 10 == 9 else n
        rows.append(
            f"Film number {number} of them was {'good' if number % 3 else 'bad'},{'yes' if number % 3 else 'no'},1990"
        )
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def opened(tab: DataTab, films: Path, until: Until) -> DataTab:
    """The tab with the films as its source, read and checked."""
    tab.draft.open([str(films)])
    until(lambda: not tab.busy and tab.draft.info is not None)
    return tab
