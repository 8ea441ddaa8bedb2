"""Imports without PySide's own step after each of them."""

from __future__ import annotations

import contextlib
from importlib import import_module


def import_plainly() -> None:
    """From now on, PySide does not look through the source of each module that is imported, whether it uses PySide.

    It does so for `from __feature__ import …`, which nothing here uses, and keeps all that it has read. With torch,
    that is half a second and 40 MB.
    """
    import_module("PySide6.QtCore")  # which brings it along
    with contextlib.suppress(ImportError):  # a PySide that does so no more
        vars(import_module("shibokensupport.feature"))["feature_imported"] = lambda module: None
