"""Builds the prompt of a chat: its settings, and the tokens of the messages that fit the context. No torch import.

A quarter of the context is reserved for the reply, unless the newest message alone is longer than the rest.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from tokenizers import Tokenizer

    from terrarium.models.chat.own_template import Message
    from terrarium.models.chat.template_config import ChatTemplateConfig

WHEN_FULL = {
    "slide": "Leave out the oldest messages",
    "summarise": "Summarise the oldest messages",
    "stop": "Stop with a message",
}
"""What to do when a conversation exceeds the context: value -> label."""


@dataclass(frozen=True, kw_only=True)
class PromptSettings:
    """Prompt settings of one chat.

    system: the system prompt; "" for the default of the model's template, if it has one.
    template: a chat template (Jinja, as in tokenizer_config.json); "" for the model's own.
    when_full: one of WHEN_FULL.
    """

    system: str = ""
    template: str = ""
    when_full: str = "slide"

    def __post_init__(self) -> None:
        if self.when_full not in WHEN_FULL:
            raise ValueError(
                f"{self.when_full!r} is not a policy for a full context: use one of {', '.join(WHEN_FULL)}."
            )


@dataclass(frozen=True, eq=False)
class Prompt:
    """The n prompt tokens of a reply, with the source of each.

    Attributes:
        ids: (n,) the tokens.
        messages: the messages in order: the system message, if any, and those that were not left out.
        sources: (n,) the index into `messages` of each token; -1 for the template's text before all messages, and
            len(messages) for the generation prompt.
        n_left_out: how many of the oldest messages were left out.
        summary: the text that replaces them; "" for none.
        context_length: tokens that fit into the context, prompt and reply together.
    """

    ids: NDArray[np.int64]
    messages: tuple[Message, ...]
    sources: NDArray[np.int64]
    n_left_out: int
    context_length: int
    summary: str = ""

    def count(self, first: int, end: int) -> int:
        """How many tokens come from messages `first` to `end` - 1, counted as in `sources`."""
        return int(((self.sources >= first) & (self.sources < end)).sum())


def with_system(messages: Sequence[Message], prompting: PromptSettings) -> list[Message]:
    """The messages with the system prompt of `prompting`, if any, in place of their own."""
    rest = list(messages)
    if not prompting.system.strip():
        return rest
    if rest and rest[0]["role"] == "system":
        del rest[0]
    return [{"role": "system", "content": prompting.system}, *rest]


def build_prompt(
    context_length: int,
    tokenizer: Tokenizer,
    messages: Sequence[Message],
    prompting: PromptSettings,
    template_config: ChatTemplateConfig,
    *,
    n_prefix: int = 0,
) -> Prompt:
    """Build the prompt of the next reply, dropping the oldest messages of a conversation that is too long.

    Args:
        messages: from the oldest to the one to reply to.
        template_config: the model's chat template and related settings.
        n_prefix: how many tokens of the reply exist already.

    Raises:
        ValueError: if there is no message, the newest does not fit the context, or the context is full and `prompting`
            says "stop"; ChatTemplateError if the template fails.
    """
    prompt = truncate_to_fit(context_length, tokenizer, messages, prompting, template_config, n_prefix=n_prefix)
    check_fits(prompt, n_prefix)
    if prompt.n_left_out and prompting.when_full == "stop":
        whole = encode_untruncated(context_length, tokenizer, messages, prompting, template_config)
        raise ValueError(
            f"The context is full: the conversation has {len(whole.ids):,} of {context_length:,} tokens, and a "
            "quarter is reserved for the reply. Start a new chat, or change what happens when the context is full."
        )
    return prompt


def check_fits(prompt: Prompt, n_prefix: int = 0) -> None:
    """Raise ValueError if no reply can follow the prompt."""
    if not any(message["role"] != "system" for message in prompt.messages):
        raise ValueError("There is no message to reply to: write something.")
    n, length = len(prompt.ids) + n_prefix, prompt.context_length
    before = prompt.count(-1, len(prompt.messages) - 1)
    if before >= length:
        raise ValueError(
            f"The system prompt is too long: before the newest message there are {before:,} tokens, but the model's "
            f"context holds only {length:,}. Shorten it."
        )
    if n > length and n_prefix:
        raise ValueError(
            f"The context is full: the newest message and its reply have {n:,} tokens, but the model's context holds "
            f"only {length:,}. Ask again, or start a new chat."
        )
    if n > length:
        raise ValueError(
            f"The newest message is too long: the prompt has {n:,} tokens, but the model's context holds only "
            f"{length:,}. Shorten it."
        )


def check_continuation(
    context_length: int,
    tokenizer: Tokenizer,
    messages: Sequence[Message],
    prompting: PromptSettings,
    template_config: ChatTemplateConfig,
    *,
    n_prompt: int,
    n_prefix: int,
) -> None:
    """Raise ValueError if a reply that was cut short cannot be continued, as `build_prompt` would.

    A template of others is not rendered, since that may take seconds: its texts have at least the tokens of the system
    prompt and of the newest message.

    Args:
        n_prompt: how many tokens were read for the reply. n_prefix: how many it has.
    """
    from terrarium.models.chat.own_template import max_prompt_tokens
    from terrarium.models.tokenizers import encode_text

    if n_prompt + n_prefix <= max_prompt_tokens(context_length):
        return
    if not (prompting.template or template_config.template):
        build_prompt(context_length, tokenizer, messages, prompting, template_config, n_prefix=n_prefix)
        return
    read = [prompting.system, messages[-1]["content"]]
    n = n_prefix + sum(len(encode_text(tokenizer, text)) for text in read)
    if n > context_length or (prompting.when_full == "stop" and len(messages) > 1):
        raise ValueError(
            f"The context is full: the model can read {context_length:,} tokens at once, and they are used up. Ask "
            "again, or start a new chat."
        )


def truncate_to_fit(
    context_length: int,
    tokenizer: Tokenizer,
    messages: Sequence[Message],
    prompting: PromptSettings,
    template_config: ChatTemplateConfig,
    *,
    n_prefix: int = 0,
    max_tokens: int | None = None,
) -> Prompt:
    """Like `build_prompt`, but always drops the oldest messages; the newest one is retained even if it is too long.

    Args:
        max_tokens: how many tokens the prompt may have; by default `max_prompt_tokens`.
    """
    from terrarium.models.chat.own_template import check_messages, max_prompt_tokens, n_messages_to_drop

    check_messages(messages)
    conversation = with_system(messages, prompting)
    first = conversation[:1] if conversation and conversation[0]["role"] == "system" else []
    kept = conversation[len(first) :]
    n_all = len(kept)
    budget = (max_prompt_tokens(context_length) if max_tokens is None else max_tokens) - n_prefix
    while True:
        prompt = encode_untruncated(
            context_length, tokenizer, [*first, *kept], dataclasses.replace(prompting, system=""), template_config
        )
        if len(prompt.ids) <= budget or len(kept) <= 1:
            return dataclasses.replace(prompt, n_left_out=n_all - len(kept))
        counts = np.bincount(prompt.sources + 1, minlength=len(prompt.messages) + 2)[len(first) + 1 : -1]
        n = n_messages_to_drop(counts.tolist(), len(prompt.ids) - budget)
        kept = kept[max(n, 1) :]  # the text of each may depend on the others, so render again


def encode_untruncated(
    context_length: int,
    tokenizer: Tokenizer,
    messages: Sequence[Message],
    prompting: PromptSettings,
    template_config: ChatTemplateConfig,
) -> Prompt:
    """The tokens of all messages and the generation prompt, however many there are.

    Raises:
        ValueError: if the template fails, or the tokenizer has no role tokens.
    """
    from terrarium.models.chat.foreign import foreign_chat_tokens
    from terrarium.models.chat.own_template import encode_segments

    conversation = with_system(messages, prompting)
    template = prompting.template or template_config.template
    if template:
        chat = foreign_chat_tokens(tokenizer, template, template_config.named_tokens, conversation)
        ids, sources = chat.tokens.ids, chat.messages.copy()
        sources[: chat.n_before] = -1
    else:
        parts = encode_segments(tokenizer, conversation, add_generation_prompt=True)
        ids = np.array([id for _, of_part in parts for id in of_part], np.int64)
        lengths = [len(of_part) for _, of_part in parts]
        sources = np.repeat(np.array([segment.message for segment, _ in parts], np.int64), lengths)
    return Prompt(ids, tuple(conversation), sources, 0, context_length)
