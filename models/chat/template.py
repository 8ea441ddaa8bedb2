"""Chat templates (Jinja, as in tokenizer_config.json) rendered as `transformers` does, in a sandbox with limits.

Templates are untrusted, so they run in a `TemplateSandbox`. Errors name the line of the template.
"""

from __future__ import annotations

import functools
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from jinja2 import Template, TemplateError, TemplateSyntaxError, meta
from jinja2.exceptions import SecurityError

from models.chat.sandbox import BUDGET, MAX_CHARACTERS, Budget, TemplateSandbox, with_limits

NAMED_TOKENS = ("bos_token", "eos_token")
"""Variables of a template for the tokens that begin and end a text."""

_FAILURES = (
    TemplateError,
    TypeError,
    ValueError,
    ArithmeticError,
    LookupError,
    AttributeError,
    RuntimeError,
    SyntaxError,  # Python's, for blocks nested too deeply
    MemoryError,
)


class ChatTemplateError(ValueError):
    """A template cannot be rendered. `line`: where it failed, counted from 1; 0 if unknown."""

    def __init__(self, message: str, line: int = 0) -> None:
        super().__init__(message)
        self.line = line


def render_template(
    template: str,
    messages: Sequence[Mapping[str, str]],
    *,
    add_generation_prompt: bool,
    named_tokens: Mapping[str, str] | None = None,
) -> str:
    """The conversation as one text, special tokens written out.

    Args:
        add_generation_prompt: end the text with the start of the assistant's turn.
        named_tokens: the tokens of NAMED_TOKENS, as far as they are known.

    Raises:
        ChatTemplateError: if the template fails, rejects the conversation, needs a named token that is not known, or
            exceeds the limits of the sandbox.
    """
    known = {name: token for name, token in (named_tokens or {}).items() if name in NAMED_TOKENS and token}
    with _template_errors():
        compiled, used = _compiled(template)
    missing = sorted(used - known.keys())
    if missing:
        raise ChatTemplateError(
            f"The chat template needs its {' and '.join(missing)}, which its files do not define: "
            "import the whole Hugging Face folder."
        )
    given: dict[str, Any] = {
        "messages": [dict(message) for message in messages],
        "tools": None,
        "documents": None,
        "add_generation_prompt": add_generation_prompt,
        **known,
        BUDGET: Budget(),
    }
    with _template_errors():
        return "".join(_limit_length(compiled.generate(given)))


def _limit_length(parts: Iterable[str]) -> Iterator[str]:
    length = 0
    for part in parts:
        length += len(part)
        if length > MAX_CHARACTERS:
            raise SecurityError(f"its text is longer than {MAX_CHARACTERS:,} characters")
        yield part


@contextmanager
def _template_errors() -> Iterator[None]:
    """Turn whatever a template can raise into a ChatTemplateError."""
    try:
        yield
    except _FAILURES as error:
        line = error.lineno if isinstance(error, TemplateSyntaxError) else _line_of(error)
        where = f"Line {line} of the chat template" if line else "The chat template"
        message = error.message if isinstance(error, TemplateError) else getattr(error, "msg", str(error))
        why = "infinite recursion" if isinstance(error, RecursionError) else (message or "").rstrip(".")
        raise ChatTemplateError(f"{where} fails: {why or 'no reason given'}.", line) from error


def _line_of(error: BaseException) -> int:
    """The line of the template in an error's traceback, 0 if there is none."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == "<template>"]
    return lines[-1] or 0 if lines else 0


@functools.lru_cache(maxsize=16)
def _compiled(template: str) -> tuple[Template, frozenset[str]]:
    """The compiled template, and the NAMED_TOKENS that it uses."""
    environment = TemplateSandbox()
    tree = environment.parse(template)
    used = frozenset(meta.find_undeclared_variables(tree) & set(NAMED_TOKENS))
    return environment.from_string(with_limits(tree)), used
