"""Translations of programs: gettext's catalogues as text (.po) and compiled (.mo), and Qt's compiled ones (.qm).

Each row has the source, the target, the context that programmers gave, and the skeleton of the source (without numbers
and placeholders): texts with equal skeletons are variants of one template, and must not be divided between training and
validation.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

from terrarium.models.importing.formats.files import (
    MAX_LINE_BYTES,
    FormatError,
    GrowthMeter,
    Meter,
    SourceFile,
    read_lines,
    read_whole,
)
from terrarium.models.importing.formats.rows import TICK, TICK_LINES, ReadOptions, Row
from terrarium.models.number_words import format_size

_MAX_BYTES = 1 << 26
_MO_RATIO = 10
"""Maximum ratio of the texts to the size of a .mo file: entries can share a text, but few do."""
_PO_LINE = re.compile(r'(?:(msgctxt|msgid|msgid_plural|msgstr(?:\[\d+\])?)\s+)?"((?:[^"\\]++|\\.)*+)"')
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{1,2}|[0-7]{1,3}|.)")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}
_PLACEHOLDER = re.compile(r"%\([^()]*\)[a-z]|%[-+#0]*\d*[a-zA-Z]?|\{[^{}]*\}|\d+|&")
_QM_MAGIC = bytes.fromhex("3cb86418caef9c95cd211cbf60a1bddd")
_QM_MESSAGES = 0x69
_QM_END, _QM_TRANSLATION, _QM_OBSOLETE, _QM_SOURCE, _QM_CONTEXT = 1, 3, 5, 6, 7


def read_po(file: SourceFile, options: ReadOptions, meter: Meter | None = None) -> Iterator[tuple[int, Row]]:
    """Read the translated entries of a .po file; neither fuzzy nor obsolete ones.

    Raises:
        FormatError: for a line that does not belong in a catalogue.
    """
    entry, key, began, is_fuzzy, size = dict[str, list[str]](), "", 0, False, 0
    for line, text in read_lines(file, options.encoding, meter):
        if line % TICK_LINES == 0:
            yield line, TICK
        text = text.strip()
        if not text or text.startswith("#"):
            if entry.get("msgid") and any(name.startswith("msgstr") for name in entry):
                yield from _po_rows(entry, began, is_fuzzy)
                entry, is_fuzzy = {}, False
            is_fuzzy = is_fuzzy or (text.startswith("#,") and "fuzzy" in text)
            continue
        match = _PO_LINE.fullmatch(text)
        if match is None or not (match.group(1) or key):
            raise FormatError(file.name, line, f"{text[:40]!r} is no line of a .po file: is a quotation mark missing?")
        if match.group(1):
            is_new = match.group(1) == "msgctxt" or (match.group(1) == "msgid" and "msgctxt" not in entry)
            if is_new or (match.group(1) == "msgid" and "msgid" in entry):
                if entry.get("msgid"):
                    yield from _po_rows(entry, began, is_fuzzy)
                    is_fuzzy = False
                entry, began, size = {}, line, 0
            key = match.group(1)
        size += len(text)
        if size > MAX_LINE_BYTES:
            raise FormatError(file.name, began, f"this entry is longer than {format_size(MAX_LINE_BYTES)}.")
        entry.setdefault(key, []).append(_ESCAPE.sub(_unescape, match.group(2)))
    if entry.get("msgid"):
        yield from _po_rows(entry, began, is_fuzzy)


def read_mo(file: SourceFile, options: ReadOptions, meter: Meter | None = None) -> Iterator[tuple[int, Row]]:
    """Read the entries of a .mo file (gettext manual, 10.3); the "line" is the number of the entry.

    Raises:
        FormatError: if it is damaged.
    """
    data = read_whole(file, _MAX_BYTES)
    order = {b"\xde\x12\x04\x95": "<", b"\x95\x04\x12\xde": ">"}.get(data[:4])
    if order is None:
        raise FormatError(file.name, 0, "it is no .mo file: it begins otherwise.")
    try:
        n, sources, targets = struct.unpack_from(f"{order}3I", data, 8)
        growth, done = GrowthMeter(file, len(data), _MO_RATIO), 0
        for index in range(n):
            source, target = (_mo_text(data, order, table + 8 * index) for table in (sources, targets))
            growth.add(len(source) + len(target), index + 1)
            context, mark, source = source.rpartition("\4")
            singular, *plural = source.split("\0")
            forms = target.split("\0")
            if len(plural) > 1:
                raise FormatError(file.name, index + 1, "this entry has more than a singular and a plural.")
            if singular:
                yield from _rows(index + 1, context if mark else "", [(singular, forms[0])])
                yield from _rows(index + 1, context if mark else "", [(text, forms[-1]) for text in plural])
            if meter is not None:
                share = len(data) * (index + 1) // n
                meter.add(share - done, file)
                done = share
            if index % TICK_LINES == 0:
                yield index + 1, TICK
    except (struct.error, UnicodeDecodeError) as error:
        raise FormatError(file.name, 0, f"it is damaged or cut off ({error}): get it again.") from error


def read_qm(file: SourceFile, options: ReadOptions, meter: Meter | None = None) -> Iterator[tuple[int, Row]]:
    """Read the messages of a .qm file (qtbase, qtranslator.cpp); the "line" is the number of the message.

    Shortcut markers (&) are removed, and messages whose translation equals the source are left out.

    Raises:
        FormatError: if it is damaged, or has no source texts.
    """
    data = read_whole(file, _MAX_BYTES)
    if not data.startswith(_QM_MAGIC):
        raise FormatError(file.name, 0, "it is no .qm file: it begins otherwise.")
    position, n_read, done = len(_QM_MAGIC), 0, 0
    try:
        while position < len(data):
            tag, length = struct.unpack_from(">BI", data, position)
            position += 5
            if position + length > len(data):
                raise FormatError(file.name, 0, "it is damaged or cut off: get it again.")
            if tag == _QM_MESSAGES:
                for message in _qm_messages(data, position, position + length):
                    if message is None:
                        yield n_read, TICK
                        continue
                    at, source, target, context = message
                    if meter is not None:
                        meter.add(at - done, file)
                        done = at
                    n_read += 1
                    pair = (source.replace("&", ""), target.replace("&", ""))
                    yield from _rows(n_read, context, [pair] if pair[0] != pair[1] else [])
            position += length
    except (struct.error, UnicodeDecodeError) as error:
        raise FormatError(file.name, 0, f"it is damaged or cut off ({error}): get it again.") from error
    if not n_read:
        raise FormatError(file.name, 0, "it has translations without their source texts, so there is nothing to learn.")


def _qm_messages(data: bytes, position: int, end: int) -> Iterator[tuple[int, str, str, str] | None]:
    """Yield for each message in a part of the file: its end, source, translation (the last plural form) and context.

    Yields None after every TICK_LINES tags.
    """
    n_tags, source, target, context = 0, "", "", ""
    while position < end:
        tag = data[position]
        position += 1
        n_tags += 1
        if n_tags % TICK_LINES == 0:
            yield None
        if tag == _QM_END:
            if source and target:
                yield position, source, target, context
            source = target = context = ""
            continue
        if tag == _QM_OBSOLETE:
            position += 4
            continue
        (length,) = struct.unpack_from(">I", data, position)
        position += 4
        length = 0 if length == 0xFFFFFFFF else length
        if position + length > end:
            raise struct.error("a text ends early")
        value = data[position : position + length]
        position += length
        if tag == _QM_TRANSLATION:
            target = value.decode("utf-16-be")
        elif tag == _QM_SOURCE:
            source = value.decode()
        elif tag == _QM_CONTEXT:
            context = value.decode()


def _mo_text(data: bytes, order: str, at: int) -> str:
    length, start = struct.unpack_from(f"{order}2I", data, at)
    if start + length > len(data):
        raise struct.error("a text ends early")
    return data[start : start + length].decode()


def _po_rows(entry: dict[str, list[str]], line: int, is_fuzzy: bool) -> Iterator[tuple[int, Row]]:
    texts = {key: "".join(parts) for key, parts in entry.items()}
    if is_fuzzy or not texts["msgid"]:  # the entry without a source is the header
        return
    forms = [text for key, text in sorted(texts.items()) if key.startswith("msgstr")]
    pairs = [(texts["msgid"], forms[0])] if forms else []
    if forms and "msgid_plural" in texts:
        pairs.append((texts["msgid_plural"], forms[-1]))
    yield from _rows(line, texts.get("msgctxt", ""), pairs)


def _rows(line: int, context: str, pairs: list[tuple[str, str]]) -> Iterator[tuple[int, Row]]:
    for source, target in pairs:
        if source.strip() and target.strip():
            skeleton = " ".join(_PLACEHOLDER.sub(" ", source).lower().split())
            yield line, {"source": source, "target": target, "context": context or None, "skeleton": skeleton}


def _unescape(match: re.Match[str]) -> str:
    code = match.group(1)
    if code[0] == "x" and len(code) > 1:
        return chr(int(code[1:], 16))
    if code[0] in "01234567":
        return chr(int(code, 8))
    return _ESCAPES.get(code, code)
