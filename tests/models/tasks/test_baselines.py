"""Baselines do what their names say; Naive Bayes equals scikit-learn's."""

from __future__ import annotations

import random
from typing import Any

import pytest

from terrarium.models.settings.tasks import TASKS
from terrarium.models.tasks.baselines import (
    BASELINES,
    Baseline,
    Copy,
    LastMentioned,
    LastSentences,
    LeadSentence,
    LexiconTagger,
    MajorityLabel,
    MajorityLabels,
    MeanScore,
    MostFrequentTag,
    NaiveBayes,
    SwappedWords,
    TranslationMemory,
    WordByWord,
)

WORDS = ["the", "cat", "dog", "sings", "runs", "quietly", "in", "garden", "house", "today", "spam", "offer", "free"]


def _answers(baseline: Baseline, train: list[dict[str, Any]], rows: list[dict[str, Any]]) -> list[Any]:
    baseline.fit(train)
    return baseline.predict(rows)


def _sources(*texts: str) -> list[dict[str, Any]]:
    return [{"source": text, "target": ""} for text in texts]


def test_naive_bayes_equals_scikit_learn() -> None:
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.naive_bayes import MultinomialNB

    rng = random.Random(0)
    rows = [
        {"text": " ".join(rng.choices(WORDS, k=6)).title(), "label": rng.choice(["ham", "spam", "spam"])}
        for _ in range(60)
    ]
    train, test = rows[:40], [*rows[40:], {"text": "quite unknown"}, {"text": ""}]
    vectors = CountVectorizer(token_pattern=r"(?u)\b\w+\b")
    reference = MultinomialNB().fit(vectors.fit_transform([r["text"] for r in train]), [r["label"] for r in train])
    expected = reference.predict(vectors.transform([r["text"] for r in test])).tolist()
    assert _answers(NaiveBayes(), train, test) == expected


def test_naive_bayes_reads_the_second_text() -> None:
    train = [{"text": "a", "text_pair": "yes", "label": "1"}, {"text": "a", "text_pair": "no", "label": "0"}]
    assert _answers(NaiveBayes(), train, [{"text": "a", "text_pair": "yes"}]) == ["1"]


def test_most_frequent_labels_and_scores() -> None:
    rows = [{"label": "b", "labels": ["x", "y"], "score": 1}, {"label": "a", "labels": ["x"], "score": 4}]
    assert _answers(MajorityLabel(), rows, rows) == ["a", "a"]
    assert _answers(MajorityLabels(), [*rows, {"labels": []}], [{}]) == [["x"]]
    assert _answers(MeanScore(), rows, [{}]) == [2.5]


TAGGED = [
    {"words": ["New", "York", "is", "far"], "tags": ["B-LOC", "I-LOC", "O", "O"]},
    {"words": ["New", "is", "Rose"], "tags": ["O", "O", "B-PER"]},
]


def test_a_word_list_marks_known_names_only() -> None:
    rows = [{"words": ["Rose", "left", "New", "York", "for", "Paris"]}]
    assert _answers(LexiconTagger(), TAGGED, rows) == [["B-PER", "O", "B-LOC", "I-LOC", "O", "O"]]


def test_each_word_gets_its_most_frequent_tag() -> None:
    assert _answers(MostFrequentTag(), TAGGED, [{"words": ["Rose", "York", "Paris"]}]) == [["B-PER", "I-LOC", "O"]]


def test_the_last_known_answer_is_taken() -> None:
    train = [
        {"question": "Where is Tom?", "answers": [{"text": "mill", "start": 0}]},
        {"question": "Where is Ann?", "answers": [{"text": "garden", "start": 0}]},
        {"question": "Who has it?", "answers": [{"text": "Tom", "start": 0}]},
    ]
    rows = [
        {"question": "Where is it?", "context": "Tom is in the garden. He went to the mill with Tom."},
        {"question": "Who?", "context": "Tom went on."},
        {"question": "Where?", "context": "There were windmills."},
        {"question": "", "context": ""},
    ]
    assert _answers(LastMentioned(), train, rows) == ["mill", "Tom", "", ""]


def test_sentences_are_copied() -> None:
    rows = _sources("One. Two! Three? Four.", "")
    assert _answers(Copy(), [], rows) == ["One. Two! Three? Four.", ""]
    assert _answers(LeadSentence(), [], rows) == ["One.", ""]
    assert _answers(LastSentences(), [], rows) == ["Two! Three? Four.", ""]


def test_a_table_of_words_is_learned_from_pairs() -> None:
    table = {"the": "le", "dog": "chien", "cat": "chat", "sees": "voit", "takes": "prend", "key": "clé"}
    rng = random.Random(1)
    sentences = [["the", rng.choice(["dog", "cat"]), rng.choice(["sees", "takes"]), "the",
                  rng.choice(["dog", "cat", "key"])] for _ in range(60)]  # fmt: skip
    train = [{"source": " ".join(s) + ".", "target": " ".join(table[w] for w in s) + "."} for s in sentences]
    assert _answers(WordByWord(), train, _sources("the key sees the bird.")) == ["le clé voit le bird."]
    assert _answers(WordByWord(), [], _sources("as it is")) == ["as it is"]


def test_each_language_has_a_table_and_a_memory_of_its_own() -> None:
    words = {
        "French": {"the": "le", "sun": "soleil", "sea": "lac"},
        "Spanish": {"the": "el", "sun": "sol", "sea": "lago"},
    }
    train = [
        {
            "source": f"Say in {language}: {text}",
            "target": " ".join(table.get(word, word.upper()) for word in text.split()),
            "language": language,
        }
        for language, table in words.items()
        for text in ("the sun", "the sea", "sun sea", "the moon", "moon sea", "sea")
    ]
    asked = [{"source": "Say in Spanish: the sun", "language": "Spanish"}]
    assert _answers(WordByWord(), train, asked) == ["el sol"], "without the prompt"
    assert _answers(TranslationMemory(), train, asked) == ["el sol"]
    assert _answers(TranslationMemory(), train, [{"source": "Say in Latin: the sun", "language": "Latin"}]) == [
        "le soleil"
    ]


PAIRS = [
    {"source": "def count_key(things):\n    Count the key.\n", "target": '    return things.count("key")\n'},
    {"source": "def double(n):\n    Twice.\n", "target": "    return 2 * n\n"},
]


def test_the_nearest_source_gives_its_target() -> None:
    rows = _sources("def count_hat(things):\n    Count the hat.\n", "")
    assert _answers(TranslationMemory(), PAIRS, rows)[0] == PAIRS[0]["target"]
    assert _answers(SwappedWords(), PAIRS, rows)[0] == '    return things.count("hat")\n'


def test_tables_of_tasks() -> None:
    """Every task that is scored has baselines, and each of them has a name and says how it answers."""
    assert set(BASELINES) == {name for name, task in TASKS.items() if task.metrics}
    baselines = [make() for makers in BASELINES.values() for make in makers]
    assert len({baseline.title for baseline in baselines}) == len(baselines)
    assert all(baseline.help for baseline in baselines)


@pytest.mark.parametrize(
    "make", [MajorityLabel, MajorityLabels, NaiveBayes, MeanScore, MostFrequentTag, TranslationMemory]
)
def test_nothing_to_learn_from_is_refused(make: type[Baseline]) -> None:
    with pytest.raises(ValueError, match="at least one"):
        make().fit([])
