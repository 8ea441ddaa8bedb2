"""Where chat templates run: they reach nothing of Python, and can neither run on for ever nor fill the memory.

The first is Jinja's own sandbox. For the second, every round of a loop and every call is counted, and what makes large
things of small ones is looked at before it is done.
"""

from __future__ import annotations

import functools
import inspect
import itertools
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence, Sized
from datetime import datetime
from typing import Any, NoReturn, cast

from jinja2 import TemplateError, nodes, pass_context
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension, loopcontrols
from jinja2.nodes import EvalContext
from jinja2.parser import Parser
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

MOST_STEPS = 200_000
"""Rounds of loops and calls that one rendering may take: some hundred times what the longest known templates need."""

MOST_SECONDS = 5.0
MOST_CHARACTERS = 64_000_000
"""How long a text, or a list, may become."""

BUDGET = " budget"
"""What the rendering's Budget is called in its context: a name that no template can spell, having a space."""

_LARGEST_NUMBER = 100_000  # what may be handed to a function, as a width for instance
_MOST_BITS = 4_096
_WIDTH = re.compile(r"\d{6,}|%[^%a-zA-Z]*\*|\{[^{}]*:[^{}]*\{")
"""In a text that is filled in: a width of many digits, or one that is handed in with the values."""
_FIELD = re.compile(r"[%{]")
_MANIFOLD = ("urlize", "wordwrap", "xmlattr")
"""Filters that put what they are given into many places; no chat template needs them."""


class Budget:
    """What one rendering has left."""

    def __init__(self) -> None:
        self._steps, self._ends = MOST_STEPS, time.monotonic() + MOST_SECONDS

    def take(self) -> None:
        """One step more; SecurityError where it is one too many."""
        self._steps -= 1
        if self._steps < 0:
            raise SecurityError(f"it takes more than {MOST_STEPS:,} steps, so it may never end")
        if time.monotonic() > self._ends:
            raise SecurityError(f"it takes longer than {MOST_SECONDS:g} s, so it may never end")


class TemplateSandbox(ImmutableSandboxedEnvironment):
    """The environment of `transformers` (its settings, functions and tags), with limits."""

    intercepted_binops = frozenset(("*", "**", "+", "%"))

    def __init__(self) -> None:
        super().__init__(trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols])
        self.filters["tojson"] = _to_json
        for name in _MANIFOLD:
            del self.filters[name]
        self.filters = {name: _checked(name, of) for name, of in self.filters.items()}
        self.filters |= {"counted": _Counted, "joined": _joined, "built": _built}
        del self.globals["lipsum"]
        self.globals |= {"raise_exception": _refuse, "strftime_now": _now}

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """An operation of two values, unless its result would be too large."""
        sized = [value for value in (left, right) if isinstance(value, Sized)]
        if operator == "+" and len(sized) == 2:
            _check_length(_size(left) + _size(right))
        elif operator == "*" and len(sized) == 1:
            _check_length(_size(sized[0]) * next(int(value) for value in (left, right) if value is not sized[0]))
        elif operator == "%" and isinstance(left, str):
            _check_form(left, [right])
        elif operator in ("*", "**") and isinstance(left, int) and isinstance(right, int):
            bits = left.bit_length() * right if operator == "**" else left.bit_length() + right.bit_length()
            if bits > _MOST_BITS:
                raise SecurityError("a number becomes too large")
        return super().call_binop(context, operator, left, right)

    def call(self, context: Context, function: Any, /, *args: Any, **kwargs: Any) -> Any:
        """A call, counted, unless what it is given asks for too much."""
        context[BUDGET].take()
        own = inspect.unwrap(function) if callable(function) else function  # Jinja wraps a text's `format`
        _check_arguments(getattr(own, "__name__", ""), getattr(own, "__self__", None), args, kwargs)
        return super().call(context, function, *args, **kwargs)


def limited(tree: nodes.Template) -> nodes.Template:
    """The template with its loops counted, and each `a ~ b` and `[a, b]` looked at: Jinja has no hooks for them."""
    for loop in tree.find_all(nodes.For):
        loop.iter = _filtered(cast("nodes.Expr", loop.iter), "counted")
    _look_at_results(tree)
    return tree


def _filtered(node: nodes.Expr, name: str) -> nodes.Filter:
    return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)


def _look_at_results(node: nodes.Node) -> None:
    for child in node.iter_child_nodes():
        _look_at_results(child)
    for field, value in node.iter_fields():
        if isinstance(value, nodes.Expr):
            setattr(node, field, _looked_at(value))
        elif isinstance(value, list):
            value[:] = [_looked_at(item) if isinstance(item, nodes.Expr) else item for item in value]


def _looked_at(made: nodes.Expr) -> nodes.Expr:
    """What makes a text or a list of others, its result being looked at; all else as it is."""
    if isinstance(made, nodes.Concat):
        return _filtered(nodes.List(list(made.nodes), lineno=made.lineno), "joined")
    if isinstance(made, nodes.List | nodes.Dict) or (isinstance(made, nodes.Tuple) and made.ctx == "load"):
        return _filtered(made, "built")
    return made


@pass_context
class _Counted:
    """What a loop goes through; each round is a step."""

    def __init__(self, context: Context, values: Any) -> None:
        self._budget: Budget = context[BUDGET]
        self._values = values

    def __iter__(self) -> Iterator[Any]:
        for value in self._values:
            self._budget.take()
            yield value

    def __len__(self) -> int:
        return len(self._values)


def _joined(values: list[Any]) -> str:
    _check_length(_size(values))
    return "".join(map(str, values))


def _built(value: Any) -> Any:
    _check_length(_size(value))
    return value


def _checked(name: str, of: Callable[..., Any]) -> Callable[..., Any]:
    """A filter that refuses what asks for too much."""

    @functools.wraps(of)
    def checked(*args: Any, **kwargs: Any) -> Any:
        own = tuple(arg for arg in args if not isinstance(arg, Context | EvalContext))
        _check_arguments(name, own[0] if own else None, own, kwargs)
        return of(*args, **kwargs)

    return checked


def _check_arguments(name: str, value: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    given = (*args, *kwargs.values())
    if any(isinstance(arg, int) and arg > _LARGEST_NUMBER for arg in given):
        raise SecurityError(f"a number above {_LARGEST_NUMBER:,} is given to {name or 'a function'}")
    length = len(value) if isinstance(value, Sized) else 1
    others = [len(part) for part in given if isinstance(part, Sized) and part is not value]
    if name in ("format", "format_map") and isinstance(value, str):
        _check_form(value, given)
    elif name == "replace" and len(others) > 1:  # old, new
        _check_length(length + (length // max(others[0], 1) + 1) * others[1])
    elif name == "translate" and given and isinstance(given[0], Mapping):
        _check_length(length * max((len(part) for part in given[0].values() if isinstance(part, str)), default=1))
    elif name in ("join", "indent", "expandtabs"):
        widths = [arg for arg in given if isinstance(arg, int)]
        _check_length(max(length, 1) * max((*others, *widths), default=1))
        _check_length(_size([value, *given]))


def _size(value: Any, known: dict[int, int] | None = None) -> int:
    """About how long a value is, written out. What stands in it many times counts as often, but is looked at once."""
    if isinstance(value, str):
        return len(value)
    if not isinstance(value, list | tuple | Mapping):
        return 1
    known = {} if known is None else known
    if id(value) not in known:
        parts = itertools.chain.from_iterable(value.items()) if isinstance(value, Mapping) else value
        known[id(value)] = 1 + sum(_size(part, known) for part in parts)
    return known[id(value)]


def _check_length(length: int) -> None:
    if length > MOST_CHARACTERS:
        raise SecurityError(f"something in it becomes longer than {MOST_CHARACTERS:,} characters")


def _check_form(text: str, values: Sequence[Any]) -> None:
    """Refuse a text to be filled in with `values` that may become too long by that."""
    if _WIDTH.search(text):
        raise SecurityError("a text is padded to too great a width")
    _check_length(len(text) + len(_FIELD.findall(text)) * _size([*values]))


class _Generation(Extension):
    """`{% generation %}` marks what a model is trained on; the text is what stands in it."""

    tags = {"generation"}  # noqa: RUF012 (so says Jinja)

    def parse(self, parser: Parser) -> list[nodes.Node]:
        """What stands up to `{% endgeneration %}`."""
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _refuse(message: str) -> NoReturn:
    raise TemplateError(message)


def _now(form: str) -> str:
    return datetime.now().strftime(form)


def _to_json(
    value: Any, ensure_ascii: bool = False, indent: int | None = None, separators: Any = None, sort_keys: bool = False
) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)
