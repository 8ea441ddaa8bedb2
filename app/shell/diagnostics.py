"""What the operating system knows: how much memory the program uses, how to show a folder, what to report."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from pathlib import Path

import psutil
from PySide6.QtCore import QUrl
from PySide6.QtGui import QDesktopServices, QGuiApplication

from models.library.library import Library

LOG_NAME = "terrarium.log"


def memory_bytes() -> int:
    """Main memory that the program uses now."""
    return int(psutil.Process().memory_info().rss)


def free_memory_bytes() -> int:
    """Main memory that programs can still get without others having to give any back."""
    return int(psutil.virtual_memory().available)


def bytes_in_words(n: float) -> str:
    """Bytes with a unit: “512 MB”, “1.4 GB”."""
    return f"{n / 1e9:.1f} GB" if n >= 1e9 else f"{n / 1e6:.0f} MB"


def reveal(path: Path) -> bool:
    """Open a folder in the system's file manager, or a file in its own program; whether it could."""
    return QDesktopServices.openUrl(QUrl.fromLocalFile(str(path)))


def log_file(library: Library) -> Path:
    """Where the program logs to."""
    return library.logs / LOG_NAME


def diagnostics(library: Library, device: str) -> str:
    """What a report should say of this program and machine: no names of the user's but their library's folder."""
    lines = [
        f"Terrarium {_version('llm-terrarium')} on Python {platform.python_version()}, {platform.platform()}",
        f"Device: {device or 'torch is not loaded'}; {os.cpu_count()} cores",
        "Packages: "
        + ", ".join(f"{name} {_version(name)}" for name in ("torch", "tokenizers", "PySide6_Essentials", "pyqtgraph")),
        f"Screen: {QGuiApplication.platformName()}, " + ", ".join(_screens()),
        f"Library: {library.home}",
        "",
        "Last lines of the log:",
    ]
    try:
        log = log_file(library).read_text("utf-8", errors="replace").splitlines()[-40:]
    except OSError:
        log = ["(there is none)"]
    return "\n".join(lines + log)


def _screens() -> list[str]:
    return [
        f"{screen.size().width()}×{screen.size().height()} at {screen.devicePixelRatio():g}"
        for screen in QGuiApplication.screens()
    ]


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "?"
