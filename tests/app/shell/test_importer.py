"""Importing models into the library, and generating with each kind."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtWidgets import QPushButton
from tokenizers import Tokenizer

from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.session.model_importer import ModelImporter
from terrarium.app.session.session import Session
from terrarium.app.shell.main_window import MainWindow
from terrarium.models.events import Event, Progress, ReplyFinished, TokenMade, result_of
from terrarium.models.interop.export import export_hf
from terrarium.models.interop.loading import load_model
from terrarium.models.library.library import Library
from terrarium.models.runs.run_file.packing import pack_run
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.run_spec import RunSpec
from terrarium.models.settings.sampling_config import SamplingConfig
from tests.app.heard import Heard, Until
from tests.app.small_models import put_model

FAMILIES = {"encoder-only": "fill", "encoder-decoder": "answer", "decoder-only": "talk"}
"""The chat mode of each; a decoder chats, because the exported tokenizer has a chat template."""


@pytest.fixture
def importer(session: Session) -> ModelImporter:
    return ModelImporter(session.library, session.runs, session.notices, session)


def trained(session: Session, spec: RunSpec, until: Until, topology: str) -> str:
    """A tiny run of that topology; its id."""
    slots = {"norm_place": "post", "position": "learned", "norm": "layernorm", "bias": "all", "embedding_norm": True}
    extra = {"head_transform": True, "head_bias": True, "n_segment": 2} if topology == "encoder-only" else {}
    plain = {"n_kv_head": 0, "qk_norm": False, "conv_width": 0, "activation": "gelu", "tied_embeddings": True}
    model = dataclasses.replace(spec.model, topology=topology, **slots, **plain, **extra)
    if topology == "decoder-only":
        model = dataclasses.replace(model, norm_place="pre", embedding_norm=False, activation="gelu_tanh")
    assert session.training.start(dataclasses.replace(spec, name=topology, model=model))
    until(lambda: not session.training.active)
    return session.runs.list()[0].id


def export(session: Session, run_id: str, folder: Path) -> None:
    model, tokenizer = load_model(session.runs.find(run_id).folder)
    for _ in export_hf(model, tokenizer, folder):
        pass


@pytest.mark.parametrize("topology", FAMILIES)
def test_export_import_and_a_reply(
    session: Session,
    importer: ModelImporter,
    heard: Heard,
    tiny_spec: RunSpec,
    until: Until,
    tmp_path: Path,
    topology: str,
) -> None:
    run_id = trained(session, tiny_spec, until, topology)
    assert not heard.failures
    folder = tmp_path / "exported"
    export(session, run_id, folder)
    events: list[Event] = []
    came: list[str] = []
    importer.events_received.connect(events.extend)
    importer.imported.connect(lambda run_id, name: came.append(run_id))
    assert importer.start(folder)
    until(lambda: not importer.busy)
    assert not heard.failures
    assert any(isinstance(event, Progress) and event.done == event.total for event in events)
    (run_id,) = came
    assert session.runs.find(run_id).status == "imported"
    assert session.chat.open(run_id)
    until(lambda: session.chat.state == "ready")
    assert session.chat.model is not None
    assert session.chat.model.mode == FAMILIES[topology]
    assert session.chat.send("The [MASK] sat", SamplingConfig(max_tokens=4, temperature=0.0))
    until(lambda: any(isinstance(event, ReplyFinished) for event in heard.chat))
    made = [event for event in heard.chat if isinstance(event, TokenMade)]
    assert 1 <= len(made) <= 4
    if topology == "encoder-only":
        assert "·" in made[0].text  # the candidates, ranked
        heard.chat.clear()
        session.chat.send("The cat sat", SamplingConfig())
        until(lambda: bool(heard.failures))
        assert "put it where a word is missing" in heard.failures[0]


def test_a_folder_without_a_model_is_refused_and_leaves_nothing(
    session: Session, importer: ModelImporter, heard: Heard, tmp_path: Path, until: Until
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    assert importer.start(empty)
    until(lambda: bool(heard.failures))
    assert str(empty) in heard.failures[0]
    assert not session.runs.list()
    assert not importer.busy


def test_the_window_shows_the_progress_of_an_import(
    session: Session, theme: ThemeProvider, tiny_spec: RunSpec, until: Until, tmp_path: Path
) -> None:
    run_id = trained(session, tiny_spec, until, "encoder-only")
    folder = tmp_path / "exported"
    export(session, run_id, folder)
    window = MainWindow(session, theme)
    window.show()
    window.imports.start(folder)
    assert window.imports.progress is not None
    until(lambda: window.imports.progress is None)
    assert any(run.status == "imported" for run in session.runs.list())
    window.close()


def test_a_text_waits_for_the_published_model_that_was_sent_for(
    session: Session, theme: ThemeProvider, tiny_spec: RunSpec, until: Until, story_file: Path, tmp_path: Path
) -> None:
    folders = {topology: tmp_path / topology for topology in ("encoder-only", "decoder-only")}
    for topology, folder in folders.items():
        export(session, trained(session, tiny_spec, until, topology), folder)
    window = MainWindow(session, theme)
    window.show()
    window.texts.tune_published((str(story_file),))
    assert window.pages.current == "models", "there is none yet"
    for topology, folder in folders.items():
        window.imports.start(folder)
        until(lambda: window.imports.progress is None)
        offers = [each for each in window.toasts.findChildren(QPushButton) if each.text() == "Fine-tune it…"]
        assert bool(offers) == (topology == "decoder-only"), "what writes text"
    assert any("on story.txt?" in sentence for sentence in window.toasts.sentences)
    offers[0].click()
    assert window.pages.current == "training"
    assert window.training.new_run.data.spec.files == (str(story_file),)
    window.close()


def test_an_imported_classifier_is_not_tuned_on_a_text(
    session: Session, theme: ThemeProvider, byte_tokenizer: Tokenizer, story_file: Path
) -> None:
    window = MainWindow(session, theme)
    window.show()
    for name, head in (("classifier", {"head": "sequence", "n_label": 2}), ("writer", {})):
        folder = session.library.runs / put_model(session.library, byte_tokenizer, "decoder-only", name=name, **head)
        record = json.loads((folder / "run.json").read_text("utf-8"))
        (folder / "run.json").write_text(json.dumps(record | {"status": "imported"}), "utf-8")
        session.runs.changed.emit()
        window.texts.tune_published((str(story_file),))
        assert (window.pages.current == "training") == (name == "writer"), "what writes text"
    window.close()


def test_a_terrarium_file_gets_the_name_that_is_asked_for(
    session: Session, importer: ModelImporter, heard: Heard, tiny_spec: RunSpec, until: Until, tmp_path: Path
) -> None:
    run = RunFolder.open(session.runs.find(trained(session, tiny_spec, until, "decoder-only")).folder)
    file = result_of(pack_run(run, tmp_path / "a run", session.library))
    for name in ("", "mine"):
        assert importer.start(file, name)
        until(lambda: not importer.busy)
    assert not heard.failures
    assert {run.name for run in session.runs.list()} == {"decoder-only", "decoder-only 2", "mine"}


@pytest.mark.parametrize("closes", [False, True])
def test_cancelling_and_closing_end_an_import(
    session: Session,
    theme: ThemeProvider,
    until: Until,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    closes: bool,
) -> None:
    steps: list[str] = []

    def endless(source: Path, library: Library, name: str | None) -> Iterator[Event]:
        try:
            steps.append("begun")
            while True:
                yield Progress(done=0, total=1)
        finally:
            steps.append("ended")

    monkeypatch.setattr("terrarium.models.interop.importing.import_model", endless)
    window = MainWindow(session, theme)
    window.show()
    window.imports.start(tmp_path)
    assert window.imports.progress is not None
    until(lambda: steps == ["begun"])
    if not closes:
        (cancel,) = window.imports.progress.findChildren(QPushButton)
        cancel.click()
        assert window.imports.progress is None
        until(lambda: steps == ["begun", "ended"])
    window.close()
    assert steps == ["begun", "ended"]
