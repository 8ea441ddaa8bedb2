"""The tree of stages in the window: where they stand, clicks, and what comes next."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable

from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from terrarium.app.lineage.lineage_view import LineageView
from terrarium.app.lineage.next_steps import next_steps
from terrarium.app.lineage.stage_words import (
    describe_cost,
    describe_held_out,
    describe_settings,
    describe_source,
    describe_start,
    kind_words,
)
from terrarium.app.lineage.tree_view import places
from terrarium.app.session.candidates import Candidate
from terrarium.app.session.routes import Judge, NewRun, Route
from terrarium.app.session.session import Session
from terrarium.app.training.training_tab import TrainingTab
from terrarium.models.alignment.stage_tree import StageTree, stage_tree
from terrarium.models.corpora.corpus import build_examples_corpus
from terrarium.models.library.library import Library
from tests.app.heard import Heard, Until
from tests.models.training.stages.support import pair
from tests.stages_on_disk import put_stage

Shown = Callable[[str], LineageView]


def offered(tree: StageTree, id: str) -> dict[str, NewRun | Judge | None]:
    stage = tree.find(id)
    assert stage is not None
    return {step.words: step.route for step in next_steps(tree, stage)}


def test_stages_stand_right_of_what_they_come_from(family: Library) -> None:
    put_stage(family, "rm2", "sft", "reward", created="2026-01-08")
    put_stage(family, "again", "dpo", "ppo", reward_model="rm", created="2026-01-09")
    put_stage(family, "grpo", "sft", "grpo", reward_model="rm", created="2026-01-10")
    found = places(stage_tree(family.list_runs(), "base"))
    assert found == {
        "base": (0, 0),
        "sft": (1, 0),
        "rm": (2, 0),
        "ppo": (3, 1),
        "grpo": (3, 2),
        "dpo": (2, 3),
        "again": (3, 3),
        "kto": (2, 4),
        "rm2": (2, 5),
    }
    assert len(set(found.values())) == len(found), "no two stand at one place"


def test_damaged_lineages_have_a_place_for_each_stage(session: Session) -> None:
    put_stage(session.library, "a", "b")
    put_stage(session.library, "b", "a", "ppo", reward_model="a")
    put_stage(session.library, "c", "b", "reward")
    found = places(stage_tree(session.library.list_runs(), "c"))
    assert len(set(found.values())) == len(found) == 3


def test_words_say_how_a_stage_learned_and_what_it_is_worth(family: Library) -> None:
    tree = stage_tree(family.list_runs(), "base")
    ppo, kto = tree.find("ppo"), tree.find("kto")
    assert ppo is not None
    assert kto is not None
    assert describe_source(ppo) == "Tiny World 0, wish happy, rewards by “rm”"
    assert describe_settings(ppo).startswith("β 0.05 · 32 × 2 replies")
    assert describe_held_out(ppo).replace("\u00a0", " ") == "As meant 75 % · KL 4.0"
    assert describe_settings(kto).startswith("β 0.1 · batch 16")
    assert describe_start(kto, tree.find("sft")) == "Started from sft at step 40."
    assert kind_words(kto) == "KTO"
    unsaved = dataclasses.replace(kto, status="running", step=0, trained=6, seconds=None)
    assert kto.spec is not None
    assert describe_cost(unsaved) == f"6 of {kto.spec.train.steps} steps, running", "none of which is saved yet"
    fork = dataclasses.replace(kto, is_fork=True)
    assert describe_start(fork, tree.find("sft")) == "Continues sft from step 40."
    assert kind_words(fork) == "KTO, fork"
    assert describe_held_out(kto) == ""


def test_each_stage_offers_what_comes_next(family: Library) -> None:
    tree = stage_tree(family.list_runs(), "base")
    assert offered(tree, "rm") == {
        "PPO with its rewards…": NewRun(parent="sft", stage="ppo", reward_model="rm"),
        "GRPO with its rewards…": NewRun(parent="sft", stage="grpo", reward_model="rm"),
        "DPO on the same pairs…": NewRun(parent="sft", stage="dpo", data="fair pairs"),
    }
    earlier = StageTree(tuple(dataclasses.replace(each, step=50) if each.id == "sft" else each for each in tree.stages))
    assert offered(earlier, "rm")["PPO with its rewards…"] == NewRun(parent="sft@40", stage="ppo", reward_model="rm"), (
        "what it was made from"
    )
    of_sft = offered(tree, "sft")
    assert of_sft["Compare it blind with base…"] == Judge(Candidate("sft"), Candidate("base"))
    assert of_sft["Collect preferences…"] == Judge(Candidate("sft"), Candidate("sft"))
    assert of_sft["Train a reward model…"] == NewRun(parent="sft", stage="reward", data="fair pairs")
    assert of_sft["PPO, rewarded by rm…"] == NewRun(parent="sft", stage="ppo", reward_model="rm")
    assert not any("Compare it blind" in words for words in offered(tree, "base"))
    shutil.rmtree(family.runs / "sft")
    tree = stage_tree(family.list_runs(), "rm")
    assert offered(tree, "rm") == {"PPO with its rewards…": None}
    assert offered(tree, "sft") == {}, "it is gone"


def test_a_click_on_a_card_shows_its_run_in_the_same_tree(
    tab: TrainingTab, in_tab: Shown, until: Until, qtbot: QtBot
) -> None:
    view = in_tab("ppo")
    assert set(view.stages.cards) == {"base", "sft", "rm", "dpo", "ppo", "kto"}
    qtbot.mouseClick(view.stages.cards["dpo"], Qt.MouseButton.LeftButton)
    until(lambda: tab.run_view.run_id == "dpo")
    assert tab.runs.current_id == "dpo"
    assert tab.run_view.views.current == "lineage"
    card = view.stages.cards["sft"]
    card.setFocus()
    qtbot.keyClick(card, Qt.Key.Key_Return)
    until(lambda: tab.run_view.run_id == "sft")
    view.show_part("origin")
    until(lambda: view.origin.lineage is not None)
    assert [card.link.title for card in view.origin.cards[:2]] == ["sft", "base"]


def test_a_deleted_stage_leaves_the_tree(lineage: Shown, session: Session, until: Until) -> None:
    view = lineage("ppo")
    session.runs.delete(("sft",))
    until(lambda: view.tree is not None and view.tree.stages[0].name == "sft")
    gone = view.stages.cards["sft"]
    assert not gone.can_open
    assert not gone.next_button.isVisibleTo(gone)
    assert "base" not in view.stages.cards


def test_what_next_opens_the_form_that_is_meant(
    tab: TrainingTab, in_tab: Shown, session: Session, heard: Heard, until: Until
) -> None:
    rows = [pair(i, "a" * (i + 1), "b") for i in range(6)]
    for name in ("any pairs", "fair pairs"):
        build_examples_corpus(session.library, rows[:4], rows[4:], name, None, task="preference")
    session.datasets.refresh()
    until(lambda: session.datasets.is_read)
    view = in_tab("rm")

    def choose(card: str, words: str) -> None:
        menu = view.stages.cards[card].next_button.menu()
        next(action for action in menu.actions() if action.text() == words).trigger()

    choose("rm", "PPO with its rewards…")
    assert tab.pages.currentWidget() is tab.new_run
    spec = tab.new_run.draft.spec()
    assert spec.tune is not None
    assert spec.align is not None
    assert (spec.tune.parent, spec.align.stage, spec.align.reward_model) == ("sft", "ppo", "rm")
    assert spec.data.dataset == "Tiny World 0, wish happy"
    choose("sft", "DPO…")
    spec = tab.new_run.draft.spec()
    assert spec.align is not None
    assert (spec.align.stage, spec.align.reward_model, spec.data.task) == ("dpo", "", "preference")
    info = session.datasets.info(spec.data.dataset)
    assert info is not None
    assert info.name == "fair pairs", "the pairs that its reward model learned from"
    choose("base", "Fine-tune it…")
    assert tab.new_run.choices.start.run_id == "base"
    assert tab.new_run.choices.align_spec is None
    session.go(NewRun(parent="nobody", stage="ppo", reward_model="rm"))
    assert "no longer in the library" in heard.notices[-1]


def test_judging_is_asked_for_with_both_stages(lineage: Shown, went: list[Route]) -> None:
    view = lineage("sft")
    view.stages.cards["sft"].next_button.menu().actions()[0].trigger()
    assert went == [Judge(Candidate("sft"), Candidate("base"))]


def test_what_is_compared_at_first_are_the_run_and_what_it_learned_from(lineage: Shown, family: Library) -> None:
    for i in range(9):
        put_stage(family, f"dpo {i}", "sft", "dpo", created=f"2026-02-0{i + 1}")
        put_stage(family, f"rm {i}", "sft", "reward", created=f"2026-03-0{i + 1}")
    choice = lineage("ppo").choice
    chosen = [stage.name for stage in choice.chosen]
    assert len(chosen) == 8
    assert {"base", "ppo", "dpo", "kto", "sft", "dpo 0"} <= set(chosen), (
        "the root, and what was made at about that time"
    )
    assert "dpo 8" not in chosen
    assert [stage.name for stage in choice.rewarders] == ["rm"], "that which PPO learned from"
    assert choice.text() == "9 of 24 stages"
    choice.menu().actions()[0].toggle()
    assert "base" not in [stage.name for stage in choice.chosen]
    assert lineage("kto").choice.text() == "8 of 24 stages", "what was chosen stays"
