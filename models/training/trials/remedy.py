"""What to do where a training ran out of memory, found by trial: the largest batch that fits."""

from __future__ import annotations

import traceback
from collections.abc import Generator

import torch

from models.device import DeviceChoice
from models.events import Event, Phase
from models.library.library import Library
from models.runs.run_folder import RunFolder
from models.training.trials.batch_finder import remedy_sentence, try_batches
from models.training.trials.trial import prepared_run


def try_smaller_batches(
    error: BaseException, library: Library, run: RunFolder, device: DeviceChoice
) -> Generator[Event, None, str]:
    """The sentence that says which batch fits, '' where that cannot be tried. Yields Phase, Progress, BatchPoint.

    What the failed step still holds is let go of first; the caller must hold nothing of it either.
    """
    traceback.clear_frames(error.__traceback__)
    if device.device.type == "cuda":
        torch.cuda.empty_cache()
    yield Phase(name="Memory ran out: looking for the largest batch that fits")
    try:
        prepared = prepared_run(library, run)
        found = yield from try_batches(prepared, device, below=run.spec.train.batch_size)
    except (ValueError, RuntimeError, MemoryError, OSError):
        return ""  # the sentence without it stands
    return remedy_sentence(found)
