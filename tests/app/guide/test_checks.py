"""The deeds: seen when they are done, not before, and not for something that was there already."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from terrarium.app.guide.checks import CHECKS, Check
from terrarium.app.guide.figures import FIGURES, WORDS, fill, fill_known, lookup
from terrarium.app.guide.window_state import (
    ModelFact,
    PairFact,
    ReplyFact,
    RunFact,
    SafetyFact,
    ScoredFact,
    SwitchedOffFact,
    TokenFact,
    TrainingFact,
    WindowState,
)
from terrarium.models.settings.presets import PRESETS

REPLY = ReplyFact(
    id="a", prompt="What is 2 + 2?", text="5", temperature=0.3, n_tokens=3, turn="5", is_right=False, probability=0.2
)
RUN = RunFact(id="r", name="run", status="finished", kind="mood", step=9, topology="encoder-only", position="none")
TRAINING = TrainingFact(name="t", run_id="r", is_over=False, status="running", step=1, total_steps=9, recipe="mood")
GROWN = dataclasses.replace(TRAINING, is_over=True, text_bits=1.9, text_table=2.0, is_text_learned=True)
PAIR = PairFact(texts=("a", "b"), encoder=("dog", "street"), decoder=("dog", "dog"), decoder_difference=0.0)
OFF = SwitchedOffFact(parts=("Layer 1, head 1",), are_heads=True, before=0.5, after=0.1)
LAYER_OFF = SwitchedOffFact(parts=("Layer 1",), are_heads=False, before=0.5, after=0.1)
MODEL = ModelFact(
    run_id="r",
    name="m",
    mode="talk",
    step=9,
    n_parameters=528_000,
    vocab_size=1024,
    context_length=256,
    accuracy=(("knowledge", 1.0), ("requests", 0.9), ("reading", 0.9), ("state", 0.8), ("sums", 0.02)),
)
FULL = WindowState(
    tokenizer="mine",
    vocab_size=1024,
    typed="un\nbelievable",
    n_tokens=4,
    design=PRESETS["gpt2-tiny"],
    n_parameters=800_000,
    runs=(
        dataclasses.replace(RUN, best_loss=3.4),
        dataclasses.replace(RUN, id="s", position="learned", best_loss=3.0),
    ),
    scored=ScoredFact(metric="accuracy", value=0.75, unseen=0.09),
    safety=SafetyFact(
        told_before=0.97, told_after=0.02, told_when_begun=0.4, over_refused=0.0, over_refused_without=0.8
    ),
    model=MODEL,
    replies=(REPLY,),
    token=TokenFact(word=" sad", probability=0.31),
    head="Layer 2, head 1",
    switched_off=OFF,
    pair=PAIR,
    machine_step=40,
    n_judged=10,
    exported=("mine.gguf",),
    training=GROWN,
)


def facts(**changes: Any) -> WindowState:
    return WindowState(**changes)


@pytest.mark.parametrize(
    ("check", "done", "not_done"),
    [
        (("at", {"place": "chat"}), [facts(places=frozenset({"chat"}))], [facts(places=frozenset({"data"}))]),
        (("replied", {}), [facts(replies=(REPLY,))], [facts()]),
        (("replied", {"contains": "IS 2"}), [facts(replies=(REPLY,))], []),
        (("replied", {"contains": "4"}), [], [facts(replies=(REPLY,))]),
        (("replied", {"hotter_than": 0.2}), [facts(replies=(REPLY,))], []),
        (("replied", {"hotter_than": 0.3}), [], [facts(replies=(REPLY,))]),
        (("replied", {"answer": "wrong"}), [facts(replies=(REPLY,))], []),
        (("replied", {"answer": "right"}), [], [facts(replies=(REPLY,))]),
        (
            ("replied", {"branch": True}),
            [facts(replies=(dataclasses.replace(REPLY, is_branch=True),))],
            [facts(replies=(REPLY,))],
        ),
        (("token_chosen", {}), [facts(token=TokenFact(word="a", probability=0.9))], [facts(token=TokenFact(word="a"))]),
        (
            ("token_chosen", {"below": 0.5}),
            [facts(token=TokenFact(word="a", probability=0.4))],
            [facts(token=TokenFact(word="a", probability=0.6)), facts()],
        ),
        (("head_chosen", {}), [facts(head="Layer 1, head 1")], [facts()]),
        (("typed", {"text": "UNABLE"}), [facts(typed="unable ", n_tokens=2)], [facts(typed="unable x", n_tokens=3)]),
        (("typed", {"one_word": True}), [facts(typed="a", n_tokens=1)], [facts(typed="a b", n_tokens=3), facts()]),
        (("typed", {"at_least": 3}), [facts(typed="a", n_tokens=3)], [facts(typed="a", n_tokens=2)]),
        (("tokenizer_made", {}), [facts(tokenizers=("a",))], [facts()]),
        (
            ("design_is", {"slots": {"position": "learned"}}),
            [facts(design=PRESETS["gpt2-tiny"])],
            [facts(design=PRESETS["llama-tiny"]), facts()],
        ),
        (
            ("run_started", {}),
            [facts(training=TRAINING)],
            [facts(), facts(training=dataclasses.replace(TRAINING, is_over=True))],
        ),
        (("run_started", {"kind": "mood"}), [facts(training=TRAINING)], []),
        (("run_started", {"kind": "code"}), [], [facts(training=TRAINING)]),
        (
            ("run_started", {"kind": "mood"}),
            [facts(training=dataclasses.replace(TRAINING, run_id=""))],  # it measures before its first run
            [facts(training=dataclasses.replace(TRAINING, run_id="", recipe="code"))],
        ),
        (
            ("run_started", {"kind": "quickstart"}),
            [facts(training=dataclasses.replace(TRAINING, is_quickstart=True))],
            [facts(training=TRAINING)],
        ),
        (
            ("text_learned", {}),
            [facts(training=GROWN), facts(training=dataclasses.replace(GROWN, is_over=False))],  # the queue goes on
            [facts(training=dataclasses.replace(GROWN, is_text_learned=False)), facts()],
        ),
        (("run_finished", {}), [facts(runs=(RUN,))], [facts(runs=(dataclasses.replace(RUN, status="stopped"),))]),
        (("run_finished", {"kind": "mood"}), [facts(runs=(RUN,))], [facts(runs=(RUN,), training=TRAINING)]),
        (("run_finished", {"kind": "code"}), [], [facts(runs=(RUN,))]),
        (("dataset_made", {}), [facts(datasets=("a",))], [facts()]),
        (("run_finished", {"position": "none", "topology": "encoder-only"}), [facts(runs=(RUN,))], []),
        (("run_finished", {"position": "rope"}), [], [facts(runs=(RUN,))]),
        (
            ("run_finished", {"tuned": True}),
            [facts(runs=(dataclasses.replace(RUN, is_tuned=True),))],
            [facts(runs=(RUN,))],
        ),
        (
            ("run_finished", {"stage": "dpo"}),
            [facts(runs=(dataclasses.replace(RUN, align_stage="dpo"),))],
            [facts(runs=(RUN,))],
        ),
        (("switched_off", {}), [facts(switched_off=OFF), facts(switched_off=LAYER_OFF)], [facts()]),
        (("switched_off", {"head": True}), [facts(switched_off=OFF)], [facts(switched_off=LAYER_OFF), facts()]),
        (("pair_read", {}), [facts(pair=PAIR)], [facts()]),
        (
            ("pair_read", {"flips": True}),
            [facts(pair=PAIR)],
            [facts(pair=dataclasses.replace(PAIR, encoder=("a", "a")))],
        ),
        (
            ("went_back", {"at_most": 250}),
            [facts(machine_step=250, machine_last=500, places=frozenset({"training/run/machine"}))],
            [
                facts(machine_step=250, machine_last=500),
                facts(machine_step=251, machine_last=500, places=frozenset({"training/run/machine"})),
                facts(machine_step=200, machine_last=200, places=frozenset({"training/run/machine"})),
            ],
        ),
        (
            ("went_back", {"share": 0.25}),
            [facts(machine_step=50, machine_steps=200, machine_last=200, places=frozenset({"training/run/machine"}))],
            [facts(machine_step=51, machine_steps=200, machine_last=200, places=frozenset({"training/run/machine"}))],
        ),
        (("judged", {"n": 10}), [facts(n_judged=10)], [facts(n_judged=9)]),
        (("serving", {}), [facts(is_serving=True)], [facts()]),
        (("exported", {}), [facts(exported=("a.gguf",))], [facts()]),
    ],
    ids=lambda each: each[0] if isinstance(each, tuple) else "",
)
def test_deeds(check: tuple[str, dict[str, Any]], done: list[WindowState], not_done: list[WindowState]) -> None:
    name, arguments = check
    made: Check = CHECKS[name](**arguments)
    assert all(made.is_done(now, WindowState()) for now in done)
    assert not any(made.is_done(now, WindowState()) for now in not_done)


@pytest.mark.parametrize(
    ("name", "arguments", "now"),
    [
        ("replied", {}, facts(replies=(REPLY,))),
        ("token_chosen", {}, facts(token=TokenFact(word="a", probability=0.6))),
        ("head_chosen", {}, facts(head="a")),
        ("typed", {}, facts(typed="a", n_tokens=2)),
        ("tokenizer_made", {}, facts(tokenizers=("a",))),
        ("run_started", {}, facts(training=TRAINING)),
        ("run_finished", {}, facts(runs=(RUN,))),
        ("pair_read", {"new": True}, facts(pair=PAIR)),
        ("dataset_made", {}, facts(datasets=("a",))),
        ("judged", {"n": 1}, facts(n_judged=9)),
        ("text_learned", {}, facts(training=GROWN)),
    ],
)
def test_what_was_there_before_is_nobodys_deed(name: str, arguments: dict[str, Any], now: WindowState) -> None:
    assert CHECKS[name](**arguments).is_done(now, WindowState())
    assert not CHECKS[name](**arguments).is_done(now, now)


def test_figures_are_unknown_until_there_is_something_to_measure() -> None:
    for name in (*FIGURES, *WORDS):
        assert lookup(name, WindowState()) is None, name
        assert lookup(name, FULL), name
    assert fill("{{typed}}: {{n_tokens}}", WindowState()) is None
    assert fill("“{{typed}}”: {{n_tokens}} of {{vocab_size}}", FULL) == "“un believable”: 4 of 1,024"


def test_figures_as_they_are_written() -> None:
    written = {name: (lookup(name, FULL) or "").replace("\N{NO-BREAK SPACE}", " ") for name in FIGURES}
    assert written["uniform_share"] == "0.10 %"
    assert written["uniform_loss"] == "6.93"
    assert written["reply_probability"] == "20 %"
    assert written["token_probability"] == "31 %"
    assert (written["before_off"], written["after_off"]) == ("50 %", "10 %")
    assert written["decoder_difference"] == "0"
    assert (written["loss_none"], written["loss_learned"], written["order_gain"]) == ("3.40", "3.00", "0.40")
    assert (written["accuracy"], written["accuracy_sums"]) == ("90 %", "2.0 %")
    assert (lookup("run_scored", FULL) or "").replace("\N{NO-BREAK SPACE}", " ") == "Accuracy 75.0 %"
    of_group = dataclasses.replace(FULL, scored=ScoredFact(metric="accuracy", value=0.75, group="seen"))
    assert (lookup("run_scored", of_group) or "").startswith("Accuracy of “seen” 75.0")
    assert written["run_unseen"] == "9.0 %"
    assert written["model_parameters"] == "528 k"


def test_what_is_not_known_yet_is_left_open() -> None:
    text = "It has {{n_tokens}} tokens of {{vocab_size}}."
    assert fill_known(text, WindowState(n_tokens=4)) == "It has 4 tokens of …."
    assert fill(text, WindowState(n_tokens=4)) is None
