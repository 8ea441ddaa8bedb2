"""Terrarium's one name in Python: `terrarium.load_model`, `terrarium.models` without a window, `terrarium.app` with it.

In a checkout, `app`, `models` and `resources` beside this folder are its parts: it links to them, and an installation
has them inside it (package-dir in pyproject.toml), so that no package with such a common name is installed.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from terrarium.models.interop.loading import load_model

__all__ = ["load_model"]


def __getattr__(name: str) -> Any:
    if name == "load_model":  # lazily, since it takes torch
        from terrarium.models.interop.loading import load_model

        return load_model
    raise AttributeError(f"module 'terrarium' has no attribute {name!r}")
