"""What a model gave each token of a text that stands already, in one reading: the logits that they were drawn from.

Letters in shape comments: T tokens, N places, V vocab_size.
"""

from __future__ import annotations

import functools
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from models.architecture.cache import KVCache
from models.architecture.transformer import AnyModel, Decoder
from models.events import Progress, result_of
from models.inference.continuation import evaluating
from models.inference.prefill import piece_size
from models.inference.sampling import as_floats
from models.inference.sampling_steps import entropy, rank, softmax
from models.inference.threads import ThreadTuner
from models.inference.top_tokens import Floats
from models.inspect.reading import Text, answer_logits, answer_place, check_readable, read

LARGEST = 2**27
"""Bytes that logits are kept for: 512 places with a vocabulary of 65,536. In float32, since float16 would round a logit
of 16 to the nearest 0.016, and so make equals of tokens with different ranks."""


@dataclass(frozen=True, kw_only=True, eq=False)
class NextTokens:
    """What the model gave the tokens at the places from `first` to the end of a text.

    logits: (N, V). probabilities, entropies (nats) and ranks (1 = the likeliest): of each of these
    tokens, in the model's own distribution over the whole vocabulary.
    """

    first: int
    logits: Floats
    probabilities: tuple[float, ...]
    entropies: tuple[float, ...]
    ranks: tuple[int, ...]

    def at(self, place: int) -> Floats | None:
        """The logits (V,) that the token at `place` was chosen by; None where they are not kept."""
        return self.logits[place - self.first] if 0 <= place - self.first < len(self.logits) else None


def read_logits(model: AnyModel, ids: Sequence[int], *, source_ids: Sequence[int] = (), last: int = 512) -> NextTokens:
    """As `read_logits_in_pieces`, at one go."""
    return result_of(read_logits_in_pieces(model, ids, source_ids=source_ids, last=last))


def read_logits_in_pieces(
    model: AnyModel, ids: Sequence[int], *, source_ids: Sequence[int] = (), last: int = 512
) -> Generator[Progress, None, NextTokens]:
    """Read a text again: what a decoder's prompt and reply, an encoder's text or an encoder-decoder's target was given.

    An encoder's token is seen by the model itself unless it is a mask; a decoder gave each token what it had read up to
    the one before, so that nothing was given to a text's first one. Yields Progress (tokens) after each piece.

    Args:
        last: for so many of the last tokens, and for fewer where the vocabulary is very large.

    Raises:
        ValueError: as `models.inspect.reading.check_readable`, and where a logit is not a number.
    """
    size = model.config.vocab_size
    n_kept = max(1, min(last, LARGEST // (4 * size)))
    earliest = 0 if answer_place(model.config, 0) is not None else 1
    first = max(earliest, len(ids) - n_kept)
    text = Text(ids=tuple(ids) if earliest == 0 else tuple(ids[:-1]), source_ids=tuple(source_ids))
    check_readable(model, text)
    logits = np.empty((len(ids) - first, size), np.float32)  # a full context has no room for the last one
    probabilities, entropies, ranks = [], [], []
    place = earliest  # of the token that the next piece's first row was given to
    for hidden in _hidden_in_pieces(model, text):
        wanted = hidden[max(first - place, 0) :]
        place += len(hidden)
        if len(wanted):
            start = place - len(wanted) - first
            with evaluating(model):
                part = logits[start : start + len(wanted)] = as_floats(answer_logits(model, wanted))
            for row, id in zip(part, ids[first + start :], strict=False):  # all at once takes as much memory again
                own = softmax(row)
                probabilities.append(float(own[id]))
                entropies.append(entropy(own))
                ranks.append(rank(row, id))
        yield Progress(done=place - earliest, total=len(text.ids))
    return NextTokens(
        first=first,
        logits=logits,
        probabilities=tuple(probabilities),
        entropies=tuple(entropies),
        ranks=tuple(ranks),
    )


def _hidden_in_pieces(model: AnyModel, text: Text) -> Iterator[Tensor]:
    """The last hidden states of a text, some (T, C) at a time; of what sees both sides, all at once."""
    if not isinstance(model, Decoder):
        with evaluating(model):
            hidden = read(model, text)[0]
        yield hidden
        return
    cache, size, tuner = KVCache(model.config.n_layer), piece_size(model), ThreadTuner(is_small=False)
    for ids in torch.tensor([text.ids], device=model.embedding.weight.device).split(size, dim=1):
        with evaluating(model):
            hidden = tuner.run(functools.partial(model.hidden, ids, cache=cache))[0]
        yield hidden
