"""A run on one's own pairs starts from the model that wrote their replies."""

from __future__ import annotations

import dataclasses

from pytestqt.qtbot import QtBot
from tokenizers import Tokenizer

from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.new_run.new_run_page import NewRun
from terrarium.app.session.session import Session
from terrarium.models.library.library import Library
from terrarium.models.preferences.dataset import build_set_corpus, writers_of
from terrarium.models.preferences.store import PreferenceSet
from tests.app.heard import Until
from tests.app.small_models import put_model
from tests.models.preferences.support import make_pair


def test_the_writer_is_proposed_and_not_the_newest_run(
    session: Session, theme: ThemeProvider, library: Library, byte_tokenizer: Tokenizer, qtbot: QtBot, until: Until
) -> None:
    writer = put_model(library, byte_tokenizer, "decoder-only", name="writer")
    newest = put_model(library, byte_tokenizer, "decoder-only", name="newest")
    pairs = [make_pair(i) for i in range(4)]
    mine = [dataclasses.replace(pair, a=dataclasses.replace(pair.a, run=writer)) for pair in pairs]
    PreferenceSet(library, "Mine").add(mine)
    corpus, _ = build_set_corpus(library, "Mine")
    assert writers_of(library, corpus.label)[0] == writer
    assert writers_of(library, "of somebody else") == []
    session.runs.changed.emit()
    session.datasets.refresh()
    until(lambda: session.datasets.info(corpus.sha) is not None)
    form = NewRun(session, theme)
    qtbot.addWidget(form)
    form.choices.start.start_from(newest)
    form.choices.learn_from(corpus.sha)
    assert form.choices.start.run_id == writer
    align = form.choices.align_spec
    assert align is not None
    assert align.stage == "dpo"
