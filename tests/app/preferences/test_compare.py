"""The page “Judge replies”, in the chat tab, with a model that really draws its replies (of random weights)."""

from __future__ import annotations

import random
import shutil
from types import SimpleNamespace

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QInputDialog
from pytestqt.qtbot import QtBot
from tokenizers import Tokenizer

from terrarium.app.chat.chat_tab import ChatTab
from terrarium.app.preferences import judge_page as judging
from terrarium.app.preferences import pair_sampler
from terrarium.app.preferences.judge_page import JudgePage
from terrarium.app.preferences.pair_sampler import PairRequest, PairSampler, PromptSource
from terrarium.app.session.candidates import Candidate
from terrarium.app.session.routes import Route, ShowPlace
from terrarium.app.session.session import Session
from terrarium.models.chat.template_config import ChatTemplateConfig
from terrarium.models.corpora.corpus import build_examples_corpus
from terrarium.models.events import Event
from terrarium.models.files.atomic import atomic_write_json, read_json
from terrarium.models.library.library import Library
from terrarium.models.preferences.store import PERSON, SIMULATED, Pair, Reply
from tests.app.heard import Heard, Until
from tests.app.small_models import put_model
from tests.models.preferences.support import make_thumb

FORM = ChatTemplateConfig(template="{% for m in messages %}[{{ m.content }}]{% endfor %}")
KEYS = {
    "left": Qt.Key.Key_Left,
    "right": Qt.Key.Key_Right,
    "tie": Qt.Key.Key_Down,
    "bad": Qt.Key.Key_Up,
    "skip": Qt.Key.Key_S,
}


@pytest.fixture(autouse=True)
def short_replies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replies of a few tokens, and one pair ahead."""
    monkeypatch.setattr(pair_sampler, "MAX_TOKENS", 4)
    monkeypatch.setattr(pair_sampler, "N_AHEAD", 1)


@pytest.fixture
def run_id(library: Library, byte_tokenizer: Tokenizer) -> str:
    """A chat model with two checkpoints."""
    made = put_model(library, byte_tokenizer, "decoder-only", form=FORM, context_length=24)
    [checkpoint] = (library.runs / made / "checkpoints").iterdir()
    shutil.copytree(checkpoint, checkpoint.with_name("step-00000099"))
    return made


@pytest.fixture
def page(run_id: str, session: Session, tab: ChatTab, until: Until, monkeypatch: pytest.MonkeyPatch) -> JudgePage:
    """The page, with a prompt of one's own, and the first pair in view."""
    # With some seeds a reply is empty, and no row is made of it.
    monkeypatch.setattr(judging, "random", SimpleNamespace(Random=lambda: random.Random(0)))
    session.runs.changed.emit()
    assert session.chat.open(run_id)
    until(lambda: session.chat.state == "ready")
    tab.modes.show_view("prefer")
    page = tab.modes.view("prefer")
    assert isinstance(page, JudgePage)
    page.prompts.setCurrentIndex(page.prompts.count() - 1)
    page.prompts.activated.emit(page.prompts.currentIndex())
    assert page.pair_view.words.startswith("Write a prompt")
    page.own.setPlainText("Hi")
    page.own.send_pressed.emit()
    until(lambda: page.pair_view.pair is not None)
    return page


def test_a_pair_has_the_prompt_that_was_read(run_id: str, session: Session, tab: ChatTab, until: Until) -> None:
    asked = {"role": "user", "content": "Hi"}
    row = {"messages": [{"role": "system", "content": "Old."}, asked]}
    corpus = build_examples_corpus(session.library, [row], [row], "asked", None, task="chat")
    sampler, source = PairSampler(session, tab), PromptSource("dataset", corpus.sha)
    for system, kept in (("", "Old."), ("New.", "New.")):
        sampler.start(PairRequest(first=Candidate(run_id), second=Candidate(run_id), source=source, system=system))
        until(lambda: bool(sampler.n_ready))
        pair = sampler.take()
        assert pair is not None
        assert pair.prompt == ({"role": "system", "content": kept}, asked)
    sampler.stop()


def press(page: JudgePage, qtbot: QtBot, until: Until, choice: str) -> None:
    """Press a key, and wait for the next pair."""
    qtbot.keyClick(page.pair_view, KEYS[choice])
    until(lambda: page.pair_view.pair is not None)


def test_each_key_is_a_choice_that_is_saved_at_once(
    page: JudgePage, session: Session, qtbot: QtBot, until: Until
) -> None:
    shown = []
    for choice in KEYS:
        pair = page.pair_view.pair
        assert pair is not None
        for side, card in page.pair_view.cards.items():
            assert card.text.written == page.pair_view.reply_at(side).content
            assert "decoder-only" not in card.text.text(), "it is blind"
        shown.append((pair, page.pair_view.reply_at("left").content, page.pair_view.reply_at("right").content))
        press(page, qtbot, until, choice)
    pairs = session.preferences.current().read().pairs
    assert [pair.id for pair in pairs] == [pair.id for pair, *_ in shown]
    assert [pair.choice for pair in pairs[2:]] == ["tie", "bad", "skip"]
    assert (pairs[0].better, pairs[1].better) == (
        page_reply(pairs[0], shown[0][1]),
        page_reply(pairs[1], shown[1][2]),
    )
    assert all(pair.by == PERSON and pair.seconds >= 0 for pair in pairs)
    assert all(pair.a.content != pair.b.content and pair.a.temperature == 1.0 for pair in pairs)
    assert page.pair_view.hint.text().startswith("Last: skipped. Both were decoder-only at step 99 (seeds ")
    assert page.results.stats.number("by you") == "4"
    assert page.count.text().startswith("5 of 25 in this round")


def page_reply(pair: Pair, content: str) -> Reply:
    """The reply of a pair with this text."""
    return next(each for each in (pair.a, pair.b) if each.content == content)


def test_a_choice_is_taken_back_with_a_key_and_made_again(
    page: JudgePage, session: Session, qtbot: QtBot, until: Until
) -> None:
    first = page.pair_view.pair
    press(page, qtbot, until, "left")
    second = page.pair_view.pair
    qtbot.keyClick(page.pair_view, Qt.Key.Key_U)
    assert page.pair_view.pair is first
    assert session.preferences.pairs == ()
    assert page.pair_view.hint.text() == "Undone: choose again."
    press(page, qtbot, until, "tie")
    assert page.pair_view.pair is second, "the pair that was in view comes next"
    assert [pair.choice for pair in session.preferences.pairs] == ["tie"]
    session.undo.stack("chat").undo()
    assert page.pair_view.pair is first
    session.undo.stack("chat").redo()
    assert page.pair_view.pair is second
    assert [pair.choice for pair in session.preferences.pairs] == ["tie"]
    for _ in range(2):
        qtbot.keyClick(page.pair_view, Qt.Key.Key_U)
    assert page.pair_view.hint.text() == "There is no choice from this session to undo."


def test_one_pair_in_twenty_comes_back_with_its_sides_swapped(
    page: JudgePage, session: Session, qtbot: QtBot, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judging, "REPEAT_EVERY", 8)
    for _ in range(7):
        press(page, qtbot, until, "left")
    again = page.pair_view.pair
    assert again is not None
    assert again.repeats
    before = next(pair for pair in session.preferences.pairs if pair.id == again.repeats)
    assert (again.a, again.b) == (before.a, before.b)
    assert again.left != before.left
    press(page, qtbot, until, "right")
    assert page.pair_view.hint.text().endswith("It was shown before, with its sides swapped.")
    bars = {bar.name: bar for bar in page.results.bars.bars}
    assert (bars["Self-agreement"].share, bars["Left chosen"].share) == (1.0, 7 / 8)
    assert page.count.text() == "8 of 25 in this round, 7 in the set."
    assert not page.pair_view.pair.repeats  # type: ignore[union-attr]


def test_the_better_one_is_improved_and_beats_both(
    page: JudgePage, session: Session, qtbot: QtBot, until: Until
) -> None:
    right = page.pair_view.reply_at("right")
    qtbot.keyClick(page.pair_view, Qt.Key.Key_E)
    assert "Choose left or right" in page.pair_view.hint.text()
    qtbot.keyClick(page.pair_view, Qt.Key.Key_Right)
    card = page.pair_view.cards["right"]
    assert card.is_edited
    qtbot.keyClick(card.field, Qt.Key.Key_Return)
    assert not card.is_edited
    assert session.preferences.pairs == (), "what was not changed is no edit"
    qtbot.keyClick(page.pair_view, Qt.Key.Key_E)
    qtbot.keyClick(page.pair_view, Qt.Key.Key_Right)
    assert not page.pair_view.buttons["left"].isEnabled()
    card.field.setPlainText("A kind word.")
    qtbot.keyClick(card.field, Qt.Key.Key_Escape)
    assert not card.is_edited
    assert session.preferences.pairs == (), "Esc leaves it"
    qtbot.mouseClick(page.pair_view.edit, Qt.MouseButton.LeftButton)
    qtbot.mouseClick(page.pair_view.cards["right"], Qt.MouseButton.LeftButton)
    card.field.setPlainText("A kind word.")
    qtbot.keyClick(card.field, Qt.Key.Key_Return)
    until(lambda: page.pair_view.pair is not None)
    chosen, *beaten = session.preferences.pairs
    assert chosen.better == right
    assert [(pair.a.content, pair.a.edited) for pair in beaten] == [("A kind word.", True)] * 2
    assert {pair.b for pair in beaten} == {chosen.a, chosen.b}
    assert page.pair_view.hint.text().startswith("Last: right, improved.")
    assert {bar.name: bar.text for bar in page.results.bars.bars}["Left chosen"] == "0\xa0%"
    qtbot.keyClick(page.pair_view, Qt.Key.Key_U)
    assert session.preferences.pairs == (), "it was one step"


def test_words_that_differ_are_marked_on_demand(page: JudgePage, qtbot: QtBot) -> None:
    def shown() -> str:  # both, as one of the replies may be empty
        return "".join(card.text.text() for card in page.pair_view.cards.values())

    qtbot.keyClick(page.pair_view, Qt.Key.Key_Space)
    assert all(card.text.is_marked for card in page.pair_view.cards.values())
    assert "background-color" in shown()
    qtbot.keyClick(page.pair_view, Qt.Key.Key_Space)
    assert "background-color" not in shown()


def test_two_stages_give_a_win_rate(page: JudgePage, session: Session, run_id: str, qtbot: QtBot, until: Until) -> None:
    page.second.choose(Candidate(run_id, session.runs.checkpoint_steps(run_id)[-1]))
    page.second.changed.emit()
    until(lambda: page.pair_view.pair is not None)
    for _ in range(4):
        pair = page.pair_view.pair
        assert pair is not None
        press(page, qtbot, until, "left" if pair.left == "a" else "right")
    steps = sorted(session.runs.checkpoint_steps(run_id))
    assert page.results.matches.text() == (
        f"decoder-only at step 99 won 100\xa0% of 4 pairs against decoder-only at step {steps[0]}."
    )
    assert page.results.bars.bars[0].share == 1.0
    assert f"decoder-only at step {steps[0]}" in page.pair_view.hint.text()


def test_two_runs_of_one_name_are_two_models(
    page: JudgePage, session: Session, library: Library, run_id: str, qtbot: QtBot, until: Until
) -> None:
    shutil.copytree(library.runs / run_id, library.runs / "twin")
    record = read_json(library.runs / "twin" / "run.json")
    atomic_write_json(library.runs / "twin" / "run.json", {**record, "id": "twin"})
    session.runs.changed.emit()
    page.second.choose(Candidate("twin"))
    page.second.changed.emit()
    until(lambda: page.pair_view.pair is not None and page.pair_view.pair.a.run != page.pair_view.pair.b.run)
    press(page, qtbot, until, "left")
    said = page.results.matches.text()
    assert said.startswith("decoder-only (")
    assert " against decoder-only (" in said
    assert "Both were" not in page.pair_view.hint.text()


def test_replies_that_are_always_the_same_are_said_to_be(page: JudgePage, until: Until) -> None:
    page.temperature.setValue(0.0)
    until(lambda: not page.sampler.busy)
    assert "Both replies are the same, again and again: choose a higher temperature" in page.pair_view.words
    page.temperature.setValue(1.0)
    assert page.pair_view.words.startswith("Which reply is better?")
    page.start()
    until(lambda: page.pair_view.pair is not None)


def test_sets_are_chosen_and_become_datasets(
    page: JudgePage,
    session: Session,
    qtbot: QtBot,
    until: Until,
    heard: Heard,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    results = page.results
    monkeypatch.setattr(QInputDialog, "getText", lambda *args, **kwargs: ("short ones", True))
    results.sets.setCurrentIndex(results.sets.count() - 1)
    results.sets.activated.emit(results.sets.currentIndex())
    assert (session.preferences.name, results.sets.currentText()) == ("short ones", "short ones")
    for prompt in ("Hi", "Ho"):
        page.own.setPlainText(prompt)
        page.own.send_pressed.emit()
        until(lambda: page.pair_view.pair is not None)
        for choice in ("left", "skip"):
            press(page, qtbot, until, choice)
    asked: list[Route] = []
    session.routed.connect(asked.append)
    qtbot.mouseClick(results.make, Qt.MouseButton.LeftButton)
    until(lambda: asked == [ShowPlace("data")])
    [info] = session.datasets.list()
    assert (info.name, info.corpus.task, session.datasets.sha) == ("short ones, 2 pairs", "preference", info.corpus.sha)
    assert heard.notices == ["“short ones, 2 pairs” is a dataset now. 2 were left out: you skipped them."]
    results.sets.setCurrentIndex(results.sets.findText("My preferences"))
    results.sets.activated.emit(results.sets.currentIndex())
    qtbot.mouseClick(results.make, Qt.MouseButton.LeftButton)
    assert not results.busy, "there is nothing to make one of"


def test_what_the_annotator_judges_is_its_own(
    page: JudgePage, session: Session, until: Until, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    from terrarium.models.alignment import simulated_pairs
    from tests.models.preferences.support import make_pair

    def judged(model: object, tokenizer: object, rows: list[object], *rest: object, **more: object) -> list[Event]:
        pairs = tuple(make_pair(i, by=SIMULATED) for i in range(len(rows)))
        return [simulated_pairs.PairsJudged(pairs=pairs, n_prompts=len(rows))]

    monkeypatch.setattr(simulated_pairs, "simulated_pairs", judged)
    simulated = page.simulated
    page.annotator_section.set_folded(False)
    simulated.n_pairs.setValue(6)
    qtbot.mouseClick(simulated.start_button, Qt.MouseButton.LeftButton)
    until(lambda: not simulated.busy)
    assert simulated.status.text() == "Replies to 6 of 6 prompts judged"
    assert (page.results.stats.number("by you"), page.results.stats.number("simulated")) == ("0", "6")
    assert page.count.text() == "0 of 25 in this round, 0 in the set."


def test_thumbs_of_a_set_become_a_dataset_for_kto(
    page: JudgePage, session: Session, qtbot: QtBot, until: Until, heard: Heard
) -> None:
    results = page.results
    assert results.make_rated.isHidden()
    for i in range(6):
        session.preferences.rate(make_thumb(i, is_good=i < 4))
    assert results.thumbs.text() == "Thumbs on replies in your chats: 4 up, 2 down."
    qtbot.mouseClick(results.make_rated, Qt.MouseButton.LeftButton)
    until(lambda: bool(heard.notices))
    assert heard.notices == ["“My preferences, 6 thumbs” is a dataset now."]
    until(lambda: bool(session.datasets.list()))
    assert session.datasets.list()[0].corpus.task == "unpaired"
    until(lambda: page.prompts.findText("Prompts of “My preferences, 6 thumbs”") >= 0)


def test_a_set_is_renamed_and_deleted_in_its_menu(
    page: JudgePage, session: Session, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = page.results
    assert not results.more.isEnabled(), "the set is made with its first choice"
    session.preferences.rate(make_thumb())
    assert results.more.isEnabled()
    menu = results.more.menu()
    rename, delete = menu.actions()
    monkeypatch.setattr(QInputDialog, "getText", lambda *args, **kwargs: ("clear ones", True))
    rename.trigger()
    assert (session.preferences.name, results.sets.currentText()) == ("clear ones", "clear ones")
    delete.trigger()
    assert results.sets.currentText() == "My preferences"
    assert results.sets.findText("clear ones") < 0
    assert results.thumbs.isHidden()
    [undo] = heard.deleted
    undo()
    assert results.sets.findText("clear ones") >= 0


@pytest.mark.parametrize(("width", "is_beside"), [(1100, True), (760, False)])
def test_both_replies_are_in_view_where_it_is_narrow(
    page: JudgePage, tab: ChatTab, until: Until, width: int, is_beside: bool
) -> None:
    """The results give way: they stand below the pair."""
    tab.side.fold.click()
    tab.resize(width, 700)
    results, pair_view = page.results, page.pair_view
    until(lambda: (results.mapTo(page, results.rect().topLeft()).x() > pair_view.width()) is is_beside)
    assert page.minimumSizeHint().width() <= width
