"""The Compare view: alignment by grapheme cluster, selection, figures, bars, costs."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QFontMetrics
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot
from tokenizers import Tokenizer

from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.session.session import Session
from terrarium.app.tokenizer.compare import compare_view, text_work
from terrarium.app.tokenizer.compare.compare_view import Selection, TokenizerCompareView
from terrarium.app.tokenizer.compare.figures_table import FiguresTable
from terrarium.app.tokenizer.compare.metrics import RATIOS, TABLE, best
from terrarium.app.tokenizer.compare.spot import token_spot
from terrarium.app.tokenizer.compare.text_grid import AlignedTokens, GridLines, TextGrid, cluster_edges
from terrarium.models.design import total_parameters
from terrarium.models.settings.presets import PRESETS
from terrarium.models.tiny_world import stories
from terrarium.models.tiny_world.stories import LANGUAGE_NAMES
from terrarium.models.tokenizers import encode_text, save_tokenizer, token_pieces, train_tokenizer

TEXT = "The naïve café 🌱👩‍🚀 of e\u0301t\u0301e.\n\nשלום 12 東京\t<|end|> the cat sat\u200b on नमस्ते 🇩🇪🇫🇷.\r\nend"
KINDS = {"byte": 0, "bpe": 300, "wordpiece": 200, "unigram": 320, "word": 60}

Until = Callable[[Callable[[], bool]], None]


@pytest.fixture(scope="module")
def trained() -> dict[str, Tokenizer]:
    text = "the cat and the hat sat on the mat. The dog ran to the park. " * 30
    return {kind: train_tokenizer([text], kind, size) for kind, size in KINDS.items()}


# -- The grid ----------------------------------------------------------------------------------------------------------


def test_a_grapheme_cluster_is_one_position() -> None:
    grid = TextGrid("e\u0301👩‍🚀🇩🇪🇫🇷각नम\r\n")
    clusters = [grid.cluster(i) for i in range(len(grid))]
    assert clusters == ["e\u0301", "👩‍🚀", "🇩🇪", "🇫🇷", "각", "न", "म", "\r\n"]
    assert grid.columns.tolist() == [1, 2, 2, 2, 2, 1, 1, 2]
    assert grid.ends_line.tolist() == [False] * 7 + [True]
    assert grid.byte_edges.tolist() == [0, *np.cumsum([len(cluster.encode()) for cluster in clusters])]


def test_clusters_follow_the_unicode_standard() -> None:
    regex = pytest.importorskip("regex")
    for text in (
        TEXT,
        "e\u0301👩‍🚀🇩🇪🇫🇷각न",
        "क्षि ❤️‍🔥 👍🏽 \u1100\u1161\u11a8\u11a8각\u11a8 กำ \x00\u0301 \u200d🏴󠁧󠁢󠁥󠁮󠁧󠁿 🇩a\n\n\xad\u0301\r",
        "",
    ):
        assert cluster_edges(text) == [0, *(match.end() for match in regex.finditer(r"\X", text))]


def test_invisible_characters_are_shown() -> None:
    grid = TextGrid("a \t\n\u0301\x00\u200b")
    assert [grid.shown(i) for i in range(len(grid))] == ["a", "·", "⇥", "⏎", "◌\u0301", "⟨00⟩", "⟨U+200B⟩"]
    assert grid.columns.tolist() == [1, 1, 1, 1, 1, 4, 8]


def test_what_no_font_has_is_shown_by_its_number() -> None:
    grid = TextGrid("a你é", frozenset("你"))
    assert [grid.shown(i) for i in range(len(grid))] == ["a", "⟨U+4F60⟩", "é"]
    assert grid.columns.tolist() == [1, 8, 1]


@pytest.mark.parametrize("kind", KINDS)
def test_tokens_are_aligned_by_their_bytes(trained: dict[str, Tokenizer], kind: str) -> None:
    grid, tokenizer = TextGrid(TEXT), trained[kind]
    tokens = AlignedTokens(tokenizer, grid)
    assert tokens.ids.tolist() == encode_text(tokenizer, TEXT)
    pieces = token_pieces(tokenizer, TEXT, parse_special=False)
    edges = grid.byte_edges
    for i, piece in enumerate(pieces):
        first = int(np.searchsorted(edges, piece.start, side="right")) - 1
        assert first <= tokens.starts[i] <= tokens.ends[i]
        if piece.start in edges and piece.end in edges and pieces[i - 1][2:4] != piece[2:4]:
            assert tokens.starts[i] == np.flatnonzero(edges == piece.start)[0]
    assert (np.diff(tokens.starts) >= 0).all()
    for place in range(len(grid)):
        there = tokens.touching(place, place + 1)
        by_hand = [i for i in range(len(tokens)) if tokens.starts[i] < place + 1 and tokens.ends[i] > place]
        assert list(there) == by_hand


def test_tokens_within_one_character_share_it(trained: dict[str, Tokenizer]) -> None:
    for kind in ("byte", "unigram"):
        tokens = AlignedTokens(trained[kind], TextGrid("🌱"))
        parts = tokens.starts.tolist()[-4:]
        assert parts == [0, 0.25, 0.5, 0.75], kind
        assert tokens.ends[-1] == 1


def test_right_to_left_scripts_are_laid_out_as_such(qapp: QApplication) -> None:
    grid = TextGrid("ab שלום 12 cd")
    line = GridLines(grid, 80)[0]
    shown = "".join(grid.shown(int(i)) for i in np.argsort(line.left))
    assert shown == "ab·12·םולש·cd"
    assert line.spans(2, 5) == [(2, 3), (8, 10)], "a token of a space and two letters is in two places"
    assert line.cluster_at(9.5) == 3
    assert GridLines(TextGrid("ab cd"), 80)[0].spans(1, 3.5) == [(1, 3.5)]


def test_lines_are_full_and_wide_characters_stay_whole() -> None:
    grid = TextGrid("東京abc東\n\nde")
    lines = GridLines(grid, 4)
    found = [grid.text[lines[i].start : lines[i].end] for i in range(len(lines))]
    assert found == ["東京", "abc", "東\n\n", "de"], "an empty line takes no block of its own"
    assert [lines.line_of(place) for place in (0, 1.9, 2, 9)] == [0, 0, 1, 3]
    assert len(GridLines(TextGrid(""), 4)) == 0


# -- Who is compared, and what is best ---------------------------------------------------------------------------------


def test_the_current_tokenizer_is_compared_until_it_is_removed() -> None:
    chosen = Selection()
    chosen.set_current("a")
    assert [name for name in "abc" if name in chosen] == ["a"]
    chosen.tick("c", True)
    chosen.assign_colours(["a", "c"])
    assert chosen.order(["b", "c", "a"]) == ["a", "c", "b"]
    chosen.tick("a", False)
    assert [name for name in "abc" if name in chosen] == ["c"]
    chosen.assign_colours(["c", "b"])
    assert (chosen.colour("c"), chosen.colour("b")) == (1, 0), "one that stays keeps its colour"
    chosen.set_current("b")
    chosen.set_current("a")
    assert "a" in chosen
    chosen.keep(["a"])
    assert "c" not in chosen


def test_lossless_tokenizers_are_preferred_as_best() -> None:
    fewest, most = TABLE[1], TABLE[2]
    assert best(fewest, [2.0, 3.0, 1.0], [True, True, False]) == [True, False, False]
    assert best(fewest, [2.0, 3.0], [False, False]) == [True, False]
    assert best(most, [2.0, 3.0, math.nan], [True] * 3) == [False, True, False]
    assert best(most, [2.0, 2.0], [True] * 2) == [False, False]
    assert best(most, [2.0, math.nan], [True] * 2) == [False, False]


# -- The view ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def view(qtbot: QtBot, session: Session, theme: ThemeProvider, trained: dict[str, Tokenizer]) -> TokenizerCompareView:
    for kind, tokenizer in trained.items():
        save_tokenizer(tokenizer, session.library, kind, {})
    view = TokenizerCompareView(session, theme)
    qtbot.addWidget(view)
    view.resize(1090, 760)
    view.show()
    view.set_tokenizer(trained["bpe"], "bpe")
    view.set_text(TEXT)
    return view


def compare_with(view: TokenizerCompareView, until: Until, *names: str) -> None:
    for name in names:
        row = [each.name for each in view.table.compared].index(name)
        view.table.item(row, 0).setCheckState(Qt.CheckState.Checked)
    until(lambda: set(view.shown.tokens) == {"bpe", *names} and view.shown.grid.text == TEXT)


def test_every_tokenizer_has_a_row_of_the_same_text(
    view: TokenizerCompareView, until: Until, trained: dict[str, Tokenizer]
) -> None:
    until(lambda: len(view.shown.tokens) == 1 and view.shown.grid.text == TEXT)
    assert view.hint.isVisible()
    assert "Check another tokenizer" in view.hint.text()
    compare_with(view, until, "wordpiece", "byte")
    assert not view.hint.isVisible()
    assert [row.name for row in view.aligned.rows] == view.names == ["bpe", "wordpiece", "byte"]
    for row in view.aligned.rows:
        assert row.tokens.ids.tolist() == encode_text(trained[row.name], TEXT)
        assert view.shown.figures[row.name].n_tokens == len(row.tokens)
    assert [each.name for each in view.table.compared] == ["bpe", "wordpiece", "byte", "unigram", "word"]
    assert view.table.best_names("Tokens per word") == ["bpe"], "word pieces lose what they do not know"
    first = view.aligned.rect_of(token_spot(view.aligned.rows, 0, 0))
    assert first.left() == view.aligned.rect_of(token_spot(view.aligned.rows, 2, 0)).left()
    view.grab()  # painting it fails nowhere


def test_pointing_describes_the_tokens_of_all_tokenizers(
    qtbot: QtBot, view: TokenizerCompareView, until: Until
) -> None:
    compare_with(view, until, "wordpiece", "byte")
    aligned = view.aligned
    cat = TEXT[: TEXT.index(" cat")].encode()
    token = int(np.flatnonzero(aligned.rows[0].tokens.starts == len(TextGrid(cat.decode())))[0])
    place = aligned.rect_of(token_spot(aligned.rows, 0, token)).center()
    assert aligned.spot_at(place) == token_spot(aligned.rows, 0, token)
    qtbot.mouseMove(aligned.viewport(), place.toPoint())
    assert view.description.startswith("“·cat”")
    assert "wordpiece: cat " in view.description
    assert "byte: · 37 + c 104 + a 102 + t 121" in view.description
    qtbot.mouseClick(aligned.viewport(), Qt.MouseButton.LeftButton, pos=place.toPoint())
    qtbot.mouseMove(aligned.viewport(), QPoint(2, 2))
    assert view.description.startswith("“·cat”"), "a click freezes it"
    qtbot.keyClick(aligned, Qt.Key.Key_Down)
    assert aligned.current is not None
    assert (aligned.current.row, aligned.current.token) == (1, -1), "word pieces hold no space"
    qtbot.keyClick(aligned, Qt.Key.Key_Right)
    assert view.description.startswith("“cat”")
    qtbot.keyClick(aligned, Qt.Key.Key_End)
    assert aligned.current == token_spot(aligned.rows, 1, len(aligned.rows[1].tokens) - 1)
    qtbot.keyClick(aligned, Qt.Key.Key_Escape)
    assert aligned.current is None or aligned.current.row == 0
    assert aligned.spot_at(QPointF(2, 2)) is None


def test_costs_follow_the_design(view: TokenizerCompareView, session: Session, until: Until) -> None:
    compare_with(view, until, "byte")
    for name in ("gpt2-tiny", "llama-tiny"):
        session.designs.set(PRESETS[name], name)
        found = view.table.compared[1].cost
        design = PRESETS[name]
        assert found is not None
        per_token = design.d_model * (1 if design.tied_embeddings else 2)
        assert found.vocabulary_parameters == 261 * per_token
        assert found.context_characters == design.context_length * len(TEXT) / len(TEXT.encode())
        assert found.total_parameters == total_parameters(design) + (261 - design.vocab_size) * per_token


def test_languages_are_measured_and_charted(
    view: TokenizerCompareView, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("terrarium.app.tokenizer.compare.measured_texts.language_texts", few_stories)
    compare_with(view, until, "byte")
    view.texts.measure.click()
    assert view.texts.cancel.isVisible()
    until(lambda: not view.texts.busy)
    assert view.texts.labels == list(LANGUAGE_NAMES)
    told = {name: list(stories.stories(name, 3)) for name in LANGUAGE_NAMES}
    for i, language in enumerate(LANGUAGE_NAMES):
        assert view.texts.figures(i)["byte"].n_tokens == sum(len(story.encode()) for story in told[language])
        assert view.texts.bars.value(i + 1, 1) == view.texts.figures(i)["byte"].tokens_per_word
    assert [view.of.itemText(i) for i in range(view.of.count())] == [
        "Your text",
        *LANGUAGE_NAMES,
        "All measured texts",
    ]
    view.of.setCurrentIndex(view.of.count() - 1)
    total = view.table.compared[1].figures
    assert total is not None
    assert total.n_tokens == sum(view.texts.figures(i)["byte"].n_tokens for i in range(4))
    compare_with(view, until, "byte", "word")
    assert math.isnan(view.texts.bars.value(1, 2))
    view.texts.measure.click()  # only what is missing
    until(lambda: not view.texts.busy)
    assert set(view.texts.figures(0)) == {"bpe", "byte", "word"}
    view.texts.figure.setCurrentIndex(4)
    bars = view.texts.bars
    assert bars.value(1, 2) == view.texts.figures(0)["word"].unknown_share > 0 == bars.value(1, 1)
    styles = [each.style for each in bars.spec.series]
    assert len(styles) == len(set(styles)) == 3, "without colours, too"
    bars.show_point(1 * 3 + 2)
    assert "English, word" in bars.accessibleDescription()
    view.grab()
    view.texts.clear.click()
    assert view.texts.labels == []


def few_stories(language: str) -> object:
    from terrarium.models.data.corpus_texts import language_texts

    return language_texts(language, 3)


def test_a_corpus_is_measured_and_failures_are_reported(
    view: TokenizerCompareView, until: Until, text_file: Path, tmp_path: Path
) -> None:
    compare_with(view, until, "byte")
    view.texts.source.setCurrentIndex(1)
    view.texts.corpus.set_files((str(text_file),))
    view.texts.measure.click()
    until(lambda: not view.texts.busy)
    assert view.texts.labels == ["text.txt"]
    assert view.texts.figures(0)["byte"].n_tokens == text_file.stat().st_size
    view.texts.corpus.set_files((str(tmp_path / "gone.txt"),))
    view.texts.measure.click()
    until(lambda: not view.texts.busy)
    assert "gone.txt cannot be read" in view.texts.problem
    view.texts.corpus.set_files((str(text_file),))
    view.texts.measure.click()
    view.texts.cancel.click()
    assert not view.texts.busy
    assert view.texts.problem == ""


def test_changes_of_the_library_are_followed(
    view: TokenizerCompareView, session: Session, until: Until, trained: dict[str, Tokenizer]
) -> None:
    compare_with(view, until, "byte", "word")
    session.tokenizers.delete("word")
    until(lambda: list(view.shown.tokens) == ["bpe", "byte"])
    save_tokenizer(trained["unigram"], session.library, "word", {})  # another one of that name
    session.tokenizers.list_changed.emit()
    assert view.names == ["bpe", "byte"]
    (session.library.tokenizers / "word" / "tokenizer.json").write_text("{", encoding="utf-8")
    view.table.ticked.emit("word", True)
    until(lambda: "word" in view.shown.problems)
    assert "damaged" in next(each.problem for each in view.table.compared if each.name == "word")


def test_without_other_tokenizers_there_is_a_hint(
    qtbot: QtBot, session: Session, theme: ThemeProvider, trained: dict[str, Tokenizer], until: Until
) -> None:
    view = TokenizerCompareView(session, theme)
    qtbot.addWidget(view)
    view.set_tokenizer(None, "")
    view.set_text("x")
    until(lambda: view.shown.grid.text == "x")
    assert view.names == []
    save_tokenizer(trained["bpe"], session.library, "bpe", {})
    session.tokenizers.list_changed.emit()
    view.set_tokenizer(trained["bpe"], "bpe")
    assert "train or import one" in view.hint.text()
    view.set_text("")
    until(lambda: view.shown.grid.text == "" and list(view.shown.tokens) == ["bpe"])
    assert view.shown.figures["bpe"].n_tokens == 0
    view.grab()


def test_long_texts_are_counted_in_full_but_drawn_in_part(
    view: TokenizerCompareView, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (text_work, compare_view):
        monkeypatch.setattr(module, "MAX_DRAWN", 2000)
    text = "the cat sat on the mat \ud83c\n" * 100
    view.set_text(text)
    until(lambda: view.shown.n_characters == len(text))
    assert len(view.shown.grid.text) == 2000
    assert view.shown.figures["bpe"].n_characters == len(text)


@pytest.mark.parametrize("scale", [1.0, 1.5])
def test_no_number_is_elided(view: TokenizerCompareView, theme: ThemeProvider, until: Until, scale: float) -> None:
    theme.apply_theme(view)
    theme.set_text_scale(scale)
    compare_with(view, until, "byte", "wordpiece")
    table: FiguresTable = view.table
    for row in range(table.rowCount()):
        for column in range(1, table.columnCount()):
            item = table.item(row, column)
            assert QFontMetrics(item.font()).horizontalAdvance(item.text()) + 8 <= table.columnWidth(column), (
                item.text()
            )
    assert view.minimumSizeHint().width() <= 930
    assert len(RATIOS) == view.texts.figure.count()
