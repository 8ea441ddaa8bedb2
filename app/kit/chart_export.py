"""Export of charts: a widget as PNG or SVG, and its numbers as CSV or JSON."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QBuffer, QByteArray, QIODevice, QPoint, QPointF, QRectF, QSizeF
from PySide6.QtGui import QColor, QImage, QPainter
from PySide6.QtSvg import QSvgGenerator
from PySide6.QtWidgets import QWidget

from terrarium.models.files.atomic import atomic_write_bytes, atomic_write_json

PNG_SCALE = 2


def write_png(widget: QWidget, ground: QColor, path: Path) -> None:
    """Write a widget as PNG on `ground`, at twice its size. Raises OSError if the file cannot be written."""
    write_image(picture_of(widget, ground), path)


def picture_of(widget: QWidget, ground: QColor) -> QImage:
    """Return an image of a widget on `ground`, at twice its size."""
    image = QImage(widget.size() * PNG_SCALE, QImage.Format.Format_ARGB32)
    image.setDevicePixelRatio(PNG_SCALE)
    image.fill(ground)
    _render(widget, QPainter(image))
    return image


def write_svg(widget: QWidget, ground: QColor, title: str, path: Path) -> None:
    """Write a widget as SVG, with text as text. Raises OSError if the file cannot be written."""

    def draw(painter: QPainter) -> None:
        painter.fillRect(widget.rect(), ground)
        _render(widget, painter)

    # With the default resolution of SVG, text would be too small for its layout.
    write_drawing(draw, QSizeF(widget.size()), title, path, resolution=widget.logicalDpiX())


def write_image(image: QImage, path: Path) -> None:
    """Write an image as PNG. Raises OSError if the file cannot be written."""
    buffer = QBuffer()
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    image.save(buffer, "PNG")  # type: ignore[call-overload]
    atomic_write_bytes(path, bytes(buffer.data().data()))


def write_drawing(
    draw: Callable[[QPainter], None], size: QSizeF, title: str, path: Path, *, resolution: int | None = None
) -> None:
    """Write a drawing as SVG. Raises OSError if the file cannot be written.

    Args:
        draw: paints the drawing, and must end the painter.
        resolution: the dots per inch for text sizes; None for the default of QSvgGenerator.
    """
    data = QByteArray()
    buffer = QBuffer(data)
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    generator = QSvgGenerator()
    generator.setOutputDevice(buffer)
    if resolution is not None:
        generator.setResolution(resolution)
    generator.setSize(size.toSize())
    generator.setViewBox(QRectF(QPointF(), size))
    generator.setTitle(title)
    draw(QPainter(generator))
    buffer.close()
    atomic_write_bytes(path, bytes(data.data()))


def _render(widget: QWidget, painter: QPainter) -> None:
    painter.setRenderHints(QPainter.RenderHint.Antialiasing | QPainter.RenderHint.TextAntialiasing)
    widget.render(painter, QPoint(0, 0))
    painter.end()


Columns = Mapping[str, Sequence[Any] | NDArray[Any]]
"""Columns of equal length by name: numbers, texts, or None for missing values."""


def write_csv(columns: Columns, path: Path) -> None:
    """Write columns with their names and exact numbers; NaN and None are left empty.

    Raises:
        OSError: if the file cannot be written.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows(zip(*([_exact(value) for value in _values(column)] for column in columns.values()), strict=True))
    atomic_write_bytes(path, text.getvalue().encode())


def write_json(columns: Columns, path: Path) -> None:
    """Write columns as an object of lists with exact numbers; NaN and None are null.

    Raises:
        OSError: if the file cannot be written.
    """
    lists = {
        name: [None if _is_nothing(value) else value for value in _values(column)] for name, column in columns.items()
    }
    atomic_write_json(path, lists)


def _values(column: Sequence[Any] | NDArray[Any]) -> Sequence[Any]:
    return column.tolist() if isinstance(column, np.ndarray) else column


def _is_nothing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and not math.isfinite(value))


def _exact(value: Any) -> str:
    """Format a float as the shortest decimal that parses to the same number; other values as text."""
    if not isinstance(value, float):
        return "" if value is None else str(value)
    if math.isnan(value):
        return ""
    return str(int(value)) if abs(value) < 2**53 and value == int(value) else repr(value)
