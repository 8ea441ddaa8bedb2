"""The questions of the task pages to the open model, answered on the worker thread."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from terrarium.app.glass.names import token_names
from terrarium.app.glass.read_text import LabelQuestion, ReadText
from terrarium.models.events import result_of

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from terrarium.models.architecture.transformer import AnyModel
    from terrarium.models.data.batch import Batch
    from terrarium.models.tasks.encoding import TaskEncoder
    from terrarium.models.tasks.predicting import Prediction
    from terrarium.models.tasks.row_reader import Item


@dataclass(frozen=True, eq=False)
class Answered:
    """A model's prediction for a row.

    read: returns the row's tokens and the question for the glass box, given the training step; None if a long text was
    split into several windows.
    """

    row: Mapping[str, Any]
    prediction: Prediction
    read: Callable[[int], ReadText] | None


def answer_row(
    model: AnyModel, tokenizer: Tokenizer, task: str, row: Mapping[str, Any], labels: Sequence[str]
) -> Answered:
    """Predict a row of a label task.

    Raises:
        ValueError: as in `predict`.
    """
    from terrarium.models.tasks.encoding import TaskEncoder
    from terrarium.models.tasks.predicting import check_head, predict_items

    check_head(model, task, labels)
    encoder = TaskEncoder(model.config, tokenizer, task, labels)
    [prediction] = result_of(predict_items(model, encoder, [row]))
    items = encoder.items([row], has_targets=False)
    if len(items) > 1:
        return Answered(row, prediction, None)
    batch = encoder.batch(items)
    question = _question(encoder, row, items[0], batch, prediction)
    segments = () if batch.segments is None or not bool(batch.segments.any()) else tuple(batch.segments[0].tolist())
    ids = tuple(batch.inputs[0].tolist())
    source_ids = () if batch.source is None else tuple(batch.source[0].tolist())
    names = token_names(tokenizer, {*ids, *source_ids})
    read_from = 0 if model.config.topology == "encoder-only" else len(ids) - 1  # the position that `pooled` reads

    def read(step: int) -> ReadText:
        return ReadText(
            ids=ids,
            words=tuple(names[id] for id in ids),
            n_prompt=len(ids),
            source_ids=source_ids,
            source_words=tuple(names[id] for id in source_ids),
            step=step,
            start=_start(question, prediction, items[0], read_from),
            segments=segments,
            question=question,
        )

    return Answered(row, prediction, read)


def _question(
    encoder: TaskEncoder, row: Mapping[str, Any], item: Item, batch: Batch, prediction: Prediction
) -> LabelQuestion | None:
    """Return the question that the glass box explains, based on the prediction; None for a number.

    It is about the predicted label, the most likely of several labels, the tag of each word, or the answer span.
    """
    labels, value = encoder.labels, prediction.value
    if encoder.task == "classification":
        return LabelQuestion(head="sequence", labels=labels, outcome=labels.index(value))
    if encoder.task == "multi-label":
        label = max(range(len(labels)), key=lambda i: prediction.probabilities[labels[i]])
        return LabelQuestion(head="sequence", labels=labels, outcome=1, label=label)
    if encoder.task == "tagging":
        read = [(word, at) for word, at in zip(row["words"], item.first_tokens, strict=True) if at >= 0]
        words, starts = tuple(word for word, _ in read), tuple(at for _, at in read)
        return LabelQuestion(head="token", labels=labels, words=words, word_starts=starts) if read else None
    if encoder.task != "span" or batch.candidates is None:
        return None
    span, outcomes = (0, 0), ("an answer", "no answer")
    if value:
        first = prediction.details["start"]
        inside = [i for i, (start, end) in enumerate(item.offsets) if end > first and start < first + len(value)]
        span = item.context_start + inside[0], item.context_start + inside[-1]
        outcomes = "another answer", value
    candidates = tuple(batch.candidates[0].nonzero()[:, 0].tolist())
    return LabelQuestion(head="span", labels=outcomes, outcome=1, span=span, candidates=candidates)


def _start(question: LabelQuestion | None, prediction: Prediction, item: Item, read_from: int) -> int | None:
    """Return the index of the token that the glass box shows first; None without a question.

    It is the first tagged word, the answer's first token, or `read_from`, the token from which the label is predicted.
    """
    if question is None:
        return None
    if question.span is not None:
        return question.span[0]
    if not question.word_starts:
        return read_from
    tagged = (at for tag, at in zip(prediction.value, item.first_tokens, strict=True) if at >= 0 and tag != "O")
    return next(tagged, question.word_starts[0])
