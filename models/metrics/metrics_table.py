"""All metrics by name, with their display name, help, unit and direction. No torch, no numpy."""

from __future__ import annotations

from collections.abc import Mapping

from terrarium.models.extensions.entries import Metric
from terrarium.models.extensions.registry import code_problem, find
from terrarium.models.number_words import format_percent, with_minus

UNITS = ("share", "points", "number")
SCORED_TASKS = ("classification", "multi-label", "regression", "tagging", "span", "text-to-text")
"""The tasks with right answers (models.settings.tasks)."""


def _share(title: str, help: str, higher_is_better: bool | None = True) -> Metric:
    return Metric(title=title, help=help, unit="share", higher_is_better=higher_is_better)


_OWN = {
    "accuracy": _share("Accuracy", "items whose label is right"),
    "macro_f1": _share("Macro F1", "F1 of each label, averaged: a rare label counts like a common one"),
    "micro_f1": _share("Micro F1", "F1 of all labels of all items together"),
    "weighted_f1": _share("Weighted F1", "F1 of each label, weighted by how common it is"),
    "mcc": Metric(
        title="MCC",
        help="Matthews' correlation of labels: 0 is chance, also if one label is rare",
        unit="number",
    ),
    "auc": _share("AUC", "how often an item of a label has a higher probability of it than another"),
    "ece": _share("Calibration error", "how far confidence is from accuracy, on average", False),
    "pearson": Metric(title="Pearson r", help="linear correlation", unit="number"),
    "spearman": Metric(title="Spearman ρ", help="correlation of ranks", unit="number"),
    "mae": Metric(
        title="Mean absolute error",
        help="how far off a score is, on average",
        unit="number",
        higher_is_better=False,
    ),
    "entity_f1": _share("Entity F1", "entities with exactly the right words and type"),
    "token_accuracy": _share("Token accuracy", "words whose tag is right"),
    "exact_match": _share("Exact match", "items that are wholly right"),
    "token_f1": _share("Word F1", "words that the answer shares with the right one"),
    "no_answer_f1": _share("No-answer F1", "recognising questions without an answer"),
    "chrf2": Metric(title="chrF2", help="overlap of character n-grams", unit="points"),
    "bleu": Metric(title="BLEU", help="overlap of word n-grams", unit="points"),
    "rouge_1": _share("ROUGE-1", "words shared with the reference"),
    "rouge_2": _share("ROUGE-2", "pairs of words shared with the reference"),
    "rouge_l": _share("ROUGE-L", "longest common subsequence of words"),
    "rouge_lsum": _share("ROUGE-Lsum", "longest common subsequences, sentence by sentence"),
    "length_ratio": Metric(
        title="Length ratio",
        help="words written per word of the reference",
        unit="number",
        higher_is_better=None,
    ),
    "copied_ngrams": _share("Copied", "runs of four words that stand in the source", None),
    "pass_at_1": _share("pass@1", "functions that pass all of their cases at the first try"),
    "facts_right": _share("All facts right", "summaries that say all that they must, and nothing else"),
    "valid_form": _share("Valid", "replies that are a JSON object with the wanted fields and no others"),
    "case_errors": _share("Case errors", "German articles, endings and pronouns in a wrong case", False),
    "reward": Metric(title="Reward", help="what replies to validation prompts earn, on average", unit="number"),
}


def _problem(name: str, entry: Metric) -> str:
    """Return what is wrong with an extension's metric, as `find` asks; "" if nothing is."""
    if entry.unit not in UNITS:
        return f"its unit is {entry.unit!r} instead of one of {', '.join(UNITS)}"
    if not entry.tasks or not set(entry.tasks) <= set(SCORED_TASKS):
        return f"its tasks are {entry.tasks!r} instead of one or more of {', '.join(SCORED_TASKS)}"
    return code_problem(entry.code)


ADDED_METRICS = find("metrics", Metric, taken=_OWN, check=_problem)
METRICS: Mapping[str, Metric] = {**_OWN, **ADDED_METRICS.entries}


def added_metrics(task: str) -> tuple[str, ...]:
    """Return the names of extensions' metrics that a task reports."""
    return tuple(name for name, metric in ADDED_METRICS.entries.items() if task in metric.tasks)


def format_score(name: str, value: float | None) -> str:
    """Format a metric's value: “97.6 %”, “48.3”, “0.812”; a dash if it is undefined."""
    if value is None:
        return "–"
    match METRICS[name].unit:
        case "share":
            return format_percent(value, 1)
        case "points":
            return f"{value:.1f}"
        case _:
            return with_minus(f"{value:.3f}")


def best_first(name: str, value: float) -> float:
    """Return a sort key that puts the best value of a metric first, or the highest if neither direction is better."""
    return value if METRICS[name].higher_is_better is False else -value
