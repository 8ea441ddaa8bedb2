"""Masked-token prediction with an encoder, and the pseudo-perplexity of a text.

Letters in shape comments: T tokens, V vocab_size.
"""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Generator, Iterator, Sequence
from dataclasses import dataclass

import torch
from tokenizers import Tokenizer
from torch import Tensor

from terrarium.models.architecture.transformer import AnyModel, Encoder
from terrarium.models.events import Progress, ReplyFinished, TokenMade
from terrarium.models.inference.continuation import check_prompt, evaluating
from terrarium.models.inference.sampling import as_floats, check_finite
from terrarium.models.inference.sampling_steps import entropy
from terrarium.models.tokenizers.special_tokens import mask_id


@dataclass(frozen=True)
class MaskCandidate:
    """A candidate token for a mask, and its probability there."""

    id: int
    text: str
    probability: float


def fill_mask(
    model: AnyModel, tokenizer: Tokenizer, ids: Sequence[int], mask_id: int, n_best: int = 5
) -> list[list[MaskCandidate]]:
    """Return the n_best most likely tokens for each mask of `ids`, in order of the masks; best first.

    All masks are predicted in one forward pass, independently of each other.

    Raises:
        ValueError: if the model is not an encoder with a masked-token head, `ids` has no mask or does not fit the
        context,
            or a logit is not finite.
    """
    return _candidates(tokenizer, _mask_probabilities(model, tokenizer, ids, mask_id), n_best)


def _mask_probabilities(model: AnyModel, tokenizer: Tokenizer, ids: Sequence[int], mask_id: int) -> Tensor:
    """Return the probabilities for each mask of `ids`, (n_masks, V); ValueError as `fill_mask`."""
    encoder = _masked_token_model(model)
    check_prompt(len(ids), encoder.config.context_length)
    positions = [position for position, id in enumerate(ids) if id == mask_id]
    if not positions:
        raise ValueError(f"The text has no {tokenizer.id_to_token(mask_id)} to fill: put it where a word is missing.")
    return torch.softmax(_logits(encoder, torch.tensor([list(ids)]))[0, positions].float(), dim=-1)


def _candidates(tokenizer: Tokenizer, probabilities: Tensor, n_best: int) -> list[list[MaskCandidate]]:
    best = probabilities.topk(min(n_best, probabilities.size(-1)))
    return [
        [
            MaskCandidate(id, tokenizer.decode([id], skip_special_tokens=False), probability)
            for probability, id in zip(row_values, row_ids, strict=True)
        ]
        for row_values, row_ids in zip(best.values.tolist(), best.indices.tolist(), strict=True)
    ]


def filled_text(
    tokenizer: Tokenizer, ids: Sequence[int], mask_id: int, found: Sequence[Sequence[MaskCandidate]]
) -> str:
    """Decode `ids` with each mask replaced by its best candidate, without special tokens."""
    best = iter(candidates[0].id for candidates in found)
    filled = [next(best) if id == mask_id else id for id in ids]
    return str(tokenizer.decode(filled, skip_special_tokens=True)).strip()


def fill_events(model: AnyModel, tokenizer: Tokenizer, ids: Sequence[int]) -> Iterator[TokenMade | ReplyFinished]:
    """Run `fill_mask` as a reply: the filled text, followed by the candidates of each mask.

    Raises:
        ValueError: as `fill_mask`, and if the tokenizer has no mask token.
    """
    mask = mask_id(tokenizer)
    if mask is None:
        raise ValueError("This tokenizer has no mask token, so its model cannot fill masks: choose another model.")
    began = time.perf_counter()
    probabilities = _mask_probabilities(model, tokenizer, ids, mask)
    found = _candidates(tokenizer, probabilities, 5)
    seconds = time.perf_counter() - began
    for i, (candidates, position) in enumerate(zip(found, probabilities, strict=True), start=1):
        head = filled_text(tokenizer, ids, mask, found) + "\n" if i == 1 else ""
        words = "  ·  ".join(f"{c.text.strip() or repr(c.text)} {c.probability:.1%}" for c in candidates)
        number = f"{i}. " if len(found) > 1 else ""
        yield TokenMade(
            id=candidates[0].id,
            text=f"{head}\n{number}{words}",
            probability=candidates[0].probability,
            entropy=entropy(as_floats(position)),
            rank=1,
        )
    yield ReplyFinished(reason="stop", n_prompt=len(ids), n_tokens=len(found), prefill_s=seconds, tokens_per_s=0.0)


@dataclass(frozen=True)
class TokenFit:
    """The prediction for a token when only it is masked: log-probability (nats), rank (1 = most likely in the
    vocabulary), and the entropy of the distribution (nats)."""

    position: int
    log_probability: float
    rank: int
    entropy: float


def token_fits(
    model: AnyModel, ids: Sequence[int], mask_id: int, skip: Collection[int] = (), batch_size: int = 32
) -> Generator[Progress, None, list[TokenFit]]:
    """Score each token of `ids` with only it masked, except those in `skip` (such as [CLS]). Yields Progress (tokens).

    Raises:
        ValueError: as `fill_mask`.
    """
    encoder = _masked_token_model(model)
    check_prompt(len(ids), encoder.config.context_length)
    whole = torch.tensor(list(ids))
    all_positions = [position for position, id in enumerate(ids) if id not in skip]
    fits: list[TokenFit] = []
    for first in range(0, len(all_positions), batch_size):
        positions = torch.tensor(all_positions[first : first + batch_size])
        rows, own = whole.repeat(len(positions), 1), torch.arange(len(positions))
        rows[own, positions] = mask_id
        log_probabilities = torch.log_softmax(_logits(encoder, rows)[own, positions].float(), dim=-1)  # (positions, V)
        of_token = log_probabilities[own, whole[positions]]
        ranks = (log_probabilities > of_token[:, None]).sum(dim=-1) + 1
        entropies = torch.special.entr(log_probabilities.exp()).sum(dim=-1)
        columns = (positions, of_token, ranks, entropies)
        fits += [TokenFit(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]
        yield Progress(done=len(fits), total=len(all_positions))
    return fits


def pseudo_perplexity(fits: Sequence[TokenFit]) -> float:
    """Return the pseudo-perplexity: exp of the mean negative log-likelihood (Salazar et al., arXiv:1910.14659)."""
    return math.exp(-sum(fit.log_probability for fit in fits) / len(fits))


def _masked_token_model(model: AnyModel) -> Encoder:
    if isinstance(model, Encoder) and model.config.head == "language":
        return model
    raise ValueError("Only an encoder with a masked-token head fills in masks: choose another model, or generate.")


def _logits(model: Encoder, ids: Tensor) -> Tensor:
    """Compute logits (B, T, V) of ids (B, T) on the CPU, in eval mode and without gradients."""
    with evaluating(model):
        logits: Tensor = model(ids.to(model.embedding.weight.device)).cpu()
    check_finite(logits)
    return logits
