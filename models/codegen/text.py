"""Putting code together from lines of which some are left out."""

from __future__ import annotations

import textwrap
from typing import TypeAlias

Line: TypeAlias = "str | list[Line] | None"
"""Code of one or more lines; None where the design has no use for it; a list of such."""


def join(*lines: Line, indent: int = 0) -> str:
    """All lines that there are, one below the other, indented by `indent` steps of four spaces."""
    found = "\n".join(_flatten(list(lines)))
    return textwrap.indent(found, "    " * indent)


def block(head: str, *body: Line) -> str:
    """`head` with the lines that there are below it, one step further in."""
    return join(head, join(*body, indent=1))


def _flatten(line: Line) -> list[str]:
    if line is None:
        return []
    if isinstance(line, str):
        return [line]
    return [text for part in line for text in _flatten(part)]
