"""The beam search of the text-to-text page, on the worker thread."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from terrarium.app.glass.names import token_names
from terrarium.app.glass.tokens.token_box import TokenStats
from terrarium.app.task_pages.hypotheses import ScoredText
from terrarium.models.events import Progress

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from terrarium.models.architecture.transformer import AnyModel


@dataclass(frozen=True, eq=False)
class BeamSearchResult:
    """The result of a beam search for a source text."""

    source_ids: tuple[int, ...]
    start_id: int
    found: tuple[ScoredText, ...]
    words: dict[int, str]


def run_beam_search(
    model: AnyModel, tokenizer: Tokenizer, text: str, n_beam: int, length_penalty: float, max_tokens: int
) -> Generator[Progress, None, BeamSearchResult]:
    """Find the best target texts for a source text.

    Raises:
        ValueError: as in `beam_search`.
    """
    from terrarium.models.inference.beam import beam_events
    from terrarium.models.inference.generate import decoder_start_id
    from terrarium.models.inference.prompts import encode_for
    from terrarium.models.tokenizers import decode
    from terrarium.models.tokenizers.special_tokens import end_id

    ids, start, end = (
        encode_for(model.config, tokenizer, text),
        decoder_start_id(model, tokenizer),
        end_id(tokenizer, model.config),
    )
    hypotheses = yield from beam_events(
        model,
        ids,
        n_beam=n_beam,
        max_tokens=max_tokens,
        start_id=start,
        end_id=end,
        length_penalty=length_penalty,
    )
    found = tuple(
        ScoredText(
            one.ids,
            decode(tokenizer, [id for id in one.ids if id != end]).strip(),
            one.score,
            end in one.ids,
            _given(model, ids, (start, *one.ids)),
        )
        for one in hypotheses
    )
    words = token_names(tokenizer, {*ids, start, *(id for one in found for id in one.ids)})
    return BeamSearchResult(tuple(ids), start, found, words)


def _given(model: AnyModel, source_ids: Sequence[int], ids: Sequence[int]) -> tuple[TokenStats, ...]:
    """Return probability, entropy and rank of the target's tokens; for a very long target, only of the last tokens."""
    from terrarium.models.inspect.next_tokens import read_logits

    given = read_logits(model, ids, source_ids=source_ids)
    return tuple(zip(given.probabilities, given.entropies, given.ranks, strict=True))
