"""How a model wants to be talked to: the chat template that it came with, and what ends its replies. No torch.

A model that was trained here has none of it, being talked to by our own format (`models.chat.own_template`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tokenizers import Tokenizer

from models.chat.own_template import CHAT_TEMPLATE, ROLES
from models.chat.template import render_template
from models.settings.model_config import ModelConfig
from models.tokenizers.codec import encode_prompt
from models.tokenizers.special_tokens import end_id

_PROBE = ("\ue000A", "\ue000B")  # what no template has in its own text


@dataclass(frozen=True, kw_only=True)
class ChatTemplateConfig:
    """What a model says about conversations with it.

    template: its chat template (Jinja); "" for our own format, or none. marks: the tokens that the template may call by
    the names of MARKS. end_ids: the tokens that its makers say end a reply. sampling: settings to begin with, by
    their names in SamplingConfig: those that its makers advise.
    """

    template: str = ""
    marks: Mapping[str, str] = field(default_factory=dict)
    end_ids: tuple[int, ...] = ()
    sampling: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class ReplyEnds:
    """What ends a reply: tokens, or texts."""

    ids: tuple[int, ...]
    texts: tuple[str, ...] = ()


def reply_ends(
    config: ModelConfig, tokenizer: Tokenizer, template_config: ChatTemplateConfig, template: str = ""
) -> ReplyEnds:
    """What ends a reply by a template; "" for the model's own.

    Besides the tokens that the model's makers name it is what the template itself puts after a reply: a special token,
    or a text that begins the next message (“User:”).
    """
    named = end_id(tokenizer, config)
    ids = [*template_config.end_ids, *([] if named is None else [named])]
    template = template or template_config.template
    after = _after_reply(template, template_config.marks) if template else ""
    first = encode_prompt(tokenizer, after.lstrip())[:1] if after.strip() else []
    special = {id for id, token in tokenizer.get_added_tokens_decoder().items() if token.special}
    if first and first[0] in special:
        ids += first
        return ReplyEnds(tuple(dict.fromkeys(ids)))
    return ReplyEnds(tuple(dict.fromkeys(ids)), (after,) if after.strip() else ())


def _after_reply(template: str, marks: Mapping[str, str]) -> str:
    """What a template says between a reply and the next message's text; "" where it cannot be asked."""
    reply, following = _PROBE
    messages = [
        {"role": "user", "content": "."},
        {"role": "assistant", "content": reply},
        {"role": "user", "content": following},
    ]
    try:
        text = render_template(template, messages, asks=False, marks=marks)
    except ValueError:
        return ""
    between = text.partition(reply)[2].partition(following)
    return between[0] if between[1] else ""


def uses_native_template(tokenizer: Tokenizer) -> bool:
    """Whether the tokenizer has the tokens of our own conversations."""
    return all(tokenizer.token_to_id(f"<|{role}|>") is not None for role in ROLES)


def shown_template(template_config: ChatTemplateConfig, tokenizer: Tokenizer) -> str:
    """The model's template as one may look at it and edit it; "" where it has none."""
    return template_config.template or (CHAT_TEMPLATE.strip() if uses_native_template(tokenizer) else "")
