"""The runs that come from one another, as a tree."""

from __future__ import annotations

import shutil

import pytest

from terrarium.models.alignment.stage_tree import GONE, PRETRAINED, TUNED, stage_tree
from terrarium.models.evaluation.record import Forgetting, write_forgetting
from terrarium.models.events import KnowledgeMeasured, KnownFigure
from terrarium.models.files.atomic import atomic_write_json, read_json
from terrarium.models.library.library import Library
from tests.stages_on_disk import put_family, put_stage


def test_a_family_is_one_tree_whichever_of_it_is_asked_for(library: Library) -> None:
    put_family(library)
    runs = library.list_runs()
    tree = stage_tree(runs, "ppo")
    assert [(stage.name, stage.kind, stage.parent) for stage in tree.stages] == [
        ("base", PRETRAINED, ""),
        ("sft", TUNED, "base"),
        ("rm", "reward", "sft"),
        ("dpo", "dpo", "sft"),
        ("ppo", "ppo", "sft"),
        ("kto", "kto", "sft"),
    ]
    assert tree == stage_tree(runs, "base")
    ppo, rm = tree.find("ppo"), tree.find("rm")
    assert ppo is not None
    assert rm is not None
    assert tree.above(ppo) == "rm", "it stands below the reward model that it learned from"
    assert tree.above(rm) == "sft"
    assert [child.name for child in tree.children("sft")] == ["rm", "dpo", "ppo", "kto"]
    assert (ppo.writes, ppo.scores, rm.writes, rm.scores) == (True, False, False, True)
    assert [(found.name, found.value) for found in rm.held_out] == [("accuracy", 0.875)]
    assert [(found.name, found.value) for found in ppo.held_out] == [("gold", 0.75), ("kl", 4.0)]


def test_a_parent_that_is_gone_holds_its_children_together(library: Library) -> None:
    put_family(library)
    shutil.rmtree(library.runs / "sft")
    shutil.rmtree(library.runs / "rm")
    tree = stage_tree(library.list_runs(), "dpo")
    assert [(stage.name, stage.kind) for stage in tree.stages] == [
        ("sft", GONE),
        ("dpo", "dpo"),
        ("ppo", "ppo"),
        ("kto", "kto"),
    ]
    ppo = tree.find("ppo")
    assert ppo is not None
    assert tree.above(ppo) == "sft", "its reward model is gone, too"
    assert (ppo.rewarded_by, ppo.rewarder) == ("rm", "rm")
    with pytest.raises(ValueError, match="no longer in the library"):
        stage_tree(library.list_runs(), "rm")


def test_ppo_from_another_start_than_its_reward_model_stands_below_its_own(library: Library) -> None:
    put_family(library)
    put_stage(library, "again", "dpo", "ppo", reward_model="rm", created="2026-02-01")
    tree = stage_tree(library.list_runs(), "again")
    again = tree.find("again")
    assert again is not None
    assert tree.above(again) == "dpo"


def test_runs_that_name_each_other_as_parents_end_the_tree(library: Library) -> None:
    put_stage(library, "a", "b")
    put_stage(library, "b", "a")
    assert {stage.name for stage in stage_tree(library.list_runs(), "a").stages} == {"a", "b"}


def test_what_a_stage_knew_is_known_from_the_run_that_asked_it_first(library: Library) -> None:
    put_family(library)
    before = (KnownFigure(kind="knowledge", value=1.0, n=120), KnownFigure(kind="state", value=0.5, n=120))
    after = (KnownFigure(kind="knowledge", value=0.5, n=120), KnownFigure(kind="state", value=0.5, n=120))
    measured = [
        KnowledgeMeasured(step=step, corpus="Tiny World 0", figures=figures, seconds=1.0)
        for step, figures in ((0, before), (40, after))
    ]
    write_forgetting(library.runs / "dpo", Forgetting(before=measured[0], after=measured[1]))
    tree = stage_tree(library.list_runs(), "dpo")
    sft, dpo, kto = (tree.find(name) for name in ("sft", "dpo", "kto"))
    assert sft is not None
    assert dpo is not None
    assert kto is not None
    assert [(found.name, found.value, found.was) for found in sft.held_out] == [("knows", 0.75, None)]
    assert ("knows", 0.5, 0.75) in [(found.name, found.value, found.was) for found in dpo.held_out]
    assert kto.held_out == ()


def test_a_damaged_run_is_a_stage_with_a_problem(library: Library) -> None:
    put_family(library)
    record = read_json(library.runs / "kto" / "run.json")
    del record["spec"]["model"]["n_layer"]
    record["spec"]["model"]["strange"] = 1
    atomic_write_json(library.runs / "kto" / "run.json", record)
    tree = stage_tree(library.list_runs(), "other")
    assert [stage.name for stage in tree.stages] == ["other"]
    broken = stage_tree(library.list_runs(), "kto").find("kto")
    assert broken is not None
    assert broken.problem
    assert not broken.has_model
