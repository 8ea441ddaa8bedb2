"""The list of datasets: choosing, deleting with undo, who uses one, and Tiny World's ready-made ones."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QPushButton
from pytestqt.qtbot import QtBot
from tokenizers import Tokenizer

from terrarium.app.data import dataset_view
from terrarium.app.data.data_tab import DataTab
from terrarium.app.data.importing import world_tasks
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.session.routes import NewRun
from terrarium.app.session.session import Session
from terrarium.models.chat.template_config import ChatTemplateConfig, write_template_config
from terrarium.models.corpora.corpus import Corpus, build_examples_corpus
from terrarium.models.library.library import Library
from terrarium.models.number_words import format_size
from terrarium.models.settings.run_spec import DataSpec, RunSpec
from terrarium.models.tiny_world.tasks import corpora
from tests.app.heard import Heard
from tests.app.small_models import put_model

Until = Callable[[Callable[[], bool]], None]


@pytest.fixture
def letters(session: Session) -> Corpus:
    """A dataset of 40 letters, ham or spam."""
    rows = [{"text": f"Letter {n} says {n * n}.", "label": "spam" if n % 3 else "ham"} for n in range(40)]
    return build_examples_corpus(
        session.library, rows[:30], rows[30:], "letters", None, task="classification", labels=("ham", "spam")
    )


@pytest.fixture
def listed(tab: DataTab, letters: Corpus, session: Session, until: Until) -> DataTab:
    session.datasets.refresh()
    until(lambda: bool(session.datasets.list()))
    return tab


def test_a_single_button_stands_out(listed: DataTab) -> None:
    importing = listed.views.importing
    listed.views.show_view("import")
    buttons = [each for each in listed.findChildren(QPushButton) if each.isVisible()]
    assert [each for each in buttons if each.property("role") == "primary"] == [importing.open_files]


def test_the_list_says_task_rows_labels_and_size(listed: DataTab, letters: Corpus, until: Until) -> None:
    item = listed.list.item_of(letters.sha)
    assert item is not None
    assert item.detail == "40 rows · Classification", "short enough for the list"
    listed.list.setCurrentRow(0)
    assert listed.views.current == "dataset"
    view = listed.views.view("dataset")
    until(lambda: not view.busy and len(view.rows.records) == 20)
    assert view.title.text() == "letters"
    assert "30 training, 10 validation" in view.facts["Rows"].text()
    assert view.facts["Labels"].text() == "ham, spam"
    assert view.facts["Size"].text() == format_size(letters.n_bytes)
    assert view.facts["Used by"].text() == "no run yet"
    assert view.example.answers.text() == "ham (output 1 of 2)"


def test_what_was_looked_at_last_is_looked_at_after_a_restart(
    listed: DataTab, letters: Corpus, session: Session, theme: ThemeProvider, qtbot: QtBot, until: Until
) -> None:
    build_examples_corpus(session.library, [{"text": "One."}], [{"text": "Two."}], "a first one", None, task="language")
    listed.list.setCurrentRow(0)
    assert session.datasets.sha == letters.sha
    session.remembered.flush()
    later = Session(session.library)
    later.start(warm_up=False)
    tab = DataTab(later, theme)
    qtbot.addWidget(tab)
    tab.show()
    until(lambda: tab.list.count() == 2)
    assert tab.list.current_key == letters.sha
    assert tab.views.current == "dataset"
    tab.views.show_view("import")
    later.datasets.refresh()
    until(lambda: not later.datasets.busy)
    assert tab.views.current == "import", "only once"
    later.close()
    other = Session(session.library)
    other.start(warm_up=False)
    tab = DataTab(other, theme)
    qtbot.addWidget(tab)
    tab.draft.open([str(letters.path("train"))])
    tab.show()
    until(lambda: tab.list.current_key == letters.sha)
    assert tab.views.current == "import", "what one has begun stays in view"
    other.close()


def test_an_import_that_was_asked_for_elsewhere_stays_in_view(
    listed: DataTab, letters: Corpus, session: Session, tmp_path: Path, qtbot: QtBot, until: Until
) -> None:
    table = tmp_path / "table.csv"
    table.write_text("text,label\n" + "".join(f"Review number {n},{'ab'[n % 2]}\n" for n in range(40)))
    listed.activateWindow()
    listed.list.clearFocus()
    session.datasets.choose("")
    listed.open_import([str(table)])
    until(lambda: not listed.busy and listed.draft.task == "classification")
    assert not listed.list.hasFocus(), "when the window is activated again, the list would choose its first dataset"
    assert listed.views.current == "import"


@pytest.mark.parametrize("is_imported", [True, False])
def test_the_example_is_cut_by_the_tokenizer_of_an_imported_model_too(
    listed: DataTab,
    session: Session,
    byte_tokenizer: Tokenizer,
    library: Library,
    until: Until,
    is_imported: bool,
) -> None:
    run_id = put_model(library, byte_tokenizer, "decoder-only", name="SmolLM")
    if is_imported:
        record = library.runs / run_id / "run.json"
        record.write_text(json.dumps(json.loads(record.read_text()) | {"status": "imported"}))
    session.runs.changed.emit()
    listed.list.setCurrentRow(0)
    view = listed.views.view("dataset")
    until(lambda: not view.busy)
    box = view.example.tokenizer
    words = [box.itemText(i) for i in range(box.count())]
    assert ("SmolLM (imported model)" in words) == is_imported
    if is_imported:
        box.setCurrentIndex(words.index("SmolLM (imported model)"))
        box.activated.emit(box.currentIndex())
        until(lambda: not view.busy)
        assert view.example.seen is not None
        assert view.example.note.isHidden()


def test_the_example_is_in_the_chat_format_of_an_imported_model(
    tab: DataTab, session: Session, byte_tokenizer: Tokenizer, library: Library, until: Until
) -> None:
    pair = {"messages": [{"role": "user", "content": "Hi"}], "chosen": "Yo", "rejected": "No"}
    build_examples_corpus(session.library, [pair], [pair], "pairs", None, task="preference")
    folder = library.runs / put_model(library, byte_tokenizer, "decoder-only", name="SmolLM")
    record = folder / "run.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"status": "imported"}))
    lines = "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}</>\n{% endfor %}"
    write_template_config(
        folder, ChatTemplateConfig(template=lines + "{% if add_generation_prompt %}<assistant>{% endif %}")
    )
    session.runs.changed.emit()
    session.datasets.refresh()
    until(lambda: bool(session.datasets.list()))
    tab.list.setCurrentRow(0)
    card, view = tab.views.view("dataset").example, tab.views.view("dataset")
    until(lambda: not view.busy)
    card.tokenizer.setCurrentIndex(card.tokenizer.findText("SmolLM (imported model)"))
    card.tokenizer.activated.emit(card.tokenizer.currentIndex())
    until(lambda: not view.busy and card.seen is not None)
    tokens = card.seen.texts[0].tokens
    assert b"".join(piece.bytes for piece in tokens.pieces) == b"<user>Hi</>\n<assistant>Yo</>\n"
    assert tokens.pieces[min(tokens.predicted)].bytes == b"Y"


def test_delete_is_undone(listed: DataTab, letters: Corpus, session: Session, qtbot: QtBot, until: Until) -> None:
    listed.list.setCurrentRow(0)
    listed.list.setFocus()
    qtbot.keyClick(listed.list, Qt.Key.Key_Delete)
    assert not letters.folder.exists()
    assert listed.list.count() == 0
    assert listed.views.current == "import", "nothing is left to be shown"
    session.undo.show_stack("data")
    assert session.undo.group.undoText() == "deletion of dataset “letters”"
    session.undo.group.undo()
    until(lambda: listed.list.count() == 1)
    assert letters.folder.exists()
    assert session.datasets.sha == letters.sha, "what one looked at is looked at again"
    session.undo.group.redo()
    assert not letters.folder.exists()


def test_a_dataset_in_use_is_said_to_be(
    listed: DataTab, letters: Corpus, session: Session, tiny_spec: RunSpec, until: Until
) -> None:
    from terrarium.models.runs.run_folder import RunFolder
    from terrarium.models.tokenizers import save_tokenizer, train_tokenizer

    save_tokenizer(train_tokenizer([""], "byte", 0), session.library, "bytes", {})
    data = DataSpec(source="dataset", dataset=letters.sha, task="classification", labels=letters.labels)
    RunFolder.create(session.library, dataclasses.replace(tiny_spec, name="my run", data=data), "bytes", letters.sha)
    session.datasets.refresh()
    until(lambda: bool(session.datasets.list()[0].used_by))
    item = listed.list.item_of(letters.sha)
    assert item is not None
    assert item.detail.endswith("used by 1 run")
    listed.list.setCurrentRow(0)
    view = listed.views.view("dataset")
    assert view.facts["Used by"].text() == "1 run: “my run”"
    assert "cannot be resumed" in view.delete.toolTip()


def test_where_it_is_is_said_if_no_file_manager_shows_it(
    listed: DataTab, letters: Corpus, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dataset_view, "reveal", lambda path: False)
    listed.list.setCurrentRow(0)
    listed.views.view("dataset").show_folder.click()
    assert str(letters.folder) in heard.notices[-1]


def test_a_run_on_it_is_asked_for(listed: DataTab, letters: Corpus, session: Session, qtbot: QtBot) -> None:
    listed.list.setCurrentRow(0)
    with qtbot.waitSignal(session.routed) as asked:
        listed.views.view("dataset").train.click()
    assert asked.args == [NewRun(dataset=letters.sha)]


def test_the_tasks_of_tiny_world_are_offered_and_made(
    tab: DataTab, session: Session, monkeypatch: pytest.MonkeyPatch, until: Until
) -> None:
    assert set(world_tasks.WORLD_TASKS) == set(corpora.WORLD_TASKS)
    small = dataclasses.replace(
        corpora.WORLD_TASKS["mood"], sizes={("train", "seen"): 12, ("val", "seen"): 4, ("test", "unseen"): 4}
    )
    monkeypatch.setattr(corpora, "WORLD_TASKS", {**corpora.WORLD_TASKS, "mood": small})
    world = tab.views.importing.world
    world.buttons["mood"].click()
    until(lambda: not world.busy and bool(session.datasets.list()))
    (info,) = session.datasets.list()
    assert info.corpus.task == "classification"
    assert tab.views.current == "dataset"
    assert tab.list.current_key == info.corpus.sha
