"""The language-model side. Names are exported lazily, so that what needs no torch imports none (PEP 562)."""

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from models.interop.loading import load_model

__all__ = ["load_model"]

# Read by GNU OpenMP when torch loads it: how long a thread that waits for the others burns its core before it sleeps.
# With the default of 300,000 turns (milliseconds), any other busy program makes two waiting threads share one core, and
# a training step then takes 2 s where it takes 50 ms with this; on a quiet machine it costs nothing (measured).
os.environ.setdefault("GOMP_SPINCOUNT", "20000")


def __getattr__(name: str) -> Any:
    if name == "load_model":
        from models.interop.loading import load_model

        return load_model
    raise AttributeError(f"module 'models' has no attribute {name!r}")
