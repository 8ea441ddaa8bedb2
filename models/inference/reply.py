"""A reply as a stream of events: from a conversation or a text to the generated tokens. No Qt."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from terrarium.models.chat.prompting import PromptSettings
from terrarium.models.chat.template_config import ChatTemplateConfig
from terrarium.models.events import Event
from terrarium.models.settings.sampling_config import SamplingConfig

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from terrarium.models.architecture.transformer import AnyModel
    from terrarium.models.inference.prefill import PrefixCache
    from terrarium.models.inference.speculative import Draft
    from terrarium.models.inference.summarising import SummaryCache


@dataclass(frozen=True, kw_only=True)
class ReplyRequest:
    """A request for a reply to messages ({"role", "content"}), or for the continuation of a text.

    The reply begins with the tokens `prefix_ids`; the others are sampled with the settings `sampling`.
    """

    messages: Sequence[Mapping[str, str]] | str
    sampling: SamplingConfig
    prefix_ids: tuple[int, ...] = ()
    prompting: PromptSettings = field(default_factory=PromptSettings)


@dataclass(frozen=True, kw_only=True)
class ReplyStarted(Event):
    """The first event of a reply.

    step: the model's training step. n_prompt: the number of prompt tokens. n_left_out: how many of the oldest messages
    were left out because the conversation is longer than the context. prompt_ids: the tokens before the reply; for an
    encoder-decoder the start of its target text, and `source_ids` is the encoder's input. prefix: the text of the given
    tokens with which the reply begins. summary: the summary that replaces the left-out messages; "" if there is none.
    """

    step: int
    n_prompt: int
    n_left_out: int = 0
    prompt_ids: tuple[int, ...] = ()
    source_ids: tuple[int, ...] = ()
    prefix: str = ""
    summary: str = ""


def reply_events(
    model: AnyModel,
    tokenizer: Tokenizer,
    step: int,
    template_config: ChatTemplateConfig,
    request: ReplyRequest,
    summaries: SummaryCache,
    prefix_cache: PrefixCache | None = None,
    draft: Draft | None = None,
) -> Iterator[Event]:
    """Yield ReplyStarted, TokenMade …, ReplyFinished; before them Phase, Progress and Notice of a summary, and after
    ReplyStarted Progress of the prefill.

    Args:
        step: the model's training step. template_config: its chat format.
        summaries: its earlier summaries. prefix_cache: the KV cache of the last text. draft: the draft model.

    Raises:
        ValueError: for a prompt that is empty, too long for the context, or of the wrong kind for this model; a broken
            template; or logits that are not finite.
    """
    from terrarium.models.chat.template_config import reply_ends
    from terrarium.models.inference.fill_mask import fill_events
    from terrarium.models.inference.generate import decoder_start_id, generate
    from terrarium.models.inference.prompts import encode_for
    from terrarium.models.inference.summarising import prompt_events
    from terrarium.models.tokenizers import IncrementalDecoder

    sampling, left_out, summary = request.sampling, 0, ""
    end_ids: tuple[int, ...] = ()
    if isinstance(request.messages, str):
        ids = encode_for(model.config, tokenizer, request.messages)
    else:
        messages = [dict(message) for message in request.messages]
        prompt = yield from prompt_events(
            model, tokenizer, messages, request.prompting, template_config, summaries, n_prefix=len(request.prefix_ids)
        )
        ids, left_out, summary = prompt.ids.tolist(), prompt.n_left_out, prompt.summary
        ends = reply_ends(model.config, tokenizer, template_config, request.prompting.template)
        sampling, end_ids = dataclasses.replace(sampling, stop=(*sampling.stop, *ends.texts)), ends.ids
    has_source, decoder = model.config.topology == "encoder-decoder", IncrementalDecoder(tokenizer)
    yield ReplyStarted(
        step=step,
        n_prompt=len(ids),
        n_left_out=left_out,
        prompt_ids=(decoder_start_id(model, tokenizer),) if has_source else tuple(ids),
        source_ids=tuple(ids) if has_source else (),
        prefix="".join(map(decoder.add, request.prefix_ids)),
        summary=summary,
    )
    if model.config.topology == "encoder-only":
        yield from fill_events(model, tokenizer, ids)
    else:
        yield from generate(
            model,
            tokenizer,
            ids,
            sampling,
            prefix_ids=request.prefix_ids,
            end_ids=end_ids,
            prefix_cache=prefix_cache,
            draft=draft,
        )
