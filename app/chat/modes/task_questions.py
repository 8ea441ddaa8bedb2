"""What the pages for tasks ask of the open model, on the worker's thread."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from app.glass.names import token_names
from app.glass.read_text import ReadText
from models.events import result_of

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from models.architecture.transformer import AnyModel
    from models.tasks.predicting import Prediction


@dataclass(frozen=True, eq=False)
class Answered:
    """What a model says about a row. read: its tokens, for the glass box.

    None where that would read them otherwise than the model did: in two segments, or in several windows.
    """

    row: Mapping[str, Any]
    prediction: Prediction
    read: Callable[[int], ReadText] | None


def answer_row(
    model: AnyModel, tokenizer: Tokenizer, task: str, row: Mapping[str, Any], labels: Sequence[str]
) -> Answered:
    """The prediction for one row of a label task; ValueError as `predict`."""
    from models.tasks.encoding import TaskEncoder
    from models.tasks.predicting import check_head, predict_items

    check_head(model, task, labels)
    encoder = TaskEncoder(model.config, tokenizer, task, labels)
    [prediction] = result_of(predict_items(model, encoder, [row]))
    items = encoder.items([row], has_targets=False)
    batch = encoder.batch(items[:1])
    is_plain = len(items) == 1 and (batch.segments is None or not bool(batch.segments.any()))
    ids = tuple(batch.inputs[0].tolist())
    source_ids = () if batch.source is None else tuple(batch.source[0].tolist())
    names = token_names(tokenizer, {*ids, *source_ids})

    def read(step: int) -> ReadText:
        return ReadText(
            ids=ids,
            words=tuple(names[id] for id in ids),
            n_prompt=len(ids),
            source_ids=source_ids,
            source_words=tuple(names[id] for id in source_ids),
            step=step,
        )

    return Answered(row, prediction, read if is_plain else None)
