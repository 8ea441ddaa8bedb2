"""Minimal pairs: two similar texts, read by one model, and the differences in its attention and predictions.

Letters in shape comments: L layers, H heads, T tokens, K columns (tokens of both texts, side by side), V vocab_size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import zip_longest

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor

from terrarium.models.architecture.trace import Trace
from terrarium.models.architecture.transformer import AnyModel, Encoder, EncoderDecoder
from terrarium.models.inference.continuation import check_prompt, evaluating
from terrarium.models.inference.sampling import check_finite
from terrarium.models.inspect.attention_pass import check_weights, stacks_of
from terrarium.models.tokenizers import encode_text, pieces_of
from terrarium.models.tokenizers.special_tokens import encode_with_masks, mask_id, start_id

Floats = NDArray[np.float32]
Column = tuple[int | None, int | None]
"""The positions of two aligned tokens in the first and in the second text; None where one text has no token."""

MAX_TOKENS = 64
"""Per text: the maximum that can be shown."""
N_CHANGES = 12


@dataclass(frozen=True, kw_only=True)
class TokenChange:
    """A token whose probability differs: its probability in both texts, and the difference of their logarithms."""

    word: str
    first: float
    second: float
    nats: float


@dataclass(frozen=True, kw_only=True)
class PredictionDifference:
    """Predictions at one position: the tokens that differ most in probability, and the largest logit difference."""

    changes: tuple[TokenChange, ...]
    largest_logit: float


@dataclass(frozen=True, kw_only=True, eq=False)
class PairReading:
    """Attention and predictions of a model on two texts.

    words: the display forms of each text's tokens. columns: (K), the alignment of the tokens. attention: of each text
    (L, H, T, T); for an encoder-decoder, that of its encoder. difference: (L, H, K, K), second minus first; NaN where
    one of the texts has no such token. Exactly 0 where equal. predictions: by column, None where only one text has a
    token: for a decoder of the token after it, for an encoder of the token itself; for an encoder-decoder only of the
    first target token. Empty for a model that predicts no tokens.
    """

    words: tuple[tuple[str, ...], tuple[str, ...]]
    columns: tuple[Column, ...]
    is_causal: bool
    attention: tuple[Floats, Floats]
    difference: Floats
    predictions: tuple[PredictionDifference | None, ...] = ()

    @property
    def answers_once(self) -> bool:
        """Whether there is a single prediction for the whole text, as in an encoder-decoder."""
        return len(self.predictions) == 1 < len(self.columns)


def align(first: Sequence[int], second: Sequence[int]) -> tuple[Column, ...]:
    """Align equal tokens, and pair up the tokens between them as far as possible."""
    columns: list[Column] = []
    for _, i, i_end, j, j_end in SequenceMatcher(None, first, second, autojunk=False).get_opcodes():
        columns += zip_longest(range(i, i_end), range(j, j_end))
    return tuple(columns)


def read_pair(model: AnyModel, tokenizer: Tokenizer, texts: tuple[str, str]) -> PairReading:
    """Read both texts; the model's mode is unchanged.

    In a causal model, everything before the first difference is bitwise equal in both; except for rounding in a mixture
    of experts, where the size of a matrix product depends on how many tokens are routed to the same expert.

    Raises:
        ValueError: if a text is empty, or longer than MAX_TOKENS or the context, or if an output is not a number.
    """
    ids = [_encode(model, tokenizer, text, name) for text, name in zip(texts, ("first", "second"), strict=True)]
    columns = align(*ids)
    # Sums of different lengths round differently, so both are padded to one length; causal tokens ignore the padding.
    padded = max(map(len, ids)) if model.config.is_causal else 0
    with evaluating(model):
        outputs = [_forward(model, tokenizer, each, padded) for each in ids]
    attention = outputs[0][0], outputs[1][0]
    predictions: tuple[PredictionDifference | None, ...] = ()
    if outputs[0][1] is not None and outputs[1][1] is not None:
        predictions = _predictions(tokenizer, columns, outputs[0][1], outputs[1][1])
    return PairReading(
        words=(_words(tokenizer, ids[0]), _words(tokenizer, ids[1])),
        columns=columns,
        is_causal=model.config.is_causal,
        attention=attention,
        difference=_difference(attention, columns),
        predictions=predictions,
    )


def _encode(model: AnyModel, tokenizer: Tokenizer, text: str, name: str) -> list[int]:
    has_masks = isinstance(model, Encoder) and mask_id(tokenizer) is not None
    ids = encode_with_masks(tokenizer, text) if has_masks else encode_text(tokenizer, text)
    if not ids:
        raise ValueError(f"The {name} sentence is empty: write one.")
    if len(ids) > MAX_TOKENS:
        raise ValueError(f"The {name} sentence has {len(ids):,} tokens: {MAX_TOKENS} can be shown, so shorten it.")
    check_prompt(len(ids), model.config.context_length)
    return ids


def _words(tokenizer: Tokenizer, ids: Sequence[int]) -> tuple[str, ...]:
    return tuple(piece.display for piece in pieces_of(tokenizer, ids))


def _forward(model: AnyModel, tokenizer: Tokenizer, ids: list[int], padded: int) -> tuple[Floats, Tensor | None]:
    """Return the attention (L, H, T, T) and float32 logits (T, V); (1, V) for an encoder-decoder; None without head."""
    n, device = len(ids), model.embedding.weight.device
    read = torch.tensor([ids + ids[-1:] * (padded - n)], device=device)
    trace = Trace(wanted=frozenset({"attention"}))
    if isinstance(model, EncoderDecoder):
        start = torch.tensor([[start_id(model.config, tokenizer)]], device=device)
        hidden = model.hidden(read, start, trace=trace)
        logits: Tensor | None = model.logits(hidden)[0] if model.config.head == "language" else None
    else:
        hidden = model.hidden(read, trace=trace)
        logits = model.logits(hidden)[0, :n] if model.config.head == "language" else None
    sites = stacks_of(model, n, n)[0].sites
    check_weights(model.config, sites, trace.attention)
    attention = torch.stack([trace.attention[site][0, :, :n, :n] for site in sites]).float().cpu()
    check_finite(attention)
    if logits is not None:
        check_finite(logits)
    return attention.numpy(), None if logits is None else logits.float().cpu()


def _difference(attention: tuple[Floats, Floats], columns: Sequence[Column]) -> Floats:
    """Compute (L, H, K, K): second minus first, NaN unless both texts have both tokens."""
    together = [(k, i, j) for k, (i, j) in enumerate(columns) if i is not None and j is not None]
    indices, first, second = np.array(together, np.intp).reshape(-1, 3).T  # (N) each
    found = np.full((*attention[0].shape[:2], len(columns), len(columns)), np.nan, np.float32)
    both = attention[1][:, :, second[:, None], second] - attention[0][:, :, first[:, None], first]
    found[:, :, indices[:, None], indices] = both
    return found


def _predictions(
    tokenizer: Tokenizer, columns: Sequence[Column], first: Tensor, second: Tensor
) -> tuple[PredictionDifference | None, ...]:
    if len(first) == 1 < len(columns):  # an encoder-decoder's
        return (_compare(tokenizer, first[0], second[0]),)
    return tuple(None if i is None or j is None else _compare(tokenizer, first[i], second[j]) for i, j in columns)


def _compare(tokenizer: Tokenizer, first: Tensor, second: Tensor) -> PredictionDifference:
    """Compare the logits (V) of both texts."""
    p, q = first.softmax(0), second.softmax(0)
    logs = second.log_softmax(0) - first.log_softmax(0)
    top = (q - p).abs().topk(min(N_CHANGES, len(p))).indices.tolist()
    known = [id for id in top if tokenizer.id_to_token(id) is not None]
    names = dict(zip(known, _words(tokenizer, known), strict=True))
    changes = tuple(
        TokenChange(word=names.get(id, f"#{id}"), first=float(p[id]), second=float(q[id]), nats=float(logs[id]))
        for id in top
    )
    return PredictionDifference(changes=changes, largest_logit=float((second - first).abs().max()))
