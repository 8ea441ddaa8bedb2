"""The contract of a family file: how Hugging Face classes relate to our slots and weights. No torch."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Protocol

from models.settings.model_config import ModelConfig


@dataclass(frozen=True, kw_only=True)
class Weight:
    """One tensor of our state dict, `local_name`, and where it stands in a Hugging Face folder, `remote_name`.

    local = (remote transposed, where `transposed`; its only row, where `unsqueeze`)[rows[0]:rows[1]]. Several weights
    may be rows of one remote tensor, whose length is then the largest rows[1]; rows that no weight claims are written
    as zeros.
    """

    local_name: str
    remote_name: str
    transposed: bool = False
    unsqueeze: bool = False
    """The remote tensor has one dimension more in front, of size 1."""
    rows: tuple[int, int] | None = None
    optional: bool = False
    """Where the remote tensor is missing, the local one is all zeros (a bias that older files do not have)."""
    aliases: tuple[str, ...] = ()
    """Other remote names under which the same numbers may stand, instead or as well (tied copies, older spellings): all
    that are there must be equal. Only `remote_name` is written."""


class Family(Protocol):
    """What a family file has. All of it is about names and settings; the numbers are moved by the frame."""

    ARCHITECTURES: tuple[str, ...]
    """The classes, as config.json names them under "architectures"; the first names the family in messages."""
    PREFIX: str
    """What the names of the headless class's tensors lack ("transformer."): files with and without it are read."""
    IGNORED: tuple[str, ...]
    """Regular expressions that match whole names of tensors that hold no weight of ours (masks, inv_freq …)."""

    def read_config(self, raw: dict[str, Any]) -> ModelConfig:
        """Our design of a parsed config.json, whose "architectures" names one of ARCHITECTURES.

        start_id and end_id are set by the frame. Raises ValueError that names an option which our slots cannot
        express; options that the class's arithmetic does not read are ignored.
        """

    def fitted(self, config: ModelConfig, names: Collection[str]) -> ModelConfig:
        """`read_config`'s result, with what config.json does not tell and the names of the stored tensors do."""

    def write_config(self, config: ModelConfig) -> dict[str, Any]:
        """The config.json of a design, with "architectures" and "model_type"; its inverse is `read_config`.

        Raises ValueError, as half a sentence that goes on after the class's name (“has no QK-norm”), where the class
        cannot compute the design. eos_token_id and the like are set by the frame.
        """

    def weights(self, config: ModelConfig) -> list[Weight]:
        """Every name in the state dict of `build_model(config)`, once."""
