"""A reply as events: from a conversation, or a text, to the tokens that a model makes of it. No Qt."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from models.chat.prompting import Prompting
from models.chat.template_config import ChatTemplateConfig
from models.events import Event
from models.settings.sampling_config import SamplingConfig

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from models.architecture.transformer import AnyModel
    from models.inference.prefill import PrefixCache
    from models.inference.summarising import Summaries


@dataclass(frozen=True, kw_only=True)
class ReplyRequest:
    """What a model is asked for: a reply to messages ({"role", "content"}), or what becomes of a text.

    The reply begins with the tokens `prefix_ids`; it is drawn as `sampling` says.
    """

    messages: Sequence[Mapping[str, str]] | str
    sampling: SamplingConfig
    prefix_ids: tuple[int, ...] = ()
    prompting: Prompting = field(default_factory=Prompting)


@dataclass(frozen=True, kw_only=True)
class ReplyStarted(Event):
    """The first event of a reply: the model's training step, how many tokens it was given, and how many of the oldest
    messages were left out because the conversation is longer than the context.

    prompt_ids: what stands before the reply's first token; of an encoder-decoder that is what its texts begin with, and
    `source_ids` is what its encoder reads. prefix: the text of the tokens with which the reply begins already.
    summary: what stands for the messages that were left out; "" where nothing does.
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
    asked: ReplyRequest,
    summaries: Summaries,
    prefix_cache: PrefixCache | None = None,
) -> Iterator[Event]:
    """ReplyStarted, then TokenMade …, then ReplyFinished; before them Phase, Progress and Notice of a summary, and
    after ReplyStarted Progress of reading.

    Args:
        step: the model's training step. template_config: how it wants to be talked to.
        summaries: those that it made before. prefix_cache: what it read last.

    Raises:
        ValueError: where the prompt is empty, too long for the context, or no prompt for this model; a broken template;
            or logits that are not numbers.
    """
    from models.chat.template_config import reply_ends
    from models.inference.fill_mask import fill_events
    from models.inference.generate import first_id, generate
    from models.inference.prompts import encode_for
    from models.inference.summarising import prompt_events
    from models.tokenizers import IncrementalDecoder

    sampling, left_out, summary = asked.sampling, 0, ""
    end_ids: tuple[int, ...] = ()
    if isinstance(asked.messages, str):
        ids = encode_for(model.config, tokenizer, asked.messages)
    else:
        said = [dict(message) for message in asked.messages]
        prompt = yield from prompt_events(
            model, tokenizer, said, asked.prompting, template_config, summaries, n_prefix=len(asked.prefix_ids)
        )
        ids, left_out, summary = prompt.ids.tolist(), prompt.n_left_out, prompt.summary
        ends = reply_ends(model.config, tokenizer, template_config, asked.prompting.template)
        sampling, end_ids = dataclasses.replace(sampling, stop=(*sampling.stop, *ends.texts)), ends.ids
    has_source, decoder = model.config.topology == "encoder-decoder", IncrementalDecoder(tokenizer)
    yield ReplyStarted(
        step=step,
        n_prompt=len(ids),
        n_left_out=left_out,
        prompt_ids=(first_id(model, tokenizer),) if has_source else tuple(ids),
        source_ids=tuple(ids) if has_source else (),
        prefix="".join(map(decoder.add, asked.prefix_ids)),
        summary=summary,
    )
    if model.config.topology == "encoder-only":
        yield from fill_events(model, tokenizer, ids)
    else:
        yield from generate(
            model, tokenizer, ids, sampling, prefix_ids=asked.prefix_ids, end_ids=end_ids, prefix_cache=prefix_cache
        )
