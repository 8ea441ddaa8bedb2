"""Checks of a custom block, in a child process with limits: what its place in a model asks for, and what it costs.

Each check runs the block on random numbers with its parameters moved a little, since a block whose output begins at
zero would pass them all.
"""

from __future__ import annotations

import dataclasses
import os
import statistics
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from terrarium.models.architecture.attention import Attention, AttentionContext
from terrarium.models.architecture.experts import FeedForward
from terrarium.models.architecture.norms import make_norm
from terrarium.models.architecture.positions import position_module
from terrarium.models.child_process import ChildProcess, LimitError, Limits
from terrarium.models.custom_blocks.loading import PlacedBlock, PositionHelp, measure_block, sample_inputs
from terrarium.models.custom_blocks.manifest import CustomBlock, read_block
from terrarium.models.custom_blocks.measure import Measured, measure
from terrarium.models.custom_blocks.sizes import BlockConfig
from terrarium.models.custom_blocks.store import TRUST_VARIABLE
from terrarium.models.events import Event, Phase
from terrarium.models.settings.block_references import BLOCK_SLOTS
from terrarium.models.settings.model_config import ModelConfig

_START = Limits(seconds=120.0, memory_bytes=3 << 30, answer_bytes=1 << 10)
_LIMITS = Limits(seconds=15.0, memory_bytes=3 << 30, answer_bytes=1 << 20)
"""For importing torch, and for the checks of one text."""

_N_TEXTS, _N_TOKENS = 3, 12
"""The batch of the checks; speed is measured on _TIMED_TEXTS texts of at most _TIMED_TOKENS."""
_TIMED_TEXTS, _TIMED_TOKENS, _TIMES = 4, 128, 5
_TOLERANCE = 1e-4
"""Of differences, relative to the largest number."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """The outcome of a check. title: what was checked. sentence: what was found, and what to do if it failed."""

    name: str
    title: str
    passed: bool
    sentence: str


@dataclass(frozen=True, kw_only=True)
class BlockReport:
    """The outcome of all checks, up to the first one after which no other makes sense.

    The numbers are those of one layer, and of the built-in part in the same place (0 if there is none); FLOPs of the
    forward pass over a text of the whole context, milliseconds of a forward and backward pass on this computer.
    """

    checks: tuple[Check, ...]
    n_parameters: int = 0
    n_built_in: int = 0
    flops: int = 0
    flops_built_in: int = 0
    milliseconds: float = 0.0
    milliseconds_built_in: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether no check failed."""
        return all(check.passed for check in self.checks)


@cache
def _child() -> ChildProcess:
    return ChildProcess(idle_bytes=_LIMITS.memory_bytes)


def stop_checks() -> None:
    """End the child process, which otherwise waits for the next text."""
    _child().kill()


def check_block(source: str, design: ModelConfig, options: Mapping[str, str]) -> Generator[Event, None, BlockReport]:
    """Check a text as a block of a design, in a child process: it runs there. Closing the generator kills the child.

    Yields a Phase when the child has started, which takes seconds, and the checks begin.

    options: as text, by name. What is wrong is in the report; this raises only for a text that `read_block` refuses.
    """
    about = read_block(source)
    arguments = source, design_without(design, about.slot).to_dict(), dict(options)
    try:
        yield from _child().call_events(warm_up, limits=_START)
        yield Phase(name="Checking the block")
        found = yield from _child().call_events(check_here, *arguments, limits=_LIMITS)
    except LimitError as error:
        return BlockReport(
            checks=(Check(name="limits", title="Ends in time", passed=False, sentence=f"Stopped: {error}."),)
        )
    except ValueError as error:
        return BlockReport(checks=(Check(name="builds", title="Can be built", passed=False, sentence=str(error)),))
    except RuntimeError as error:
        last = str(error).strip().splitlines()[-1]
        return BlockReport(checks=(Check(name="builds", title="Runs", passed=False, sentence=f"It fails: {last}"),))
    return BlockReport(checks=tuple(Check(**check) for check in found.pop("checks")), **found)


def design_without(design: ModelConfig, place: str) -> ModelConfig:
    """Return a design with the built-in part in a place: for positions none, for the others by its slots."""
    options = tuple(option for option in design.block_options if not option.startswith(f"{place}."))
    changes: dict[str, Any] = {BLOCK_SLOTS[place]: "", "block_options": options}
    return dataclasses.replace(design, **changes)


# -- In the child ------------------------------------------------------------------------------------------------------


def warm_up() -> None:
    """Import torch, which this module does."""
    torch.set_num_threads(1)


def check_here(source: str, design: dict[str, Any], options: Mapping[str, str]) -> dict[str, Any]:
    """Run the checks in this process, which is a child's; returns the fields of a BlockReport as JSON."""
    about, config = read_block(source), ModelConfig.from_dict(design)
    os.environ[TRUST_VARIABLE] = about.sha256  # of this child only; the user has switched the checks on
    stack = config.encoder() if config.topology == "encoder-decoder" and about.slot != "attention" else config
    values = about.values(options)
    checker = _Checker(about, stack, values)
    checks = []
    for check in checker.run():
        checks.append(dataclasses.asdict(check))
    report: dict[str, Any] = {"checks": checks}
    if all(check["passed"] for check in checks):
        report |= checker.numbers()
    return report


class _Checker:
    def __init__(self, about: CustomBlock, config: ModelConfig, values: dict[str, Any]) -> None:
        torch.manual_seed(0)
        self._about, self._config, self._values = about, config, values
        self._told = dataclasses.replace(BlockConfig.of(config), dropout=0.0)

    def run(self) -> Iterator[Check]:
        """Yield the checks, up to the first whose failure leaves the others without sense."""
        built = self._try("builds", "Can be built", self._build)
        yield built
        if not built.passed:
            return
        for name, title, check in self._checks():
            result = self._try(name, title, check)
            yield result
            if not result.passed and name == "shape":
                return

    def _checks(self) -> list[tuple[str, str, Callable[[], str]]]:
        if self._about.slot == "position":
            return [
                ("shape", "Right shape", self._position_shape),
                ("gradient", "Gradient reaches every parameter", self._gradient),
            ]
        found = [("shape", "Same shape", self._shape), ("finite", "Finite numbers", self._finite)]
        if self._about.slot == "attention":
            if self._config.is_causal:
                found.append(("causal", "Does not look into the future", self._causal))
            found.append(("mask", "Reads allowed tokens only", self._mask))
        else:
            found.append(("tokens", "Treats each token alone", self._tokens))
        return [
            *found,
            ("batch", "Texts do not mix", self._batch),
            ("state", "Keeps no state", self._state),
            ("gradient", "Gradient reaches every parameter", self._gradient),
            ("half", "Runs in bfloat16", self._half),
        ]

    @staticmethod
    def _try(name: str, title: str, check: Callable[[], str]) -> Check:
        try:
            return Check(name=name, title=title, passed=True, sentence=check())
        except (ValueError, RuntimeError) as error:
            lines = str(error).strip().splitlines() or [type(error).__name__]
            return Check(name=name, title=title, passed=False, sentence=lines[0])

    # Each returns what it found, and raises ValueError with what is wrong.

    def _build(self) -> str:
        self.block = self._placed(0)
        last = self._placed(self._config.n_layer - 1)
        shapes = [{name: tuple(p.shape) for name, p in each.named_parameters()} for each in (self.block, last)]
        if shapes[0] != shapes[1]:
            raise ValueError("Its tensors have other shapes in the last layer than in the first: make them the same.")
        with torch.no_grad():
            for parameter in self.block.parameters():
                parameter.add_(0.05 * torch.randn_like(parameter))
        self.block.eval()
        self._check_attributes()
        n = sum(parameter.numel() for parameter in self.block.parameters())
        if not n and self._about.slot in ("attention", "feed_forward"):
            raise ValueError("It has no parameters, so it learns nothing: add an nn.Linear, or an nn.Parameter.")
        return f"{n:,} parameters in a layer."

    def _check_attributes(self) -> None:
        """Refuse what torch does not see: tensors and lists of layers as plain attributes."""
        for module in self.block.modules():
            for name, value in vars(module).items():
                if isinstance(value, Tensor):
                    raise ValueError(
                        f"self.{name} is a plain tensor, which is neither saved nor moved to a GPU: use nn.Parameter "
                        "if it is learned, or self.register_buffer if it is fixed."
                    )
                if isinstance(value, list | tuple) and any(isinstance(each, nn.Module) for each in value):
                    raise ValueError(f"self.{name} is a Python list, which hides its layers: use nn.ModuleList.")

    def _placed(self, layer: int) -> PlacedBlock:
        return PlacedBlock(self._about, dataclasses.replace(self._told, layer=layer), self._values)

    def _x(self, n_texts: int = _N_TEXTS, n_tokens: int = _N_TOKENS) -> Tensor:
        return torch.randn(n_texts, min(n_tokens, self._config.context_length), self._told.width)

    def _allowed(self, x: Tensor) -> Tensor:
        allowed = torch.ones(1, 1, x.size(1), x.size(1), dtype=torch.bool)
        return allowed.tril() if self._config.is_causal else allowed

    def _run(self, x: Tensor, allowed: Tensor | None = None) -> Tensor:
        """Run the block on x (B, T, C) -> (B, T, C), as its place in a model does."""
        if self._about.slot != "attention":
            return self.block.check_like(self.block.call(x), x)
        rotary = position_module(self._config, "queries")
        help = PositionHelp(None if rotary is None else rotary(torch.arange(x.size(1))[None]))
        out, weights = self.block.attend(x, self._allowed(x) if allowed is None else allowed, help)
        wanted = (x.size(0), self._told.n_head, x.size(1), x.size(1))
        if weights is not None and (not isinstance(weights, Tensor) or weights.shape != wanted):
            raise ValueError(f"The weights that it returns must have the shape {list(wanted)}: (B, n_head, T, T).")
        return out

    def _shape(self) -> str:
        with torch.no_grad():
            for n_texts, n_tokens in ((_N_TEXTS, _N_TOKENS), (1, 7), (2, 1)):
                self._run(self._x(n_texts, n_tokens))
        return "The output has the shape of the input, for long texts and for one token."

    def _finite(self) -> str:
        with torch.no_grad():
            if not self._run(self._x()).isfinite().all():
                raise ValueError("The output has numbers that are not finite (NaN): a row without allowed tokens?")
        return "No NaN."

    def _causal(self) -> str:
        x = self._x()
        at = x.size(1) // 2
        if self._changes(x, lambda changed: changed[:, at:].copy_(10 * torch.randn_like(changed[:, at:]))) > 0:
            first = self._first_changed
            raise ValueError(
                f"It looks into the future: token {first + 1} changes with the tokens from {at + 1} on. Read only what "
                "allowed says."
            )
        return "Changing the future changes nothing before it."

    def _mask(self) -> str:
        x = self._x()
        n_hidden = x.size(1) // 3
        allowed = self._allowed(x).repeat(x.size(0), 1, 1, 1)
        allowed[:, :, n_hidden:, :n_hidden] = False  # as in padding, and in texts that are packed behind one another
        if self._changes(x, lambda changed: changed[:, :n_hidden].mul_(-10), allowed, since=n_hidden) > 0:
            raise ValueError(
                "It reads tokens that it may not (padding, or another text before it): multiply by allowed, or fill "
                "the scores where it is False."
            )
        return "What the mask hides changes nothing."

    def _tokens(self) -> str:
        x = self._x()
        after = self._changes(x, lambda changed: changed[:, 0].mul_(-10), since=1)
        if after or self._changes(x, lambda changed: changed[:, -1].mul_(-10), until=x.size(1) - 1):
            raise ValueError('It mixes tokens: a block that reads others has the slot "attention".')
        return "Changing a token changes only its own output."

    def _batch(self) -> str:
        x = self._x()
        with torch.no_grad():
            together, turned, alone = self._run(x), self._run(x.flip(0)), self._run(x[:1])
        if _differs(together[:1], alone).any() or _differs(together, turned.flip(0)).any():
            raise ValueError("A text's output depends on the others in the batch: do not compute across dimension 0.")
        other = torch.cat((x[:1], self._x()[1:]))
        if _differs(self._in_training(x)[:1], self._in_training(other)[:1]).any():
            raise ValueError(
                "In training, a text's output depends on the others in the batch, as BatchNorm's does: use "
                "nn.LayerNorm or nn.RMSNorm."
            )
        return "A text gives the same alone and in a batch."

    def _in_training(self, x: Tensor) -> Tensor:
        self.block.train()
        torch.manual_seed(0)  # for the same dropout
        try:
            with torch.no_grad():
                return self._run(x)
        finally:
            self.block.eval()

    def _state(self) -> str:
        x = self._x()
        with torch.no_grad():
            first = self._run(x)
            self._run(self._x())
            if _differs(first, self._run(x)).any():
                raise ValueError("The same text gives another output after another batch: keep nothing in self.")
        return "The same text gives the same output again."

    def _gradient(self) -> str:
        block = self.block
        block.zero_grad()
        for _ in range(3):  # a router or a ReLU may leave out a parameter in one batch
            out = self._run(self._x()) if self._about.slot != "position" else self._positioned()
            (out * torch.randn_like(out)).sum().backward() if out.requires_grad else None
        without = [
            name.removeprefix("block.")
            for name, parameter in block.named_parameters()
            if parameter.requires_grad and (parameter.grad is None or not parameter.grad.any())
        ]
        if without:
            raise ValueError(f"No gradient reaches {', '.join(without[:3])}: use it in forward, or leave it out.")
        wrong = [name for name, p in block.named_parameters() if p.grad is not None and not p.grad.isfinite().all()]
        if wrong:
            raise ValueError(f"The gradient of {wrong[0].removeprefix('block.')} is not finite (NaN).")
        return "Every parameter can learn."

    def _half(self) -> str:
        with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
            self._run(self._x())
        return "Also under autocast, as on a GPU."

    def _positioned(self) -> Tensor:
        block, n = self.block, min(_N_TOKENS, self._config.context_length)
        at = torch.arange(n)
        if self._about.applied_to == "scores":
            return self._wants(block.call(at - at[:, None]), (1, self._told.n_head, n, n))
        if self._about.applied_to == "embeddings":
            return self._wants(block.call(at[None]), (1, n, self._told.d_model))
        turned = block.call(at[None])
        if not isinstance(turned, tuple) or len(turned) != 2:
            raise ValueError("It must return a pair: cos and sin, each (B or 1, 1, T, head_dim).")
        return torch.stack([self._wants(each, (1, 1, n, self._told.head_dim)) for each in turned])

    def _position_shape(self) -> str:
        with torch.no_grad():
            self._positioned()
            if self._about.applied_to == "scores":  # a single query, as in generation
                at = torch.arange(5)
                self._wants(self.block.call(at[None] - 4), (1, self._told.n_head, 1, 5))
        return "The output has the shape that its place asks for."

    @staticmethod
    def _wants(out: Any, shape: tuple[int, ...]) -> Tensor:
        if not isinstance(out, Tensor) or tuple(out.shape) != shape:
            found = list(out.shape) if isinstance(out, Tensor) else type(out).__name__
            raise ValueError(f"It returns {found}, and its place asks for {list(shape)}.")
        return out

    def _changes(
        self,
        x: Tensor,
        change: Callable[[Tensor], object],
        allowed: Tensor | None = None,
        *,
        since: int = 0,
        until: int | None = None,
    ) -> int:
        """Return how many of the tokens from `since` to `until` (default: half) a change of others changes."""
        until = (x.size(1) // 2 if not since else x.size(1)) if until is None else until
        changed = x.clone()
        change(changed)
        with torch.no_grad():
            different = _differs(self._run(x, allowed), self._run(changed, allowed)).any(dim=-1).any(dim=0)
        where = different[since:until].nonzero()
        self._first_changed = since + int(where[0]) if len(where) else 0
        return len(where)

    # Costs

    def numbers(self) -> dict[str, Any]:
        """Return the numbers of a BlockReport."""
        about, told, length = self._about, self._told, self._config.context_length
        found = {
            **_costs(measure_block(about, told, tuple(self._values.items()), 1, length), ""),
            "milliseconds": self._milliseconds(self._run),
        }
        if (twin := self._built_in()) is not None:
            module, call = twin
            with torch.device("meta"):
                meta = self._built_in()
            assert meta is not None
            inputs = sample_inputs(about, told, 1, length)
            found |= _costs(measure(_Called(*meta), inputs[0]), "_built_in")
            found["milliseconds_built_in"] = self._milliseconds(lambda x: call(module, x))
        return found

    def _built_in(self) -> tuple[nn.Module, Callable[[nn.Module, Tensor], Tensor]] | None:
        config = self._config
        if self._about.slot == "attention":
            context = AttentionContext(causal=config.is_causal)
            return Attention(config), lambda module, x: module(x, context)
        if self._about.slot == "feed_forward":
            return FeedForward(config), lambda module, x: module(x)
        if self._about.slot == "norm":
            return make_norm(config, config.d_model), lambda module, x: module(x)
        return None

    def _milliseconds(self, run: Callable[[Tensor], Any]) -> float:
        if self._about.slot == "position":
            return 0.0
        times = []
        for _ in range(1 + _TIMES):
            x = self._x(_TIMED_TEXTS, _TIMED_TOKENS).requires_grad_()
            start = time.perf_counter()
            run(x).sum().backward()
            times.append(1000 * (time.perf_counter() - start))
        return statistics.median(times[1:])


class _Called(nn.Module):
    """A module and how it is called, as one module."""

    def __init__(self, module: nn.Module, call: Callable[[nn.Module, Tensor], Tensor]) -> None:
        super().__init__()
        self.module, self._call = module, call

    def forward(self, x: Tensor) -> Tensor:
        return self._call(self.module, x)


def _costs(measured: Measured, ending: str) -> dict[str, int]:
    tensors = (tensor.shape for module in measured.modules for tensor in module.tensors)
    name = "n_built_in" if ending else "n_parameters"
    return {
        name: sum(torch.Size(shape).numel() for shape in tensors),
        f"flops{ending}": sum(module.flops for module in measured.modules),
    }


def _differs(a: Tensor, b: Tensor) -> Tensor:
    """Return where two tensors differ by more than rounding."""
    return (a - b).abs() > _TOLERANCE * a.abs().max().clamp(min=1e-3)
