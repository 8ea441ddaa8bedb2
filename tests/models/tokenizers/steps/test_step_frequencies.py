"""Counting merges in a corpus: as often as they really apply, word by word."""

from __future__ import annotations

from collections import Counter

import pytest

from terrarium.models.events import Event, Progress
from terrarium.models.tokenizers import encode_text
from terrarium.models.tokenizers.steps.bpe import BpeSteps
from terrarium.models.tokenizers.steps.frequencies import Frequencies, count_frequencies
from terrarium.models.tokenizers.steps.steps import TokenizerSteps
from tests.models.tokenizers.steps.test_tokenizer_steps import CORPUS, _steps

TEXTS = [*CORPUS, "unbananable stationality, thematic " * 3, "<|end|> the cat <|user|> again", ""]


def _counted(steps: TokenizerSteps, texts: list[str]) -> tuple[list[Event], Frequencies]:
    events: list[Event] = []
    work = count_frequencies(steps, "here", texts, sum(len(text.encode()) for text in texts))
    while True:
        try:
            events.append(next(work))
        except StopIteration as end:
            return events, end.value


@pytest.mark.parametrize("name", ["bpe", "gpt2", "llama3", "llama2", "suffix", "prefix", "both marks", "bpe, one word"])
def test_merges_are_counted_as_often_as_they_apply(name: str) -> None:
    steps = _steps(name)
    wanted: Counter[int] = Counter()
    for text in TEXTS[:4]:
        for word in steps.split(text).words:
            found = steps.steps(word.text)
            if word.added_id is None and isinstance(found, BpeSteps):
                for node in found.nodes:
                    if node.rank is not None:
                        wanted[node.rank] += word.count
    _, counted = _counted(steps, TEXTS[:4])
    assert counted.merges == wanted
    assert wanted


@pytest.mark.parametrize("name", ["bpe", "byte", "char", "wordpiece", "unigram", "word", "bert", "t5"])
def test_tokens_are_counted_as_the_corpus_is_encoded(name: str) -> None:
    steps = _steps(name)
    events, counted = _counted(steps, TEXTS)
    assert counted.tokens == Counter(id for text in TEXTS for id in encode_text(steps.encoder, text))
    assert counted.n_tokens == counted.tokens.total()
    assert counted.label == "here"
    progress = [event for event in events if isinstance(event, Progress)]
    assert [event.done for event in progress] == sorted(event.done for event in progress)
    assert progress[-1].done == progress[-1].total == sum(len(text.encode()) for text in TEXTS)


def test_a_long_text_is_counted_in_parts() -> None:
    steps = _steps("bpe")
    text = "".join(CORPUS) * 40
    assert len(text) > 200_000
    events, counted = _counted(steps, [text])
    assert counted.tokens == Counter(encode_text(steps.tokenizer, text))
    assert len([event for event in events if isinstance(event, Progress)]) >= 2
