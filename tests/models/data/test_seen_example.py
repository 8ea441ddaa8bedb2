"""Rows of every task as a model will see them, byte by byte: what is read, what counts, and the answer."""

from __future__ import annotations

from typing import Any

import pytest
from tokenizers import Tokenizer

from models.data.seen_example import MAX_TOKENS, SeenText, see_example
from models.settings.tasks import TASKS
from models.tokenizers import train_tokenizer

ROWS: dict[str, dict[str, Any]] = {
    "language": {"text": "abc"},
    "chat": {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yo"}]},
    "classification": {"text": "abc", "label": "spam"},
    "multi-label": {"text": "abc", "text_pair": "de", "labels": ["x", "y"]},
    "regression": {"text": "abc", "score": 0.5},
    "tagging": {"words": ["Anna", "ran"], "tags": ["B-PER", "O"]},
    "span": {"question": "Who?", "context": "Ödön and Ben", "answers": [{"text": "Ben", "start": 9}]},
    "text-to-text": {"source": "abc", "target": "de"},
}


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_tokenizer([""], "byte", 0)


def counting(text: SeenText) -> bytes:
    """What counts of a text."""
    return b"".join(text.tokens.pieces[i].bytes for i in sorted(text.tokens.predicted))


def test_every_task_is_shown(tokenizer: Tokenizer) -> None:
    assert ROWS.keys() == TASKS.keys()
    for task, row in ROWS.items():
        assert see_example(task, row, tokenizer).what_counts


def test_what_counts(tokenizer: Tokenizer) -> None:
    (text,) = see_example("language", ROWS["language"], tokenizer).texts
    assert counting(text) == b"bc"
    chat = see_example("chat", ROWS["chat"], tokenizer)
    assert counting(chat.texts[0]) == b" Yo<|end|>"
    assert "4 of " in chat.what_counts
    source, target = see_example("text-to-text", ROWS["text-to-text"], tokenizer).texts
    assert (counting(source), counting(target)) == (b"", b"de")
    tagged = see_example("tagging", ROWS["tagging"], tokenizer)
    assert counting(tagged.texts[0]) == b"A ", "the first token of each word, with the space before it"
    assert tagged.answers == ("Anna: B-PER",)
    asked = see_example("span", ROWS["span"], tokenizer)
    assert counting(asked.texts[1]) == b"Ben"
    assert asked.answers == ("“Ben”",)


def test_answers_say_which_output_they_are(tokenizer: Tokenizer) -> None:
    row = ROWS["classification"]
    assert see_example("classification", row, tokenizer, ("ham", "spam")).answers == ("spam (output 2 of 2)",)
    assert see_example("classification", row, tokenizer).answers == ("spam",)
    pair = see_example("multi-label", ROWS["multi-label"], tokenizer, ("y", "x"))
    assert pair.answers == ("x (output 2 of 2)", "y (output 1 of 2)")
    assert [text.title for text in pair.texts] == ["Reads", "and reads"]
    assert see_example("regression", ROWS["regression"], tokenizer).answers == ("0.5",)
    without = see_example("span", {**ROWS["span"], "answers": []}, tokenizer)
    assert without.answers == ("no answer",)


def test_long_texts_are_shown_in_part(tokenizer: Tokenizer) -> None:
    (text,) = see_example("language", {"text": "a" * 1000}, tokenizer).texts
    assert len(text.tokens.pieces) == MAX_TOKENS
    assert text.tokens.n_left_out == 1000 - MAX_TOKENS
    assert max(text.tokens.predicted) < MAX_TOKENS
