"""Scoring of a reply by a model, whichever model wrote it: the log-probability of each token."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from tokenizers import Tokenizer

from terrarium.models.architecture.transformer import AnyModel
from terrarium.models.inference.continuation import check_prompt, evaluating
from terrarium.models.inspect.read_text import Text, answer_logits, read
from terrarium.models.inspect.spans import Judgement
from terrarium.models.tokenizers import IncrementalDecoder

_BATCH_SIZE = 64
"""Number of positions whose logits are computed together, to limit memory with long replies and large vocabularies."""


def reply_text(tokenizer: Tokenizer, ids: Sequence[int]) -> str:
    """Decode a reply."""
    return "".join(_pieces(tokenizer, ids))


def judge(
    model: AnyModel,
    tokenizer: Tokenizer,
    prompt_ids: Sequence[int],
    ids: Sequence[int],
    *,
    source_ids: Sequence[int] = (),
) -> Judgement:
    """Compute the log-probability of each of the tokens `ids` after the prompt, in one pass.

    Args:
        prompt_ids: the tokens before them; for an encoder-decoder, the start of its target.
        source_ids: the input of an encoder-decoder's encoder.

    Raises:
        ValueError: if there is no prompt, if prompt and reply together do not fit the context, or if a logit is not a
            number; for an encoder, which generates no text.
    """
    if model.config.topology == "encoder-only":
        raise ValueError("An encoder does not write replies, so it cannot be compared by them: choose another model.")
    if not ids:
        return Judgement(pieces=(), log_probabilities=())
    check_prompt(len(prompt_ids), model.config.context_length)
    n_prompt, read_ids = len(prompt_ids), (*prompt_ids, *ids[:-1])
    found: list[float] = []
    with evaluating(model):
        hidden = read(model, Text(ids=read_ids, source_ids=tuple(source_ids)))[0]  # (T, C)
        for first in range(0, len(ids), _BATCH_SIZE):
            chosen = torch.tensor(list(ids[first : first + _BATCH_SIZE]))
            start = n_prompt - 1 + first
            rows = answer_logits(model, hidden[start : start + len(chosen)]).log_softmax(dim=-1)
            found += rows[torch.arange(len(chosen)), chosen].tolist()
    return Judgement(pieces=tuple(_pieces(tokenizer, ids)), log_probabilities=tuple(found))


def _pieces(tokenizer: Tokenizer, ids: Sequence[int]) -> list[str]:
    """Return the text that each token adds."""
    return list(map(IncrementalDecoder(tokenizer).add, ids))
