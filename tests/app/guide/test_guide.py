"""The guide without a window: steps, bets, results, missions, what is put back, what is kept and what is wrong."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from terrarium.app.guide import guide as guide_module
from terrarium.app.guide.actions import Action
from terrarium.app.guide.chapters import Chapter, parse_chapter
from terrarium.app.guide.guide import Guide
from terrarium.app.guide.missions import MISSIONS, Mission
from terrarium.app.guide.progress import FILE_NAME, read_progress
from terrarium.app.guide.window_state import ModelFact, ReplyFact, RunFact, TokenFact, WindowState
from terrarium.app.worker.notices import Notices

TEXT = """\
# Bets

```guide
minutes = 3
makes = "A bet."
needs = ["chat-model"]
```

## Type

Type something.

```guide
try = [{do = "type", field = "tokenizer/text", text = "set up"}]
instruction = "Type it."
check = {is = "typed", at_least = 3}
hint = "There."
result = "{{n_tokens}} tokens."
[predict]
ask = "How many?"
options = ["few", "many"]
figure = "n_tokens"
bounds = [5]
```

## Ask

Ask something.

```guide
instruction = "Ask it."
check = {is = "replied"}
hint = "There."
result = "It said {{reply}} ({{reply_probability}})."
```
"""
REPLY = ReplyFact(id="a", prompt="?", text="yes", temperature=0.3, n_tokens=1, probability=0.5)
SAID = "It said yes (50\N{NO-BREAK SPACE}%)."
RUN = RunFact(id="r", name="r", status="finished", kind="tiny-world", step=9, topology="decoder-only", position="rope")


class FakeStage:
    """A window that consists of facts."""

    def __init__(self) -> None:
        self.now = WindowState(runs=(RUN,))
        self.performed: list[Action] = []
        self.problem = ""

    def facts(self) -> WindowState:
        return self.now

    def perform(self, action: Action) -> None:
        if self.problem:
            raise ValueError(self.problem)
        self.performed.append(action)
        self.set(typed="set up", n_tokens=2)

    def snapshot(self) -> WindowState:
        return self.now

    def restore(self, snapshot: WindowState) -> None:
        self.now = snapshot

    def set(self, **changes: object) -> None:
        self.now = dataclasses.replace(self.now, **changes)  # type: ignore[arg-type]


@pytest.fixture
def stage() -> FakeStage:
    return FakeStage()


@pytest.fixture
def notices(qtbot: QtBot) -> Notices:
    return Notices()


@pytest.fixture
def make(stage: FakeStage, notices: Notices, tmp_path: Path) -> Callable[[], Guide]:
    chapters = [parse_chapter(TEXT, "01-bets"), parse_chapter(TEXT.replace("# Bets", "# More bets", 1), "02-more")]
    return lambda: Guide(chapters, stage, tmp_path, notices)


@pytest.fixture
def guide(make: Callable[[], Guide]) -> Guide:
    return make()


def test_a_chapter_from_its_first_step_to_its_card(guide: Guide, stage: FakeStage) -> None:
    guide.open("01-bets")
    assert guide.step is not None
    assert not guide.is_done
    guide.make_guess(1)
    guide.set_up()
    assert guide.can_put_back
    assert stage.now.typed == "set up"
    guide.look()
    assert not guide.is_done, "what sets the window up does not do the deed"
    stage.set(typed="a long text", n_tokens=7)
    guide.look()
    assert guide.is_done
    assert guide.verdict() == "Measured: 7. You guessed “many”: right!"
    guide.make_guess(0)
    assert guide.guess == 1, "bets are closed"
    guide.next()
    assert guide.index == 1
    assert not guide.is_set_up
    assert stage.now.typed == "a long text", "one step goes on where the one before has left the window"
    stage.set(replies=(REPLY,))
    guide.look()
    assert guide.can_put_back
    guide.next()
    assert guide.at_result
    assert stage.now.typed == "", "put back"
    assert not guide.can_put_back
    assert guide.results == ["7 tokens.", SAID]
    following = guide.following()
    assert following is not None
    assert following.name == "02-more"
    assert guide.n_done == 1
    assert guide.next_chapter is following


def test_a_bet_that_was_lost_and_none(guide: Guide, stage: FakeStage) -> None:
    guide.open("01-bets")
    guide.make_guess(1)
    assert guide.verdict() == "", "nothing was measured yet"
    stage.set(typed="abc", n_tokens=3)
    guide.look()
    assert guide.verdict() == "Measured: 3. You guessed “many”: not this time."
    guide.open("02-more")
    stage.set(typed="abcd", n_tokens=4)
    guide.look()
    assert guide.verdict() == "Measured: 4."


def test_what_was_measured_stays_so_when_one_comes_back(make: Callable[[], Guide], stage: FakeStage) -> None:
    guide = make()
    guide.open("01-bets")
    guide.make_guess(1)
    stage.set(typed="a long text", n_tokens=7)
    guide.look()
    guide.next()
    stage.set(typed="abc", n_tokens=3)
    guide.look()
    guide.back()
    assert guide.verdict() == "Measured: 7. You guessed “many”: right!"
    later = make()  # the next launch
    later.open("01-bets", 0)
    assert later.verdict() == "Measured: 7. You guessed “many”: right!"


def test_the_line_follows_a_text_that_is_still_being_typed(guide: Guide, stage: FakeStage) -> None:
    guide.open("01-bets")
    for typed in ("abc", "abcdef", "ab"):
        stage.set(typed=typed, n_tokens=len(typed))
        guide.look()
    assert guide.is_done
    assert guide.results == ["6 tokens."], "the last text that did the deed"


def test_skipping_leaves_no_line_and_back_goes_back(guide: Guide) -> None:
    guide.open("01-bets")
    guide.next()
    guide.back()
    assert guide.index == 0
    guide.next()
    guide.next()
    assert guide.at_result
    assert guide.results == []
    assert guide.progress.of("01-bets").is_done


def test_progress_is_kept_and_a_finished_chapter_begins_anew(
    guide: Guide, make: Callable[[], Guide], stage: FakeStage
) -> None:
    guide.open("01-bets")
    stage.set(typed="abc", n_tokens=3)
    guide.look()
    guide.next()
    later = make()
    later.open("01-bets")
    assert later.index == 1
    assert later.has_begun
    assert later.results == ["3 tokens."]
    assert not later.is_done
    later.back()
    assert later.is_done, "what was done once need not be done again"
    later.next()
    later.next()
    again = make()
    again.open("01-bets")
    assert again.index == 0
    assert again.results == []


def test_a_result_waits_for_its_figures(guide: Guide, stage: FakeStage) -> None:
    guide.open("01-bets")
    guide.next()
    stage.set(replies=(dataclasses.replace(REPLY, probability=None),))
    guide.look()
    assert guide.is_done
    assert guide.results == []
    stage.set(replies=(REPLY,))
    guide.look()
    assert guide.results == [SAID]


def test_what_a_chapter_needs_is_said_also_when_it_goes_meanwhile(guide: Guide, stage: FakeStage) -> None:
    guide.open("01-bets")
    assert guide.needs == ""
    stage.set(runs=())
    guide.look()
    assert "quick start" in guide.needs
    model = ModelFact(run_id="x", name="x", mode="talk", step=1, n_parameters=1, vocab_size=2, context_length=8)
    stage.set(model=model)
    guide.look()
    assert guide.needs == ""


def test_what_cannot_be_set_up_is_said_and_nothing_is_lost(guide: Guide, stage: FakeStage) -> None:
    guide.open("01-bets")
    stage.problem = "This step points at “moon”, which is not in this window."
    guide.set_up()
    assert guide.problem == stage.problem
    guide.next()
    assert guide.problem == ""


@pytest.mark.parametrize(
    "damaged", ["{", "[]", '{"chapters": {"01-bets": {"step": "x"}}, "missions": []}', '{"chapters": 1}']
)
def test_a_damaged_file_is_left_alone(
    damaged: str, make: Callable[[], Guide], notices: Notices, tmp_path: Path, stage: FakeStage
) -> None:
    (tmp_path / FILE_NAME).write_text(damaged, encoding="utf-8")
    said: list[str] = []
    notices.notified.connect(said.append)
    guide = make()
    assert len(said) == 1
    assert FILE_NAME in said[0]
    guide.open("01-bets")
    stage.set(typed="abc", n_tokens=3)
    guide.look()
    assert guide.results == ["3 tokens."], "it works all the same"
    assert (tmp_path / FILE_NAME).read_text(encoding="utf-8") == damaged


def test_a_full_disk_is_said_once(
    guide: Guide, notices: Notices, stage: FakeStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(guide_module, "write_progress", full)
    failures: list[str] = []
    notices.failed.connect(lambda sentence, details: failures.append(sentence))
    guide.open("01-bets")
    guide.next()
    guide.next()
    assert guide.at_result
    assert len(failures) == 1


def test_missions_are_ticked_once_and_kept(
    guide: Guide, stage: FakeStage, make: Callable[[], Guide], tmp_path: Path
) -> None:
    done: list[Mission] = []
    guide.mission_done.connect(done.append)
    stage.set(replies=(dataclasses.replace(REPLY, id="old", temperature=2.0),))
    guide.look()
    assert done == [], "what was there at launch is nobody's deed"
    stage.set(replies=(*stage.now.replies, dataclasses.replace(REPLY, temperature=1.5)))
    guide.look()
    guide.look()
    assert [mission.name for mission in done] == ["creative"]
    stage.set(token=TokenFact(word="sad", probability=0.2))
    guide.look()
    assert [mission.name for mission in done] == ["creative"], "the panel that shows it is not open"
    stage.set(places=frozenset({"chat", "chat/next"}))
    guide.look()
    assert {mission.name for mission in done} == {"creative", "unsure"}
    assert read_progress(tmp_path).missions == {"creative", "unsure"}
    assert make().progress.missions == {"creative", "unsure"}


def test_going_to_a_mission_performs_what_leads_there(guide: Guide, stage: FakeStage, notices: Notices) -> None:
    how: list[str] = []
    shown: list[str] = []
    notices.notified.connect(how.append)
    notices.notified.connect(shown.append)
    notices.outdated.connect(shown.remove)
    for mission in MISSIONS:
        guide.go_to(mission)
        assert shown == [f"{mission.title}: {mission.how}"], "one way at a time"
    assert len(stage.performed) == sum(len(mission.goes) for mission in MISSIONS)
    assert how == [f"{mission.title}: {mission.how}" for mission in MISSIONS]
    said: list[str] = []
    notices.failed.connect(lambda sentence, details: said.append(sentence))
    stage.problem = "There is no model that can chat yet."
    guide.go_to(MISSIONS[0])
    assert said == [stage.problem]


def test_closing_puts_back(guide: Guide, stage: FakeStage) -> None:
    guide.open("01-bets")
    guide.set_up()
    guide.close()
    assert stage.now.typed == ""
    chapter: Chapter | None = guide.chapter
    assert chapter is None
    assert guide.step is None
    assert not guide.at_result
