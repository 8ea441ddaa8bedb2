"""The contract of a family file: maps Hugging Face classes to Terrarium's config and weights. No torch import."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Protocol

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
