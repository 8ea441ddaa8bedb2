"""Beam search: the most likely whole texts, instead of the most likely token at each step.

Scores and the stopping rule are those of Hugging Face's transformers (early_stopping=False), so that results agree.

Letters in shape comments: K n_beam, V vocab_size.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from terrarium.models.architecture.transformer import AnyModel
from terrarium.models.events import Progress, result_of
from terrarium.models.inference.continuation import Continuation
from terrarium.models.inference.sampling import check_finite


@dataclass(frozen=True)
class Hypothesis:
    """A finished text of a beam search.

    ids: without the prompt, including the end token if it was reached. score: the sum of its tokens' log-probabilities
    in nats, divided by (number of tokens) ** length_penalty.
    """

    ids: tuple[int, ...]
    score: float


def beam_search(
    model: AnyModel,
    ids: Sequence[int],
    *,
    n_beam: int,
    max_tokens: int,
    start_id: int,
    end_id: int | None,
    length_penalty: float = 1.0,
) -> list[Hypothesis]:
    """Run `beam_events` to its end and return its result."""
    return result_of(
        beam_events(
            model,
            ids,
            n_beam=n_beam,
            max_tokens=max_tokens,
            start_id=start_id,
            end_id=end_id,
            length_penalty=length_penalty,
        )
    )


def beam_events(
    model: AnyModel,
    ids: Sequence[int],
    *,
    n_beam: int,
    max_tokens: int,
    start_id: int,
    end_id: int | None,
    length_penalty: float = 1.0,
) -> Generator[Progress, None, list[Hypothesis]]:
    """Return up to n_beam continuations (decoder) or targets (encoder-decoder) of the prompt `ids`, best first.

    Yields Progress (tokens of the longest possible text), and can be closed at each.

    The search ends when the best open hypothesis, at its present length, scores no better than the worst of n_beam
    finished ones.

    Raises:
        ValueError: as `Continuation`, for n_beam or max_tokens below 1, and if a logit is not finite.
    """
    if n_beam < 1 or max_tokens < 1:
        raise ValueError(f"Beam search needs at least one beam and one token, not {n_beam} and {max_tokens}.")
    text = Continuation(model, ids, start_id)
    limit = min(max_tokens, text.max_new_tokens)
    log_probabilities = _log_probabilities(text, [text.prompt_ids])
    beams: list[Hypothesis] = [Hypothesis((), 0.0)]  # open; their score is the plain sum
    ended: list[Hypothesis] = []
    for length in range(1, limit + 1):
        sums = log_probabilities + torch.tensor([beam.score for beam in beams])[:, None]  # (K, V)
        best = sums.flatten().topk(min(2 * n_beam, sums.numel()))
        candidates = [
            (i // sums.size(1), i % sums.size(1), score)
            for score, i in zip(best.values.tolist(), best.indices.tolist(), strict=True)
        ]
        is_last = length == limit
        for row, id, score in candidates[:n_beam]:
            if id == end_id or is_last:
                ended.append(Hypothesis((*beams[row].ids, id), score / length**length_penalty))
        ended = sorted(ended, key=lambda hypothesis: -hypothesis.score)[:n_beam]
        kept = [candidate for candidate in candidates if candidate[1] != end_id][:n_beam]
        if is_last or not kept or (len(ended) == n_beam and kept[0][2] / length**length_penalty <= ended[-1].score):
            break
        text.select(torch.tensor([row for row, _, _ in kept]))
        beams = [Hypothesis((*beams[row].ids, id), score) for row, id, score in kept]
        log_probabilities = _log_probabilities(text, [[id] for _, id, _ in kept])
        yield Progress(done=length, total=limit)
    return ended


def _log_probabilities(text: Continuation, new: Sequence[Sequence[int]]) -> Tensor:
    """Read new tokens (K rows); return the log-probabilities of the next token, (K, V) on the CPU."""
    logits = text.next_logits(torch.tensor(new)).float().cpu()
    check_finite(logits)
    return torch.log_softmax(logits, dim=-1)
