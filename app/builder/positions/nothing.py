"""What is said where a scheme has no numbers of its own to draw."""

from __future__ import annotations

from models.settings.model_config import ModelConfig


def untrained_table_words(config: ModelConfig, has_runs: bool) -> tuple[str, str]:
    """A heading and a few sentences for a table that only training fills; see `Look.nothing`."""
    other = " Or choose a run above, to see what another design has learned." if has_runs else ""
    return (
        f"{config.context_length:,} × {config.d_model:,} numbers, learned in training",
        "Each position has a row of its own in a table. A new model's table is random noise that says nothing "
        f"of order, so none is drawn. Train this design, and what it has learned is shown here.{other}",
    )


def no_position_words(config: ModelConfig, has_runs: bool) -> tuple[str, str]:
    """The same for a design without positions."""
    if config.conv_width > 1:
        return (
            "No positions, but a short convolution",
            f"Each token is mixed with the {config.conv_width - 1} just before it, which tells neighbours in order. "
            "Beyond that, attention does not know how far away a token is.",
        )
    if config.is_causal:
        return (
            "No positions",
            "Attention does not know how far away a token is. A decoder can still learn some order, because each "
            "token sees only those before it: the first sees one token, the fifth sees five.",
        )
    return (
        "No positions",
        "Nothing tells this encoder the order of its tokens: it reads a text as a bag of words, and “dog bites "
        "man” is to it what “man bites dog” is. Choose a scheme under Positions.",
    )
