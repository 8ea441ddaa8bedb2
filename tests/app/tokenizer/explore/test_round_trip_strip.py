"""The round trip line: its states, and the differences it shows."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot
from tokenizers import Tokenizer

from terrarium.app.kit.labels import ElidedLabel
from terrarium.app.kit.text import text_box
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.tokenizer.explore.explore_view import ExploreView
from terrarium.app.tokenizer.explore.round_trip_strip import MAX_SYNC_BYTES, RoundTripStrip, format_change
from terrarium.models.tokenizers import TokenizerOptions, train_tokenizer
from terrarium.models.tokenizers.text.encoded import EncodedText
from terrarium.models.tokenizers.text.round_trip import MAX_DIFFERENCES, round_trip

TEXT = "The cat sat on the mat with a hat. "
Until = Callable[[Callable[[], bool]], None]


@pytest.fixture(scope="module")
def bpe() -> Tokenizer:
    return train_tokenizer([TEXT * 20], "bpe", 300)


@pytest.fixture(scope="module")
def small() -> Tokenizer:
    """One that makes capitals small."""
    return train_tokenizer([TEXT * 20], "bpe", 300, TokenizerOptions(normalizer="lowercase"))


@pytest.fixture
def strip(qtbot: QtBot, theme: ThemeProvider) -> RoundTripStrip:
    widget = RoundTripStrip(theme)
    qtbot.addWidget(widget)
    widget.resize(700, 32)
    widget.show()
    return widget


def check(strip: RoundTripStrip, tokenizer: Tokenizer, text: str) -> None:
    strip.set_encoded(tokenizer, text, EncodedText(tokenizer, text))


def test_short_lossless_texts_are_confirmed_at_once(strip: RoundTripStrip, bpe: Tokenizer) -> None:
    check(strip, bpe, "The naïve 🌱\0 <|end|>\n")
    assert strip.result is not None
    assert strip.result.equal
    assert strip.words == "decode(encode(text)) = text nothing is lost"
    check(strip, bpe, "")
    assert strip.words.startswith("Type a text above"), "of nothing it is not said that nothing is lost"
    strip.set_encoded(None, "text", None)
    assert strip.words == "Nothing to check yet"


def test_the_words_have_the_room_of_buttons_that_are_not_there(
    strip: RoundTripStrip, bpe: Tokenizer, small: Tokenizer
) -> None:
    check(strip, bpe, "The cat")
    height = strip.sizeHint().height()
    strip.resize(strip.sizeHint())
    (why,) = (each for each in strip.findChildren(ElidedLabel) if each.text() == "nothing is lost")
    assert why.width() >= why.sizeHint().width()
    check(strip, small, "The cat")
    assert strip.sizeHint().height() == height, "what is above it stays where it is"


@pytest.mark.qt_log_ignore("This plugin does not support (raise|grabbing the keyboard)")  # popups, offscreen
def test_differences_are_described_shown_and_listed(
    qtbot: QtBot, strip: RoundTripStrip, small: Tokenizer, until: Until
) -> None:
    text = "a 🌱 The Éa"
    check(strip, small, text)
    assert strip.result is None
    until(lambda: strip.result is not None)
    assert strip.result == round_trip(small, text)
    assert strip.words == "First differs at character 5 T → t the normaliser lowercases text (lowercase)"
    with qtbot.waitSignal(strip.span_chosen) as place:
        qtbot.mouseClick(strip, Qt.MouseButton.LeftButton)
    assert place.args == [4, 5]
    strip.open_list()
    tree = strip.differences.tree
    assert [tree.topLevelItem(i).text(1) for i in range(tree.topLevelItemCount())] == ["T → t", "É → é"]
    with qtbot.waitSignal(strip.span_chosen) as place:
        tree.itemActivated.emit(tree.topLevelItem(1), 0)
    assert place.args == [8, 9]
    assert not strip.differences.isVisible()
    assert strip.words.startswith("Differs at character 9 É → é")


def test_a_newer_text_replaces_one_being_checked(
    strip: RoundTripStrip, bpe: Tokenizer, small: Tokenizer, until: Until
) -> None:
    check(strip, small, TEXT * 2000)
    check(strip, bpe, "The cat")
    assert strip.result is not None
    check(strip, small, TEXT * 2000)
    check(strip, bpe, TEXT * (MAX_SYNC_BYTES // len(TEXT) + 1))
    assert strip.result is None
    strip.show_span()  # of nothing that is known
    until(lambda: strip.result is not None)
    assert strip.result is not None
    assert strip.result.equal


def test_slow_checks_are_announced(strip: RoundTripStrip, until: Until) -> None:
    strip.invalidate()
    until(lambda: strip.words == "Checking… whether decode(encode(text)) = text")


def test_too_many_differences_are_labelled_as_the_first(strip: RoundTripStrip, small: Tokenizer, until: Until) -> None:
    check(strip, small, TEXT * (MAX_DIFFERENCES + 10))
    until(lambda: strip.result is not None)
    assert strip.show_all.text() == f"The first {MAX_DIFFERENCES}"


def test_changes_are_formatted_visibly(small: Tokenizer) -> None:
    spaces = train_tokenizer([TEXT * 20], "wordpiece", 300)
    (lost,) = round_trip(spaces, " cat").differences
    assert format_change(lost) == "· → nothing"
    (long,) = round_trip(small, "A" * 40).differences
    assert format_change(long) == "AAAAAA…AAAAA → aaaaaa…aaaaa"
    (half,) = round_trip(small, "a\ud83d").differences
    assert format_change(half) == "⟨U+D83D⟩ → �"


def test_a_difference_is_selected_in_the_text(
    qtbot: QtBot, theme: ThemeProvider, small: Tokenizer, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_box, "MAX_LINE_LENGTH", 5_000)
    view = ExploreView(theme)
    qtbot.addWidget(view)
    view.resize(900, 600)
    view.show()
    view.set_tokenizer(small, "small")
    view.set_text("a 🌱 The")
    until(lambda: view.round_trip.result is not None)
    view.lab.view.pick(0)
    view.round_trip.show_span()
    assert view.lab.editor.textCursor().selectedText() == "T"
    tokens = view.lab.tokens
    assert tokens is not None
    assert tokens[view.lab.view.marked.start].display == "·the"
    view.set_text("a" * 5_000 + "B")
    until(lambda: view.round_trip.result is not None)
    view.round_trip.show_span()  # beyond what the editor shows: its token is marked
    assert view.lab.tokens is not None
    assert view.lab.view.marked.stop == len(view.lab.tokens)
    assert not view.lab.editor.textCursor().hasSelection()
    view.set_tokenizer(None, "")
    assert view.round_trip.words == "Nothing to check yet"
