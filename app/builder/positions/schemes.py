"""How each position scheme is displayed: its pictures, their options, and a text if there are no pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from terrarium.app.builder.positions import biases, rotations, tables
from terrarium.app.builder.positions.scheme_pictures import Ints, SchemePictures
from terrarium.app.plots.pictures import Floats
from terrarium.models.architecture import position_tables
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.positions import POSITIONS, scheme_of
from terrarium.models.settings.slots import check_complete


@dataclass(frozen=True, kw_only=True)
class DisplayOptions:
    """The options above the pictures. sorted_out: all sines before all cosines. angles: show the angles of rotations
    instead of their cosines. scaled: apply the design's RoPE scaling. head: the head drawn as a matrix, from 0."""

    sorted_out: bool = False
    angles: bool = False
    scaled: bool = True
    head: int = 0


Words: TypeAlias = tuple[str, str]
"""A heading and a text."""


@dataclass(frozen=True, kw_only=True)
class LearnedDisplay:
    """How learned positions are displayed: draw(design, length, tensors by name, head, source), where source describes
    the run.

    nothing_chosen: the first entry of the run list, for no run. at_once: whether a run with tensors of the same shapes
    is selected by default. has_heads: whether a chosen head is drawn as a matrix. shape: formats a design's sizes.
    """

    draw: Callable[[ModelConfig, int, Mapping[str, Floats], int, str], SchemePictures]
    shape: Callable[[ModelConfig], str]
    nothing_chosen: str = "Trained runs…"
    at_once: bool = False
    has_heads: bool = False


def describe_untrained_table(config: ModelConfig, has_runs: bool) -> tuple[str, str]:
    """Return a heading and a text for a learned table without a trained run; see `SchemeDisplay.nothing`."""
    other = " Or choose a run above to see what another design has learned." if has_runs else ""
    return (
        f"{config.context_length:,} × {config.d_model:,} numbers, learned in training",
        "Each position has its own row in a table. The table of a new model is random noise, so nothing is "
        f"drawn. Train this design to see here what it has learned.{other}",
    )


def describe_no_positions(config: ModelConfig, has_runs: bool) -> tuple[str, str]:
    """Return a heading and a text for a design without positions."""
    if config.conv_width > 1:
        return (
            "No positions, but a short convolution",
            f"Each token is mixed with the {config.conv_width - 1} just before it, which encodes local order. "
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
        "This encoder does not know the order of its tokens: it reads a text as a bag of words, so “dog bites "
        "man” equals “man bites dog”. Choose a scheme under Positions.",
    )


def describe_no_picture(config: ModelConfig, has_runs: bool) -> tuple[str, str]:
    """Return a heading and a text for a scheme without a picture."""
    return (
        f"No picture of {scheme_of(config).title}",
        "The model knows the order of its tokens by this scheme, which this view cannot draw.",
    )


@dataclass(frozen=True, kw_only=True)
class SchemeDisplay:
    """How a scheme is displayed. draw(design, length, options): returns the pictures that need no training.

    nothing(design, has_runs): returns a heading and a text for a design without pictures and without a learned table.
    choices: returns the fields of DisplayOptions that affect a design. differs: returns whether the pictures of encoder
    and decoder differ. log_decay(n_head, distances): returns the log of the scheme's fixed factor on attention weights;
    None if it has none.
    """

    draw: Callable[[ModelConfig, int, DisplayOptions], SchemePictures] | None = None
    nothing: Callable[[ModelConfig, bool], Words] = describe_no_picture
    choices: Callable[[ModelConfig], tuple[str, ...]] = lambda config: ()
    differs: Callable[[ModelConfig], bool] = lambda config: False
    learned: LearnedDisplay | None = None
    log_decay: Callable[[int, Ints], Floats] | None = None


def display_of(config: ModelConfig) -> SchemeDisplay:
    """Return the display of a design's scheme."""
    return SchemeDisplay() if config.position_block else _DISPLAYS[config.position]


def _rope_choices(config: ModelConfig) -> tuple[str, ...]:
    return ("angles", "scaled") if config.rope_scaling != "none" else ("angles",)


_DISPLAYS = {
    "learned": SchemeDisplay(
        nothing=describe_untrained_table,
        learned=LearnedDisplay(
            draw=lambda config, length, learned, head, source: tables.learned_table(learned["position.weight"], source),
            shape=lambda config: f"{config.context_length:,} × {config.d_model:,}",
            at_once=True,  # nothing can be drawn without training
        ),
    ),
    "sinusoidal": SchemeDisplay(
        draw=lambda config, length, shown: tables.waves(config, length, sorted_out=shown.sorted_out),
        choices=lambda config: ("sorted_out",),
    ),
    "rope": SchemeDisplay(
        draw=lambda config, length, shown: rotations.rotations(
            config, length, angles=shown.angles, scaled=shown.scaled
        ),
        choices=_rope_choices,
        differs=lambda config: config.head_dim != config.encoder().head_dim,
    ),
    "alibi": SchemeDisplay(
        draw=lambda config, length, shown: biases.penalties(config, length, shown.head),
        choices=lambda config: ("head",),
        differs=lambda config: True,
        log_decay=position_tables.alibi_scores,
    ),
    "t5": SchemeDisplay(
        draw=lambda config, length, shown: biases.buckets(config, length),
        differs=lambda config: True,
        learned=LearnedDisplay(
            draw=biases.bucket_biases,
            shape=lambda config: f"{config.n_bucket} buckets × {config.n_head} heads",
            nothing_chosen="Buckets only",
            has_heads=True,
        ),
    ),
    "fire": SchemeDisplay(
        draw=lambda config, length, shown: biases.relative_distances(config, length),
        learned=LearnedDisplay(
            draw=biases.network_biases,
            shape=lambda config: f"{config.n_head} heads",
            nothing_chosen="Distances only",
            has_heads=True,
        ),
    ),
    "none": SchemeDisplay(nothing=describe_no_positions),
}
check_complete(_DISPLAYS, POSITIONS, "pictures of position schemes")
check_complete(
    (name for name, display in _DISPLAYS.items() if display.learned),
    (name for name, scheme in POSITIONS.items() if scheme.learned),
    "pictures of learned positions",
)
