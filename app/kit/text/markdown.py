"""Parses Markdown (CommonMark with tables) into a flat list of blocks to draw. Nothing is loaded, run or hidden.

Raw HTML and formulas stay text, and pictures become links to their address. Reference links and underlined (setext)
headings are disabled, so that later text never changes the rendering of earlier text: it can be drawn while it grows.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import NamedTuple

from markdown_it import MarkdownIt
from markdown_it.ruler import RuleOptionsType
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token

CONTINUED = "\ue000"
"""A prefix for the rest of a paragraph whose beginning is already drawn, so that it is not parsed as a new block."""
_MAX_INLINE = 3000
"""The maximum number of characters to parse as one line, since the time may grow with their square."""
_MAX_MARKED = 400
"""The number of characters after which an unclosed mark is treated as a plain character."""
_MAX_LABEL = 80
"""The maximum number of characters of a trailing “[…” that are withheld until the “](” of a link arrives."""

_TASK, _BOXES = re.compile(r"^\[([ xX])\] "), {" ": "☐ ", "x": "☑ ", "X": "☑ "}


class Span(NamedTuple):
    """A run of text. `marks`: some of "bold", "italic", "strike", "code", "formula"; `address`: a link's."""

    text: str
    marks: frozenset[str] = frozenset()
    address: str = ""


@dataclass(frozen=True, kw_only=True)
class Block:
    """A block to draw.

    kind: "text", "heading", "code", "formula", "rule" or "table".
    line: its first line in the source, from 0. gap: the number of empty lines before it.
    can_split: whether the source from `line` on can be parsed without the lines before it.
    spans: of a text or heading, with line breaks. level: of a heading, 1 to 6.
    indent: the nesting depth in lists. quote: the nesting depth in quotations.
    marker: the marker of a list item, on its first block: "•", "3." … number: of an item of a top-level list.
    code, language: of a code block. rows, alignments: of a table; the first row is its header.
    """

    kind: str
    line: int
    gap: int = 0
    can_split: bool = False
    spans: tuple[Span, ...] = ()
    level: int = 0
    indent: int = 0
    quote: int = 0
    marker: str = ""
    number: int | None = None
    code: str = ""
    language: str = ""
    rows: tuple[tuple[tuple[Span, ...], ...], ...] = ()
    alignments: tuple[str, ...] = ()

    @property
    def is_plain(self) -> bool:
        """Whether it has no formatting."""
        return (
            self.kind == "text"
            and not (self.indent or self.quote)
            and all(not s.marks | {s.address} - {""} for s in self.spans)
        )


def parse(source: str, *, number: int | None = None, grows: bool = False) -> list[Block]:
    """Parse a Markdown text into blocks.

    Args:
        number: if the text begins with an ordered list, the number of its first item; default: as in the text.
        grows: whether more text follows, so that an unclosed formula counts as a formula.
    """
    blocks = list(_Reader(source, number, grows).blocks())
    if not blocks and source.strip():  # nested deeper than the parser's limit
        return [Block(kind="text", line=0, can_split=True, spans=(Span(source),))]
    return blocks


@dataclass
class _List:
    """A list that is being parsed. number: of its next item, None for bullets."""

    number: int | None
    marker: str = ""
    item_number: int | None = None


@dataclass
class _Reader:
    source: str
    number: int | None
    grows: bool
    lists: list[_List] = field(default_factory=list)
    quote: int = 0
    end: int = 0
    item_line: int | None = None

    def blocks(self) -> Iterator[Block]:
        tokens = _blocks_parser().parse(self.source)
        index = 0
        while index < len(tokens):
            token = tokens[index]
            if token.type == "table_open":
                closing = next(i for i in range(index, len(tokens)) if tokens[i].type == "table_close")
                yield self._table(tokens[index : closing + 1])
                index = closing
            else:
                yield from self._read(token, tokens[index - 1] if index else token)
            index += 1

    def _read(self, token: Token, opening: Token) -> Iterator[Block]:
        match token.type:
            case "ordered_list_open":
                assert token.map is not None
                goes_on = self.number is not None and not token.map[0] and not self.lists
                self.lists.append(_List(self.number if goes_on else int(token.attrs.get("start", 1))))
            case "bullet_list_open":
                self.lists.append(_List(None))
            case "ordered_list_close" | "bullet_list_close":
                self.lists.pop()
            case "list_item_open":
                self._begin_item(token)
            case "list_item_close":
                if self.lists[-1].marker:  # it is empty
                    assert token.map is None
                    yield self._block("text", self.item_line or 0, self.item_line or 0)
            case "blockquote_open":
                self.quote += 1
            case "blockquote_close":
                self.quote -= 1
            case "inline":
                assert token.map is not None
                kind = "heading" if opening.type == "heading_open" else "text"
                level = int(opening.tag[1]) if kind == "heading" else 0
                block = self._block(kind, *token.map)
                content = (
                    _TASK.sub(lambda found: _BOXES[found.group(1)], token.content) if block.marker else token.content
                )
                yield replace(block, spans=_spans(content, self.grows), level=level)
            case "fence" | "code_block":
                assert token.map is not None
                language = token.info.split()[0] if token.info.strip() else ""
                block = self._block("code", *token.map)
                yield replace(block, code=token.content.removesuffix("\n"), language=language)
            case "formula":
                assert token.map is not None
                yield replace(self._block("formula", *token.map), code=token.content)
            case "hr":
                assert token.map is not None
                yield self._block("rule", *token.map)

    def _begin_item(self, token: Token) -> None:
        current = self.lists[-1]
        current.item_number = current.number
        current.marker = "•◦▪"[min(len(self.lists), 3) - 1] if current.number is None else f"{current.number}."
        if current.number is not None:
            current.number += 1
        if len(self.lists) == 1:
            assert token.map is not None
            self.item_line = token.map[0]

    def _block(self, kind: str, start: int, end: int) -> Block:
        gap = max(start - self.end, 0)
        self.end = end
        line, can_split, marker, number = start, not self.lists, "", None
        if self.lists:
            marker, self.lists[-1].marker = self.lists[-1].marker, ""
            if marker and len(self.lists) == 1 and self.item_line is not None:
                can_split, line, number = True, self.item_line, self.lists[0].item_number
        return Block(
            kind=kind,
            line=line,
            gap=gap,
            can_split=can_split,
            indent=len(self.lists),
            quote=self.quote,
            marker=marker,
            number=number,
        )

    def _table(self, tokens: Sequence[Token]) -> Block:
        rows: list[list[tuple[Span, ...]]] = []
        alignments: list[str] = []
        for token, inside in itertools.pairwise(tokens):
            if token.type == "tr_open":
                rows.append([])
            elif token.type in ("th_open", "td_open"):
                rows[-1].append(_spans(inside.content, self.grows))
                if token.type == "th_open":
                    alignments.append(str(token.attrs.get("style", "")).partition(":")[2])
        assert tokens[0].map is not None
        block = self._block("table", *tokens[0].map)
        return replace(block, rows=tuple(tuple(row) for row in rows), alignments=tuple(alignments))


# -- Inside a line -----------------------------------------------------------------------------------------------------


def _spans(content: str, grows: bool) -> tuple[Span, ...]:
    found: list[Span] = []
    for part in _parts(content):
        if len(part) > _MAX_INLINE:
            found.append(Span(part))
        else:
            env = {"grows": grows}
            found += _marked(_inline_parser().parseInline(part, env)[0].children or [])
    joined: list[Span] = []
    for span in found:
        if joined and joined[-1][1:] == span[1:]:
            joined[-1] = span._replace(text=joined[-1].text + span.text)
        else:
            joined.append(span)
    return tuple(joined)


def _parts(content: str) -> Iterator[str]:
    """Split a long text into parts that can be parsed independently."""
    while len(content) > _MAX_INLINE:
        end = safe_end(content[:_MAX_INLINE])
        if not end:
            break
        yield content[:end]
        content = CONTINUED + content[end:]
    yield content


def _marked(tokens: Sequence[Token]) -> Iterator[Span]:
    marks: list[str] = []
    address = ""
    for token in tokens:
        kind = token.type
        if kind in ("softbreak", "hardbreak"):
            yield Span("\n", frozenset(marks), address)
        elif kind in ("code_inline", "formula"):
            yield Span(token.content, frozenset((*marks, "code" if kind == "code_inline" else kind)), address)
        elif kind == "link_open":
            address = str(token.attrs["href"])
        elif kind == "link_close":
            address = ""
        elif kind == "image":
            yield Span(f"{token.content or 'picture'} (picture)", frozenset(marks), address or str(token.attrs["src"]))
        elif kind.endswith("_open"):
            marks.append({"em": "italic", "strong": "bold", "s": "strike"}[kind.removesuffix("_open")])
        elif kind.endswith("_close"):
            marks.pop()
        elif token.content:
            yield Span(token.content.replace(CONTINUED, ""), frozenset(marks), address)


def _read_formula(state: StateInline, silent: bool) -> bool:
    r"""Parse an inline formula: \(…\), \[…\], $$…$$ or $…$, but not “$5 and $6”. Its source stays unchanged."""
    text, start = state.src, state.pos
    opening = next((mark for mark in ("\\(", "\\[", "$$", "$") if text.startswith(mark, start)), "")
    if not opening:
        return False
    inside = start + len(opening)
    closing = {"\\(": "\\)", "\\[": "\\]"}.get(opening, opening)
    end = text.find(closing, inside)
    if opening == "$":
        found = re.compile(r"(?<=\S)\$(?!\d)").search(text, inside) if text[inside : inside + 1].strip() else None
        end = found.start() if found is not None and "\n" not in text[inside : found.start()] else -1
    elif end < 0 and state.env.get("grows"):
        end = len(text)
    if end < 0:
        if opening == "$$" and not silent:
            state.pending += opening
            state.pos = inside
            return True
        return False
    if not silent:
        state.push("formula", "", 0).content = text[start : end + len(closing)]
    state.pos = min(end + len(closing), state.posMax)
    return True


def _read_formula_block(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    r"""Parse a display formula on separate lines, from $$ to $$ or from \[ to \]."""
    if state.is_code_block(start):
        return False
    line = _line(state, start)
    closing = {"$$": "$$", "\\[": "\\]"}.get(line[:2])
    if closing is None or closing in line[2:].rstrip()[:-2]:
        return False
    last = start
    if not line[2:].rstrip().endswith(closing):
        last = next((i for i in range(start + 1, end) if _line(state, i).rstrip().endswith(closing)), end)
        if last == end and not state.env.get("grows"):
            return False
    if silent:
        return True
    last = min(last, end - 1)
    token = state.push("formula", "", 0)
    token.content = "\n".join(_line(state, i) for i in range(start, last + 1))
    token.map = [start, last + 1]
    state.line = last + 1
    return True


def _line(state: StateBlock, index: int) -> str:
    return state.src[state.bMarks[index] + state.tShift[index] : state.eMarks[index]]


@cache
def _blocks_parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    parser.disable(["lheading", "reference", "html_block"])
    ends: RuleOptionsType = {"alt": ["paragraph", "blockquote", "list"]}
    parser.block.ruler.before("fence", "formula", _read_formula_block, ends)
    parser.core.ruler.enableOnly(["normalize", "block"])
    return parser


@cache
def _inline_parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False}).enable("strikethrough").disable("html_inline")
    parser.inline.ruler.before("escape", "formula", _read_formula)
    parser.inline.add_terminator_char("$")
    return parser


# -- Of a text that grows ----------------------------------------------------------------------------------------------

_FENCE = re.compile(r"^[ \t>]*(?:(?:[-*+]|\d+[.)])[ \t]+)*(`{3,}|~{3,})(.*)$", re.MULTILINE)
_ONLY_MARKS = re.compile(r"[\s>]*(?:#{1,6}|[-*+=]{1,3}|\d{1,9}[.)]?|`{1,}|~{1,}|\$|\\)?[ \t]*(?:\[[ xX]?\]?)?[ \t]*")
_DELIMITERS = re.compile(r"[\s|:-]*")
_UNFINISHED = re.compile(r"(?:[*_~`\\$!\[]|<[a-z]{0,8}:?[^\s<>]*|&#?\w{0,30})+$")
_LINK = re.compile(r"\[([^\[\]\n]*)(\](?:\(([^()\s]*(?:\s[^()\n]*)?(\))?)?)?)?")


def close_open_marks(source: str) -> str:
    """Complete a partial text, so that its appearance does not change when more text arrives.

    Open marks are closed, and a trailing part that may become a mark is withheld until that is known.
    """
    lines, newline, line = source.rpartition("\n")
    fence, has_line = _open_fence(source)
    if fence:
        is_partial = not has_line or (line.strip() and not line.strip().strip(fence[0]))
        return lines if is_partial else source
    table = _held_table(source)
    if table is not None:
        return source[:table]
    if _ONLY_MARKS.fullmatch(line.removeprefix(CONTINUED)) and not line.startswith(CONTINUED):
        return lines + newline
    return lines + newline + _close_line(line)


def _open_fence(source: str) -> tuple[str, bool]:
    """Return the fence of the code block open at the end, "" for none; and whether its first line is complete."""
    fence, has_line = "", False
    for found in _FENCE.finditer(source):
        mark, rest = found.groups()
        if not fence:
            if mark[0] == "`" and "`" in rest:
                continue
            fence, has_line = mark, found.end() < len(source)
        elif mark[0] == fence[0] and len(mark) >= len(fence) and not rest.strip():
            fence = ""
    return fence, has_line


def _held_table(source: str) -> int | None:
    """Return where a trailing line starts that the next line may turn into a table's header; None if there is none."""
    start = source.rfind("\n\n") + 2 if "\n\n" in source else 0
    lines = source[start:].split("\n")
    first = next((i for i, line in enumerate(lines) if line.lstrip().startswith("|")), None)
    if first is None or len(lines) - first > 2 or not _DELIMITERS.fullmatch("".join(lines[first + 1 :])):
        return None
    return start + sum(len(line) + 1 for line in lines[:first])


def _close_line(line: str) -> str:
    line = _UNFINISHED.sub("", line)
    marks, opened, _ = _scan(line)
    if opened >= 0:  # an open code span or link
        if line[opened] == "`":
            run = len(line[opened:]) - len(line[opened:].lstrip("`"))
            return line + "`" * run if len(line) - opened < _MAX_MARKED else line
        link = _LINK.match(line, opened)
        assert link is not None
        if line[:opened].endswith("!"):
            line = line[: opened - 1] if len(line) - opened <= _MAX_MARKED else line
        elif link.group(2) and len(link.group(2)) > 1:
            line = f"{line[:opened]}[{link.group(1) or ' '}](#)"
        elif len(line) - opened <= _MAX_LABEL:
            line = line[:opened]
        marks = _scan(line)[0]
    closing = "".join(mark for mark, at in reversed(marks) if len(line) - at < _MAX_MARKED)
    return line.rstrip() + closing if closing else line


def _scan(line: str) -> tuple[list[tuple[str, int]], int, int]:
    """Return the emphasis marks open at the end, with their positions; the start of an open code span or link, or −1;
    and the end of the last word outside all marks."""
    marks: list[tuple[str, int]] = []
    safe = i = 0
    for_specials = re.compile(r"[\\`*_~\[$ ]")
    while (found := for_specials.search(line, i)) is not None:
        i = found.start()
        char = line[i]
        if char == " ":
            safe = safe if marks else i + 1
            i += 1
        elif char == "\\":
            i += 2
        elif char == "[":
            link = _LINK.match(line, i)
            assert link is not None
            if link.end() == len(line) and not link.group(4):
                return marks, i, safe
            i = link.end() if link.group(2) else i + 1
        else:
            end = i + 1
            while end < len(line) and line[end] == char:
                end += 1
            run = line[i:end]
            if char in "`$":
                closing = re.compile(rf"(?<!{re.escape(char)}){re.escape(run)}(?!{re.escape(char)})").search(line, end)
                if closing is None and char == "`":
                    return marks, i, safe
                end = closing.end() if closing is not None else end
            else:
                _take_mark(marks, run, i, line[i - 1] if i else " ", line[end] if end < len(line) else " ")
            i = end
    return marks, -1, safe


def _take_mark(marks: list[tuple[str, int]], run: str, at: int, before: str, after: str) -> None:
    if run[0] == "~" and len(run) != 2:
        return
    if not before.isspace() and marks and marks[-1][0] == run:
        marks.pop()
    elif not after.isspace() and (before.isspace() or not before.isalnum()) and len(run) <= 3:
        marks.append((run, at))


def safe_end(text: str) -> int:
    """Return the last position at which a long line can be split, after a word outside all marks; 0 if nowhere."""
    return _scan(text)[2]
