"""Conversations as JSON: format 2 (the tree of messages), and reading of format 1 (a list of turns)."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from terrarium.app.chat.archive.message_tree import (
    CandidateReplies,
    Chat,
    DraftUse,
    DrawnToken,
    GenerationInfo,
    Message,
)
from terrarium.models.alignment.best_of import ScoredReply
from terrarium.models.chat.prompting import PromptSettings
from terrarium.models.events import Speculated
from terrarium.models.settings.sampling_config import SamplingConfig
from terrarium.models.settings.slots import settings_to_dict
from terrarium.models.tokenizers.codec import replace_surrogates

FORMAT = 2
_MAX_TOKEN_ID = 2**31
_ROLES = ("user", "assistant")
_OUTCOMES = ("accepted", "replaced", "bonus")
_KEYS = {"generation": "made", "n_prefix": "n_begun", "is_completion": "goes_on"}
"""Fields whose key in the file differs from their name."""


def chat_text(chat: Chat) -> str:
    """Serialize a conversation as JSON, one line per message."""
    head = {"format": FORMAT, "id": chat.id, "created": chat.created, "name": chat.name, "run_id": chat.run_id}
    head |= {"prompting": dataclasses.asdict(chat.prompting), "shown": dict(chat.shown)}
    lines = [f" {json.dumps(key)}: {_json(value)}" for key, value in head.items()]
    messages = ",\n".join("  " + _json(_message_dict(message)) for message in chat.messages)
    lines.append(f' "messages": [\n{messages}\n ]' if messages else ' "messages": []')
    return "{\n" + ",\n".join(lines) + "\n}\n"


def chat_from(data: Mapping[str, Any], where: str) -> Chat:
    """Build a conversation from parsed JSON.

    Raises:
        ValueError: if it is not a conversation; the message names `where`.
    """
    version = data.get("format", 1)
    if isinstance(version, int) and version > FORMAT:
        raise ValueError(f"{where} was written by a newer Terrarium: open it with that one.")
    try:
        return _read_turns(data) if version == 1 else _read_tree(data)
    except (LookupError, TypeError, AttributeError, ValueError, ArithmeticError) as error:
        raise ValueError(f"{where} is damaged: {error!s:.80} is missing or wrong.") from error


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _message_dict(message: Message) -> dict[str, Any]:
    """Return a message as a dict, without optional fields that have their default."""
    found = _to_dict(message, ("id", "parent", "role", "content", "created"))
    if message.generation is not None:
        found["made"] = _to_dict(message.generation, ("model", "step", "seed"))
        if message.generation.sampling is not None:
            found["made"]["sampling"] = settings_to_dict(message.generation.sampling)
        if message.generation.drawn is not None:
            found["made"]["drawn"] = _drawn_dict(message.generation.drawn)
        if message.generation.draft is not None:
            found["made"]["draft"] = dataclasses.asdict(message.generation.draft)
        tokens = message.generation.tokens
        if tokens:
            found["made"]["tokens"] = [token[:5] for token in tokens]
        if any(token.speculated is not None for token in tokens):
            found["made"]["speculated"] = [_speculated_row(token.speculated) for token in tokens]
    return found


def _speculated_row(token: Speculated | None) -> list[Any] | None:
    return None if token is None else [token.outcome, token.proposed, token.p, token.q]


def _drawn_dict(drawn: CandidateReplies) -> dict[str, Any]:
    rows = [[reply.text, reply.score, reply.ended, list(reply.ids)] for reply in drawn.replies]
    return {**_to_dict(drawn, ("judge",)), "replies": rows}


def _to_dict(value: Message | GenerationInfo | CandidateReplies, always: tuple[str, ...]) -> dict[str, Any]:
    defaults = {f.name: f.default for f in dataclasses.fields(value)}
    return {
        _KEYS.get(name, name): getattr(value, name)
        for name, default in defaults.items()
        if name in always or getattr(value, name) != default
    }


# -- Format 2 ----------------------------------------------------------------------------------------------------------


def _read_tree(data: Mapping[str, Any]) -> Chat:
    messages: dict[str, Message] = {}
    for item in data["messages"]:
        message = _message(item)
        if message.id in messages or not message.id or (message.parent and message.parent not in messages):
            raise KeyError(f"the parent of message {message.id!r}")
        messages[message.id] = message
    shown = {
        str(parent): str(child)
        for parent, child in data["shown"].items()
        if child in messages and messages[child].parent == parent
    }
    return Chat(
        id=_text(data["id"]),
        created=_text(data["created"]),
        name=_text(data["name"]),
        run_id=_text(data["run_id"]),
        prompting=_prompting(data.get("prompting", {})),
        messages=tuple(messages.values()),
        shown=shown,
    )


def _message(data: Mapping[str, Any]) -> Message:
    if data["role"] not in _ROLES:
        raise KeyError(f"the role {data['role']!r}")
    generation = data.get("made")
    return Message(
        id=_text(data["id"]),
        parent=_text(data["parent"]),
        role=data["role"],
        content=_text(data["content"]),
        created=_text(data["created"]),
        kind=_text(data.get("kind", "")),
        gold=_text(data.get("gold", "")),
        topic=tuple(map(_text, data.get("topic", ()))),
        fresh=bool(data.get("fresh", False)),
        is_completion=bool(data.get("goes_on", False)),
        generation=None if generation is None else _generation(generation),
        edited=bool(data.get("edited", False)),
    )


def _generation(data: Mapping[str, Any]) -> GenerationInfo:
    sampling = data.get("sampling")
    numbers = ("step", "seed", "n_prompt", "n_tokens", "n_left_out", "context_length")
    return GenerationInfo(
        model=_text(data["model"]),
        run_id=_text(data.get("run_id", "")),
        sampling=None if sampling is None else _sampling(sampling),
        prompt_ids=tuple(map(_id, data.get("prompt_ids", ()))),
        source_ids=tuple(map(_id, data.get("source_ids", ()))),
        tokens=_tokens(data.get("tokens", ()), data.get("speculated", ())),
        first_token_s=_number(data.get("first_token_s", 0.0)),
        tokens_per_s=_number(data.get("tokens_per_s", 0.0)),
        reason=_text(data.get("reason", "")),
        summary=_text(data.get("summary", "")),
        n_prefix=int(data.get("n_begun", 0)),
        drawn=_drawn(data["drawn"]) if data.get("drawn") is not None else None,
        draft=_draft(data["draft"]) if data.get("draft") is not None else None,
        **{name: int(data.get(name, 0)) for name in numbers},
    )


def _drawn(data: Mapping[str, Any]) -> CandidateReplies:
    replies = tuple(
        ScoredReply(text=_text(text), score=_number(score), ended=bool(ended), ids=tuple(map(_id, ids)))
        for text, score, ended, ids in data["replies"]
    )
    taken = int(data.get("taken", 0))
    if not 0 <= taken < len(replies):
        raise KeyError(f"the reply {taken} of those that were drawn")
    return CandidateReplies(
        judge=_text(data["judge"]),
        judge_id=_text(data.get("judge_id", "")),
        replies=replies,
        taken=taken,
        draw_s=_number(data.get("draw_s", 0.0)),
        score_s=_number(data.get("score_s", 0.0)),
    )


def _draft(data: Mapping[str, Any]) -> DraftUse:
    counts = ("n_tokens", "n_drafted", "n_accepted", "n_passes", "n_made")
    return DraftUse(
        model=_text(data["model"]),
        run_id=_text(data.get("run_id", "")),
        **{name: max(0, int(data.get(name, 0))) for name in counts},
    )


def _tokens(rows: Sequence[Any], speculated: Sequence[Any]) -> tuple[DrawnToken, ...]:
    tokens = tuple(_token(*row) for row in rows)
    if not speculated:
        return tokens
    pairs = zip(tokens, speculated, strict=True)
    return tuple(token if row is None else token._replace(speculated=_speculated(*row)) for token, row in pairs)


def _speculated(outcome: str, proposed: int, p: float, q: float) -> Speculated:
    if outcome not in _OUTCOMES:
        raise KeyError(f"the outcome {outcome!r}")
    known = -1 if proposed == -1 else _id(proposed)
    return Speculated(outcome=outcome, proposed=known, p=_number(p), q=_number(q))


def _token(
    id: int, probability: float | None, entropy: float | None, rank: int | None, draw: float | None
) -> DrawnToken:
    likely, uncertain, drawn = (None if value is None else _number(value) for value in (probability, entropy, draw))
    return DrawnToken(_id(id), likely, uncertain, None if rank is None else int(rank), drawn)


def _id(value: Any) -> int:
    if not isinstance(value, int) or not 0 <= value < _MAX_TOKEN_ID:
        raise TypeError(f"the token {value!r:.40}")
    return value


def _number(value: Any) -> float:
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise TypeError(f"the number {value!r:.40}")
    return float(value)


def _prompting(data: Mapping[str, Any]) -> PromptSettings:
    """Read the prompt settings; return the defaults if they are invalid, since the messages matter more."""
    names = {f.name for f in dataclasses.fields(PromptSettings)}
    try:
        return PromptSettings(**{name: _text(value) for name, value in data.items() if name in names})
    except (ValueError, TypeError, AttributeError):
        return PromptSettings()


def _sampling(data: Mapping[str, Any]) -> SamplingConfig | None:
    """Read the sampling settings that this version supports; return None if they are invalid."""
    names = {f.name for f in dataclasses.fields(SamplingConfig)}
    try:
        return SamplingConfig(**{name: _tuples(value) for name, value in data.items() if name in names})
    except (ValueError, TypeError, AttributeError):
        return None


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"the text {value!r:.40}")
    return replace_surrogates(value)


# -- Format 1 ----------------------------------------------------------------------------------------------------------


def _read_turns(data: Mapping[str, Any]) -> Chat:
    """Read format 1: turns, each a prompt with all replies to it. The next turn follows the shown reply."""
    messages: list[Message] = []
    shown: dict[str, str] = {}
    parent, created = "", str(data["created"])
    for number, turn in enumerate(data["turns"]):
        prompt = Message(
            id=f"{number}",
            parent=parent,
            content=_text(turn["prompt"]),
            created=created,
            kind=_text(turn["kind"]),
            gold=_text(turn["gold"]),
            topic=tuple(map(_text, turn["topic"])),
            fresh=bool(turn["fresh"]),
            is_completion=bool(turn["goes_on"]),
        )
        replies = list(_old_replies(turn["replies"], prompt))
        messages += [prompt, *replies]
        shown[parent] = parent = prompt.id
        if replies:
            kept = replies[min(max(int(turn["shown"]), 0), len(replies) - 1)]
            shown[parent] = parent = kept.id
    run_id, id = str(data["run_id"]), str(data["id"])
    return Chat(id=id, created=created, run_id=run_id, messages=tuple(messages), shown=shown)


def _old_replies(replies: Any, prompt: Message) -> Iterator[Message]:
    for number, reply in enumerate(replies):
        generation = _generation({key: value for key, value in reply.items() if key != "text"})
        yield Message(
            id=f"{prompt.id}.{number}",
            parent=prompt.id,
            role="assistant",
            content=_text(reply["text"]),
            created=prompt.created,
            generation=generation,
        )
