"""The attention panel with real, if random, models: its numbers are the model's, and all controls work."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PySide6.QtCore import QPoint, QPointF, QRectF, Qt
from PySide6.QtGui import QImage
from pytestqt.qtbot import QtBot
from tokenizers import Tokenizer

from terrarium.app.glass.attention.attention_panel import AttentionPanel
from terrarium.app.glass.attention.head_tiles import Tile, paint_tiles
from terrarium.app.glass.focus import Focus, Head
from terrarium.app.glass.names import spoken
from terrarium.app.glass.read_text import LabelQuestion
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.plots.attention_pictures import format_share
from terrarium.app.session.session import Session
from terrarium.app.worker.job import INTERACTIVE, Job
from terrarium.models.architecture.trace import Trace
from terrarium.models.architecture.transformer import EncoderDecoder
from terrarium.models.events import Event
from terrarium.models.inspect import attention
from tests.app.glass.opened import open_random, text_of
from tests.app.heard import Until

SENTENCE = "the cat sat on the mat"


@pytest.fixture
def panel(qtbot: QtBot, session: Session, theme: ThemeProvider, focus: Focus) -> AttentionPanel:
    panel = AttentionPanel(session, theme, focus)
    qtbot.addWidget(panel)
    panel.resize(460, 900)
    panel.show()
    return panel


@pytest.fixture
def opened(
    panel: AttentionPanel, session: Session, focus: Focus, byte_tokenizer: Tokenizer, until: Until
) -> AttentionPanel:
    """A decoder's text in the panel."""
    _, tokenizer = open_random(session, "gpt2-tiny", byte_tokenizer)
    focus.show(text_of(tokenizer, SENTENCE, 10))
    until(lambda: not panel.message)
    return panel


def test_of_a_label_it_shows_the_token_that_the_label_is_read_from(opened: AttentionPanel, until: Until) -> None:
    read = opened.focus.text
    assert read is not None
    question = LabelQuestion(head="sequence", labels=("bad", "good"))
    opened.focus.show(dataclasses.replace(read, start=len(read.ids) - 1, question=question))
    until(lambda: not opened.message)
    assert f"At {spoken(read.words[-1])}, where the label is read, head" in opened.sentence.text()
    assert not opened.detail.which_row.isVisible(), "no row predicts a token"
    assert "predicts" not in opened.detail.row_caption.text()
    opened.focus.hover(3)
    assert opened.sentence.text().startswith(f"At {spoken(read.words[3])}, head")


def middle(rect: QRectF) -> QPoint:
    return rect.center().toPoint()


@pytest.mark.parametrize("design", ["gpt2-tiny", "bert-tiny", "t5-tiny"])
def test_the_maps_shown_are_the_model_attention(
    panel: AttentionPanel, session: Session, focus: Focus, byte_tokenizer: Tokenizer, until: Until, design: str
) -> None:
    assert "No model is open" in panel.message
    model, tokenizer = open_random(session, design, byte_tokenizer)
    source = "a source" if design == "t5-tiny" else ""
    text = text_of(tokenizer, SENTENCE, 10, source)
    focus.show(text)
    assert "Reading" in panel.message
    until(lambda: not panel.message)
    trace = Trace(frozenset({"attention"}))
    with torch.no_grad():
        model.eval()
        if isinstance(model, EncoderDecoder):
            model.hidden(torch.tensor([text.source_ids]), torch.tensor([text.ids]), trace=trace)
        else:
            model.hidden(torch.tensor([text.ids]), trace=trace)
    assert panel.kinds.isVisible() == bool(source)
    assert panel.stack.kind == ("cross" if source else "self")
    for kind in ("encoder", "decoder", "cross") if source else ("self",):
        if source:
            panel.kinds.choose(kind)
            panel.kinds.changed.emit(kind)
        for i, site in enumerate(panel.stack.sites):
            for head in range(site.n_head):
                panel.overview.montage.chosen.emit(Tile(i, head))
                assert focus.head == Head(site.site, head)
                picture = panel.detail.map.picture
                assert picture is not None
                shown = np.nan_to_num(picture.values**2)
                np.testing.assert_allclose(shown, trace.attention[site.site][0, head].numpy(), atol=1e-5)
                assert np.isnan(picture.values).any() == (kind in ("self", "decoder") and design != "bert-tiny")
        assert panel.detail.which_row.isVisible() == (kind != "encoder" and design != "bert-tiny")
    panel.grab()


def test_heads_can_be_previewed_selected_and_deselected(opened: AttentionPanel, focus: Focus, qtbot: QtBot) -> None:
    montage, title = opened.overview.montage, opened.detail.title
    assert title.text().startswith("Layer 1, head 1:"), "the first one by default"
    assert focus.head is None
    qtbot.mouseMove(montage, montage.rect_of(Tile(1, 2)).center())
    assert title.text().startswith("Layer 2, head 3:")
    assert focus.head is None, "a preview only"
    qtbot.mouseClick(montage, Qt.MouseButton.LeftButton, pos=montage.rect_of(Tile(1, 1)).center())
    qtbot.mouseMove(montage, QPoint(1, 1))
    assert title.text().startswith("Layer 2, head 2:")
    assert focus.head == Head("blocks.1.attention", 1)
    for key, head in ((Qt.Key.Key_Right, 2), (Qt.Key.Key_Left, 1), (Qt.Key.Key_Left, 0)):
        qtbot.keyClick(montage, key)
        assert focus.head == Head("blocks.1.attention", head)
    qtbot.keyClick(montage, Qt.Key.Key_Up)
    assert focus.head == Head("blocks.0.attention", 0)
    focus.choose_head(Head("blocks.1.attention", 3))
    assert title.text().startswith("Layer 2, head 4:"), "any panel may select a head"
    n_head = opened.stack.sites[0].n_head
    qtbot.mouseClick(montage, Qt.MouseButton.LeftButton, pos=montage.rect_of(Tile(0, n_head)).center())
    assert title.text() == f"Layer 1: mean of its {n_head} heads"
    assert focus.head == Head("blocks.1.attention", 3), "the mean is not a head"
    qtbot.keyClick(montage, Qt.Key.Key_Escape)
    assert focus.head is None


def test_heads_are_sorted_by_measured_patterns(opened: AttentionPanel, qtbot: QtBot) -> None:
    sort, montage = opened.overview.sort, opened.overview.montage
    sort.setCurrentIndex(sort.findData("first"))
    sort.activated.emit(sort.currentIndex())
    scores = [float(opened.stack.sites[tile.site].scores["first"][tile.head]) for tile in montage.tiles]
    assert len(scores) == sum(site.n_head for site in opened.stack.sites)
    assert scores == sorted(scores, reverse=True)
    following = sort.model().index(sort.findData("next"), 0)
    assert not following.flags() & Qt.ItemFlag.ItemIsEnabled, "a causal head has no next token"
    sort.setCurrentIndex(0)
    sort.activated.emit(0)
    assert montage.tiles[0] == Tile(0, 0)
    montage.grab()


def test_the_row_follows_the_token_and_vice_versa(opened: AttentionPanel, focus: Focus, qtbot: QtBot) -> None:
    arcs, heads = opened.detail.arcs, opened.stack.sites[0].weights[0]
    focus.choose_head(Head(opened.stack.sites[0].site, 0))
    focus.lock(8)
    assert "which predicts" in opened.detail.row_caption.text()
    assert opened.detail.map.marked == 7
    assert arcs.describe_key(3) == f"· (4) gets {format_share(float(heads[7, 3]))} of the attention"
    assert set(arcs.top_keys) <= set(np.flatnonzero(heads[7] >= 0.02).tolist())
    assert "is masked here" in arcs.describe_key(8)
    focus.unlock()

    def points_at_it() -> bool:
        for i in (4, 5):  # again: a move that nothing hears, as of a window that is just shown, is lost
            qtbot.mouseMove(arcs, middle(arcs.rect_of(i)))
        return focus.position == 5

    qtbot.waitUntil(points_at_it)
    assert focus.locked is None
    qtbot.mouseClick(arcs, Qt.MouseButton.LeftButton, pos=middle(arcs.rect_of(6)))
    assert focus.locked == 6
    qtbot.keyClick(arcs, Qt.Key.Key_Right)
    assert focus.locked == 7
    qtbot.keyClick(opened.overview.montage, Qt.Key.Key_Left, Qt.KeyboardModifier.ShiftModifier)
    assert focus.locked == 6
    qtbot.keyClick(arcs, Qt.Key.Key_Escape)
    assert focus.locked is None
    cell = opened.detail.map.cell_rect(2, 4)
    qtbot.mouseClick(opened.detail.map, Qt.MouseButton.LeftButton, pos=middle(cell))
    assert (focus.locked, opened.detail.map.marked) == (5, 4)
    last = len(SENTENCE) - 1
    opened.detail.map.clicked.emit(last, 0)
    assert (focus.locked, opened.detail.map.marked) == (last, last)
    assert opened.detail.which_row.value == "own", "no token follows that it could predict"


def test_the_source_has_its_own_token_in_focus(
    panel: AttentionPanel, session: Session, focus: Focus, byte_tokenizer: Tokenizer, until: Until, qtbot: QtBot
) -> None:
    _, tokenizer = open_random(session, "t5-tiny", byte_tokenizer)
    focus.show(text_of(tokenizer, "a target", 1, "the source"))
    until(lambda: not panel.message)
    arcs = panel.detail.arcs
    focus.lock(3)
    assert "which predicts" in panel.detail.row_caption.text()
    focus.choose_head(Head("encoder.blocks.1.attention", 2))
    assert panel.stack.kind == "encoder"
    qtbot.mouseClick(arcs, Qt.MouseButton.LeftButton, pos=middle(arcs.rect_of(4)))
    assert panel.detail.map.marked == 4
    assert focus.locked == 3, "a position in the target"
    qtbot.keyClick(arcs, Qt.Key.Key_Left)
    assert panel.detail.map.marked == 3
    qtbot.keyClick(arcs, Qt.Key.Key_Escape)
    assert panel.detail.map.marked == len("the source") - 1


def test_long_texts_are_pooled_and_windows_read_on_request(
    panel: AttentionPanel,
    session: Session,
    focus: Focus,
    byte_tokenizer: Tokenizer,
    until: Until,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(attention, "MAX_BLOCKS", 4)
    _, tokenizer = open_random(session, "gpt2-tiny", byte_tokenizer)
    focus.show(text_of(tokenizer, SENTENCE, 10))
    until(lambda: not panel.message)
    detail = panel.detail
    assert detail.pooled.isVisible()
    assert detail.arcs.top_keys == []
    assert "Click a token" in detail.row_caption.text()
    focus.lock(8)
    until(lambda: bool(detail.arcs.top_keys))
    assert "Click a token" not in detail.row_caption.text()
    assert detail.map.marked == 1
    panel.overview.montage.chosen.emit(Tile(1, 2))
    assert detail.arcs.top_keys
    detail.map.clicked.emit(2, 1)
    until(detail.whole.isVisible)
    picture = detail.map.picture
    assert picture is not None
    assert picture.values.shape == (22, 22), "all of a short text"
    assert detail.map.marked == 7
    detail.whole.click()
    assert detail.map.picture is not None
    assert detail.map.picture.values.shape == (4, 4)
    columns = panel.numbers()()
    assert len(columns["weight"]) == 16


def test_a_reply_runs_before_a_pending_reading(
    panel: AttentionPanel, session: Session, focus: Focus, byte_tokenizer: Tokenizer, until: Until
) -> None:
    _, tokenizer = open_random(session, "gpt2-tiny", byte_tokenizer)
    order: list[str] = []
    panel.reading.read.connect(lambda: order.append("read"))
    session.worker.job_finished.connect(lambda job: order.append("reply") if job.name == "Reply" else None)
    go_on = threading.Event()

    def before() -> Iterator[Event]:
        assert go_on.wait(60)
        yield from ()

    session.worker.submit(Job("before", before, INTERACTIVE))
    focus.show(text_of(tokenizer, SENTENCE, 10))
    session.worker.submit(Job("Reply", lambda: iter(()), INTERACTIVE))
    session.chat.reply_requested.emit()
    go_on.set()
    until(lambda: not panel.message)
    assert order == ["reply", "read"]


def test_a_hidden_panel_reads_nothing(
    opened: AttentionPanel, focus: Focus, byte_tokenizer: Tokenizer, until: Until
) -> None:
    opened.hide()
    focus.lock(20)
    focus.show(text_of(byte_tokenizer, "short", 2))
    focus.choose_head(Head("blocks.1.attention", 3))
    focus.show(None)
    focus.choose_head(Head("blocks.0.attention", 1))
    focus.show(text_of(byte_tokenizer, "short", 2))
    opened.show()
    until(lambda: not opened.message)
    assert opened.stack.rows[-1] == 5
    assert opened.detail.title.text().startswith("Layer 1, head 2")


def test_masked_cells_are_hatched_not_zero(opened: AttentionPanel, theme: ThemeProvider) -> None:
    montage = opened.overview.montage
    for mode in ("light", "dark"):
        theme.set_mode(mode)
        image = paint_tiles(opened.stack, montage.tile_layout, "root", theme, 1.0)
        rect = montage.rect_of(Tile(0, 0))
        masked = {image.pixel(rect.right() - x, rect.top() + y) for x in range(12) for y in range(12)}
        colours = {theme.theme.color(role).rgba() for role in ("sunken", "border_strong")}
        assert masked == colours
    assert montage.tile_layout.at(QPointF(rect.left() - 3, rect.top() + 3)) is None
    assert montage.tile_layout.at(QPointF(rect.center())) == 0
    assert montage.tile_layout.at(QPointF(rect.left() + 3, 5000)) is None


def test_export_has_all_heads_and_exact_numbers(opened: AttentionPanel, tmp_path: Path) -> None:
    opened.export.export_to(tmp_path / "heads.png", "png")
    image = QImage(str(tmp_path / "heads.png"))
    assert image.height() > 2 * (opened.overview.montage.height() + opened.detail.height())
    opened.export.export_to(tmp_path / "heads.svg", "svg")
    assert "mean" in (tmp_path / "heads.svg").read_text("utf-8")
    columns = opened.numbers()()
    n = len(SENTENCE)
    assert {len(column) for column in columns.values()} == {n * n}
    assert columns["query_token"][n] == "h"
    assert columns["key"][n + 1] == 2
    assert columns["weight"][n] == opened.stack.sites[0].weights[0, 1, 0]
    assert np.isnan(columns["weight"][1]), "masked"


def test_the_colours_are_named(opened: AttentionPanel) -> None:
    overview = opened.overview
    assert [button.text() for button in overview.scale.buttons.buttons()] == ["Square root", "Linear", "Log"]
    assert overview.legend.name == "Attention weight"
    assert overview.legend.ends[0] == "0\N{NO-BREAK SPACE}%"
    overview.scale.buttons.button(2).click()
    assert overview.legend.ends[0] == "≤ 0.01\N{NO-BREAK SPACE}%"
    picture = opened.detail.map.picture
    assert picture is not None
    assert picture.shows == "Attention weight"


def test_it_begins_with_the_head_that_did_most_for_the_token(opened: AttentionPanel, focus: Focus) -> None:
    focus.tell_head(12, Head("blocks.1.attention", 3))
    focus.lock(12)
    assert opened.overview.montage.shown == Tile(1, 3)
    assert "head 4 of layer 2" in opened.sentence.text()
    focus.lock(13)
    assert focus.telling_head is None, "it is another token"
