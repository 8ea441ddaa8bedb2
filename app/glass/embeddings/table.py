"""An embedding table for the window: every token's name and coordinates on the map. No widgets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.glass.names import token_names

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from models.architecture.transformer import AnyModel
    from models.inspect.embedding_map import EmbeddingMap

TABLES = ("input", "output")
_MARKS = "·▁Ġ#"
"""Marks before a token for a space or a continued word."""


@dataclass(frozen=True, kw_only=True, eq=False)
class EmbeddingTable:
    """One of a model's tables. names: of all its rows. width: numbers in a row. has_both: the head has its own."""

    which: str
    names: list[str]
    map: EmbeddingMap
    width: int
    has_both: bool

    def find(self, words: str) -> list[int]:
        """The tokens that contain `words`, best match first: exact matches, then shorter ones, then smaller ids."""
        wanted = words.replace(" ", "·")
        found = [id for id, name in enumerate(self.names) if wanted in name] if wanted else []
        if wanted and not found:
            found = [id for id, name in enumerate(self.names) if wanted.lower() in name.lower()]
        return sorted(found, key=lambda id: (self.names[id].lstrip(_MARKS) != words.strip(), len(self.names[id]), id))


def read_table(model: AnyModel, tokenizer: Tokenizer, which: str) -> EmbeddingTable:
    """The input table, or the output table if there is one. Runs on the worker's thread."""
    from models.inspect.embedding_map import pca_2d, tables

    found = tables(model)
    which = which if which in found else "input"
    table = found[which]
    names = token_names(tokenizer, range(len(table)))
    return EmbeddingTable(
        which=which,
        names=[names[id] for id in range(len(table))],
        map=pca_2d(table),
        width=table.size(1),
        has_both=len(found) > 1,
    )


def find_nearest(model: AnyModel, tokenizer: Tokenizer, which: str, id: int) -> tuple[int, list[tuple[int, float]]]:
    """A token and its nearest neighbours with their cosines. Runs on the worker's thread."""
    from models.inspect.embedding_map import nearest, tables

    return id, nearest(tables(model)[which], id)
