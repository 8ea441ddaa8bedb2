"""Generates texts from sources: by an encoder-decoder, or by a decoder as replies. Greedy in batches, or by beam
search.

Letters in shape comments: B batch, S source tokens, V vocab_size.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field

import torch
from tokenizers import Tokenizer

from terrarium.models.architecture.cache import KVCache
from terrarium.models.architecture.transformer import AnyModel, Decoder, EncoderDecoder
from terrarium.models.chat.prompting import PromptSettings, encode_untruncated
from terrarium.models.chat.template_config import ChatTemplateConfig, reply_ends
from terrarium.models.data.examples import encode_source, fit_source
from terrarium.models.events import Progress, reporting
from terrarium.models.inference.beam import beam_events
from terrarium.models.inference.continuation import check_prompt, evaluating
from terrarium.models.inference.many_replies import generate_batch_steps
from terrarium.models.inference.prefill import chunk_size
from terrarium.models.tokenizers import decode
from terrarium.models.tokenizers.special_tokens import end_id, start_id

_BATCH_SIZE = 32
CHUNKS_AT_ONCE = 8
"""The maximum chunks of prompts that a decoder reads together, which takes about two seconds on two cores."""


@dataclass(frozen=True, kw_only=True)
class Writing:
    """How texts are generated: greedily with one beam, else by beam search; at most `max_tokens`.

    template: the chat template of a decoder, if it has one.
    """

    n_beam: int = 1
    length_penalty: float = 1.0
    max_tokens: int = 256
    template: ChatTemplateConfig = field(default_factory=ChatTemplateConfig)


def write_texts(
    model: AnyModel, tokenizer: Tokenizer, sources: Sequence[str], writing: Writing, *, skips_long: bool = False
) -> Generator[Progress, None, list[str]]:
    """Generate texts from sources, in order. Yields Progress (texts) after each token of a batch.

    A source of an encoder-decoder is truncated to its context as in training.

    Args:
        skips_long: return an empty text if a decoder's prompt does not fit its context.

    Raises:
        ValueError: if the model generates no texts, the tokenizer has no end token, or a decoder's prompt does not
            fit.
    """
    end = end_id(tokenizer, model.config)
    if end is None:
        raise ValueError("This tokenizer has no end token, so a text would never end: use another tokenizer.")
    if isinstance(model, Decoder):
        ends = reply_ends(model.config, tokenizer, writing.template).ids
        end = ends[0] if ends else end
    prompts = [_prompt(model, tokenizer, source, writing, end) for source in sources]
    start = start_id(model.config, tokenizer) if isinstance(model, EncoderDecoder) else -1
    texts = [""] * len(sources)
    order = sorted(range(len(prompts)), key=lambda i: -len(prompts[i]))
    if skips_long:
        order = [i for i in order if len(prompts[i]) <= model.config.context_length]
    done = 0
    while done < len(order):
        size = _batch_size(model, writing, len(prompts[order[done]]))
        chosen = order[done : done + size]
        with contextlib.closing(_write(model, [prompts[i] for i in chosen], writing, start, end)) as steps:
            found = yield from reporting(steps, Progress(done=done, total=len(order)))
        for i, ids in zip(chosen, found, strict=True):
            texts[i] = decode(tokenizer, [id for id in ids if id != end]).strip()
        done += len(chosen)
        yield Progress(done=done, total=len(order))
    return texts


def _prompt(model: AnyModel, tokenizer: Tokenizer, source: str, writing: Writing, end: int) -> list[int]:
    if isinstance(model, EncoderDecoder):
        return fit_source(encode_source(tokenizer, source, end), model.config.context_length)
    messages = [{"role": "user", "content": source}]
    length = model.config.context_length
    return encode_untruncated(length, tokenizer, messages, PromptSettings(), writing.template).ids.tolist()  # type: ignore[no-any-return]


def _batch_size(model: AnyModel, writing: Writing, longest: int) -> int:
    """Return the number of texts to generate together, given the tokens of the longest prompt."""
    if writing.n_beam > 1:
        return 1
    if isinstance(model, Decoder):
        return min(_BATCH_SIZE, max(1, CHUNKS_AT_ONCE * chunk_size(model) // longest))
    return _BATCH_SIZE


Steps = Generator[object, None, Sequence[Sequence[int]]]
"""Yields between tokens, where it can be closed; returns the token ids of a batch of texts."""


def _write(model: AnyModel, prompts: Sequence[Sequence[int]], writing: Writing, start: int, end: int) -> Steps:
    """Generate the texts of a batch of prompts; with beams, of a single one."""
    if writing.n_beam > 1:
        [prompt] = prompts
        beams = yield from beam_events(
            model,
            prompt,
            n_beam=writing.n_beam,
            max_tokens=writing.max_tokens,
            start_id=start,
            end_id=end,
            length_penalty=writing.length_penalty,
        )
        return [beams[0].ids]
    if isinstance(model, EncoderDecoder):
        return (yield from _targets(model, prompts, writing.max_tokens, start, end))
    assert isinstance(model, Decoder)
    return (yield from generate_batch_steps(model, prompts, writing.max_tokens, end))


def _targets(
    model: EncoderDecoder, sources: Sequence[Sequence[int]], max_tokens: int, start: int, end: int
) -> Generator[int, None, list[list[int]]]:
    """Generate greedy targets of a batch of sources, without end tokens; yields the longest length after each token."""
    device = model.embedding.weight.device
    for source in sources:
        check_prompt(len(source), model.config.context_length)
    lengths = torch.tensor([len(source) for source in sources])
    mask = torch.arange(int(lengths.max())) < lengths[:, None]  # (B, S)
    ids = torch.zeros(mask.shape, dtype=torch.long)
    ids[mask] = torch.tensor([id for source in sources for id in source])
    cache = KVCache(model.config.n_layer)
    last = torch.full((len(sources), 1), start, device=device)
    has_ended = torch.zeros(len(sources), dtype=torch.bool)
    written: list[list[int]] = [[] for _ in sources]
    with evaluating(model):
        memory = model.encode(ids.to(device), mask=mask.to(device))
    for n_written in range(1, min(max_tokens, model.config.context_length) + 1):
        with evaluating(model):  # not around the `yield`
            hidden = model.decode(
                last, memory if not cache.has_source else None, source_mask=mask.to(device), cache=cache
            )
            chosen = model.logits(hidden[:, -1]).argmax(dim=-1)  # (B)
        has_ended |= chosen.cpu() == end
        for row, id in enumerate(chosen.tolist()):
            if not has_ended[row]:
                written[row].append(id)
        if bool(has_ended.all()):
            break
        last = chosen[:, None]
        yield n_written
    return written
