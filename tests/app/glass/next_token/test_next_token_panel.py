"""The X-ray panel with a real, if random, model: the draws of a reply are reproduced, and settings apply at once."""

from __future__ import annotations

import dataclasses

import pytest
from PySide6.QtCore import QPointF, Qt
from pytestqt.qtbot import QtBot
from tokenizers import Tokenizer

from terrarium.app.glass.focus import Focus
from terrarium.app.glass.next_token.next_token_panel import NextTokenPanel
from terrarium.app.glass.read_text import ReadText
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.session.session import Session
from terrarium.models.events import TokenMade
from terrarium.models.inference.generate import generate
from terrarium.models.settings.sampling_config import SamplingConfig
from terrarium.models.tokenizers.codec import pieces_of
from terrarium.models.tokenizers.special_tokens import mask_id
from tests.app.glass.opened import open_random, text_of
from tests.app.heard import Until

NO_TOKENS = tuple((id, -100.0) for id in range(261, 380))  # the model knows more ids than its tokenizer
SETTINGS = SamplingConfig(
    temperature=1.3, top_k=100, top_p=0.95, repetition_penalty=1.1, logit_bias=NO_TOKENS, seed=4, max_tokens=12
)


@pytest.fixture
def panel(qtbot: QtBot, session: Session, theme: ThemeProvider, focus: Focus) -> NextTokenPanel:
    panel = NextTokenPanel(session, theme, focus)
    qtbot.addWidget(panel)
    panel.resize(420, 800)
    panel.show()
    return panel


@pytest.fixture
def reply(session: Session, byte_tokenizer: Tokenizer, panel: NextTokenPanel) -> ReadText:
    """A reply of a random model that is open."""
    return reply_by(session, byte_tokenizer, SETTINGS)


def reply_by(session: Session, byte_tokenizer: Tokenizer, settings: SamplingConfig) -> ReadText:
    """Open a random model and generate a reply."""
    model, tokenizer = open_random(session, "gpt2-tiny", byte_tokenizer)
    prompt = [70, 71, 72]
    made = [event for event in generate(model, tokenizer, prompt, settings) if isinstance(event, TokenMade)]
    ids = (*prompt, *(event.id for event in made))
    words = tuple(piece.display for piece in pieces_of(tokenizer, ids))
    draws = tuple(event.draw for event in made)
    return ReadText(ids=ids, words=words, n_prompt=3, draws=draws, sampling=settings)


def test_the_draws_of_a_mirostat_reply_are_reproduced(
    panel: NextTokenPanel, session: Session, byte_tokenizer: Tokenizer, focus: Focus, until: Until
) -> None:
    """The state depends on all tokens before, in whatever order they are inspected."""
    settings = dataclasses.replace(SETTINGS, top_k=0, top_p=1.0, mirostat_tau=3.0, mirostat_eta=0.5)
    text = reply_by(session, byte_tokenizer, settings)
    focus.show(text)
    focus.lock(len(text.ids) - 1)
    until(lambda: panel.xray is not None)
    left = []
    for position in (*range(len(text.ids) - 1, 2, -1), 5):
        focus.lock(position)
        assert panel.xray is not None
        assert panel.xray.lands == text.ids[position]
        left.append(panel.xray.n_left)
    assert len(set(left)) > 1


def test_every_draw_of_a_reply_is_reproduced(
    panel: NextTokenPanel, focus: Focus, reply: ReadText, until: Until
) -> None:
    focus.show(reply)
    focus.lock(3)
    until(lambda: panel.xray is not None)
    for position in range(3, len(reply.ids)):
        focus.lock(position)
        assert panel.xray is not None
        assert panel.xray.lands == panel.xray.chosen == reply.ids[position]
        assert "The draw landed on it." in panel.summary.text()
    assert [bar.name for bar in panel.xray.bars][-3:] == ["top_k", "top_p", "drawn"]
    focus.lock(1)
    assert "It was read, not drawn." in panel.summary.text()
    focus.lock(0)
    assert "Nothing predicts the first token" in panel.message


def test_changing_a_setting_does_not_run_the_model(
    panel: NextTokenPanel, focus: Focus, reply: ReadText, until: Until, session: Session
) -> None:
    focus.show(reply)
    focus.lock(5)
    until(lambda: panel.xray is not None)
    panel.set_sampling(SamplingConfig(temperature=0.0))
    assert not panel.examiner.busy
    assert (panel.by.value, len(panel.bars.xray.bars if panel.bars.xray else ())) == ("now", 3)
    assert "nothing is drawn" in panel.summary.text()
    panel.set_sampling(dataclasses.replace(SETTINGS, top_k=1))
    assert panel.xray is not None
    assert panel.xray.n_left == 1
    assert panel.others.text().startswith("1 of 380 tokens can be drawn; ")
    panel.set_sampling(dataclasses.replace(SETTINGS, seed=99))
    assert panel.by.value == "drawn"
    assert panel.xray.lands == reply.ids[5]
    panel.set_sampling(SamplingConfig(logit_bias=((9000, 1.0),)))
    assert "name the token 9000" in panel.message


def test_sliders_change_the_settings(
    qtbot: QtBot, panel: NextTokenPanel, focus: Focus, reply: ReadText, until: Until
) -> None:
    panel.set_sampling(SamplingConfig(temperature=0.3, seed=77, stop=("x",)))
    focus.show(reply)
    focus.lock(5)
    until(lambda: panel.xray is not None)
    assert panel.sliders["temperature"].value == 1.3, "what the reply was drawn with"
    with qtbot.waitSignal(panel.sampling_changed) as tried:
        panel.sliders["top_k"].changed.emit(5)
    assert tried.args == [dataclasses.replace(SETTINGS, top_k=5, seed=77, stop=("x",), max_tokens=256)]
    assert panel.by.value == "now"
    assert panel.xray is not None
    assert panel.xray.n_left <= 5
    panel.set_sampling(tried.args[0])
    assert panel.sliders["top_k"].value == 5


def test_clicking_an_alternative_requests_a_branch(
    qtbot: QtBot, panel: NextTokenPanel, focus: Focus, reply: ReadText, until: Until
) -> None:
    focus.show(reply)
    focus.lock(5)
    until(lambda: panel.xray is not None and not panel.message)
    wanted = panel.xray.rows[2].id if panel.xray else -1
    with qtbot.waitSignal(focus.branch_requested) as target:
        panel.table.clicked.emit(panel.table.model().index(2, 1))
    assert target.args == [5, wanted]
    panel.table.setCurrentIndex(panel.table.model().index(2, 1))
    with qtbot.waitSignal(focus.branch_requested):
        qtbot.keyClick(panel.table, Qt.Key.Key_Return)
    box = panel.bars.bar_rect(0)
    with qtbot.waitSignal(focus.branch_requested) as target:
        qtbot.mouseClick(panel.bars, Qt.MouseButton.LeftButton, pos=QPointF(box.left() + 1, box.center().y()).toPoint())
    assert target.args == [5, panel.xray.order[0] if panel.xray else -1]
    focus.lock(1)
    with qtbot.assertNotEmitted(focus.branch_requested):
        panel.table.clicked.emit(panel.table.model().index(2, 1))


def test_an_encoders_masked_place_has_no_draw(
    panel: NextTokenPanel, session: Session, focus: Focus, byte_tokenizer: Tokenizer, until: Until
) -> None:
    _, tokenizer = open_random(session, "bert-tiny", byte_tokenizer)
    mask = mask_id(tokenizer)
    assert mask is not None
    text = text_of(tokenizer, "the cat", 7)
    text = dataclasses.replace(text, ids=(*text.ids[:3], mask, *text.ids[4:]))
    focus.show(text)
    focus.lock(3)
    until(lambda: panel.xray is not None)
    assert panel.summary.text().startswith("Masked:")
    assert panel.xray is not None
    assert (panel.xray.draw, panel.xray.lands) == (None, None)
    focus.lock(0)
    assert "sees this token" in panel.summary.text()


def test_all_numbers_of_the_vocabulary_are_exported(
    panel: NextTokenPanel, focus: Focus, reply: ReadText, until: Until
) -> None:
    assert panel.numbers()() == {}
    focus.show(reply)
    focus.lock(5)
    until(lambda: panel.xray is not None)
    columns = panel.numbers()()
    assert len(columns["own"]) == 380
    assert sum(columns["own"]) == pytest.approx(1, abs=1e-5)
    assert sum(columns["final"]) == pytest.approx(1, abs=1e-5)
    assert set(columns["cut_by"]) == {"", "top_k", "top_p"}


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_it_is_painted(
    panel: NextTokenPanel, theme: ThemeProvider, focus: Focus, reply: ReadText, until: Until, mode: str
) -> None:
    theme.set_mode(mode)
    focus.show(reply)
    focus.lock(5)
    until(lambda: panel.xray is not None)
    panel.grab()
    panel.resize(300, 500)
    panel.grab()
    assert panel.table.isColumnHidden(3)
    assert all(len(row) == 6 for row in panel.table.texts())
