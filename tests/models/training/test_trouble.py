"""Failures get a sentence with a remedy, and lose nothing."""

import dataclasses
import errno
import json
import os
import shutil
import threading
from collections.abc import Callable, Generator
from pathlib import Path

import pytest
import safetensors.torch
import torch

from terrarium.models.events import Blocked, Event, Finished, MicroStep, Notice, Phase, RunStarted, TrainMetrics
from terrarium.models.library.library import Library
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.training import checkpoint
from terrarium.models.training.trainer import Trainer, prepare_run
from tests.models.training.support import make_run, make_spec, numbers, result_of, train


def train_with(run: RunFolder, library: Library, meddle: Callable[[Trainer, Event], None]) -> list[Event]:
    """Train to the end, with `meddle` called after each event."""
    trainer, seen = Trainer(run, library, device="cpu"), []
    for event in trainer.events():
        seen.append(event)
        meddle(trainer, event)
    return seen


def test_a_nonfinite_loss_stops_at_once(
    library: Library, tiny_config: ModelConfig, trained_at_once: Callable[..., RunFolder]
) -> None:
    run = make_run(library, tiny_config, grad_accum_steps=2)

    def break_it(trainer: Trainer, event: Event) -> None:
        if isinstance(event, MicroStep) and event.step == 6:
            with torch.no_grad():
                trainer.model.embedding.weight[:] = float("inf")

    with pytest.raises(ValueError, match=r"loss of step 6 .*lower lr and muon_lr.*last checkpoint \(step 3\)"):
        train_with(run, library, break_it)
    assert library.list_runs()[0].status == "failed"
    assert run.latest_checkpoint() == run.checkpoint_path(3)
    before, last = run.read_metrics()[-2:]
    assert (last["step"], last["loss"], last["lr"]) == (6, None, None)
    assert last.keys() == before.keys()
    event = run.read_events()[-1]
    assert event["event"] == "failed"
    assert "step 6" in event["detail"]

    reference = trained_at_once(tiny_config, grad_accum_steps=2)
    train(run, library)  # the weights are those of the checkpoint again
    assert numbers(run) == numbers(reference)


def test_a_too_high_learning_rate_ends_with_that_message(library: Library, tiny_config: ModelConfig) -> None:
    settings = {"optimizer": "adamw", "lr": 10.0, "grad_clip": 0.0, "warmup_steps": 0, "steps": 2000}
    config = dataclasses.replace(tiny_config, qk_norm=False, norm="layernorm", activation="relu2", n_layer=4)
    run = make_run(library, config, **settings, eval_interval=0, sample_interval=0, precision="float32")

    def raise_it(trainer: Trainer, event: Event) -> None:
        if isinstance(event, TrainMetrics):
            trainer.set_lr(10.0 ** min(30, event.step))

    with pytest.raises(ValueError, match="start again with a lower lr"):
        train_with(run, library, raise_it)
    assert library.list_runs()[0].status == "failed"
    for path in run.checkpoints():
        weights = safetensors.torch.load_file(path / "model.safetensors")
        assert all(bool(tensor.isfinite().all()) for tensor in weights.values())


def really_run_out() -> None:
    torch.empty(2**50)


@pytest.mark.parametrize("error", [None, torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")])
def test_out_of_memory_is_a_sentence(
    library: Library, tiny_config: ModelConfig, monkeypatch: pytest.MonkeyPatch, error: Exception | None
) -> None:
    run = make_run(library, tiny_config)

    def too_much(trainer: Trainer, event: Event) -> None:
        if isinstance(event, TrainMetrics) and event.step == 4:

            def fail(*_: object) -> None:
                if error is None:
                    really_run_out()
                else:
                    raise error

            monkeypatch.setattr("terrarium.models.training.update.weighted_nll", fail)

    with pytest.raises(
        ValueError, match=r"fits is 2, found by trial.*grad_accum_steps 2.*checkpoint of step 3 is kept"
    ):
        train_with(run, library, too_much)
    assert library.list_runs()[0].status == "failed"
    assert run.latest_checkpoint() == run.checkpoint_path(3)


@pytest.mark.parametrize("error", [KeyError("a name"), AssertionError("this cannot be"), IndexError("out of range")])
def test_an_unexpected_error_is_recorded_and_raised(
    library: Library, tiny_config: ModelConfig, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    run = make_run(library, tiny_config)

    def fail(*_: object) -> None:
        raise error

    def break_it(trainer: Trainer, event: Event) -> None:
        if isinstance(event, TrainMetrics) and event.step == 4:
            monkeypatch.setattr("terrarium.models.training.update.weighted_nll", fail)

    with pytest.raises(type(error)) as raised:
        train_with(run, library, break_it)
    assert raised.value is error
    assert library.list_runs()[0].status == "failed"
    last = run.read_events()[-1]
    assert (last["event"], last["detail"]) == ("failed", f"{type(error).__name__}: {error}")
    monkeypatch.undo()
    assert isinstance(train(run, library)[-1], Finished), "the lock is free, and the checkpoint is kept"


def test_nothing_stays_held_where_old_checkpoints_cannot_be_deleted(
    library: Library, tiny_config: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in any error of the thread that writes: lock and threads are free, and what came first is recorded."""
    run = make_run(library, tiny_config)
    threads = torch.get_num_threads()

    def fail(*_: object) -> None:
        raise MemoryError("too many names")

    with monkeypatch.context() as patch:
        patch.setattr("terrarium.models.training.saving.AT_ONCE_BYTES", 0)
        patch.setattr(RunFolder, "prune_checkpoints", fail)
        with pytest.raises(ValueError, match="memory"):
            train(run, library)
    assert torch.get_num_threads() == threads
    assert library.list_runs()[0].status == "failed"
    assert run.read_events()[-1]["event"] == "failed"
    assert isinstance(train(run, library)[-1], Finished)


def test_an_error_of_the_thread_that_writes_does_not_hide_the_first_one(
    library: Library, tiny_config: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(library, tiny_config)
    fails = threading.Event()

    def write(*_: object) -> None:
        assert fails.wait(60)
        raise RuntimeError("the second")

    with monkeypatch.context() as patch:
        patch.setattr("terrarium.models.training.saving.AT_ONCE_BYTES", 0)
        patch.setattr("terrarium.models.training.saving.write_checkpoint", write)
        patch.setattr("terrarium.models.training.saving.Saver.wait_until_read", lambda saver: None)
        events = Trainer(run, library, device="cpu").events()
        assert next(event for event in events if isinstance(event, TrainMetrics) and event.step == 4)
        fails.set()
        with pytest.raises(KeyError, match="the first"):
            events.throw(KeyError("the first"))
    assert run.read_events()[-1]["detail"] == "KeyError: 'the first'"
    assert isinstance(train(run, library)[-1], Finished)


def test_closing_during_the_batch_search_records_the_failure(
    library: Library, tiny_config: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(library, tiny_config)

    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("terrarium.models.training.update.weighted_nll", fail)
    events = Trainer(run, library, device="cpu").events()
    for event in events:
        if isinstance(event, Phase) and "largest batch" in event.name:
            break
    events.close()
    assert RunFolder.open(run.folder).status == "failed"  # and the lock is free


def test_an_unexpected_error_is_raised_unchanged(
    library: Library, tiny_config: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(library, tiny_config)

    def fail(*_: object) -> None:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr("terrarium.models.training.update.weighted_nll", fail)
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        train(run, library)
    assert library.list_runs()[0].status == "failed"
    assert RunFolder.open(run.folder).status == "failed"  # and the lock is free


@pytest.mark.parametrize(
    ("what", "code"),
    [
        ("rows", errno.ENOSPC),
        ("rows", errno.EDQUOT),
        ("checkpoints", errno.ENOSPC),
        ("run.json", errno.ENOSPC),
    ],
)
def test_a_full_disk_blocks_and_loses_nothing(
    library: Library,
    tiny_config: ModelConfig,
    monkeypatch: pytest.MonkeyPatch,
    what: str,
    code: int,
    trained_at_once: Callable[..., RunFolder],
) -> None:
    reference, run = trained_at_once(tiny_config), make_run(library, tiny_config)
    full = [False]
    real_write, real_write_tensors, real_replace = os.write, checkpoint.write_tensors, os.replace

    def check() -> None:
        if full[0]:
            raise OSError(code, os.strerror(code))

    def write(descriptor: int, data: bytes) -> int:
        check()
        return real_write(descriptor, data)

    def write_tensors(path: Path, tensors: dict[str, torch.Tensor], *, synced: bool) -> Generator[int, None, None]:
        if path.name == "optimizer.safetensors":
            check()
        yield from real_write_tensors(path, tensors, synced=synced)

    def replace(source: Path, target: Path) -> None:
        check()
        real_replace(source, target)

    match what:
        case "rows":
            monkeypatch.setattr(os, "write", write)
        case "checkpoints":
            monkeypatch.setattr(checkpoint, "write_tensors", write_tensors)
        case "run.json":
            monkeypatch.setattr(os, "replace", replace)

    blocked: list[Blocked] = []

    def fill_up_and_clear(trainer: Trainer, event: Event) -> None:
        if isinstance(event, Blocked):
            blocked.append(event)
            full[0] = len(blocked) % 3 != 0  # stays full twice more, then there is room
        elif isinstance(event, TrainMetrics) and event.step in (2, 5, 8):
            full[0] = True

    train_with(run, library, fill_up_and_clear)
    monkeypatch.undo()
    assert len(blocked) >= 3
    assert "is full: free some space" in blocked[0].reason
    assert str(run.folder) in blocked[0].reason
    assert numbers(run) == numbers(reference)
    assert run.read_samples() == reference.read_samples()
    assert not list(run.folder.rglob(".tmp-*"))
    assert library.list_runs()[0].status == "finished"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_closing_while_blocked_is_shown_as_interrupted(library: Library, tiny_config: ModelConfig) -> None:
    run = make_run(library, tiny_config)
    trainer = Trainer(run, library, device="cpu")
    events = trainer.events()
    for event in events:
        if isinstance(event, RunStarted):
            (run.folder / "samples.jsonl").symlink_to("/dev/full")  # really full
        if isinstance(event, Blocked):
            break
    assert isinstance(next(events), Blocked)
    assert library.list_runs()[0].status == "running"
    events.close()
    assert library.list_runs()[0].status == "interrupted"
    assert trainer.step == 0


def test_nonfinite_weights_are_not_saved(library: Library, tiny_config: ModelConfig) -> None:
    run = make_run(library, tiny_config, sample_interval=0)

    def break_it(trainer: Trainer, event: Event) -> None:
        if isinstance(event, TrainMetrics) and event.step == 6:  # a checkpoint is due
            with torch.no_grad():
                trainer.model.embedding.weight[7] = float("nan")

    with pytest.raises(ValueError, match=r"model after step 6 is not a number.*last checkpoint \(step 3\)"):
        train_with(run, library, break_it)
    assert run.latest_checkpoint() == run.checkpoint_path(3)


def test_a_second_writer_is_refused_and_the_first_continues(library: Library, tiny_config: ModelConfig) -> None:
    run = make_run(library, tiny_config)
    refusals = []

    def intrude(trainer: Trainer, event: Event) -> None:
        if isinstance(event, TrainMetrics) and event.step == 4:
            with pytest.raises(ValueError, match="is being trained by another") as refused:
                next(Trainer(RunFolder.open(run.folder), library, device="cpu").events())
            refusals.append(refused)
            assert library.list_runs()[0].status == "running"

    events = train_with(run, library, intrude)
    assert refusals
    assert isinstance(events[-1], Finished)


def test_a_missing_device_falls_back_to_the_cpu_with_a_notice(library: Library, tiny_config: ModelConfig) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    run = make_run(library, tiny_config)
    events = list(Trainer(run, library, device="cuda").events())
    notices = [event.sentence for event in events if isinstance(event, Notice)]
    assert len(notices) == 1
    assert "CUDA" in notices[0]
    assert "so the CPU is used" in notices[0]
    assert isinstance(events[-1], Finished)


@pytest.mark.parametrize("file", ["tokenizer.json", "corpus"])
def test_a_missing_file_is_named_and_the_run_left_unchanged(
    library: Library, tiny_config: ModelConfig, file: str
) -> None:
    run = make_run(library, tiny_config)
    trainer = Trainer(run, library, device="cpu")
    for event in trainer.events():
        if isinstance(event, TrainMetrics):
            trainer.request_stop(status="paused")
    corpus = library.corpora / run.lineage["corpus"]["sha256"][:12]
    gone = run.tokenizer_file if file == "tokenizer.json" else corpus / "train.txt"
    gone.rename(gone.with_suffix(".moved"))
    with pytest.raises(ValueError, match=f"{gone}.*cannot be read"):
        train(run, library)
    assert library.list_runs()[0].status == "paused"
    gone.with_suffix(".moved").rename(gone)
    train(run, library)
    assert library.list_runs()[0].status == "finished"


def test_data_that_was_deleted_is_named_with_the_remedy(library: Library, tiny_config: ModelConfig) -> None:
    run = make_run(library, tiny_config)
    (folder,) = library.corpora.iterdir()
    shutil.rmtree(folder)
    sentence = r"The data 'text\.txt' is not in the library: restore it from the trash, or import it again\."
    with pytest.raises(ValueError, match=sentence):
        train(run, library)


def test_a_changed_tokenizer_is_refused(library: Library, tiny_config: ModelConfig) -> None:
    run = make_run(library, tiny_config)
    tokenizer = json.loads(run.tokenizer_file.read_text())
    run.tokenizer_file.write_text(json.dumps(tokenizer))
    with pytest.raises(ValueError, match="has changed since the run was created"):
        train(run, library)
    assert library.list_runs()[0].status == "failed"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a b c\n", "The training text has only 6 tokens, too few to learn from"),
        ("line of text\n" * 12, "validation part is 13 tokens long.*validation share"),
    ],
)
def test_a_text_too_short_for_the_context_is_refused(
    library: Library, tiny_config: ModelConfig, text: str, words: str
) -> None:
    spec = make_spec(library.home, tiny_config)
    Path(spec.data.files[0]).write_text(text * 2 if len(text) < 10 else text)
    run = result_of(prepare_run(library, spec))
    with pytest.raises(ValueError, match=words):
        train(run, library)
    assert library.list_runs()[0].status == "failed"
