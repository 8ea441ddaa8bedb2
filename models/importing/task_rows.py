"""Conversion of external records into rows of a task, in the form that models.settings.tasks defines."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from terrarium.models.corpora.corpus import Example
from terrarium.models.importing.cells import EmptyRowError, RowError, asked_cell, message_cell, shortened, text_cell
from terrarium.models.importing.formats.rows import Row
from terrarium.models.importing.plan import ImportPlan
from terrarium.models.importing.preference_rows import preference_row, rated_row
from terrarium.models.settings.tasks import JUDGED_BY

_TAG = re.compile(r"([BILOUSEM])-(.+)")


def task_row(plan: ImportPlan, values: Row) -> Example:
    """Convert values into a row of the plan's task.

    Raises:
        EmptyRowError: if a required cell is missing.
        RowError: if a cell does not suit its role.
    """
    cells = {role: values.get(column) for role, column in plan.columns.items()}
    return _MAKERS[plan.task](cells)


def to_iob2(tags: Sequence[str]) -> list[str]:
    """Convert entity tags in IOB1, IOB2, BILOU or BIOES to IOB2; others, such as parts of speech, stay unchanged."""
    marks = [("O", "") if tag == "O" else _mark(tag) for tag in tags]
    if any(not mark for mark, _ in marks):
        return list(tags)
    new, last = list[str](), ""
    for mark, kind in marks:
        new.append("O" if mark == "O" else f"{'I' if mark in 'ILEM' and kind == last else 'B'}-{kind}")
        last = kind if mark in "BIM" else ""
    return new


def _mark(tag: str) -> tuple[str, str]:
    match = _TAG.fullmatch(tag)
    return (match.group(1), match.group(2)) if match else ("", tag)


def _plain(cells: Mapping[str, Any]) -> Example:
    return {"text": text_cell(cells, "text")}


def _with_pair(cells: Mapping[str, Any]) -> Example:
    row: Example = {"text": text_cell(cells, "text")}
    return {**row, "text_pair": text_cell(cells, "text_pair")} if "text_pair" in cells else row


def _classified(cells: Mapping[str, Any]) -> Example:
    value = cells.get("label")
    if isinstance(value, bool):
        value = str(value).lower()
    elif isinstance(value, float) and value.is_integer():
        value = int(value)
    label = text_cell({"label": value}, "label").strip()
    return {**_with_pair(cells), "label": label}


def _multi_labelled(cells: Mapping[str, Any]) -> Example:
    value = cells.get("labels")
    if value is None:
        value = []
    if isinstance(value, str):
        value = [label for label in re.split(r"[;|,]", value) if label.strip()]
    if not isinstance(value, list) or any(isinstance(label, dict | list) or label is None for label in value):
        raise RowError(f"its labels are no list of labels but {shortened(value)}.")
    return {**_with_pair(cells), "labels": list(dict.fromkeys(str(label).strip() for label in value))}


def _scored(cells: Mapping[str, Any]) -> Example:
    value = text_cell(cells, "score").strip()
    try:
        score = float(value.replace(",", ".") if value.count(",") == 1 and "." not in value else value)
    except ValueError:
        raise RowError(f"its score is no number but {shortened(value)}.") from None
    if not math.isfinite(score):
        raise RowError(f"its score is {value}, which no model can learn.")
    return {**_with_pair(cells), "score": score}


def _tagged(cells: Mapping[str, Any]) -> Example:
    words, tags = _texts(cells, "words"), _texts(cells, "tags")
    if not words:
        raise EmptyRowError("it has no words.")
    if len(words) != len(tags):
        raise RowError(f"it has {len(words)} words but {len(tags)} tags.")
    return {"words": words, "tags": to_iob2(tags)}


def _texts(cells: Mapping[str, Any], role: str) -> list[str]:
    value = cells.get(role)
    if isinstance(value, str):
        return value.split()
    if value is None:
        return []
    if not isinstance(value, list) or any(not isinstance(item, str | int) for item in value):
        raise RowError(f"its {role} are no list of texts but {shortened(value)}.")
    return [str(item) for item in value]


def _asked(cells: Mapping[str, Any]) -> Example:
    context = text_cell(cells, "context")
    answers = [_answer(answer, context) for answer in _answers(cells.get("answers"))]
    return {"question": text_cell(cells, "question"), "context": context, "answers": answers}


def _answers(value: Any) -> list[Any]:
    """Return the answers of a row, from any of their published forms, as a list."""
    if value is None or value == "":
        return []
    if isinstance(value, dict):
        texts, starts = value.get("text"), value.get("answer_start")
        if not isinstance(texts, list) or not isinstance(starts, list) or len(texts) != len(starts):
            raise RowError("its answers have not as many starts as texts.")
        return [{"text": text, "start": start} for text, start in zip(texts, starts, strict=True)]
    return value if isinstance(value, list) else [value]


def _answer(value: Any, context: str) -> dict[str, Any]:
    start = None
    if isinstance(value, dict):
        start = value.get("start", value.get("answer_start"))
        value = value.get("text")
    if not isinstance(value, str) or not value:
        raise RowError(f"an answer is no text but {shortened(value)}.")
    if start is None:
        start = context.find(value)
        if start < 0:
            raise RowError(f"its context does not contain the answer {shortened(value)}.")
    if not isinstance(start, int) or context[start : start + len(value)] != value or start < 0:
        raise RowError(f"its context has not the answer {shortened(value)} at character {shortened(start)}.")
    return {"text": value, "start": start}


def _paired(cells: Mapping[str, Any]) -> Example:
    row: Example = {"source": text_cell(cells, "source"), "target": text_cell(cells, "target")}
    return row | {role: _judged(cells, role) for role in JUDGED_BY if role in cells}


def _judged(cells: Mapping[str, Any], role: str) -> Any:
    """Return what a text is judged by; tables store it as JSON."""
    value = cells[role]
    if role == "language":
        return text_cell(cells, role)
    if isinstance(value, str) and value.strip():
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise RowError(f"its {role} are no JSON but {shortened(value)}.") from None
    if not value:
        raise EmptyRowError(f"it has no {role}.")
    form, is_right = _JUDGED_FORMS[role]
    if not is_right(value):
        raise RowError(f"its {role} are not {form} but {shortened(value)}.")
    return value


def _are_cases(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(case, dict) and isinstance(case.get("arguments"), list) and "expected" in case for case in value
    )


def _are_facts(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(fact, list) and all(isinstance(part, str) for part in fact) for fact in value
    )


def _are_fields(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(kind, str) for kind in value.values())


_JUDGED_FORMS: Mapping[str, tuple[str, Callable[[Any], bool]]] = {
    "cases": ('[{"arguments": […], "expected": …}, …]', _are_cases),
    "facts": ("lists of texts", _are_facts),
    "fields": ('{"name": "type", …}', _are_fields),
}


def _conversation(cells: Mapping[str, Any]) -> Example:
    system = cells.get("system")
    messages = [{"role": "system", "content": system}] if isinstance(system, str) and system.strip() else []
    if "messages" not in cells:
        asked, reply = asked_cell(cells), text_cell(cells, "reply")
        return {"messages": [*messages, {"role": "user", "content": asked}, {"role": "assistant", "content": reply}]}
    value = cells["messages"]
    if value is None or value == []:
        raise EmptyRowError("it has no messages.")
    if not isinstance(value, list):
        raise RowError(f"its messages are no list but {shortened(value)}.")
    messages += [message_cell(message) for message in value]
    while messages and messages[-1]["role"] != "assistant":
        messages.pop()  # messages without a reply teach nothing
    if not messages:
        raise EmptyRowError("it has no reply.")
    return {"messages": messages}


_MAKERS = {
    "language": _plain,
    "chat": _conversation,
    "classification": _classified,
    "multi-label": _multi_labelled,
    "regression": _scored,
    "tagging": _tagged,
    "span": _asked,
    "text-to-text": _paired,
    "preference": preference_row,
    "unpaired": rated_row,
}
