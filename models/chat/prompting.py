"""How a chat's messages become what a model reads: settings, and the tokens that they come to. No torch import.

A prompt leaves a quarter of the context for the reply, unless the newest message alone is longer.
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

    from models.chat.own_template import Message
    from models.chat.template_config import ChatTemplateConfig

WHEN_FULL = {
    "slide": "Leave out the oldest messages",
    "summarise": "Summarise the oldest messages",
    "stop": "Stop and say so",
}
"""What can happen when a conversation is longer than the context, in words."""


@dataclass(frozen=True, kw_only=True)
class Prompting:
    """The settings of one chat's prompts.

    system: what the model is told before all messages; "" for what its template says by itself, if anything.
    template: a chat template (Jinja, as in tokenizer_config.json); "" for the model's own.
    when_full: one of WHEN_FULL.
    """

    system: str = ""
    template: str = ""
    when_full: str = "slide"

    def __post_init__(self) -> None:
        if self.when_full not in WHEN_FULL:
            raise ValueError(
                f"What happens when the context is full is {self.when_full!r}, but must be one of "
                f"{', '.join(WHEN_FULL)}."
            )


@dataclass(frozen=True, eq=False)
class Prompt:
    """What a model reads before it replies: n tokens, and where each comes from.

    Attributes:
        ids: (n,) the tokens.
        messages: what they say, in order: the system message, if any, and the messages that were not left out.
        sources: (n,) the index into `messages` of each token; -1 for what the template says before them all, and
            len(messages) for what asks for the reply.
        n_left_out: how many of the oldest messages are not among them.
        summary: what stands for these; "" where nothing does.
        context_length: how many tokens the model can read and write together.
    """

    ids: NDArray[np.int64]
    messages: tuple[Message, ...]
    sources: NDArray[np.int64]
    n_left_out: int
    context_length: int
    summary: str = ""

    def count(self, first: int, end: int) -> int:
        """How many tokens come from messages `first` to `end` - 1, numbered as in `sources`."""
        return int(((self.sources >= first) & (self.sources < end)).sum())


def with_system(messages: Sequence[Message], prompting: Prompting) -> list[Message]:
    """The messages, after the system message that `prompting` asks for; one of their own gives way to it."""
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
    prompting: Prompting,
    template_config: ChatTemplateConfig,
    *,
    n_prefix: int = 0,
) -> Prompt:
    """The prompt for the next reply. Where the conversation is too long, its oldest messages are left out.

    Args:
        messages: from the oldest to the one to be answered.
        template_config: how the model wants to be talked to.
        n_prefix: so many tokens of the reply are there already.

    Raises:
        ValueError: where there is no message, the newest does not fit the context, or it is full and `prompting` says
            "stop"; and as the template fails (`chat_template.ChatTemplateError`).
    """
    prompt = newest_that_fit(context_length, tokenizer, messages, prompting, template_config, n_prefix=n_prefix)
    check_fits(prompt, n_prefix)
    if prompt.n_left_out and prompting.when_full == "stop":
        whole = lay_out(context_length, tokenizer, messages, prompting, template_config)
        raise ValueError(
            f"The context is full: the conversation has {len(whole.ids):,} of {context_length:,} tokens, and a "
            "quarter is kept for the reply. Begin a new chat, or choose what happens when the context is full."
        )
    return prompt


def check_fits(prompt: Prompt, n_prefix: int = 0) -> None:
    """Raise ValueError where no reply can follow a prompt."""
    if not any(message["role"] != "system" for message in prompt.messages):
        raise ValueError("There is no message to reply to: write something.")
    n, length = len(prompt.ids) + n_prefix, prompt.context_length
    before = prompt.count(-1, len(prompt.messages) - 1)
    if before >= length:
        raise ValueError(
            f"The system prompt is too long: what stands before the newest message has {before:,} tokens, but the "
            f"model's context takes {length:,}. Shorten it."
        )
    if n > length:
        raise ValueError(
            f"The newest message is too long: with it the prompt has {n:,} tokens, but the model's context takes "
            f"{length:,}. Shorten it."
        )


def newest_that_fit(
    context_length: int,
    tokenizer: Tokenizer,
    messages: Sequence[Message],
    prompting: Prompting,
    template_config: ChatTemplateConfig,
    *,
    n_prefix: int = 0,
    room: int | None = None,
) -> Prompt:
    """As `build_prompt`, whatever `prompting` says of a full context; the newest message stays, even if too long.

    Args:
        room: how many tokens the prompt may have; by default `room_for_prompt`.
    """
    from models.chat.own_template import check_messages, n_to_leave_out, room_for_prompt

    check_messages(messages)
    said = with_system(messages, prompting)
    first = said[:1] if said and said[0]["role"] == "system" else []
    kept = said[len(first) :]
    n_all = len(kept)
    room = (room_for_prompt(context_length) if room is None else room) - n_prefix
    while True:
        prompt = lay_out(
            context_length, tokenizer, [*first, *kept], dataclasses.replace(prompting, system=""), template_config
        )
        if len(prompt.ids) <= room or len(kept) <= 1:
            return dataclasses.replace(prompt, n_left_out=n_all - len(kept))
        counts = np.bincount(prompt.sources + 1, minlength=len(prompt.messages) + 2)[len(first) + 1 : -1]
        n = n_to_leave_out(counts.tolist(), len(prompt.ids) - room)
        kept = kept[max(n, 1) :]  # what a template says for each may depend on the others


def lay_out(
    context_length: int,
    tokenizer: Tokenizer,
    messages: Sequence[Message],
    prompting: Prompting,
    template_config: ChatTemplateConfig,
) -> Prompt:
    """The tokens of all messages and of what asks for a reply, however many there are.

    Raises:
        ValueError: as the template fails, or where the tokenizer has no tokens for roles.
    """
    from models.chat.foreign import foreign_chat_tokens, n_before
    from models.chat.own_template import encode_parts
    from models.chat.template import render_template

    said = with_system(messages, prompting)
    template = prompting.template or template_config.template
    if template:
        chat = foreign_chat_tokens(tokenizer, template, template_config.marks, said)
        ids, sources = chat.tokens.ids, chat.messages.copy()
        if said:
            text = render_template(template, said, asks=True, marks=template_config.marks)
            before = len(text[: n_before(template, template_config.marks, said, text)].encode())
            sources[chat.tokens.starts < before] = -1
    else:
        parts = encode_parts(tokenizer, said, add_generation_prompt=True)
        ids = np.array([id for _, of_part in parts for id in of_part], np.int64)
        lengths = [len(of_part) for _, of_part in parts]
        sources = np.repeat(np.array([segment.message for segment, _ in parts], np.int64), lengths)
    return Prompt(ids, tuple(said), sources, 0, context_length)
