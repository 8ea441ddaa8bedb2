"""A sandbox for untrusted chat templates: no access to Python, and limits on time and memory.

Isolation is that of Jinja's own sandbox. To limit time, every loop iteration and every call is counted; to limit
memory, operations that can make large values from small ones are checked before they run.
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

MAX_STEPS = 200_000
"""Loop iterations and calls per rendering: some hundred times what the longest known templates need."""

MAX_SECONDS = 5.0
MAX_CHARACTERS = 64_000_000
"""Limit on the length of a text or list."""

BUDGET = " budget"
"""The name of the Budget in the rendering context; it has a space, so that no template can refer to it."""

_MAX_ARGUMENT = 100_000  # limit on integer arguments, such as a width
_MAX_BITS = 4_096
_WIDTH = re.compile(r"\d{6,}|%[^%a-zA-Z]*\*|\{[^{}]*:[^{}]*\{")
"""Format widths that are refused: of many digits, or taken from the arguments (%*d, {:{}})."""
_FIELD = re.compile(r"[%{]")
_AMPLIFYING_FILTERS = ("urlize", "wordwrap", "xmlattr")
"""Filters that insert their arguments many times; no chat template needs them."""


class Budget:
    """The steps and the time that one rendering has left."""

    def __init__(self) -> None:
        self._steps, self._ends = MAX_STEPS, time.monotonic() + MAX_SECONDS

    def take(self) -> None:
        """Count a step; SecurityError if there are too many, or it takes too long."""
        self._steps -= 1
        if self._steps < 0:
            raise SecurityError(f"it takes more than {MAX_STEPS:,} steps, so it may never end")
        if time.monotonic() > self._ends:
            raise SecurityError(f"it takes longer than {MAX_SECONDS:g} s, so it may never end")


class TemplateSandbox(ImmutableSandboxedEnvironment):
    """The environment of `transformers` (its settings, functions and tags), with limits."""

    intercepted_binops = frozenset(("*", "**", "+", "%"))

    def __init__(self) -> None:
        super().__init__(trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols])
        self.filters["tojson"] = _to_json
        for name in _AMPLIFYING_FILTERS:
            del self.filters[name]
        self.filters = {name: _checked(name, of) for name, of in self.filters.items()}
        self.filters |= {"counted": _Counted, "joined": _joined, "built": _built}
        del self.globals["lipsum"]
        self.globals |= {"raise_exception": _raise_exception, "strftime_now": _now}

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Apply a binary operator, unless the result would be too large."""
        sized = [value for value in (left, right) if isinstance(value, Sized)]
        if operator == "+" and len(sized) == 2:
            _check_length(_size(left) + _size(right))
        elif operator == "*" and len(sized) == 1:
            _check_length(_size(sized[0]) * next(int(value) for value in (left, right) if value is not sized[0]))
        elif operator == "%" and isinstance(left, str):
            _check_format(left, [right])
        elif operator in ("*", "**") and isinstance(left, int) and isinstance(right, int):
            bits = left.bit_length() * right if operator == "**" else left.bit_length() + right.bit_length()
            if bits > _MAX_BITS:
                raise SecurityError("a number is too large")
        return super().call_binop(context, operator, left, right)

    def call(self, context: Context, function: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Count and make a call, unless its arguments would make too large a value."""
        context[BUDGET].take()
        own = inspect.unwrap(function) if callable(function) else function  # Jinja wraps `str.format`
        _check_arguments(getattr(own, "__name__", ""), getattr(own, "__self__", None), args, kwargs)
        return super().call(context, function, *args, **kwargs)


def with_limits(tree: nodes.Template) -> nodes.Template:
    """Add counters to loops and size checks to `a ~ b` and `[a, b]`, for which Jinja has no hooks."""
    for loop in tree.find_all(nodes.For):
        loop.iter = _filtered(cast("nodes.Expr", loop.iter), "counted")
    _check_results(tree)
    return tree


def _filtered(node: nodes.Expr, name: str) -> nodes.Filter:
    return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)


def _check_results(node: nodes.Node) -> None:
    for child in node.iter_child_nodes():
        _check_results(child)
    for field, value in node.iter_fields():
        if isinstance(value, nodes.Expr):
            setattr(node, field, _checked_result(value))
        elif isinstance(value, list):
            value[:] = [_checked_result(item) if isinstance(item, nodes.Expr) else item for item in value]


def _checked_result(made: nodes.Expr) -> nodes.Expr:
    """Wrap an expression that builds a text or a collection in a size check; others are unchanged."""
    if isinstance(made, nodes.Concat):
        return _filtered(nodes.List(list(made.nodes), lineno=made.lineno), "joined")
    if isinstance(made, nodes.List | nodes.Dict) or (isinstance(made, nodes.Tuple) and made.ctx == "load"):
        return _filtered(made, "built")
    return made


@pass_context
class _Counted:
    """The iterable of a loop; each iteration costs a step."""

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
    """The filter with its arguments checked first."""

    @functools.wraps(of)
    def checked(*args: Any, **kwargs: Any) -> Any:
        own = tuple(arg for arg in args if not isinstance(arg, Context | EvalContext))
        _check_arguments(name, own[0] if own else None, own, kwargs)
        return of(*args, **kwargs)

    return checked


def _check_arguments(name: str, value: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    given = (*args, *kwargs.values())
    if any(isinstance(arg, int) and arg > _MAX_ARGUMENT for arg in given):
        raise SecurityError(f"a number above {_MAX_ARGUMENT:,} is given to {name or 'a function'}")
    length = len(value) if isinstance(value, Sized) else 1
    others = [len(part) for part in given if isinstance(part, Sized) and part is not value]
    if name in ("format", "format_map") and isinstance(value, str):
        _check_format(value, given)
    elif name == "replace" and len(others) > 1:  # old, new
        _check_length(length + (length // max(others[0], 1) + 1) * others[1])
    elif name == "translate" and given and isinstance(given[0], Mapping):
        _check_length(length * max((len(part) for part in given[0].values() if isinstance(part, str)), default=1))
    elif name in ("join", "indent", "expandtabs"):
        widths = [arg for arg in given if isinstance(arg, int)]
        _check_length(max(length, 1) * max((*others, *widths), default=1))
        _check_length(_size([value, *given]))


def _size(value: Any, known: dict[int, int] | None = None) -> int:
    """Approximate length of a value as text. Shared parts count each time, but are measured once."""
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
    if length > MAX_CHARACTERS:
        raise SecurityError(f"a value becomes longer than {MAX_CHARACTERS:,} characters")


def _check_format(text: str, values: Sequence[Any]) -> None:
    """Refuse to format `text` with `values` if the result may become too long."""
    if _WIDTH.search(text):
        raise SecurityError("a format width is too large")
    _check_length(len(text) + len(_FIELD.findall(text)) * _size([*values]))


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
