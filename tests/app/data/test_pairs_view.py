"""A dataset of preferences in the data tab: contradicted pairs first, filtered, seen side by side, and exported."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFileDialog
from tokenizers import Tokenizer

from terrarium.app.data.data_tab import DataTab
from terrarium.app.data.dataset_view import DatasetView
from terrarium.app.session.session import Session
from terrarium.models.corpora.corpus import Corpus, Example, build_examples_corpus
from tests.app.heard import Heard, Until
from tests.app.small_models import put_model


def row(i: int, chosen: str, rejected: str, source: str = "person", **more: str) -> Example:
    asked = [{"role": "user", "content": f"Question {i}?"}]
    return {"messages": asked, "chosen": chosen, "rejected": rejected, "source": source, **more}


@pytest.fixture
def corpus(session: Session) -> Corpus:
    rows = [row(i, f"A longer answer {i}, this one.", f"Short {i}.") for i in range(6)]
    rows.append(row(9, "yes", "no"))
    rows.append(row(9, "no", "yes", "simulated"))
    rows.append(row(8, "this or that", "that or this", choice="tie"))
    return build_examples_corpus(session.library, rows, [row(3, "b", "c c c")], "pairs", None, task="preference")


@pytest.fixture
def view(tab: DataTab, corpus: Corpus, session: Session, until: Until) -> DatasetView:
    session.datasets.add(corpus.sha)
    until(lambda: tab.views.current == "dataset")
    view = tab.views.view("dataset")
    assert isinstance(view, DatasetView)
    until(lambda: not view.busy)
    return view


def shown(view: DatasetView, column: int) -> list[str]:
    model = view.pairs.table.model()
    return [str(model.data(model.index(at, column))) for at in range(model.rowCount())]


def test_contradicted_pairs_come_first_and_are_seen_side_by_side(view: DatasetView, until: Until) -> None:
    assert view.pairs.isVisible()
    assert not view.rows.isVisible()
    assert shown(view, 5)[:3] == ["1", "1", "–"], "no model was asked"
    assert shown(view, 3)[:2] == ["you", "simulated"]
    bars = {bar.name: bar for bar in view.pairs.bars.bars}
    assert bars["The longer one wins"].share == pytest.approx(6 / 7)
    assert (bars["Contradicted"].text, bars["Contradicted"].tone) == ("2 of 10", "warning")
    assert (bars["About equal"].text, bars["Almost the same"].text) == ("1 of 10", "1 of 10")
    assert view.pairs.warnings.text() == (
        "1 prompt of validation or test are also in training, so scores on them are too good."
    )
    assert (view.pairs.texts["chosen"].written, view.pairs.texts["rejected"].written) == ("yes", "no")
    assert view.example.count.text() == "1 of 10"
    view.example.step_requested.emit(1)
    until(lambda: not view.busy)
    assert view.pairs.texts["chosen"].written == "no"
    assert view.example.seen is not None
    assert [text.title for text in view.example.seen.texts] == ["The better reply", "The worse reply"]


def test_pairs_are_ordered_searched_and_filtered(view: DatasetView) -> None:
    pairs = view.pairs
    pairs.order.setCurrentIndex(pairs.order.findData("longest"))
    assert shown(view, 4)[0] == "+5"
    pairs.order.setCurrentIndex(pairs.order.findData("alike"))
    assert shown(view, 1)[0] == "this or that"
    assert pairs.titles["chosen"].text() == "One reply"
    pairs.search.setText("question 9")
    assert pairs.count.text() == "2 of 10 pairs"
    pairs.search.clear()
    pairs.source.setCurrentIndex(pairs.source.findData("simulated"))
    assert shown(view, 1) == ["no"]
    header = [
        pairs.table.model().headerData(i, Qt.Orientation.Horizontal, Qt.ItemDataRole.DisplayRole)
        for i in range(pairs.table.model().columnCount())
    ]
    assert header == ["Prompt", "Better reply", "Worse reply", "By", "Longer", "Against"]


def test_they_are_exported_and_what_is_lost_is_said(
    view: DatasetView, tmp_path: Path, heard: Heard, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "out.jsonl"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *args, **kwargs: (str(target), ""))
    menu = view.export.menu()
    assert menu is not None
    next(action for action in menu.actions() if action.text().startswith("OpenAI")).trigger()
    until(lambda: not view.busy)
    assert heard.notices == [
        f"9 pairs written to {target}. Left behind: 1 pair about equal, since this form has no ties. "
        "Not kept: who chose."
    ]
    first = json.loads(target.read_text(encoding="utf-8").splitlines()[0])
    assert first["input"]["messages"] == [{"role": "user", "content": "Question 0?"}]


def test_other_datasets_keep_their_rows(view: DatasetView, session: Session, until: Until) -> None:
    rows = [{"text": f"Letter {n}", "label": "ab"[n % 2]} for n in range(9)]
    letters = build_examples_corpus(
        session.library, rows[:6], rows[6:], "letters", None, task="classification", labels=("a", "b")
    )
    session.datasets.add(letters.sha)
    until(lambda: view.title.text() == "letters" and not view.busy)
    assert view.rows.isVisible()
    assert not view.pairs.isVisible()
    assert view.export.isHidden()


def test_a_model_says_which_pairs_it_doubts(
    view: DatasetView, session: Session, byte_tokenizer: Tokenizer, until: Until, heard: Heard
) -> None:
    run_id = put_model(session.library, byte_tokenizer, "decoder-only", context_length=40)
    session.runs.changed.emit()
    models = view.pairs.models
    models.setCurrentIndex(models.findData(run_id))
    models.activated.emit(models.currentIndex())
    until(lambda: not view.busy and view.pairs.table.model().columnCount() == 7)
    assert heard.failures == []
    header = [view.pairs.table.model().headerData(i, Qt.Orientation.Horizontal) for i in range(7)]
    assert header[5:] == ["Model", "Against"]
    margins = [float(text.replace("−", "-")) for text in shown(view, 5) if text != "–"]
    assert margins == sorted(margins)
    assert shown(view, 5)[-6:] == ["–"] * 6, "those that are longer than the context"
    assert view.pairs.order.currentData() == "doubted"
    assert view.pairs.titles["chosen"].text().startswith("Better, log-probability −")
    agrees = next(bar for bar in view.pairs.bars.bars if bar.name == "The model agrees")
    decided = [
        float(margin.replace("−", "-"))
        for margin, longer in zip(shown(view, 5), shown(view, 4), strict=True)
        if margin != "–" and longer != "tie"
    ]
    assert agrees.share == pytest.approx(sum(margin > 0 for margin in decided) / len(decided))
    assert session.models.uses == (), "it is released"
    models.setCurrentIndex(0)
    models.activated.emit(0)
    assert view.pairs.table.model().columnCount() == 6
