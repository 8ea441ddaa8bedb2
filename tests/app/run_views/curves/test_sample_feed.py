"""Samples of pinned prompts, labelled by objective."""

from __future__ import annotations

import dataclasses
import re

import pytest
from pytestqt.qtbot import QtBot

from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.run_views.curves.sample_feed import SampleFeed
from terrarium.app.session.run_history import RunHistory
from terrarium.models.events import SampleMade
from terrarium.models.settings.presets import PRESETS
from terrarium.models.settings.run_spec import RunSpec


@pytest.mark.parametrize(
    ("preset", "text", "shown"),
    [
        ("gpt2-tiny", " a → b", "Anna has a → b"),
        ("bert-tiny", " → Anna has it.", "Anna has filled in: Anna has it."),
        ("t5-tiny", " → Anna ⟨0⟩ → ⟨0⟩ has", "Anna ⟨0⟩ in the gaps: ⟨0⟩ has"),
        ("bart-tiny", " → Anna has it.", "Anna has restored: Anna has it."),
    ],
)
def test_outputs_are_labelled_by_objective(
    qtbot: QtBot, theme: ThemeProvider, tiny_spec: RunSpec, preset: str, text: str, shown: str
) -> None:
    feed = SampleFeed(theme)
    qtbot.addWidget(feed)
    history = RunHistory()
    history.samples.append(SampleMade(step=4, prompt="Anna has", seed=0, text=text, top=()))
    spec = dataclasses.replace(tiny_spec, model=PRESETS[preset])
    feed.show_history(history, spec)
    assert " ".join(re.sub("<[^>]+>", "", feed.texts[0].text()).split()) == shown


def test_what_is_missing_is_said_as_it_is(qtbot: QtBot, theme: ThemeProvider, tiny_spec: RunSpec) -> None:
    feed = SampleFeed(theme)
    qtbot.addWidget(feed)
    feed.show_history(RunHistory(), tiny_spec)
    assert feed.empty.text().startswith("None yet.")
    no_prompts = dataclasses.replace(tiny_spec, train=dataclasses.replace(tiny_spec.train, prompts=()))
    feed.show_history(RunHistory(), no_prompts)
    assert feed.empty.text() == "This run has no pinned prompts, so nothing is sampled while it learns."
    classifier = dataclasses.replace(tiny_spec.model, head="sequence", n_label=3)
    feed.show_history(RunHistory(), dataclasses.replace(no_prompts, model=classifier))
    assert feed.empty.text().startswith("This model predicts labels and writes no text.")
