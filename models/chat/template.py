"""Chat templates (Jinja, as in tokenizer_config.json) rendered as `transformers` does, in a sandbox with limits.

A template comes from anywhere, so it runs in a `TemplateSandbox`. All failures are sentences that name its line.
"""

from __future__ import annotations

import functools
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from jinja2 import Template, TemplateError, TemplateSyntaxError, meta
from jinja2.exceptions import SecurityError

from models.chat.sandbox import BUDGET, MOST_CHARACTERS, Budget, TemplateSandbox, limited

MARKS = ("bos_token", "eos_token")
"""What templates may call the tokens that begin and end a text."""

_FAILURES = (
    TemplateError,
    TypeError,
    ValueError,
    ArithmeticError,
    LookupError,
    AttributeError,
    RuntimeError,
    SyntaxError,  # Python's, where blocks stand too deep in one another
    MemoryError,
)


class ChatTemplateError(ValueError):
    """A template that cannot make a text: one sentence. `line`: where, counted from 1; 0 where that is not known."""

    def __init__(self, sentence: str, line: int = 0) -> None:
        super().__init__(sentence)
        self.line = line


def render_template(
    template: str, messages: Sequence[Mapping[str, str]], *, asks: bool, marks: Mapping[str, str] | None = None
) -> str:
    """The conversation as one text, special tokens written out.

    Args:
        asks: the text ends with what asks for a reply.
        marks: the tokens of MARKS, as far as they are known.

    Raises:
        ChatTemplateError: where the template fails, refuses the conversation, needs a mark that is not known, or asks
            for more than the sandbox allows.
    """
    known = {name: token for name, token in (marks or {}).items() if name in MARKS and token}
    with _failures_told():
        compiled, used = _compiled(template)
    missing = sorted(used - known.keys())
    if missing:
        raise ChatTemplateError(
            f"The chat template needs its {' and '.join(missing)}, which the files that it was read from do not name: "
            "import its whole Hugging Face folder."
        )
    given: dict[str, Any] = {
        "messages": [dict(message) for message in messages],
        "tools": None,
        "documents": None,
        "add_generation_prompt": asks,
        **known,
        BUDGET: Budget(),
    }
    with _failures_told():
        return "".join(_no_longer(compiled.generate(given)))


def _no_longer(parts: Iterable[str]) -> Iterator[str]:
    length = 0
    for part in parts:
        length += len(part)
        if length > MOST_CHARACTERS:
            raise SecurityError(f"its text is longer than {MOST_CHARACTERS:,} characters")
        yield part


@contextmanager
def _failures_told() -> Iterator[None]:
    """Whatever a template can raise, as a ChatTemplateError."""
    try:
        yield
    except _FAILURES as error:
        line = error.lineno if isinstance(error, TemplateSyntaxError) else _line_of(error)
        where = f"Line {line} of the chat template" if line else "The chat template"
        told = error.message if isinstance(error, TemplateError) else getattr(error, "msg", str(error))
        why = "it calls itself without end" if isinstance(error, RecursionError) else (told or "").rstrip(".")
        raise ChatTemplateError(f"{where} fails: {why or 'it gives no reason'}.", line) from error


def _line_of(error: BaseException) -> int:
    """The template's line that an error came from: Jinja puts it into the traceback."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == "<template>"]
    return lines[-1] or 0 if lines else 0


@functools.lru_cache(maxsize=16)
def _compiled(template: str) -> tuple[Template, frozenset[str]]:
    """The template, and the MARKS that it reads."""
    environment = TemplateSandbox()
    tree = environment.parse(template)
    used = frozenset(meta.find_undeclared_variables(tree) & set(MARKS))
    return environment.from_string(limited(tree)), used
