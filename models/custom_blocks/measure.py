"""What any module consists of and costs, measured by torch without data: no formula is needed, and no memory.

The module runs once, forward and backward, on fake tensors, which have a shape and a storage of a size, but no numbers.
A dispatch mode sees every operation below autograd, counts its FLOPs, and follows which storages are alive. So the
peaks are those of torch's own allocations on a CPU; the workspace inside a kernel is left out. Meta tensors take down
to half the time, but not the CPU's kernels: fused attention saved a third more and took 1.8 times the forward peak,
and they refuse torch.autocast.

All of torch's private parts that this needs are in this file.
"""

from __future__ import annotations

import contextlib
import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import DataDependentOutputException, DynamicOutputShapeException, FakeTensorMode
from torch.autograd.function import once_differentiable
from torch.nn.utils.stateless import _reparametrize_module
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.flop_counter import flop_registry

Role = Literal["matrix", "table", "bias", "norm", "filter"]


class MeasuredTensor(NamedTuple):
    """A parameter: its name in its module, its shape and its role.

    The role is "matrix" for the weight of an nn.Linear, "table" for that of an nn.Embedding, "bias" for a vector whose
    name ends so, "norm" for other vectors, and "filter" for the rest.
    """

    name: str
    shape: tuple[int, ...]
    role: Role


@dataclass(frozen=True, kw_only=True)
class MeasuredModule:
    """A module within the one that was measured.

    path: as in named_modules, "" for the measured one itself. kind: the name of its class. flops: of its own forward
    pass, without its children's. shape: of its output, or the first of several; () if it did not run as a module.
    tensors: its own parameters; one that several modules share is listed in the first. buffers: the names of its own
    buffers in its state dict.
    """

    path: str
    kind: str
    flops: int
    shape: tuple[int, ...]
    tensors: tuple[MeasuredTensor, ...]
    buffers: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What a module consists of and costs. Bytes are beyond what exists before: parameters, their gradients, inputs.

    modules: all of them, in the order of named_modules. saved_bytes: what autograd saves for the backward pass; an
    output only if it is saved. forward_peak_bytes: at the peak of the forward pass, with what is saved and the output.
    backward_peak_bytes: at the peak of the backward pass, with the gradients of the output and of the inputs; 0 if
    nothing has a gradient.
    """

    modules: tuple[MeasuredModule, ...]
    saved_bytes: int
    forward_peak_bytes: int
    backward_peak_bytes: int


def measure(module: nn.Module, *inputs: Any, **options: Any) -> Measured:
    """Run `module(*inputs, **options)` forward and backward without data, on the CPU, and return what that costs.

    The module stays as it is, and its mode (train or eval) counts. It and its inputs may be on any device, also on
    "meta"; inputs with `requires_grad` receive a gradient, as those of a layer within a model do.

    Raises:
        ValueError: if the module decides by the values of its input. What else fails in it is raised as it is.
    """
    mode = FakeTensorMode(allow_non_fake_inputs=True)  # what is no parameter, such as a table in an attribute, is real
    with mode, torch.enable_grad():
        inputs, options = tree_map(_fake, (inputs, options))
        weights = {name: _fake(tensor) for name, tensor in (*module.named_parameters(), *module.named_buffers())}
        for weight in weights.values():
            weight.grad = torch.empty_like(weight) if weight.requires_grad else None
        watch = _Watch((inputs, options, weights, [weight.grad for weight in weights.values()]))
        with watch.following(module), _reparametrize_module(module, weights, tie_weights=True):
            try:
                saved, forward_peak, backward_peak = _run(watch, module, inputs, options)
            except (DataDependentOutputException, DynamicOutputShapeException) as error:
                path = watch.current
                where = f"{type(module.get_submodule(path)).__name__}{f' ({path})' if path else ''}"
                raise ValueError(
                    f"{where} decides by the values of its input, which cannot be measured without data: compute with "
                    "whole tensors instead, such as torch.where and masks."
                ) from error
    return Measured(
        modules=tuple(_modules(module, watch)),
        saved_bytes=saved,
        forward_peak_bytes=forward_peak,
        backward_peak_bytes=backward_peak,
    )


def _run(watch: _Watch, module: nn.Module, inputs: tuple[Any, ...], options: dict[str, Any]) -> tuple[int, int, int]:
    """Return the bytes saved in the forward pass, at its peak, and at that of the backward pass."""
    with watch:
        outputs = [leaf for leaf in tree_leaves(module(*inputs, **options)) if isinstance(leaf, Tensor)]
    forward_peak = watch.peak
    outputs = [output for output in outputs if output.requires_grad]
    apply: Callable[..., Tensor] = _End.apply
    end = apply(*outputs) if outputs else None
    outputs.clear()  # now only autograd holds what is alive
    saved = watch.begin_backward()
    if end is None:
        return saved, forward_peak, 0
    with watch:
        end.backward()
    return saved, forward_peak, watch.peak


def _modules(module: nn.Module, watch: _Watch) -> Iterator[MeasuredModule]:
    listed: set[Tensor] = set()  # by identity
    for path, each in module.named_modules():
        own = [(name, p) for name, p in each.named_parameters(recurse=False) if p not in listed]
        listed.update(p for _, p in own)
        yield MeasuredModule(
            path=path,
            kind=type(each).__name__,
            flops=watch.flops[path],
            shape=watch.shapes.get(path, ()),
            tensors=tuple(MeasuredTensor(name, tuple(p.shape), _role(each, name, p)) for name, p in own),
            buffers=tuple(name for name in each._buffers if name not in each._non_persistent_buffers_set),
        )


def _role(module: nn.Module, name: str, parameter: Tensor) -> Role:
    if name == "weight" and isinstance(module, nn.Linear):
        return "matrix"
    if isinstance(module, nn.Embedding):
        return "table"
    if parameter.dim() == 1:
        return "bias" if name.endswith("bias") else "norm"
    return "filter"


def _fake(leaf: Any) -> Any:
    """Return a tensor of the same shape and strides on the CPU, fake if called in a FakeTensorMode."""
    if not isinstance(leaf, Tensor):
        return leaf
    made = torch.empty_strided(leaf.size(), leaf.stride(), dtype=leaf.dtype, device="cpu")
    return made.requires_grad_(leaf.requires_grad)


def _storage(tensor: Tensor) -> int:
    """Return what tensors that share a storage have in common; a storage without data has no address."""
    return int(tensor.untyped_storage()._cdata)


class _End(torch.autograd.Function):
    """What follows a module in a model: a loss that keeps no output, and hands back a gradient of each."""

    @staticmethod
    def forward(ctx: Any, *outputs: Tensor) -> Tensor:
        ctx.like = [partial(torch.empty, output.shape, dtype=output.dtype) for output in outputs]
        return outputs[0].new_empty(())

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, ...]:
        return tuple(make() for make in ctx.like)


class _Watch(TorchDispatchMode):
    """Counts the FLOPs of the forward pass by the module that runs, and the bytes of the storages that are alive."""

    def __init__(self, before: Any) -> None:
        """before: tensors that exist before, also nested, which do not count."""
        super().__init__()  # type: ignore[no-untyped-call]
        self.flops: Counter[str] = Counter()
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.peak = 0
        self._n_bytes = 0
        self._is_forward = True
        self._running = [""]
        self._before = {_storage(leaf) for leaf in tree_leaves(before) if isinstance(leaf, Tensor)}
        self._alive: dict[int, int] = {}

    @property
    def current(self) -> str:
        """The path of the module that runs, or in which an operation failed."""
        return self._running[-1]

    @contextlib.contextmanager
    def following(self, module: nn.Module) -> Iterator[None]:
        """While open, know which module within `module` runs."""
        with contextlib.ExitStack() as hooks:
            for path, each in module.named_modules():
                hooks.callback(each.register_forward_pre_hook(partial(self._enter, path)).remove)
                hooks.callback(each.register_forward_hook(partial(self._leave, path)).remove)
            yield

    def _enter(self, path: str, module: nn.Module, inputs: Any) -> None:
        self._running.append(path)

    def _leave(self, path: str, module: nn.Module, inputs: Any, output: Any) -> None:
        self._running.pop()
        first = next((leaf for leaf in tree_leaves(output) if isinstance(leaf, Tensor)), None)
        if self._is_forward and first is not None:
            self.shapes[path] = tuple(first.shape)

    def begin_backward(self) -> int:
        """Return the bytes that are alive, with which the peak of the backward pass begins."""
        self._is_forward, self.peak = False, self._n_bytes
        return self._n_bytes

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        if self._is_forward:
            self.flops[self.current] += _flops(func, args, kwargs or {}, out)
        for leaf in tree_leaves(out):
            if isinstance(leaf, Tensor):
                self._add(leaf)
        return out

    def _add(self, tensor: Tensor) -> None:
        storage, key = tensor.untyped_storage(), _storage(tensor)
        if key in self._before or key in self._alive:
            return
        self._alive[key] = storage.nbytes()
        self._n_bytes += storage.nbytes()
        self.peak = max(self.peak, self._n_bytes)
        weakref.finalize(storage, self._remove, key)

    def _remove(self, key: int) -> None:
        self._n_bytes -= self._alive.pop(key)


def _flops(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> int:
    """Return the FLOPs of an operation by torch's own table, and of the CPU's fused attention, which it lacks."""
    if func is torch.ops.aten._scaled_dot_product_flash_attention_for_cpu.default:
        query, key, value = args[:3]
        rows, inner = query.numel() // query.size(-1), query.size(-1) + value.size(-1)
        return int(2 * rows * key.size(-2) * inner)
    count = flop_registry.get(func._overloadpacket)
    return 0 if count is None else int(count(*args, **kwargs, out_val=out))
