"""Which processes train the run together with this one."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from models.training.parallel.team import ALONE, Team, is_one_of_several


@contextlib.contextmanager
def join() -> Iterator[Team]:
    """The team that this process belongs to within the block: torchrun's, or it alone."""
    if not is_one_of_several():
        yield ALONE
        return
    from models.training.parallel.processes import Processes  # torch.distributed, which one process does without

    team = Processes.begin()
    yield team
    team.end()  # not after an error: it would wait for those that are gone
