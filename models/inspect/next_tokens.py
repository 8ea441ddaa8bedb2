"""The logits from which each token of an existing text was sampled, recomputed in one pass.

Letters in shape comments: T tokens, N positions, V vocab_size.
"""

from __future__ import annotations

import functools
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from terrarium.models.architecture.cache import KVCache
from terrarium.models.architecture.transformer import AnyModel, Decoder
from terrarium.models.events import Progress, result_of
from terrarium.models.inference.continuation import evaluating
from terrarium.models.inference.prefill import chunk_size
from terrarium.models.inference.sampling import as_floats
from terrarium.models.inference.sampling_steps import Floats, entropy, rank, softmax
from terrarium.models.inference.threads import ThreadTuner
from terrarium.models.inspect.read_text import Text, answer_logits, answer_position, check_readable, read

MAX_LOGIT_BYTES = 2**27
"""Memory limit of the logits, in bytes: 512 positions with a vocabulary of 65,536. They are float32: float16 would
round a logit of 16 to the nearest 0.016, so that tokens of different rank would become equal."""


@dataclass(frozen=True, kw_only=True, eq=False)
class NextTokens:
    """The model's distributions for the tokens from position `first` to the end of a text.

    logits: (N, V). probabilities, entropies (nats) and ranks (1 = the most likely): of each of these tokens, in the
    model's own distribution over the whole vocabulary.
    """

    first: int
    logits: Floats
    probabilities: tuple[float, ...]
    entropies: tuple[float, ...]
    ranks: tuple[int, ...]

    def at(self, position: int) -> Floats | None:
        """Return the logits (V,) for the token at `position`; None if they are not stored."""
        return self.logits[position - self.first] if 0 <= position - self.first < len(self.logits) else None


def read_logits(model: AnyModel, ids: Sequence[int], *, source_ids: Sequence[int] = (), last: int = 512) -> NextTokens:
    """Run `read_logits_in_chunks` to its end and return its result."""
    return result_of(read_logits_in_chunks(model, ids, source_ids=source_ids, last=last))


def read_logits_in_chunks(
    model: AnyModel, ids: Sequence[int], *, source_ids: Sequence[int] = (), last: int = 512
) -> Generator[Progress, None, NextTokens]:
    """Read a text again: a decoder's prompt and reply, an encoder's text or an encoder-decoder's target.

    An encoder predicts each token at its own position, with the token as input unless it is masked. A decoder predicts
    it at the position before, so there is no prediction for the first token. Yields Progress (tokens) after each chunk.

    Args:
        last: number of last tokens whose logits are stored, fewer if the vocabulary is very large.

    Raises:
        ValueError: as `models.inspect.read_text.check_readable`, and if a logit is not a number.
    """
    size = model.config.vocab_size
    n_kept = max(1, min(last, MAX_LOGIT_BYTES // (4 * size)))
    earliest = 0 if answer_position(model.config, 0) is not None else 1
    first = max(earliest, len(ids) - n_kept)
    text = Text(ids=tuple(ids) if earliest == 0 else tuple(ids[:-1]), source_ids=tuple(source_ids))
    check_readable(model, text)
    logits = np.empty((len(ids) - first, size), np.float32)
    probabilities, entropies, ranks = [], [], []
    position = earliest  # of the token that the first row of the next chunk predicts
    for hidden in _hidden_in_chunks(model, text):
        wanted = hidden[max(first - position, 0) :]
        position += len(hidden)
        if len(wanted):
            start = position - len(wanted) - first
            with evaluating(model):
                part = logits[start : start + len(wanted)] = as_floats(answer_logits(model, wanted))
            for row, id in zip(part, ids[first + start :], strict=False):  # one at a time, to save memory
                own = softmax(row)
                probabilities.append(float(own[id]))
                entropies.append(entropy(own))
                ranks.append(rank(row, id))
        yield Progress(done=position - earliest, total=len(text.ids))
    return NextTokens(
        first=first,
        logits=logits,
        probabilities=tuple(probabilities),
        entropies=tuple(entropies),
        ranks=tuple(ranks),
    )


def _hidden_in_chunks(model: AnyModel, text: Text) -> Iterator[Tensor]:
    """Yield the final hidden states of a text, (T, C) in chunks; in one piece for bidirectional models."""
    if not isinstance(model, Decoder):
        with evaluating(model):
            hidden = read(model, text)[0]
        yield hidden
        return
    cache, size, tuner = KVCache(model.config.n_layer), chunk_size(model), ThreadTuner(is_small=False)
    for ids in torch.tensor([text.ids], device=model.embedding.weight.device).split(size, dim=1):
        with evaluating(model):
            hidden = tuner.run(functools.partial(model.hidden, ids, cache=cache))[0]
        yield hidden
