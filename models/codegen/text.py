"""Putting code together from lines of which some are left out."""

from __future__ import annotations

import textwrap
from typing import TypeAlias

Code: TypeAlias = "str | list[Code] | None"
"""Code of one or more lines; None where the design has no use for it; a list of such."""


def join(*lines: Code, indent: int = 0) -> str:
    """All lines that there are, one below the other, indented by `indent` steps of four spaces."""
    found = "\n".join(_flatten(list(lines)))
    return textwrap.indent(found, "    " * indent)


def block(head: str, *body: Code) -> str:
    """`head` with the lines that there are below it, one step further in."""
    return join(head, join(*body, indent=1))


def _flatten(line: Code) -> list[str]:
    if line is None:
        return []
    if isinstance(line, str):
        return [line]
    return [text for part in line for text in _flatten(part)]
