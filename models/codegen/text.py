"""Joining and indenting lines of code, some of which may be omitted."""

from __future__ import annotations

import textwrap
from typing import TypeAlias

Code: TypeAlias = "str | list[Code] | None"
"""One or more lines of code; None for nothing; or a list of these."""


def join(*lines: Code, indent: int = 0) -> str:
    """Join lines, indented by `indent` steps of four spaces."""
    found = "\n".join(_flatten(list(lines)))
    return textwrap.indent(found, "    " * indent)


def block(head: str, *body: Code) -> str:
    """Join `head` with the lines of its body, indented by one step."""
    return join(head, join(*body, indent=1))


def _flatten(line: Code) -> list[str]:
    if line is None:
        return []
    if isinstance(line, str):
        return [line]
    return [text for part in line for text in _flatten(part)]
