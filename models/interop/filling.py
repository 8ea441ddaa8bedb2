"""From tensors in files to a model: names and shapes are compared first, and only then is anything allocated."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.nn import init
from torch.overrides import TorchFunctionMode

from models.architecture.positions import Alibi, Rotary
from models.architecture.transformer import AnyModel, build_model
from models.events import Event, Phase, Progress
from models.interop.family import Weight
from models.interop.stored import Stored
from models.settings.model_config import ModelConfig

Result = TypeVar("Result")


def state_names(config: ModelConfig) -> list[str]:
    """The names in the state dict of a model of this design."""
    return list(_outline(config).state_dict())


def _outline(config: ModelConfig) -> AnyModel:
    """The model with shapes and without numbers (but for the tables of Rotary and Alibi, which are made anyway)."""
    with torch.device("meta"), _WithoutDrawing():
        return build_model(config)


_DRAWING = (Tensor.normal_, Tensor.uniform_, init.normal_, init.uniform_, init.kaiming_uniform_)


class _WithoutDrawing(TorchFunctionMode):
    """Skips the drawing of initial weights: for tensors without numbers it would import much of torch's compiler."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func in _DRAWING:
            return None  # which nobody looks at: they work in place
        return func(*args, **(kwargs or {}))


@dataclass(frozen=True)
class _Use:
    """One tensor in the files, and what becomes of it."""

    name: str
    stored: Stored
    weights: tuple[Weight, ...]
    copies: tuple[str, ...]
    """Names of others that must hold the same."""


def fill(
    config: ModelConfig,
    weights: Sequence[Weight],
    stored: Mapping[str, Stored],
    *,
    where: str,
    prefix: str = "",
    ignored: Sequence[str] = (),
    device: torch.device,
    dtype: torch.dtype,
) -> Generator[Event, None, AnyModel]:
    """Build the model of `config` from `stored`, tensor by tensor, in eval mode. Yields Phase and Progress (bytes).

    Args:
        weights: where each tensor of the model stands in `stored`.
        where: what the messages call the place that the config and the tensors come from.
        prefix, ignored: as in models.interop.family.Family.

    Raises:
        ValueError: where a tensor is missing, is of another shape than the config says, or is none of the model's;
            it names the tensor.
    """
    uses = _match(weights, stored, where, prefix, ignored)
    yield Phase(name="Building the model")
    model = _outline(config)
    shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    assert set(shapes) == {weight.local_name for weight in weights}
    for use in uses:
        _check_shape(use, shapes, stored, where)

    yield Phase(name="Reading the weights")
    total = sum(use.stored.n_bytes + sum(stored[copy].n_bytes for copy in use.copies) for use in uses)
    made: dict[str, Tensor] = {}
    done = 0
    yield Progress(done=0, total=total)
    for use in uses:
        reading = _read(use, stored, shapes, device, dtype)
        parts, done = yield from _counted(reading, done, total)
        made |= parts
    for name in sorted(set(shapes) - set(made)):  # optional ones that are not there
        made[name] = torch.zeros(shapes[name], dtype=dtype, device=device)
    model.load_state_dict(made, assign=True)
    for module in model.modules():
        if isinstance(module, Rotary | Alibi):  # computed and not stored, always in float32
            module.to(device)
    return model.eval()


def _counted(
    reading: Generator[int, None, Result], done: int, total: int
) -> Generator[Event, None, tuple[Result, int]]:
    """Drive a reading, yielding Progress for each piece; returns its result and the bytes done."""
    try:
        while True:
            done += next(reading)
            yield Progress(done=done, total=total)
    except StopIteration as end:
        return end.value, done
    finally:
        reading.close()


def _match(
    weights: Sequence[Weight], stored: Mapping[str, Stored], where: str, prefix: str, ignored: Sequence[str]
) -> list[_Use]:
    """Which stored tensor serves which weights, in the order of the files; ValueError where they do not match up."""
    groups: dict[str, list[Weight]] = {}
    for weight in weights:
        groups.setdefault(weight.remote_name, []).append(weight)
    uses, claimed, missing = [], set(), []
    for remote_name, group in groups.items():
        others = [name for weight in group for name in weight.aliases]
        names = [name for name in _spellings((remote_name, *others), prefix) if name in stored]
        claimed.update(names)
        if names:
            uses.append(_Use(names[0], stored[names[0]], tuple(group), tuple(names[1:])))
        elif not all(weight.optional for weight in group):
            missing.append(remote_name)
    if missing:
        raise ValueError(f"{where} lacks {_some(missing)}, which its config needs: the file is for another model.")
    pattern = re.compile("|".join(ignored) if ignored else r"(?!)")
    unexpected = [name for name in stored if name not in claimed and not pattern.fullmatch(name)]
    if unexpected:
        raise ValueError(
            f"{where} has {_some(unexpected)}, for which a model of its config has no place: leaving weights out would "
            "compute something else."
        )
    return sorted(uses, key=lambda use: (use.stored.where, use.stored.start))


def _spellings(names: Iterable[str], prefix: str) -> list[str]:
    """Each name as it is, without the prefix, and with it; each once."""
    found: dict[str, None] = {}
    for name in names:
        found[name] = None
        if prefix:
            found[name.removeprefix(prefix)] = None
            found[prefix + name] = None
    return list(found)


def _some(names: Sequence[str]) -> str:
    if len(names) == 1:
        return f"the tensor {names[0]!r}"
    return f"the tensor {names[0]!r} and {len(names) - 1} more"


def _check_shape(use: _Use, shapes: Mapping[str, tuple[int, ...]], stored: Mapping[str, Stored], where: str) -> None:
    first = use.weights[0]
    expected = shapes[first.local_name]
    if first.rows is not None:
        expected = (max(weight.rows[1] for weight in use.weights if weight.rows), *expected[1:])
    if first.transposed:
        expected = expected[::-1]
    if first.unsqueeze:
        expected = (1, *expected)
    for name in (use.name, *use.copies):
        shape = stored[name].shape
        if shape != expected:
            raise ValueError(
                f"{where} contradicts its config: {name!r} is {_size(shape)}, but a model of that config needs "
                f"{_size(expected)}."
            )


def _size(shape: tuple[int, ...]) -> str:
    return " × ".join(str(n) for n in shape) or "a single number"


def _read(
    use: _Use,
    stored: Mapping[str, Stored],
    shapes: Mapping[str, tuple[int, ...]],
    device: torch.device,
    dtype: torch.dtype,
) -> Generator[int, None, dict[str, Tensor]]:
    """The weights that one stored tensor holds, on the device."""
    remote = yield from use.stored.read()
    if not remote.is_floating_point():
        raise ValueError(
            f"{use.stored.where}: {use.name!r} is stored as {str(remote.dtype).removeprefix('torch.')}, as quantised "
            "models do: take the model in float32, float16 or bfloat16."
        )
    for name in use.copies:
        copy = yield from stored[name].read()
        if not torch.equal(copy, remote):
            raise ValueError(
                f"{stored[name].where} holds {name!r} with other numbers than {use.name!r}, but the config says that "
                'they are one: set "tie_word_embeddings" to false in config.json.'
            )
    if use.weights[0].unsqueeze:
        remote = remote[0]
    if use.weights[0].transposed:
        remote = remote.T
    found = {}
    for weight in use.weights:
        rows = slice(*weight.rows) if weight.rows is not None else slice(None)
        local = torch.empty(shapes[weight.local_name], dtype=dtype, device=device)
        found[weight.local_name] = local.copy_(remote[rows])
    return found
