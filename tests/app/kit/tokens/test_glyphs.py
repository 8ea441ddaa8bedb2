"""Characters that no font has are written as their number, and pills are wide enough for that."""

from __future__ import annotations

import pytest
from PySide6.QtGui import QFontMetrics
from pytestqt.qtbot import QtBot

from terrarium.app.kit.layout.relayout import cut_row
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.kit.tokens.glyphs import Glyphs
from terrarium.app.kit.tokens.token_view import PillPainter, TokenView
from terrarium.models.tokenizers import Piece


@pytest.fixture
def no_cjk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A computer that has no font for Chinese or emoji."""

    def has(_: QFontMetrics, code: int) -> bool:
        return code < 0x2E80

    monkeypatch.setattr(QFontMetrics, "inFontUcs4", has)


def test_an_escape_stands_where_no_font_has_the_character(no_cjk: None, theme: ThemeProvider) -> None:
    glyphs = Glyphs(theme.mono_font())
    assert glyphs.drawable("the") == "the"
    assert glyphs.drawable("·naïve⏎") == "·naïve⏎"
    assert glyphs.drawable("·你好!") == "·⟨U+4F60⟩⟨U+597D⟩!"
    assert glyphs.drawable("👩\u200d🚀\ufe0f") == "⟨U+1F469⟩\u200d⟨U+1F680⟩\ufe0f", "what is never drawn needs no font"
    assert glyphs.missing("a你\n🌱a") == {"你", "🌱"}


def test_a_mark_that_no_font_has_is_written_as_what_it_marks(
    monkeypatch: pytest.MonkeyPatch, theme: ThemeProvider
) -> None:
    monkeypatch.setattr(QFontMetrics, "inFontUcs4", lambda _, code: code != ord("␍"))
    glyphs = Glyphs(theme.mono_font())
    assert glyphs.drawable("a·␍⏎") == "a·⟨0D⟩⏎"
    assert glyphs.missing("a") == {"␍"}


def test_what_a_font_has_stays(theme: ThemeProvider) -> None:
    metrics = QFontMetrics(theme.mono_font())
    for character in "aé你🌱":
        is_there = metrics.inFontUcs4(ord(character))
        assert (Glyphs(theme.mono_font()).drawable(character) == character) == is_there


def test_a_pill_is_as_wide_as_what_is_drawn(no_cjk: None, theme: ThemeProvider) -> None:
    painter = PillPainter(theme, show_ids=False)
    one, written = (Piece(1, b"?", 0, 1, display) for display in ("你", "⟨U+4F60⟩"))
    assert painter.width(one) == painter.width(written)


def test_no_row_of_pills_is_cut_in_half(qtbot: QtBot, theme: ThemeProvider) -> None:
    view = TokenView(theme)
    qtbot.addWidget(view)
    view.set_pieces([Piece(1, b"the", 0, 3, "the")] * 200)
    row = PillPainter(theme, show_ids=True).row_height
    for height in range(4 * row, 5 * row, 5):
        view.resize(300, height)
        view.show()
        tops = {view.pill_rect(index).top() for index in range(200)}
        assert not any(top < view.viewport().height() < top + row - 6 for top in tops), "6 pixels are between the rows"
        assert height - view.viewport().height() < row
    view.resize(300, 10_000)
    assert view.viewport().height() == 10_000, "all of them fit"


def test_nothing_is_scrolled_where_all_rows_are_in_sight(theme: ThemeProvider, qtbot: QtBot) -> None:
    view = TokenView(theme)
    qtbot.addWidget(view)
    view.set_show_ids(False)
    view.set_pieces([Piece(1, b"the", 0, 3, "the")] * 12)
    view.resize(300, 300)
    view.show()
    last = view.pill_rect(11)
    view.resize(300, last.bottom() + 1)
    assert view.pill_rect(11) == last, "the same rows"
    assert view.verticalScrollBar().maximum() == 0
    assert view.viewport().height() > last.bottom()
    view.resize(300, last.bottom())
    assert view.verticalScrollBar().maximum() > 0


def test_only_what_is_scrolled_is_shortened() -> None:
    assert cut_row(100, 30, 300) == 10
    assert cut_row(100, 30, 100) == 0
    assert cut_row(20, 30, 300) == 0, "a row that never fits is better than none"
