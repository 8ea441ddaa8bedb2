"""Which words of a text another one does not have."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from pytestqt.qtbot import QtBot

from terrarium.app.kit.text.word_difference import ComparedText, marked_words
from terrarium.app.kit.theme import ThemeProvider


def different(text: str, other: str) -> str:
    return "|".join(part for part, is_different in marked_words(text, other) if is_different)


def test_whole_words_are_marked() -> None:
    assert different("Anna took the kite.", "Anna lost the kite.") == "took"
    assert different("Anna took the kite.", "Anna took the kite.") == ""
    assert different("Anna ran. Ben sat.", "Anna ran.") == " Ben sat."
    assert different("", "Anna") == ""


@given(text=st.text("ab <&\n.", max_size=30), other=st.text("ab <&\n.", max_size=30))
def test_the_parts_are_the_text(text: str, other: str) -> None:
    assert "".join(part for part, _ in marked_words(text, other)) == text


def test_very_long_texts_are_not_compared() -> None:
    assert marked_words("a " * 3000, "b") == [("a " * 3000, False)]


def test_what_looks_like_markup_is_shown_as_it_is(qtbot: QtBot, theme: ThemeProvider) -> None:
    shown = ComparedText("Reply", theme)
    qtbot.addWidget(shown)
    shown.show_text("<b>bold</b> & more", "<i>bold</i>", marked=True)
    assert "&lt;" in shown.text()
    assert "&amp;" in shown.text()
    assert shown.text().count("<span") > 0
    assert (shown.written, shown.accessibleDescription()) == ("<b>bold</b> & more",) * 2
