"""Display texts for the outcomes of functions that a model wrote, and for the sandbox."""

from __future__ import annotations

from terrarium.models.tasks.code_judge import Outcome

OUTCOME_TONES = {
    Outcome.RIGHT: "accent",
    Outcome.WRONG_VALUE: "validation",
    Outcome.EXCEPTION: "danger",
    Outcome.LIMIT: "warning",
    Outcome.NOT_SUPPORTED: "muted",
}
"""The theme's colour role of each outcome."""
OUTCOME_HELP = {
    Outcome.RIGHT: "The value and its type are the expected ones",
    Outcome.WRONG_VALUE: "Another value came out",
    Outcome.EXCEPTION: "It raised an exception, or cannot be read as Python",
    Outcome.LIMIT: "It ran for more than a second, or took too much memory",
    Outcome.NOT_SUPPORTED: "The sandbox does not know this part of Python: neither right nor wrong",
}
SANDBOX = (
    "Run by Monty, a small Python without access to your files or the network. It does not know all of Python: what "
    "it cannot run is listed as not supported"
)
