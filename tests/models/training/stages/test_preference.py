"""Runs that learn from pairs: a reward model, DPO and KTO."""

from __future__ import annotations

import dataclasses
import errno
import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from terrarium.models.alignment.pairs import Pairs
from terrarium.models.alignment.reward_model import score_batch, scores_of
from terrarium.models.corpora.corpus import Corpus, build_examples_corpus
from terrarium.models.events import Blocked, Noted, Notice, TrainMetrics, ValMetrics
from terrarium.models.interop.loading import load_model
from terrarium.models.library.library import Library
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.align_spec import AlignSpec, usual_align, usual_align_train
from terrarium.models.settings.spec_file import load_spec, write_spec
from terrarium.models.tokenizers import read_tokenizer
from terrarium.models.tokenizers.special_tokens import end_id
from terrarium.models.training.prepare import prepare_run
from terrarium.models.training.stages.preference import PairOutcome, RewardObjective, unbalanced
from terrarium.models.training.trainer import Trainer
from tests.models.training.stages.support import (
    figures,
    make_pairs,
    make_rated,
    pair,
    rows_of,
    run_of,
    spec_of,
    train_in_two,
)
from tests.models.training.support import final_weights, result_of, train


def test_a_reward_model_learns_to_tell_better_replies(library: Library, parent: RunFolder) -> None:
    make_pairs(library)
    run = run_of(library, parent, {"stage": "reward"}, "pairs", steps=30, eval_interval=30, sample_interval=30)
    events = train(run, library)
    before, after = figures(events, validation=True)
    assert after["accuracy"] == 1.0
    assert after["loss"] < 0.2 < before["loss"]
    assert after["margin"] > 1 > abs(after["mean_reward"]), "scores are centred"
    assert after["confidence"] > 0.8
    assert "accuracy/clear" not in after, "these pairs name no wish"
    assert run.spec.model.head == "sequence"
    assert run.spec.model.n_label == 1
    assert [event.metric for event in events if isinstance(event, ValMetrics)] == ["accuracy"] * 2
    model, _ = load_model(run.folder)
    assert model.config.head == "sequence"


def test_a_reward_model_reads_a_reply_to_its_end_and_no_padding(library: Library, parent: RunFolder) -> None:
    corpus = make_pairs(library)
    run = run_of(library, parent, {"stage": "reward"}, "pairs", steps=1)
    train(run, library)
    model, tokenizer = load_model(run.folder)
    assert tokenizer is not None
    pairs = Pairs(corpus, "train", tokenizer)
    result_of(pairs.read(128))
    texts = [(*pairs[i].prompt, *pairs[i].chosen) for i in range(4)]
    assert {text[-1] for text in texts} == {end_id(tokenizer)}
    together = scores_of(model, score_batch(texts)).tolist()
    alone = [scores_of(model, score_batch([text])).item() for text in texts]
    assert together == pytest.approx(alone, abs=1e-6)
    longer = scores_of(model, score_batch([texts[0], (*texts[0], 5, 6, 7, 8, 9, 10, 11)]))
    assert longer[0].item() == pytest.approx(alone[0], abs=1e-6)
    assert longer[1].item() != pytest.approx(alone[0], abs=1e-6)


def test_pairs_of_which_one_is_as_wished_are_counted_apart(library: Library, parent: RunFolder) -> None:
    rows = [pair(i, "ab ba", "ba ab" if i % 2 else "b", wish="mentions", topic=["ab"]) for i in range(4)]
    corpus = build_examples_corpus(library, rows, rows, "wished", None, task="preference")
    pairs = Pairs(corpus, "val", read_tokenizer(parent.tokenizer_file), judges=True)
    result_of(pairs.read(128))
    some = pairs.spread(4)
    assert [each.is_clear for each in some] == [True, False, True, False]
    scores = torch.tensor([[1.0, 0.0, 1.0, 0.0], [0.0, 1.0, 2.0, 1.0]])
    model, _ = load_model(parent.folder)
    objective = RewardObjective(SimpleNamespace(model=model), AlignSpec(stage="reward"))
    found = objective.figures(some, PairOutcome(losses=scores[0], scores=scores, batches=[]))
    assert (found["accuracy"], found["accuracy/clear"]) == (0.25, 0.5)
    plain = Pairs(corpus, "val", read_tokenizer(parent.tokenizer_file))
    result_of(plain.read(128))
    assert plain[0].is_clear is None


def test_dpo_starts_at_ln_2_and_learns(library: Library, parent: RunFolder) -> None:
    make_pairs(library, wish="mentions", topic=["aaa", "b", "c"])
    run = run_of(library, parent, {"stage": "dpo"}, "pairs", steps=20, eval_interval=20, batch_size=8)
    events = train(run, library)
    first = figures(events)[0]
    losses = [event.loss for event in events if isinstance(event, TrainMetrics)]
    assert losses[0] == pytest.approx(math.log(2), abs=1e-6)
    assert first["rewards/margins"] == first["logps/chosen_change"] == 0
    before, after = figures(events, validation=True)
    assert before["kl"] == 0 < after["kl"]
    assert after["rewards/accuracies"] == 1.0
    assert after["rewards/margins"] > 0.5
    assert after["loss"] < 0.5 < before["loss"]
    assert "completions/clipped_ratio" in after, "what it replies is measured where the prompts name a wish"
    assert [event.metric for event in events if isinstance(event, ValMetrics)] == ["reward"] * 2


def test_dpo_can_hold_the_likelihood_of_what_is_chosen(library: Library, parent: RunFolder) -> None:
    make_pairs(library)
    ends = []
    for weight in (0.0, 1.0):
        align = {"stage": "dpo", "nll_weight": weight, "beta": 2.0}
        run = run_of(library, parent, align, "pairs", steps=10, eval_interval=10, batch_size=8)
        ends.append(figures(train(run, library), validation=True)[-1])
    assert ends[1]["logps/chosen_change"] > ends[0]["logps/chosen_change"] + 0.1
    assert ends[1]["rewards/accuracies"] == 1.0


def test_kto_learns_from_each_reply_by_itself(library: Library, parent: RunFolder) -> None:
    make_pairs(library)
    run = run_of(library, parent, {"stage": "kto"}, "pairs", steps=20, eval_interval=20, batch_size=8)
    events = train(run, library)
    losses = [event.loss for event in events if isinstance(event, TrainMetrics)]
    assert losses[0] == pytest.approx(0.5, abs=1e-6)
    after = figures(events, validation=True)[-1]
    assert after["rewards/chosen"] > 0 > after["rewards/rejected"]
    assert after["rewards/accuracies"] == 1.0


def test_kto_reads_what_fits_of_a_reply_after_another_prompt(library: Library, parent: RunFolder) -> None:
    rows = [pair(i, "a" * (90 - 80 * (i % 2)), "b") for i in range(8)]
    for row in rows[1::2]:
        row["messages"][0]["content"] += "?" * 80
    build_examples_corpus(library, rows[:6], rows[6:], "long and short", None, task="preference")
    events = train(run_of(library, parent, {"stage": "kto"}, "long and short", steps=2, eval_interval=1), library)
    assert all(math.isfinite(each["kl_mismatched"]) for each in figures(events))


def rated_run(library: Library, parent: RunFolder, align: dict[str, Any] | None = None, **settings: Any) -> RunFolder:
    """KTO from replies that were rated by themselves."""
    spec = spec_of(library, parent, {"stage": "kto", **(align or {})}, "rated", **settings)
    spec = dataclasses.replace(spec, data=dataclasses.replace(spec.data, task="unpaired"))
    return result_of(prepare_run(library, spec))


def test_kto_learns_from_lone_thumbs(library: Library, parent: RunFolder) -> None:
    make_rated(library, wish="mentions", topic=["aaa", "b", "c"])
    run = rated_run(library, parent, steps=20, eval_interval=20, batch_size=8)
    events = train(run, library)
    losses = [event.loss for event in events if isinstance(event, TrainMetrics)]
    assert losses[0] == pytest.approx(0.5, abs=1e-6)
    before, after = figures(events, validation=True)
    assert before["rewards/accuracies"] == 0.0, "nothing has moved"
    assert after["rewards/chosen"] > 0 > after["rewards/rejected"]
    assert after["rewards/accuracies"] == 1.0
    assert "completions/clipped_ratio" in after, "what it replies is measured where the prompts name a wish"
    assert not any(isinstance(event, Notice) and "called good" in event.sentence for event in events)


def test_kto_from_thumbs_resumes_exactly(library: Library, parent: RunFolder) -> None:
    make_rated(library)
    whole, parts = (rated_run(library, parent, eval_interval=3, grad_accum_steps=5) for _ in range(2))
    train(whole, library)
    train_in_two(parts, library)
    assert rows_of(parts) == rows_of(whole)
    expected = final_weights(whole)
    assert all(torch.equal(weight, expected[name]) for name, weight in final_weights(parts).items())


def test_unbalanced_thumbs_are_named_with_the_weights_that_balance_them(library: Library, parent: RunFolder) -> None:
    make_rated(library, n_good=40, n_bad=10)
    [notice] = [event for event in train(rated_run(library, parent, steps=1), library) if isinstance(event, Notice)]
    assert notice.sentence == (
        "40 replies were called good, and 10 bad. So that both weigh about the same, set align.desirable_weight to "
        "between 0.25 and 0.33; it is 1."
    )
    events = train(rated_run(library, parent, {"desirable_weight": 0.3}, steps=1), library)
    assert not any(isinstance(event, Notice) for event in events)
    assert unbalanced(3, 0, AlignSpec(stage="kto", beta=0.1)).startswith("All 3 replies were called good")


def test_rated_replies_that_are_none(library: Library, parent: RunFolder) -> None:
    make_rated(library)
    spec = spec_of(library, parent, {"stage": "dpo"}, "rated")
    of_thumbs = dataclasses.replace(spec.data, task="unpaired")
    with pytest.raises(ValueError, match="The stage dpo learns from preferences, and from nothing else"):
        dataclasses.replace(spec, data=of_thumbs)
    row = {"messages": [{"role": "user", "content": "Say"}], "completion": "a", "label": True}
    for changes, sentence in (
        ({"completion": " "}, "completion is empty"),
        ({"label": 1}, "label must be true"),
        ({"messages": []}, "do not end with the user"),
    ):
        build_examples_corpus(library, [row | changes] * 2, [row], f"not {sentence}", None, task="unpaired")
        spec = spec_of(library, parent, {"stage": "kto"}, f"not {sentence}")
        with pytest.raises(ValueError, match=sentence):
            result_of(
                prepare_run(library, dataclasses.replace(spec, data=dataclasses.replace(spec.data, task="unpaired")))
            )


@pytest.mark.parametrize("stage", ["simpo", "orpo"])
def test_pairs_are_learned_without_a_reference(library: Library, parent: RunFolder, stage: str) -> None:
    make_pairs(library, wish="mentions", topic=["aaa", "b", "c"])
    settings: dict[str, Any] = {"steps": 20, "eval_interval": 20, "batch_size": 8}
    run = run_of(library, parent, usual_align(stage), "pairs", **settings)
    before, after = figures(train(run, library), validation=True)
    assert after["rewards/accuracies"] == 1.0
    assert after["rewards/margins"] > before["rewards/margins"]
    assert after["loss"] < before["loss"]
    assert before["kl"] == 0 < after["kl"], "what it replies is measured against its parent all the same"
    assert "logps/chosen_change" not in after


@pytest.mark.parametrize("stage", ["dpo", "kto", "orpo"])
def test_ties_move_nothing_at_the_start(library: Library, parent: RunFolder, stage: str) -> None:
    make_pairs(library, choice="tie")
    run = run_of(library, parent, {"stage": stage}, "pairs", steps=2)
    train(run, library)
    before = final_weights(parent)
    assert all(torch.equal(weight, before[name]) for name, weight in final_weights(run).items())


@pytest.mark.parametrize("stage", ["reward", "dpo", "kto", "simpo", "orpo"])
def test_resumes_exactly(library: Library, parent: RunFolder, stage: str) -> None:
    make_pairs(library)
    settings: dict[str, Any] = {"eval_interval": 3, "grad_accum_steps": 5}
    whole, parts = (run_of(library, parent, {"stage": stage}, "pairs", **settings) for _ in range(2))
    train(whole, library)
    train_in_two(parts, library)
    assert rows_of(parts) == rows_of(whole)
    expected = final_weights(whole)
    assert all(torch.equal(weight, expected[name]) for name, weight in final_weights(parts).items())


def test_beta_is_set_while_it_trains_and_kept(library: Library, parent: RunFolder) -> None:
    make_pairs(library)
    run = run_of(library, parent, {"stage": "dpo"}, "pairs")
    trainer, noted = Trainer(run, library, device="cpu"), []
    for event in trainer.events():
        if isinstance(event, TrainMetrics) and event.step == 2:
            trainer.set_beta(0.7)
            with pytest.raises(ValueError, match="β of 0"):
                trainer.set_beta(0)
            with pytest.raises(ValueError, match="must lie between"):
                trainer.set_beta(-1)
        if isinstance(event, Noted) and event.event == "beta":
            noted.append(event.detail)
            trainer.request_stop()
    assert noted == ["set to 0.7 from here on"]
    assert [row["kl_coef"] for row in figures(train(run, library))] == [0.7] * 4
    reward = run_of(library, parent, {"stage": "reward"}, "pairs")
    with pytest.raises(ValueError, match="has no KL weight"):
        Trainer(reward, library).set_beta(0.1)


def test_nothing_of_the_steering_is_lost_on_a_full_disk(
    library: Library, parent: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mark of the first change is written, that of the second only when there is room again: both are said once."""
    make_pairs(library)
    run = run_of(library, parent, {"stage": "dpo"}, "pairs")
    trainer, noted, is_full = Trainer(run, library, device="cpu"), list[str](), [True]
    append = RunFolder.append_event

    def append_event(folder: RunFolder, event: str, step: int, detail: str = "") -> None:
        if event == "beta" and is_full[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        append(folder, event, step, detail)

    monkeypatch.setattr(RunFolder, "append_event", append_event)
    for event in trainer.events():
        if isinstance(event, TrainMetrics) and event.step == 2:
            trainer.set_lr(0.5)
            trainer.set_beta(0.7)
        if isinstance(event, Blocked):
            is_full[0] = False
        if isinstance(event, Noted) and event.event in ("learning rate", "beta"):
            noted.append(event.event)
    assert not is_full[0]
    assert noted == ["learning rate", "beta"]
    marks = [row["event"] for row in run.read_events()]
    assert [marks.count(event) for event in noted] == [1, 1]


def test_it_does_not_matter_how_many_pairs_stay_encoded(
    library: Library, parent: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [pair(i, "a" * (150 if i == 3 else 5 + i), "b") for i in range(12)]
    corpus = build_examples_corpus(library, rows[:8], rows[8:], "kept", None, task="preference")
    found = []
    for limit in (0, 60, 10**6):
        monkeypatch.setattr("terrarium.models.alignment.pairs._MAX_KNOWN", limit)
        read = Pairs(corpus, "train", read_tokenizer(parent.tokenizer_file))
        result_of(read.read(128))
        found.append([read[i] for i in range(len(read))])
    assert found[0] == found[1] == found[2]
    assert len(found[0]) == 7


def test_pairs_that_do_not_fit_are_left_out_and_counted(library: Library, parent: RunFolder) -> None:
    rows = [pair(i, "a" * (150 if i == 3 else 5), "b") for i in range(12)]
    build_examples_corpus(library, rows[:8], rows[8:], "long", None, task="preference")
    events = train(run_of(library, parent, {"stage": "dpo"}, "long", steps=1, eval_interval=1), library)
    said = [event.sentence for event in events if isinstance(event, Notice)]
    assert "1 of 8 pairs (train) are longer than the context, and are left out." in said


Row = dict[str, Any]


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        (pair(1, "same", "same "), r"train.jsonl, row 2: chosen and rejected are the same reply"),
        (pair(1, "  ", "b"), r"row 2: chosen is empty, so there is nothing to compare"),
        (pair(1, "a", ""), r"row 2: rejected is empty"),
        (pair(1, "a", "b", choice="both"), r"row 2: choice is 'both': write"),
        (pair(90, "a", "b"), r"row 2: its prompt is also in the validation, in row 1"),
        ({**pair(1, "a", "b"), "messages": []}, r"row 2: its messages do not end with the user"),
        ({**pair(1, "a", "b"), "messages": [{"role": "user"}]}, r"row 2: A message needs a role"),
        ({**pair(1, "a", "b"), "messages": "Hi"}, r"row 2: messages must be a list"),
        ({**pair(1, "a", "b"), "chosen": 3}, r"row 2: chosen must be a text, not 3"),
        ({"messages": [], "chosen": "a"}, r"row 2: it has no column 'rejected'"),
    ],
)
def test_rows_that_say_nothing_are_refused(library: Library, parent: RunFolder, row: Row, sentence: str) -> None:
    build_examples_corpus(library, [pair(0, "a", "b"), row], [pair(90, "a", "b")], "bad", None, task="preference")
    with pytest.raises(ValueError, match=sentence):
        run_of(library, parent, {"stage": "dpo"}, "bad")
    assert not list(library.runs.glob("*aligned*")), "nothing is half made"


def test_settings_that_cannot_be_are_refused(library: Library, parent: RunFolder) -> None:
    make_pairs(library)
    with pytest.raises(ValueError, match="With a β of 0 DPO learns nothing"):
        AlignSpec(stage="dpo")
    with pytest.raises(ValueError, match=r"must lie between 0\.0 and 100"):
        AlignSpec(stage="kto", beta=-0.1)
    with pytest.raises(ValueError, match="cannot be divided into 9 minibatches"):
        AlignSpec(stage="ppo", n_prompts=4, n_replies=2, n_minibatches=9)
    with pytest.raises(ValueError, match="KTO reads each reply after another prompt"):
        spec_of(library, parent, {"stage": "kto"}, "pairs", batch_size=1)
    spec = spec_of(library, parent, {"stage": "dpo"}, "pairs")
    with pytest.raises(ValueError, match="The stage grpo learns from prompts"):
        dataclasses.replace(spec, align=AlignSpec())
    rows = [pair(i, "a" * 200, "b") for i in range(3)]
    build_examples_corpus(library, rows[:2], rows[2:], "long", None, task="preference")
    with pytest.raises(ValueError, match="longer than the context of 128 tokens"):
        train(run_of(library, parent, {"stage": "dpo"}, "long"), library)


def test_a_spec_file_has_the_usual_settings_of_its_stage(library: Library, parent: RunFolder, tmp_path: Path) -> None:
    path = tmp_path / "dpo.toml"
    path.write_text(
        f'[data]\nsource = "dataset"\ndataset = "pairs"\ntask = "preference"\n[tune]\nparent = "{parent.folder}"\n'
        '[align]\nstage = "dpo"\nlabel_noise = 0.1\n'
    )
    spec = load_spec(path)
    assert spec.align == AlignSpec(stage="dpo", beta=0.1, label_noise=0.1)
    assert spec.train.lr == usual_align_train("dpo")["lr"]
    write_spec(path, spec)
    assert load_spec(path) == spec
    assert json.loads(json.dumps(spec.to_dict()))["align"]["label_noise"] == 0.1


def test_pairs_of_a_step_depend_on_its_number_alone(library: Library, parent: RunFolder) -> None:
    corpus: Corpus = make_pairs(library)
    make: Callable[[], Pairs] = lambda: Pairs(corpus, "train", read_tokenizer(parent.tokenizer_file), seed=3)  # noqa: E731
    first, again = make(), make()
    for pairs in (first, again):
        result_of(pairs.read(128))
    steps = [first.of_step(step, 16) for step in range(5)]
    assert again.of_step(3, 16) == steps[3]
    assert sorted(each.chosen for step in steps for each in step)[::2] == sorted(
        first[i].chosen for i in range(len(first))
    ), "two epochs of 40 in five steps of 16"
