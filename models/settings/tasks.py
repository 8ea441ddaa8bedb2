"""The tasks that a model can learn from a dataset, with their columns, heads and metrics. No torch import.

Their code, by the same names: models.tasks. A row of a dataset is a JSON object with the columns of its task:

- language: {"text": str}
- chat: {"messages": [{"role": str, "content": str}, …]}
- classification: {"text": str, "label": str}; multi-label: {"text": str, "labels": [str, …]}; regression:
  {"text": str, "score": float}; each may have a second text as "text_pair"
- tagging: {"words": [str, …], "tags": [str, …]}, one tag per word, entities as IOB2
- span: {"question": str, "context": str, "answers": [{"text": str, "start": int}, …]}, `start` in characters of the
  context; no answers: the context does not answer the question
- text-to-text: {"source": str, "target": str}; the output can be judged by further columns (JUDGED_BY): "cases":
  [{"arguments": [], "expected"}, …], test cases of the function whose head is in the source; "facts": [[str, …], …]
  that a summary must contain; "fields": {str: str}, name → type (Python's) of a JSON object; "language": str
- prompts: {"messages": [{"role": str, "content": str}, …]}, ending with the user; "wish": the judge of a reply
- preference: {"messages": […], "chosen": str, "rejected": str}, messages as for prompts, and two replies, about equal
  if "choice" is "tie". "source": the origin of the comparison: "person", "simulated", "gold", or the name of a file
- unpaired: {"messages": […], "completion": str, "label": bool}, a reply, and whether it was rated good. "source" as
  for preference

Other keys of a row are retained but not given to the model.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from terrarium.models.metrics.metrics_table import METRICS, SCORED_TASKS, added_metrics
from terrarium.models.settings.slots import check_complete

ALL_TOPOLOGIES = ("decoder-only", "encoder-only", "encoder-decoder")


@dataclass(frozen=True, kw_only=True)
class Task:
    """A choice of `DataSpec.task`.

    title: its name on screen. help: what the model learns, for the setting's help. columns: required in a row;
    optional_columns: optional. heads: topology -> the `ModelConfig.head` that learns the task; topologies that cannot
    learn it are left out. metrics: names of models.metrics.metrics_table, the usual headline first; a metric whose
    `higher_is_better` is None cannot be the headline. label_column: the column of labels from a fixed list, if any.
    """

    title: str
    help: str
    columns: tuple[str, ...]
    optional_columns: tuple[str, ...] = ()
    heads: dict[str, str]
    metrics: tuple[str, ...] = ()
    label_column: str | None = None
    loss_unit: str = "nats per token"


def heads_of(topology: str) -> tuple[str, ...]:
    """Return the heads of a topology: those of its tasks and, for an encoder, “none” (hidden states only)."""
    heads = dict.fromkeys(task.heads[topology] for task in TASKS.values() if topology in task.heads)
    return (*heads, "none") if topology == "encoder-only" else tuple(heads)


_SEQUENCE = dict.fromkeys(ALL_TOPOLOGIES, "sequence")

_OWN = {
    "language": Task(
        title="Plain text",
        help="predict text",
        columns=("text",),
        heads=dict.fromkeys(ALL_TOPOLOGIES, "language"),
    ),
    "chat": Task(
        title="Conversations",
        help="reply as in these conversations",
        columns=("messages",),
        heads={"decoder-only": "language"},
    ),
    "classification": Task(
        title="Classification",
        help="give each text one label",
        columns=("text", "label"),
        optional_columns=("text_pair",),
        heads=_SEQUENCE,
        metrics=("macro_f1", "accuracy", "mcc", "weighted_f1", "auc", "ece"),
        label_column="label",
        loss_unit="nats per row",
    ),
    "multi-label": Task(
        title="Several labels",
        help="give each text any number of labels",
        columns=("text", "labels"),
        optional_columns=("text_pair",),
        heads=_SEQUENCE,
        metrics=("micro_f1", "macro_f1", "exact_match"),
        label_column="labels",
        loss_unit="nats per label",
    ),
    "regression": Task(
        title="A score",
        help="give each text a number",
        columns=("text", "score"),
        optional_columns=("text_pair",),
        heads=_SEQUENCE,
        metrics=("pearson", "spearman", "mae"),
        loss_unit="squared error per row",
    ),
    "tagging": Task(
        title="Tagging",
        help="give each word a tag: names, parts of speech",
        columns=("words", "tags"),
        heads={"encoder-only": "token", "decoder-only": "token"},
        metrics=("entity_f1", "token_accuracy"),
        label_column="tags",
        loss_unit="nats per word",
    ),
    "span": Task(
        title="Question answering",
        help="mark the answer to a question in a text, or say that it has none",
        columns=("question", "context", "answers"),
        heads=dict.fromkeys(ALL_TOPOLOGIES, "span"),
        metrics=("exact_match", "token_f1", "no_answer_f1"),
        loss_unit="nats per start or end",
    ),
    "text-to-text": Task(
        title="Text to text",
        help="write a text after another: translation, summaries, answers, code",
        columns=("source", "target"),
        heads={"decoder-only": "language", "encoder-decoder": "language"},
        metrics=(
            "exact_match",
            "chrf2",
            "bleu",
            "rouge_1",
            "rouge_2",
            "rouge_l",
            "rouge_lsum",
            "token_f1",
            "length_ratio",
            "copied_ngrams",
            "pass_at_1",
            "facts_right",
            "valid_form",
            "case_errors",
        ),
    ),
    "prompts": Task(
        title="Prompts",
        help="earn rewards with its replies",
        columns=("messages",),
        optional_columns=("wish",),
        heads={"decoder-only": "language"},
        loss_unit="policy loss",
    ),
    "preference": Task(
        title="Preferences",
        help="prefer one reply to another",
        columns=("messages", "chosen", "rejected"),
        optional_columns=("choice", "source"),
        heads={"decoder-only": "language"},
        loss_unit="nats per pair",
    ),
    "unpaired": Task(
        title="Rated replies",
        help="write replies that are called good",
        columns=("messages", "completion", "label"),
        optional_columns=("source",),
        heads={"decoder-only": "language"},
        loss_unit="KTO loss per reply",
    ),
}
TASKS = {name: replace(task, metrics=(*task.metrics, *added_metrics(name))) for name, task in _OWN.items()}
"""The tasks by name, in the order of the form; extensions add metrics."""
check_complete(SCORED_TASKS, (name for name, task in TASKS.items() if task.metrics), "tasks with metrics")
PREFERENCE_TASKS = ("preference", "unpaired")
"""The tasks with judged replies: pairs of them, and single ones."""
ALIGNED_TASKS = ("prompts", *PREFERENCE_TASKS)
"""The tasks that only an alignment learns (models.settings.align_spec)."""
REWARD = "reward"
"""The metric of replies to prompts, which have no right answers: their reward."""
check_complete(METRICS, (REWARD, *(name for task in TASKS.values() for name in task.metrics)), "metrics of the tasks")

JUDGED_BY = {"cases": "pass_at_1", "facts": "facts_right", "fields": "valid_form", "language": "case_errors"}
"""Columns of text-to-text rows for judging the output → the metrics that they enable."""
