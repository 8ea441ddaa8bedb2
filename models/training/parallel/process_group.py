"""The processes that train one run; a single process is a group too, at no cost.

The main process (rank 0) owns the run's folder: it writes logs and checkpoints, samples, and decides. Each collective
operation starts with a command that it broadcasts and the others wait for (`models.training.follow`). Does not import
torch.distributed.
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

    from terrarium.models.data.batch import Batch


class Command(IntEnum):
    """A collective operation that the main process starts."""

    END = 0
    GRADIENTS = 1
    UPDATE = 2
    VALIDATE = 3
    CHECK = 4
    SHOW = 5
    SAVE = 6


class ProcessGroup:
    """A group of one: this process. `rank` is global, `local_rank` counts the processes of this machine."""

    rank = local_rank = 0
    size = local_size = 1

    @property
    def is_main_process(self) -> bool:
        return self.rank == 0

    def device_name(self, wanted: str) -> str:
        """Return the device for this process if the user wants `wanted` (as in `choose_device`)."""
        return wanted

    @contextlib.contextmanager
    def together(self, command: Command, *numbers: float) -> Iterator[None]:
        """Run a collective operation in a context: the main process broadcasts the command, the others execute it."""
        yield

    def shard(self, batch: Batch) -> Batch:
        """Return the rows of a batch that this process computes; all shards together are the batch."""
        return batch

    def all_reduce_numbers(self, numbers: Sequence[float]) -> list[float]:
        """Return each of the numbers, summed over all processes."""
        return list(numbers)

    def all_reduce(self, tensor: Tensor) -> Tensor:
        """Return the sum over all processes of a tensor of the same shape, detached."""
        return tensor

    def broadcast(self, number: int) -> int:
        """Return the main process's number, in all processes."""
        return number

    def broadcast_text(self, text: str) -> str:
        """Return the main process's text, in all processes."""
        return text

    def receive_command(self) -> tuple[Command, list[float]]:
        """Wait for the main process's next command; returns it and its numbers."""
        raise AssertionError("this is the main process")

    def barrier(self) -> None:
        """Wait until all processes get here; RuntimeError if one has ended."""

    def shutdown(self) -> None:
        """Let the other processes end; called by the main process."""

    def is_lost_process(self, error: Exception) -> bool:
        """Whether an error says that another process has ended."""
        return False


SINGLE_PROCESS = ProcessGroup()


def is_distributed() -> bool:
    """Whether torchrun started this process as one of several."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1 and "RANK" in os.environ


def end_process(status: int) -> None:
    """Exit immediately if this process is one of several; otherwise leave it to the interpreter.

    gloo's threads may still hold tensors that they sent. Releasing them needs the interpreter, and during its shutdown
    they abort the process (seen in a core dump: `AsyncBroadcastWork` destroyed during shutdown).
    """
    if is_distributed():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
