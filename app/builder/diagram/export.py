"""The picture as a file."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QBuffer, QByteArray, QIODevice, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QImage, QPainter
from PySide6.QtSvg import QSvgGenerator
from PySide6.QtWidgets import QGraphicsScene

from models.files.atomic import atomic_write_bytes

PNG_SCALE = 2
_MOST_PIXELS = 16_000


def write_svg(scene: QGraphicsScene, frame: QRectF, ground: QColor, title: str, path: Path) -> None:
    """Draw what lies in `frame` as SVG."""
    data = QByteArray()
    buffer = QBuffer(data)
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    generator = QSvgGenerator()
    generator.setOutputDevice(buffer)
    generator.setSize(QSize(round(frame.width()), round(frame.height())))
    generator.setViewBox(QRectF(0, 0, frame.width(), frame.height()))
    generator.setTitle(title)
    _render(scene, frame, ground, QPainter(generator), QRectF(0, 0, frame.width(), frame.height()))
    buffer.close()
    atomic_write_bytes(path, bytes(data.data()))


def write_png(scene: QGraphicsScene, frame: QRectF, ground: QColor, path: Path) -> None:
    """Draw what lies in `frame` as PNG, two pixels for each of the picture's."""
    scale = min(PNG_SCALE, _MOST_PIXELS / max(frame.width(), frame.height()))
    image = QImage(round(scale * frame.width()), round(scale * frame.height()), QImage.Format.Format_ARGB32)
    _render(scene, frame, ground, QPainter(image), QRectF(image.rect()))
    buffer = QBuffer()
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    image.save(buffer, "PNG")  # type: ignore[call-overload]
    atomic_write_bytes(path, bytes(buffer.data().data()))


def _render(scene: QGraphicsScene, frame: QRectF, ground: QColor, painter: QPainter, target: QRectF) -> None:
    painter.setRenderHints(QPainter.RenderHint.Antialiasing | QPainter.RenderHint.TextAntialiasing)
    painter.fillRect(target, ground)
    scene.render(painter, target, frame, Qt.AspectRatioMode.IgnoreAspectRatio)
    painter.end()
