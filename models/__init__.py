"""The language-model side. Names are exported lazily, so that `models.config` costs no torch import (PEP 562)."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from models.loading import load_model

__all__ = ["load_model"]


def __getattr__(name: str) -> Any:
    if name == "load_model":
        from models.loading import load_model

        return load_model
    raise AttributeError(f"module 'models' has no attribute {name!r}")
