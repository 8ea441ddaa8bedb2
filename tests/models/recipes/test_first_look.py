"""What a quick start shows before there is a model: pieces of its data, and the merges of its own tokenizer."""

from __future__ import annotations

from pathlib import Path

import pytest

from terrarium.models.corpora.shown_texts import N_SHOWN, read_shown_texts
from terrarium.models.corpora.text_corpora import build_text_corpus_events
from terrarium.models.events import TextsShown, result_of
from terrarium.models.library.library import Library
from terrarium.models.recipes.quickstart import merge_words
from terrarium.models.tiny_world import corpus
from terrarium.models.tiny_world.corpus import build_tiny_world_corpus
from terrarium.models.tokenizers import train_tokenizer


@pytest.fixture(autouse=True)
def little_world(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is shown are the first texts, however many follow."""
    monkeypatch.setattr(corpus, "N_TRAIN", 200)
    monkeypatch.setattr(corpus, "N_VAL", 10)


def test_the_first_pieces_come_from_the_data_itself(library: Library) -> None:
    building = build_tiny_world_corpus(library, 3)
    first = next(building)
    assert isinstance(first, TextsShown)
    assert len(first.texts) == N_SHOWN
    assert all(text.answer for text in first.texts)
    made = result_of(building)
    assert read_shown_texts(made) == first.texts
    messages = made.rows("train")[0]["messages"]
    assert first.texts[0].answer in messages[1]["content"]


def test_passages_of_a_text(library: Library, tmp_path: Path) -> None:
    file = tmp_path / "words.txt"
    file.write_text("\n\n".join(f"Passage {i} of it." for i in range(400)), encoding="utf-8")
    texts = read_shown_texts(result_of(build_text_corpus_events(library, [str(file)], 0.1)))
    assert len(texts) == N_SHOWN
    assert texts[0].text == "Passage 0 of it."


def test_words_become_tokens_by_the_tokenizers_own_merges(library: Library) -> None:
    texts = read_shown_texts(result_of(build_tiny_world_corpus(library, 3)))
    said = " ".join(f"{text.text} {text.answer}" for text in texts)
    tokenizer = train_tokenizer([said], "bpe", 300)
    words = merge_words(tokenizer, texts)
    assert words
    for word in words:
        assert word.word in said
        assert all(len(state) == len(before) - 1 for before, state in zip(word.states, word.states[1:], strict=False))
        spelled = {"".join(state).strip("·") for state in word.states}
        assert spelled == {word.word}
        encoded = tokenizer.encode(" " + word.word, add_special_tokens=False).tokens
        assert len(word.states[-1]) in (len(encoded), len(tokenizer.encode(word.word).tokens))


def test_a_tokenizer_without_merges_shows_none(library: Library) -> None:
    texts = read_shown_texts(result_of(build_tiny_world_corpus(library, 3)))
    assert merge_words(train_tokenizer((), "byte", 0), texts) == ()
