"""What a package of others adds to Terrarium's tables, and the types of the entries. No torch.

A package names an `Extension` under the entry point group `terrarium.plugins`; docs/develop/write-an-extension.md shows
one. This module is what such a package imports.
"""

from terrarium.models.extensions.entries import (
    CRITIC,
    JUDGE,
    REFERENCE,
    Extension,
    Metric,
    Optimizer,
    StageKind,
    StageWords,
    Truncation,
)

__all__ = [
    "CRITIC",
    "JUDGE",
    "REFERENCE",
    "Extension",
    "Metric",
    "Optimizer",
    "StageKind",
    "StageWords",
    "Truncation",
]
