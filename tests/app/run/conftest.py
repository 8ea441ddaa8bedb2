"""The training tab, in which the tests of one run's views look at it."""

from __future__ import annotations

import pytest
from pytestqt.qtbot import QtBot

from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.session.session import Session
from terrarium.app.training.training_tab import TrainingTab
from tests.app.leading import FewTabs


@pytest.fixture
def tab(session: Session, theme: ThemeProvider, qtbot: QtBot) -> TrainingTab:
    tab = TrainingTab(session, theme)
    FewTabs(session, training=tab)
    qtbot.addWidget(tab)
    tab.resize(1280, 640)
    tab.show()
    return tab
