"""The contract of a family file: maps Hugging Face classes to Terrarium's config and weights. No torch import."""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from terrarium.models.design.tree import Tensor, design_tree, state_tensors
from terrarium.models.settings.model_config import ModelConfig


@dataclass(frozen=True, kw_only=True)
class Weight:
    """One tensor of the model's state dict, `local_name`, and its source in a Hugging Face folder, `remote_name`.

    local = (remote, transposed if `transposed`; its only row if `unsqueeze`)[rows[0]:rows[1]]. Several weights may be
    rows of one remote tensor, whose length is then the largest rows[1]; rows that no weight claims are written as
    zeros.
    """

    local_name: str
    remote_name: str
    transposed: bool = False
    unsqueeze: bool = False
    """The remote tensor has an extra first dimension of size 1."""
    halves: tuple[int, ...] = ()
    """Dimensions of the local tensor whose entries are reordered in the remote one: all even ones, then all odd ones.
    """
    rows: tuple[int, int] | None = None
    optional: bool = False
    """If the remote tensor is missing, the local one is all zeros (a bias that older files do not have)."""
    aliases: tuple[str, ...] = ()
    """Other remote names of the same tensor, instead or as well (tied copies, older names); all that exist must be
    equal. Only `remote_name` is written.
    """


def named_weights(
    config: ModelConfig,
    names: Mapping[str, str],
    special: Iterable[Weight] = (),
    how: Callable[[str, str, Tensor], Mapping[str, Any]] = lambda part, remote, tensor: {},
) -> list[Weight]:
    """Return the weights of a design, of each part of its tree by the part's remote name.

    Args:
        names: the remote name of each part, by its path in the tree (models.design.tree); "*" is the number of a layer
            or an expert in both. Parts with the same remote name are successive rows of one tensor.
        special: weights that are stored in another way.
        how: further fields of a Weight, from the path of its part, the remote name of that, and its tensor.
    """
    found: list[tuple[Weight, bool]] = []
    ends: Counter[str] = Counter()
    known = {weight.local_name: weight for weight in special}
    for local, tensor in state_tensors(design_tree(config)):
        if local in known:
            found.append((known[local], False))
            continue
        path, _, name = local.rpartition(".")
        part, numbers = re.sub(r"\b\d+\b", "*", path), re.findall(r"\b\d+\b", path)
        there = functools.reduce(lambda text, number: text.replace("*", number, 1), numbers, names[part])
        remote = f"{there}.{name}"
        rows = ends[remote], ends[remote] + tensor.shape[0]
        ends[remote] = rows[1]
        weight = Weight(local_name=local, remote_name=remote, rows=rows, **how(part, there, tensor))
        found.append((weight, True))
    n_parts = Counter(weight.remote_name for weight, _ in found)
    return [
        replace(weight, rows=None) if is_plain and n_parts[weight.remote_name] == 1 else weight
        for weight, is_plain in found
    ]


class Family(Protocol):
    """The contents of a family file: only names and settings. Loading and export move the data."""

    ARCHITECTURES: tuple[str, ...]
    """The classes, as config.json names them under "architectures"; the first names the family in messages."""
    PREFIX: str
    """The name prefix that the headless class's tensors lack ("transformer."); files with and without it can be read.
    """
    IGNORED: tuple[str, ...]
    """Regular expressions that match the full names of tensors to ignore (masks, inv_freq …)."""

    def read_config(self, raw: dict[str, Any]) -> ModelConfig:
        """Return the model config for a parsed config.json whose "architectures" names one of ARCHITECTURES.

        start_id and end_id are set by the caller. Raises ValueError naming an option that is not supported; options
        that do not affect the computation are ignored.
        """

    def refine_config(self, config: ModelConfig, names: Collection[str]) -> ModelConfig:
        """Complete `read_config`'s result with what follows only from the names of the stored tensors."""

    def write_config(self, config: ModelConfig) -> dict[str, Any]:
        """Return the config.json of a design, with "architectures" and "model_type"; its inverse is `read_config`.

        Raises ValueError, as a sentence that continues the class's name (“has no QK-norm”), if the class cannot
        compute the design. eos_token_id and the like are set by the caller.
        """

    def weights(self, config: ModelConfig) -> list[Weight]:
        """Return a Weight for every name in the state dict of `build_model(config)`, once."""
