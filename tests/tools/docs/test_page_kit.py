"""The page about the page kit, and its picture."""

from __future__ import annotations

import ast
import importlib
import inspect
import re

from pytestqt.qtbot import QtBot

from terrarium.app.kit.theme import ThemeProvider
from tests import ROOT
from tools.docs import page_kit

_PAGE = ROOT / "docs" / "develop" / "page-kit.md"


def test_every_part_is_where_the_page_says() -> None:
    text = _PAGE.read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`.*`) \| `([\w.]+)` \|$", text, re.MULTILINE)
    assert len(rows) > 10
    for parts, module in rows:
        kit = importlib.import_module(f"terrarium.app.kit.{module}")
        assert [part for part in re.findall(r"`(\w+)`", parts) if not hasattr(kit, part)] == []


def test_the_examples_call_parts_with_arguments_that_they_have() -> None:
    text = _PAGE.read_text(encoding="utf-8")
    modules = {module for _, module in re.findall(r"^\| (`.*`) \| `([\w.]+)` \|$", text, re.MULTILINE)}
    kit = [importlib.import_module(f"terrarium.app.kit.{module}") for module in modules]
    examples = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(examples) > 10
    for example in examples:
        for call in (node for node in ast.walk(ast.parse(example)) if isinstance(node, ast.Call)):
            name = call.func.id if isinstance(call.func, ast.Name) else ""
            part = next((getattr(module, name) for module in kit if name and hasattr(module, name)), None)
            if part is None:
                continue
            known = inspect.signature(part).parameters
            assert {each.arg for each in call.keywords} <= set(known), f"{name} in:\n{example}"


def test_the_picture_shows_every_part(qtbot: QtBot, theme: ThemeProvider) -> None:
    page = page_kit.parts(theme)
    qtbot.addWidget(page)
    assert page_kit.PICTURE.stat().st_size < 80_000
    assert page.findChildren(page_kit.BusyRow)
    assert page.findChildren(page_kit.EmptyState)
