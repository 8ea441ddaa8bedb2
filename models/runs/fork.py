"""Listing a run's checkpoints, and forking a new run from one, with the same or other training settings. No torch."""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from safetensors import SafetensorError, safe_open

from terrarium.models.custom_blocks.carried import carry_texts
from terrarium.models.files.atomic import (
    TEMPORARY_PREFIX,
    DamagedError,
    atomic_folder,
    atomic_write_json,
    link_or_copy,
    read_json,
)
from terrarium.models.library.library import Library
from terrarium.models.library.run_record import CHAT_FORM, MARK_FILE, QUICK_START, checkpoint_step, read_record
from terrarium.models.runs.checkpoint_state import BASE, kept_designs
from terrarium.models.runs.run_folder import LOG_NAMES, RunFolder
from terrarium.models.settings.align_spec import REWARD_MODELS
from terrarium.models.settings.model_config import objective_of
from terrarium.models.settings.run_spec import RunSpec, TokenizerSpec, TrainConfig


@dataclass(frozen=True, kw_only=True)
class CheckpointInfo:
    """A checkpoint. `val_loss` is the validation loss at its step, or None if it was not validated."""

    step: int
    path: Path
    val_loss: float | None
    is_best: bool


def list_checkpoints(run: RunFolder) -> list[CheckpointInfo]:
    """Return all complete checkpoints, the oldest first; a damaged one has no loss."""
    return [_inspect(path, run.best_step) for path in run.checkpoints()]


def _inspect(path: Path, best_step: int | None) -> CheckpointInfo:
    step, loss = checkpoint_step(path), None
    with suppress(ValueError):
        state = read_json(path / "state.json")
        if state.get("validated_step") == step and isinstance(state.get("val_loss"), float):
            loss = state["val_loss"]
    return CheckpointInfo(step=step, path=path, val_loss=loss, is_best=step == best_step)


def fork_run(
    library: Library,
    source: RunFolder,
    step: int | None = None,
    *,
    name: str | None = None,
    train: TrainConfig | None = None,
    ends: bool = False,
) -> RunFolder:
    """Create a queued run that continues `source` from its checkpoint of `step` (None: the last one).

    With the same settings it continues bit for bit as `source` did. It has the same data, and a copy of the curves up
    to the checkpoint.

    Args:
        train: the training settings; None: the source's.
        ends: whether the fork ends at the checkpoint, as if `source` had stopped there: finished instead of queued.

    Raises:
        ValueError: if there is no such checkpoint, it or the tokenizer is damaged, or the settings are incompatible.
        OSError: if the disk is full. In both cases no run is created.
    """
    checkpoint = _find_checkpoint(source, step)
    step = checkpoint_step(checkpoint)
    train = train or source.spec.train
    if ends:
        train = dataclasses.replace(train, steps=step)
    _check(source, step, train, ends=ends)
    _check_files(source, checkpoint)
    name = library.free_run_name(source.name) if name is None else name
    spec = dataclasses.replace(source.spec, name=name, train=train)
    identity = library.new_run_id(spec.name)
    folder = library.runs / identity
    record = read_record(source.folder) | {
        "id": identity,
        "name": spec.name,
        "created": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "status": "finished" if ends else "queued",
        "spec": spec.to_dict(),
        "lineage": {**source.lineage, "parent": {"run": source.id, "name": source.name, "step": step}},
    }
    try:
        with atomic_folder(folder) as half_made:
            _copy(source, checkpoint, half_made)
            record["best_step"] = _forget_other_checkpoints(half_made / "checkpoints" / checkpoint.name)
            atomic_write_json(half_made / "run.json", record)
            _cut_logs(RunFolder.open(half_made), step, source.name, ends=ends)
    except FileNotFoundError as error:
        raise ValueError(_gone(source, step)) from error
    return RunFolder.open(folder)


def spec_like(library: Library, source: RunFolder, name: str | None = None) -> RunSpec:
    """Return the spec of a new run with the settings of `source` and its exact tokenizer.

    If the model that `source` started from, or a reward model, was deleted, the copy in the folder of `source` is used.

    Raises:
        ValueError: if the run's tokenizer is missing.
    """
    made_from = source.lineage.get("tokenizer", {})
    own = library.tokenizers / str(made_from.get("name", "")) / "tokenizer.json"
    if own.is_file() and hashlib.sha256(own.read_bytes()).hexdigest() == made_from.get("sha256"):
        path = own.parent.name
    elif source.tokenizer_file.is_file():
        path = str(source.tokenizer_file)
    else:
        raise ValueError(f"{source.tokenizer_file} is missing, so no other run can use its tokenizer.")
    name = name or library.free_run_name(source.name)
    tune = source.spec.tune
    if tune is not None and not _is_there(library, tune.parent):
        tune = dataclasses.replace(tune, parent=str(source.folder / BASE))
    align = source.spec.align
    if align is not None:
        gone = [setting for setting, model in align.reward_models.items() if not _is_there(library, model)]
        align = align.with_reward_models({setting: str(source.folder / REWARD_MODELS[setting]) for setting in gone})
    return dataclasses.replace(source.spec, name=name, tokenizer=TokenizerSpec(path=path), tune=tune, align=align)


def _is_there(library: Library, parent: str) -> bool:
    """Return whether the model `parent` exists: a path, or a run's path or id with @ and a step."""
    name, _, step = parent.rpartition("@")
    if Path(parent).exists() or not step.isdecimal():
        return Path(parent).exists()
    with suppress(ValueError):
        return RunFolder.open(library.find_run(name)).checkpoint_path(int(step)).is_dir()
    return False


def _find_checkpoint(source: RunFolder, step: int | None) -> Path:
    checkpoints = {checkpoint_step(path): path for path in source.checkpoints()}
    if not checkpoints:
        raise ValueError(f"The run {source.name!r} has no checkpoint yet, so it cannot be forked.")
    step = max(checkpoints) if step is None else step
    if step not in checkpoints:
        known = ", ".join(f"{one:,}" for one in sorted(checkpoints))
        raise ValueError(f"The run {source.name!r} has no checkpoint of step {step:,}: it has {known}.")
    return checkpoints[step]


def _check(source: RunFolder, step: int, train: TrainConfig, *, ends: bool) -> None:
    if source.status == "imported":
        raise ValueError(f"The run {source.name!r} was imported without an optimizer state, so it cannot be forked.")
    if train.optimizer != source.spec.train.optimizer:
        raise ValueError(
            f"The checkpoint holds the state of the optimizer {source.spec.train.optimizer!r}, so a fork cannot change "
            f"to {train.optimizer!r}: start a new run instead."
        )
    practised, wanted = (objective_of(source.spec.model, one.objective) for one in (source.spec.train, train))
    if practised != wanted:
        raise ValueError(
            f"The tokenizer of {source.name!r} is made for {practised}, so a fork cannot change to {wanted}: start a "
            "new run for that."
        )
    if train.steps <= step and not ends:
        raise ValueError(f"The fork starts at step {step:,} but ends at {train.steps:,}: give it more steps.")


def _check_files(source: RunFolder, checkpoint: Path) -> None:
    """Raise ValueError if files of the source are damaged or missing, so that no fork is made that could not start."""
    try:
        read_json(checkpoint / "state.json")
        for name in ("model.safetensors", "optimizer.safetensors"):
            with safe_open(checkpoint / name, framework="numpy"):
                pass
    except SafetensorError as error:
        raise ValueError(f"{checkpoint / name} is damaged ({error}): choose another checkpoint.") from error
    except (FileNotFoundError, DamagedError) as error:
        if not checkpoint.exists():
            raise ValueError(_gone(source, checkpoint_step(checkpoint))) from error
        words = str(error) if isinstance(error, DamagedError) else f"{checkpoint / name} is missing."
        raise ValueError(f"{words} Choose another checkpoint.") from error
    tokenizer = source.tokenizer_file
    if not tokenizer.is_file():
        raise ValueError(f"{tokenizer} is missing: put it back, or fork another run.")
    if hashlib.sha256(tokenizer.read_bytes()).hexdigest() != source.made_from("tokenizer"):
        raise ValueError(f"{tokenizer} has changed since the run was created: put the original back.")


def _gone(source: RunFolder, step: int) -> str:
    return f"The checkpoint of step {step:,} of {source.name!r} was deleted while it was copied: choose a later one."


def _copy(source: RunFolder, checkpoint: Path, target: Path) -> None:
    copied = target / "checkpoints" / checkpoint.name
    copied.mkdir(parents=True)
    for file in checkpoint.iterdir():
        if not file.name.startswith(TEMPORARY_PREFIX):
            shutil.copyfile(file, copied / file.name)
    shutil.copyfile(source.tokenizer_file, target / "tokenizer.json")
    carry_texts([source.spec.model, *kept_designs(source.folder)], target)
    if source.spec.tune is not None:
        _copy_start(source, target)
    with suppress(OSError, ValueError):  # the run is not a recipe's, or the file is damaged
        mark = read_json(source.folder / MARK_FILE)
        if mark.get("kind") == QUICK_START:  # so that the fork, too, is evaluated at its end
            atomic_write_json(target / MARK_FILE, {**mark, "job": "", "result": None})
    for log in LOG_NAMES:
        path = source.folder / f"{log}.jsonl"
        if log != "events" and path.exists():
            shutil.copyfile(path, target / path.name)


def _copy_start(source: RunFolder, target: Path) -> None:
    """Copy the initial weights of a run from weights, its reward models' weights, and the parent's chat template."""
    shutil.copytree(source.folder / BASE, target / BASE, copy_function=link_or_copy)
    for folder in REWARD_MODELS.values():
        if (source.folder / folder).is_dir():
            shutil.copytree(source.folder / folder, target / folder, copy_function=link_or_copy)
    if (source.folder / CHAT_FORM).is_file():
        shutil.copyfile(source.folder / CHAT_FORM, target / CHAT_FORM)


def _forget_other_checkpoints(checkpoint: Path) -> int | None:
    """Clear the best checkpoint in state.json unless it is this one, the only one of a fork; return the best step."""
    state = read_json(checkpoint / "state.json")
    if state.get("best_step") == state["step"]:
        return int(state["step"])
    atomic_write_json(checkpoint / "state.json", {**state, "best_step": None, "best_loss": None, "best_score": None})
    return None


def _cut_logs(fork: RunFolder, step: int, source_name: str, *, ends: bool) -> None:
    """Remove log rows after the checkpoint, and log the source of the fork, and its end if it `ends` there."""
    (checkpoint,) = fork.checkpoints()
    fork.acquire()
    try:
        fork.cut_after(step, read_json(checkpoint / "state.json").get("log_sizes", {}))
        fork.append_event("forked", step, f"from {source_name}")
        if ends:
            fork.append_event("finished", step)
    finally:
        fork.release()
