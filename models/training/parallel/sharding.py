"""A model in several processes: a replica in each (PyTorch's DDP), or a shard of it in each (FSDP2: `fully_shard`)."""

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

from models.architecture.block import Block
from models.architecture.transformer import AnyModel, build_model
from models.settings.run_spec import TrainConfig
from models.training.optim import Muon, make_optimizers
from models.training.parallel.layout import Layout, total_norm
from models.training.parallel.process_group import ProcessGroup


class _Computed(nn.Module):
    """Makes a forward pass of whatever is computed with the model: DDP and FSDP2 hang on that."""

    def __init__(self, model: AnyModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, compute: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return compute(self.model, *args, **kwargs)


class Replicas(Layout):
    """A whole model in each process; gradients are averaged while they are computed."""

    def __init__(self, model: AnyModel, process_group: ProcessGroup) -> None:
        super().__init__(model)
        self._size = process_group.size
        # An encoder's pooler learns nothing from guessing masked tokens; of any other part DDP expects a gradient.
        has_idle_part = getattr(model, "pooler", None) is not None
        self._replica = DistributedDataParallel(
            _Computed(model), gradient_as_bucket_view=True, find_unused_parameters=has_idle_part
        )

    def run(self, compute: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return self._replica(compute, *args, **kwargs)

    def micro_step(self, *, is_last: bool) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext() if is_last else self._replica.no_sync()

    def backward(self, loss: Tensor) -> None:
        (loss * self._size).backward()  # DDP makes means of sums


class Shards(Layout):
    """A part of each weight in each process, and whole ones only while a block computes with them.

    Gradients are added up and split in every micro-step, so that whole ones never pile up. To save a checkpoint or to
    look at the model, the main process gathers whole weights, one by one.
    """

    def __init__(self, model: AnyModel, process_group: ProcessGroup, device: torch.device) -> None:
        super().__init__(model)
        self._process_group, self._device = process_group, device
        self._mesh = init_device_mesh(device.type, (process_group.size,))
        for block in [module for module in model.modules() if isinstance(module, Block)]:
            fully_shard(block, mesh=self._mesh)
        self._computed = _Computed(model)
        self._sharded = fully_shard(self._computed, mesh=self._mesh)  # the same object
        self._whole_model: AnyModel | None = None

    def run(self, compute: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return self._computed(compute, *args, **kwargs)

    def look(self, compute: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        result = self.run(compute, *args, **kwargs)
        self._sharded.reshard()  # which a backward pass would do
        return result

    def backward(self, loss: Tensor) -> None:
        self._whole_model = None
        (loss * self._process_group.size).backward()  # FSDP makes means of sums

    def local(self, tensor: Tensor) -> Tensor:
        return tensor.to_local() if isinstance(tensor, DTensor) else tensor

    def total(self, tensor: Tensor) -> Tensor:
        return self._process_group.all_reduce(tensor)

    def norm(self, tensors: Sequence[Tensor]) -> Tensor:
        return self.total(total_norm([self.local(tensor) for tensor in tensors]) ** 2).sqrt()

    def whole(self, tensor: Tensor) -> Tensor:
        """As `Layout.whole`, which all processes call for the same tensors in the same order."""
        gathered = tensor.full_tensor().detach() if isinstance(tensor, DTensor) else tensor
        return super().whole(gathered) if self._process_group.is_main_process else torch.empty(0)

    def shown(self) -> AnyModel:
        if self._whole_model is None:
            weights = {name: self.whole(tensor) for name, tensor in self.model.state_dict().items()}
            self._whole_model = self.model
            if self._process_group.is_main_process:
                self._whole_model = build_model(self.model.config)
                self._whole_model.load_state_dict(weights)
                self._whole_model.to(self._device)
        return self._whole_model

    def split_optimizers(self, optimizers: Sequence[Optimizer], train: TrainConfig) -> list[Optimizer]:
        """Optimizers of the shards that go on where `optimizers`, of the model before it was split, stand."""
        split = make_optimizers(self.model, train, muon=_ShardedMuon)
        for before, after in zip(optimizers, split, strict=True):
            pairs = zip(_parameters(before), _parameters(after), strict=True)
            for whole, shard in pairs:
                for key, value in before.state[whole].items():
                    after.state[shard][key] = self._like(shard, value) if isinstance(value, Tensor) else value
        return split

    def _like(self, shard: Tensor, value: Tensor) -> Tensor:
        """A tensor of an optimizer's state, split as its parameter is where it is of that shape."""
        value = value.to(self._device)
        return _split(value, shard) if value.shape == shard.shape else value


class _ShardedMuon(Muon):
    """Muon keeps its momentum in shards. An update is made of whole matrices, since an orthogonal matrix is not put
    together of orthogonal parts: all of one shape are gathered at once, and every process makes the same updates."""

    def _orthogonal(self, matrices: list[Tensor]) -> list[Tensor]:
        stacked = torch.stack(matrices)
        assert isinstance(stacked, DTensor)
        updates = super()._orthogonal(list(stacked.full_tensor().unbind()))
        return [_split(update, matrix) for update, matrix in zip(updates, matrices, strict=True)]


def _split(whole: Tensor, like: Tensor) -> DTensor:
    """This process's part of a tensor that all processes have, split as `like` is."""
    assert isinstance(like, DTensor)
    replicated = DTensor.from_local(whole, like.device_mesh, [Replicate()], run_check=False)
    return replicated.redistribute(placements=like.placements)


def _parameters(optimizer: Optimizer) -> list[Tensor]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]
