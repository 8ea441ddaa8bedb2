"""Draws Markdown into a document incrementally: of a growing text, only the part that can still change is redrawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from PySide6.QtCore import Qt
from PySide6.QtGui import (
    QFont,
    QFontMetricsF,
    QTextBlockFormat,
    QTextCharFormat,
    QTextCursor,
    QTextFormat,
    QTextFrameFormat,
    QTextOption,
    QTextTableFormat,
)
from PySide6.QtWidgets import QTextEdit

from terrarium.app.kit.text.highlighter import coloured, split_lines
from terrarium.app.kit.text.joints import Joints
from terrarium.app.kit.text.markdown import CONTINUED, Block, Span, close_open_marks, parse, safe_end
from terrarium.app.kit.theme import ThemeProvider

KIND, EDGES, QUOTE = (int(QTextFormat.Property.UserProperty.value) + i for i in range(100, 103))
"""Properties of a text block: "code" or "rule" if more than its text is painted; bits for the first (1) and the last
line (2) of its code; its nesting depth in quotations."""
INDENT, QUOTE_INDENT, CODE_PAD = 22, 16, 10
"""The indents of a list and of a quotation, and the padding around code, in pixels."""
_MAX_OPEN = 800
"""The number of characters from which a long block is split, so that its final part is not redrawn at each update."""
_HEADINGS = (1.45, 1.25, 1.1, 1.0, 1.0, 1.0)
_CODE_COLOURS = {
    "Comment": "muted",
    "Literal.String": "accent",
    "Literal.Number": "validation",
    "Keyword.Constant": "validation",
    "Keyword": "info",
    "Name.Decorator": "info",
    "Name.Builtin": "info",
    "Name.Tag": "info",
    "Name.Attribute": "validation",
    "Generic.Inserted": "accent",
    "Generic.Deleted": "danger",
}


class Code(NamedTuple):
    """A code block in the document. cursor: in its first line."""

    cursor: QTextCursor
    language: str
    text: str


@dataclass
class _Open:
    """The part of the text that is redrawn.

    source: its Markdown. at: its start in the document. fresh: whether the text block there is still empty. format: of
    that text block. number: of the list item with which it begins. gap: the number of empty lines before it. n_codes:
    the number of code blocks that are not redrawn. code: the final part of the code block in which it begins, else "".
    base: the text block in which it begins, or None. before: the block before it.
    """

    source: str = ""
    at: int = 0
    fresh: bool = True
    format: QTextBlockFormat | None = None
    number: int | None = None
    gap: int = 0
    n_codes: int = 0
    code: str = ""
    base: Block | None = None
    before: Block | None = None


class MarkdownWriter:
    """Owns the contents of a text editor's document.

    text: the whole Markdown text. is_plain: whether it has no formatting.
    is_wide: whether a block needs the whole width. has_links: whether there are links.
    codes: the code blocks, from top to bottom.
    """

    def __init__(self, edit: QTextEdit, theme: ThemeProvider) -> None:
        self._edit, self._theme = edit, theme
        self.codes: list[Code] = []
        self._reset()

    def _reset(self) -> None:
        self.text = ""
        self._open = _Open()
        self._drawn: str | None = None
        self._next_draw = 0
        self.codes.clear()
        self.is_plain, self.is_wide, self._is_exact, self._is_left_plain = True, False, True, True
        self.has_links, self._text_at = False, 0
        self._line_starts: list[int] = []
        self._joints = Joints(self._edit)

    # -- Writing text --------------------------------------------------------------------------------------------------

    def set_text(self, text: str) -> None:
        """Show a complete text."""
        self._edit.document().clear()
        self._reset()
        self.text = self._open.source = text
        self._draw(grows=False)

    def append(self, text: str) -> int:
        """Append to the text; an incomplete mark at its end is withheld, or drawn as if complete.

        Returns the position in the document from which it was redrawn.
        """
        start = self._open.at
        self.text += text
        self._open.source += text
        if len(self._open.source) >= self._next_draw:
            blocks, starts = self._draw(grows=True)
            self._leave(blocks, starts)
        return start

    def finish(self) -> None:
        """Draw the end of the complete text, without closing open marks."""
        if not self._is_exact:
            self.set_text(self.text)
            return
        if n := self._joints.join():
            self._stand(self._open.at - n, fresh=False)
        self._draw(grows=False)

    # -- Drawing -------------------------------------------------------------------------------------------------------

    def _draw(self, *, grows: bool) -> tuple[list[Block], list[int]]:
        """Draw the open part; return its blocks, and where each begins in the document."""
        opened = self._open
        source = close_open_marks(opened.source) if grows else opened.source
        blocks = parse(source, number=opened.number, grows=grows)
        if blocks and opened.base is not None:
            blocks[0] = replace(blocks[0], indent=opened.base.indent, quote=opened.base.quote)
        if blocks:
            blocks[0] = replace(blocks[0], gap=blocks[0].gap + opened.gap)
        cursor = self._cursor = QTextCursor(self._edit.document())
        cursor.beginEditBlock()
        cursor.setPosition(opened.at)
        cursor.movePosition(QTextCursor.MoveOperation.End, QTextCursor.MoveMode.KeepAnchor)
        cursor.removeSelectedText()
        if opened.format is not None:
            cursor.setBlockFormat(opened.format)
        del self.codes[opened.n_codes :]
        self._fresh, starts = opened.fresh, []
        before = opened.before
        for i, block in enumerate(blocks):
            starts.append(cursor.position())
            goes_on = not i and (opened.base is not None or bool(opened.code))
            self._write(block, before, goes_on=goes_on)
            before = block
        cursor.endEditBlock()
        self.is_plain = self._is_left_plain and all(block.is_plain for block in blocks)
        self.is_wide = self.is_wide or any(block.kind in ("code", "table", "rule", "formula") for block in blocks)
        return blocks, starts

    def _write(self, block: Block, before: Block | None, *, goes_on: bool) -> None:
        match block.kind:
            case "text" | "heading":
                self._write_text(block, before, goes_on=goes_on)
            case "code" | "formula":
                self._write_code(block, before, goes_on=goes_on)
            case "table":
                self._write_table(block, before)
            case "rule":
                look = self._look(block, before)
                look.setProperty(KIND, "rule")
                self._begin(look)

    def _begin(self, look: QTextBlockFormat, text: QTextCharFormat | None = None) -> None:
        """Start a new text block."""
        if self._fresh:
            self._cursor.setBlockFormat(look)
            self._cursor.setBlockCharFormat(text or QTextCharFormat())
        else:
            self._cursor.insertBlock(look, text or QTextCharFormat())
        self._fresh = False

    def _look(self, block: Block, before: Block | None) -> QTextBlockFormat:
        look = QTextBlockFormat()
        look.setTopMargin(round(_space(block, before) * QFontMetricsF(self._theme.font()).height()))
        look.setLeftMargin(block.quote * QUOTE_INDENT + block.indent * INDENT)
        if block.quote:
            look.setProperty(QUOTE, block.quote)
        return look

    def _write_text(self, block: Block, before: Block | None, *, goes_on: bool) -> None:
        look, text = self._look(block, before), QTextCharFormat()
        if block.kind == "heading":
            text.setFontPointSize(self._theme.font(_HEADINGS[block.level - 1]).pointSizeF())
            text.setFontWeight(QFont.Weight.DemiBold)
            look.setHeadingLevel(block.level)
        if block.quote:
            text.setForeground(self._theme.theme.color("muted"))
        if not goes_on:
            if _is_paragraph(block) and _is_paragraph(before):
                for _ in range(block.gap):  # as in a plain text
                    self._begin(QTextBlockFormat())
            if block.marker:
                look.setTextIndent(-INDENT)
                look.setTabPositions([QTextOption.Tab(INDENT, QTextOption.TabType.LeftTab)])
            self._begin(look, text)
        if block.marker:
            marked = QTextCharFormat(text)
            marked.setForeground(self._theme.theme.color("muted"))
            self._cursor.insertText(f"{block.marker}\t", marked)
        self._text_at = self._cursor.position()
        following = QTextBlockFormat(look)
        following.setTopMargin(0)
        following.setTextIndent(0)
        for span in block.spans:
            form = self._form(span, text)
            for i, line in enumerate(span.text.split("\n")):
                if i:
                    self._cursor.insertBlock(following, text)
                if line:
                    self._cursor.insertText(line, form)

    def _form(self, span: Span, base: QTextCharFormat) -> QTextCharFormat:
        form = QTextCharFormat(base)
        marks, colors = span.marks, self._theme.theme
        if "bold" in marks:
            form.setFontWeight(QFont.Weight.Bold)
        if "italic" in marks:
            form.setFontItalic(True)
        if "strike" in marks:
            form.setFontStrikeOut(True)
        if marks & {"code", "formula"}:
            self._make_mono(form)
        if "code" in marks:
            form.setBackground(colors.color("sunken"))
        if span.address:
            self.has_links = True
            form.setAnchor(True)
            form.setAnchorHref(span.address)
            form.setForeground(colors.color("accent"))
            form.setFontUnderline(True)
        return form

    def _make_mono(self, form: QTextCharFormat) -> None:
        mono = self._theme.mono_font(0.95)
        form.setFontFamilies([mono.family()])
        form.setFontFixedPitch(True)
        form.setFontPointSize(mono.pointSizeF())

    def _write_code(self, block: Block, before: Block | None, *, goes_on: bool) -> None:
        plain = QTextCharFormat()
        self._make_mono(plain)
        is_code = block.kind == "code"
        look = self._look(block, before)
        if is_code:
            look.setLeftMargin(look.leftMargin() + CODE_PAD)
            look.setRightMargin(CODE_PAD)
            look.setProperty(KIND, "code")
        lines = list(split_lines(coloured(block.code, block.language))) if is_code else _formula_lines(block.code)
        self._line_starts = []
        for i, line in enumerate(lines):
            is_first, is_last = not i and not goes_on, i == len(lines) - 1
            look = QTextBlockFormat(look)
            if is_code:
                look.setProperty(EDGES, is_first + 2 * is_last)
                look.setBottomMargin(CODE_PAD if is_last else 0)
            if not is_first:
                look.setTopMargin(0)
            elif is_code:
                look.setTopMargin(look.topMargin() + code_head(self._theme))
            self._line_starts.append(self._cursor.position())
            self._begin(look, plain)
            if is_first and is_code:
                self.codes.append(Code(QTextCursor(self._cursor), block.language, block.code))
                self.codes[-1].cursor.setKeepPositionOnInsert(True)
            for kind, text in line:
                self._cursor.insertText(text, self._code_form(kind, plain))
        if goes_on and self.codes:
            self.codes[-1] = self.codes[-1]._replace(text=f"{self._open.code}{block.code}")

    def _code_form(self, kind: str, plain: QTextCharFormat) -> QTextCharFormat:
        if not kind:
            return plain
        form = QTextCharFormat(plain)
        role = next((role for name, role in _CODE_COLOURS.items() if kind.startswith(name)), "")
        if role:
            form.setForeground(self._theme.theme.color(role))
        if kind.startswith("Comment"):
            form.setFontItalic(True)
        if kind.startswith(("Name.Function", "Name.Class")):
            form.setFontWeight(QFont.Weight.DemiBold)
        return form

    def _write_table(self, block: Block, before: Block | None) -> None:
        colors = self._theme.theme
        space = self._look(block, before).topMargin()
        if not self._fresh:
            self._cursor.insertBlock(QTextBlockFormat(), QTextCharFormat())
        look = QTextTableFormat()
        look.setHeaderRowCount(1)
        look.setCellPadding(5)
        look.setCellSpacing(0)
        look.setBorder(1)
        look.setBorderCollapse(True)
        look.setBorderStyle(QTextFrameFormat.BorderStyle.BorderStyle_Solid)
        look.setBorderBrush(colors.color("border_strong"))
        look.setTopMargin(space)
        look.setBottomMargin(0.6 * QFontMetricsF(self._theme.font()).height())
        look.setLeftMargin(block.quote * QUOTE_INDENT + block.indent * INDENT)
        table = self._cursor.insertTable(len(block.rows), len(block.rows[0]), look)
        sides = {"right": Qt.AlignmentFlag.AlignRight, "center": Qt.AlignmentFlag.AlignHCenter}
        for r, row in enumerate(block.rows):
            for c, spans in enumerate(row[: len(block.rows[0])]):
                cell = table.cellAt(r, c)
                text = QTextCharFormat()
                if not r:
                    text.setFontWeight(QFont.Weight.DemiBold)
                    ground = QTextCharFormat(cell.format())
                    ground.setBackground(colors.color("sunken"))
                    cell.setFormat(ground)
                inside = cell.firstCursorPosition()
                if block.alignments[c] in sides:
                    aligned = QTextBlockFormat()
                    aligned.setAlignment(sides[block.alignments[c]])
                    inside.setBlockFormat(aligned)
                for span in spans:
                    inside.insertText(span.text, self._form(span, text))
        self._cursor.movePosition(QTextCursor.MoveOperation.End)
        self._fresh = True

    # -- What is not redrawn -------------------------------------------------------------------------------------------

    def _leave(self, blocks: Sequence[Block], starts: Sequence[int]) -> None:
        """Exclude the final part from redrawing: all blocks before the last one that can be parsed without them."""
        opened = self._open
        last = next((i for i in range(len(blocks) - 1, 0, -1) if blocks[i].can_split), 0)
        if last:
            lines = opened.source.split("\n")
            self._is_left_plain = self._is_left_plain and all(block.is_plain for block in blocks[:last])
            self._open = replace(
                opened,
                source="\n".join(lines[blocks[last].line :]),
                number=blocks[last].number,
                gap=blocks[last].gap,
                code="",
                base=None,
                before=blocks[last - 1],
                n_codes=sum(1 for code in self.codes if code.cursor.position() <= starts[last]),
            )
            self._stand(starts[last], fresh=blocks[last - 1].kind == "table")
        block = blocks[-1] if blocks else None
        if block is not None and len(self._open.source) > _MAX_OPEN:
            if block.kind == "text":
                self._leave_text(block, len(blocks) - last)
            elif block.kind == "code" and last == len(blocks) - 1 and not block.indent and not block.quote:
                self._leave_code(block)
        length = len(self._open.source)
        self._next_draw = length + length // 4 if length > 4 * _MAX_OPEN else 0

    def _stand(self, at: int, *, fresh: bool) -> None:
        """Set the start of the open part in the document."""
        self._open.at, self._open.fresh = at, fresh
        self._open.format = self._edit.document().findBlock(at).blockFormat()

    def _leave_text(self, block: Block, n_open: int) -> None:
        """Exclude the start of a long paragraph, the last of `n_open` blocks, up to a word outside all marks."""
        opened = self._open
        cut = _cut(opened.source)
        written = parse(opened.source[:cut], number=opened.number) if cut else []
        if len(written) < n_open:  # the cut is before this block
            return
        text = "".join(span.text for span in written[-1].spans)
        if opened.source[cut - 1] == " " and not text.endswith(" "):
            text += " "  # the parser strips it from the end of a line
        base = block if opened.base is None else opened.base
        self._is_exact = self._is_exact and not (base.indent or base.quote)
        self._is_left_plain = self._is_left_plain and written[-1].is_plain
        n_codes, before = len(self.codes), replace(block, marker="")
        self._open = _Open(source=CONTINUED + opened.source[cut:], base=base, n_codes=n_codes, before=before)
        at = self._text_at + _units(text)
        self._stand(at, fresh=False)
        if self._joints.split(at):
            self._stand(at + 1, fresh=False)

    def _leave_code(self, block: Block) -> None:
        """Exclude the start of a long code block, up to a line end outside strings and comments."""
        opened = self._open
        opener, _, rest = opened.source.partition("\n")
        end = _clean_end(block.code, block.language)
        if not end or not rest.startswith(block.code[:end]):
            return
        n_lines = block.code[:end].count("\n")
        at = self._line_starts[n_lines]
        self._open = replace(
            opened,
            source=f"{opener}\n{rest[end:]}",
            code=opened.code + block.code[:end],
            n_codes=len(self.codes),
            before=block,
        )
        self._stand(at, fresh=False)


def code_head(theme: ThemeProvider) -> int:
    """Return the height in pixels of the header of code, with its language and a button."""
    return max(26, round(QFontMetricsF(theme.font(0.9)).height()) + 10)


def _is_paragraph(block: Block | None) -> bool:
    return block is not None and block.kind == "text" and not block.indent and not block.quote


def _space(block: Block, before: Block | None) -> float:
    """Return the space above a block, in lines."""
    if before is None:
        return 0.0
    pad = CODE_PAD / 16 if before.kind == "code" else 0.0
    if block.kind == "heading":
        return pad + (1.0 if block.level < 3 else 0.8)
    if before.kind == "heading":
        return 0.35
    if _is_paragraph(block) and _is_paragraph(before):
        return 0.0
    if block.indent and before.indent and block.kind == before.kind == "text":
        return 0.2 if block.marker else 0.4
    return pad + 0.6


def _cut(source: str) -> int:
    """Return where a long paragraph can be split: after a line, or a word outside all marks; 0 if nowhere."""
    start, end = source.rfind("\n", 0, _MAX_OPEN) + 1, len(source) - _MAX_OPEN // 4
    line_end = source.find("\n", start)
    if 0 <= line_end <= end:
        return line_end
    cut = safe_end(source[start:end])
    return start + cut if cut else 0


def _units(text: str) -> int:
    """Return the length of a text in UTF-16 code units, as Qt counts."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def _formula_lines(formula: str) -> list[list[tuple[str, str]]]:
    return [[("", line)] for line in formula.split("\n")]


def _clean_end(code: str, language: str) -> int:
    """Return the last line end at which code can be split into two parts highlighted independently; 0 if nowhere."""
    position = end = 0
    for kind, text in coloured(code, language):
        is_inside = kind.startswith(("Literal.String", "Comment.Multiline"))
        for i, char in enumerate(text) if "\n" in text and not is_inside else ():
            if char == "\n" and position + i < len(code) - _MAX_OPEN // 4:
                end = position + i + 1
        position += len(text)
    return end
