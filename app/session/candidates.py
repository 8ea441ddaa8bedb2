"""Checkpoints of runs that reply beside the open model: which they are, and how they are loaded. No widgets."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from app.session.chat_model import describe_model
from app.session.models_in_memory import LoadedModel, ModelsInMemory
from models.events import Event, Phase
from models.library.library import Library

if TYPE_CHECKING:
    from models.runs.run_folder import RunFolder


class Candidate(NamedTuple):
    """A checkpoint of a run; the latest one if `step` is None."""

    run_id: str
    step: int | None = None


def candidate_path(run: RunFolder, candidate: Candidate) -> Path:
    """Worker's thread: the path of its checkpoint; the run's folder if it has no checkpoints."""
    if candidate.step is not None:
        return run.checkpoint_path(candidate.step)
    return run.latest_checkpoint() or run.folder


def loaded_candidate(
    library: Library, models: ModelsInMemory, user: str, run: RunFolder, path: Path, device: str
) -> Generator[Event, None, LoadedModel]:
    """Worker's thread: the model at a path, from `user`'s models in memory, or loaded and put there.

    Yields Phase and the events of loading. Raises ValueError where it cannot be loaded, or has no tokenizer.
    """
    from models.device import choose_device
    from models.interop.loading import load_model_events
    from models.library.run_record import checkpoint_step

    found = models.get(user, path)
    if found is not None:
        return found
    choice = choose_device(device)
    yield Phase(name=f"Loading {run.name}")
    model, tokenizer = yield from load_model_events(path, choice.device)
    if tokenizer is None:
        raise ValueError(f"{run.name} has no tokenizer, so text cannot be turned into tokens for it.")
    step = checkpoint_step(path) if path != run.folder else 0
    about = describe_model(library, run.id, run, model, tokenizer, step, choice.label)
    loaded = LoadedModel(run.name, model, tokenizer, step, about)
    models.put(user, path, loaded)
    return loaded
