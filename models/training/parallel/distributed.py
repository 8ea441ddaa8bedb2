"""A process group of several processes, started by torchrun, on torch.distributed."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor

from terrarium.models.data.batch import Batch
from terrarium.models.training.parallel.process_group import Command, ProcessGroup

_PATIENCE = timedelta(days=7)
"""The timeout for a command. The main process may be busy alone (making a corpus, a full disk); the end of a process
is noticed immediately, by its closed connection.
"""

_MAX_NUMBERS = 3
_SIGNS_OF_LOSS = ("gloo", "NCCL", "Connection closed by peer", "Connection reset by peer")


class DistributedGroup(ProcessGroup):
    """Several processes on one or more machines. Commands are a few numbers, broadcast over gloo."""

    def __init__(self, rank: int, size: int, local_rank: int, local_size: int) -> None:
        self.rank, self.size, self.local_rank, self.local_size = rank, size, local_rank, local_size
        self._is_together = False

    @classmethod
    def begin(cls) -> DistributedGroup:
        """Initialize torch.distributed: gloo for the CPU, NCCL for CUDA."""
        environment = (os.environ[name] for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"))
        process_group = cls(*map(int, environment))
        if dist.is_nccl_available() and process_group.local_size <= torch.cuda.device_count():
            torch.cuda.set_device(process_group.local_rank)
            dist.init_process_group("cpu:gloo,cuda:nccl", timeout=_PATIENCE)
        else:
            dist.init_process_group("gloo", timeout=_PATIENCE)
        return process_group

    def end(self) -> None:
        """Leave the process group."""
        dist.destroy_process_group()

    def device_name(self, wanted: str) -> str:
        """As `ProcessGroup.device_name`; ValueError if there are fewer devices than processes."""
        if wanted == "mps":
            raise ValueError("Several processes cannot share an Apple GPU: use --device cpu, or one process.")
        if wanted == "cpu" or not torch.cuda.is_available():
            return "cpu" if wanted == "auto" else wanted
        if self.local_size > torch.cuda.device_count():
            n = torch.cuda.device_count()
            raise ValueError(
                f"There are {self.local_size} processes for {n} GPU{'' if n == 1 else 's'} here: start torchrun with "
                f"--nproc-per-node {n}, or use --device cpu."
            )
        return "cuda"

    # Commands

    @contextlib.contextmanager
    def together(self, command: Command, *numbers: float) -> Iterator[None]:
        if self.is_main_process:
            self._is_together = True
            self._broadcast_command(command, numbers)
        yield
        self._is_together = False  # not after an error, when the state of the others is unknown

    def receive_command(self) -> tuple[Command, list[float]]:
        assert not self.is_main_process
        message = torch.empty(1 + _MAX_NUMBERS, dtype=torch.float64)
        dist.broadcast(message, src=0)
        return Command(int(message[0])), message[1:].tolist()

    def shutdown(self) -> None:
        if self.is_main_process and not self._is_together:
            with contextlib.suppress(RuntimeError):  # one process has ended already
                self._broadcast_command(Command.END, ())

    def _broadcast_command(self, command: Command, numbers: Sequence[float]) -> None:
        padding = [0.0] * (_MAX_NUMBERS - len(numbers))
        dist.broadcast(torch.tensor([command, *numbers, *padding], dtype=torch.float64), src=0)

    # Collectives

    def shard(self, batch: Batch) -> Batch:
        """As `ProcessGroup.shard`. If there are fewer rows than processes, some get a row of weight 0."""
        rows = slice(self.rank, None, self.size)
        is_spare = self.rank >= len(batch.inputs)
        if is_spare:
            rows = slice(0, 1)
        weights = batch.weights[rows]
        return replace(
            batch,
            inputs=batch.inputs[rows],
            targets=batch.targets[rows],
            weights=torch.zeros_like(weights) if is_spare else weights,
            mask=None if batch.mask is None else batch.mask[rows],
            source=None if batch.source is None else batch.source[rows],
            source_mask=None if batch.source_mask is None else batch.source_mask[rows],
            candidates=None if batch.candidates is None else batch.candidates[rows],
            segments=None if batch.segments is None else batch.segments[rows],
            n_tokens=None,
        )

    def all_reduce_numbers(self, numbers: Sequence[float]) -> list[float]:
        result: list[float] = self.all_reduce(torch.tensor(numbers, dtype=torch.float64)).tolist()
        return result

    def all_reduce(self, tensor: Tensor) -> Tensor:
        total = tensor.detach().clone()
        dist.all_reduce(total)
        return total

    def broadcast(self, number: int) -> int:
        message = torch.tensor([number])
        dist.broadcast(message, src=0)
        return int(message)

    def broadcast_text(self, text: str) -> str:
        encoded = list(text.encode())
        message = torch.zeros(self.broadcast(len(encoded)), dtype=torch.uint8)
        if self.is_main_process:
            message.copy_(torch.tensor(encoded))
        dist.broadcast(message, src=0)
        return bytes(message.tolist()).decode()

    def barrier(self) -> None:
        self.all_reduce_numbers([1.0])

    def is_lost_process(self, error: Exception) -> bool:
        if not isinstance(error, RuntimeError):
            return False
        return isinstance(error, dist.DistError) or any(sign in str(error) for sign in _SIGNS_OF_LOSS)
