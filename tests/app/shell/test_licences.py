"""The licences: all packages that are needed are there, each with its text, and Qt's notice."""

from __future__ import annotations

import re
import tomllib

from PySide6.QtWidgets import QMessageBox, QPushButton
from pytestqt.qtbot import QtBot

from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.session.session import Session
from terrarium.app.shell.licences.window import LicencesWindow, licence_text, read_packages
from terrarium.app.shell.main_window import MainWindow
from tests import ROOT
from tests.app.heard import Until


def test_all_that_is_needed_is_named() -> None:
    packages = read_packages()
    assert packages[0].name == "llm-terrarium"
    names = {re.sub(r"[-_.]+", "-", package.name).lower() for package in packages}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = {re.split(r"[<>=;\[ ]", line)[0].lower().replace("_", "-") for line in project["dependencies"]}
    assert declared <= names
    assert "jinja2" in names
    assert "markupsafe" in names, "what is needed by what is needed"
    assert "pytest" not in names
    assert all(package.licence and package.version for package in packages)


def test_texts_come_from_the_packages_and_qt_has_its_notice() -> None:
    assert "Permission is hereby granted" in licence_text("llm-terrarium")
    assert "Redistribution" in licence_text("numpy")
    qt = licence_text("PySide6_Essentials")
    assert "you can replace them with versions that you have changed" in qt
    assert "GNU LESSER GENERAL PUBLIC LICENSE" in qt
    assert "TERMS AND CONDITIONS" in qt
    assert licence_text("no-such-package") == ""


def test_the_about_box_leads_there(qtbot: QtBot, session: Session, theme: ThemeProvider, until: Until) -> None:
    window = MainWindow(session, theme)
    qtbot.addWidget(window)
    (about,) = [action for action in window.menuBar().actions()[-1].menu().actions() if "About" in action.text()]
    about.trigger()
    box = window.findChild(QMessageBox)
    assert isinstance(box, QMessageBox)
    next(each for each in box.findChildren(QPushButton) if each.text() == "Licences…").click()
    licences = window.findChild(LicencesWindow)
    assert isinstance(licences, LicencesWindow)
    until(lambda: licences.list.count() > 30 and "Permission is hereby granted" in licences.text.toPlainText())
    row = next(i for i in range(licences.list.count()) if licences.list.item(i).text().startswith("numpy "))
    licences.list.setCurrentRow(row)
    until(lambda: "Redistribution" in licences.text.toPlainText())
    licences.close()
