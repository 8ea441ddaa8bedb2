"""Builds a model from tensors in files: names and shapes are checked before anything is allocated."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.nn import init
from torch.overrides import TorchFunctionMode

from terrarium.models.architecture.positions import Alibi, Rotary
from terrarium.models.architecture.transformer import AnyModel, build_model
from terrarium.models.custom_blocks.loading import PlacedBlock
from terrarium.models.events import Event, Phase, Progress
from terrarium.models.inference.weight_kinds import KINDS
from terrarium.models.inference.weights import NarrowMatrices
from terrarium.models.interop.family import Weight
from terrarium.models.interop.stored import StoredTensor
from terrarium.models.settings.model_config import ModelConfig

Result = TypeVar("Result")


def model_without_data(config: ModelConfig) -> AnyModel:
    """Build a design's model on the meta device: shapes without data (except the tables of Rotary and Alibi)."""
    with torch.device("meta"), _SkipInit():
        return build_model(config)


_INIT_FUNCTIONS = (Tensor.normal_, Tensor.uniform_, init.normal_, init.uniform_, init.kaiming_uniform_)


class _SkipInit(TorchFunctionMode):
    """Skips the initialisation of weights: on the meta device it would import much of torch's compiler."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func in _INIT_FUNCTIONS:
            return None  # unused: these functions work in place
        return func(*args, **(kwargs or {}))


@dataclass(frozen=True)
class _Match:
    """One stored tensor and the weights that it provides."""

    name: str
    stored: StoredTensor
    weights: tuple[Weight, ...]
    copies: tuple[str, ...]
    """Names of other tensors that must be equal."""


def build_model_from(
    config: ModelConfig,
    weights: Sequence[Weight],
    stored: Mapping[str, StoredTensor],
    *,
    where: str,
    prefix: str = "",
    ignored: Sequence[str] = (),
    device: torch.device,
    dtype: torch.dtype,
    matrices: str = KINDS[0],
) -> Generator[Event, None, AnyModel]:
    """Build the model of `config` from `stored`, tensor by tensor, in eval mode. Yields Phase and Progress (bytes).

    Args:
        weights: where each tensor of the model is in `stored`.
        where: the source of config and tensors, for messages.
        prefix, ignored: as in models.interop.family.Family.
        matrices: their format, one of weight_kinds.KINDS. Each is converted as it is read, so that they are never all
            in memory in `dtype`.

    Raises:
        ValueError: if a tensor is missing, unexpected, or of a shape that contradicts the config; the message names
            the tensor.
    """
    yield Phase(name="Building the model")
    model, matches = _checked(config, weights, stored, where, prefix, ignored)
    empty = model.state_dict()
    yield Phase(name="Reading the weights")
    total = sum(match.stored.n_bytes + sum(stored[copy].n_bytes for copy in match.copies) for match in matches)
    made: dict[str, Tensor] = {}
    narrowed = NarrowMatrices(model, matrices)
    done = 0
    yield Progress(done=0, total=total)
    for match in matches:
        reading = _read(match, stored, empty, device, dtype)
        parts, done = yield from _counted(reading, done, total)
        made |= {name: narrowed.take(name, tensor) for name, tensor in parts.items()}
    for name in sorted(set(empty) - set(made)):  # optional ones that are missing
        made[name] = torch.zeros(empty[name].shape, dtype=dtype, device=device)
    model.load_state_dict(made, assign=True)
    made.clear()
    narrowed.put()
    for module in model.modules():
        if isinstance(module, Rotary | Alibi):  # computed, not stored, always in float32
            module.to(device)
        elif isinstance(module, PlacedBlock):
            module.compute_buffers(device)
    return model.eval()


def check_tensors(
    config: ModelConfig,
    weights: Sequence[Weight],
    stored: Mapping[str, StoredTensor],
    *,
    where: str,
    ignored: Sequence[str] = (),
) -> None:
    """Raise ValueError, as `build_model_from`, if the tensors are not those of `config`, without reading them."""
    _checked(config, weights, stored, where, "", ignored)


def _checked(
    config: ModelConfig,
    weights: Sequence[Weight],
    stored: Mapping[str, StoredTensor],
    where: str,
    prefix: str,
    ignored: Sequence[str],
) -> tuple[AnyModel, list[_Match]]:
    """Return the model without data, and where its tensors are."""
    matches = _match(weights, stored, where, prefix, ignored)
    model = model_without_data(config)
    shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    assert set(shapes) == {weight.local_name for weight in weights}
    for match in matches:
        _check_shape(match, shapes, stored, where)
    return model, matches


def _counted(
    reading: Generator[int, None, Result], done: int, total: int
) -> Generator[Event, None, tuple[Result, int]]:
    """Drive a reading generator, yielding Progress for each chunk; returns its result and the bytes done."""
    try:
        while True:
            done += next(reading)
            yield Progress(done=done, total=total)
    except StopIteration as end:
        return end.value, done
    finally:
        reading.close()


def _match(
    weights: Sequence[Weight], stored: Mapping[str, StoredTensor], where: str, prefix: str, ignored: Sequence[str]
) -> list[_Match]:
    """Match stored tensors with weights, in file order; ValueError if something is missing or left over."""
    groups: dict[str, list[Weight]] = {}
    for weight in weights:
        groups.setdefault(weight.remote_name, []).append(weight)
    matches, claimed, missing = [], set(), []
    for remote_name, group in groups.items():
        others = [name for weight in group for name in weight.aliases]
        names = [name for name in _name_variants((remote_name, *others), prefix) if name in stored]
        claimed.update(names)
        if names:
            matches.append(_Match(names[0], stored[names[0]], tuple(group), tuple(names[1:])))
        elif not all(weight.optional for weight in group):
            missing.append(remote_name)
    if missing:
        raise ValueError(
            f"{where} lacks {_describe(missing)}, which its config needs: the file belongs to another model."
        )
    pattern = re.compile("|".join(ignored) if ignored else r"(?!)")
    unexpected = [name for name in stored if name not in claimed and not pattern.fullmatch(name)]
    if unexpected:
        raise ValueError(
            f"{where} has {_describe(unexpected)}, which a model of its config does not have: ignoring weights would "
            "change its output."
        )
    return sorted(matches, key=lambda match: (match.stored.where, match.stored.start))


def _name_variants(names: Iterable[str], prefix: str) -> list[str]:
    """Return each name unchanged, without the prefix, and with it; no duplicates."""
    found: dict[str, None] = {}
    for name in names:
        found[name] = None
        if prefix:
            found[name.removeprefix(prefix)] = None
            found[prefix + name] = None
    return list(found)


def _describe(names: Sequence[str]) -> str:
    if len(names) == 1:
        return f"the tensor {names[0]!r}"
    return f"the tensor {names[0]!r} and {len(names) - 1} more"


def _check_shape(
    match: _Match, shapes: Mapping[str, tuple[int, ...]], stored: Mapping[str, StoredTensor], where: str
) -> None:
    first = match.weights[0]
    expected = shapes[first.local_name]
    if first.rows is not None:
        expected = (max(weight.rows[1] for weight in match.weights if weight.rows), *expected[1:])
    if first.transposed:
        expected = expected[::-1]
    if first.unsqueeze:
        expected = (1, *expected)
    for name in (match.name, *match.copies):
        shape = stored[name].shape
        if shape != expected:
            raise ValueError(
                f"{where} contradicts its config: {name!r} is {_size(shape)}, but a model of that config needs "
                f"{_size(expected)}."
            )


def _size(shape: tuple[int, ...]) -> str:
    return " × ".join(str(n) for n in shape) or "a single number"


def _read(
    match: _Match,
    stored: Mapping[str, StoredTensor],
    empty: Mapping[str, Tensor],
    device: torch.device,
    dtype: torch.dtype,
) -> Generator[int, None, dict[str, Tensor]]:
    """Read the weights that one stored tensor contains, onto the device."""
    remote = yield from match.stored.read()
    is_float = empty[match.weights[0].local_name].is_floating_point()
    if is_float and not remote.is_floating_point():
        raise ValueError(
            f"{match.stored.where}: {match.name!r} is stored as {str(remote.dtype).removeprefix('torch.')}, as in "
            "quantised models: use the model in float32, float16 or bfloat16."
        )
    for name in match.copies:
        copy = yield from stored[name].read()
        if not torch.equal(copy, remote):
            raise ValueError(
                f"{stored[name].where} has other values in {name!r} than in {match.name!r}, but the config says that "
                'they are tied: set "tie_word_embeddings" to false in config.json.'
            )
    if match.weights[0].unsqueeze:
        remote = remote[0]
    if match.weights[0].transposed:
        remote = remote.T
    found = {}
    for weight in match.weights:
        rows = slice(*weight.rows) if weight.rows is not None else slice(None)
        local = torch.empty_like(empty[weight.local_name], dtype=dtype if is_float else None, device=device)
        found[weight.local_name] = local.copy_(alternated(remote[rows], weight.halves))
    return found


def evens_first(tensor: Tensor, dims: Iterable[int]) -> Tensor:
    """Reorder a tensor to its even entries, then its odd ones, along each of `dims`."""
    for dim in dims:
        order = torch.arange(tensor.size(dim), device=tensor.device)
        tensor = tensor.index_select(dim, torch.cat((order[::2], order[1::2])))
    return tensor


def alternated(tensor: Tensor, dims: Iterable[int]) -> Tensor:
    """Invert `evens_first`."""
    for dim in dims:
        order = torch.arange(tensor.size(dim), device=tensor.device)
        tensor = tensor.index_select(dim, torch.cat((order[::2], order[1::2])).argsort())
    return tensor
