"""Joins the process group that this process belongs to."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from terrarium.models.training.parallel.process_group import SINGLE_PROCESS, ProcessGroup, is_distributed


@contextlib.contextmanager
def join() -> Iterator[ProcessGroup]:
    """Yield the process group for the block: torchrun's, or this process alone."""
    if not is_distributed():
        yield SINGLE_PROCESS
        return
    # Imports torch.distributed, which a single process does not need:
    from terrarium.models.training.parallel.distributed import DistributedGroup

    process_group = DistributedGroup.begin()
    yield process_group
    process_group.end()  # not after an error: it would wait for processes that have ended
