"""Guesses of a task and of the role of each column, from the columns' names and contents."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from terrarium.models.importing.formats.rows import LANGUAGES, Row
from terrarium.models.importing.preference_rows import preference_form
from terrarium.models.settings.tasks import JUDGED_BY


@dataclass(frozen=True, kw_only=True)
class Column:
    """Statistics of one column over the inspected rows.

    type: "text", "number", "truth value", "list", "object", "mixed" or "empty". n_missing: rows without it. n_unique:
    distinct values, counted up to MAX_UNIQUE. lengths: minimum, mean and maximum number of characters (for a list: of
    its elements' text). histogram: number of values in equally wide ranges of length, from the minimum to the maximum.
    examples: its first distinct values, shortened.
    """

    name: str
    type: str
    n_missing: int
    n_unique: int
    lengths: tuple[int, float, int]
    histogram: tuple[int, ...]
    examples: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Guess:
    """The guessed task of TASKS ("" if undecided), role → column, and the reason."""

    task: str = ""
    roles: Mapping[str, str] = field(default_factory=dict)
    reason: str = ""


_NAMES = {
    "messages": ("messages", "conversations", "conversation", "dialogue", "dialog", "chat"),
    "prompt": ("instruction", "prompt", "user", "query", "question"),
    "input": ("input",),
    "reply": ("output", "response", "completion", "reply", "answer", "assistant"),
    "system": ("system", "system_prompt"),
    "chosen": (
        "chosen",
        "chosen.value",
        "chosen.content",
        "preferred_output",
        "chosen_response",
        "response_chosen",
        "preferred",
    ),
    "rejected": (
        "rejected",
        "rejected.value",
        "rejected.content",
        "non_preferred_output",
        "rejected_response",
        "response_rejected",
        "dispreferred",
    ),
    "asked": ("prompt", "instruction", "input.messages", "conversations", "conversation", "question", "query", "input"),
    "replies": ("output", "outputs", "replies", "responses", "answers"),
    "score_chosen": ("score_chosen", "chosen_score", "chosen-rating", "chosen_rating"),
    "score_rejected": ("score_rejected", "rejected_score", "rejected-rating", "rejected_rating"),
    "context": ("context", "passage", "paragraph"),
    "question": ("question",),
    "answers": ("answers", "answer", "answers.text"),
    "words": ("words", "tokens", "form", "word"),
    "tags": ("ner_tags", "ner", "tags", "upos", "pos", "pos_tags", "labels", "tag"),
    "text": (
        "text",
        "sentence",
        "sentence1",
        "premise",
        "content",
        "review",
        "message",
        "body",
        "title",
        "comment",
        "tweet",
    ),
    "text_pair": ("text_pair", "sentence2", "hypothesis", "text2"),
    "label": (
        "label",
        "labels",
        "class",
        "category",
        "target",
        "sentiment",
        "folder",
        "genre",
        "topic",
        "intent",
        "language",
    ),
    "labels": ("labels", "categories", "genres", "topics", "tags"),
    "score": ("score", "rating", "stars", "similarity", "value"),
    "source": ("source", "src", "document", "article", "input", "input_text", "english", "en", "docstring", "dialogue"),
    "target": ("target", "tgt", "summary", "highlights", "output", "target_text", "translation", "code"),
    "group": ("skeleton", "group", "group_id", "story_id", "document_id"),
}
"""Role → usual column names, the most reliable first."""

_LANGUAGE = re.compile(r"(?:.*\.)?([a-z]{2,3})(?:[_-][A-Za-z]{2,4})?")
_MAX_LABELS = 100
_MIN_GROUPS = 20
_MAX_OUTSIDE = 0.1


def guess_task(columns: Mapping[str, Column], rows: Sequence[Row], *, is_text: bool = False) -> Guess:
    """Guess the task of rows with these columns.

    is_text: the rows are plain texts, so "text" needs no label.
    """
    for guess in (_preference, _rated, _chat, _span, _tagging, _pairs, _labelled):
        if found := guess(columns, rows):
            found = _with_judged(found, columns)
            group = _named(columns, "group")
            if group and columns[group].n_unique >= _MIN_GROUPS and group not in found.roles.values():
                return replace(found, roles={**found.roles, "group": group})
            return found
    text = _named(columns, "text", kinds=("text", "mixed")) or _longest_text(columns)
    if text and (is_text or len(columns) == 1 or text in _NAMES["text"]):
        return Guess(task="language", roles={"text": text}, reason=f"plain text in “{text}”")
    return Guess(roles={"text": text} if text else {}, reason="nothing says which column is to be learned")


def _with_judged(guess: Guess, columns: Mapping[str, Column]) -> Guess:
    """Add the columns that judge replies of a text-to-text task, if they have their usual names."""
    if guess.task != "text-to-text":
        return guess
    kinds = {"cases": ("list", "text"), "facts": ("list", "text"), "fields": ("object", "text"), "language": ("text",)}
    judged = {
        role: role
        for role in JUDGED_BY
        if role in columns and columns[role].type in kinds[role] and role not in guess.roles.values()
    }
    return replace(guess, roles={**guess.roles, **judged})


def _named(columns: Mapping[str, Column], role: str, kinds: Sequence[str] = ()) -> str:
    """Return the column with a usual name for a role, and one of these types; "" if there is none."""
    by_name = {name.rpartition(".")[2].lower().replace(" ", "_"): name for name in columns}
    by_name |= {name.lower().replace(" ", "_"): name for name in columns}
    for usual in _NAMES[role]:
        name = by_name.get(usual)
        if name is not None and (not kinds or columns[name].type in kinds):
            return name
    return ""


def _longest_text(columns: Mapping[str, Column]) -> str:
    texts = [column for column in columns.values() if column.type in ("text", "mixed")]
    return max(texts, key=lambda column: column.lengths[1]).name if texts else ""


def _preference(columns: Mapping[str, Column], rows: Sequence[Row]) -> Guess | None:
    kinds = ("text", "list", "object", "mixed", "number")
    chosen, rejected = (_named(columns, role, kinds=kinds) for role in ("chosen", "rejected"))
    prompt = _named(columns, "asked", kinds=("text", "list", "mixed"))
    roles = {"chosen": chosen, "rejected": rejected}
    if not (chosen and rejected):
        pairs = _named(columns, "replies", kinds=("list",))
        if not (pairs and prompt) or any(len(row.get(pairs) or "") != 2 for row in rows):
            return None
        roles = {"replies": pairs}
    if not prompt and chosen == "chosen" and columns[chosen].type == "text":
        prompt = _named(columns, "messages", kinds=("list",))  # as in our own rows
    if prompt:
        roles["prompt"] = prompt
    for role, types in (
        ("input", ("text", "empty", "mixed")),
        ("system", ("text",)),
        ("score_chosen", ("number",)),
        ("score_rejected", ("number",)),
    ):
        name = _named(columns, role, kinds=types)
        if name and name not in roles.values():
            roles[role] = name
    if "choice" in columns and "tie" in columns["choice"].examples:
        roles["choice"] = "choice"
    if "source" in columns and columns["source"].type == "text":
        roles["source"] = "source"
    sides = (
        f"“{chosen}” is preferred to “{rejected}”" if chosen and rejected else f"“{roles['replies']}” has two replies"
    )
    return Guess(task="preference", roles=roles, reason=f"{sides} ({preference_form(roles, rows)})")


def _rated(columns: Mapping[str, Column], rows: Sequence[Row]) -> Guess | None:
    """Recognise single replies with a boolean label, as in TRL's unpaired preferences."""
    reply = _named(columns, "reply", kinds=("text", "list", "object"))
    prompt = _named(columns, "asked", kinds=("text", "list", "mixed"))
    if "label" not in columns or columns["label"].type != "truth value" or not reply:
        return None
    if not prompt and reply == "completion" and columns[reply].type == "text":
        prompt = _named(columns, "messages", kinds=("list",))  # as in our own rows
    if not prompt and columns[reply].type != "list":
        return None
    source = "source" if "source" in columns and columns["source"].type == "text" else ""
    further = {"prompt": prompt, "system": _named(columns, "system", kinds=("text",)), "source": source}
    roles = {"completion": reply, "label": "label", **{role: name for role, name in further.items() if name}}
    return Guess(task="unpaired", roles=roles, reason=f"“{reply}” is called good or bad by “label” (as TRL's unpaired)")


def _chat(columns: Mapping[str, Column], rows: Sequence[Row]) -> Guess | None:
    messages = _named(columns, "messages", kinds=("list",))
    if messages:
        first = next((row[messages][0] for row in rows if row.get(messages)), None)
        if isinstance(first, dict) and first.keys() & {"role", "from"}:
            form = "ShareGPT: from, value" if "from" in first else "role, content"
            roles = {"messages": messages}
            if system := _named(columns, "system", kinds=("text",)):
                roles["system"] = system
            return Guess(task="chat", roles=roles, reason=f"“{messages}” holds conversations ({form})")
    if "context" in columns:
        return None  # extractive question answering instead
    texts = ("text", "number", "mixed", "empty")
    prompt, reply = _named(columns, "prompt", kinds=texts), _named(columns, "reply", kinds=texts)
    if prompt and reply:
        roles = {"prompt": prompt, "reply": reply}
        for role in ("input", "system"):
            if name := _named(columns, role, kinds=texts):
                roles[role] = name
        form = " (as alpaca)" if "input" in roles and "instruction" in prompt else ""
        return Guess(task="chat", roles=roles, reason=f"“{prompt}” is answered by “{reply}”{form}")
    return None


def _span(columns: Mapping[str, Column], rows: Sequence[Row]) -> Guess | None:
    question, context, answers = (_named(columns, role) for role in ("question", "context", "answers"))
    if question and context and answers:
        roles = {"question": question, "context": context, "answers": answers}
        return Guess(task="span", roles=roles, reason="questions with a context and answers, as SQuAD")
    return None


def _tagging(columns: Mapping[str, Column], rows: Sequence[Row]) -> Guess | None:
    words = _named(columns, "words", kinds=("list",))
    if not words:
        return None
    for usual in _NAMES["tags"]:
        tags = next((name for name in columns if name.lower() == usual and columns[name].type == "list"), "")
        if tags and all(len(row.get(words) or ()) == len(row.get(tags) or ()) for row in rows):
            return Guess(task="tagging", roles={"words": words, "tags": tags}, reason=f"“{tags}” has one tag per word")
    return None


def _pairs(columns: Mapping[str, Column], rows: Sequence[Row]) -> Guess | None:
    texts = [name for name, column in columns.items() if column.type in ("text", "mixed", "number")]
    languages = [name for name in texts if (match := _LANGUAGE.fullmatch(name)) and match.group(1) in LANGUAGES]
    if len(languages) >= 2:
        languages.sort(key=lambda name: not name.endswith("en"))
        roles = {"source": languages[0], "target": languages[1]}
        return Guess(task="text-to-text", roles=roles, reason=f"“{languages[0]}” and “{languages[1]}” are languages")
    source, target = _named(columns, "source", kinds=("text",)), _named(columns, "target", kinds=("text",))
    if source and target and source != target and columns[target].n_unique > min(20, len(rows) // 2):
        return Guess(
            task="text-to-text", roles={"source": source, "target": target}, reason=f"“{target}” belongs to “{source}”"
        )
    return None


def _labelled(columns: Mapping[str, Column], rows: Sequence[Row]) -> Guess | None:
    text = _named(columns, "text", kinds=("text", "mixed")) or _longest_text(columns)
    if not text:
        return None
    roles, others = {"text": text}, {name: column for name, column in columns.items() if name != text}
    folder = others.get("folder")
    if folder is not None and not (_has_few_values(folder, rows) and folder.n_missing <= _MAX_OUTSIDE * len(rows)):
        del others["folder"]  # such as the folders of a program
    if pair := _named(others, "text_pair", kinds=("text", "mixed")):
        roles["text_pair"] = pair
    labels = _named(others, "labels", kinds=("list",))
    if labels:
        found = others[labels]
        return Guess(task="multi-label", roles={**roles, "labels": labels}, reason=f"“{labels}” is a list of labels")
    label = _named(others, "label", kinds=("text", "number", "truth value"))
    if not label and not _named(others, "score"):
        few = [
            name for name, column in others.items() if _has_few_values(column, rows) and name != roles.get("text_pair")
        ]
        label = min(few, key=lambda name: others[name].n_unique, default="")
    if label and (_has_few_values(others[label], rows) or others[label].type != "number"):
        found = others[label]
        if found.n_unique <= _MAX_LABELS:
            few_words = ", ".join(found.examples[:3]) + (", …" if found.n_unique > 3 else "")
            values = "value" if found.n_unique == 1 else "values"
            reason = f"“{label}” has {found.n_unique} {values} ({few_words})"
            return Guess(task="classification", roles={**roles, "label": label}, reason=reason)
    score = _named(others, "score", kinds=("number",)) or next(
        (name for name, column in others.items() if column.type == "number" and _is_fraction(column)), ""
    )
    if score:
        return Guess(task="regression", roles={**roles, "score": score}, reason=f"“{score}” is a number")
    return None


def _has_few_values(column: Column, rows: Sequence[Row]) -> bool:
    """Return whether the values recur, as labels do."""
    if column.type == "number" and _is_fraction(column):
        return False
    n = sum(column.histogram)
    return 2 <= column.n_unique <= _MAX_LABELS and 2 * column.n_unique <= max(n, 4) and column.lengths[2] <= 60


def _is_fraction(column: Column) -> bool:
    return any(re.search(r"[.,]\d", text) and not text.endswith(".0") for text in column.examples)
