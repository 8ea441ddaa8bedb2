"""A model's own chat template, and the end tokens and stop texts of its replies. No torch.

Models trained here have none: they use the native format (`models.chat.own_template`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from terrarium.models.chat.own_template import CHAT_TEMPLATE, ROLES
from terrarium.models.chat.sandbox import NAMED_TOKENS
from terrarium.models.chat.template import render_template
from terrarium.models.files.atomic import atomic_write_json, read_json
from terrarium.models.library.run_record import CHAT_FORM
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.tokenizers.codec import encode_prompt
from terrarium.models.tokenizers.special_tokens import end_id

SAMPLING_KEYS = ("temperature", "top_k", "top_p", "min_p", "typical_p", "repetition_penalty", "frequency_penalty")
_PROBE = ("\ue000A", "\ue000B")  # private-use characters, which no template contains


PLAIN_TEMPLATE = (
    "{% for message in messages %}{{ message['role'] | capitalize + ': ' + message['content'] | trim }}"
    "{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}{{ '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)
"""For models not trained with a chat template, whose tokenizers have no tokens for one."""


@dataclass(frozen=True, kw_only=True)
class ChatTemplateConfig:
    """The chat settings published with a model.

    template: its chat template (Jinja); "" for the native format, or none.
    named_tokens: the tokens behind NAMED_TOKENS, which the template may use.
    end_ids: the end tokens of a reply, according to its authors.
    sampling: the sampling settings that its authors recommend, by the names of SamplingConfig.
    """

    template: str = ""
    named_tokens: Mapping[str, str] = field(default_factory=dict)
    end_ids: tuple[int, ...] = ()
    sampling: Mapping[str, float] = field(default_factory=dict)


def write_template_config(folder: Path, template_config: ChatTemplateConfig) -> None:
    """Write it into a run folder."""
    about = {
        "template": template_config.template,
        "marks": dict(template_config.named_tokens),
        "end_ids": list(template_config.end_ids),
    }
    atomic_write_json(folder / CHAT_FORM, {"format": 1, **about, "sampling": dict(template_config.sampling)})


def read_kept_template_config(folder: Path) -> ChatTemplateConfig | None:
    """Read the chat template settings saved in a run folder, or None if missing.

    Raises:
        ValueError: if the file is damaged.
    """
    file = folder / CHAT_FORM
    if not file.is_file():
        return None
    settings = read_json(file)
    try:
        return ChatTemplateConfig(
            template=str(settings["template"]),
            named_tokens={str(name): str(token) for name, token in settings["marks"].items() if name in NAMED_TOKENS},
            end_ids=whole_numbers(settings["end_ids"]),
            sampling=plain_numbers(settings["sampling"], {name: name for name in SAMPLING_KEYS}),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{file} is damaged ({error!s:.80}): import the model again.") from error


def whole_numbers(values: Sequence[Any]) -> tuple[int, ...]:
    """The token ids among the values of a foreign file, each once."""
    return tuple(dict.fromkeys(value for value in values if type(value) is int and value >= 0))


def plain_numbers(settings: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, float]:
    """The numbers among the settings of a foreign file; names: name there -> name here."""
    found = {local: settings.get(remote) for remote, local in names.items()}
    return {name: value for name, value in found.items() if isinstance(value, int | float)}


@dataclass(frozen=True)
class ReplyEnds:
    """What ends a reply: token ids, or stop texts."""

    ids: tuple[int, ...]
    texts: tuple[str, ...] = ()


def reply_ends(
    config: ModelConfig, tokenizer: Tokenizer, template_config: ChatTemplateConfig, template: str = ""
) -> ReplyEnds:
    """Return what ends a reply under a template; "" for the model's own.

    These are the model's end tokens, and what the template puts after a reply: a special token, or a stop text that
    begins the next message (“User:”).
    """
    named = end_id(tokenizer, config)
    ids = [*template_config.end_ids, *([] if named is None else [named])]
    template = template or template_config.template
    after = _after_reply(template, template_config.named_tokens) if template else ""
    first = encode_prompt(tokenizer, after.lstrip())[:1] if after.strip() else []
    special = {id for id, token in tokenizer.get_added_tokens_decoder().items() if token.special}
    if first and first[0] in special:
        ids += first
        return ReplyEnds(tuple(dict.fromkeys(ids)))
    return ReplyEnds(tuple(dict.fromkeys(ids)), (after,) if after.strip() else ())


def _after_reply(template: str, named_tokens: Mapping[str, str]) -> str:
    """The template's text between a reply and the content of the next message; "" if it fails."""
    reply, following = _PROBE
    messages = [
        {"role": "user", "content": "."},
        {"role": "assistant", "content": reply},
        {"role": "user", "content": following},
    ]
    try:
        text = render_template(template, messages, add_generation_prompt=False, named_tokens=named_tokens)
    except ValueError:
        return ""
    between = text.partition(reply)[2].partition(following)
    return between[0] if between[1] else ""


def template_to_teach(
    template_config: ChatTemplateConfig, config: ModelConfig, tokenizer: Tokenizer
) -> ChatTemplateConfig:
    """Return the template for training on conversations: the model's own, or PLAIN_TEMPLATE if it has none."""
    end = end_id(tokenizer, config)
    if template_config.template or uses_native_template(tokenizer) or end is None:
        return template_config
    named = {**template_config.named_tokens, "eos_token": str(tokenizer.id_to_token(end))}
    return dataclasses.replace(template_config, template=PLAIN_TEMPLATE, named_tokens=named, end_ids=(end,))


def uses_native_template(tokenizer: Tokenizer) -> bool:
    """Whether the tokenizer has the role tokens of the native chat format."""
    return all(tokenizer.token_to_id(f"<|{role}|>") is not None for role in ROLES)


def shown_template(template_config: ChatTemplateConfig, tokenizer: Tokenizer) -> str:
    """Return the model's template for display and editing, or ""."""
    return template_config.template or (CHAT_TEMPLATE.strip() if uses_native_template(tokenizer) else "")
