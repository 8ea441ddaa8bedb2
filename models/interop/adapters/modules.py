"""The remote matrices that adapters belong to. One may be several local matrices: GPT-2's c_attn, or all experts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from terrarium.models.architecture.lora import DOWN, UP
from terrarium.models.design.tree import design_tree
from terrarium.models.design.tuning import adapted_matrices
from terrarium.models.interop.building import alternated, evens_first
from terrarium.models.interop.family import Weight
from terrarium.models.interop.parents import Parent
from terrarium.models.settings.model_config import ModelConfig


@dataclass(frozen=True)
class Module:
    """A remote matrix, `name`, and its local layers: their paths, each with its rows of that matrix (None: all).

    transposed, halves: as in `Weight`.
    """

    name: str
    parts: tuple[tuple[str, tuple[int, int] | None], ...]
    transposed: bool = False
    halves: tuple[int, ...] = ()

    @property
    def n_rows(self) -> int:
        """The rows of a remote matrix that is several local ones; 0 for others."""
        return max((rows[1] for _, rows in self.parts if rows), default=0)


@dataclass(frozen=True)
class Pair:
    """A (r, N) and B (M, r) of a layer, and its rows of the remote matrix."""

    a: Tensor
    b: Tensor
    rows: tuple[int, int] | None


def modules_of(config: ModelConfig, weights: Iterable[Weight]) -> list[Module]:
    """Return the matrices of blocks, by the names (without “.weight”) that `weights` gives them."""
    layers = adapted_matrices(design_tree(config))
    found: dict[str, Module] = {}
    for weight in weights:
        path = weight.local_name.removesuffix(".weight")
        if path == weight.local_name or path not in layers:
            continue
        name = weight.remote_name.removesuffix(".weight")
        parts = (*(found[name].parts if name in found else ()), (path, weight.rows))
        found[name] = Module(name, parts, weight.transposed, weight.halves)
    return list(found.values())


def pairs_of(module: Module, tensors: dict[str, Tensor]) -> list[Pair]:
    """Return the adapters of a matrix's parts, without parts that have none."""
    return [
        Pair(tensors[f"{path}.{DOWN}"], tensors[f"{path}.{UP}"], rows)
        for path, rows in module.parts
        if f"{path}.{DOWN}" in tensors
    ]


def joined(module: Module, pairs: list[Pair]) -> tuple[Tensor, Tensor]:
    """Join the adapters of a matrix's parts to A and B of the remote matrix: A stacked, and B block-diagonal."""
    if len(pairs) == 1 and pairs[0].rows is None:
        return _reordered(module, pairs[0].a, pairs[0].b, evens_first)
    a = torch.cat([pair.a for pair in pairs])
    b, column = a.new_zeros(module.n_rows, len(a)), 0
    for pair in pairs:
        assert pair.rows is not None
        b[slice(*pair.rows), column : column + len(pair.a)] = pair.b
        column += len(pair.a)
    return _reordered(module, a, b, evens_first)


def split(module: Module, a: Tensor, b: Tensor) -> Iterator[tuple[str, Tensor, Tensor]]:
    """Yield each layer's path, and its A and B, the inverse of `joined`; all layers share A."""
    a, b = _reordered(module, a, b, alternated)
    for path, rows in module.parts:
        yield path, a, b if rows is None else b[slice(*rows)]


def _reordered(
    module: Module, a: Tensor, b: Tensor, order: Callable[[Tensor, Iterable[int]], Tensor]
) -> tuple[Tensor, Tensor]:
    """Return A and B with their columns and rows in remote or local order."""
    return order(a, [1] if 1 in module.halves else []), order(b, [0] if 0 in module.halves else [])


def known_module(where: str, name: str, modules: Mapping[str, Module], parent: Parent) -> Module:
    """Return the matrix with that name; ValueError if the model has none."""
    if name not in modules:
        raise ValueError(
            f"{where} adapts {name!r}, which is no matrix of a block of {parent.name!r}: the adapter belongs to "
            "another model."
        )
    return modules[name]


def check_pair(where: str, module: Module, a: Tensor, b: Tensor, parent: Parent) -> None:
    """Raise ValueError if A (r, N) and B (M, r) do not fit the matrix of the model."""
    matrices = adapted_matrices(design_tree(parent.config))
    rows = sum(matrices[path].shape[0] for path, _ in module.parts)
    columns = matrices[module.parts[0][0]].shape[1]
    if a.dim() != 2 or b.dim() != 2 or a.shape[1] != columns or b.shape[0] != rows or len(a) != b.shape[1]:
        sizes = " and ".join(" × ".join(map(str, tensor.shape)) for tensor in (b, a))
        raise ValueError(
            f"{where} adapts {module.name!r} with matrices of {sizes}, but that of the model is {rows} × {columns}: "
            "the adapter belongs to another model."
        )
