"""An embedding table as the page shows it: the name and map coordinates of every token. No widgets."""

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
"""Marks at the start of a token for a space or a continued word."""


@dataclass(frozen=True, kw_only=True, eq=False)
class EmbeddingTable:
    """The input or output embeddings of a model.

    which: one of TABLES. names, kinds: of all rows. map: the projection to two dimensions. width: the embedding size.
    has_both: whether the head has weights of its own, so that there is an output table.
    use, counts: how often each token occurs in the training text; None and all 0 if that is unknown.
    shown: the ids on the map, from which alone it is computed; unused tokens are left out unless requested.
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
        """How many tokens never occur in the training text; 0 if that is unknown."""
        return 0 if self.use is None else sum(count == 0 for count in self.counts)

    def find(self, words: str) -> list[int]:
        """Return the ids of tokens that contain `words`: exact matches first, then by length, then by id.

        Upper and lower case are ignored only if there is no match otherwise.
        """
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
    """Read the input or output table; the input table if there is no such output table. Runs on the worker thread.

    Args:
        use: the use of tokens in the training text, if known. in_world: whether that text is Tiny World.
        with_unused: whether tokens that never occur are on the map too.
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
    """Return `id` and its nearest neighbours in `among`, with cosine similarities. Runs on the worker thread."""
    from terrarium.models.inspect.embedding_map import nearest, tables

    return id, nearest(tables(model)[which], id, among=among)
