"""The processes that train one run together, of which one decides; a single one is a group too, which costs nothing.

The main process (rank 0) holds the run's folder, writes, samples and decides. What takes all of them begins with a
command that it broadcasts, and that the others wait for (`models.training.follow`). No torch.distributed import.
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


class Command(IntEnum):
    """What the main process has all of them do, together."""

    END = 0
    GRADIENTS = 1
    UPDATE = 2
    VALIDATE = 3
    CHECK = 4
    SHOW = 5
    SAVE = 6


class ProcessGroup:
    """A group of one: this process. `rank` counts the processes of all machines, `local_rank` those of this one."""

    rank = local_rank = 0
    size = local_size = 1

    @property
    def is_main_process(self) -> bool:
        return self.rank == 0

    def device_name(self, wanted: str) -> str:
        """The device for this process where the user wants `wanted` (as in `choose_device`)."""
        return wanted

    @contextlib.contextmanager
    def together(self, command: Command, *numbers: float) -> Iterator[None]:
        """Around what all do: the main process tells the others, which are in here because they were told."""
        yield

    def shard(self, batch: Batch) -> Batch:
        """The rows of a batch that this process computes; all shares together are the batch."""
        return batch

    def all_reduce_numbers(self, numbers: Sequence[float]) -> list[float]:
        """Each of the numbers, added up over all processes."""
        return list(numbers)

    def all_reduce(self, tensor: Tensor) -> Tensor:
        """The sum of the processes' tensors of one shape, without a gradient."""
        return tensor

    def broadcast(self, number: int) -> int:
        """The main process's number, in all processes."""
        return number

    def broadcast_text(self, text: str) -> str:
        """The main process's text, in all processes."""
        return text

    def receive_command(self) -> tuple[Command, list[float]]:
        """Wait for the main process's next command; it and its numbers."""
        raise AssertionError("this is the main process")

    def barrier(self) -> None:
        """Go on when all have come here; RuntimeError where one has ended."""

    def shutdown(self) -> None:
        """The main process ends: so may the others."""

    def is_lost_process(self, error: Exception) -> bool:
        """Whether an error says that another process is gone."""
        return False


SINGLE_PROCESS = ProcessGroup()


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
