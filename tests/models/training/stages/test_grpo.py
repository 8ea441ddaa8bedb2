"""GRPO in a run: it learns what is rewarded, moves nothing where nothing is, and resumes exactly."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from terrarium.models.events import TrainMetrics, ValMetrics
from terrarium.models.library.library import Library
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.align_spec import AlignSpec
from terrarium.models.settings.run_spec import RunSpec
from terrarium.models.training.estimates.forecast import forecast
from terrarium.models.training.stages import grpo, replies
from terrarium.models.training.trainer import Trainer
from tests.models.training.stages.support import figures, rows_of, run_of, share_of_a, spec_of, train_in_two
from tests.models.training.support import final_weights, result_of, train


def test_what_is_rewarded_becomes_likelier(library: Library, parent: RunFolder, reward: Callable[..., None]) -> None:
    reward(share_of_a)
    run = run_of(library, parent, {"n_prompts": 6, "n_replies": 8}, steps=16, eval_interval=16)
    events = train(run, library)
    held_out, steps = figures(events, validation=True), figures(events)
    assert held_out[1]["reward"] > 3 * held_out[0]["reward"] > 0
    assert steps[0]["kl"] == 0
    assert all(event.peak_share and event.peak_share > 0 for event in events if isinstance(event, TrainMetrics))
    assert "pass@1" not in steps[0], "a reward without a limit has no right replies"
    assert all(each["gold"] == 0 for each in held_out), "letters are no story"
    assert steps[-1]["kl"] > 0.1
    assert all(step["sampling/logp_difference"] < 1e-4 for step in steps), "what is learned from was drawn by the model"
    assert RunFolder.open(run.folder).best_step == 16
    validations = [event.metric_value for event in events if isinstance(event, ValMetrics)]
    assert validations == [each["reward"] for each in held_out]


def test_a_step_without_signal_moves_no_weight(
    library: Library, parent: RunFolder, reward: Callable[..., None]
) -> None:
    reward(lambda reply: 1.0)
    run = run_of(library, parent)
    events = train(run, library)
    before = final_weights(parent)
    assert all(torch.equal(weight, before[name]) for name, weight in final_weights(run).items())
    assert [event.grad_norm for event in events if isinstance(event, TrainMetrics)] == [0.0] * 6
    assert [step["frac_reward_zero_std"] for step in figures(events)] == [1.0] * 6


@pytest.mark.parametrize("align", [{"beta": 0.1}, {"beta": 0.1, "kl_in": "loss", "aggregate": "dapo"}])
def test_resumes_exactly(
    library: Library, parent: RunFolder, reward: Callable[..., None], align: dict[str, Any]
) -> None:
    reward(share_of_a)
    whole, parts = (run_of(library, parent, {"max_tokens": 6, **align}, eval_interval=3) for _ in range(2))
    train(whole, library)
    train_in_two(parts, library)
    assert rows_of(parts) == rows_of(whole)
    expected = final_weights(whole)
    assert all(torch.equal(weight, expected[name]) for name, weight in final_weights(parts).items())


def test_a_stop_where_a_validation_is_due_draws_no_replies(
    library: Library, parent: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn, draw_batch = list[int](), replies.draw_batch

    def counted(model: Any, prompts: Any, *rest: Any) -> Any:
        drawn.append(len(prompts))
        return draw_batch(model, prompts, *rest)

    monkeypatch.setattr(replies, "draw_batch", counted)
    trainer = Trainer(run_of(library, parent, eval_interval=3), library, device="cpu")
    for event in trainer.events():
        if isinstance(event, TrainMetrics) and event.step == 3:
            trainer.request_stop()
    assert drawn[1:] == [3, 3, 3], "after the validation before the first step"


def test_kl_in_the_loss_is_that_of_prompts_that_teach_something(
    library: Library, parent: RunFolder, reward: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    reward(lambda reply: float(len(reply) % 2))
    pulled, grpo_loss = list[bool](), grpo.grpo_loss

    def recorded(batch: Any, own: Any, old: Any, ref: Any, advantages: Any, betas: Any, align: AlignSpec) -> Any:
        has_signal = advantages.view(-1, 2).any(1, keepdim=True)
        assert torch.equal(betas.view(-1, 2), torch.full((3, 2), 0.5) * has_signal)
        pulled.extend(has_signal.flatten().tolist())
        return grpo_loss(batch, own, old, ref, advantages, betas, align)

    monkeypatch.setattr(grpo, "grpo_loss", recorded)
    train(run_of(library, parent, {"beta": 0.5, "kl_in": "loss", "n_replies": 2}), library)
    assert set(pulled) == {True, False}


@pytest.mark.parametrize("how", ["dr_grpo", "dapo", "grpo"])
def test_rows_in_parts_are_the_whole(
    library: Library,
    parent: RunFolder,
    reward: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    how: str,
) -> None:
    reward(share_of_a)
    ends = []
    for rows in (5, 64):
        monkeypatch.setattr(replies, "_MICRO_BATCH_SIZE", rows)
        run = run_of(library, parent, {"aggregate": how, "scale": "group"}, steps=2)
        norms = [event.grad_norm for event in train(run, library) if isinstance(event, TrainMetrics)]
        ends.append(norms)
    assert ends[0] == pytest.approx(ends[1], rel=1e-3)
    assert ends[0][0] > 0


@pytest.mark.parametrize("stage", ["ppo", "grpo"])
def test_a_reward_that_is_no_number_ends_the_training_with_what_was_learned_before(
    library: Library, parent: RunFolder, reward: Callable[..., None], stage: str
) -> None:
    reward(share_of_a)
    trainer = Trainer(run_of(library, parent, {"stage": stage}, checkpoint_interval=1, steps=3), library, device="cpu")
    events = trainer.events()
    while not isinstance(next(events), TrainMetrics):
        pass
    reward(lambda reply: math.nan)
    with pytest.raises(ValueError, match=r"earns a number that is not finite \(NaN or infinite\)"):
        list(events)
    run = RunFolder.open(trainer.run.folder)
    assert run.status == "failed"
    assert [path.name for path in run.checkpoints()] == ["step-00000001"]


def test_mistakes_are_sentences(library: Library, parent: RunFolder) -> None:
    with pytest.raises(ValueError, match="so no reply fits the context"):
        train(run_of(library, parent, {"max_tokens": 120}), library)
    known = library.list_runs()
    with pytest.raises(ValueError, match="leave no room for a prompt in 'small', whose context has 128 tokens"):
        run_of(library, parent, {"max_tokens": 128})
    assert library.list_runs() == known, "nothing is half written"
    with pytest.raises(ValueError, match=r"set train\.optimizer to adamw"):
        spec_of(library, parent, optimizer="muon", muon_lr=0.02)
    with pytest.raises(ValueError, match="set n_replies to 2 or more"):
        AlignSpec(n_replies=1)
    with pytest.raises(ValueError, match=r"choose one \(tune\.parent\)"):
        dataclasses.replace(spec_of(library, parent), tune=None)
    spec = spec_of(library, parent)
    with pytest.raises(ValueError, match="Prompts are learned from by an alignment"):
        dataclasses.replace(spec, align=None)
    with pytest.raises(ValueError, match="neither previewed nor measured"):
        result_of(forecast(library, spec, "cpu"))
    assert RunSpec.from_dict(spec.to_dict()) == spec
