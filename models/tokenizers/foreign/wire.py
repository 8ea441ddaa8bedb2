"""Reading protobuf messages without their schema: numbers of fields and what they hold (protobuf.dev/…/encoding)."""

from __future__ import annotations

from collections.abc import Iterator


def read_fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a message, in order: number, and a whole number (varint) or bytes (anything else).

    Raises:
        ValueError: where the message is cut off or of no known form.
    """
    place = 0
    while place < len(data):
        key, place = _varint(data, place)
        number, kind = key >> 3, key & 7
        if number == 0:
            raise ValueError("a field without a number")
        if kind == 0:
            value, place = _varint(data, place)
            yield number, value
            continue
        if kind == 2:
            length, place = _varint(data, place)
        elif kind in (1, 5):
            length = 8 if kind == 1 else 4
        else:
            raise ValueError(f"a field of kind {kind}")
        if place + length > len(data):
            raise ValueError("a field longer than the message")
        yield number, data[place : place + length]
        place += length


def _varint(data: bytes, place: int) -> tuple[int, int]:
    """A whole number, and the place behind it."""
    value = 0
    for shift in range(0, 70, 7):
        if place >= len(data):
            raise ValueError("a number that is cut off")
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
    raise ValueError("a number that does not end")
