"""Preferences in their published forms, as rows of the tasks "preference" and "unpaired".

TRL's (https://huggingface.co/docs/trl/dataset_formats), as texts or conversations, with the prompt in its own column or
as the common beginning of both sides; transcripts of Anthropic's HH; UltraFeedback; and those of ShareGPT, Alpaca and
OpenAI.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypeGuard

from terrarium.models.corpora.corpus import Example
from terrarium.models.importing.cells import EmptyRowError, RowError, asked_cell, message_cell, shortened, text_cell

TRANSCRIPT = {"user": "\n\nHuman:", "assistant": "\n\nAssistant:"}
"""Role → the prefix of a turn in HH's transcripts."""

_TURN = re.compile(r"(?:^|\n\n)(Human|Assistant):")
_ROLES = {"Human": "user", "Assistant": "assistant"}
_NO_LOSS = frozenset({"margin", "choice", "source"})
"""Columns of our own and similar rows that need no note if they are dropped."""

Messages = list[dict[str, str]]


def preference_row(cells: Mapping[str, Any]) -> Example:
    """Make a row from cells, role → value.

    Roles: `chosen` and `rejected`, each a text, a message or a conversation; or `replies`, a list of both, the better
    one first. `prompt`, a text or a conversation, may be missing if both sides begin with it. Equal scores mean a tie.

    Raises:
        EmptyRowError: if a side is empty, or both are the same.
        RowError: if a cell does not suit its role, or the prompt of the replies cannot be determined.
    """
    better, worse = _sides(cells)
    if isinstance(better, str) and isinstance(worse, str):
        asked, chosen, rejected = _of_texts(cells, better, worse)
    else:
        asked, chosen, rejected = _of_conversations(cells, _messages(better, "chosen"), _messages(worse, "rejected"))
    asked = _with_system(cells, asked)
    chosen, rejected = chosen.strip(), rejected.strip()
    for name, text in (("chosen", chosen), ("rejected", rejected)):
        if not text:
            raise EmptyRowError(f"its {name} reply is empty.")
    if chosen == rejected:
        raise EmptyRowError("its two replies are the same, so neither is better.")
    return {"messages": asked, "chosen": chosen, "rejected": rejected, **_judgement(cells)}


def rated_row(cells: Mapping[str, Any]) -> Example:
    """Make a row of a single reply labelled good or bad, in TRL's unpaired form.

    Roles: `completion`, a text, a message or a conversation with one reply, and `label`: true or false, or 1 or 0.
    `prompt`, a text or a conversation, may be missing if a conversation in `completion` begins with it.

    Raises:
        EmptyRowError: if the reply or the label is empty.
        RowError: if a cell does not suit its role, or the prompt of the reply cannot be determined.
    """
    label = cells.get("label")
    if label is None:
        raise EmptyRowError("its label is empty, so nothing says whether the reply is good.")
    if label not in (True, False) or not isinstance(label, bool | int | float):
        raise RowError(f"its label is neither true (a good reply) nor false (a bad one) but {shortened(label)}.")
    messages = _messages(cells.get("completion"), "completion")
    if messages[-1]["role"] != "assistant":
        raise RowError("its completion does not end with a reply.")
    *before, reply = messages
    asked = before if before and not cells.get("prompt") else [*_prompt(cells), *before]
    asked = _with_system(cells, asked)
    text = reply["content"].strip()
    if not text:
        raise EmptyRowError("its reply is empty.")
    return {"messages": asked, "completion": text, "label": bool(label), **_judgement(cells)}


def _with_system(cells: Mapping[str, Any], asked: Messages) -> Messages:
    """Prepend a separate system message to a prompt; RowError if the prompt does not end with the user."""
    system = cells.get("system")
    if isinstance(system, str) and system.strip() and asked[:1] and asked[0]["role"] != "system":
        asked = [{"role": "system", "content": system}, *asked]
    if not asked or asked[-1]["role"] != "user":
        raise RowError("its prompt does not end with a message of the user.")
    return asked


def import_notes(columns: Collection[str], roles: Mapping[str, str], rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return sentences about what an import of preferences drops, from the first rows of a source."""
    notes = []
    others = sorted(name for name in columns if name not in roles.values() and name.rpartition(".")[2] not in _NO_LOSS)
    if others:
        named = ", ".join(map(repr, others[:4])) + (" …" if len(others) > 4 else "")
        kept = "a prompt and two replies are" if "completion" not in roles else "a prompt, a reply and its label are"
        notes.append(f"Of preferences, {kept} kept, not the columns {named}.")
    if "chosen" in roles and "prompt" not in roles:
        sides = [(row.get(roles["chosen"]), row.get(roles["rejected"])) for row in rows]
        texts = [side for side in sides if all(isinstance(text, str) for text in side)]
        if any(_is_transcript(better) and _is_transcript(worse) for better, worse in texts):
            notes.append("Transcripts are cut at the first reply in which both sides differ: what follows is not kept.")
        elif texts:
            notes.append(
                "There is no prompt: what both texts begin with, up to a whole word, becomes the user's message."
            )
    return notes


def preference_form(roles: Mapping[str, str], rows: Sequence[Mapping[str, Any]]) -> str:
    """Describe which of the published forms the first row has."""
    if "replies" in roles:
        return "the better reply and the worse one in a list, as alpaca"
    better = next((value for row in rows if (value := row.get(roles["chosen"]))), None)
    if roles["chosen"].endswith(".value"):
        return "as ShareGPT"
    if roles["chosen"] == "preferred_output":
        return "as OpenAI"
    if isinstance(better, list):
        return "as UltraFeedback" if "score_chosen" in roles else "conversations, as TRL"
    if isinstance(better, str) and "prompt" not in roles:
        return "transcripts, as HH" if _is_transcript(better) else "texts with the prompt in them, as TRL"
    return "as alpaca" if roles.get("prompt") == "instruction" else "texts, as TRL"


def _sides(cells: Mapping[str, Any]) -> tuple[Any, Any]:
    if "replies" not in cells:
        return cells.get("chosen"), cells.get("rejected")
    replies = cells["replies"]
    if not isinstance(replies, list) or len(replies) != 2:
        raise RowError(f"its replies are no list of two, the better one first, but {shortened(replies)}.")
    return replies[0], replies[1]


def _of_texts(cells: Mapping[str, Any], better: str, worse: str) -> tuple[Messages, str, str]:
    """Parse the prompt and both replies from two texts."""
    if cells.get("prompt"):
        asked = _prompt(cells)
        lead = cells["prompt"]
        if isinstance(lead, str) and better.startswith(lead) and worse.startswith(lead):
            return asked, better[len(lead) :], worse[len(lead) :]
        return asked, better, worse
    for name, text in (("chosen", better), ("rejected", worse)):
        text_cell({name: text}, name)
    if _is_transcript(better) and _is_transcript(worse):
        return _divided(_turns(better), _turns(worse))
    n = next((i for i, (one, other) in enumerate(zip(better, worse, strict=False)) if one != other), None)
    n = min(len(better), len(worse)) if n is None else n
    n = max(better.rfind(white, 0, n) + 1 for white in " \n\t")  # the start of the first differing word
    if not better[:n].strip():
        raise RowError("it has no prompt, and its two texts begin differently: say which column is the prompt.")
    return [{"role": "user", "content": better[:n].strip()}], better[n:], worse[n:]


def _of_conversations(cells: Mapping[str, Any], better: Messages, worse: Messages) -> tuple[Messages, str, str]:
    """Parse the prompt and both replies from two conversations: whole ones, or replies to the prompt."""
    if better[0]["role"] != "assistant":
        return _divided(better, worse)
    for name, messages in (("chosen", better), ("rejected", worse)):
        if len(messages) != 1 or messages[0]["role"] != "assistant":
            raise RowError(f"its {name} side has {len(messages)} messages where one reply belongs.")
    return _prompt(cells), better[0]["content"], worse[0]["content"]


def _divided(better: Messages, worse: Messages) -> tuple[Messages, str, str]:
    """Split two conversations into their common beginning and the first replies that differ."""
    n = 0
    while n < min(len(better), len(worse)) and better[n] == worse[n]:
        n += 1
    if n == min(len(better), len(worse)):
        n -= 1  # equal, or one continues where the other ends: the replies are the last common message
    if n < 0 or better[n]["role"] != "assistant" or worse[n]["role"] != "assistant":
        raise RowError("its two conversations differ before a reply, so they do not answer the same.")
    return better[:n], better[n]["content"], worse[n]["content"]


def _prompt(cells: Mapping[str, Any]) -> Messages:
    value = cells.get("prompt")
    if isinstance(value, str) and value.lstrip().startswith("[{"):  # tables store conversations as JSON
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            value = cells["prompt"]
    if isinstance(value, list):
        return _messages(value, "prompt")
    if _is_transcript(value):
        turns = _turns(value)
        return turns[:-1] if turns[-1] == {"role": "assistant", "content": ""} else turns
    return [{"role": "user", "content": asked_cell(cells)}]


def _messages(value: Any, role: str) -> Messages:
    """Parse a side or a prompt into messages; a bare text on one side is a reply."""
    if isinstance(value, str):
        return [{"role": "assistant", "content": value}]
    if isinstance(value, dict):
        return [message_cell(value)]
    if value is None or value == []:
        raise EmptyRowError(f"its {role} side is empty.")
    if not isinstance(value, list):
        raise RowError(f"its {role} side is neither a text nor messages but {shortened(value)}.")
    return [message_cell(message) for message in value]


def _is_transcript(text: Any) -> TypeGuard[str]:
    return isinstance(text, str) and text.lstrip("\n").startswith(("Human:", "Assistant:")) and "Human:" in text


def _turns(text: str) -> Messages:
    """Split one of HH's transcripts into turns."""
    parts = _TURN.split("\n\n" + text.lstrip("\n"))
    return [
        {"role": _ROLES[speaker], "content": content.strip()}
        for speaker, content in zip(parts[1::2], parts[2::2], strict=True)
    ]


def _judgement(cells: Mapping[str, Any]) -> Example:
    """Return whether it is a tie, the margin, and the source of the judgement, as far as the cells have them."""
    found: Example = {}
    scores = [_number(cells.get(role)) for role in ("score_chosen", "score_rejected")]
    if scores[0] is not None and scores[1] is not None:
        if scores[0] == scores[1]:
            found["choice"] = "tie"
        else:
            found["margin"] = scores[0] - scores[1]
    if cells.get("choice") == "tie":
        found["choice"] = "tie"
    if isinstance(cells.get("source"), str) and cells["source"].strip():
        found["source"] = cells["source"]
    return found


def _number(value: Any) -> float | None:
    try:
        number = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else math.nan
    except ValueError:
        return None
    return number if math.isfinite(number) else None
