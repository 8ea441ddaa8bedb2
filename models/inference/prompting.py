"""How a chat's messages become what a model reads, as plain data. No torch import."""

from __future__ import annotations

from dataclasses import dataclass

WHEN_FULL = {
    "slide": "Leave out the oldest messages",
    "summarise": "Have the model summarise the oldest messages",
    "stop": "Stop and say so",
}
"""What can happen when a conversation is longer than the context, in words."""


@dataclass(frozen=True, kw_only=True)
class Prompting:
    """The settings of one chat's prompts.

    system: what the model is told before all messages; "" for what its template says by itself, if anything.
    template: a chat template (Jinja, as in tokenizer_config.json); "" for the model's own.
    when_full: one of WHEN_FULL.
    """

    system: str = ""
    template: str = ""
    when_full: str = "slide"

    def __post_init__(self) -> None:
        if self.when_full not in WHEN_FULL:
            raise ValueError(
                f"What happens when the context is full is {self.when_full!r}, but must be one of "
                f"{', '.join(WHEN_FULL)}."
            )
