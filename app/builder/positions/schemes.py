"""How each position scheme is drawn: its pictures, what can be chosen of them, what is said where there are none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from app.builder.positions import biases, rotations, tables
from app.builder.positions.scene import Ints, Scene
from app.kit.figures.pictures import Floats
from models.architecture import position_tables
from models.settings.model_config import ModelConfig
from models.settings.positions import POSITIONS
from models.settings.slots import check_complete


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What is chosen above the pictures. sorted_out: sines, then cosines. angles: of rotations, else their cosines.
    scaled: with the design's RoPE scaling. head: which one is drawn as a matrix, from 0."""

    sorted_out: bool = False
    angles: bool = False
    scaled: bool = True
    head: int = 0


Words: TypeAlias = tuple[str, str]
"""A heading and a few sentences."""


@dataclass(frozen=True, kw_only=True)
class LearnedLook:
    """How what a trained run has learned is drawn: draw(design, length, table, head, source), source being words.

    nothing_chosen: what the list of runs says where none is. at_once: whether the newest run is shown unasked.
    has_heads: whether one is drawn as a matrix. shape: the table of a design in words.
    """

    draw: Callable[[ModelConfig, int, Floats, int, str], Scene]
    shape: Callable[[ModelConfig], str]
    nothing_chosen: str = "Trained runs …"
    at_once: bool = False
    has_heads: bool = False


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


@dataclass(frozen=True, kw_only=True)
class Look:
    """How a scheme is drawn. draw(design, length, shown): its pictures from the settings alone.

    nothing(design, whether trained runs can be chosen): what is said where there is neither that nor a trained table.
    choices: the fields of Shown that change the pictures of a design. differs: whether an encoder's are other ones than
    its decoder's. fading(n_head, distances): the logarithm of what is left of attention's weights, where that is fixed.
    """

    draw: Callable[[ModelConfig, int, Shown], Scene] | None = None
    nothing: Callable[[ModelConfig, bool], Words] = no_position_words
    choices: Callable[[ModelConfig], tuple[str, ...]] = lambda config: ()
    differs: Callable[[ModelConfig], bool] = lambda config: False
    learned: LearnedLook | None = None
    fading: Callable[[int, Ints], Floats] | None = None


def look_of(config: ModelConfig) -> Look:
    """How a design's scheme is drawn."""
    return _LOOKS[config.position]


def _rope_choices(config: ModelConfig) -> tuple[str, ...]:
    return ("angles", "scaled") if config.rope_scaling != "none" else ("angles",)


_LOOKS = {
    "learned": Look(
        nothing=untrained_table_words,
        learned=LearnedLook(
            draw=lambda config, length, table, head, source: tables.learned_table(table, source),
            shape=lambda config: f"{config.context_length:,} × {config.d_model:,}",
            at_once=True,  # it is nothing without training
        ),
    ),
    "sinusoidal": Look(
        draw=lambda config, length, shown: tables.waves(config, length, sorted_out=shown.sorted_out),
        choices=lambda config: ("sorted_out",),
    ),
    "rope": Look(
        draw=lambda config, length, shown: rotations.rotations(
            config, length, angles=shown.angles, scaled=shown.scaled
        ),
        choices=_rope_choices,
        differs=lambda config: config.head_dim != config.encoder().head_dim,
    ),
    "alibi": Look(
        draw=lambda config, length, shown: biases.penalties(config, length, shown.head),
        choices=lambda config: ("head",),
        differs=lambda config: True,
        fading=position_tables.alibi_scores,
    ),
    "t5": Look(
        draw=lambda config, length, shown: biases.buckets(config, length),
        differs=lambda config: True,
        learned=LearnedLook(
            draw=biases.bucket_biases,
            shape=lambda config: f"{config.n_bucket} buckets × {config.n_head} heads",
            nothing_chosen="Buckets only",
            has_heads=True,
        ),
    ),
    "none": Look(),
}
check_complete(_LOOKS, POSITIONS, "pictures of position schemes")
check_complete(
    (name for name, look in _LOOKS.items() if look.learned),
    (name for name, scheme in POSITIONS.items() if scheme.learned),
    "pictures of learned positions",
)
