"""The processes that train one run together. One of them leads; alone it is a team of one, which costs nothing.

The first process (rank 0) leads: it holds the run's folder, writes, samples and decides. What takes all of them begins
with an order of the leader, which the others wait for (`models.training.follow`). No torch.distributed import.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Sequence
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from models.data.batch import Batch


class Order(IntEnum):
    """What the leader has all processes do, together."""

    END = 0
    GRADIENTS = 1
    UPDATE = 2
    VALIDATE = 3
    CHECK = 4
    SHOW = 5
    SAVE = 6


class Team:
    """A team of one: this process. `rank` counts the processes of all machines, `local_rank` those of this one."""

    rank = local_rank = 0
    size = local_size = 1

    @property
    def leads(self) -> bool:
        return self.rank == 0

    def device_name(self, wanted: str) -> str:
        """The device for this process where the user wants `wanted` (as in `choose_device`)."""
        return wanted

    @contextlib.contextmanager
    def together(self, order: Order, *numbers: float) -> Iterator[None]:
        """Around what all do: the leader tells the others, who are in here because they were told."""
        yield

    def share(self, batch: Batch) -> Batch:
        """The rows of a batch that this process computes; all shares together are the batch."""
        return batch

    def sums(self, numbers: Sequence[float]) -> list[float]:
        """Each of the numbers, added up over all processes."""
        return list(numbers)

    def add_up(self, tensor: Tensor) -> Tensor:
        """The sum of the processes' tensors of one shape, without a gradient."""
        return tensor

    def agree(self, number: int) -> int:
        """The leader's number, in all processes."""
        return number

    def agree_on_text(self, text: str) -> str:
        """The leader's text, in all processes."""
        return text

    def heed(self) -> tuple[Order, list[float]]:
        """Wait for the leader's next order; it and its numbers."""
        raise AssertionError("nobody leads this process")

    def wait_for_all(self) -> None:
        """Go on when all have come here; RuntimeError where one has ended."""

    def dismiss(self) -> None:
        """The leader ends: so may the others."""

    def is_loss(self, error: Exception) -> bool:
        """Whether an error says that another process is gone."""
        return False


ALONE = Team()


def is_one_of_several() -> bool:
    """Whether torchrun has started this process beside others."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1 and "RANK" in os.environ


def end_process(status: int) -> None:
    """End this process with an exit status, at once where it is one of several; else it is left to the interpreter.

    gloo's threads may not have let go yet of the tensors that they sent. For that they need the interpreter, and where
    it is on its way out, they abort the process (seen in a core dump: `AsyncBroadcastWork` destroyed meanwhile).
    """
    if is_one_of_several():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
