"""What a model gave each token of a text that stands already, in one pass: the logits that they were drawn from.

Letters in shape comments: T tokens, N places, V vocab_size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from models.inference.continuation import evaluating
from models.inference.likeliest import Floats
from models.inference.sampling import as_floats
from models.inference.sampling_steps import entropy, rank, softmax
from models.inspect.reading import Text, answer_logits, answer_place, read
from models.transformer import AnyModel

_LARGEST = 2**27
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
    """Read a text again: what a decoder's prompt and reply, an encoder's text or an encoder-decoder's target was given.

    An encoder's token is seen by the model itself unless it is a mask; a decoder gave each token what it had read up to
    the one before, so that nothing was given to a text's first one.

    Args:
        last: for so many of the last tokens, and for fewer where the vocabulary is very large.

    Raises:
        ValueError: as `models.inspect.reading.check_readable`, and where a logit is not a number.
    """
    n_kept = max(1, min(last, _LARGEST // (4 * model.config.vocab_size)))
    earliest = 0 if answer_place(model.config, 0) is not None else 1
    first = max(earliest, len(ids) - n_kept)
    read_ids = tuple(ids) if earliest == 0 else tuple(ids[:-1])  # a full context has no room for the last one
    with evaluating(model):
        hidden = read(model, Text(ids=read_ids, source_ids=tuple(source_ids)))[0]  # (T, C)
        logits = as_floats(answer_logits(model, hidden[first - earliest :]))
    rows = []
    for row, id in zip(logits, ids[first:], strict=True):  # one by one: all at once takes as much memory again
        own = softmax(row)
        rows.append((float(own[id]), entropy(own), rank(row, id)))
    probabilities, entropies, ranks = zip(*rows, strict=True) if rows else ((), (), ())
    return NextTokens(first=first, logits=logits, probabilities=probabilities, entropies=entropies, ranks=ranks)
