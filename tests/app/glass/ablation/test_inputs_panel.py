"""Every input token has its contribution: in the strip, in the list and in the export."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from pytestqt.qtbot import QtBot
from tokenizers import Tokenizer

from terrarium.app.glass.ablation.inputs_panel import Amount, InputsPanel, SignedBars
from terrarium.app.glass.ablation.sentences import format_effect
from terrarium.app.glass.focus import Focus
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.session.remembered import SIMPLE
from terrarium.app.session.session import Session
from terrarium.models.inspect.input_attribution import attribute
from terrarium.models.inspect.leave_one_out import InputToken, LeaveOneOut
from terrarium.models.inspect.read_text import Text
from terrarium.models.inspect.readout import Readout
from terrarium.models.number_words import format_signed
from terrarium.models.tokenizers.special_tokens import mask_id
from tests.app.glass.opened import open_random, text_of
from tests.app.heard import Until


@pytest.mark.parametrize("design", ["terrarium-tiny", "bert-tiny", "t5-tiny"])
def test_it_shows_gradient_times_input(
    qtbot: QtBot, session: Session, theme: ThemeProvider, byte_tokenizer: Tokenizer, until: Until, design: str
) -> None:
    focus = Focus()
    panel = InputsPanel(session, theme, focus)
    qtbot.addWidget(panel)
    panel.resize(460, 700)
    panel.show()
    model, tokenizer = open_random(session, design, byte_tokenizer)
    read = text_of(tokenizer, "the cat sat", 4, "a source" if design == "t5-tiny" else "")
    focus.show(read)
    focus.hover(6)
    panel.by.buttons.button(1).click()
    until(lambda: not panel.message and not panel.examiner.busy and not panel.measuring.busy)  # both use the model
    text, at = Text(ids=read.ids, source_ids=read.source_ids), 6 if design == "bert-tiny" else 5
    for of in ("logit", "log-probability"):
        if of != panel.of.value:
            panel.of.buttons.button(1).click()
            until(lambda: "log-probability" in panel.total.text())
        found = attribute(model, text, Readout(at=at), read.ids[6], of)
        columns = panel.numbers()()
        assert columns["amount"] == pytest.approx([*found.source, *found.tokens], abs=1e-4)
        assert columns["side"].count("source") == len(read.source_ids)  # type: ignore[union-attr]
        most = max((*found.source, *found.tokens), key=abs)
        assert panel.bars.amounts[0].value == pytest.approx(most, abs=1e-4)
    assert panel.source.isVisible() == bool(read.source_ids)
    theme.set_mode("dark")
    panel.grab()
    focus.hover(0)
    until(lambda: not panel.examiner.busy)
    assert ("Nothing predicts" in panel.message) == (design != "bert-tiny")


@pytest.mark.parametrize("design", ["terrarium-tiny", "bert-tiny", "t5-tiny"])
def test_it_begins_with_hiding_each_token(
    qtbot: QtBot, session: Session, theme: ThemeProvider, byte_tokenizer: Tokenizer, until: Until, design: str
) -> None:
    focus = Focus()
    panel = InputsPanel(session, theme, focus)
    qtbot.addWidget(panel)
    panel.resize(460, 700)
    panel.show()
    model, tokenizer = open_random(session, design, byte_tokenizer)
    read = text_of(tokenizer, "the cat sat", 4, "a source" if design == "t5-tiny" else "")
    focus.show(read)
    focus.hover(6)
    until(lambda: bool(panel.changes) and not panel.measuring.busy)
    is_encoder = design == "bert-tiny"
    text, at = Text(ids=read.ids, source_ids=read.source_ids), 6 if is_encoder else 5
    asked = LeaveOneOut(text, Readout(at=at), read.ids[6], mask_id(tokenizer) if is_encoder else None)
    expected: dict[InputToken, float] = {}
    while some := asked.measure_next(model):
        expected.update(some)
    assert panel.changes == pytest.approx(expected, abs=1e-4)
    columns = panel.numbers()()
    assert sum(columns["amount"]) == pytest.approx(-sum(expected.values()), abs=1e-3)
    assert format_signed(-sum(expected.values())) in panel.total.text()
    assert format_signed(asked.own) in panel.total.text()
    assert "need not agree" in panel.total.text()
    most = max(expected.values(), key=abs)
    assert panel.bars.amounts[0].value == pytest.approx(-most, abs=1e-4)
    assert format_effect(most) in panel.bars.amounts[0].tip
    assert panel.sentence.text().startswith(("Without ", "No single token"))
    panel.grab()


def test_sentence_scale_and_bars_tell_the_same_probabilities(
    qtbot: QtBot, session: Session, theme: ThemeProvider, byte_tokenizer: Tokenizer, until: Until
) -> None:
    session.detail.choose(SIMPLE)
    focus = Focus()
    panel = InputsPanel(session, theme, focus)
    qtbot.addWidget(panel)
    panel.resize(460, 700)
    panel.show()
    _, tokenizer = open_random(session, "terrarium-tiny", byte_tokenizer)
    focus.show(text_of(tokenizer, "the cat sat", 4))
    focus.hover(6)
    until(lambda: bool(panel.changes) and not panel.measuring.busy)
    largest = panel.bars.amounts[0].value
    low, high = panel.scale.ends
    assert high == panel.bars.written(abs(largest))
    assert low == panel.bars.written(-abs(largest))
    assert float(high) == pytest.approx(abs(largest), rel=0.05)
    ways = ("would fall from", "would rise from", "would hardly change")
    assert all(any(way in bar.tip for way in ways) for bar in panel.bars.amounts)
    assert "times" not in panel.sentence.text()


def test_percentage_points_keep_two_digits_however_small(theme: ThemeProvider, qtbot: QtBot) -> None:
    bars = SignedBars("Largest contributions", theme)
    qtbot.addWidget(bars)
    amounts = (99.8, -9.96, 9.23, 0.0213, -0.00412, 3.24e-5, 0.0)
    bars.show_amounts([Amount("token", amount) for amount in amounts], are_points=True)
    written = [bars.written(amount) for amount in amounts]
    assert written == ["+100", "−10", "+9.2", "+0.021", "−0.0041", "+3.2e-5", "0"]


def test_what_takes_long_is_measured_on_request(
    qtbot: QtBot,
    session: Session,
    theme: ThemeProvider,
    byte_tokenizer: Tokenizer,
    until: Until,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("terrarium.app.glass.ablation.inputs_panel.MAX_AUTO_SURVEY_FLOPS", 0.0)
    focus = Focus()
    panel = InputsPanel(session, theme, focus)
    qtbot.addWidget(panel)
    panel.show()
    _, tokenizer = open_random(session, "gpt2-tiny", byte_tokenizer)
    focus.show(text_of(tokenizer, "the cat sat", 4))
    focus.hover(6)
    until(lambda: not panel.message and not panel.examiner.busy)
    assert not panel.changes
    assert "“Hide each token” will tell" in panel.sentence.text()
    panel.measuring.button.click()
    until(lambda: bool(panel.changes) and not panel.measuring.busy)
    assert not panel.measuring.button.isVisible()
    focus.hover(7)
    until(lambda: not panel.examiner.busy and not panel.changes)


@pytest.fixture
def step_ends(session: Session) -> Iterator[threading.Event]:
    """Set when a long training step, which a test hands to the worker, may end."""
    event = threading.Event()
    yield event
    event.set()  # else the session would never close after a failure


@pytest.fixture
def shown(qtbot: QtBot, session: Session, theme: ThemeProvider, byte_tokenizer: Tokenizer, until: Until) -> InputsPanel:
    """A panel that shows the attributions of a token under the pointer, by gradient × input."""
    focus = Focus()
    panel = InputsPanel(session, theme, focus)
    qtbot.addWidget(panel)
    panel.show()
    panel.by.buttons.button(1).click()
    _, tokenizer = open_random(session, "gpt2-tiny", byte_tokenizer)
    focus.show(text_of(tokenizer, "the cat sat", 4))
    focus.hover(6)
    until(lambda: not panel.message and not panel.examiner.busy)
    assert panel.head.note == ""
    return panel


def test_a_note_says_that_the_result_is_outdated_while_waiting(
    shown: InputsPanel, session: Session, step_ends: threading.Event, until: Until
) -> None:
    session.worker.call(step_ends.wait)
    shown.of.buttons.button(1).click()  # another question about the same token
    until(lambda: "still the previous result" in shown.head.note)
    step_ends.set()
    until(lambda: shown.head.note == "")


def test_the_note_disappears_when_the_pointer_leaves_the_token_meanwhile(
    shown: InputsPanel, session: Session, step_ends: threading.Event, until: Until
) -> None:
    session.worker.call(step_ends.wait)
    shown.focus.hover(7)
    until(lambda: "Waiting" in shown.head.note)
    shown.focus.hover(None)
    step_ends.set()
    until(lambda: not shown.examiner.busy)
    assert shown.head.note == ""


def test_a_masked_token_is_attributed_to_its_top_prediction(
    qtbot: QtBot, session: Session, theme: ThemeProvider, byte_tokenizer: Tokenizer, until: Until
) -> None:
    focus = Focus()
    panel = InputsPanel(session, theme, focus)
    qtbot.addWidget(panel)
    panel.show()
    _, tokenizer = open_random(session, "bert-tiny", byte_tokenizer)
    focus.show(text_of(tokenizer, "the <|mask|> sat", 4))
    focus.lock(4)
    until(lambda: not panel.message and not panel.examiner.busy)
    assert not panel.head.note
    focus.lock(2)
    until(lambda: "sees this token" in panel.head.note)
