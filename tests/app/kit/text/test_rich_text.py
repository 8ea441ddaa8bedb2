"""Markdown on screen: it grows into what it is when shown at once, and links ask before they open."""

from __future__ import annotations

import random

import pytest
from PySide6.QtCore import Qt, QUrl
from PySide6.QtGui import QGuiApplication, QImage, QTextCursor
from PySide6.QtWidgets import QMessageBox
from pytestqt.qtbot import QtBot
from shiboken6 import invalidate

from terrarium.app.kit.text.rich_text import RichText, ask_to_open
from terrarium.app.kit.theme import ThemeProvider

RICH = """# Sorting

A **bubble sort** swaps *neighbours* with `swap(a, b)`, see [the article](https://en.wikipedia.org/wiki/Bubble_sort).

1. Compare each item with the one that follows.
2. Swap them:
   - the larger one moves right
3. Repeat.

```python
def sort(items):
    \"\"\"In place.\"\"\"
    return items
```

| Case | Comparisons |
|------|------------:|
| Best | n−1         |

> Said *quietly*.

The sum $T(n) = n^2$ stays text.

---

The end.
"""
LONG = (
    "\n\n".join(f"Paragraph {i} has **bold** words, and `code`. " * 12 for i in range(4))
    + "\n\n"
    + (
        "```python\n"
        + "\n".join(f"value_{i} = compute({i})  # a line" for i in range(60))
        + "\n```\n\nwords "
        + "and more words " * 400
    )
)


@pytest.fixture
def shown(qtbot: QtBot, theme: ThemeProvider) -> RichText:
    return made(qtbot, theme)


def made(qtbot: QtBot, theme: ThemeProvider) -> RichText:
    text = RichText(theme)
    qtbot.addWidget(text)
    text.set_max_width(600)
    return text


def picture(text: RichText) -> QImage:
    text.resize(text.sizeHint())
    return text.grab().toImage()


@pytest.mark.parametrize(("source", "seed"), [(RICH, 1), (RICH, 2), (LONG, 3)])
def test_a_text_that_grew_looks_like_one_that_was_there(
    qtbot: QtBot, theme: ThemeProvider, shown: RichText, source: str, seed: int
) -> None:
    drawn, i = random.Random(seed), 0
    shown.begin_markdown()
    while i < len(source):
        n = drawn.randint(1, 40 if source is RICH else 300)
        shown.append(source[i : i + n])
        i += n
    shown.finish()
    whole = made(qtbot, theme)
    whole.set_markdown(source)
    assert shown.toPlainText() == whole.toPlainText()
    assert picture(shown) == picture(whole)


def test_only_the_end_of_a_growing_text_changes(shown: RichText) -> None:
    """What was shown keeps its place and its words: of each update, all but the last line stays."""
    shown.begin_markdown()
    before: list[str] = []
    for char in RICH.partition("| Case")[0]:
        shown.append(char)
        lines = shown.toPlainText().split("\n")
        assert lines[: len(before) - 1] == before[:-1]
        before = lines


def test_plain_sentences_look_as_without_markdown(qtbot: QtBot, theme: ThemeProvider, shown: RichText) -> None:
    words = "The dog ran to the park.\nThen it slept.\n\n  Later, the cat came: 2 * 3 is 6."
    shown.begin_markdown()
    for piece in words.split(" "):
        shown.append(piece if not shown.toPlainText() else f" {piece}")
    shown.set_markdown(words)
    plain = made(qtbot, theme)
    plain.set_plain((words, ""))
    assert shown.is_plain
    assert picture(shown) == picture(plain)


def test_a_short_text_is_not_scrolled_to_its_end(qtbot: QtBot, theme: ThemeProvider, shown: RichText) -> None:
    shown.set_plain(("How does attention work?", ""))
    shown.show()
    before = picture(shown)
    shown.resize(shown.width() + 1, shown.height())  # Qt looks anew whether something is out of view
    shown.moveCursor(QTextCursor.MoveOperation.End)
    shown.ensureCursorVisible()
    assert shown.horizontalScrollBar().maximum() == 0
    assert picture(shown) == before


def test_a_long_line_that_grew_is_one_line(qtbot: QtBot, shown: RichText) -> None:
    words = "and more words " * 600
    for begin in (shown.begin_markdown, lambda: shown.set_plain(("", ""))):
        begin()
        for i in range(0, len(words), 400):
            shown.append(words[i : i + 400])
        shown.finish()
        assert shown.toPlainText().strip() == words.strip()
        assert shown.document().blockCount() == 1


@pytest.mark.parametrize("is_markdown", [False, True])
def test_a_text_outlives_the_python_object_of_its_document(shown: RichText, is_markdown: bool) -> None:
    """PySide invalidates such objects at times, while the document lives on."""
    if is_markdown:
        shown.begin_markdown()
    else:
        shown.set_plain(("", ""))
    held = shown.document()
    invalidate(held)
    shown.append("Zoe has")
    shown.append(" the kite.")
    shown.finish()
    assert shown.toPlainText() == "Zoe has the kite."


def test_code_is_copied_by_its_button_and_a_selection_without_colours(qtbot: QtBot, shown: RichText) -> None:
    shown.set_markdown(RICH)
    shown.show()
    [button] = shown.copy_buttons
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    clipboard = QGuiApplication.clipboard()
    assert clipboard.text() == 'def sort(items):\n    """In place."""\n    return items'
    shown.selectAll()
    shown.copy()
    assert "2.\tSwap them:\n◦\tthe larger one" in clipboard.text()
    assert not clipboard.mimeData().hasHtml()


def test_code_that_grew_is_copied_whole(shown: RichText) -> None:
    code = "\n".join(f"value_{i} = compute({i})" for i in range(200))
    shown.begin_markdown()
    for i in range(0, len(code), 300):
        shown.append(("```python\n" if not i else "") + code[i : i + 300])
    shown.append("\n```\n\nThat was it.")
    shown.finish()
    shown.copy_buttons[0].click()
    assert QGuiApplication.clipboard().text() == code


def test_a_link_shows_its_address_and_nothing_opens_by_itself(
    qtbot: QtBot, shown: RichText, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(
        "terrarium.app.kit.text.rich_text.QDesktopServices.openUrl",
        lambda url: opened.append(bytes(url.toEncoded().data()).decode()),
    )
    shown.set_markdown("[harmless](https://xn--80ak6aa92e.com/a?b=c) and ![x](https://host/a.png)")
    shown.show()
    shown.anchorClicked.emit(QUrl("https://xn--80ak6aa92e.com/a?b=c"))
    box = shown.findChild(QMessageBox)
    assert box is not None
    assert box.informativeText() == "https://xn--80ak6aa92e.com/a?b=c"
    assert opened == []
    next(b for b in box.buttons() if b.text() == "Open").click()
    assert opened == ["https://xn--80ak6aa92e.com/a?b=c"]


def test_other_addresses_than_those_of_the_web_are_only_shown(qtbot: QtBot, shown: RichText) -> None:
    box = ask_to_open(QUrl("smb://host/share"), shown)
    assert [b.text() for b in box.buttons() if b.text() == "Open"] == []
    box.reject()
