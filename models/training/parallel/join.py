"""Which processes train the run together with this one."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from models.training.parallel.process_group import SINGLE_PROCESS, ProcessGroup, is_one_of_several


@contextlib.contextmanager
def join() -> Iterator[ProcessGroup]:
    """The process group that this process belongs to within the block: torchrun's, or it alone."""
    if not is_one_of_several():
        yield SINGLE_PROCESS
        return
    from models.training.parallel.distributed import (
        DistributedGroup,  # torch.distributed, which one process does without
    )

    process_group = DistributedGroup.begin()
    yield process_group
    process_group.end()  # not after an error: it would wait for those that are gone
