"""The description of one of llama.cpp's graphs. No torch import; only `fold` gets tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from math import isclose
from typing import TYPE_CHECKING, Any, Protocol

from terrarium.models.interop.family import Weight
from terrarium.models.interop.options import integer
from terrarium.models.settings.block_references import blocks_of
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.model_slots import ModelSlots

if TYPE_CHECKING:
    from torch import Tensor

Fields = dict[str, int | float | bool | str]
"""Metadata, without the prefix of the architecture's name."""


class Shaped(Protocol):
    """A tensor, as far as a design follows from it."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape, rows first."""


Stored = Mapping[str, Shaped]

LABELS = {slot.name: str(slot.metadata["label"]) for slot in fields(ModelSlots)} | {"attention_kind": "Attention"}
"""The slots' names on screen, by their names in code."""


def unfolded(config: ModelConfig, state: Mapping[str, Tensor]) -> tuple[ModelConfig, dict[str, Tensor]]:
    """Return the design and its weights unchanged."""
    return config, dict(state)


@dataclass(frozen=True, kw_only=True)
class Graph:
    """One of llama.cpp's graphs.

    Attributes:
        name: general.architecture.
        slots: the required values of a design (or of values derived from it); a tuple lists alternatives.
        read: metadata and tensors -> the design; ValueError if it is not supported.
        write: a design that fits -> the metadata.
        weights: local names, and those of the file.
        fold: the equivalent design and weights that a file can store: without a head, or with its scale folded into
            the weights.
        misfits: further conditions, each a clause “heads that are 16 wide (here 8)”.
        head_pairs: whether the rows of queries and keys are permuted, because RoPE rotates adjacent pairs in this
            graph.
    """

    name: str
    slots: Mapping[str, Any]
    read: Callable[[dict[str, Any], Stored], ModelConfig]
    write: Callable[[ModelConfig], Fields]
    weights: Callable[[ModelConfig], list[Weight]]
    fold: Callable[[ModelConfig, Mapping[str, Tensor]], tuple[ModelConfig, dict[str, Tensor]]] = unfolded
    misfits: Callable[[ModelConfig], list[str]] = lambda config: []
    head_pairs: bool = False

    def lacks(self, config: ModelConfig) -> list[str]:
        """Return what the graph needs and the design lacks, each as “QK-norm off (here on)”; empty if it fits."""
        found = []
        for name, value in self.slots.items():
            wanted, here = value if isinstance(value, tuple) else (value,), getattr(config, name)
            if here not in wanted:
                found.append(f"{LABELS.get(name, name)} {' or '.join(map(_words, wanted))} (here {_words(here)})")
        found += [f"no custom block (here {reference.name})" for reference in blocks_of(config).values()]
        return [*found, *self.misfits(config)]

    def paired_heads(self, name: str, config: ModelConfig) -> int:
        """Return the number of heads of a tensor whose rows are stored in pairs; 0 for all others."""
        if not self.head_pairs:
            return 0
        return config.n_head if ".attn_q." in name else config.kv_heads if ".attn_k." in name else 0


def in_pairs(rows: Tensor, heads: int) -> Tensor:
    """Reorder rows of queries or keys for llama.cpp: RoPE rotates adjacent rows there, but rows half a head apart
    here.

    heads: as in `Graph.paired_heads`; with 0 nothing changes.
    """
    if not heads:
        return rows
    return rows.view(heads, 2, -1, *rows.shape[1:]).transpose(1, 2).reshape(rows.shape)  # (H, 2, D/2, …)


def in_halves(rows: Tensor, heads: int) -> Tensor:
    """Invert `in_pairs`."""
    if not heads:
        return rows
    return rows.view(heads, -1, 2, *rows.shape[1:]).transpose(1, 2).reshape(rows.shape)  # (H, D/2, 2, …)


def _words(value: object) -> str:
    return str(value) if not isinstance(value, bool) else "on" if value else "off"


def check_read(raw: dict[str, Any], known: set[str], name: str) -> None:
    """Raise ValueError for metadata of the architecture that is not read, unless it is 0 or off."""
    unknown = next((key for key, value in raw.items() if key not in known and value), None)
    if unknown is not None:
        raise ValueError(f"{name}.{unknown} {raw[unknown]!r} is not supported.")


def vocab_size(raw: dict[str, Any], stored: Stored) -> int:
    """Return the number of tokens, from the metadata or the embedding table."""
    embedding = stored.get("token_embd.weight")
    return integer(raw, "vocab_size", embedding.shape[0] if embedding is not None else None)


def rounded(value: float) -> float:
    """Return the decimal number that a float32 stands for: 1e-05 for 9.999999747378752e-06."""
    short = float(f"{value:.6g}")
    return short if isclose(short, value, rel_tol=1e-7) else value
