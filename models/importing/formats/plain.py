"""Plain text and code: a file, a paragraph or a line is one row."""

from __future__ import annotations

from collections.abc import Iterator

from terrarium.models.importing.formats.files import (
    MAX_LINE_BYTES,
    FormatError,
    Meter,
    SourceFile,
    read_chunks,
    read_lines,
)
from terrarium.models.importing.formats.rows import TICK, TICK_LINES, ReadOptions, Row
from terrarium.models.number_words import format_size

SUFFIXES = (
    *(".txt", ".text", ".md", ".markdown", ".rst", ".tex", ".html", ".css", ".yaml", ".yml", ".toml", ".ini", ".cfg"),
    *(
        ".py",
        ".js",
        ".ts",
        ".jsx",
        ".tsx",
        ".c",
        ".h",
        ".cpp",
        ".hpp",
        ".cc",
        ".cs",
        ".java",
        ".kt",
        ".rs",
        ".go",
        ".rb",
    ),
    *(
        ".php",
        ".swift",
        ".scala",
        ".lua",
        ".jl",
        ".r",
        ".sh",
        ".sql",
        ".pl",
        ".hs",
        ".ml",
        ".clj",
        ".ex",
        ".erl",
        ".dart",
    ),
)
UNITS = {"file": "each file", "paragraph": "each paragraph (between empty lines)", "line": "each line"}
"""What one row is: name → on screen."""


def read_text(file: SourceFile, options: ReadOptions, meter: Meter | None = None) -> Iterator[tuple[int, Row]]:
    """Yield the texts of a file with the lines where they begin, divided by `options.unit`; empty ones are left out.

    Raises:
        FormatError: if it is not text, or one text is longer than MAX_LINE_BYTES.
    """
    if options.unit == "line":
        for line, text in read_lines(file, options.encoding, meter):
            if line % TICK_LINES == 0:
                yield line, TICK
            if text.strip():
                yield line, {"text": text.rstrip("\n")}
        return
    parts, size, began = list[str](), 0, 1
    if options.unit == "file":
        for text in read_chunks(file, options.encoding, meter):
            parts.append(text)
            size = _grown(file, 1, size, text)
        whole = "".join(parts).replace("\r\n", "\n").replace("\r", "\n")
        if whole.strip():
            yield 1, {"text": whole, "file": file.inner_name}
        return
    if options.unit not in ("", "paragraph"):
        raise ValueError(f"A text is cut into {', '.join(UNITS)}, not into {options.unit!r}.")
    for line, text in read_lines(file, options.encoding, meter):
        if line % TICK_LINES == 0:
            yield line, TICK
        if not text.strip():
            if parts:
                yield began, {"text": "".join(parts).rstrip("\n")}
            parts, size = [], 0
            continue
        if not parts:
            began = line
        parts.append(text)
        size = _grown(file, began, size, text)
    if parts:
        yield began, {"text": "".join(parts).rstrip("\n")}


def _grown(file: SourceFile, line: int, size: int, text: str) -> int:
    size += len(text)
    if size > MAX_LINE_BYTES:
        raise FormatError(
            file.name, line, f"one text is longer than {format_size(MAX_LINE_BYTES)}: cut it, or make each line a row."
        )
    return size
