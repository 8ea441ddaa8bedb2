"""Token counts of a run's training data. No torch import."""

from __future__ import annotations

import itertools
from collections.abc import Generator, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from terrarium.models.chat.own_template import encode_messages
from terrarium.models.corpora.corpus import Corpus, open_run_corpus
from terrarium.models.events import Progress
from terrarium.models.library.library import Library
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.tokenizers.making.texts import batches, read_texts
from terrarium.models.tokenizers.many_texts import ManyTextsEncoder
from terrarium.models.tokenizers.special_tokens import end_id

MAX_BYTES = 1 << 28
"""Maximum bytes of text to count tokens in, which takes about ten seconds."""
_N_CONVERSATIONS = 100
"""Conversations to search for the special tokens of the chat template, which is the same in all."""
_MAX_PARENTS = 20


@dataclass(frozen=True, kw_only=True, eq=False)
class TokenUse:
    """Token counts. counts: by id, up to the tokenizer's highest. is_whole: whether all of the text was counted."""

    counts: NDArray[np.int64]
    is_whole: bool


def count_training_tokens(
    library: Library, run: RunFolder, tokenizer: Tokenizer
) -> Generator[Progress, None, TokenUse | None]:
    """Count the tokens in a run's training split, and in those of the runs whose weights it started from.

    Returns None if one of these corpora is not in the library. The special tokens around messages are counted in the
    first conversations only, which is enough to tell which ones occur.

    Raises:
        ValueError: if a text is damaged.
    """
    corpora = _corpora(library, run)
    if not corpora:
        return None
    encoder, end = ManyTextsEncoder(tokenizer), end_id(tokenizer)
    counts = np.zeros(max(tokenizer.get_vocab().values(), default=-1) + 1, np.int64)
    paths = [corpus.path("train") for corpus in corpora]
    total, done = min(sum(path.stat().st_size for path in paths), MAX_BYTES), 0
    for batch in batches(read_texts(paths)):
        ids, _ = encoder.encode(batch, end)
        counts += np.bincount(ids, minlength=len(counts))
        done += sum(len(text.encode()) for text in batch)
        yield Progress(done=min(done, total), total=total)
        if done >= MAX_BYTES:
            break
    for corpus in corpora:
        for id in _special_tokens(corpus, tokenizer):
            counts[id] += 1
    return TokenUse(counts=counts, is_whole=done < MAX_BYTES)


def _corpora(library: Library, run: RunFolder) -> list[Corpus]:
    """Return the corpora that a run and its ancestors were trained on; [] if one of them is missing."""
    found: list[Corpus] = []
    for _ in range(_MAX_PARENTS):
        try:
            found.append(open_run_corpus(library, run))
            parent = run.lineage.get("parent")
            if not parent:
                return found
            run = RunFolder.open(library.find_run(str(parent["run"])))
        except (ValueError, KeyError):  # the parent is no run of the library, or a run or corpus was deleted
            return []
    return []


def _special_tokens(corpus: Corpus, tokenizer: Tokenizer) -> Iterator[int]:
    """Yield the special tokens that the chat template adds around messages, once per conversation."""
    if corpus.kind != "examples" or not corpus.has_chats:
        return
    special = {id for id, token in tokenizer.get_added_tokens_decoder().items() if token.special}
    for row in itertools.islice(corpus.rows("train"), _N_CONVERSATIONS):
        try:
            ids, _ = encode_messages(tokenizer, row.get("messages", ()))
        except ValueError:  # an external tokenizer, with another chat template
            return
        yield from special.intersection(ids)
