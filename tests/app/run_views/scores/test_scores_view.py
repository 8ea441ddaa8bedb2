"""The scores view, clicked through with a run that really learned: evaluated, filtered, compared, an example opened."""

from __future__ import annotations

import dataclasses
import json
import random
import re
import shutil
from pathlib import Path

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QScrollArea, QWidget
from pytestqt.qtbot import QtBot
from tokenizers import Tokenizer

from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.run.run_view import RunView
from terrarium.app.run_views.scores.comparison import distinct_names
from terrarium.app.run_views.scores.prediction_rows import format_answer
from terrarium.app.run_views.scores.scores_view import ScoresView
from terrarium.app.run_views.scores.summary import describe_lead
from terrarium.app.session.life import Life
from terrarium.app.session.routes import OpenExample, ShowPlace
from terrarium.app.session.session import Session
from terrarium.app.session.training_state import TrainingState
from terrarium.models.corpora.corpus import list_corpora
from terrarium.models.evaluation.record import Forgetting, write_comparison, write_evaluation, write_forgetting
from terrarium.models.evaluation.text_verdict import sentence_of
from terrarium.models.events import Evaluated, KindAccuracy, KnowledgeMeasured, KnownFigure, TextCompared, result_of
from terrarium.models.interop.importing import import_model
from terrarium.models.library.library import Library, RunInfo
from terrarium.models.metrics.report import Report, Score
from terrarium.models.metrics.texts import score_texts
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.tasks.predicting import Prediction
from terrarium.models.tasks.scoring import Evaluation, TaskRows, write_scores
from terrarium.models.tasks.stored_scores import StoredScores, list_scores
from tests.app.heard import Heard, Until
from tests.app.small_models import put_model
from tests.models.tasks.small_tasks import make_row


@pytest.fixture
def library(learned_library: Library) -> Library:
    return learned_library


@pytest.fixture
def run_view(session: Session, theme: ThemeProvider, qtbot: QtBot) -> RunView:
    view = RunView(session, theme)
    theme.apply_theme(view)
    qtbot.addWidget(view)
    view.resize(1000, 600)
    view.show()
    return view


def runs(session: Session, task: str) -> list[str]:
    """Their ids, the one that was trained longest first."""
    found = [run for run in session.runs.list() if run.name.startswith(task)]
    return [run.id for run in sorted(found, key=lambda run: -run.step)]


def opened(run_view: RunView, run_id: str, until: Until) -> ScoresView:
    run_view.show_run(run_id)
    run_view.views.show_view("scores")
    view: ScoresView = run_view.views.view("scores")
    until(lambda: not view.busy)
    return view


def evaluated(run_view: RunView, run_id: str, until: Until, qtbot: QtBot) -> ScoresView:
    view = opened(run_view, run_id, until)
    qtbot.mouseClick(view.evaluate, Qt.MouseButton.LeftButton)
    until(lambda: view.found is not None and not view.busy)
    return view


def with_checkpoint(session: Session, run_id: str, step: int) -> RunFolder:
    """The run, with one checkpoint more: its last one as that of `step`."""
    run = RunFolder.open(session.runs.find(run_id).folder)
    last = run.latest_checkpoint()
    assert last is not None
    shutil.copytree(last, run.checkpoint_path(step))
    about = run.checkpoint_path(step) / "state.json"
    about.write_text(json.dumps(json.loads(about.read_text(encoding="utf-8")) | {"step": step}), encoding="utf-8")
    return run


def test_a_run_is_evaluated_and_shown(
    run_view: RunView, session: Session, until: Until, qtbot: QtBot, heard: Heard
) -> None:
    best, weak = runs(session, "classification")
    view = opened(run_view, best, until)
    assert view.found is None
    assert view.evaluate.text() == "Evaluate"
    assert {view.data.itemText(i) for i in range(view.data.count())}.isdisjoint(
        corpus.sha for corpus in list_corpora(session.library)
    ), "datasets have names"
    view = evaluated(run_view, best, until, qtbot)
    assert view.found is not None
    assert view.found.step == view.checkpoints.currentData() == 40
    assert view.evaluate.text() == "Evaluate again"
    summary = view.parts.summary
    assert summary.headline.number.text().startswith(f"{100 * (view.found.report.value or 0):.1f}")
    assert summary.headline.split.text() == "on test rows"
    assert [bar.name for bar in summary.headline.baselines.bars][:1] == ["This model"]
    assert {bar.name for bar in summary.headline.baselines.bars[1:]} == {"Naive Bayes", "Most frequent label"}
    assert summary.headline.baselines.bars[0].interval is not None
    assert [row[0] for row in summary.figures.texts()][:3] == ["angry", "glad", "sad"]
    assert summary.confusion.picture is not None
    assert summary.confusion.picture.values.shape == (3, 3)
    summary.confusion.set_spot((0, 0))
    assert "true: angry" in summary.confusion.accessibleDescription()
    summary.calibration.show_point(9)
    assert "sure" in summary.calibration.accessibleDescription()
    view.grab()
    other = opened(run_view, weak, until)
    assert other.found is None, "each run has scores of its own"
    again = opened(run_view, best, until)
    assert again.found is not None, "they are kept with the run"
    assert not heard.failures


@pytest.mark.parametrize(("best", "words"), [(0.5, "better"), (0.7, "worse"), (0.6, "No better")])
def test_the_lead_over_the_best_rule_is_a_number(best: float, words: str) -> None:
    model, rule = (Report(headline="accuracy", n=10, scores={"accuracy": Score(value=value)}) for value in (0.6, best))
    found = StoredScores(
        name="a",
        task="classification",
        step=1,
        labels=(),
        report=model,
        baselines={"Naive Bayes": rule},
        groups={},
        rows=(),
    )
    lead = describe_lead(found)
    assert lead.startswith("No better than" if words == "No better" else f"10.0 points {words} than “Naive Bayes”")


def test_code_is_shown_without_the_indentation_that_all_its_lines_have() -> None:
    assert format_answer("text-to-text", {}, "    if n:\n        return 1\n") == "if n:\n    return 1"


def test_the_checkpoint_named_is_the_one_whose_scores_are_shown(
    run_view: RunView, session: Session, until: Until, qtbot: QtBot
) -> None:
    first, second = runs(session, "classification")
    with_checkpoint(session, first, 20).update(best_step=20)
    with_checkpoint(session, second, 40)
    view = opened(run_view, first, until)
    best = view.checkpoints.itemData(0)
    assert view.checkpoints.itemText(0).endswith("(best)")
    evaluated(run_view, first, until, qtbot)
    view.checkpoints.setCurrentIndex(1)
    opened(run_view, second, until)
    assert view.checkpoints.currentIndex() == 0, "nothing of it was chosen yet"
    view = opened(run_view, first, until)
    assert view.found is not None
    assert view.found.step == view.checkpoints.currentData() == best


def test_the_best_model_of_a_task_is_tried(session: Session, until: Until) -> None:
    run = RunFolder.open(session.runs.find(runs(session, "classification")[0]).folder)
    with_checkpoint(session, run.id, 20).update(best_step=20)
    assert session.use_model(run.id)
    until(lambda: session.chat.model is not None and session.chat.state == "ready")
    assert session.chat.model is not None
    assert session.chat.model.step == 20, "although its last is of step 40"


def test_the_page_of_a_run_says_its_validation_score_and_leads_to_the_scores(
    run_view: RunView, session: Session, until: Until, qtbot: QtBot
) -> None:
    run_id, _ = runs(session, "classification")
    list(session.runs.index.measure())
    run_view.show_run(run_id)
    head = run_view.head
    run_view.resize(1000, 700)
    run_view.show()
    buttons = head.chat.mapTo(run_view, QPoint()).y()
    head.show_live(
        TrainingState(name="it learns", life=Life(status="running"), run_id=run_id, step=1, total_steps=9), "none"
    )
    qtbot.wait_until(lambda: not head.scores.isEnabled())
    assert head.chat.mapTo(run_view, QPoint()).y() == buttons, "nothing moves when the score arrives"
    head.show_resting(session.runs.find(run_id))
    assert head.note.text().endswith(" on its validation rows, at its best.")
    assert re.match(r"\w.* \d[\d.]*\s%", head.note.text())
    assert run_view.views.current != "scores"
    qtbot.mouseClick(head.scores, Qt.MouseButton.LeftButton)
    assert run_view.views.current == "scores"


def test_an_imported_model_is_scored_on_a_dataset(
    run_view: RunView, session: Session, library: Library, until: Until, qtbot: QtBot, heard: Heard
) -> None:
    trained = session.runs.find(runs(session, "classification")[0])
    imported = result_of(import_model(trained.folder, library, name="from elsewhere"))
    view = opened(run_view, imported.id, until)
    assert run_view.views.current == "scores"
    assert view.words.startswith("Not evaluated yet")
    assert view.data.isVisibleTo(view)
    assert not view.checkpoints.isVisibleTo(view), "it has one only"
    qtbot.mouseClick(view.evaluate, Qt.MouseButton.LeftButton)
    until(lambda: view.found is not None and not view.busy)
    assert view.found is not None
    assert view.found.report.value is not None
    assert view.found.report.value > 0.9, "it knows what its outputs stand for"
    assert not heard.failures


def test_a_model_that_writes_is_scored_on_any_texts(
    run_view: RunView, session: Session, library: Library, byte_tokenizer: Tokenizer, until: Until, qtbot: QtBot
) -> None:
    base = put_model(library, byte_tokenizer, "decoder-only", context_length=128)
    view = opened(run_view, base, until)
    offered = [view.data.itemText(i) for i in range(view.data.count())]
    assert offered == [corpus.label for corpus in list_corpora(library) if corpus.task == "text-to-text"]
    qtbot.mouseClick(view.evaluate, Qt.MouseButton.LeftButton)
    until(lambda: not view.busy)
    assert view.found is not None, view.evaluator.problem
    assert {"chrf2", "exact_match"} <= view.found.report.scores.keys()
    for corpus in list_corpora(library):
        if corpus.task == "text-to-text":
            shutil.rmtree(corpus.folder)
    opened(run_view, runs(session, "classification")[0], until)
    assert opened(run_view, base, until).found is not None, "its scores stay"
    for path in list_scores(session.runs.find(base).folder):
        path.unlink()
    opened(run_view, runs(session, "classification")[0], until)
    view = opened(run_view, base, until)
    assert "Its own data has no right answers to count" in view.words
    with qtbot.waitSignal(session.routed) as asked:
        view.bring.click()
    assert asked.args == [ShowPlace("data")]
    kinds = (KindAccuracy(kind="knowledge", n=100, accuracy=0.98, most_frequent=0.1),)
    write_evaluation(session.runs.find(base).folder, Evaluated(accuracy=0.98, kinds=kinds, seconds=1.0))
    opened(run_view, runs(session, "classification")[0], until)
    words = opened(run_view, base, until).words
    assert "98 of 100 questions" in words
    assert "as the mean of Facts\N{NO-BREAK SPACE}98\N{NO-BREAK SPACE}%. To score" in words
    tables = TextCompared(n_held_out=90_000, n_train=900_000, gzip=2.6, trigram=2.9, table=2.0, table_order=7)
    compared = dataclasses.replace(tables, model=1.9, step=3)
    write_comparison(session.runs.find(base).folder, compared)
    opened(run_view, runs(session, "classification")[0], until)
    view = opened(run_view, base, until)
    assert not view.words, "what was measured is shown"
    assert view.comparison.isVisible()
    assert view.comparison.sentence.text() == sentence_of(compared)
    assert [bar.text for bar in view.comparison.bars.bars] == ["1.90", "2.00", "2.60", "2.90"]
    encoder = put_model(library, byte_tokenizer, "encoder-only")
    assert "no task to be scored" in opened(run_view, encoder, until).words


def test_predictions_are_searched_and_filtered_and_one_is_opened(
    run_view: RunView, session: Session, until: Until, qtbot: QtBot
) -> None:
    weak = runs(session, "classification")[1]
    view = evaluated(run_view, weak, until, qtbot)
    assert view.found is not None
    view.parts.show_view("predictions")
    page, table = view.parts.predictions, view.parts.predictions.table
    rows = [each.scored for each in table.records]
    assert len(rows) == 60
    assert [row.item_score for row in rows] == sorted(row.item_score for row in rows), "the worst first"
    page.wrong.click()
    wrong = sum(not row.is_right for row in view.found.rows)
    assert 0 < len(table.records) == wrong < 60
    assert page.count.text() == f"{wrong} of 60 rows"
    label = page.labels.itemData(1)
    page.labels.setCurrentIndex(1)
    assert {each.scored.gold for each in table.records} <= {label}
    page.labels.setCurrentIndex(0)
    page.search.setText("no such text")
    assert len(table.records) == 0
    assert not page.detail.open.isEnabled()
    page.search.clear()
    assert page.chosen is not None
    assert page.detail.values["Text"].text() == page.chosen.row["text"]
    with qtbot.waitSignal(session.routed) as asked:
        qtbot.mouseClick(page.detail.open, Qt.MouseButton.LeftButton)
    assert asked.args == [OpenExample(weak, view.found.step, page.chosen.row)]


def test_predictions_need_no_scrolling_in_a_small_window_and_end_below_a_whole_row(
    run_view: RunView, session: Session, until: Until, qtbot: QtBot
) -> None:
    run_view.resize(980, 574)  # in a window of 1280 × 720
    view = evaluated(run_view, runs(session, "classification")[0], until, qtbot)
    view.parts.show_view("predictions")
    page = view.parts.predictions
    until(lambda: page.table.viewport().height() % page.table.rowHeight(0) == 0)
    assert page.table.viewport().height() >= 3 * page.table.rowHeight(0)
    around: QWidget | None = page
    while around is not None and not isinstance(around, QScrollArea):
        around = around.parentWidget()
    assert isinstance(around, QScrollArea)
    assert around.verticalScrollBar().maximum() == 0


def test_two_runs_are_compared(run_view: RunView, session: Session, until: Until, qtbot: QtBot) -> None:
    best, weak = runs(session, "classification")
    view = evaluated(run_view, weak, until, qtbot)
    view.parts.show_view("comparison")
    assert view.parts.comparison.result is None, "there is none to compare with"
    view = evaluated(run_view, best, until, qtbot)
    page = view.parts.comparison
    until(lambda: page.result is not None)
    assert page.result is not None
    assert page.result.difference > 0
    assert "is better than" in page.sentence.text()
    assert "95 % interval" in page.detail.text()
    assert sum(int(row[1]) for row in page.counts.texts()) == 60
    [path] = list_scores(session.runs.find(weak).folder)
    lines = path.with_suffix(".jsonl").read_text("utf-8").splitlines()
    first = json.loads(lines[0])
    first["row"]["text"] = "something else"
    path.with_suffix(".jsonl").write_text("\n".join([json.dumps(first), *lines[1:]]), "utf-8")
    page.metrics.setCurrentIndex(page.metrics.findData("accuracy"))
    until(lambda: page.result is None)


def test_two_runs_of_one_name_are_told_apart(run_view: RunView, session: Session, until: Until, qtbot: QtBot) -> None:
    best, weak = runs(session, "classification")
    for run_id in (best, weak):
        session.runs.rename(run_id, "twin")
    evaluated(run_view, weak, until, qtbot)
    page = evaluated(run_view, best, until, qtbot).parts.comparison
    until(lambda: page.result is not None)
    better, worse = re.findall("“(.*?)”", page.sentence.text())
    assert better != worse
    assert better.startswith("twin (")
    assert worse == page.others.currentText()
    assert [bar.name for bar in page.bars.bars] == [better, worse]


def test_only_runs_of_one_name_are_given_a_date_or_else_an_id() -> None:
    def info(name: str, run_id: str, created: str) -> RunInfo:
        folder = Path(run_id)
        return RunInfo(id=run_id, name=name, folder=folder, status="finished", created=created, step=1, total_steps=1)

    early, late = "2020-05-01T10:00:00", "2020-05-02T10:00:00"
    other = info("other", "c", early)
    assert distinct_names([info("twin", "a", early), info("twin", "b", late), other]) == [
        "twin (1 May 2020, 10:00)",
        "twin (2 May 2020, 10:00)",
        "other",
    ]
    assert distinct_names([info("twin", "a", early), info("twin", "b", early), other]) == [
        "twin (a)",
        "twin (b)",
        "other",
    ]


def test_names_have_a_table_of_types(run_view: RunView, session: Session, until: Until, qtbot: QtBot) -> None:
    [run] = runs(session, "tagging")
    knew = (KnownFigure(kind="state", value=0.96, n=20), KnownFigure(kind="loss", value=1.25, n=20))
    knows = (KnownFigure(kind="state", value=0.5, n=20), KnownFigure(kind="loss", value=1.5, n=20))
    before = KnowledgeMeasured(step=0, corpus="Tiny World 0", figures=knew, seconds=1.0)
    after = KnowledgeMeasured(step=30, corpus="Tiny World 0", figures=knows, seconds=1.0)
    write_forgetting(session.runs.find(run).folder, Forgetting(before=before, after=after))
    view = evaluated(run_view, run, until, qtbot)
    summary = view.parts.summary
    assert [row[0] for row in summary.figures.texts()] == ["LOC", "PER", "All together"]
    assert summary.lenient.texts()[0][0] == "Words and type"
    changes = {row[0]: row[-1] for row in summary.forgotten.texts()}
    assert changes == {"What changed?": "−46.0 points", "Loss (nats per token)": "+0.250"}
    assert not summary.confusion.isVisibleTo(summary)


def test_an_evaluation_can_be_cancelled(
    run_view: RunView, session: Session, until: Until, qtbot: QtBot, heard: Heard
) -> None:
    view = opened(run_view, runs(session, "classification")[0], until)
    qtbot.mouseClick(view.evaluate, Qt.MouseButton.LeftButton)
    assert view.evaluator.busy
    assert not view.evaluate.isEnabled()
    qtbot.mouseClick(view.cancel, Qt.MouseButton.LeftButton)
    until(lambda: not view.busy)
    assert view.found is None
    assert view.evaluate.isEnabled()
    assert not heard.failures


def test_damaged_scores_are_one_sentence(run_view: RunView, session: Session, until: Until, qtbot: QtBot) -> None:
    run, other = runs(session, "classification")
    evaluated(run_view, run, until, qtbot)
    [path] = list_scores(session.runs.find(run).folder)
    path.write_text("{}", "utf-8")
    opened(run_view, other, until)
    view = opened(run_view, run, until)
    assert view.found is None
    assert "Evaluate again" in view.words
    assert view.evaluate.isEnabled()


def test_damaged_answers_to_other_questions_hide_no_scores(
    run_view: RunView, session: Session, until: Until, qtbot: QtBot
) -> None:
    run, other = runs(session, "classification")
    evaluated(run_view, run, until, qtbot)
    (session.runs.find(run).folder / "evaluation.json").write_text("{", "utf-8")
    opened(run_view, other, until)
    assert opened(run_view, run, until).found is not None


def test_scores_of_text_have_signatures_to_copy(
    run_view: RunView, session: Session, library: Library, until: Until, qtbot: QtBot
) -> None:
    rows = [make_row("text-to-text", random.Random(i)) for i in range(6)]
    gold = [row["target"] for row in rows]
    report = score_texts([row["source"] for row in rows], gold, gold)
    data = TaskRows(name="reversed", task="text-to-text", metric="", rows=rows)
    found = Evaluation(data=data, predictions=[Prediction(value=text) for text in gold], report=report)
    write_scores(session.runs.find(runs(session, "classification")[0]).folder, found)
    view = opened(run_view, runs(session, "classification")[0], until)
    signatures = view.parts.summary.signatures
    assert signatures.isVisibleTo(view)
    qtbot.mouseClick(signatures.copy, Qt.MouseButton.LeftButton)
    assert "chrF2: nrefs:1|case:mixed" in QGuiApplication.clipboard().text()
