"""Diagnostics for bug reports."""

from __future__ import annotations

import importlib.metadata
import os
import platform

from PySide6.QtGui import QGuiApplication

from models.library.library import Library


def diagnostics(library: Library, device: str) -> str:
    """The text of “Copy diagnostics”; its only personal data is the path of the library."""
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
        log = library.log_file.read_text("utf-8", errors="replace").splitlines()[-40:]
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
