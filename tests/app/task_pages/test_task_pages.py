"""The pages for what a model learned from a dataset: chosen by its head, and answered as one types."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
from PySide6.QtCore import QPointF, Qt
from pytestqt.qtbot import QtBot
from tokenizers import Tokenizer

from terrarium.app.chat.chat_tab import ChatTab
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.session.remembered import EVERYTHING, SIMPLE
from terrarium.app.session.routes import DoToRun, NewRun, Route
from terrarium.app.session.session import Session
from terrarium.app.task_pages.code_page import CodePage, judge_cases
from terrarium.app.task_pages.entity_page import EntityPage, spans_of
from terrarium.app.task_pages.label_page import LabelPage
from terrarium.app.task_pages.span_page import SpanPage
from terrarium.app.task_pages.task_page import qt_position
from terrarium.app.task_pages.task_questions import answer_row
from terrarium.app.task_pages.text_to_text import TextToText
from terrarium.models.architecture.transformer import build_model
from terrarium.models.corpora.corpus import open_corpus, open_run_corpus
from terrarium.models.interop.loading import load_model
from terrarium.models.library.library import Library
from terrarium.models.number_words import format_prob
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.presets import PRESETS
from terrarium.models.tasks import code_judge
from terrarium.models.tasks.code_judge import Outcome
from terrarium.models.tokenizers.special_tokens import add_missing_special_tokens
from tests.app.heard import Heard, Told, Until
from tests.models.training.support import make_run, train


@pytest.fixture
def library(learned_library: Library) -> Library:
    return learned_library


@pytest.fixture
def tab(session: Session, theme: ThemeProvider, qtbot: QtBot) -> ChatTab:
    tab = ChatTab(session, theme)
    theme.apply_theme(tab)
    qtbot.addWidget(tab)
    tab.resize(1280, 700)
    tab.show()
    return tab


def opened(tab: ChatTab, session: Session, name: str, until: Until, row: dict[str, Any] | None = None) -> Any:
    """The page that is shown for a run's model, with a row of data if there is one."""
    run = next(run for run in session.runs.list() if run.name == name)
    if row is None:
        assert session.chat.open(run.id)
    else:
        assert session.examples.ask(run.id, run.step, row)
    until(lambda: session.chat.model is not None and session.chat.model.name == name and session.chat.state == "ready")
    page = tab.modes.pages.page(tab.modes.current)
    until(lambda: not getattr(page, "busy", False))
    return page


def offered(tab: ChatTab) -> list[str]:
    return [name for i, name in enumerate(tab.modes.names) if tab.modes.bar.isTabVisible(i)]


def test_another_kind_of_model_is_used_on_its_own_page(tab: ChatTab, session: Session, until: Until) -> None:
    config = ModelConfig(vocab_size=261, context_length=32, n_layer=1, n_head=2, d_model=16)
    run = make_run(session.library, config, steps=1)
    train(run, session.library)
    opened(tab, session, "classification encoder-only", until)
    opened(tab, session, run.name, until)
    assert tab.modes.current == "chat", "and not what both kinds have"
    tab.modes.show_view("embeddings")
    opened(tab, session, "text-to-text decoder-only", until)
    opened(tab, session, run.name, until)
    assert tab.modes.current == "chat"


def test_labels_follow_as_one_types(
    tab: ChatTab, session: Session, until: Until, qtbot: QtBot, heard: Heard, told: Told
) -> None:
    page = opened(tab, session, "classification encoder-only", until)
    assert isinstance(page, LabelPage)
    assert offered(tab) == ["labels", "pairs", "embeddings"], "no masks, and nothing to talk to"
    assert page.verdict.text() == ""
    qtbot.keyClicks(page.text, "anna smiles")
    until(lambda: page.answered is not None and page.verdict.text() == "glad")
    until(lambda: (f"glad, {page.sure.text()}", False) in told)
    assert [bar.name for bar in page.bars.bars] == ["angry", "glad", "sad"], "in their places"
    assert sum(bar.share or 0 for bar in page.bars.bars) == pytest.approx(1, abs=1e-3)
    assert tab.focus.text is not None
    assert "smiles" in "".join(tab.focus.text.words)
    page.text.clear()
    assert page.answered is None
    assert page.verdict.text() == ""
    page.grab()
    assert not heard.failures


def test_a_row_is_opened_in_the_glass_box(tab: ChatTab, session: Session, until: Until) -> None:
    tab.resize(1500, 800)
    opened(tab, session, "classification encoder-only", until, {"text": "anna smiles", "label": "glad"})
    assert tab.side.current == "inputs"
    until(lambda: not tab.side.view("inputs").message)
    tab.side.show_view("layers")
    until(lambda: "predicts no tokens" in tab.side.view("layers").message)
    opened(tab, session, "text-to-text decoder-only", until, {"source": "def f(x):", "target": "    return x"})
    assert tab.side.current == "layers", "what was chosen stays"
    page = tab.modes.pages.page("code")
    assert isinstance(page, CodePage)
    until(lambda: bool(page.function.text) and not page.busy)
    assert not page.problem.isVisible(), "nobody asked for cases to be run"


def inspected(tab: ChatTab, name: str, until: Until) -> Any:
    """A panel of the glass box that has measured all it can."""
    tab.side.show_view(name)
    panel: Any = tab.side.view(name)
    measuring = panel.measuring if name == "inputs" else panel.survey.measuring
    until(lambda: not panel.message and not panel.examiner.busy and not measuring.busy)
    return panel


@pytest.mark.parametrize(
    ("name", "row", "word"),
    [
        ("classification encoder-only", {"text": "anna smiles", "label": "glad"}, "smiles"),
        ("multi-label encoder-only", {"text": "anna smiles in rome", "labels": []}, ""),
        ("tagging encoder-only", {"words": ["anna", "took", "key"], "tags": ["O"] * 3}, ""),
        ("span encoder-only", {"question": "what has ben ?", "context": "anna has key and ben has lamp"}, ""),
    ],
)
def test_why_a_label_was_given(
    name: str, row: dict[str, Any], word: str, tab: ChatTab, session: Session, until: Until, heard: Heard
) -> None:
    tab.resize(1500, 800)
    page = opened(tab, session, name, until, row)
    until(lambda: page.answered is not None)
    assert tab.side.current == "inputs", "which words decide it is what one asks first"
    inputs = inspected(tab, "inputs", until)
    assert inputs.changes, "all words were hidden by themselves, one by one"
    assert inputs.sentence.text().startswith(("Without ", "No single token"))
    if word:
        texts = tab.focus.text.source_words or tab.focus.text.words
        worst = min(inputs.changes, key=inputs.changes.__getitem__)
        assert word in texts[worst.position]
        assert "glad" in inputs.sentence.text()
    off = inspected(tab, "ablation", until)
    assert off.survey.found
    assert not off.generate_button.isVisible(), "it writes nothing"
    part = next(iter(off.survey.found))
    off.survey.grid.chosen.emit(part)
    until(lambda: "With these changes" in off.sentence.text())
    assert not heard.failures


def test_the_first_entity_is_shown_also_after_a_word_without_a_token(library: Library) -> None:
    run = RunFolder.open(library.find_run("tagging encoder-only"))
    model, tokenizer = load_model(run.folder)
    assert tokenizer is not None
    labels = open_run_corpus(library, run).labels
    row = {"words": ["", "anna", "of", "rome", "took", "key", "to", "oslo"], "tags": ["O"] * 8}
    answered = answer_row(model, tokenizer, "tagging", row, labels)
    assert answered.prediction.value[:2] == ["O", "B-PER"]
    assert answered.read is not None
    text = answered.read(0)
    assert text.start is not None
    assert text.words[text.start].strip("·") == "anna"


def test_the_tag_of_any_word_can_be_asked_about(tab: ChatTab, session: Session, until: Until) -> None:
    tab.resize(1500, 800)
    row = {"words": ["took", "anna", "to", "oslo"], "tags": ["O"] * 4}
    page = opened(tab, session, "tagging encoder-only", until, row)
    inputs = inspected(tab, "inputs", until)
    for word, tag in zip(row["words"], page.answered.prediction.value, strict=True):
        text = tab.focus.text
        index = next(i for i, token in enumerate(text.words) if token.strip("·") == word)
        inputs.tokens.chosen.emit(index)
        inputs = inspected(tab, "inputs", until)
        assert inputs.opening.text().startswith(f"This is about “{word}”.")
        assert tag in inputs.sentence.text()
    assert inspected(tab, "ablation", until).opening.text() == "This is about “oslo”."


@pytest.mark.parametrize(
    ("name", "row", "label"),
    [
        ("classification encoder-only", {"text": "anna smiles", "label": "glad"}, "sad"),
        ("multi-label encoder-only", {"text": "anna smiles in rome", "labels": []}, "angry"),
        ("tagging encoder-only", {"words": ["anna", "took", "key"], "tags": ["O"] * 3}, "B-LOC"),
    ],
)
def test_why_another_label_was_not_given(
    name: str, row: dict[str, Any], label: str, tab: ChatTab, session: Session, until: Until, heard: Heard
) -> None:
    tab.resize(1500, 800)
    page = opened(tab, session, name, until, row)
    inputs = inspected(tab, "inputs", until)
    given = inputs.sentence.text()
    model = session.chat.model
    assert model is not None
    choice = inputs.label_choice.combo
    assert [choice.itemText(i) for i in range(1, choice.count())] == list(model.labels)
    index = choice.findText(label)
    choice.setCurrentIndex(index)
    choice.activated.emit(index)
    inputs = inspected(tab, "inputs", until)
    until(lambda: label in inputs.sentence.text() and not inputs.measuring.busy)
    assert inputs.sentence.text() != given
    if name.startswith(("classification", "multi")):
        p = page.answered.prediction.probabilities[label]
        off = inspected(tab, "ablation", until)
        assert off.label_choice.combo.currentText() == label, "the panels ask about the same one"
        assert f"Probability of “{label}”: {format_prob(p)}" in off.result.text()
        page.text.set_text("ben smiles")
        until(lambda: not page.busy and "ben" in "".join(tab.focus.text.words) and not off.message)
        assert off.label_choice.combo.currentText() == label, "and go on so while one edits the text"
    opened(tab, session, "span encoder-only", until, {"question": "what has ben ?", "context": "ben has lamp"})
    assert not inputs.label_choice.isVisibleTo(inputs), "an answer is one of a great many"
    assert tab.focus.label is None
    assert not heard.failures


def test_in_simple_amounts_are_in_per_cent(tab: ChatTab, session: Session, until: Until) -> None:
    session.detail.choose(SIMPLE)
    tab.resize(1500, 800)
    page = opened(tab, session, "classification encoder-only", until, {"text": "anna smiles", "label": "glad"})
    inputs = inspected(tab, "inputs", until)
    [biggest, *_] = inputs.bars.amounts
    token = min(inputs.changes, key=inputs.changes.__getitem__)
    assert biggest.value == pytest.approx(
        100 * page.answered.prediction.score * (1 - math.exp(inputs.changes[token])), rel=1e-3
    )
    assert inputs.bars.accessibleDescription().startswith("Percentage points: ")
    assert inputs.scale.name == "Effect on the probability, in percentage points"
    session.detail.choose(EVERYTHING)
    assert inputs.scale.name == "Effect in nats"


def test_a_page_that_is_asked_for_has_its_tab(tab: ChatTab, session: Session, until: Until) -> None:
    opened(tab, session, "classification encoder-only", until)
    assert "prefer" not in offered(tab)
    tab.modes.show_view("prefer")
    assert "prefer" in offered(tab), "also one that compares other models than the open one"
    opened(tab, session, "tagging encoder-only", until)
    assert "prefer" not in offered(tab)


def test_the_first_text_opens_what_decides_its_label(tab: ChatTab, session: Session, until: Until) -> None:
    tab.resize(1500, 800)
    page = opened(tab, session, "classification encoder-only", until)
    assert tab.side.is_folded
    page.text.set_text("anna smiles")
    until(lambda: not tab.side.is_folded)
    assert tab.side.current == "inputs", "the model predicts no tokens that the whole pass could show"
    assert not session.remembered.get("chat side view", ""), "nor is it what is shown of another model"


def test_a_label_is_corrected_and_corrections_are_trained_on(
    tab: ChatTab, session: Session, library: Library, went: list[Route], until: Until, heard: Heard
) -> None:
    page = opened(tab, session, "classification encoder-only", until, {"text": "anna smiles", "label": "glad"})
    until(lambda: page.answered is not None)
    bar = page.correcting
    assert bar.isVisible()
    bar.menu.aboutToShow.emit()
    assert [action.text() for action in bar.menu.actions()] == ["angry", "glad", "sad"]
    bar.menu.actions()[2].trigger()
    assert bar.corrected == "sad"
    assert "“sad”" in bar.said.text()
    assert bar.tune.isEnabled(), "one text is enough: validation has the rows of the model's dataset"
    session.undo.stack("chat").undo()
    assert bar.corrected is None
    session.undo.stack("chat").redo()
    assert bar.corrected == "sad"
    page.text.set_text("ben smiles")
    until(lambda: page.answered is not None and page.answered.row["text"] == "ben smiles")
    assert bar.corrected is None
    bar.give("angry")
    assert bar.tune.text() == "Fine-tune on 2 corrections…"
    bar.tune.click()
    until(lambda: len(went) == 2)
    model = session.chat.model
    assert model is not None
    assert went == [DoToRun(model.run_id, "tune"), NewRun(dataset=session.datasets.sha)]
    corpus = open_corpus(library, session.datasets.sha)
    assert (corpus.task, corpus.labels) == ("classification", model.labels), "so that the head is kept"
    rows = corpus.read_examples("train")
    corrected = {row["text"] for row in rows}
    assert not corrected & {row["text"] for row in corpus.read_examples("val")}
    given = sorted((row["text"], row["label"]) for row in rows[:2])
    assert given == [("anna smiles", "sad"), ("ben smiles", "angry")]
    known = list(open_run_corpus(library, RunFolder.open(session.runs.find(model.run_id).folder)).rows("train"))
    assert rows[2:], "what the model knew is mixed in"
    assert all(row in known for row in rows[2:])
    assert page.answered is not None
    bar.give(str(page.answered.prediction.value))
    assert [row["text"] for row in bar.kept] == ["anna smiles"], "the model's own answer is no correction"
    opened(tab, session, "regression decoder-only", until, {"text": "ben cries", "score": 0.0})
    assert not bar.isVisible(), "a number is no label"
    assert not heard.failures


def test_several_labels_and_numbers(tab: ChatTab, session: Session, until: Until) -> None:
    page = opened(tab, session, "multi-label encoder-only", until, {"text": "anna smiles in rome", "labels": []})
    assert page.text.text == "anna smiles in rome"
    assert set(page.verdict.text().split(", ")) <= {"angry", "glad", "place", "sad"}
    assert len(page.bars.bars) == 4
    page = opened(tab, session, "regression decoder-only", until, {"text": "ben cries", "score": 0.0})
    until(lambda: page.text.text == "ben cries" and not page.busy)
    float(page.verdict.text().replace("−", "-"))
    assert not page.bars.isVisibleTo(page)


def test_entities_are_coloured_in_the_text(tab: ChatTab, session: Session, until: Until, told: Told) -> None:
    row = {"words": ["anna", "of", "rome", "took", "key", "to", "oslo"], "tags": ["O"] * 7}
    page = opened(tab, session, "tagging encoder-only", until, row)
    assert isinstance(page, EntityPage)
    assert page.text.text == "anna of rome took key to oslo"
    assert [(page.text.text[s.start : s.end], s.type) for s in page.spans] == [
        ("anna of rome", "PER"),
        ("oslo", "LOC"),
    ]
    until(lambda: ("PER · anna of rome, LOC · oslo", False) in told)
    layout = page.text.document().firstBlock().layout()
    assert [(form.start, form.length) for form in layout.formats()] == [(0, 12), (25, 4)]
    assert page.legend.entries["PER"].words.text() == "PER 1"
    categories = [page.colours.category_of(kind) for kind in ("PER", "LOC")]
    assert [bar.category for bar in page.found.bars] == categories, "in the colours of the text"
    assert page.colours.colour_of("PER") != page.colours.colour_of("LOC")
    page.text.clear()
    assert page.spans == []


def test_tags_without_entities_are_those_of_words() -> None:
    places = [(0, 3), (4, 8), (9, 12)]
    assert [s.type for s in spans_of(["DET", "NOUN", "VERB"], [0.9, 0.8, 0.7], places)] == ["DET", "NOUN", "VERB"]
    assert spans_of(["O", "O", "O"], [0.9, 0.8, 0.7], places) == []
    [span] = spans_of(["B-PER", "I-PER", "O"], [0.9, 0.8, 0.7], places)
    assert span == (0, 8, "PER", 0.8)
    assert qt_position("a😀b", 2) == 3, "Qt counts an emoji as two"


def test_the_answer_is_marked_in_its_context(tab: ChatTab, session: Session, until: Until, told: Told) -> None:
    context = "anna has key and ben has lamp"
    page = opened(tab, session, "span encoder-only", until, {"question": "what has ben ?", "context": context})
    assert isinstance(page, SpanPage)
    assert page.verdict.text() == "lamp"
    until(lambda: (f"lamp: {page.sure.text()}", False) in told)
    start, end = page.mark.place
    assert context[start:end] == "lamp"
    page.question.set_text("what has fred ?")
    until(lambda: page.verdict.text() == "No answer in this text")
    assert page.mark.place == (0, 0)
    shown = tab.side.view("inputs")
    until(lambda: not shown.message)
    page.context.set_text("ben has lamp and " * 40)
    until(lambda: "several windows" in shown.message)
    page.question.set_text("what has ben ?")
    page.context.set_text("anna has key and " * 40 + "ben has lamp")
    until(lambda: not page.busy)
    assert not page.problem.text()
    assert page.verdict.text() == "lamp", "in the last window"


def test_source_and_target_are_aligned(tab: ChatTab, session: Session, until: Until, qtbot: QtBot) -> None:
    name = "text-to-text encoder-decoder"
    page = opened(tab, session, name, until, {"source": "anna smiles in rome", "target": ""})
    assert isinstance(page, TextToText)
    until(lambda: page.searched is not None and page.alignment.isVisibleTo(page))
    view = page.alignment.view
    assert len(view.weights() or ()) == 0
    qtbot.mouseMove(view, view.rect_of(1, 0).center().toPoint())
    view.point_at((1, 0))
    side, weights = view.weights() or (1, [])
    assert side == 0
    assert sum(weights) == pytest.approx(1, abs=1e-3), "all heads' weights sum to 1 over the source"
    assert "it looked at" in page.alignment.said.text()
    qtbot.keyClick(view, Qt.Key.Key_Up)
    assert view.at == (0, 0)
    assert "was looked at when writing" in view.accessibleDescription()
    qtbot.keyClick(view, Qt.Key.Key_Escape)
    assert view.at is None
    assert view.rect_of(0, 0).contains(view.rect_of(0, 0).center() + QPointF(0, 0))
    view.grab()


def test_functions_are_run_and_five_outcomes_told_apart(
    tab: ChatTab, session: Session, until: Until, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pydantic_monty")
    page = opened(tab, session, "text-to-text decoder-only", until)
    assert isinstance(page, CodePage)
    assert "code" in offered(tab)
    page.cases.set_text("[1] → 2\n[2] -> 5")
    page.function.set_text("def f(n):\n    return 2 * n")
    page.run.click()
    until(lambda: bool(page.judged))
    assert [each.judgement.outcome for each in page.judged] == [Outcome.RIGHT, Outcome.WRONG_VALUE]
    assert page.verdict.text() == "1 of 2 right"
    until(lambda: ("Outcomes of the cases: 1 of 2 right", False) in told)
    assert page.outcomes.texts()[1][2] == "wrong value"
    assert page.outcomes.texts()[1][3] == "4 instead of 5"
    header = page.outcomes.horizontalHeader()
    for width in (page.outcomes.width(), 390):  # and as wide as in a window of 1280 pixels
        page.outcomes.setFixedWidth(width)
        until(
            lambda width=width: page.outcomes.width() == width and header.length() <= page.outcomes.viewport().width()
        )
        for column in range(4):
            assert header.sectionSize(column) >= header.sectionSizeHint(column), "“Expected” was “Exp”"
    page.cases.set_text("not a case")
    page.run.click()
    until(lambda: not page.busy)
    assert "Line 1 of the cases is not valid" in page.problem.text()

    def outcome(body: str) -> Outcome:
        (judged,) = judge_cases(f"def f(n):\n    {body}", ["[1] → 2"])
        return judged.judgement.outcome

    outcomes = [outcome(body) for body in ("return n + 1", "return n", "return n / 0", "yield n")]
    monkeypatch.setattr(code_judge, "MAX_SECONDS", 0.1)
    assert [*outcomes[:3], outcome("while True: pass"), *outcomes[3:]] == list(Outcome)


def test_the_body_is_written_for_the_head(tab: ChatTab, session: Session, until: Until, heard: Heard) -> None:
    pytest.importorskip("pydantic_monty")
    row = {
        "source": 'def f(n):\n    """anna smiles"""\n',
        "target": "",
        "cases": [{"arguments": [1], "expected": "é"}],
    }
    page = opened(tab, session, "text-to-text decoder-only", until, row)
    until(lambda: bool(page.function.text) and not page.busy)
    assert page.cases.text == '[1] → "é"'
    assert page.function.text.startswith(row["source"])
    assert len(page.judged) == 1
    table = page.outcomes
    assert table.columnViewportPosition(3) < table.viewport().width() * 0.8, "what happened is in view"
    read = tab.focus.text
    assert read is not None
    assert read.draws[0] is None, "the most likely tokens, as in the score"
    other = (read.ids[read.n_prompt] + 1) % 50 + 10
    tab.focus.branch_requested.emit(read.n_prompt, other)
    until(lambda: tab.focus.text is not read and tab.focus.text is not None and not page.busy)
    assert tab.focus.text.ids[: read.n_prompt + 1] == (*read.ids[: read.n_prompt], other)
    assert not heard.failures


@pytest.mark.parametrize(("design", "is_first"), [("gpt2-tiny", False), ("bert-tiny", True)])
def test_a_label_is_inspected_where_it_is_read_from(byte_tokenizer: Tokenizer, design: str, *, is_first: bool) -> None:
    labels = ("bad", "good")
    tokenizer = Tokenizer.from_str(byte_tokenizer.to_str())
    config = dataclasses.replace(PRESETS[design], vocab_size=380).for_task("classification", labels)
    add_missing_special_tokens(tokenizer, config.topology)
    answered = answer_row(build_model(config).eval(), tokenizer, "classification", {"text": "lovely soup"}, labels)
    assert answered.read is not None
    read = answered.read(7)
    assert read.start == (0 if is_first else len(read.ids) - 1)
    assert len(read.ids) > 2
