"""Renders chat templates as `transformers` does, in Jinja's sandbox, where nothing of Python can be reached.

The sandbox limits neither time nor memory, so `models.chat.template` renders those of strangers in a child process.
"""

from __future__ import annotations

import functools
import json
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, NoReturn

from jinja2 import Template, TemplateError, TemplateSyntaxError, meta, nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

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
)


class ChatTemplateError(ValueError):
    """A template cannot be rendered. `line`: where it failed, counted from 1; 0 if unknown."""

    def __init__(self, message: str, line: int = 0) -> None:
        super().__init__(message)
        self.line = line


def render_here(
    template: str, messages: Sequence[Mapping[str, str]], add_generation_prompt: bool, named_tokens: Mapping[str, str]
) -> str:
    """As `models.chat.template.render_template`, in this process and without limits: for our own templates."""
    known = {name: token for name, token in named_tokens.items() if name in NAMED_TOKENS and token}
    with _template_errors():
        compiled, used = _compiled(template)
    missing = sorted(used - known.keys())
    if missing:
        raise ChatTemplateError(
            f"The chat template needs its {' and '.join(missing)}, which its files do not define: "
            "import the whole Hugging Face folder."
        )
    with _template_errors():
        return compiled.render(
            messages=[dict(message) for message in messages],
            tools=None,
            documents=None,
            add_generation_prompt=add_generation_prompt,
            **known,
        )


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
    """Return the template line in an error's traceback, or 0."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == "<template>"]
    return lines[-1] or 0 if lines else 0


@functools.lru_cache(maxsize=16)
def _compiled(template: str) -> tuple[Template, frozenset[str]]:
    """The compiled template, and the NAMED_TOKENS that it uses."""
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols]
    )
    environment.filters["tojson"] = _to_json
    environment.globals |= {"raise_exception": _raise_exception, "strftime_now": _now}
    tree = environment.parse(template)
    used = frozenset(meta.find_undeclared_variables(tree) & set(NAMED_TOKENS))
    return environment.from_string(tree), used


class _Generation(Extension):
    """The `{% generation %}` tag, which marks the text to train on; it renders as its content."""

    tags = {"generation"}  # noqa: RUF012 (Jinja wants it so)

    def parse(self, parser: Parser) -> list[nodes.Node]:
        """Parse up to `{% endgeneration %}`."""
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _raise_exception(message: str) -> NoReturn:
    raise TemplateError(message)


def _now(form: str) -> str:
    return datetime.now().strftime(form)


def _to_json(
    value: Any, ensure_ascii: bool = False, indent: int | None = None, separators: Any = None, sort_keys: bool = False
) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)
