"""Predicts labels, scores, tags, answers or texts for the rows of a task, with probabilities.

Letters in shape comments: B batch, T tokens, L labels.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor

from terrarium.models.architecture.transformer import AnyModel
from terrarium.models.events import Progress
from terrarium.models.inference.continuation import evaluating
from terrarium.models.inference.sampling import check_finite
from terrarium.models.settings.tasks import TASKS
from terrarium.models.tasks.encoding import TaskEncoder
from terrarium.models.tasks.forward import span_logits, task_logits
from terrarium.models.tasks.row_reader import Item
from terrarium.models.tasks.rows import LABEL_TASKS, Row
from terrarium.models.tasks.writing import Writing, write_texts

BATCH_SIZE = 32
POOL_SIZE = 2048
"""Rows whose tokens are in memory together, and that are sorted by length into batches."""
_LONGEST_ANSWER = 30  # tokens, as in SQuAD's baselines
_IS_LABEL = 0.5


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """The prediction for one row.

    value: a label, a list of labels, a number, a list of tags, an answer ("" for none), or a text. score: its
    confidence: the probability of the label, the answer or “no answer”, or the mean over its parts; None if it has
    none. probabilities: of each label, if the row has one or several. details: for tagging `tag_scores`, the
    probability of each tag; for an answer `start`, in characters of the context.
    """

    value: Any
    score: float | None = None
    probabilities: Mapping[str, float] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)


def predict(
    model: AnyModel,
    tokenizer: Tokenizer,
    task: str,
    rows: Sequence[Row],
    labels: Sequence[str] = (),
    *,
    writing: Writing | None = None,
    batch_size: int = BATCH_SIZE,
) -> Generator[Progress, None, list[Prediction]]:
    """Predict rows, in order; their gold answers are not used. Yields Progress (rows).

    Args:
        labels: of the model's outputs.
        writing: how texts are generated, for text-to-text.

    Raises:
        ValueError: if the model lacks the head for the task, has another number of labels, or computes a number that
            is not finite.
    """
    check_head(model, task, labels)
    if task not in LABEL_TASKS:
        sources = [row["source"] for row in rows]
        texts = yield from write_texts(model, tokenizer, sources, writing or Writing(), skips_long=True)
        return [Prediction(value=text) for text in texts]
    return (yield from predict_items(model, TaskEncoder(model.config, tokenizer, task, labels), rows, batch_size))


def predict_items(
    model: AnyModel, encoder: TaskEncoder, rows: Sequence[Row], batch_size: int = BATCH_SIZE
) -> Generator[Progress, None, list[Prediction]]:
    """Predict as `predict`, for a label task whose rows `encoder` reads, in pools, because they may be very many."""
    predictions = list[Prediction]()
    for first in range(0, len(rows), POOL_SIZE):
        some = rows[first : first + POOL_SIZE]
        predictions += yield from _predict_some(model, encoder, some, batch_size, first, len(rows))
    return predictions


def _predict_some(
    model: AnyModel, encoder: TaskEncoder, rows: Sequence[Row], batch_size: int, n_before: int, total: int
) -> Generator[Progress, None, list[Prediction]]:
    """Predict some of `total` rows, which come after `n_before` others."""
    items = encoder.items(rows, has_targets=False)
    order = sorted(range(len(items)), key=lambda i: len(items[i].ids))
    answers: list[list[Any]] = [[] for _ in rows]
    done = 0
    for first in range(0, len(order), batch_size):
        chosen = [items[i] for i in order[first : first + batch_size]]
        batch = encoder.batch(chosen)
        with evaluating(model):
            logits = task_logits(model, batch).float()
            check_finite(logits)
            if encoder.task == "span":
                logits = span_logits(logits, batch)
        logits = logits.cpu()
        for item, row_logits in zip(chosen, logits, strict=True):
            answers[item.row].append(_read(encoder, item, row_logits))
        done += len(chosen)
        yield Progress(done=n_before + len(rows) * done // len(items), total=total)
    if encoder.task == "span":
        return [_best_answer(row["context"], found) for row, found in zip(rows, answers, strict=True)]
    return [found[0] for found in answers]


def check_head(model: AnyModel, task: str, labels: Sequence[str]) -> None:
    """Raise ValueError if a model cannot do a task, or has another number of labels."""
    config, heads = model.config, TASKS[task].heads
    if heads.get(config.topology) != config.head:
        wanted = heads.get(config.topology)
        why = f"with the head {config.head!r}, not {wanted!r}" if wanted else f"{config.topology}"
        raise ValueError(f"{TASKS[task].title} cannot be predicted by this model, which is {why}: fine-tune it first.")
    n = 1 if task == "regression" else len(labels)
    if config.head in ("sequence", "token") and config.n_label != n:
        raise ValueError(f"The model has {config.n_label} outputs, but there are {n} labels: name one for each.")


def _read(encoder: TaskEncoder, item: Item, logits: Tensor) -> Any:
    """Turn an item's logits into its prediction: (L), (T, L), or (2, T) for a window's span."""
    labels = encoder.labels
    if encoder.task == "regression":
        return Prediction(value=float(logits[0]))
    if encoder.task == "multi-label":
        shares = logits.sigmoid().tolist()
        value = [label for label, share in zip(labels, shares, strict=True) if share > _IS_LABEL]
        sure = sum(max(share, 1 - share) for share in shares) / max(1, len(shares))
        return Prediction(value=value, score=sure, probabilities=dict(zip(labels, shares, strict=True)))
    if encoder.task == "classification":
        shares = logits.softmax(dim=0).tolist()
        best = max(range(len(shares)), key=shares.__getitem__)
        return Prediction(value=labels[best], score=shares[best], probabilities=dict(zip(labels, shares, strict=True)))
    if encoder.task == "tagging":
        return _tags(encoder, item, logits.softmax(dim=1))
    return _window_answer(item, logits.log_softmax(dim=1))


def _tags(encoder: TaskEncoder, item: Item, shares: Tensor) -> Prediction:
    """Return a tag for each word: that of its first token; for a truncated word, “O” or the first label."""
    default = "O" if "O" in encoder.labels else encoder.labels[0]
    best, found = shares.max(dim=1)
    tags = [default if at < 0 else encoder.labels[int(found[at])] for at in item.first_tokens]
    scores = [0.0 if at < 0 else float(best[at]) for at in item.first_tokens]
    mean = sum(scores) / len(scores) if scores else None
    return Prediction(value=tags, score=mean, details={"tag_scores": scores})


@dataclass(frozen=True)
class _Answer:
    """The best answer in a window: its log-probability, that of “no answer”, and its characters."""

    score: float
    none: float
    start: int
    end: int


def _window_answer(item: Item, logs: Tensor) -> _Answer:
    """Find the best answer in a window, of at most _LONGEST_ANSWER tokens. logs: (2, T), of start and end."""
    none = float(logs[0, 0] + logs[1, 0])
    first, n = item.context_start, len(item.offsets)
    if not n:
        return _Answer(float("-inf"), none, 0, 0)
    start, end = logs[:, first : first + n]
    both = (start[:, None] + end[None]).triu().clone()
    allowed = torch.ones(n, n, dtype=torch.bool).triu().tril(_LONGEST_ANSWER - 1)
    best = int(both.masked_fill(~allowed, float("-inf")).argmax())
    i, j = divmod(best, n)
    return _Answer(float(both[i, j]), none, item.offsets[i][0], item.offsets[j][1])


def _best_answer(context: str, windows: Sequence[_Answer]) -> Prediction:
    """Return the best answer of all windows, unless the lowest “no answer” score is higher, as in SQuAD 2.0."""
    best, none = max(windows, key=lambda window: window.score), min(window.none for window in windows)
    sure = float(torch.sigmoid(torch.tensor(best.score - none)))
    text = context[best.start : best.end]
    start = best.start + len(text) - len(text.lstrip())
    if best.score <= none or not text.strip():
        return Prediction(value="", score=1 - sure)
    return Prediction(value=text.strip(), score=sure, details={"start": start})
