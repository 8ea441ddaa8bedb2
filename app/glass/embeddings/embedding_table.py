"""An embedding table for the window: every token's name and coordinates on the map. No widgets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from terrarium.app.glass.embeddings.kinds import UNKNOWN, Kind, kind_of
from terrarium.app.glass.names import token_names

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from terrarium.models.architecture.transformer import AnyModel
    from terrarium.models.corpora.token_use import TokenUse
    from terrarium.models.inspect.embedding_map import EmbeddingMap

TABLES = ("input", "output")
_MARKS = "·▁Ġ#"
"""Marks before a token for a space or a continued word."""


@dataclass(frozen=True, kw_only=True, eq=False)
class EmbeddingTable:
    """One of a model's tables.

    names, kinds: of all its rows. width: numbers in a row. has_both: the head has its own.
    counts: how often each token occurs in the training text; 0 for all where that is not known (`use` is None).
    shown: the ids on the map, which is computed from them alone: without the tokens that never occur, unless wanted.
    """

    which: str
    names: list[str]
    kinds: list[Kind]
    map: EmbeddingMap
    width: int
    has_both: bool
    use: TokenUse | None
    counts: list[int]
    shown: list[int]

    @property
    def n_unused(self) -> int:
        """How many tokens never occur in the training text; 0 where that is not known."""
        return 0 if self.use is None else sum(count == 0 for count in self.counts)

    def find(self, words: str) -> list[int]:
        """The tokens that contain `words`, best match first: exact matches, then shorter ones, then smaller ids."""
        wanted = words.replace(" ", "·")
        found = [id for id, name in enumerate(self.names) if wanted in name] if wanted else []
        if wanted and not found:
            found = [id for id, name in enumerate(self.names) if wanted.lower() in name.lower()]
        return sorted(found, key=lambda id: (self.names[id].lstrip(_MARKS) != words.strip(), len(self.names[id]), id))


def read_table(
    model: AnyModel,
    tokenizer: Tokenizer,
    which: str,
    use: TokenUse | None = None,
    *,
    in_world: bool = False,
    with_unused: bool = False,
) -> EmbeddingTable:
    """The input table, or the output table if there is one. Runs on the worker's thread.

    Args:
        use: of the tokens in the training text, if it is known. in_world: whether that text is Tiny World.
        with_unused: whether the tokens that never occur are on the map too.
    """
    from terrarium.models.inspect.embedding_map import pca_2d, tables
    from terrarium.models.tokenizers.vocabulary.vocabulary import TYPE_NAMES, read_vocabulary

    found = tables(model)
    which = which if which in found else "input"
    table = found[which]
    n, vocabulary = len(table), read_vocabulary(tokenizer)
    names = token_names(tokenizer, range(n))
    kinds = [UNKNOWN] * n  # a model may have a larger vocabulary than its tokenizer
    for id, text, type in zip(vocabulary.ids.tolist(), vocabulary.texts, vocabulary.types.tolist(), strict=True):
        if id < n:
            kinds[id] = kind_of(text, TYPE_NAMES[type], in_world=in_world)
    counts = [0] * n
    if use is not None:
        known = use.counts[:n].tolist()
        counts[: len(known)] = known
    leaves_out = use is not None and not with_unused and any(counts)
    shown = [id for id in range(n) if counts[id] or not leaves_out]
    return EmbeddingTable(
        which=which,
        names=[names[id] for id in range(n)],
        kinds=kinds,
        map=pca_2d(table, shown if leaves_out else None),
        width=table.size(1),
        has_both=len(found) > 1,
        use=use,
        counts=counts,
        shown=shown,
    )


def find_nearest(
    model: AnyModel, tokenizer: Tokenizer, which: str, id: int, among: Sequence[int]
) -> tuple[int, list[tuple[int, float]]]:
    """A token and its nearest neighbours among some tokens, with their cosines. Runs on the worker's thread."""
    from terrarium.models.inspect.embedding_map import nearest, tables

    return id, nearest(tables(model)[which], id, among=among)
