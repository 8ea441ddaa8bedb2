"""PPO in a run, by the judge of a wish and by a reward model, which GRPO can learn from too."""

from __future__ import annotations

import dataclasses
import math
import shutil
import time
from collections.abc import Callable
from typing import Any

import pytest
import torch

from terrarium.models.alignment import reward_model
from terrarium.models.alignment.pairs import EncodedPair, Pairs
from terrarium.models.alignment.reward_model import RewardModel, check_reward_model
from terrarium.models.chat.own_template import encode_messages
from terrarium.models.corpora.corpus import build_examples_corpus, open_run_corpus
from terrarium.models.events import Notice, TrainMetrics
from terrarium.models.interop.loading import load_model
from terrarium.models.library.library import Library
from terrarium.models.runs.fork import fork_run, spec_like
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.align_spec import AlignSpec, usual_align
from terrarium.models.tokenizers import read_tokenizer
from terrarium.models.training.stages import parent_draws
from terrarium.models.training.stages.ppo import make_experience
from terrarium.models.training.trainer import Trainer, prepare_run
from tests.models.training.stages.support import (
    CONFIG,
    figures,
    make_pairs,
    rows_of,
    run_of,
    share_of_a,
    spec_of,
    train_in_two,
)
from tests.models.training.support import final_weights, fork, make_run, result_of, train, train_alone

Reward = Callable[[Callable[[str], float]], None]


@pytest.fixture(scope="module")
def trained_scorer(tmp_path_factory: pytest.TempPathFactory, trained_at_once: Callable[..., RunFolder]) -> RunFolder:
    """A reward model that likes the letter a, trained once."""
    library = Library(tmp_path_factory.mktemp("scorer"))
    make_pairs(library)
    run = run_of(library, trained_at_once(CONFIG, steps=6), {"stage": "reward"}, "pairs", steps=20)
    train(run, library)
    return run


@pytest.fixture
def scorer(library: Library, trained_scorer: RunFolder) -> RunFolder:
    """A copy of it in the library."""
    return RunFolder.open(shutil.copytree(trained_scorer.folder, library.runs / trained_scorer.id))


def test_what_is_rewarded_becomes_likelier(library: Library, parent: RunFolder, reward: Reward) -> None:
    reward(share_of_a)
    run = run_of(
        library, parent, {"stage": "ppo", "n_prompts": 8, "max_kl": 0.0, "critic_lr": 0.02}, steps=16, eval_interval=16
    )
    events = train(run, library)
    held_out, steps = figures(events, validation=True), figures(events)
    assert held_out[1]["reward"] > 3 * held_out[0]["reward"] > 0
    assert steps[0]["kl"] == steps[0]["objective/kl"] == 0
    assert steps[0]["val/n_updates"] == 4
    assert steps[-1]["objective/scores"] > 3 * steps[0]["objective/scores"]
    assert all(step["sampling/logp_difference"] < 1e-4 for step in steps), "what is learned from was drawn by the model"
    assert steps[0]["val/explained_variance"] == pytest.approx(0, abs=1e-6), "a new critic expects nothing"
    assert steps[1]["val/explained_variance"] != 0, "then it learns"
    assert all(event.peak_share and event.peak_share > 0 for event in events if isinstance(event, TrainMetrics))
    assert RunFolder.open(run.folder).best_step == 16


def test_the_first_minibatch_has_a_ratio_of_1(library: Library, parent: RunFolder, reward: Reward) -> None:
    reward(lambda reply: len(reply) / 10)
    align = {"stage": "ppo", "n_epochs": 1, "n_minibatches": 1}
    steps = figures(train(run_of(library, parent, align, steps=2), library))
    assert [step["val/ratio"] for step in steps] == pytest.approx([1.0, 1.0], abs=1e-5)
    assert [step["policy/approxkl_avg"] for step in steps] == pytest.approx([0.0, 0.0], abs=1e-6)
    assert [step["policy/clipfrac_avg"] for step in steps] == [0, 0]


def test_a_step_without_signal_moves_no_weight(library: Library, parent: RunFolder, reward: Reward) -> None:
    reward(lambda reply: 1.0)
    run = run_of(library, parent, {"stage": "ppo", "beta": 0.1})
    events = train(run, library)
    before = final_weights(parent)
    assert all(torch.equal(weight, before[name]) for name, weight in final_weights(run).items())
    assert [step["val/n_updates"] for step in figures(events)] == [0] * 6


def test_passes_end_where_the_policy_is_far_from_the_one_that_drew(
    library: Library, parent: RunFolder, reward: Reward
) -> None:
    reward(share_of_a)
    align = {"stage": "ppo", "n_epochs": 10, "max_kl": 0.02}
    steps = figures(train(run_of(library, parent, align, steps=3), library))
    assert 0 < steps[0]["val/n_updates"] < 20


@pytest.mark.parametrize("align", [{"beta": 0.1}, {"n_epochs": 3, "n_minibatches": 1, "lam": 0.5}])
def test_resumes_exactly(library: Library, parent: RunFolder, reward: Reward, align: dict[str, Any]) -> None:
    reward(share_of_a)
    whole, parts = (
        run_of(library, parent, {"stage": "ppo", "max_tokens": 6, **align}, eval_interval=3) for _ in range(2)
    )
    train(whole, library)
    train_in_two(parts, library)
    assert rows_of(parts) == rows_of(whole)
    expected = final_weights(whole)
    assert all(torch.equal(weight, expected[name]) for name, weight in final_weights(parts).items())


@pytest.mark.slow
def test_killed_again_and_again_it_resumes_exactly(library: Library, parent: RunFolder) -> None:
    """What a process learns from that nobody can patch: replies that end by themselves earn more than others."""
    align = {"stage": "ppo", "end_penalty": 1.0, "max_tokens": 30, "beta": 0.05}
    whole, parts = (run_of(library, parent, align, steps=9, checkpoint_interval=2) for _ in range(2))
    steps = figures(train(whole, library))
    assert max(step["val/n_updates"] for step in steps) > 0
    for n_rows in (1, 4, 7):
        process = fork(train_alone, str(parts.folder), str(library.home))
        while process.is_alive() and n_of_rows(parts) < n_rows:
            time.sleep(0.001)  # a core is all it may have
        process.kill()
        process.join()
    train(parts, library)
    assert rows_of(parts) == rows_of(whole)
    expected = final_weights(whole)
    assert all(torch.equal(weight, expected[name]) for name, weight in final_weights(parts).items())


def n_of_rows(run: RunFolder) -> int:
    path = run.folder / "alignment.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


@pytest.mark.parametrize("stage", ["ppo", "grpo"])
def test_a_reward_model_is_learned_from_and_kept(
    library: Library, parent: RunFolder, scorer: RunFolder, stage: str
) -> None:
    align = {"stage": stage, "reward_model": scorer.id, "n_prompts": 16, "n_replies": 4, "max_kl": 0.0}
    settings: dict[str, Any] = {"steps": 16, "eval_interval": 16}  # enough for any seed to learn something
    whole, parts = (run_of(library, parent, align, **settings) for _ in range(2))
    assert whole.spec.align is not None
    assert whole.spec.align.reward_model.startswith(f"{scorer.id}@")
    assert whole.lineage["reward_model"]["run"] == scorer.id
    aside = scorer.folder.parent.parent / "elsewhere"
    shutil.move(scorer.folder, aside)  # nothing depends on it any more
    events = train(whole, library)
    before, after = figures(events, validation=True)
    assert after["reward"] > before["reward"] + 0.1, "in standard deviations of what the parent replies"
    assert abs(before["reward"]) < 1
    train_in_two(parts, library)
    assert rows_of(parts) == rows_of(whole)
    forked = fork_run(library, whole, 15)
    train(forked, library)
    assert rows_of(forked) == rows_of(whole)
    again = spec_like(library, whole)
    assert again.align is not None
    run = result_of(prepare_run(library, again))
    assert run.lineage["reward_model"]["run"] == scorer.id


def test_a_second_reward_model_is_asked_too(
    library: Library, parent: RunFolder, scorer: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parent_draws, "N_PROMPTS", 2)
    monkeypatch.setattr(parent_draws, "N_REPLIES", 8)
    make_pairs(library)
    other = run_of(library, parent, {"stage": "reward", "pairs_used": "even"}, "pairs", steps=4)
    train(other, library)
    align = {"stage": "ppo", "reward_model": scorer.id, "second_reward_model": other.id}
    whole = run_of(library, parent, align, steps=4, eval_interval=4, checkpoint_interval=2)
    lower = run_of(library, parent, align | {"reward_by": "lower"}, eval_interval=1, steps=1)
    alone = run_of(library, parent, {"stage": "ppo", "reward_model": scorer.id}, steps=4, eval_interval=4)
    assert whole.lineage["second_reward_model"]["run"] == other.id
    events = train(whole, library)
    held_out, steps = figures(events, validation=True), figures(events)
    assert all(step["reward_disagreement"] > 0 for step in [*held_out, *steps])
    expected = [step["reward"] for step in figures(train(alone, library))]
    assert [step["reward"] for step in steps] == expected, "it is only asked"
    start = figures(train(lower, library), validation=True)[0]
    assert start["reward_disagreement"] == held_out[0]["reward_disagreement"]
    lost = held_out[0]["reward"] - start["reward"]
    assert 0 < lost < start["reward_disagreement"], "what the first model gives above the second"

    shutil.rmtree(other.folder)
    forked = fork_run(library, whole, 2)
    train(forked, library)
    assert rows_of(forked) == rows_of(whole)
    again = spec_like(library, whole)
    assert again.align is not None
    assert again.align.second_reward_model == str(whole.folder / "reward-2")
    measured = [result_of(parent_draws.measure_parent(run, library, "cpu")) for run in (whole, lower)]
    of_first, of_lower = (curves.best_of[0].proxy for curves in measured)
    assert of_lower < of_first


def test_a_second_reward_model_needs_a_first() -> None:
    with pytest.raises(ValueError, match="is compared with the first one, and none is chosen"):
        AlignSpec(**usual_align("ppo"), second_reward_model="rm")


def test_every_other_pair_is_learned_from(library: Library, parent: RunFolder) -> None:
    make_pairs(library)
    corpus = open_run_corpus(library, run_of(library, parent, {"stage": "reward"}, "pairs"))
    tokenizer = read_tokenizer(parent.tokenizer_file)
    read: dict[str, list[EncodedPair]] = {}
    for used in ("all", "odd", "even"):
        pairs = Pairs(corpus, "train", tokenizer, used=used)
        result_of(pairs.read(CONFIG.context_length))
        read[used] = pairs.spread(1000)
    assert read["odd"] == read["all"][::2]
    assert read["even"] == read["all"][1::2]


def test_models_that_cannot_score_are_refused(library: Library, parent: RunFolder, scorer: RunFolder) -> None:
    with pytest.raises(ValueError, match="is no reward model, since it does not give a text one score"):
        run_of(library, parent, {"stage": "ppo", "reward_model": str(parent.folder)})
    with pytest.raises(ValueError, match="no-such-run"):
        run_of(library, parent, {"stage": "ppo", "reward_model": "no-such-run"})
    design, other = scorer.spec.model, make_run(library, CONFIG)
    _, tokenizer = load_model(scorer.folder)
    _, same = load_model(parent.folder)
    assert tokenizer is not None
    assert same is not None
    check_reward_model(design, tokenizer, parent.spec.model, same, "scorer")
    same.add_tokens(["<|new|>"])
    with pytest.raises(ValueError, match="'scorer' has another tokenizer than the model that it is to score"):
        check_reward_model(design, tokenizer, parent.spec.model, same, "scorer")
    longer = dataclasses.replace(other.spec.model, context_length=256)
    with pytest.raises(ValueError, match="'scorer' reads 128 tokens, but the model that it is to score has a context"):
        check_reward_model(design, tokenizer, longer, tokenizer, "scorer")


def test_a_reply_that_fills_the_context_is_scored(library: Library, parent: RunFolder, scorer: RunFolder) -> None:
    rows = [{"messages": [{"role": "user", "content": f"Say {i}"}]} for i in range(6)]
    build_examples_corpus(library, rows[:4], rows[4:], "say", None, task="prompts")
    prompt, _ = encode_messages(read_tokenizer(parent.tokenizer_file), rows[0]["messages"], add_generation_prompt=True)
    room = CONFIG.context_length - len(prompt)
    align = {"stage": "ppo", "reward_model": scorer.id, "max_tokens": room}
    steps = figures(train(run_of(library, parent, align, "say", steps=1), library))
    assert steps[0]["completions/clipped_ratio"] > 0
    with pytest.raises(ValueError, match="so no reply fits the context beside it"):
        train(run_of(library, parent, align | {"max_tokens": room + 1}, "say", steps=1), library)


def test_scores_that_say_nothing_are_refused(
    library: Library, parent: RunFolder, scorer: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_of(library, parent, {"stage": "ppo", "reward_model": scorer.id})
    with pytest.raises(ValueError, match="gives all replies the same score"):
        RewardModel(model=load_model(scorer.folder)[0]).standardised([1.0, 1.0])
    before = final_weights(scorer)
    monkeypatch.setattr(reward_model, "scores_of", lambda model, batch: torch.full((len(batch.inputs),), math.nan))
    with pytest.raises(ValueError, match="a score that is not a finite number"):
        train(run, library)
    assert not run.checkpoints()
    assert all(torch.equal(weight, before[name]) for name, weight in final_weights(scorer).items())


def test_a_reward_model_that_is_gone_from_the_run_is_named(
    library: Library, parent: RunFolder, scorer: RunFolder
) -> None:
    run = run_of(library, parent, {"stage": "ppo", "reward_model": scorer.id})
    shutil.rmtree(run.folder / "reward")
    with pytest.raises(ValueError, match="is missing, which holds the run's reward model: put it back"):
        train(run, library)


def test_a_parent_that_earns_nothing_or_never_ends_is_named(
    library: Library, parent: RunFolder, reward: Reward
) -> None:
    reward(lambda reply: 0.0)
    run = run_of(
        library, parent, {"stage": "ppo", "max_tokens": 1}, "Tiny World 0, wish happy", steps=1, eval_interval=1
    )
    trainer, said = Trainer(run, library, device="cpu"), []
    for event in trainer.events():
        if isinstance(event, Notice):
            said.append(event.sentence)
    assert any(
        "None of the 32 replies that the parent drew to validation prompts earned anything" in each for each in said
    )
    assert any(
        "The parent never ends its replies: all 32 that were drawn were cut at 1 tokens" in each for each in said
    )


def test_advantages_of_replies_of_different_lengths() -> None:
    generator = torch.Generator().manual_seed(1)
    lengths, lam = (3, 1, 5), 0.7
    rewards, values = ([torch.randn(n, generator=generator) for n in lengths] for _ in range(2))
    found = make_experience(values, values, rewards, lam)
    for reward, value, returns in zip(rewards, values, found.returns, strict=True):
        later = [*value[1:].tolist(), 0.0]
        deltas = [r + v_next - v for r, v, v_next in zip(reward.tolist(), value.tolist(), later, strict=True)]
        for t in range(len(reward)):
            wanted = sum(lam ** (i - t) * deltas[i] for i in range(t, len(reward)))
            assert float(returns[t] - value[t]) == pytest.approx(wanted, abs=1e-6)
    whole = torch.cat(list(found.advantages))
    assert float(whole.mean()) == pytest.approx(0, abs=1e-6)
    assert float(whole.var(unbiased=False)) == pytest.approx(1, abs=1e-4)


def test_a_wish_is_needed_where_there_is_no_reward_model(library: Library, parent: RunFolder) -> None:
    rows = [{"messages": [{"role": "user", "content": f"Say {i}"}]} for i in range(4)]
    build_examples_corpus(library, rows[:2], rows[2:], "plain", None, task="prompts")
    with pytest.raises(ValueError, match=r"choose a reward model \(align\.reward_model\)"):
        train(run_of(library, parent, {"stage": "ppo"}, "plain"), library)
    build_examples_corpus(library, rows, [], "no held-out ones", None, task="prompts")
    with pytest.raises(ValueError, match="'no held-out ones' has no prompts for validation: use another dataset"):
        train(run_of(library, parent, {"stage": "ppo"}, "no held-out ones"), library)
    assert spec_of(library, parent, {"stage": "ppo"}).align is not None
