"""Charts as files: what a widget shows as PNG or SVG, and the numbers behind it as CSV."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QBuffer, QByteArray, QIODevice, QPoint, QRectF
from PySide6.QtGui import QColor, QImage, QPainter
from PySide6.QtSvg import QSvgGenerator
from PySide6.QtWidgets import QWidget

from models.files import atomic_write_bytes

PNG_SCALE = 2


def write_png(widget: QWidget, ground: QColor, path: Path) -> None:
    """Draw a widget as PNG on `ground`, two pixels for each of its own; OSError where the file cannot be written."""
    image = QImage(widget.size() * PNG_SCALE, QImage.Format.Format_ARGB32)
    image.setDevicePixelRatio(PNG_SCALE)
    image.fill(ground)
    _render(widget, QPainter(image))
    buffer = QBuffer()
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    image.save(buffer, "PNG")  # type: ignore[call-overload]
    atomic_write_bytes(path, bytes(buffer.data().data()))


def write_svg(widget: QWidget, ground: QColor, title: str, path: Path) -> None:
    """Draw a widget as SVG, with its words as text; OSError where the file cannot be written."""
    data = QByteArray()
    buffer = QBuffer(data)
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    generator = QSvgGenerator()
    generator.setOutputDevice(buffer)
    generator.setResolution(widget.logicalDpiX())  # or words would be smaller than their places
    generator.setSize(widget.size())
    generator.setViewBox(QRectF(widget.rect()))
    generator.setTitle(title)
    painter = QPainter(generator)
    painter.fillRect(widget.rect(), ground)
    _render(widget, painter)
    buffer.close()
    atomic_write_bytes(path, bytes(data.data()))


def _render(widget: QWidget, painter: QPainter) -> None:
    painter.setRenderHints(QPainter.RenderHint.Antialiasing | QPainter.RenderHint.TextAntialiasing)
    widget.render(painter, QPoint(0, 0))
    painter.end()


def write_csv(columns: Mapping[str, NDArray[np.float64]], path: Path) -> None:
    """Write columns of one length under their names, every digit of them; what is no number is left empty.

    Raises:
        OSError: where the file cannot be written.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows(zip(*([_exact(value) for value in column.tolist()] for column in columns.values()), strict=True))
    atomic_write_bytes(path, text.getvalue().encode())


def _exact(value: float) -> str:
    """The shortest decimal that reads as this very number again."""
    if math.isnan(value):
        return ""
    return str(int(value)) if abs(value) < 2**53 and value == int(value) else repr(value)
