"""A run stopped in any way resumes exactly as if it had not been stopped."""

import dataclasses
import json
import shutil
from collections.abc import Callable

import pytest
import safetensors.torch
import torch
from tokenizers import Tokenizer

from terrarium.models.architecture.transformer import AnyModel, build_model
from terrarium.models.events import Event, MicroStep, Notice, RunStarted, SampleMade, Saved, TrainMetrics, ValMetrics
from terrarium.models.files.atomic import DamagedError
from terrarium.models.inference.beam import beam_search
from terrarium.models.inference.generate import generate
from terrarium.models.inference.sampling import SamplingConfig
from terrarium.models.inspect.ablation import ModelPart, Survey, ablated_logits, generate_with_ablation, record_donor
from terrarium.models.inspect.attention import read_attention, read_window
from terrarium.models.inspect.embedding_map import pca_2d, tables
from terrarium.models.inspect.input_attribution import attribute
from terrarium.models.inspect.judging import judge
from terrarium.models.inspect.logit_attribution import contributions
from terrarium.models.inspect.logit_lens import read_lens
from terrarium.models.inspect.minimal_pair import read_pair
from terrarium.models.inspect.next_tokens import read_logits
from terrarium.models.inspect.read_text import Text, streams_of
from terrarium.models.inspect.readout import Readout
from terrarium.models.library.library import Library
from terrarium.models.runs.checkpoint_state import FORMAT
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.optimizers import OPTIMIZERS
from terrarium.models.settings.run_spec import TrainConfig
from terrarium.models.training.checkpoint import read_checkpoint
from terrarium.models.training.trainer import Trainer
from tests.models.training.support import assert_same_end, make_run, numbers, train

Trained = Callable[..., RunFolder]
Stopped = Callable[[Library, ModelConfig, int], RunFolder]


@pytest.fixture
def config(tiny_config: ModelConfig) -> ModelConfig:
    """With dropout, which draws random numbers in every micro-step."""
    return dataclasses.replace(tiny_config, dropout=0.1)


DEFAULT = TrainConfig().optimizer


@pytest.mark.parametrize(
    ("how", "optimizer", "stops"),
    [("stop", DEFAULT, (1, 4)), ("pause", DEFAULT, (5,)), ("close", DEFAULT, (4, 9)), ("discard", DEFAULT, (2, 5))]
    + [("stop", optimizer, (5,)) for optimizer in OPTIMIZERS if optimizer != DEFAULT],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_resume_is_exact(
    library: Library,
    config: ModelConfig,
    how: str,
    optimizer: str,
    stops: tuple[int, ...],
    trained_at_once: Trained,
) -> None:
    settings = {"optimizer": optimizer, "grad_accum_steps": 2, "keep_checkpoints": 9}
    reference, run = trained_at_once(config, **settings), make_run(library, config, **settings)
    for stop_at in stops:  # 4: a validation is due; 5: a sample; 9: a checkpoint
        trainer = Trainer(RunFolder.open(run.folder), library, device="cpu")
        events = trainer.events()
        for event in events:
            if isinstance(event, TrainMetrics) and event.step == stop_at:
                if how == "close":
                    events.close()
                    break
                trainer.request_stop(keep=how != "discard", status="paused" if how == "pause" else "stopped")
        torch.rand(5)  # nothing may depend on the global random state
    train(run, library)
    assert_same_end(run, reference)


def test_closing_between_micro_batches_loses_only_those(
    library: Library, config: ModelConfig, trained_at_once: Trained
) -> None:
    settings = {"grad_accum_steps": 2, "keep_checkpoints": 9}
    reference, run = trained_at_once(config, **settings), make_run(library, config, **settings)
    events = Trainer(run, library, device="cpu").events()
    for event in events:
        if isinstance(event, MicroStep) and (event.step, event.micro_step) == (8, 1):
            events.close()
            break
    assert run.latest_checkpoint() == run.checkpoint_path(7)
    assert RunFolder.open(run.folder).status == "paused"
    train(run, library)
    assert_same_end(run, reference)


def test_closing_between_two_samples_repeats_none(
    library: Library, config: ModelConfig, trained_at_once: Trained
) -> None:
    settings = {"prompts": ("Anna", "Ben", "and"), "keep_checkpoints": 9, "steps": 6, "checkpoint_interval": 5}
    reference, run = trained_at_once(config, **settings), make_run(library, config, **settings)
    for stop_after in ("Anna", "Ben", "and"):
        events = Trainer(RunFolder.open(run.folder), library, device="cpu").events()
        for event in events:
            if isinstance(event, SampleMade) and event.step == 5 and event.prompt == stop_after:
                events.close()
                break
    train(run, library)
    assert_same_end(run, reference)


def look_inside(model: AnyModel, tokenizer: Tokenizer) -> None:
    """What the window asks: attention, X-ray, lens, contributions, attribution, ablation, patching, the table's map,
    minimal pairs, judgements of replies, beams."""
    text, other = Text(ids=(5, 6, 7)), Text(ids=(8, 6, 7))
    read_lens(model, streams_of(model, text), [1, 2], [6, 7])
    contributions(model, streams_of(model, text), 2, [(9, None)])
    attribute(model, text, Readout(at=2), 9)
    ablated_logits(
        model,
        text,
        Readout(at=2),
        [[ModelPart("blocks.0.attention", 0)], [ModelPart("blocks.0")]],
        record_donor(model, other),
    )
    assert Survey(text, Readout(at=2), 9).measure_next(model)
    generate_with_ablation(model, text, [ModelPart("blocks.0.feed_forward")], None, 2, SamplingConfig(temperature=1.0))
    pca_2d(tables(model)["input"])
    assert list(read_attention(model, text.ids, (), range(5, 9)))
    assert list(read_window(model, text.ids, (), "self", range(2), range(3)))
    read_logits(model, text.ids)
    read_pair(model, tokenizer, ("to", "in"))
    judge(model, tokenizer, text.ids, other.ids)
    beam_search(model, text.ids, n_beam=2, max_tokens=2, start_id=-1, end_id=None)
    torch.autograd.grad(model.logits(model.hidden(torch.tensor([[5, 6, 7]]))).sum(), [model.embedding.weight])


def test_serving_others_between_events_changes_nothing(
    library: Library, config: ModelConfig, trained_at_once: Trained
) -> None:
    """A chat, all views into the model, and noise with the mode and the random state, between all events."""
    settings = {"grad_accum_steps": 2, "keep_checkpoints": 9}
    reference, run = trained_at_once(config, **settings), make_run(library, config, **settings)
    trainer = Trainer(run, library, device="cpu")
    served = 0
    for event in trainer.events():
        if isinstance(event, TrainMetrics | MicroStep | ValMetrics | Saved):
            sampling = SamplingConfig(temperature=1.0, seed=served, max_tokens=2)
            assert list(generate(trainer.model, trainer.tokenizer, [5, 6, 7], sampling))
            if served % 20 == 0:
                look_inside(trainer.model, trainer.tokenizer)
            trainer.model.eval()
            torch.rand(7)
            served += 1
    assert served > 20
    assert_same_end(run, reference)


def test_the_logs_are_truncated_to_the_checkpoint_on_resume(library: Library, config: ModelConfig) -> None:
    run = make_run(library, config)
    trainer = Trainer(run, library, device="cpu")
    for event in trainer.events():
        if isinstance(event, TrainMetrics) and event.step == 5:
            trainer.request_stop(keep=False)
    with (run.folder / "metrics.jsonl").open("a") as file:
        file.write('{"kind": "train", "st')  # what a kill leaves
    assert [row["step"] for row in run.read_metrics()][-1] == 5
    events = Trainer(RunFolder.open(run.folder), library, device="cpu").events()
    next(event for event in events if isinstance(event, RunStarted))
    assert max(row["step"] for row in run.read_metrics()) == 3
    assert max(row["step"] for row in run.read_samples()) == 3
    assert max(row["step"] for row in run.read_events()) == 3
    assert [row["event"] for row in run.read_events()][-1] == "resumed"
    events.close()


@pytest.mark.parametrize("damage", ["truncated weights", "missing optimizer", "broken state", "other model", "empty"])
def test_a_damaged_checkpoint_is_set_aside_and_the_previous_one_used(
    library: Library, config: ModelConfig, damage: str, trained_at_once: Trained, stopped_at: Stopped
) -> None:
    reference, run = trained_at_once(config), stopped_at(library, config, 8)
    newest = run.checkpoint_path(8)
    assert run.latest_checkpoint() == newest
    match damage:
        case "truncated weights":
            data = (newest / "model.safetensors").read_bytes()
            (newest / "model.safetensors").write_bytes(data[: len(data) // 2])
        case "missing optimizer":
            (newest / "optimizer.safetensors").unlink()
        case "broken state":
            (newest / "state.json").write_text('{"format": 1, "step": 8')
        case "other model":
            safetensors.torch.save_file({"x": torch.zeros(1)}, newest / "model.safetensors")
        case "empty":
            shutil.rmtree(newest)
            newest.mkdir()
    trainer, notices = Trainer(RunFolder.open(run.folder), library, device="cpu"), []
    for event in trainer.events():
        if isinstance(event, Notice):
            notices.append(event.sentence)
        if isinstance(event, RunStarted):
            assert event.step == 6
            if damage != "truncated weights":
                trainer.request_stop(keep=False)
    assert len(notices) == 1
    assert str(newest) in notices[0]
    assert "damaged-step-00000008" in notices[0]
    assert (newest.parent / "damaged-step-00000008").is_dir()
    if damage == "truncated weights":
        assert_same_end(run, reference)


def test_a_missing_field_of_a_checkpoint_is_damage(library: Library, config: ModelConfig, stopped_at: Stopped) -> None:
    run = stopped_at(library, config, 8)
    path = run.checkpoint_path(8)
    state, model = path / "state.json", build_model(run.spec.model)
    whole = json.loads(state.read_text())
    read_checkpoint(path, model)
    for without in ("step", "tokens", "log_sizes", "optimizer", "model"):
        state.write_text(json.dumps({key: value for key, value in whole.items() if key != without}))
        with pytest.raises(DamagedError, match=f"{state} is damaged: it has no {without}"):
            read_checkpoint(path, model)


def test_a_changed_design_leaves_the_checkpoints_alone(library: Library, config: ModelConfig) -> None:
    run = make_run(library, config, steps=2)
    train(run, library)
    record = run.folder / "run.json"
    original = record.read_text()
    record.write_text(original.replace('"n_layer": 1', '"n_layer": 3'))
    with pytest.raises(ValueError, match=r"run\.json was changed: n_layer is 3 there, but 1 in step-00000002"):
        train(run, library)
    assert run.latest_checkpoint() == run.checkpoint_path(2)
    record.write_text(original)
    train(run, library)


def test_a_checkpoint_from_a_newer_version_is_left_alone(library: Library, config: ModelConfig) -> None:
    run = make_run(library, config, steps=2)
    train(run, library)
    state = run.checkpoint_path(2) / "state.json"
    state.write_text(state.read_text().replace(f'"format": {FORMAT}', '"format": 99'))
    with pytest.raises(ValueError, match=r"state\.json is from a newer Terrarium"):
        train(run, library)
    assert state.exists()
    assert library.list_runs()[0].status == "finished"


def test_without_an_intact_checkpoint_training_restarts(
    library: Library, config: ModelConfig, trained_at_once: Trained
) -> None:
    reference, run = trained_at_once(config), make_run(library, config)
    trainer = Trainer(run, library, device="cpu")
    for event in trainer.events():
        if isinstance(event, TrainMetrics) and event.step == 2:  # before the first checkpoint
            trainer.request_stop(keep=False)
    assert run.latest_checkpoint() is None
    train(run, library)
    assert_same_end(run, reference)


def test_a_lost_log_is_reported_and_not_fatal(library: Library, config: ModelConfig, stopped_at: Stopped) -> None:
    run = stopped_at(library, config, 8)
    (run.folder / "metrics.jsonl").unlink()
    events = train(run, library)
    notices = [event.sentence for event in events if isinstance(event, Notice)]
    assert any("metrics.jsonl is missing" in notice for notice in notices)
    assert [row["step"] for row in run.read_metrics()] == [8, 9, 10, 10]


def test_a_finished_run_stays_finished(library: Library, config: ModelConfig) -> None:
    run = make_run(library, config, steps=3)
    train(run, library)
    before = numbers(run), run.checkpoints()
    events = train(run, library)
    assert not [event for event in events if isinstance(event, TrainMetrics | ValMetrics | Saved)]
    assert (numbers(run), run.checkpoints()) == before
    assert library.list_runs()[0].status == "finished"


def test_a_changed_thread_count_is_reported(
    library: Library, config: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(library, config, steps=3)
    trainer = Trainer(run, library, device="cpu", allow_threads=2)
    for event in trainer.events():
        if isinstance(event, TrainMetrics):
            assert torch.get_num_threads() == 2
            trainer.request_stop()
    assert torch.get_num_threads() == 1  # as it was
    assert RunFolder.open(run.folder).threads == 2

    def notices(events: list[Event]) -> list[str]:
        return [event.sentence for event in events if isinstance(event, Notice)]

    trainer = Trainer(RunFolder.open(run.folder), library, device="cpu")
    monkeypatch.setattr("terrarium.models.training.setup.core_count", lambda: 2)
    seen = []
    for event in trainer.events():
        seen.append(event)
        trainer.request_stop()
        if isinstance(event, Saved):
            assert torch.get_num_threads() == 2
    assert notices(seen) == []
    assert "started with 2 threads and continues with 1" in notices(train(run, library, allow_threads=1))[0]
    assert RunFolder.open(run.folder).threads == 2


def test_a_changed_torch_version_is_reported(
    library: Library, config: ModelConfig, monkeypatch: pytest.MonkeyPatch, stopped_at: Stopped
) -> None:
    run = stopped_at(library, config, 8)
    old = torch.__version__
    monkeypatch.setattr(torch, "__version__", "9.9")
    notices = [event.sentence for event in train(run, library) if isinstance(event, Notice)]
    assert len(notices) == 1
    assert f"torch {old}" in notices[0]
