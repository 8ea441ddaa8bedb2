"""Texts about a stage: its kind, start, settings, data, cost and held-out results."""

from __future__ import annotations

from terrarium.app.kit.setting_names.value_words import words
from terrarium.models.alignment.figures import figure_of
from terrarium.models.alignment.stage_tree import (
    FORKED,
    GONE,
    IMPORTED,
    KNOWS,
    LOSS,
    PRETRAINED,
    REWARD,
    TUNED,
    HeldOut,
    LineageNode,
)
from terrarium.models.number_words import format_count, format_duration, format_percent, with_minus
from terrarium.models.settings.stage_kinds import STAGE_KINDS

KINDS = {
    PRETRAINED: ("Base", "trend-down", "Learned from texts, starting with random weights"),
    FORKED: ("Fork", "git-fork", "Continues another run from one of its checkpoints"),
    TUNED: ("Fine-tuned", "graduation-cap", "Imitates texts or conversations, starting from a trained model"),
    IMPORTED: ("Imported", "download-simple", "Came from outside the library"),
    **{name: (kind.words.title, kind.words.icon, kind.words.learned) for name, kind in STAGE_KINDS.items()},
    GONE: ("Gone", "trash", "No longer in the library"),
}
"""Kind of a stage → its title, icon and meaning."""
_MISSING = ("puzzle-piece", "Learned as an extension says that is not installed here")
_TITLES = {KNOWS: "Skills", LOSS: "Validation loss", "gold": "As meant", "kl": "KL"}
"""Short titles of held-out metrics whose figure has a long title or none."""


def meaning_of(kind: str) -> tuple[str, str, str]:
    """Return the title, icon and meaning of a kind of stage; its name is the title if its extension is missing."""
    return KINDS.get(kind) or (kind, *_MISSING)


def kind_words(stage: LineageNode) -> str:
    """Return the title of a stage's kind: “PPO”, or “PPO, fork” if it continues another run."""
    title = meaning_of(stage.kind)[0]
    return f"{title}, fork" if stage.is_fork and stage.kind != FORKED else title


def describe_start(stage: LineageNode, parent: LineageNode | None) -> str:
    """Describe the initial weights in a sentence; "" for a stage without a parent."""
    if not stage.parent:
        return ""
    name = parent.name if parent is not None else stage.parent
    if stage.parent_step is None:
        return f"Started from {name}."
    step = f"step {stage.parent_step:,}"
    return f"Continues {name} from {step}." if stage.is_fork else f"Started from {name} at {step}."


def describe_settings(stage: LineageNode) -> str:
    """Summarise in one line the settings that distinguish stages of a kind."""
    spec = stage.spec
    if spec is None or stage.kind == IMPORTED:
        return ""
    train, align, parts = spec.train, spec.align, [f"rate {spec.train.lr:g}"]
    if align is not None and align.task == "prompts":
        parts.insert(0, f"{align.n_prompts} × {align.n_replies} replies")
    else:
        parts.insert(0, f"batch {train.batch_size * train.grad_accum_steps}")
    if align is not None and align.stage != REWARD:
        parts.insert(0, f"β {align.beta:g}")
    if spec.tune is not None and spec.tune.mode != "all":
        parts.append(words(spec.tune.mode))
    if train.seed:
        parts.append(f"seed {train.seed}")
    return " · ".join(parts)


def describe_source(stage: LineageNode) -> str:
    """Describe the training data and the source of the rewards."""
    if stage.kind == GONE:
        return "No longer in the library; the runs made from it have its weights."
    if stage.spec is None or stage.spec.align is None or stage.spec.align.task != "prompts":
        return stage.data
    by = f"rewards by “{stage.rewarder}”" if stage.rewarded_by else "rewards by the judge of the wish"
    return f"{stage.data}, {by}"


def describe_cost(stage: LineageNode) -> str:
    """Format the number of steps and the duration, and the status unless finished."""
    if stage.kind in (GONE, IMPORTED) or stage.spec is None:
        return ""
    total, done = stage.spec.train.steps, max(stage.trained, stage.step)
    n = format_count(total, "step") if done == total else f"{done:,} of {format_count(total, 'step')}"
    parts = [n, format_duration(stage.seconds) if stage.seconds is not None else ""]
    return ", ".join(filter(None, (*parts, stage.status if stage.status != "finished" else "")))


def describe_held_out(stage: LineageNode) -> str:
    """Format the recorded held-out metrics in one line; "" if there are none."""
    return " · ".join(_figure(found) for found in stage.held_out)


def describe_details(stage: LineageNode) -> str:
    """Format the held-out metrics, each with its definition and its parts, on several lines."""
    lines = []
    for found in stage.held_out:
        if found.name == KNOWS:
            help_ = "Mean share of right answers to held-out questions of the world that the base had learned."
        elif found.name == LOSS:
            help_ = "On the validation split, in nats per token."
        else:
            help_ = figure_of(found.name).help
        lines.append(f"{_figure(found)}: {help_}")
        for kind, (share, n) in (found.parts or {}).items():
            lines.append(f"    {kind} {format_percent(share)} of {n:,}")
    return "\n".join(lines)


def _figure(found: HeldOut) -> str:
    figure = figure_of(found.name)
    title = _TITLES.get(found.name, figure.title)
    if found.name == KNOWS or figure.unit == "share":
        was = "" if found.was is None else f"{100 * found.was:.0f} → "
        return f"{title} {was}{format_percent(found.value)}"
    if found.name == "kl":
        return f"{title} {found.value:.1f}"
    return with_minus(f"{title} {found.value:.3f}")
