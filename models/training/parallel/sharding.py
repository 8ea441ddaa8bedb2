"""Layouts of a model over several processes: replicated (PyTorch's DDP) or sharded (FSDP2: `fully_shard`)."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, Replicate
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer

from terrarium.models.architecture.block import Block
from terrarium.models.architecture.transformer import AnyModel
from terrarium.models.settings.run_spec import TrainConfig
from terrarium.models.training.optim import Muon, make_optimizers
from terrarium.models.training.parallel.layout import Layout, total_norm
from terrarium.models.training.parallel.process_group import ProcessGroup


class _ForwardWrapper(nn.Module):
    """Runs any computation with the model as a forward pass, because the hooks of DDP and FSDP2 need one."""

    def __init__(self, model: AnyModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, compute: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return compute(self.model, *args, **kwargs)


class ReplicatedLayout(Layout):
    """A full model in each process; gradients are averaged during the backward pass."""

    def __init__(self, model: AnyModel, process_group: ProcessGroup) -> None:
        super().__init__(model)
        self._size = process_group.size
        # An encoder's pooler gets no gradient from masked tokens; for all other parameters DDP expects one.
        has_idle_part = getattr(model, "pooler", None) is not None
        self._replica = DistributedDataParallel(
            _ForwardWrapper(model), gradient_as_bucket_view=True, find_unused_parameters=has_idle_part
        )

    def run(self, compute: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return self._replica(compute, *args, **kwargs)

    def micro_step(self, *, is_last: bool) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext() if is_last else self._replica.no_sync()

    def backward(self, loss: Tensor) -> None:
        (loss * self._size).backward()  # DDP averages gradients


class ShardedLayout(Layout):
    """A shard of each weight in each process; full weights exist only while a block computes with them.

    Gradients are reduce-scattered in every micro-step, so full ones never accumulate. To save a checkpoint or to
    evaluate the model, the main process gathers full weights one by one.
    """

    def __init__(
        self, model: AnyModel, process_group: ProcessGroup, device: torch.device, build: Callable[[], AnyModel]
    ) -> None:
        """build: makes another model of the same design, with any weights."""
        super().__init__(model)
        self._process_group, self._device, self._build = process_group, device, build
        self._mesh = init_device_mesh(device.type, (process_group.size,))
        for block in [module for module in model.modules() if isinstance(module, Block)]:
            fully_shard(block, mesh=self._mesh)
        self._computed = _ForwardWrapper(model)
        self._sharded = fully_shard(self._computed, mesh=self._mesh)  # the same object
        self._whole_model: AnyModel | None = None

    def run(self, compute: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return self._computed(compute, *args, **kwargs)

    def evaluate(self, compute: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        result = self.run(compute, *args, **kwargs)
        self._sharded.reshard()  # as a backward pass would do
        return result

    def backward(self, loss: Tensor) -> None:
        self._whole_model = None
        (loss * self._process_group.size).backward()  # FSDP averages gradients

    def local(self, tensor: Tensor) -> Tensor:
        return tensor.to_local() if isinstance(tensor, DTensor) else tensor

    def total(self, tensor: Tensor) -> Tensor:
        return self._process_group.all_reduce(tensor)

    def norm(self, tensors: Sequence[Tensor]) -> Tensor:
        return self.total(total_norm([self.local(tensor) for tensor in tensors]) ** 2).sqrt()

    def full_tensor(self, tensor: Tensor) -> Tensor:
        """As `Layout.full_tensor`, but collective: all processes call it for the same tensors in the same order."""
        gathered = tensor.full_tensor().detach() if isinstance(tensor, DTensor) else tensor
        return super().full_tensor(gathered) if self._process_group.is_main_process else torch.empty(0)

    def full_model(self) -> AnyModel:
        if self._whole_model is None:
            weights = {name: self.full_tensor(tensor) for name, tensor in self.model.state_dict().items()}
            self._whole_model = self.model
            if self._process_group.is_main_process:
                self._whole_model = self._build()
                self._whole_model.load_state_dict(weights)
                self._whole_model.to(self._device)
        return self._whole_model

    def split_optimizers(self, optimizers: Sequence[Optimizer], train: TrainConfig) -> list[Optimizer]:
        """Make optimizers of the shards, with the state of `optimizers`, those of the full model."""
        split = make_optimizers(self.model, train, muon=_ShardedMuon)
        for before, after in zip(optimizers, split, strict=True):
            pairs = zip(_parameters(before), _parameters(after), strict=True)
            for whole, shard in pairs:
                for key, value in before.state[whole].items():
                    after.state[shard][key] = self._like(shard, value) if isinstance(value, Tensor) else value
        return split

    def _like(self, shard: Tensor, value: Tensor) -> Tensor:
        """Shard an optimizer-state tensor like its parameter if it has the parameter's shape."""
        value = value.to(self._device)
        return _split(value, shard) if value.shape == shard.shape else value


class _ShardedMuon(Muon):
    """Muon with sharded momentum.

    Updates are computed from full matrices, because orthogonalising shards does not orthogonalise the whole: all
    matrices of one shape are gathered together, and every process computes all updates.
    """

    def _orthogonal(self, matrices: list[Tensor]) -> list[Tensor]:
        stacked = torch.stack(matrices)
        assert isinstance(stacked, DTensor)
        updates = super()._orthogonal(list(stacked.full_tensor().unbind()))
        return [_split(update, matrix) for update, matrix in zip(updates, matrices, strict=True)]


def _split(whole: Tensor, like: Tensor) -> DTensor:
    """Return this process's shard of a tensor that all processes have in full, sharded like `like`."""
    assert isinstance(like, DTensor)
    replicated = DTensor.from_local(whole, like.device_mesh, [Replicate()], run_check=False)
    return replicated.redistribute(placements=like.placements)


def _parameters(optimizer: Optimizer) -> list[Tensor]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]
