"""Rows of every task as a model will see them, byte by byte: what is read, what counts, and the answer."""

from __future__ import annotations

from typing import Any

import pytest
from tokenizers import Tokenizer

from terrarium.models.chat.template_config import ChatTemplateConfig
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.tasks import TASKS
from terrarium.models.tasks.encoding import TaskEncoder
from terrarium.models.tasks.seen_example import MAX_TOKENS, SeenText, see_example
from terrarium.models.tokenizers import train_tokenizer

ROWS: dict[str, dict[str, Any]] = {
    "language": {"text": "abc"},
    "chat": {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yo"}]},
    "classification": {"text": "abc", "label": "spam"},
    "multi-label": {"text": "abc", "text_pair": "de", "labels": ["x", "y"]},
    "regression": {"text": "abc", "score": 0.5},
    "tagging": {"words": ["Anna", "ran"], "tags": ["B-PER", "O"]},
    "span": {"question": "Who?", "context": "Ödön and Ben", "answers": [{"text": "Ben", "start": 9}]},
    "text-to-text": {"source": "abc", "target": "de"},
    "preference": {"messages": [{"role": "user", "content": "Hi"}], "chosen": "Yo", "rejected": "No"},
    "prompts": {"messages": [{"role": "user", "content": "Hi"}]},
    "unpaired": {"messages": [{"role": "user", "content": "Hi"}], "completion": "Yo", "label": False},
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
    assert counting(text) == b"abc<|end|>"
    chat = see_example("chat", ROWS["chat"], tokenizer)
    assert counting(chat.texts[0]) == b" Yo<|end|>"
    assert "4 of " in chat.what_counts
    rated = see_example("unpaired", ROWS["unpaired"], tokenizer)
    assert ([text.title for text in rated.texts], counting(rated.texts[0])) == (["A bad reply"], b" Yo<|end|>")
    source, target = see_example("text-to-text", ROWS["text-to-text"], tokenizer).texts
    assert (counting(source), counting(target)) == (b"", b"de<|end|>")
    tagged = see_example("tagging", ROWS["tagging"], tokenizer)
    assert counting(tagged.texts[0]) == b"Ar", "the first token of each word"
    assert tagged.answers == ("Anna: B-PER",)
    asked = see_example("span", ROWS["span"], tokenizer)
    assert counting(asked.texts[0]) == b"Ben"
    assert asked.answers == ("“Ben”",)


def test_a_template_that_goes_on_after_a_reply(tokenizer: Tokenizer) -> None:
    lines = "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}</>\n{% endfor %}"
    template = ChatTemplateConfig(template=f"{lines}{{% if add_generation_prompt %}}<assistant>{{% endif %}}")
    better, worse = see_example("preference", ROWS["preference"], tokenizer, template=template).texts
    assert b"".join(piece.bytes for piece in better.tokens.pieces) == b"<user>Hi</>\n<assistant>Yo</>\n"
    for text, reply in ((better, b"Yo"), (worse, b"No")):
        assert counting(text).startswith(reply)


def test_answers_say_which_output_they_are(tokenizer: Tokenizer) -> None:
    row = ROWS["classification"]
    assert see_example("classification", row, tokenizer, ("ham", "spam")).answers == ("spam (output 2 of 2)",)
    assert see_example("classification", row, tokenizer).answers == ("spam",)
    pair = see_example("multi-label", ROWS["multi-label"], tokenizer, ("y", "x"))
    assert pair.answers == ("x (output 2 of 2)", "y (output 1 of 2)")
    assert see_example("regression", ROWS["regression"], tokenizer).answers == ("0.5",)
    without = see_example("span", {**ROWS["span"], "answers": []}, tokenizer)
    assert without.answers == ("no answer",)


def test_long_texts_are_shown_in_part(tokenizer: Tokenizer) -> None:
    (text,) = see_example("language", {"text": "a" * 1000}, tokenizer).texts
    assert len(text.tokens.pieces) == MAX_TOKENS
    assert text.tokens.n_left_out == 1002 - MAX_TOKENS, "with the space before it and the end after it"
    assert max(text.tokens.predicted) < MAX_TOKENS


@pytest.mark.parametrize("task", ["classification", "multi-label", "tagging", "span"])
def test_an_encoder_s_row_is_that_of_its_batch(task: str, bert_tokenizer: Tokenizer) -> None:
    row = {**ROWS[task], "text_pair": "de"} if "text" in ROWS[task] else ROWS[task]
    (text,) = see_example(task, row, bert_tokenizer).texts
    design = ModelConfig(topology="encoder-only", vocab_size=bert_tokenizer.get_vocab_size())
    encoder = TaskEncoder(design, bert_tokenizer, task, ("spam", "x", "y", "O", "B-PER"))
    batch = encoder.batch(encoder.items([row]))
    assert [piece.id for piece in text.tokens.pieces] == batch.inputs[0].tolist()
    assert text.tokens.pieces[0].bytes == b"[CLS]"
    assert text.tokens.pieces[-1].bytes == b"[SEP]"
    assert sum(piece.bytes == b"[SEP]" for piece in text.tokens.pieces) == (1 if task == "tagging" else 2)


def test_a_conversation_is_shown_as_lines_where_the_tokenizer_has_no_turns(bert_tokenizer: Tokenizer) -> None:
    (text,) = see_example("chat", ROWS["chat"], bert_tokenizer).texts
    assert b"assistant" in b"".join(piece.bytes for piece in text.tokens.pieces).lower()
    assert counting(text).endswith(b"[SEP]")
