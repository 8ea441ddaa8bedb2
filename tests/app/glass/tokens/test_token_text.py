"""Coloured tokens: as high as their lines, readable in every colour, and with a shared focus."""

from __future__ import annotations

import math

import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QFontMetricsF
from PySide6.QtWidgets import QToolTip
from pytestqt.qtbot import QtBot

from terrarium.app.glass.focus import Focus
from terrarium.app.glass.read_text import ReadText
from terrarium.app.glass.tokens.colours import QUANTITIES, Shades, surprisal
from terrarium.app.glass.tokens.legend import TokenLegend
from terrarium.app.glass.tokens.token_text import TokenText
from terrarium.app.kit.colours import contrast
from terrarium.app.kit.theme import ThemeProvider


def text_of(*words: str, n_prompt: int = 2) -> ReadText:
    return ReadText(ids=tuple(range(len(words))), words=words, n_prompt=n_prompt)


SOME = text_of("Say", "·it", "·One", ",", "·two", "⏎", "·and", "·three", ".")


@pytest.fixture
def view(qtbot: QtBot, theme: ThemeProvider, focus: Focus) -> TokenText:
    view = TokenText(theme, focus)
    view.set_text(SOME)
    view.set_values([0.5] * 7, [1.0] * 7, [1] * 7)
    view.resize(300, view.heightForWidth(300))
    qtbot.addWidget(view)
    view.show()
    return view


def middle(view: TokenText, position: int) -> QPoint:
    return view.rect_of(position).center()


def test_the_height_fits_the_lines(view: TokenText) -> None:
    assert view.rect_of(6).top() > view.rect_of(5).bottom(), "what comes after a line feed begins a row"
    assert 0 < view.height() - view.rect_of(6).bottom() <= 3, "the last row ends where the widget does, but for a frame"
    assert view.rect_of(5).top() == view.rect_of(2).top() == 0
    narrow = view.rect_of(3).right()
    assert view.heightForWidth(narrow) > view.heightForWidth(300)
    assert view.sizePolicy().hasHeightForWidth()
    view.set_text(text_of("x" * 400, n_prompt=0))
    assert view.rect_of(0).right() < view.width(), "a token wider than the widget is cut, not lost"


def test_the_prompt_is_shown_on_request(view: TokenText) -> None:
    assert view.position_at(QPointF(3, 3)) == 2
    view.set_text(SOME, with_prompt=True)
    assert view.position_at(QPointF(3, 3)) == 0
    view.set_values([0.1, 0.2], [1.0, 1.0], [1, 2], first=1)
    assert [values is not None for values in view.values] == [False, True, True] + [False] * 6


def test_the_pointer_hovers_and_a_click_locks(qtbot: QtBot, view: TokenText, focus: Focus) -> None:
    qtbot.mouseMove(view, middle(view, 4))
    assert (focus.text, focus.position, focus.locked) == (SOME, 4, None)
    qtbot.mouseClick(view, Qt.MouseButton.LeftButton, pos=middle(view, 3))
    assert focus.locked == 3
    qtbot.mouseMove(view, middle(view, 4))
    assert focus.position == 3
    qtbot.mouseClick(view, Qt.MouseButton.LeftButton, pos=middle(view, 3))
    assert (focus.locked, focus.position) == (None, 3)
    qtbot.mouseMove(view, QPoint(290, 5))
    assert focus.position is None


def test_arrow_keys_move_and_escape_unlocks(qtbot: QtBot, view: TokenText, focus: Focus) -> None:
    with qtbot.waitSignal(view.walked) as walked:
        qtbot.keyClick(view, Qt.Key.Key_Right)
    assert focus.locked == 2
    assert walked.args == [view.rect_of(2)]
    qtbot.keyClick(view, Qt.Key.Key_Right)
    assert focus.locked == 3
    qtbot.keyClick(view, Qt.Key.Key_Down)
    assert view.rect_of(focus.locked).top() > 0
    qtbot.keyClick(view, Qt.Key.Key_Up)
    assert view.rect_of(focus.locked).top() == 0
    qtbot.keyClick(view, Qt.Key.Key_Escape)
    assert focus.locked is None


def test_a_locked_text_keeps_the_focus(qtbot: QtBot, theme: ThemeProvider, view: TokenText, focus: Focus) -> None:
    other = TokenText(theme, focus)
    qtbot.addWidget(other)
    other.set_text(text_of("a", "b", "c", n_prompt=0))
    other.resize(100, 40)
    qtbot.mouseClick(view, Qt.MouseButton.LeftButton, pos=middle(view, 3))
    qtbot.mouseMove(other, middle(other, 1))
    assert (focus.text, focus.position) == (SOME, 3)
    qtbot.mouseClick(other, Qt.MouseButton.LeftButton, pos=middle(other, 1))
    assert (focus.text is other.read_text, focus.locked) == (True, 1)
    assert view.position is None


def test_the_tooltip_has_all_numbers(view: TokenText, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []
    monkeypatch.setattr(QToolTip, "showText", lambda at, words, *rest: shown.append(words))
    view.show_tip(QPoint(), 4)
    among = "as unsure as among 2.7 equally likely tokens"
    assert shown == [f"<p>·two   50.0\u00a0%, rank 1; {among} (surprisal 0.69 nats, entropy 1.00 nats)</p>"]


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_text_is_readable_on_every_colour(theme: ThemeProvider, mode: str) -> None:
    theme.set_mode(mode)
    for quantity in QUANTITIES.values():
        shades = Shades(theme, quantity)
        for shade in range(101):
            ground, ink = shades.of(quantity.marks[-1][0] * shade / 100 or 1.0)
            assert contrast(ground, ink) >= 4.5
        assert shades.grounds[0].name() == theme.theme.surface.lower(), "zero has the background colour"
        assert shades.of(1e9)[0] == shades.grounds[-1]


def test_values_of_the_quantities() -> None:
    found = {name: about.of(0.25, 1.5, 3) for name, about in QUANTITIES.items()}
    assert found == {"surprisal": math.log(4), "probability": 0.25, "entropy": 1.5, "rank": 3.0}
    assert surprisal(0.0) > 100
    assert QUANTITIES["rank"].fraction(1.0) == 0.0


def test_the_legend_selects_the_quantity(qtbot: QtBot, theme: ThemeProvider, view: TokenText) -> None:
    legend = TokenLegend(theme)
    qtbot.addWidget(legend)
    legend.chosen.connect(view.set_quantity)
    legend.choice.setCurrentText("Rank")
    assert (legend.quantity, view.quantity) == ("rank", "rank")
    legend.grab()
    view.grab()


def test_without_colours_it_is_plain_text(qtbot: QtBot, theme: ThemeProvider, view: TokenText) -> None:
    legend = TokenLegend(theme, has_none=True)
    qtbot.addWidget(legend)
    legend.chosen.connect(view.set_quantity)
    view.set_values([0.9, 0.1, 0.001], [1.0] * 3, [1, 5, 99])

    def grounds() -> set[str]:
        image = view.grab().toImage()
        corners = [view.rect_of(position).topLeft() for position in range(2, 5)]  # above the letters
        return {image.pixelColor(corner.x() + 1, corner.y() + 1).name() for corner in corners}

    assert len(grounds()) > 1
    legend.choice.setCurrentText("None")
    assert (legend.quantity, view.quantity) == ("", "")
    assert len(grounds()) == 1
    legend.show()
    legend.grab()


def test_code_has_letters_of_one_width(view: TokenText) -> None:
    view.set_text(text_of("iiii", "mmmm", n_prompt=0), is_code=True)
    assert view.rect_of(0).width() == view.rect_of(1).width()
    view.set_text(text_of("iiii", "mmmm", n_prompt=0))
    assert view.rect_of(0).width() < view.rect_of(1).width()


def test_an_indentation_begins_the_next_line(view: TokenText) -> None:
    view.set_text(text_of("def", ":", "⏎····", "return", "⏎⏎", "x", n_prompt=0))
    feed, indent = view.rects_of(2)
    assert feed.top() == view.rect_of(1).top() < indent.top() == view.rect_of(3).top()
    assert indent.left() == 0
    assert view.rect_of(3).left() == indent.right() + 1
    assert [view.position_at(QPointF(rect.center())) for rect in (feed, indent)] == [2, 2]
    assert view.rect_of(5).top() > view.rects_of(4)[1].top(), "an empty line stays one"


def test_the_tokens_of_a_word_are_painted_as_one_word(view: TokenText) -> None:
    letters = ("in", "st", "em", "s", "·lo", "ck")
    view.set_text(text_of(*letters, n_prompt=0))
    metrics = QFontMetricsF(view.font())
    for first, end, word in ((0, 4, "instems"), (4, 6, "·lock")):
        width = view.rect_of(end - 1).right() + 1 - view.rect_of(first).left()
        assert width == math.ceil(metrics.horizontalAdvance(word))
    for index in range(1, len(letters)):
        assert view.rect_of(index).left() == view.rect_of(index - 1).right() + 1


def test_lines_are_broken_between_words_and_begin_without_a_space(view: TokenText) -> None:
    words = ("des", "cri", "bed", "·pack", "ages", "·over", "rides")
    view.set_quantity("")
    view.set_text(text_of(*words, n_prompt=0))
    view.resize(view.rect_of(3).right() + 8, 200)  # "packages" does not fit beside "described"
    assert view.rect_of(2).top() < view.rect_of(3).top() == view.rect_of(4).top()
    assert view.rect_of(3).left() == 0
    shown = QFontMetricsF(view.font()).horizontalAdvance("packages")
    assert abs(view.rect_of(4).right() + 1 - shown) <= 2, "without the space"
    for position in range(len(words)):
        assert view.position_at(QPointF(view.rect_of(position).center())) == position
    view.grab()
    view.set_quantity("surprisal")
    assert view.rect_of(4).right() + 1 > shown + 2, "with its mark"
