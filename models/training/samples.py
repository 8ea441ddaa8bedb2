"""Pinned prompts: what the model makes of them as it learns, always with the same seed.

A decoder goes on with the prompt. An encoder fills in its masked tokens; an encoder-decoder its gaps, or where it
learns to denoise, the whole prompt with its gaps filled; a model that resolves pronouns says what "it" is. What those
make of the prompt is shown behind an arrow.
"""

from __future__ import annotations

import re

import torch
from tokenizers import Tokenizer

from models.architecture.transformer import AnyModel, Decoder, Encoder, EncoderDecoder
from models.chat.own_template import encode_messages
from models.events import ARROW, TokenMade
from models.inference.fill_mask import fill_mask
from models.inference.generate import generate
from models.inference.sampling import SamplingConfig
from models.pronouns.reading import as_read, read_sentence
from models.pronouns.resolving import resolve
from models.tokenizers import decode, encode_text
from models.tokenizers.special_tokens import encode_gapped, encode_masked, end_id, mask_id, sentinel_ids, start_id

N_TOP = 10
_LAST_WORD = re.compile(r" ?\w+(?=\W*$)")

Top = tuple[tuple[int, float], ...]
"""The likeliest tokens (id, probability) of one place, the likeliest first."""


def write_sample(
    model: AnyModel,
    tokenizer: Tokenizer,
    prompt: str,
    *,
    as_chat: bool,
    seed: int,
    max_tokens: int,
    denoises: bool = False,
    points: bool = False,
) -> tuple[str, Top]:
    """What the model makes of a pinned prompt, and the likeliest tokens of the first place that it had to decide on.

    A prompt is a user's turn where the model learns to chat (`as_chat`), else a plain text. `denoises`: an
    encoder-decoder has learned to write damaged texts anew. `points`: the model has learned what "it" is; the likeliest
    tokens are the nouns that it may be. Leaves the model's mode and the global random state as they are.
    """
    if points:
        return _point(model, tokenizer, prompt)
    if isinstance(model, Encoder):
        return _fill_masks(model, tokenizer, prompt, as_chat)
    sampling = SamplingConfig(temperature=0.8, top_k=50, seed=seed, max_tokens=max_tokens)
    if isinstance(model, EncoderDecoder):
        return _fill_gaps(model, tokenizer, prompt, as_chat, sampling, denoises)
    return _go_on(model, tokenizer, prompt, as_chat, sampling)


def what_is_read(
    model: AnyModel, tokenizer: Tokenizer, prompt: str, as_chat: bool, *, denoises: bool = False, points: bool = False
) -> list[int]:
    """The ids that the model, or its encoder, reads of a pinned prompt."""
    if points:
        return encode_text(tokenizer, as_read(prompt))[-model.config.context_length :]
    if isinstance(model, Encoder):
        before, ids, after = _masked(model, tokenizer, prompt, as_chat)
        return [*before, *ids, *after]
    if isinstance(model, EncoderDecoder):
        return _gapped(model, tokenizer, prompt, as_chat, denoises)[0]
    return _begun(model, tokenizer, prompt, as_chat)


def _point(model: AnyModel, tokenizer: Tokenizer, prompt: str) -> tuple[str, Top]:
    """What "it" is in the prompt, or why that cannot be told."""
    try:
        reading = read_sentence(tokenizer, prompt)
        probabilities = torch.tensor(resolve(model, [reading])[0]).softmax(dim=0).tolist()
    except ValueError as error:
        return f"{ARROW}{error}", ()
    found = sorted(zip(probabilities, reading.candidates, strict=True), key=lambda each: -each[0])
    top = tuple((reading.ids[candidate.position], probability) for probability, candidate in found)
    return f"{ARROW}{found[0][1].noun}", top


def _begun(model: Decoder, tokenizer: Tokenizer, prompt: str, as_chat: bool) -> list[int]:
    if as_chat:
        ids = encode_messages(tokenizer, [{"role": "user", "content": prompt}], add_generation_prompt=True)[0]
    else:
        ids = encode_text(tokenizer, prompt) or [end_id(tokenizer) or 0]
    return ids[-(model.config.context_length - 1) :]


def _go_on(
    model: Decoder, tokenizer: Tokenizer, prompt: str, as_chat: bool, sampling: SamplingConfig
) -> tuple[str, Top]:
    ids = _begun(model, tokenizer, prompt, as_chat)
    return _generated(model, tokenizer, ids, sampling), _next(model, ids, ())


def _masked(model: Encoder, tokenizer: Tokenizer, prompt: str, as_chat: bool) -> tuple[list[int], list[int], list[int]]:
    """The prompt with at least one masked token (its last word's, without any), between what stands around it."""
    mask = mask_id(tokenizer)
    assert mask is not None
    ids = encode_masked(tokenizer, prompt)
    if mask not in ids:
        ids = _mask_last_word(tokenizer, prompt, mask)
    before, after = _turn(tokenizer, as_chat)
    room = model.config.context_length - len(before) - len(after)
    ids = ids[-max(1, room) :]
    if mask not in ids:  # they were cut off
        ids[-1] = mask
    return before, ids, after


def _fill_masks(model: Encoder, tokenizer: Tokenizer, prompt: str, as_chat: bool) -> tuple[str, Top]:
    """The prompt with its masked tokens filled in."""
    mask = mask_id(tokenizer)
    assert mask is not None
    before, ids, after = _masked(model, tokenizer, prompt, as_chat)
    found = fill_mask(model, tokenizer, [*before, *ids, *after], mask, N_TOP)
    best = iter(candidates[0].id for candidates in found)
    filled = [next(best) if id == mask else id for id in ids]
    return ARROW + decode(tokenizer, filled), tuple((candidate.id, candidate.probability) for candidate in found[0])


def _gapped(
    model: EncoderDecoder, tokenizer: Tokenizer, prompt: str, as_chat: bool, denoises: bool
) -> tuple[list[int], str, tuple[int, ...]]:
    """The source, what is to be shown of it, and what the model writes before it decides on the first gap.

    Where the prompt has no gap, its last words are one, which is shown.
    """
    end, mask = end_id(tokenizer, model.config), mask_id(tokenizer)
    assert end is not None
    gaps = (mask,) if denoises and mask is not None else sentinel_ids(tokenizer)
    ids, shown = encode_gapped(tokenizer, prompt), ""
    if not set(gaps) & set(ids):
        n_words = len(prompt.split())
        kept = prompt.rsplit(maxsplit=min(3, max(1, n_words // 3)))[0] if n_words > 1 else ""
        ids = [*encode_text(tokenizer, kept), gaps[0]]
        shown = ARROW + decode(tokenizer, ids)
    before, _ = _turn(tokenizer, as_chat)
    read = [*before, *ids[-(model.config.context_length - len(before) - 1) :]]
    first = next((i for i, id in enumerate(read) if id in gaps), len(read))
    written = read[:first] if denoises else [read[first] if first < len(read) else gaps[0]]
    return [*read, end], shown, (start_id(model.config, tokenizer), *written)


def _fill_gaps(
    model: EncoderDecoder, tokenizer: Tokenizer, prompt: str, as_chat: bool, sampling: SamplingConfig, denoises: bool
) -> tuple[str, Top]:
    """What the model says of the prompt's gaps; one that denoises writes the whole prompt anew."""
    source, shown, written = _gapped(model, tokenizer, prompt, as_chat, denoises)
    top = _next(model, source, written)
    return shown + ARROW + _generated(model, tokenizer, source, sampling), top


def _turn(tokenizer: Tokenizer, as_chat: bool) -> tuple[list[int], list[int]]:
    """What stands around a user's turn where the model learns to chat."""
    user, end = tokenizer.token_to_id("<|user|>"), end_id(tokenizer)
    return ([user], [end]) if as_chat and user is not None and end is not None else ([], [])


def _mask_last_word(tokenizer: Tokenizer, prompt: str, mask: int) -> list[int]:
    word = _LAST_WORD.search(prompt)
    if word is None:
        return [*encode_text(tokenizer, prompt), mask]
    n_masks = len(encode_text(tokenizer, word[0]))
    before, after = prompt[: word.start()], prompt[word.end() :]
    return [*encode_text(tokenizer, before), *[mask] * n_masks, *encode_text(tokenizer, after)]


def _generated(model: Decoder | EncoderDecoder, tokenizer: Tokenizer, ids: list[int], sampling: SamplingConfig) -> str:
    return "".join(event.text for event in generate(model, tokenizer, ids, sampling) if isinstance(event, TokenMade))


def _next(model: Decoder | EncoderDecoder, ids: list[int], written: tuple[int, ...]) -> Top:
    """The likeliest next tokens after `ids` (a decoder), or after `written` in answer to them (an encoder-decoder)."""
    device, was_training = model.embedding.weight.device, model.training
    model.eval()
    with torch.no_grad():
        read = torch.tensor([ids], device=device)
        if isinstance(model, EncoderDecoder):
            hidden = model.hidden(read, torch.tensor([written], device=device))
        else:
            hidden = model.hidden(read)
        probabilities = model.logits(hidden[:, -1])[0].float().softmax(dim=-1)
        top = probabilities.topk(min(N_TOP, len(probabilities)))
    model.train(was_training)
    return tuple(zip(top.indices.tolist(), top.values.tolist(), strict=True))
