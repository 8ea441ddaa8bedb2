"""A conversation by the chat template of a model from elsewhere, token by token, as `transformers` makes it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import lru_cache
from typing import Any, NoReturn

import numpy as np
from jinja2 import Template, TemplateError, meta
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment
from tokenizers import Tokenizer

from models.data.chat import Message
from models.data.chat_tokens import ChatTokens
from models.tokenizers.encoded import EncodedText

MARKS = ("bos_token", "eos_token")
"""What templates may call the tokens that begin and end a text."""


def foreign_chat_tokens(
    tokenizer: Tokenizer, template: str, marks: Mapping[str, str], messages: Sequence[Message], *, asks: bool = True
) -> ChatTokens:
    """The tokens of a conversation that the model is to answer (`asks`), or as it stands.

    As in `transformers`, and unlike in chats here, what somebody wrote becomes a special token where it spells one. A
    message's tokens are those that the template adds for it; of a reply, those from its content on are its own.

    Args:
        marks: the tokens of MARKS, as far as they are known.

    Raises:
        ValueError: where the template fails, refuses the conversation, or needs a mark that is not known.
    """
    text = render_foreign(template, marks, messages, add_generation_prompt=asks)
    edges = _edges(template, marks, messages, text)  # where each message ends, in characters
    tokens = EncodedText(tokenizer, text)
    byte_edges = [len(text[:edge].encode()) for edge in edges]
    numbers = np.searchsorted(byte_edges, tokens.starts, side="right").astype(np.int64)
    is_reply = np.zeros(len(tokens), bool)
    for i, message in enumerate(messages):
        if message["role"] == "assistant":
            begin = text.find(message["content"].strip(), edges[i - 1] if i else 0, edges[i])
            first = byte_edges[i] if begin < 0 else len(text[:begin].encode())
            is_reply |= (tokens.starts >= first) & (tokens.starts < byte_edges[i])
    counts = np.bincount(numbers, minlength=len(messages) + 1)
    return ChatTokens(tokens, numbers, is_reply, tuple(counts.tolist()), range(0))


def render_foreign(
    template: str, marks: Mapping[str, str], messages: Sequence[Message], *, add_generation_prompt: bool
) -> str:
    """The conversation as one text.

    Raises:
        ValueError: where the template fails, refuses the conversation, or needs a mark that is not known.
    """
    known = {name: marks[name] for name in MARKS if marks.get(name)}
    with _failures_told():
        compiled, needed = _compiled(template)
    missing = sorted(needed - known.keys())
    if missing:
        raise ValueError(
            f"The chat template of this tokenizer needs its {' and '.join(missing)}, which the files that it was "
            "read from do not name: import its whole Hugging Face folder."
        )
    with _failures_told():
        return str(
            compiled.render(
                messages=[dict(message) for message in messages], add_generation_prompt=add_generation_prompt, **known
            )
        )


@contextmanager
def _failures_told() -> Iterator[None]:
    """Whatever a template can raise, as a ValueError."""
    try:
        yield
    except TemplateError as error:
        raise ValueError(f"The chat template of this tokenizer cannot make one text of this: {error}.") from error
    except (TypeError, ValueError, ArithmeticError, LookupError, RecursionError) as error:
        raise ValueError(f"The chat template of this tokenizer fails: {error}.") from error


@lru_cache(maxsize=8)
def _compiled(template: str) -> tuple[Template, frozenset[str]]:
    """The template, and the MARKS that it uses."""
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
    environment.filters["tojson"] = _to_json
    environment.globals |= {"raise_exception": _refuse, "strftime_now": _now}
    used = meta.find_undeclared_variables(environment.parse(template))
    return environment.from_string(template), frozenset(used & set(MARKS))


def _edges(template: str, marks: Mapping[str, str], messages: Sequence[Message], text: str) -> list[int]:
    """Where each message ends in the text: as far as the template gets with the messages up to it."""
    edges: list[int] = []
    for i, message in enumerate(messages):
        done = edges[-1] if edges else 0
        try:
            so_far = render_foreign(template, marks, messages[: i + 1], add_generation_prompt=False)
        except ValueError:
            so_far = ""
        if so_far and text.startswith(so_far) and len(so_far) >= done:
            edges.append(len(so_far))
        else:  # a template that looks ahead: up to the end of what was written
            found = text.find(message["content"].strip(), done)
            edges.append(done if found < 0 else found + len(message["content"].strip()))
    return edges


def _refuse(message: str) -> NoReturn:
    raise TemplateError(message)


def _now(form: str) -> str:
    return datetime.now().strftime(form)


def _to_json(value: Any, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent)
