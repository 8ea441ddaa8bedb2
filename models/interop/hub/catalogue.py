"""The curated list of published models, resources/models.toml, and the memory of a model. No torch import."""

from __future__ import annotations

import functools
import tomllib
from dataclasses import dataclass, fields
from importlib.resources import files
from typing import Any

from terrarium.models.number_words import format_size

PURPOSES = {
    "chat": "To chat with",
    "base": "To fine-tune, and to look inside",
    "encoder": "For labels, names and vectors",
    "text-to-text": "From text to text",
}
"""The purposes of the listed models -> the heading above them."""
_FLOAT32_BYTES = 4


@dataclass(frozen=True, kw_only=True)
class ListedModel:
    """A model of the list; resources/models.toml describes the fields. `file` is "" for safetensors."""

    id: str
    name: str
    architecture: str
    purpose: str
    licence: str
    parameters: int
    bytes: int
    context: int
    good_for: str
    file: str = ""

    @property
    def memory(self) -> int:
        """The estimated bytes of memory of the open model."""
        return open_bytes(self.parameters)


def open_bytes(n_parameters: int) -> int:
    """Estimate the bytes of memory of an open model: its weights in float32, without the KV cache."""
    return _FLOAT32_BYTES * n_parameters


@functools.cache
def listed_models() -> tuple[ListedModel, ...]:
    """Return the models of the list, in order."""
    return parse_models((files("terrarium.resources") / "models.toml").read_text("utf-8"))


def parse_models(text: str) -> tuple[ListedModel, ...]:
    """Parse a list of models in TOML.

    Raises:
        ValueError: if an entry lacks a field, has an unknown field or one of the wrong type, or is a duplicate.
    """
    found: list[ListedModel] = []
    for number, entry in enumerate(tomllib.loads(text).get("model", []), start=1):
        found.append(_model(entry, f"model {number} ({entry.get('id', 'without id')})"))
        if found[-1].id in {other.id for other in found[:-1]}:
            raise ValueError(f"resources/models.toml: {found[-1].id} is there twice.")
    return tuple(found)


def _model(entry: dict[str, Any], where: str) -> ListedModel:
    kinds = {each.name: str(each.type) for each in fields(ListedModel)}
    if wrong := set(entry) - set(kinds) or set(kinds) - set(entry) - {"file"}:
        raise ValueError(f"resources/models.toml: {where} lacks {min(wrong)}, or it is unknown.")
    for name, value in entry.items():
        if type(value).__name__ != kinds[name] or not value:
            raise ValueError(f"resources/models.toml: {name} of {where} must be a {kinds[name]} that is not empty.")
    if entry["purpose"] not in PURPOSES:
        raise ValueError(f"resources/models.toml: the purpose of {where} must be one of {', '.join(PURPOSES)}.")
    return ListedModel(**entry)


def instead_of(id: str, n_bytes: float) -> ListedModel | None:
    """Return the largest listed model of the same purpose as `id` that needs at most `n_bytes` of memory, or None.

    A model that is not in the list is treated as a chat model.
    """
    purpose = next((each.purpose for each in listed_models() if each.id == id), next(iter(PURPOSES)))
    fitting = (each for each in listed_models() if each.purpose == purpose and each.memory <= n_bytes)
    return max((each for each in fitting if each.id != id), key=lambda each: each.parameters, default=None)


def too_large(memory: int, n_free: int, instead: ListedModel | None) -> str:
    """Return the message about a model that needs more memory than is free, with an alternative that fits."""
    words = f"Needs about {format_size(memory)} of memory, and {format_size(n_free)} are free"
    return f"{words}: {instead.name} would fit." if instead is not None else f"{words}: close other programs first."
