"""Export of preferences to files of other programs, and what each form cannot represent."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from types import MappingProxyType
from typing import Any

from terrarium.models.corpora.corpus import Example, json_line
from terrarium.models.events import Event, Progress
from terrarium.models.files.atomic import replace_path, temporary_folder
from terrarium.models.importing.preference_rows import TRANSCRIPT
from terrarium.models.number_words import capitalized, format_count

_PROGRESS_ROWS = 500
_TABLE = ("prompt", "chosen", "rejected", "choice", "source")

Messages = Sequence[Mapping[str, str]]


@dataclass(frozen=True, kw_only=True)
class PreferenceForm:
    """A file form. title: its name on screen. row: converts a row of ours, without what the form cannot represent.

    has_turns, has_system, has_ties, has_source: whether it supports prompts of several turns, system prompts, ties, and
    the source of the judgement. is_paired: whether a row has two replies; otherwise it is a single good or bad reply,
    and a pair becomes two rows. marks: the prefixes of turns in its texts, which no text may contain.
    """

    title: str
    row: Callable[[Example], dict[str, Any]]
    suffix: str = ".jsonl"
    has_turns: bool = True
    has_system: bool = True
    has_ties: bool = False
    has_source: bool = False
    is_paired: bool = True
    marks: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Written:
    """The result of an export: its number of rows, and sentences about what was left out."""

    n: int
    notes: tuple[str, ...]


def write_preferences(rows: Iterable[Example], n_rows: int, form: str, path: Path) -> Generator[Event, None, Written]:
    """Write rows to a file in one of PREFERENCE_FORMS, atomically, even if the generator is closed or fails.

    Yields Progress (rows).

    Raises:
        ValueError: if there is no such form, or no row can be written in it.
    """
    if form not in PREFERENCE_FORMS:
        raise ValueError(f"There is no form {form!r} of preferences: choose one of {', '.join(PREFERENCE_FORMS)}.")
    known, left, n = PREFERENCE_FORMS[form], Counter[str](), 0
    path.parent.mkdir(parents=True, exist_ok=True)
    with temporary_folder(path) as folder:
        with (folder / path.name).open("w", encoding="utf-8", errors="replace", newline="") as file:
            if known.suffix == ".csv":
                file.write(_csv_line(_TABLE))
            for i, row in enumerate(rows):
                if i % _PROGRESS_ROWS == 0:
                    yield Progress(done=i, total=n_rows)
                if reason := _obstacle(known, row):
                    left[reason] += 1
                    continue
                left.update(_unsaid(known, row))
                for made in map(known.row, [row] if known.is_paired else unpaired(row)):
                    line = _csv_line([made[name] for name in _TABLE]) if known.suffix == ".csv" else json_line(made)
                    file.write(line)
                    n += 1
        if not n:
            raise ValueError(f"No row can be written as {known.title}: {'; '.join(_notes(left)) or 'there is none'}.")
        replace_path(folder / path.name, path)
    return Written(n=n, notes=tuple(f"{capitalized(note)}." for note in _notes(left)))


def unpaired(row: Example) -> list[Example]:
    """Convert a pair into two replies labelled good or bad, as TRL's `unpair_preference_dataset` does.

    A row with one rated reply stays unchanged.
    """
    if "completion" in row:
        return [row]
    rest = {name: value for name, value in row.items() if name not in ("chosen", "rejected", "choice", "margin")}
    return [{**rest, "completion": row[side], "label": side == "chosen"} for side in ("chosen", "rejected")]


_LONE, _TIES, _TURNS, _MARKS = "lone", "ties", "turns", "marks"
_SYSTEM, _SOURCE = "system", "source"
_NOTES = {
    _LONE: "left behind: {replies} rated without another one, since this form has pairs",
    _TIES: "left behind: {pairs} about equal, since this form has no ties",
    _TURNS: "left behind: {rows} with several turns, since its prompts are single texts",
    _MARKS: "left behind: {rows} with texts that would be read as turns (“Human:”, “Assistant:”)",
    _SYSTEM: "not kept: the system prompt of {rows}",
    _SOURCE: "not kept: who chose",
}


def _obstacle(form: PreferenceForm, row: Example) -> str:
    """Return why a row cannot be written, a key of _NOTES; "" if it can."""
    is_rated = "completion" in row
    if is_rated and form.is_paired:
        return _LONE
    if row.get("choice") == "tie" and not form.has_ties:
        return _TIES
    if not form.has_turns and sum(message["role"] != "system" for message in row["messages"]) > 1:
        return _TURNS
    sides = ("completion",) if is_rated else ("chosen", "rejected")
    texts = (*(row[side] for side in sides), *(message["content"] for message in row["messages"]))
    if any(mark in text for mark in form.marks for text in texts):
        return _MARKS
    return ""


def _unsaid(form: PreferenceForm, row: Example) -> list[str]:
    has_system = row["messages"][0]["role"] == "system"
    return [
        *([_SYSTEM] if has_system and not form.has_system else []),
        *([_SOURCE] if "source" in row and not form.has_source else []),
    ]


def _notes(left: Mapping[str, int]) -> list[str]:
    found = []
    for name, words in _NOTES.items():
        if n := left[name]:
            replies = format_count(n, "reply", "replies")
            found.append(words.format(pairs=format_count(n, "pair"), replies=replies, rows=format_count(n, "row")))
    return found


def _csv_line(cells: Iterable[Any]) -> str:
    text = StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()


def _said(text: str) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": text}]


def _asked(row: Example) -> str:
    """Return the last message of the user."""
    return str(row["messages"][-1]["content"])


def _system(row: Example) -> dict[str, str]:
    first = row["messages"][0]
    return {"system": first["content"]} if first["role"] == "system" else {}


def _trl(row: Example) -> dict[str, Any]:
    return {"prompt": row["messages"], "chosen": _said(row["chosen"]), "rejected": _said(row["rejected"])}


def _trl_text(row: Example) -> dict[str, Any]:
    return {"prompt": _asked(row), "chosen": row["chosen"], "rejected": row["rejected"]}


def _trl_unpaired(row: Example) -> dict[str, Any]:
    return {"prompt": row["messages"], "completion": _said(row["completion"]), "label": row["label"]}


def _trl_unpaired_text(row: Example) -> dict[str, Any]:
    return {"prompt": _asked(row), "completion": row["completion"], "label": row["label"]}


def _hh(row: Example) -> dict[str, Any]:
    turns = [message for message in row["messages"] if message["role"] != "system"]
    lead = "".join(f"{TRANSCRIPT[message['role']]} {message['content']}" for message in turns)
    return {side: f"{lead}{TRANSCRIPT['assistant']} {row[side]}" for side in ("chosen", "rejected")}


def _ultrafeedback(row: Example) -> dict[str, Any]:
    asked, is_tie = list(row["messages"]), row.get("choice") == "tie"
    chosen = asked + _said(row["chosen"])
    margin = 0.0 if is_tie else row.get("margin", 1.0)
    return {
        "prompt": _asked(row),
        "chosen": chosen,
        "rejected": asked + _said(row["rejected"]),
        "messages": chosen,
        "score_chosen": margin,
        "score_rejected": 0.0,
    }


_SPEAKERS = {"system": "system", "user": "human", "assistant": "gpt"}


def _sharegpt(row: Example) -> dict[str, Any]:
    return {
        "conversations": [{"from": _SPEAKERS[each["role"]], "value": each["content"]} for each in row["messages"]],
        "chosen": {"from": "gpt", "value": row["chosen"]},
        "rejected": {"from": "gpt", "value": row["rejected"]},
    }


def _alpaca(row: Example) -> dict[str, Any]:
    sides = {"chosen": row["chosen"], "rejected": row["rejected"]}
    return {"instruction": _asked(row), "input": "", **sides, **_system(row)}


def _openai(row: Example) -> dict[str, Any]:
    return {
        "input": {"messages": row["messages"], "tools": [], "parallel_tool_calls": True},
        "preferred_output": _said(row["chosen"]),
        "non_preferred_output": _said(row["rejected"]),
    }


def _table(row: Example) -> dict[str, Any]:
    is_text = len(row["messages"]) == 1
    return {
        "prompt": _asked(row) if is_text else json.dumps(row["messages"], ensure_ascii=False),
        "chosen": row["chosen"],
        "rejected": row["rejected"],
        "choice": row.get("choice", ""),
        "source": row.get("source", ""),
    }


PREFERENCE_FORMS: Mapping[str, PreferenceForm] = MappingProxyType(
    {
        "trl": PreferenceForm(title="TRL, conversations", row=_trl),
        "trl-text": PreferenceForm(title="TRL, texts", row=_trl_text, has_turns=False, has_system=False),
        "trl-unpaired": PreferenceForm(title="TRL, rated conversations", row=_trl_unpaired, is_paired=False),
        "trl-unpaired-text": PreferenceForm(
            title="TRL, rated texts", row=_trl_unpaired_text, has_turns=False, has_system=False, is_paired=False
        ),
        "hh": PreferenceForm(title="HH, transcripts", row=_hh, has_system=False, marks=tuple(TRANSCRIPT.values())),
        "ultrafeedback": PreferenceForm(title="UltraFeedback", row=_ultrafeedback, has_ties=True),
        "sharegpt": PreferenceForm(title="ShareGPT", row=_sharegpt),
        "alpaca": PreferenceForm(title="Alpaca", row=_alpaca, has_turns=False),
        "openai": PreferenceForm(title="OpenAI", row=_openai),
        "csv": PreferenceForm(title="Table (CSV)", row=_table, suffix=".csv", has_ties=True, has_source=True),
    }
)
"""Name → form."""
