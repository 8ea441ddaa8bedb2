"""A row of a dataset as a model will see it: its tokens, which of them are predicted, its labels. No torch import."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tokenizers import Tokenizer

from models.chat.own_template import encode_messages
from models.tokenizers import encode_text
from models.tokenizers.codec import Piece, pieces_of

MAX_TOKENS = 400
"""Tokens shown of each text."""


@dataclass(frozen=True, kw_only=True)
class TokenRow:
    """Tokens side by side; `predicted`, `hidden` and `changed` (replaced by another one) are positions in `pieces`."""

    pieces: tuple[Piece, ...]
    predicted: frozenset[int] = frozenset()
    hidden: frozenset[int] = frozenset()
    changed: frozenset[int] = frozenset()
    n_left_out: int = 0
    """Tokens after these that are not shown."""


@dataclass(frozen=True, kw_only=True)
class SeenText:
    """One text that the model reads or writes."""

    title: str
    tokens: TokenRow


@dataclass(frozen=True, kw_only=True)
class SeenExample:
    """A row as a model will see it. what_counts: what is learned from it, in a sentence. answers: its labels."""

    texts: tuple[SeenText, ...]
    what_counts: str
    answers: tuple[str, ...] = ()


def see_example(task: str, row: Mapping[str, Any], tokenizer: Tokenizer, labels: Sequence[str] = ()) -> SeenExample:
    """What a model of `tokenizer` sees of a row in the form of its task (models.settings.tasks).

    labels: in the order of the model's outputs, as far as they are known.

    Raises:
        ValueError: for a conversation, where the tokenizer lacks the marks of turns.
    """
    if task == "chat":
        ids, is_reply = encode_messages(tokenizer, row["messages"])
        tokens = _tokens(tokenizer, ids, {i for i, reply in enumerate(is_reply) if reply})
        n = len(tokens.predicted) if not tokens.n_left_out else sum(is_reply)
        return SeenExample(
            texts=(SeenText(title="The conversation", tokens=tokens),),
            what_counts=f"Replies and their end tokens count: {n:,} of {len(ids):,} tokens. The rest is only read.",
        )
    if task == "text-to-text":
        source, target = (encode_text(tokenizer, row[column]) for column in ("source", "target"))
        return SeenExample(
            texts=(
                SeenText(title="Reads", tokens=_tokens(tokenizer, source)),
                SeenText(title="Writes", tokens=_tokens(tokenizer, target, set(range(len(target))))),
            ),
            what_counts=f"The {len(target):,} tokens that it writes count, and its end. The {len(source):,} before are "
            "only read.",
        )
    if task == "tagging":
        return _tagged(row, tokenizer)
    if task == "span":
        return _asked(row, tokenizer)
    ids = encode_text(tokenizer, row["text"])
    if task == "language":
        return SeenExample(
            texts=(SeenText(title="The text", tokens=_tokens(tokenizer, ids, set(range(1, len(ids))))),),
            what_counts="Each token but the first is predicted from those before it.",
        )
    texts: tuple[SeenText, ...] = (SeenText(title="Reads", tokens=_tokens(tokenizer, ids)),)
    if pair := row.get("text_pair"):
        texts = (*texts, SeenText(title="and reads", tokens=_tokens(tokenizer, encode_text(tokenizer, pair))))
    return SeenExample(texts=texts, what_counts=_counting(task), answers=_answers(task, row, labels))


def _counting(task: str) -> str:
    if task == "regression":
        return "The whole text gives one number; how far it is from the score counts."
    if task == "multi-label":
        return "The whole text gives a probability for each label, and each counts."
    return "The whole text gives a probability for each label; that of the right one counts."


def _answers(task: str, row: Mapping[str, Any], labels: Sequence[str]) -> tuple[str, ...]:
    if task == "regression":
        return (f"{row['score']:g}",)
    given = [row["label"]] if task == "classification" else row["labels"]
    return tuple(
        f"{label} (output {list(labels).index(label) + 1} of {len(labels)})" if label in labels else str(label)
        for label in given
    )


def _tagged(row: Mapping[str, Any], tokenizer: Tokenizer) -> SeenExample:
    ids, first = list[int](), set[int]()
    for number, word in enumerate(row["words"]):
        found = encode_text(tokenizer, word if not number else f" {word}")
        if found:
            first.add(len(ids))
        ids += found
    tags = [f"{word}: {tag}" for word, tag in zip(row["words"], row["tags"], strict=True) if tag != "O"]
    return SeenExample(
        texts=(SeenText(title="Reads", tokens=_tokens(tokenizer, ids, first)),),
        what_counts=f"The first token of each word gets the word's tag: {len(first):,} of {len(ids):,} tokens count.",
        answers=tuple(tags) or ("no word with a tag but O",),
    )


def _asked(row: Mapping[str, Any], tokenizer: Tokenizer) -> SeenExample:
    context, answers = row["context"], row["answers"]
    question = SeenText(title="The question", tokens=_tokens(tokenizer, encode_text(tokenizer, row["question"])))
    ids, marked = encode_text(tokenizer, context), set[int]()
    if answers:
        start = len(context[: answers[0]["start"]].encode())
        end = start + len(answers[0]["text"].encode())
        pieces = pieces_of(tokenizer, ids)
        marked = {i for i, piece in enumerate(pieces) if piece.start < end and piece.end > start}
    what = "its first and its last token count" if answers else "it has no answer, which counts too"
    return SeenExample(
        texts=(question, SeenText(title="The text with the answer", tokens=_tokens(tokenizer, ids, marked))),
        what_counts=f"The model points at the answer: {what}.",
        answers=tuple(f"“{answer['text']}”" for answer in answers[:3]) or ("no answer",),
    )


def _tokens(tokenizer: Tokenizer, ids: Sequence[int], predicted: set[int] | None = None) -> TokenRow:
    return TokenRow(
        pieces=tuple(pieces_of(tokenizer, ids[:MAX_TOKENS])),
        predicted=frozenset(i for i in predicted or () if i < MAX_TOKENS),
        n_left_out=max(0, len(ids) - MAX_TOKENS),
    )
