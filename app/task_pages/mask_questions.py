"""The computations of the fill-mask page with an encoder, on the worker thread."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from terrarium.app.glass.names import token_names
from terrarium.models.events import Progress

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from terrarium.models.architecture.transformer import AnyModel
    from terrarium.models.inference.fill_mask import MaskCandidate, TokenFit

N_BEST = 8


@dataclass(frozen=True, eq=False)
class FilledMasks:
    """The candidates for each mask of a text."""

    text: str
    ids: tuple[int, ...]
    words: tuple[str, ...]
    candidates: tuple[tuple[MaskCandidate, ...], ...]


@dataclass(frozen=True, eq=False)
class TextFit:
    """The fit of each token of a text when only it is masked, and the text's pseudo-perplexity."""

    text: str
    ids: tuple[int, ...]
    words: tuple[str, ...]
    fits: tuple[TokenFit, ...]
    perplexity: float


def _read(model: AnyModel, tokenizer: Tokenizer, text: str) -> tuple[tuple[int, ...], tuple[str, ...]]:
    from terrarium.models.inference.prompts import encode_for

    ids = tuple(encode_for(model.config, tokenizer, text))
    names = token_names(tokenizer, ids)
    return ids, tuple(names[id] for id in ids)


def find_candidates(model: AnyModel, tokenizer: Tokenizer, text: str) -> FilledMasks:
    """Predict the candidates for each mask of a text.

    Raises:
        ValueError: as in `fill_mask`.
    """
    from terrarium.models.inference.fill_mask import fill_mask
    from terrarium.models.tokenizers.special_tokens import mask_id

    ids, words = _read(model, tokenizer, text)
    mask = mask_id(tokenizer)
    assert mask is not None
    found = fill_mask(model, tokenizer, ids, mask, N_BEST)
    return FilledMasks(text, ids, words, tuple(map(tuple, found)))


def measure_fit(model: AnyModel, tokenizer: Tokenizer, text: str) -> Generator[Progress, None, TextFit]:
    """Measure how likely each token of a text is when only it is masked.

    Raises:
        ValueError: as in `fill_mask`, and if the text has only special tokens.
    """
    from terrarium.models.inference.fill_mask import pseudo_perplexity, token_fits
    from terrarium.models.tokenizers import special_ids
    from terrarium.models.tokenizers.special_tokens import mask_id

    ids, words = _read(model, tokenizer, text)
    mask = mask_id(tokenizer)
    assert mask is not None
    fits: Sequence[TokenFit] = yield from token_fits(model, ids, mask, skip=special_ids(tokenizer))
    if not fits:
        raise ValueError("There is nothing to measure: the text has only special tokens. Write some words.")
    return TextFit(text, ids, words, tuple(fits), pseudo_perplexity(fits))
