"""A new run from a model of the library, on a dataset: modes, what they cost, and the run that comes of it."""

from __future__ import annotations

import dataclasses
import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtWidgets import QLabel
from pytestqt.qtbot import QtBot

from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.new_run.new_run_page import NewRun
from terrarium.app.session.routes import ImportFiles
from terrarium.app.session.session import Session
from terrarium.models.corpora.corpus import Corpus, build_examples_corpus
from terrarium.models.design import total_parameters
from terrarium.models.files.atomic import atomic_write_json, read_json
from terrarium.models.library.run_notes import corrections_name
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.run_spec import DataSpec, TrainConfig
from terrarium.models.settings.tune_spec import TuneSpec
from terrarium.models.tokenizers import train_tokenizer
from tests.app.heard import Heard
from tests.app.small_models import put_model
from tests.models.runs_on_disk import put_run

Until = Callable[[Callable[[], bool]], None]


@pytest.fixture
def parent(session: Session) -> str:
    """The id of a run with a small decoder of bytes."""
    return put_model(session.library, train_tokenizer([""], "byte", 0), "decoder-only")


@pytest.fixture
def dialogues(session: Session) -> Corpus:
    """A dataset of 30 short dialogues."""
    rows = [
        {"messages": [{"role": "user", "content": f"Say {n}."}, {"role": "assistant", "content": f"{n}!"}]}
        for n in range(30)
    ]
    return build_examples_corpus(session.library, rows[:20], rows[20:], "dialogues", None, task="chat")


@pytest.fixture
def form(session: Session, theme: ThemeProvider, parent: str, dialogues: Corpus, qtbot: QtBot, until: Until) -> NewRun:
    form = NewRun(session, theme)
    qtbot.addWidget(form)
    form.resize(1280, 700)
    form.show()
    session.datasets.refresh()
    until(lambda: session.datasets.is_read)
    return form


def words(form: NewRun) -> str:
    return " ".join(label.text() for label in form.choices.start.findChildren(QLabel) if label.isVisible())


def test_a_model_that_learns_corrections_is_named_after_itself(
    form: NewRun, session: Session, parent: str, until: Until
) -> None:
    rows = [{"text": f"Letter {n}.", "label": "spam" if n % 2 else "ham"} for n in range(8)]
    corpus = build_examples_corpus(
        session.library,
        rows[:4],
        rows[4:],
        f"{corrections_name('decoder-only')}, 4 texts",
        None,
        task="classification",
        labels=("ham", "spam"),
    )
    session.datasets.refresh()
    until(lambda: session.datasets.info(corpus.sha) is not None)
    form.choices.start.start_from(parent)
    form.data.set_dataset(corpus.sha)
    assert form.draft.default_name == "decoder-only, corrected"


def test_a_dataset_brings_its_task(form: NewRun, session: Session, dialogues: Corpus) -> None:
    form.data.set_dataset(dialogues.sha)
    data = form.draft.spec().data
    assert (data.source, data.dataset, data.task, data.labels) == ("dataset", dialogues.sha, "chat", ())
    assert form.choices.start.spec is None
    assert form.draft.spec().tune is None
    assert form.draft.default_name.endswith(" on dialogues")
    session.designs.choose("bert-tiny")
    assert form.draft.problem.startswith("Conversations cannot be learned by a model that is encoder-only")


@pytest.fixture
def letters(session: Session) -> Corpus:
    """A dataset of 20 texts with one of three labels each."""
    rows = [{"text": f"Letter {n}", "label": "abc"[n % 3]} for n in range(20)]
    return build_examples_corpus(
        session.library, rows[:15], rows[15:], "letters", None, task="classification", labels=("a", "b", "c")
    )


def choose_letters(form: NewRun, session: Session, letters: Corpus, until: Until) -> None:
    form.data.set_dataset(letters.sha)
    session.datasets.refresh()
    until(lambda: form.data.info is not None and form.data.info.name == "letters")


def test_labels_give_the_model_its_head(form: NewRun, session: Session, letters: Corpus, until: Until) -> None:
    session.designs.choose("bert-tiny")
    choose_letters(form, session, letters, until)
    spec = form.draft.spec()
    assert (spec.data.task, spec.data.labels) == ("classification", ("a", "b", "c"))
    assert (spec.model.head, spec.model.n_label) == ("sequence", 3)
    assert (form.data.metric_box.itemText(1), form.data.metric_box.itemData(1)) == ("Macro F1", "macro_f1")
    until(lambda: form.review.fact("guess") == f"{math.log(3):.3f} nats")
    form.data.source.setCurrentIndex(form.data.source.findData("tiny-world"))
    until(lambda: form.review.fact("guess") == f"{math.log(form.draft.model.vocab_size):.3f} nats")


def test_a_model_from_outside_the_library_is_opened_in_the_form(
    form: NewRun, session: Session, parent: str, until: Until, heard: Heard, tmp_path: Path
) -> None:
    start = form.choices.start
    elsewhere = tmp_path / "from elsewhere"
    shutil.copytree(session.runs.find(parent).folder, elsewhere)
    start.import_from(elsewhere)
    assert start.cancel.isVisible()
    assert not start.open.isEnabled()
    until(lambda: not start.importer.busy)
    assert not heard.failures
    assert (start.name, start.spec is not None) == ("from elsewhere", True)
    assert session.runs.find(start.run_id).status == "imported"
    assert not start.cancel.isVisible()
    start.import_from(tmp_path / "nothing")
    until(lambda: bool(heard.failures))
    assert start.name == "from elsewhere", "the choice stays"


def test_a_small_parent_is_tuned_whole_with_a_sentence_why(form: NewRun, parent: str, until: Until) -> None:
    start = form.choices.start
    assert start.choice.currentText().startswith("From scratch")
    start.start_from(parent)
    assert start.spec == TuneSpec(parent=parent, mode="all")
    assert "LoRA makes it forget more" in words(form)
    assert not form.design.isVisible()
    assert not form.tokenizer.isVisible()
    assert (form.form.config.optimizer, form.form.config.weight_decay) == ("adamw", 0.0)
    total = total_parameters(form.draft.model)
    until(lambda: start.costs["all"][0].text() != "–")
    assert start.costs["all"][0].text() == form.review.fact("trained")
    assert form.review.fact("parameters").startswith(start.costs["all"][0].text()[:2])
    start.form.apply({"mode": "lora", "lora_r": 2})
    assert form.draft.spec().tune == TuneSpec(parent=parent, mode="lora", lora_r=2)
    costs = form.draft.mode_costs(None)
    assert costs["lora"][0] < costs["all"][0] == total
    assert costs["lora"][1] < costs["all"][1]
    start.start_from("")
    assert form.draft.spec().tune is None
    assert form.form.config.optimizer == TrainConfig().optimizer
    assert form.design.isVisible()


def test_of_labels_nothing_is_said_about_new_words(
    form: NewRun, session: Session, parent: str, letters: Corpus, until: Until
) -> None:
    form.choices.start.start_from(parent)
    assert "cannot say new words." in words(form)
    choose_letters(form, session, letters, until)
    assert "LoRA makes it forget more." in words(form)
    assert "new words" not in words(form)
    form.data.source.setCurrentIndex(form.data.source.findData("tiny-world"))
    assert "cannot say new words." in words(form)


def test_a_large_parent_is_tuned_by_lora(form: NewRun, session: Session) -> None:
    put_run(session.library, "large", ModelConfig(vocab_size=261, d_model=256, n_layer=2, n_head=4))
    form.choices.start.reload()
    large = next(info.id for info in session.runs.list() if info.name == "large")
    form.choices.start.start_from(large)
    spec = form.choices.start.spec
    assert spec is not None
    assert spec.mode == "lora"
    assert "so that a large model fits into memory" in words(form)


def test_settings_of_a_tuned_run_fill_the_form(form: NewRun, parent: str, dialogues: Corpus) -> None:
    form.data.set_dataset(dialogues.sha)
    form.choices.start.start_from(parent)
    spec = form.draft.spec()
    tune = TuneSpec(parent=parent, mode="last", n_last=1, old_share=0.25)
    other = dataclasses.replace(spec, name="again", tune=tune, train=dataclasses.replace(spec.train, steps=7, lr=2e-4))
    form.choices.start.start_from("")
    form.set_spec(other)
    assert form.draft.spec() == other


def test_settings_of_a_run_whose_parent_is_gone_say_so(
    form: NewRun, session: Session, parent: str, heard: Heard
) -> None:
    form.choices.start.start_from(parent)
    spec = form.draft.spec()
    form.set_spec(spec)
    assert not heard.notices
    session.runs.delete((parent,))
    form.set_spec(spec)
    assert form.choices.start.spec is None
    assert heard.notices == [
        "The model that this run started from is not in the library, so random weights are chosen: restore it from the "
        "trash, or choose another one."
    ]


def test_it_is_measured_and_trained(
    form: NewRun, session: Session, parent: str, dialogues: Corpus, until: Until, heard: Heard
) -> None:
    form.data.set_dataset(dialogues.sha)
    form.choices.start.start_from(parent)
    form.choices.start.form.apply({"mode": "lora", "lora_r": 2, "train_embeddings": True})
    form.form.apply({"steps": 2, "batch_size": 2, "eval_interval": 2, "eval_batches": 1, "sample_interval": 0})
    until(lambda: form.is_settled)
    form.review.measure.click()
    until(lambda: form.trials.state.cost is not None and not form.trials.state.running)
    measured = form.draft.measured()
    assert measured is not None
    assert measured.ms_per_step is not None
    assert form.review.origin.text() == "measured"
    form.name.setText("tuned")
    form.start.click()
    until(lambda: not session.training.active)
    assert not heard.failures
    info = next(info for info in session.runs.list() if info.name == "tuned")
    run = RunFolder.open(info.folder)
    assert run.spec.tune is not None
    assert run.spec.tune.mode == "lora"
    assert run.lineage["parent"]["run"] == parent
    assert run.made_from("corpus").startswith(dialogues.sha)


def test_a_model_of_a_task_is_offered_rows_of_its_task_and_nothing_is_wrong(
    form: NewRun, session: Session, letters: Corpus, until: Until
) -> None:
    labels = "a", "b", "c"
    tokenizer = train_tokenizer([""], "byte", 0)
    model = put_model(session.library, tokenizer, "decoder-only", name="sorter", head="sequence", n_label=3)
    data = DataSpec(source="dataset", dataset=letters.label, task="classification", labels=labels)
    record = read_json(session.library.runs / model / "run.json")
    record["spec"]["data"] = dataclasses.asdict(data)
    atomic_write_json(session.library.runs / model / "run.json", record)
    session.runs.changed.emit()
    form.show_tuning(model)
    session.datasets.refresh()
    until(lambda: form.data.info is not None and form.is_settled)
    assert form.data.info is not None
    assert form.data.info.name == "letters"
    shown = " ".join(label.text() for label in form.data.findChildren(QLabel))
    assert "The model has learned these rows already." in shown
    assert form.draft.problem == ""
    assert "changed" not in form.choices.start.form.more.text()
    assert form.data.metric_box.width() >= form.data.metric_box.sizeHint().width()
    rows = [{"text": f"Vowel {n}", "label": "abc"[n % 3]} for n in range(20)]
    build_examples_corpus(session.library, rows[:15], rows[15:], "vowels", None, task="classification", labels=labels)
    session.datasets.refresh()
    until(lambda: form.data.info is not None and form.data.info.name == "vowels")
    assert "learned these rows" not in " ".join(label.text() for label in form.data.findChildren(QLabel))


def test_a_text_that_is_still_to_be_chosen_is_no_error(form: NewRun, parent: str, until: Until) -> None:
    form.show_tuning(parent)
    until(lambda: form.is_settled)
    assert form.review.problem.text().startswith("Choose at least one text file")
    assert form.review.problem.property("role") == "muted"


def test_training_on_a_dataset_keeps_the_model_that_is_being_set_up(
    form: NewRun, session: Session, parent: str, dialogues: Corpus, until: Until
) -> None:
    form.show_tuning(parent)
    form.learn_from(dialogues.sha)
    until(lambda: form.is_settled)
    assert (form.choices.start.run_id, form.draft.problem) == (parent, "")
    assert form.draft.spec().data.dataset == dialogues.sha
    encoder = put_model(session.library, train_tokenizer([""], "byte", 0), "encoder-only", name="encoder")
    session.runs.changed.emit()
    form.show_tuning(encoder)
    form.learn_from(dialogues.sha)
    until(lambda: form.is_settled)
    assert form.choices.start.run_id == encoder
    assert form.draft.problem.startswith("Conversations cannot be learned by a model that is encoder-only")
    form.begin()
    form.learn_from(dialogues.sha)
    assert form.choices.start.run_id == "", "nothing was being fine-tuned"


def test_of_the_datasets_one_that_suits_the_model_is_proposed(
    form: NewRun, session: Session, parent: str, letters: Corpus, until: Until
) -> None:
    encoder = put_model(session.library, train_tokenizer([""], "byte", 0), "encoder-only", name="encoder")
    session.runs.changed.emit()
    session.datasets.refresh()
    until(lambda: len(session.datasets.list()) == 2)
    for model, name in ((encoder, "letters"), (parent, "dialogues")):
        form.show_tuning(model)
        form.data.source.setCurrentIndex(form.data.source.findData("dataset"))
        assert form.data.info is not None
        assert form.data.info.name == name
    form.data.dataset.setCurrentIndex(form.data.dataset.findData(letters.sha))
    form.data.dataset.activated.emit(form.data.dataset.currentIndex())
    session.designs.choose("bert-tiny")
    session.datasets.refresh()
    until(lambda: not session.datasets.busy)
    assert form.data.dataset.currentData() == letters.sha, "what the user has chosen stays"


def test_a_mode_that_would_train_nothing_is_not_offered(form: NewRun) -> None:
    start = form.choices.start
    start.show_costs({"all": (10, 10), "last": (5, 5), "head": (0, 5), "lora": (2, 5)})
    assert start.costs["head"][0].isHidden()
    assert not start.costs["lora"][0].isHidden()
    start.show_costs({"head": (3, 5)})
    assert not start.costs["head"][0].isHidden()


def test_rows_that_are_chosen_as_texts_are_offered_as_a_dataset(
    form: NewRun, session: Session, text_file: Path, tmp_path: Path, qtbot: QtBot
) -> None:
    chats = tmp_path / "chats.jsonl"
    turns = [{"role": "user", "content": "Hi."}, {"role": "assistant", "content": "Hello!"}]
    chats.write_text("".join(json.dumps({"messages": turns}) + "\n" for _ in range(30)))
    form.data.set_files((str(text_file),))
    assert form.data.import_rows.isHidden()
    form.data.set_files((str(chats),))
    assert "These are rows, not running text (conversations)" in " ".join(
        label.text() for label in form.data.findChildren(QLabel) if not label.isHidden()
    )
    with qtbot.waitSignal(session.routed) as asked:
        form.data.import_rows.click()
    assert asked.args == [ImportFiles((str(chats),))]
    form.data.set_files((str(text_file),))
    assert form.data.import_rows.isHidden()
