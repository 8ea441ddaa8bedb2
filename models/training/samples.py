"""Samples of pinned prompts during training, always with the same seed.

A decoder continues the prompt. An encoder fills in its masks; an encoder-decoder fills its gaps or, if trained to
denoise, rewrites the prompt with its gaps filled; a pronoun model names the noun that "it" refers to. All outputs
except a decoder's are shown after an arrow.
"""

from __future__ import annotations

import dataclasses
import math
import re

import torch
from tokenizers import Tokenizer

from terrarium.models.architecture.transformer import AnyModel, Decoder, Encoder, EncoderDecoder
from terrarium.models.chat.foreign import foreign_chat_tokens
from terrarium.models.chat.own_template import encode_messages
from terrarium.models.chat.template_config import ChatTemplateConfig
from terrarium.models.corpora.corpus import Corpus
from terrarium.models.data.examples import encode_source, fit_source
from terrarium.models.events import ARROW, TokenMade, result_of
from terrarium.models.inference.continuation import evaluating
from terrarium.models.inference.fill_mask import fill_mask
from terrarium.models.inference.generate import generate
from terrarium.models.number_words import format_percent
from terrarium.models.settings.sampling_config import PINNED, SamplingConfig
from terrarium.models.settings.tasks import ALIGNED_TASKS
from terrarium.models.tasks.encoding import TaskEncoder
from terrarium.models.tasks.predicting import predict
from terrarium.models.tasks.pronouns.pronoun_reading import prepare_text, read_sentence
from terrarium.models.tasks.pronouns.resolving import resolve
from terrarium.models.tasks.rows import LABEL_TASKS, Row
from terrarium.models.tokenizers import decode, encode_text
from terrarium.models.tokenizers.special_tokens import (
    encode_with_masks,
    encode_with_sentinels,
    end_id,
    mask_id,
    sentinel_ids,
    start_id,
)
from terrarium.models.training.metric import Scorer

N_TOP = 10
_LAST_WORD = re.compile(r" ?\w+(?=\W*$)")

TopTokens = tuple[tuple[int, float], ...]
"""The most probable tokens (id, probability) at one position, in descending order."""


def write_sample(
    model: AnyModel,
    tokenizer: Tokenizer,
    prompt: str,
    *,
    as_chat: bool,
    seed: int,
    max_tokens: int,
    denoises: bool = False,
    resolves_pronouns: bool = False,
    rewrites: bool = False,
    template: ChatTemplateConfig | None = None,
    scorer: Scorer | None = None,
) -> tuple[str, TopTokens]:
    """Return the sampled output for a pinned prompt, and the most probable tokens at the first predicted position.

    Args:
        as_chat: whether the prompt is a user turn, for a model that learns to chat; else it is plain text.
        denoises: whether the model is an encoder-decoder trained to restore corrupted text.
        resolves_pronouns: whether the model is trained to resolve "it"; the top tokens are then the candidate nouns.
        rewrites: whether the model is an encoder-decoder that learns a target for each source.
        template: the chat template of the decoder.
        scorer: the scorer of a model that learns a task. If the task has labels or spans, the output is the
            prediction, without top tokens.

    The model's mode and the global random state are unchanged.
    """
    if resolves_pronouns:
        return _resolve_pronoun(model, tokenizer, prompt)
    if scorer is not None and scorer.task in LABEL_TASKS:
        return ARROW + _label(model, tokenizer, prompt, scorer), ()
    if isinstance(model, Encoder):
        return _fill_masks(model, tokenizer, prompt, as_chat)
    if model.config.head != "language":
        return f"{ARROW}this model scores replies, and writes none", ()
    sampling = dataclasses.replace(PINNED, seed=seed, max_tokens=max_tokens)
    if isinstance(model, EncoderDecoder) and rewrites:
        return _rewrite(model, tokenizer, prompt, sampling)
    if isinstance(model, EncoderDecoder):
        return _fill_gaps(model, tokenizer, prompt, as_chat, sampling, denoises)
    return _continue_prompt(model, tokenizer, prompt, as_chat, sampling, template)


def learns_to_rewrite(corpus: Corpus, topology: str) -> bool:
    """Whether a model of this topology learns a target for each source of the corpus (`rewrites`)."""
    return corpus.task == "text-to-text" and topology == "encoder-decoder"


def prompts_are_chat(corpus: Corpus, topology: str) -> bool:
    """Whether a pinned prompt is a user turn for a model that learns from the corpus (`as_chat`)."""
    if corpus.has_chats or corpus.task in ALIGNED_TASKS:
        return True
    return corpus.task == "text-to-text" and not learns_to_rewrite(corpus, topology)


def prompt_input_ids(
    model: AnyModel,
    tokenizer: Tokenizer,
    prompt: str,
    as_chat: bool,
    *,
    denoises: bool = False,
    resolves_pronouns: bool = False,
    rewrites: bool = False,
    template: ChatTemplateConfig | None = None,
    scorer: Scorer | None = None,
) -> list[int]:
    """Return the input ids of the model, or of its encoder, for a pinned prompt."""
    if resolves_pronouns:
        return encode_text(tokenizer, prepare_text(prompt))[-model.config.context_length :]
    if scorer is not None and scorer.task in LABEL_TASKS:
        encoder = TaskEncoder(model.config, tokenizer, scorer.task, scorer.labels)
        return list(encoder.items([_prompt_row(scorer.task, prompt)], has_targets=False)[0].ids)
    if isinstance(model, Encoder):
        before, ids, after = _masked(model, tokenizer, prompt, as_chat)
        return [*before, *ids, *after]
    if isinstance(model, EncoderDecoder) and rewrites:
        return _source_ids(model, tokenizer, prompt)
    if isinstance(model, EncoderDecoder):
        return _gapped(model, tokenizer, prompt, as_chat, denoises)[0]
    return _prefix_ids(model, tokenizer, prompt, as_chat, template)


def _resolve_pronoun(model: AnyModel, tokenizer: Tokenizer, prompt: str) -> tuple[str, TopTokens]:
    """Return the noun that "it" refers to in the prompt, or the reason why it cannot be resolved."""
    try:
        reading = read_sentence(tokenizer, prompt)
        probabilities = torch.tensor(resolve(model, [reading])[0]).softmax(dim=0).tolist()
    except ValueError as error:
        return f"{ARROW}{error}", ()
    found = sorted(zip(probabilities, reading.candidates, strict=True), key=lambda each: -each[0])
    top = tuple((reading.ids[candidate.position], probability) for probability, candidate in found)
    return f"{ARROW}{found[0][1].noun}", top


def _prompt_row(task: str, prompt: str) -> Row:
    """Make a row of a label task from a prompt. For a question with context, the question ends at the first “?”."""
    if task == "tagging":
        return {"words": prompt.split()}
    question, mark, context = prompt.partition("?")
    return {"question": question + mark, "context": context} if task == "span" else {"text": prompt}


def _label(model: AnyModel, tokenizer: Tokenizer, prompt: str, scorer: Scorer) -> str:
    """Return a model's prediction for a prompt as text."""
    row = _prompt_row(scorer.task, prompt)
    (found,) = result_of(predict(model, tokenizer, scorer.task, [row], scorer.labels))
    sure = "" if found.score is None else f" ({format_percent(found.score)})"
    if scorer.task == "tagging":
        marked = zip(row["words"], found.value, strict=True)
        return " ".join(word if tag == "O" else f"{word}/{tag}" for word, tag in marked)
    if scorer.task == "regression":
        return f"{found.value:.3g}"
    words = ", ".join(found.value) if isinstance(found.value, list) else found.value
    return f"{words or '–'}{sure}"


def _prefix_ids(
    model: Decoder, tokenizer: Tokenizer, prompt: str, as_chat: bool, template: ChatTemplateConfig | None
) -> list[int]:
    if as_chat and template is not None and template.template:
        asked = [{"role": "user", "content": prompt}]
        chat = foreign_chat_tokens(tokenizer, template.template, template.named_tokens, asked)
        ids: list[int] = chat.tokens.ids.tolist()
    elif as_chat:
        ids = encode_messages(tokenizer, [{"role": "user", "content": prompt}], add_generation_prompt=True)[0]
    else:
        ids = encode_text(tokenizer, prompt) or [end_id(tokenizer) or 0]
    return ids[-(model.config.context_length - 1) :]


def _continue_prompt(
    model: Decoder,
    tokenizer: Tokenizer,
    prompt: str,
    as_chat: bool,
    sampling: SamplingConfig,
    template: ChatTemplateConfig | None,
) -> tuple[str, TopTokens]:
    return _write(model, tokenizer, _prefix_ids(model, tokenizer, prompt, as_chat, template), sampling)


def _masked(model: Encoder, tokenizer: Tokenizer, prompt: str, as_chat: bool) -> tuple[list[int], list[int], list[int]]:
    """Return (before, prompt, after): turn markers around the prompt; without masks, its last word is masked."""
    mask = mask_id(tokenizer)
    assert mask is not None
    ids = encode_with_masks(tokenizer, prompt)
    if mask not in ids:
        ids = _mask_last_word(tokenizer, prompt, mask)
    before, after = _turn_markers(tokenizer, as_chat)
    budget = model.config.context_length - len(before) - len(after)
    ids = ids[-max(1, budget) :]
    if mask not in ids:  # the masks were cut off
        ids[-1] = mask
    return before, ids, after


def _fill_masks(model: Encoder, tokenizer: Tokenizer, prompt: str, as_chat: bool) -> tuple[str, TopTokens]:
    """Return the prompt with its masked tokens filled in."""
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
    """Return the source ids, the text shown for the source, and the target prefix up to the first gap.

    If the prompt has no gap, its last words become one, and the text shown says so.
    """
    end, mask = end_id(tokenizer, model.config), mask_id(tokenizer)
    assert end is not None
    gaps = (mask,) if denoises and mask is not None else sentinel_ids(tokenizer)
    ids, shown = encode_with_sentinels(tokenizer, prompt), ""
    if not set(gaps) & set(ids):
        n_words = len(prompt.split())
        kept = prompt.rsplit(maxsplit=min(3, max(1, n_words // 3)))[0] if n_words > 1 else ""
        ids = [*encode_text(tokenizer, kept), gaps[0]]
        shown = ARROW + decode(tokenizer, ids)
    before, _ = _turn_markers(tokenizer, as_chat)
    read = [*before, *ids[-(model.config.context_length - len(before) - 1) :]]
    first = next((i for i, id in enumerate(read) if id in gaps), len(read))
    written = read[:first] if denoises else [read[first] if first < len(read) else gaps[0]]
    return [*read, end], shown, (start_id(model.config, tokenizer), *written)


def _fill_gaps(
    model: EncoderDecoder, tokenizer: Tokenizer, prompt: str, as_chat: bool, sampling: SamplingConfig, denoises: bool
) -> tuple[str, TopTokens]:
    """Return the text that the model writes into the prompt's gaps; a denoising model rewrites the whole prompt."""
    source, shown, written = _gapped(model, tokenizer, prompt, as_chat, denoises)
    top = _top_target_tokens(model, source, written)
    return shown + ARROW + _write(model, tokenizer, source, sampling)[0], top


def _source_ids(model: EncoderDecoder, tokenizer: Tokenizer, prompt: str) -> list[int]:
    end = end_id(tokenizer, model.config)
    assert end is not None
    return fit_source(encode_source(tokenizer, prompt, end), model.config.context_length)


def _rewrite(
    model: EncoderDecoder, tokenizer: Tokenizer, prompt: str, sampling: SamplingConfig
) -> tuple[str, TopTokens]:
    """Return the target that the model writes for the prompt."""
    text, top = _write(model, tokenizer, _source_ids(model, tokenizer, prompt), sampling)
    return ARROW + text, top


def _turn_markers(tokenizer: Tokenizer, as_chat: bool) -> tuple[list[int], list[int]]:
    """Return the tokens before and after a user turn, if the model learns to chat."""
    user, end = tokenizer.token_to_id("<|user|>"), end_id(tokenizer)
    return ([user], [end]) if as_chat and user is not None and end is not None else ([], [])


def _mask_last_word(tokenizer: Tokenizer, prompt: str, mask: int) -> list[int]:
    word = _LAST_WORD.search(prompt)
    if word is None:
        return [*encode_text(tokenizer, prompt), mask]
    n_masks = len(encode_text(tokenizer, word[0]))
    before, after = prompt[: word.start()], prompt[word.end() :]
    return [*encode_text(tokenizer, before), *[mask] * n_masks, *encode_text(tokenizer, after)]


def _write(
    model: Decoder | EncoderDecoder, tokenizer: Tokenizer, ids: list[int], sampling: SamplingConfig
) -> tuple[str, TopTokens]:
    """Return the text that the model writes, and the most probable tokens at its first position."""
    made = [event for event in generate(model, tokenizer, ids, sampling, n_top=N_TOP) if isinstance(event, TokenMade)]
    return "".join(event.text for event in made), tuple((id, math.exp(log)) for id, log in made[0].top)


def _top_target_tokens(model: EncoderDecoder, ids: list[int], written: tuple[int, ...]) -> TopTokens:
    """Return the most probable next tokens after the target prefix `written` for the source `ids`."""
    device = model.embedding.weight.device
    with evaluating(model):
        hidden = model.hidden(torch.tensor([ids], device=device), torch.tensor([written], device=device))
        probabilities = model.logits(hidden[:, -1])[0].float().softmax(dim=-1)
        top = probabilities.topk(min(N_TOP, len(probabilities)))
    return tuple(zip(top.indices.tolist(), top.values.tolist(), strict=True))
