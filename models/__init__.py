"""Language models, without a user interface. Names are exported lazily: what needs no torch imports none (PEP 562)."""

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from terrarium.models.interop.loading import load_model

__all__ = ["load_model"]

# Read by GNU OpenMP when torch loads it: how long a waiting thread spins before it sleeps. With the default of 300,000
# iterations (milliseconds), any other busy program makes two waiting threads share one core, and a training step then
# takes 2 s instead of 50 ms; on an idle machine the lower value costs nothing (measured).
os.environ.setdefault("GOMP_SPINCOUNT", "20000")


def __getattr__(name: str) -> Any:
    if name == "load_model":
        from terrarium.models.interop.loading import load_model

        return load_model
    raise AttributeError(f"module 'models' has no attribute {name!r}")
