"""Evaluation during training: layer updates, attention in pinned prompts, early stopping."""

import dataclasses
import json
import math

import pytest
import torch

from terrarium.models.architecture.transformer import build_model
from terrarium.models.design import operations
from terrarium.models.events import AttentionSeen, Event, Finished, LayerMetrics, SampleMade, TrainMetrics, ValMetrics
from terrarium.models.library.library import Library
from terrarium.models.library.run_record import inspect_run
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.presets import PRESETS
from terrarium.models.training.checkpoint import read_checkpoint
from terrarium.models.training.evaluator import MAX_PROMPT_TOKENS, capture_attention
from terrarium.models.training.machine import memory_in_use, peak_matmul_flops
from terrarium.models.training.parallel.layout import Layout
from terrarium.models.training.proposal.longer import fork_longer
from terrarium.models.training.trainer import Trainer
from terrarium.models.training.update import UpdateRatios, layer_of
from tests.models.training.support import make_run, make_spec, numbers, train


@pytest.fixture
def tiny_config(tiny_config: ModelConfig) -> ModelConfig:
    """With two layers, of which each is measured."""
    return dataclasses.replace(tiny_config, n_layer=2)


def test_an_update_is_measured_layer_by_layer(tiny_config: ModelConfig) -> None:
    torch.manual_seed(0)
    model = build_model(tiny_config)
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    watch = UpdateRatios(Layout(model))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 1e-3)
    ratios = watch.ratios()
    assert {"embedding", "blocks.0", "blocks.1"} <= set(ratios)
    for layer, ratio in ratios.items():
        names = [name for name in before if layer_of(name) == layer]
        change = sum(float((model.get_parameter(name).detach() - before[name]).square().sum()) for name in names)
        length = sum(float(before[name].square().sum()) for name in names)
        assert ratio == pytest.approx(math.sqrt(change / length), rel=1e-4)


def test_layers_and_attention_are_logged_and_cut_at_a_resume(library: Library, tiny_config: ModelConfig) -> None:
    run = make_run(library, tiny_config, layer_interval=2, watched_layer=9)
    events = train(run, library)
    told = [event for event in events if isinstance(event, LayerMetrics)]
    rows = run.read_layers()
    assert [row["step"] for row in rows] == [event.step for event in told] == [2, 4, 6, 8, 10]
    assert [tuple(row["update_ratio"].items()) for row in rows] == [event.update_ratio for event in told]
    for row in rows[:-1]:
        assert all(0 < ratio < 1 for ratio in row["update_ratio"].values())
    assert set(rows[-1]["update_ratio"].values()) == {0.0}, "the schedule ends at no learning rate"
    seen = run.read_attention()
    assert [(row["step"], row["prompt"], row["site"]) for row in seen] == [
        (step, "Anna has", "blocks.1.attention") for step in (0, 3, 5, 6, 9, 10)
    ]
    heads = torch.tensor(seen[-1]["weights"])
    n = len(seen[-1]["ids"])
    assert heads.shape == (tiny_config.n_head, n, n)
    assert torch.allclose(heads.sum(-1), torch.ones(tiny_config.n_head, n), atol=0.01)
    assert not heads.triu(1).any(), "no head attends to later tokens"

    again = make_run(library, tiny_config, layer_interval=2, watched_layer=9)
    trainer = Trainer(again, library, device="cpu")
    for event in trainer.events():
        if isinstance(event, TrainMetrics) and event.step == 7:
            trainer.request_stop(keep=False)
    assert [row["step"] for row in again.read_layers()] == [2, 4, 6]
    train(again, library)
    assert again.read_layers() != rows, "they tell of times, too"
    for row, other in zip(again.read_layers(), rows, strict=True):
        assert row["update_ratio"] == other["update_ratio"]
    assert again.read_attention() == seen
    assert numbers(again) == numbers(run)


def test_a_requested_save_is_sampled_even_if_closed_in_between(library: Library, tiny_config: ModelConfig) -> None:
    prompts = ("Anna", "Ben")
    run = make_run(library, tiny_config, prompts=prompts, checkpoint_interval=100, sample_interval=100)
    trainer = Trainer(run, library, device="cpu")
    events = trainer.events()
    for event in events:
        if isinstance(event, TrainMetrics) and event.step == 4:
            trainer.save()
        if isinstance(event, SampleMade) and event.step == 4:
            events.close()
            break
    train(run, library)
    expected = [(step, prompt) for step in (0, 4, 10) for prompt in prompts]
    assert [(row["step"], row["prompt"]) for row in run.read_samples()] == expected
    assert [(row["step"], row["prompt"]) for row in run.read_attention()] == expected


@pytest.mark.parametrize(("preset", "site"), [("bert-tiny", "blocks.0"), ("t5-tiny", "encoder.blocks.0")])
def test_attention_of_other_topologies(library: Library, preset: str, site: str) -> None:
    config = dataclasses.replace(PRESETS[preset], n_layer=2, d_model=32, n_head=2, d_ff=64)
    run = make_run(library, config, steps=1, prompts=("Anna has 3 apples and Ben has many pears " * 2,))
    (first, _) = [event for event in train(run, library) if isinstance(event, AttentionSeen)]
    heads = torch.tensor(first.weights)
    assert first.site == f"{site}.attention"
    assert heads.shape == (2, MAX_PROMPT_TOKENS, MAX_PROMPT_TOKENS)
    assert heads.triu(1).any(), "every token sees every other"
    assert torch.allclose(heads.sum(-1), torch.ones(2, MAX_PROMPT_TOKENS), atol=0.01)


def test_capturing_attention_preserves_mode_and_random_state(library: Library, tiny_config: ModelConfig) -> None:
    run = make_run(library, tiny_config, steps=1)
    trainer = Trainer(run, library, device="cpu")
    list(trainer.events())
    model = trainer.model
    model.train()
    state = torch.get_rng_state()
    first = capture_attention(model, trainer.tokenizer, "Anna", step=1, layer=1, as_chat=False)
    assert model.training
    assert torch.equal(torch.get_rng_state(), state)
    assert first == capture_attention(model, trainer.tokenizer, "Anna", step=1, layer=1, as_chat=False)


def test_patience_stops_a_run_without_improvement(library: Library, tiny_config: ModelConfig) -> None:
    run = make_run(library, tiny_config, steps=60, eval_interval=2, patience=3, sample_interval=0)
    trainer, events = Trainer(run, library, device="cpu"), list[Event]()
    for event in trainer.events():
        events.append(event)
        if isinstance(event, TrainMetrics) and event.step == 6:
            trainer.set_lr(50)  # which spoils what it has learned
    losses = [event.loss for event in events if isinstance(event, ValMetrics)]
    assert events[-1] == Finished(run_id=run.id, status="stopped", step=2 * (len(losses) - 1))
    assert len(losses) < 25
    assert min(losses) == min(losses[:-3]) < min(losses[-3:])
    assert "early stop" in [row["event"] for row in run.read_events()]
    best = 2 * losses.index(min(losses))
    assert inspect_run(run.folder).early_stop == (
        f"It stopped at step {2 * (len(losses) - 1)}: 3 validations without a lower loss. "
        f"The best, of step {best}, is kept."
    )
    assert run.checkpoint_path(best).is_dir()
    again = train(run, library)
    assert again[-1] == Finished(run_id=run.id, status="stopped", step=2 * len(losses)), "goes on to the next look"


def test_one_that_is_trained_longer_gets_all_steps_asked_for(library: Library, tiny_config: ModelConfig) -> None:
    run = make_run(library, tiny_config, steps=60, eval_interval=2, patience=3, sample_interval=0, lr=1.0)
    ended = train(run, library)[-1]
    assert isinstance(ended, Finished)
    assert ended.status == "stopped", "at this rate, validations are soon no better"
    assert ended.step < 30
    more = fork_longer(library, run, 30)
    assert train(more, library)[-1] == Finished(run_id=more.id, status="finished", step=30)
    assert inspect_run(more.folder).early_stop == ""


def test_a_checkpoint_of_format_1_resumes(library: Library, tiny_config: ModelConfig) -> None:
    run = make_run(library, tiny_config)
    train(run, library)
    path = run.checkpoint_path(9)
    about = json.loads((path / "state.json").read_text())
    for name in ("lowest_loss", "n_since_lowest"):
        del about[name]
    (path / "state.json").write_text(json.dumps(about | {"format": 1}))
    state = read_checkpoint(path, build_model(run.spec.model)).state
    assert (state.step, state.lowest_loss, state.n_since_lowest) == (9, None, 0)


def test_the_share_of_peak_follows_from_the_measurements(library: Library, tiny_config: ModelConfig) -> None:
    run = make_run(library, tiny_config, steps=3)
    trainer = Trainer(run, library, device="cpu")
    rows = [event for event in trainer.events() if isinstance(event, TrainMetrics)]
    peak = trainer.context.peak_flops
    flops_per_token = 3 * sum(operations(tiny_config, 32).values()) / 32
    for row in rows:
        assert row.peak_share == pytest.approx(row.tokens_per_s * flops_per_token / peak, rel=1e-6)
        assert row.peak_share is not None
        assert 0 < row.peak_share < 1
    assert rows[0].memory_bytes is not None
    assert abs(rows[0].memory_bytes - memory_in_use(torch.device("cpu"))) < 500e6
    assert rows[1].memory_bytes is None
    assert peak_matmul_flops(torch.device("cpu"), torch.float32) > 1e8


def test_layer_settings_are_checked(library: Library, tiny_config: ModelConfig) -> None:
    with pytest.raises(ValueError, match="patience"):
        make_spec(library.home, tiny_config, patience=-1)
