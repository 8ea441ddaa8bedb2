"""Custom blocks as modules: a text runs here, and only here, after the user's consent to it.

`build_block` compiles the very text whose hash was allowed, from memory: no file is read in between.
"""

from __future__ import annotations

import linecache
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache, partial
from types import ModuleType
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import _StopRecomputationError

from terrarium.models.custom_blocks.manifest import CustomBlock
from terrarium.models.custom_blocks.sizes import BlockConfig
from terrarium.models.custom_blocks.store import NotAllowedError, check_allowed, find_in
from terrarium.models.settings.block_references import options_in
from terrarium.models.settings.derived_slots import DerivedSlots

if TYPE_CHECKING:
    from terrarium.models.custom_blocks.measure import Measured


class PlacedBlock(nn.Module):
    """The base of what takes a place in a model: the custom block, as `block`, whose failures are reported by line."""

    def __init__(self, about: CustomBlock, config: BlockConfig, values: dict[str, Any]) -> None:
        super().__init__()
        self.about = about
        self._build = partial(_build, about, config, values)
        self.block = self._build()

    def compute_buffers(self, device: torch.device) -> None:
        """Compute the buffers that are not stored, after a build without data."""
        missing = [name for name, buffer in self.block.named_buffers() if buffer.is_meta]
        made = dict(self._build().named_buffers()) if missing else {}
        for name in missing:
            path, _, own_name = name.rpartition(".")
            setattr(self.block.get_submodule(path), own_name, made[name].to(device))

    def call(self, *args: Any) -> Any:
        """Call the block."""
        with explained(self.about, f"on {describe_tensors(args)}"):
            return self.block(*args)

    def attend(self, x: Tensor, allowed: Tensor, positions: PositionHelp) -> tuple[Tensor, Tensor | None]:
        """Call a block for attention, which takes positions or not.

        x (B, T, C), allowed (B or 1, 1, T, T) bool -> (B, T, C), and its weights (B, n_head, T, T) if it returns them.
        """
        out = self.call(x, allowed, positions) if self.about.takes_positions else self.call(x, allowed)
        weights = None
        if isinstance(out, tuple) and len(out) == 2:
            out, weights = out
        return self.check_like(out, x), weights

    def check_like(self, out: Any, x: Tensor) -> Tensor:
        """Return the block's output in the dtype of x, if it is a tensor of the shape of x; ValueError otherwise."""
        if not isinstance(out, Tensor):
            raise ValueError(f"The block “{self.about.title}” returns a {type(out).__name__}: return a tensor.")
        if out.shape != x.shape:
            raise ValueError(
                f"The block “{self.about.title}” returns the shape {list(out.shape)} for an input of {list(x.shape)}: "
                "return the same shape."
            )
        return out.to(x.dtype)


def _build(about: CustomBlock, config: BlockConfig, values: dict[str, Any]) -> nn.Module:
    with explained(about, "while it is built"):
        block = block_class(about)(config, **values)
    if not isinstance(block, nn.Module):
        raise ValueError(f"The block “{about.title}” is a {type(block).__name__}: derive Block from nn.Module.")
    for name, tensor in block.state_dict().items():
        if tensor.is_complex():
            raise ValueError(f"The block “{about.title}” keeps complex numbers in {name}: keep two tensors.")
    return block


def check_still_allowed(model: nn.Module) -> None:
    """Raise NotAllowedError if the consent to a block of a built model was withdrawn."""
    placed = [module.about for module in model.modules() if isinstance(module, PlacedBlock)]
    for about in {about.sha256: about for about in placed}.values():
        check_allowed(about)


def placing(
    design: DerivedSlots, place: str, *, layer: int = 0, width: int = 0
) -> tuple[CustomBlock, BlockConfig, dict[str, Any]]:
    """Return the block in a place of a design, what it is told, and the values of its options.

    Raises:
        ValueError: if its text is not in the library, or an option is not one of its own.
    """
    about = find_in(design, place)
    assert about is not None
    return about, BlockConfig.of(design, layer=layer, width=width), about.values(options_in(design, place))


def block_class(about: CustomBlock) -> type[nn.Module]:
    """Run a block's text, once, and return its class `Block`; NotAllowedError without consent."""
    check_allowed(about)
    return _run(about.source, about.sha256)  # type: ignore[no-any-return]


@lru_cache(maxsize=64)
def _run(source: str, sha256: str) -> Any:
    name = f"terrarium_block_{sha256}"
    file = f"<block {sha256}>"
    linecache.cache[file] = len(source), None, source.splitlines(keepends=True), file  # for tracebacks
    module = sys.modules[name] = ModuleType(name)  # dataclasses look their module up there
    module.__file__ = file  # inspect asks all modules for theirs, and one's own __getattr__ might answer
    try:
        exec(compile(source, file, "exec", dont_inherit=True), module.__dict__)
    finally:
        del sys.modules[name]  # what looks through all modules would call a `__getattr__` of the text
    return module.Block


@contextmanager
def explained(about: CustomBlock, when: str) -> Iterator[None]:
    """Turn what a block raises into ValueError, with its line if that is known; running out of memory stays what it
    is, and so does the end of a recomputation in activation checkpointing.
    """
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError, NotAllowedError, _StopRecomputationError):
        raise
    except (Exception, SystemExit) as error:
        lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == f"<block {about.sha256}>"]
        if not lines and isinstance(error, ValueError):  # a sentence of ours
            raise
        where = f" in line {lines[-1]}" if lines else ""
        words = str(error).strip().splitlines()
        why = f"{type(error).__name__}: {words[0].rstrip('.')}" if words else type(error).__name__
        raise ValueError(f"The block “{about.title}” fails {when}{where}: {why}.") from error


def describe_tensors(args: tuple[Any, ...]) -> str:
    """Describe the shapes of arguments: “[2, 8, 64] and [1, 1, 8, 8]”."""
    return " and ".join(str(list(arg.shape)) for arg in args if isinstance(arg, Tensor))


def measure_block(
    about: CustomBlock, config: BlockConfig, values: tuple[tuple[str, Any], ...], batch_size: int, length: int
) -> Measured:
    """Return what a block consists of and costs, for `batch_size` texts of `length` tokens; ValueError as it fails."""
    check_allowed(about)
    return _measure(about, config, values, batch_size, length)


class _Measurable(PlacedBlock):
    def forward(self, *args: Any) -> Any:
        return self.call(*args)


@lru_cache(maxsize=1024)
def _measure(
    about: CustomBlock, config: BlockConfig, values: tuple[tuple[str, Any], ...], batch_size: int, length: int
) -> Measured:
    # Half a second, which building a model need not wait for.
    from terrarium.models.custom_blocks.measure import measure

    with torch.device("meta"):
        placed = _Measurable(about, config, dict(values))
    inputs = sample_inputs(about, config, batch_size, length)
    with torch.device("cpu"), explained(about, f"on {length} tokens"):
        return measure(placed, *inputs)


def sample_inputs(about: CustomBlock, config: BlockConfig, batch_size: int, length: int) -> tuple[Any, ...]:
    """Return arguments of a block's `forward`, without data."""
    with torch.device("meta"):
        if about.slot == "position":
            positions = torch.arange(length)
            if about.applied_to == "scores":
                return (positions - positions[:, None],)
            return (positions[None],) if about.applied_to == "queries" else (positions,)
        x = torch.empty(batch_size, length, config.width, requires_grad=True)
        if about.slot != "attention":
            return (x,)
        allowed = torch.ones(1, 1, length, length, dtype=torch.bool)
        return (x, allowed, PositionHelp()) if about.takes_positions else (x, allowed)


class PositionHelp:
    """The design's positions, for an attention block: the third argument of its `forward`."""

    def __init__(self, rotation: tuple[Tensor, Tensor] | None = None, bias: Tensor | None = None) -> None:
        self._rotation, self._bias = rotation, bias

    def rotate(self, x: Tensor) -> Tensor:
        """Rotate queries or keys (B, n, T, head_dim) by their positions, where the design has RoPE."""
        if self._rotation is None:
            return x
        cos, sin = (each.to(x.dtype) for each in self._rotation)
        half = x.size(-1) // 2
        turned = torch.cat((-x[..., half:], x[..., :half]), dim=-1)
        return x * cos + turned * sin

    def add_bias(self, scores: Tensor) -> Tensor:
        """Add the bias of positions to scores (B, n_head, T, T), where the design has ALiBi or a learned bias."""
        return scores if self._bias is None else scores + self._bias.to(scores.dtype)
