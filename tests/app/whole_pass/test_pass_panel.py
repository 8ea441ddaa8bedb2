"""The panel of the whole pass with real, if random, models: what it shows is what the model computes."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QTextDocumentFragment
from pytestqt.qtbot import QtBot
from tokenizers import Tokenizer

from terrarium.app.glass.focus import Focus, Head
from terrarium.app.glass.names import format_rough
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.session.remembered import EVERYTHING, SIMPLE
from terrarium.app.session.session import Session
from terrarium.app.whole_pass.pass_panel import PassPanel
from terrarium.app.whole_pass.pass_view import PassView
from terrarium.models.inference.sampling import as_floats
from terrarium.models.inference.sampling_steps import drawn_token, sampling_steps
from terrarium.models.inspect.ablation import ablated_logits
from terrarium.models.inspect.read_text import Text
from terrarium.models.inspect.readout import Readout
from terrarium.models.settings.sampling_config import SamplingConfig
from tests.app.glass.opened import open_random, text_of
from tests.app.heard import Until

DESIGNS = ["terrarium-tiny", "moe-tiny", "bert-tiny", "t5-tiny", "post-norm decoder", "gpt2-tiny"]


@pytest.fixture
def panel(qtbot: QtBot, session: Session, theme: ThemeProvider, focus: Focus) -> PassPanel:
    panel = PassPanel(session, theme, focus)
    qtbot.addWidget(panel)
    panel.resize(360, 800)
    panel.show()
    return panel


def wait_for(panel: PassPanel, until: Until, position: int) -> None:
    panel.focus.lock(position)
    until(
        lambda: (
            panel.answer is not None
            and panel.answer.target.position == position
            and not panel.examiner.busy
            and not panel.message
        )
    )


@pytest.mark.parametrize("design", DESIGNS)
def test_the_numbers_are_the_models(
    panel: PassPanel, session: Session, focus: Focus, byte_tokenizer: Tokenizer, until: Until, design: str
) -> None:
    model, tokenizer = open_random(session, design, byte_tokenizer)
    text = text_of(tokenizer, "the cat sat", 4, "a source" if design == "t5-tiny" else "")
    focus.show(text)
    wait_for(panel, until, 6)
    at = 6 if design == "bert-tiny" else 5
    logits = ablated_logits(model, Text(ids=text.ids, source_ids=text.source_ids), Readout(at=at), [[]])[0]
    p = logits.softmax(dim=-1)
    assert format_rough(float(p[text.ids[6]])) in panel.sentence.text()
    assert [bar.share for bar in panel.view.top.bars[:5]] == pytest.approx(p.topk(5).values.tolist(), abs=1e-4)
    shown = [line for line in panel.view.layers.lines if line.part is None]
    assert [line.number for line in shown] == [1, 2, 3]
    parts = [line.part.site.rpartition(".")[2] for line in panel.view.layers.lines if line.part and line.head is None]
    each = ["attention", "feed_forward"] if design != "t5-tiny" else ["attention", "cross_attention", "feed_forward"]
    assert parts == 3 * each
    words = panel.view.accessibleDescription()
    assert ("experts" in words) == (design == "moe-tiny")
    assert ("Encoder:" in words) == (design == "t5-tiny")
    assert ("Post-norm:" in words) == (model.config.norm_place == "post")
    assert panel.view.notes.isVisible() == (design in ("t5-tiny", "bert-tiny", "post-norm decoder"))
    assert ("normalised once more" in words) == (design not in ("bert-tiny", "post-norm decoder"))
    assert ("position" in panel.view.start.text()) == (model.config.position in ("learned", "sinusoidal"))
    assert panel.view.bars.isVisible() == (design != "bert-tiny")
    assert ("sees this token" in panel.head.note) == (design == "bert-tiny")
    assert model.training
    panel.grab()


def test_the_draw_is_that_of_the_reply(
    panel: PassPanel, session: Session, focus: Focus, byte_tokenizer: Tokenizer, until: Until
) -> None:
    model, tokenizer = open_random(session, "gpt2-tiny", byte_tokenizer)
    config = SamplingConfig(temperature=0.8, top_k=20, mirostat_tau=3.0)
    for settings in (config, dataclasses.replace(config, mirostat_tau=SamplingConfig().mirostat_tau)):
        text = text_of(tokenizer, "the cat sat", 4)
        draws = tuple(0.1 + 0.1 * i for i in range(len(text.ids) - 4))
        focus.show(dataclasses.replace(text, sampling=settings, draws=draws))
        wait_for(panel, until, 5)
        assert panel.answer is not None
        assert panel.answer.xray.draw == draws[1]
        if settings is not config:  # without a state, each token is drawn by itself
            logits = as_floats(ablated_logits(model, Text(ids=text.ids), Readout(at=4), [[]]))[0]
            final = sampling_steps(logits, settings, text.ids[:5], 4).final
            assert panel.answer.xray.lands == drawn_token(final, draws[1])
            assert panel.answer.xray.n_left == np.count_nonzero(final) <= 20
            assert " before temperature 0.8 and top-k 20: " in panel.sentence.text()
        assert f"“{panel.answer.word}” (id {panel.answer.given.token:,} of" in panel.view.text.text()


def test_keys_move_the_token_and_the_line_and_open_panels(
    panel: PassPanel, session: Session, focus: Focus, byte_tokenizer: Tokenizer, until: Until, qtbot: QtBot
) -> None:
    _, tokenizer = open_random(session, "llama-tiny", byte_tokenizer)
    focus.show(text_of(tokenizer, "the cat sat", 4))
    wait_for(panel, until, 6)
    opened: list[str] = []
    panel.view.door_opened.connect(opened.append)
    layers = panel.view.layers
    layers.setFocus()
    kinds = []
    for _ in range(4):
        qtbot.keyClick(layers, Qt.Key.Key_Down)
        line = layers.current
        assert line is not None
        kinds.append((line.number, line.part is not None, line.head is not None))
        assert layers.accessibleDescription()
        qtbot.keyClick(layers, Qt.Key.Key_Return)
    assert kinds == [(1, False, False), (1, True, False), (1, True, True), (1, True, False)]
    assert opened == ["layers", "attention", "attention", "ablation"]
    assert focus.head == Head("blocks.0.attention", layers.lines[2].head or 0)
    qtbot.keyClick(layers, Qt.Key.Key_Left)
    assert focus.locked == 5
    until(lambda: panel.answer is not None and panel.answer.target.position == 5)
    line = layers.current
    assert line is not None
    assert line.door == "ablation", "the same line is read for the other token"
    rect = layers.rect_of(0).center().toPoint()
    qtbot.mouseClick(layers, Qt.MouseButton.LeftButton, pos=rect)
    assert opened[-1] == "layers"


def test_tooltips_show_tokens_that_look_like_markup(
    panel: PassPanel, session: Session, focus: Focus, byte_tokenizer: Tokenizer, until: Until, qtbot: QtBot
) -> None:
    _, tokenizer = open_random(session, "llama-tiny", byte_tokenizer)
    text = text_of(tokenizer, "the cat sat", 4)
    focus.show(dataclasses.replace(text, words=("<b>",) * len(text.ids)))
    wait_for(panel, until, 6)
    layers = panel.view.layers
    head = next(i for i, line in enumerate(layers.lines) if line.head is not None)

    def is_read() -> bool:
        qtbot.mouseMove(layers, layers.rect_of(head).center().toPoint())  # again if the lines have moved meanwhile
        return layers.spot == (0, head)

    until(is_read)
    assert "<b>" in QTextDocumentFragment.fromHtml(layers.toolTip()).toPlainText()


def test_each_stage_has_its_door(panel: PassPanel, session: Session, byte_tokenizer: Tokenizer, qtbot: QtBot) -> None:
    from PySide6.QtWidgets import QPushButton

    opened: list[str] = []
    panel.view.door_opened.connect(opened.append)
    for link in panel.view.findChildren(QPushButton):
        link.click()
    assert opened == ["tokenizer", "embeddings", "layers", "next", "next"]


def test_the_wide_window_follows_and_closes_when_a_panel_is_opened(
    panel: PassPanel, session: Session, focus: Focus, byte_tokenizer: Tokenizer, until: Until, qtbot: QtBot
) -> None:
    assert not panel.enlarge.isEnabled()
    _, tokenizer = open_random(session, "t5-tiny", byte_tokenizer)
    focus.show(text_of(tokenizer, "the cat sat", 4, "a source"))
    wait_for(panel, until, 6)
    panel.resize(1200, 700)
    panel.enlarge.click()
    wide = panel.wide
    assert wide is not None
    assert wide.isVisible()
    assert wide.sentence.text() == panel.sentence.text()
    cross = next(i for i, line in enumerate(wide.view.layers.lines) if line.part and "cross" in line.part.site)
    wide.view.layers.set_spot((0, cross))
    assert "cross-attention" in wide.view.arcs_caption.text()
    assert "%" in wide.view.arcs.accessibleDescription()
    wide.grab()
    qtbot.keyClick(wide.view.layers, Qt.Key.Key_Right)
    until(lambda: wide.view.answer is not None and wide.view.answer.target.position == 7)
    focus.show(None)
    assert not wide.view.isVisible()
    assert "Nothing to inspect" in wide.sentence.text()
    focus.show(text_of(tokenizer, "the cat", 4, "a source"))
    wait_for(panel, until, 5)
    assert wide.view.isVisible()
    wide.view.door_opened.emit("next")
    assert not wide.isVisible()


def test_simple_shows_per_cents_and_everything_the_scores(
    panel: PassPanel, session: Session, focus: Focus, byte_tokenizer: Tokenizer, until: Until
) -> None:
    session.detail.choose(SIMPLE)
    _, tokenizer = open_random(session, "gpt2-tiny", byte_tokenizer)
    focus.show(text_of(tokenizer, "the cat sat", 4))
    wait_for(panel, until, 6)
    assert not any(bar.more for bar in panel.view.top.bars)
    assert "nats" not in panel.view.accessibleDescription() + panel.view.bars.accessibleDescription()
    session.detail.choose(EVERYTHING)
    assert panel.answer is not None
    best = panel.answer.given.logits.max()
    assert panel.view.top.bars[0].more.replace("−", "-") == f"{best:.2f}"


def test_the_picture_and_all_numbers_are_exported(
    panel: PassPanel, session: Session, focus: Focus, byte_tokenizer: Tokenizer, until: Until, tmp_path: Path
) -> None:
    _, tokenizer = open_random(session, "llama-tiny", byte_tokenizer)
    focus.show(text_of(tokenizer, "the cat", 4))
    wait_for(panel, until, 5)
    for kind in ("json", "png", "svg"):
        panel.export.export_to(tmp_path / f"pass.{kind}", kind)
    until(lambda: all((tmp_path / f"pass.{kind}").exists() for kind in ("json", "png", "svg")))
    columns = json.loads((tmp_path / "pass.json").read_text())
    rows = list(zip(*columns.values(), strict=True))
    attention = [row for row in rows if row[0] == "attention" and row[1:4] == (2, "attention", 3)]
    assert [row[5] for row in attention] == list("the·c")
    assert sum(row[-1] for row in attention) == pytest.approx(1.0, abs=1e-5)
    assert panel.answer is not None
    lens = [row[-1] for row in rows if row[0] == "probability of the token"]
    assert lens == pytest.approx([layer.own for layer in panel.answer.given.layers])


def test_a_view_without_an_answer_paints_nothing(theme: ThemeProvider, focus: Focus, qtbot: QtBot) -> None:
    view = PassView(theme, focus, is_wide=True)
    qtbot.addWidget(view)
    view.grab()
    assert view.layers.current is None
