"""Comparing tokenizers against counting with the `tokenizers` library directly, text by text and word by word."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Generator, Sequence
from typing import Any

import pytest
from tokenizers import Tokenizer

from terrarium.models.data.corpus_texts import CorpusTexts, language_texts
from terrarium.models.design import parameters_by_component, total_parameters
from terrarium.models.events import Event, Phase, Progress
from terrarium.models.settings.presets import PRESETS
from terrarium.models.tiny_world.english import parse_story
from terrarium.models.tiny_world.stories import LANGUAGE_NAMES, stories
from terrarium.models.tokenizers import encode_text, train_tokenizer
from terrarium.models.tokenizers.special_tokens import unknown_ids
from terrarium.models.tokenizers.text.compare import Figures, MeasuredPart, compare, measure_texts, model_cost

TEXT = (
    "The internationalization of nations: unbelievable, believable! «Naïve café», Straße 1234 …\n"
    "Don't say def add(a, b):\n    return a + b\n\nПривет, мир. 東京 🌱👩‍🚀 the thing, then there.\n"
)
KINDS = ("byte", "char", "bpe", "wordpiece", "unigram", "word")


@pytest.fixture(scope="module")
def trained() -> dict[str, Tokenizer]:
    sizes = {"byte": 0, "char": 400, "bpe": 460, "wordpiece": 300, "unigram": 400, "word": 60}
    texts = [TEXT.replace("🌱", "") * 30]
    return {kind: train_tokenizer(texts, kind, size) for kind, size in sizes.items()}


def finish(work: Generator[Any, None, Any]) -> tuple[list[Any], Any]:
    came = []
    while True:
        try:
            came.append(next(work))
        except StopIteration as end:
            return came, end.value


def measured(tokenizer: Tokenizer, texts: Sequence[str]) -> Figures:
    came, (figures,) = finish(measure_texts([tokenizer], texts))
    assert sum(came) == sum(len(text.encode()) for text in texts)
    assert isinstance(figures, Figures)
    return figures


def counted(tokenizer: Tokenizer, texts: Sequence[str]) -> Figures:
    """By hand: character by character, with the library's own offsets."""
    total = Figures()
    unknown = unknown_ids(tokenizer)
    for text in texts:
        encoding = tokenizer.encode(text, add_special_tokens=False)
        words = [match.span() for match in re.finditer(r"\w(?:\S*\w)?", text)]
        whole = 0
        for start, end in words:
            there = [i for i, (a, b) in enumerate(encoding.offsets) if a < end and b > start]
            whole += len(there) == 1 and encoding.ids[there[0]] not in unknown
        total += Figures(
            n_bytes=len(text.encode()),
            n_characters=len(text),
            n_words=len(text.split()),
            n_bare_words=len(words),
            n_tokens=len(encoding.ids),
            n_unknown=sum(id in unknown for id in encoding.ids),
            n_whole=whole,
        )
    return total


@pytest.mark.parametrize("kind", KINDS)
def test_figures_are_those_of_direct_counting(trained: dict[str, Tokenizer], kind: str) -> None:
    texts = [*TEXT.splitlines(keepends=True), "", "end", "the", "  ", TEXT]
    figures = measured(trained[kind], texts)
    assert figures == counted(trained[kind], texts)
    assert figures.tokens_per_word == figures.n_tokens / figures.n_words
    assert figures.bytes_per_token == figures.n_bytes / figures.n_tokens
    assert figures.characters_per_token == figures.n_characters / figures.n_tokens
    assert figures.whole_share == figures.n_whole / figures.n_bare_words
    if kind in ("byte", "bpe", "unigram"):
        assert figures.n_unknown == 0, "they spell everything"
    if kind in ("word", "wordpiece"):
        assert figures.n_unknown > 0
        assert figures.n_whole > 10


@pytest.mark.parametrize("kind", KINDS)
def test_long_texts_are_split_without_a_difference(
    trained: dict[str, Tokenizer], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("terrarium.models.tokenizers.codec._CUT_ABOVE", 20_000)
    monkeypatch.setattr("terrarium.models.tokenizers.codec._CUT_EVERY", 5_000)
    text = TEXT * 130  # so long that it is cut
    whole, once = measured(trained[kind], [text]), measured(trained[kind], [TEXT] * 130)
    assert whole.n_tokens == len(encode_text(trained[kind], text))
    assert (whole.n_bytes, whole.n_words, whole.n_bare_words) == (once.n_bytes, once.n_words, once.n_bare_words)
    assert whole.n_whole == once.n_whole


def test_special_tokens_in_a_text_are_plain_text(trained: dict[str, Tokenizer]) -> None:
    text = "the end <|end|> the"
    for kind, tokenizer in trained.items():
        assert measured(tokenizer, [text]).n_tokens == len(encode_text(tokenizer, text)), kind


def test_ratios_of_nothing_are_nan(trained: dict[str, Tokenizer]) -> None:
    figures = measured(trained["bpe"], ["", ""])
    assert figures == Figures()
    assert math.isnan(figures.tokens_per_word)
    assert math.isnan(model_cost(PRESETS["gpt2-tiny"], 300, figures).context_characters)


def source(label: str, *texts: str) -> Any:
    def make() -> Generator[Event, None, CorpusTexts]:
        yield Phase(name=f"Making {label}")
        return CorpusTexts(label, sum(len(text.encode()) for text in texts), iter(texts))

    return make


def test_parts_are_yielded_one_by_one(trained: dict[str, Tokenizer]) -> None:
    chosen = {kind: trained[kind] for kind in ("word", "bpe")}
    events, parts = finish(compare(chosen, [source("one", TEXT, TEXT), source("two", "the thing")]))
    assert [event.name for event in events if isinstance(event, Phase)] == [
        "Making one",
        "Measuring on one",
        "Making two",
        "Measuring on two",
    ]
    assert [event for event in events if isinstance(event, MeasuredPart)] == parts
    last = [event for event in events if isinstance(event, Progress)][-1]
    assert last.done == last.total == 2 * len("the thing")
    assert parts[0].figures["bpe"] == measured(trained["bpe"], [TEXT, TEXT])
    assert parts[1].figures["word"].n_words == 2
    with pytest.raises(ValueError, match="no words in blank: choose another text"):
        finish(compare(chosen, [source("blank", " \n ")]))


def test_it_stops_when_closed(trained: dict[str, Tokenizer]) -> None:
    read = []

    def texts() -> Generator[str, None, None]:
        for i in range(1000):
            read.append(i)
            yield TEXT * 3000

    work = measure_texts([trained["byte"]], texts())
    next(work)
    work.close()
    assert len(read) <= 2


def test_costs_are_those_of_the_design(trained: dict[str, Tokenizer]) -> None:
    figures = measured(trained["bpe"], [TEXT])
    for name, preset in PRESETS.items():
        design = dataclasses.replace(preset, vocab_size=5000)
        found = model_cost(preset, 5000, figures)
        assert found.total_parameters == total_parameters(design), name
        parts = parameters_by_component(design)
        if not preset.head_bias and preset.topology != "encoder-only":
            n_tables = 1 if preset.tied_embeddings else 2
            assert found.vocabulary_parameters == n_tables * 5000 * preset.d_model <= sum(parts.values())
        assert found.context_characters == pytest.approx(preset.context_length * len(TEXT) / figures.n_tokens)
        assert found.context_words == pytest.approx(preset.context_length / figures.tokens_per_word)


def test_languages_have_the_same_events() -> None:
    told = {language: list(stories(language, 3)) for language in LANGUAGE_NAMES}
    assert LANGUAGE_NAMES == ("English", "French", "German", "Spanish")
    for english, *others in zip(*told.values(), strict=True):
        parse_story(english)
        assert {text.count(".") for text in others} == {english.count(".")}
    assert len({story for texts in told.values() for story in texts}) == 12
    _, made = finish(language_texts("German", 3))
    assert (made.label, list(made.texts)) == ("German", told["German"])
    assert made.n_bytes == sum(len(story.encode()) for story in told["German"])
