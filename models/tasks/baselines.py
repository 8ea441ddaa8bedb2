"""Baselines for a trained model: simple rules that learn from the same rows. No torch import.

Each learns from training rows by `fit` and answers others by `predict`; rows are those of models.settings.tasks. An
answer is, depending on the task, a label, labels, a score, tags, an answer's text (empty: none) or a target's text.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any, ClassVar, Protocol

import numpy as np

from terrarium.models.metrics.tagging import Entity, entities, iob2

Row = Mapping[str, Any]
Rows = Sequence[Row]


class Baseline(Protocol):
    """A baseline rule. title: its name on screen. help: how it answers, in one line."""

    title: ClassVar[str]
    help: ClassVar[str]

    def fit(self, rows: Rows) -> None:
        """Learn from training rows; raises ValueError if there are none and it needs some."""

    def predict(self, rows: Rows) -> list[Any]:
        """Return an answer for each row."""


def _commonest(values: Iterable[Any]) -> Any:
    """Return the most frequent value; ties go to the first in sort order, so that the order of rows does not matter."""
    counts = Counter(values)
    if not counts:
        raise ValueError("A baseline learns from training rows, and there are none: give it at least one.")
    most = max(counts.values())
    return min(value for value, count in counts.items() if count == most)


class MajorityLabel:
    """Classification: always the most frequent label."""

    title: ClassVar = "Most frequent label"
    help: ClassVar = "gives every text the label that is most frequent in training"

    def fit(self, rows: Rows) -> None:
        """Count the labels."""
        self._label = _commonest(row["label"] for row in rows)

    def predict(self, rows: Rows) -> list[str]:
        """Return that label for every row."""
        return [self._label] * len(rows)


class NaiveBayes:
    """Classification: multinomial Naive Bayes of lower-case words, add-one smoothing (Manning 2008, 13.2)."""

    title: ClassVar = "Naive Bayes"
    help: ClassVar = "counts how often each word occurs in texts of each label"

    def fit(self, rows: Rows) -> None:
        """Count labels, and the words in their texts."""
        self._labels = sorted({row["label"] for row in rows})
        _commonest(self._labels)
        index = {label: i for i, label in enumerate(self._labels)}
        texts = [self._words(row) for row in rows]
        self._vocabulary = {word: i for i, word in enumerate(sorted({word for text in texts for word in text}))}
        counts = np.ones((len(self._labels), len(self._vocabulary)))
        n_rows = np.zeros(len(self._labels))
        for row, text in zip(rows, texts, strict=True):
            n_rows[index[row["label"]]] += 1
            np.add.at(counts[index[row["label"]]], [self._vocabulary[word] for word in text], 1)
        self._of_word = np.log(counts / counts.sum(axis=1, keepdims=True)) if self._vocabulary else counts
        self._of_label = np.log(n_rows / n_rows.sum())

    def predict(self, rows: Rows) -> list[str]:
        """Return the likeliest label of each row; words not in training are ignored."""
        found = []
        for row in rows:
            known = [self._vocabulary[word] for word in self._words(row) if word in self._vocabulary]
            found.append(self._labels[int((self._of_label + self._of_word[:, known].sum(axis=1)).argmax())])
        return found

    @staticmethod
    def _words(row: Row) -> list[str]:
        return re.findall(r"\w+", f"{row['text']} {row.get('text_pair') or ''}".lower())


class MajorityLabels:
    """Several labels: those that at least half of the training rows have, or else the most frequent one."""

    title: ClassVar = "Most frequent labels"
    help: ClassVar = "gives every text the labels that at least half of the training texts have"

    def fit(self, rows: Rows) -> None:
        """Count the labels."""
        counts = Counter(label for row in rows for label in set(row["labels"]))
        frequent = sorted(label for label, count in counts.items() if 2 * count >= len(rows))
        self._labels = frequent or [_commonest(counts.elements())]

    def predict(self, rows: Rows) -> list[list[str]]:
        """Return those labels for every row."""
        return [list(self._labels) for _ in rows]


class MeanScore:
    """Regression: always the mean of training. It has no correlation; its mean absolute error is what counts."""

    title: ClassVar = "Mean score"
    help: ClassVar = "gives every text the mean of the training scores"

    def fit(self, rows: Rows) -> None:
        """Average the scores."""
        scores = [float(row["score"]) for row in rows]
        _commonest(scores)
        self._mean = sum(scores) / len(scores)

    def predict(self, rows: Rows) -> list[float]:
        """Return that mean for every row."""
        return [self._mean] * len(rows)


class MostFrequentTag:
    """Tagging: the most frequent tag of each word; for an unknown word, the most frequent tag overall."""

    title: ClassVar = "Most frequent tag"
    help: ClassVar = "gives each word the tag that it has most often in training"

    def fit(self, rows: Rows) -> None:
        """Count the tags of each word."""
        tags: dict[str, Counter[str]] = defaultdict(Counter)
        for row in rows:
            for word, tag in zip(row["words"], row["tags"], strict=True):
                tags[word][tag] += 1
        self._otherwise = _commonest(tag for row in rows for tag in row["tags"])
        self._tags = {word: _commonest(counts.elements()) for word, counts in tags.items()}

    def predict(self, rows: Rows) -> list[list[str]]:
        """Return a tag for each word."""
        return [[self._tags.get(word, self._otherwise) for word in row["words"]] for row in rows]


class LexiconTagger:
    """Tagging: the entities of training, wherever they occur; longer ones first."""

    title: ClassVar = "Word list"
    help: ClassVar = "marks the names that it saw in training, and no others"

    def fit(self, rows: Rows) -> None:
        """Collect the entities, each with its most frequent type."""
        types: dict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
        for row in rows:
            for entity in entities(row["tags"]):
                types[tuple(row["words"][entity.start : entity.end])][entity.type] += 1
        self._types = {words: _commonest(counts.elements()) for words, counts in types.items()}
        self._longest = max(map(len, self._types), default=0)

    def predict(self, rows: Rows) -> list[list[str]]:
        """Return tags in IOB2."""
        return [iob2(self._entities(row["words"]), len(row["words"])) for row in rows]

    def _entities(self, words: Sequence[str]) -> list[Entity]:
        found, start = [], 0
        while start < len(words):
            for end in range(min(len(words), start + self._longest), start, -1):
                if kind := self._types.get(tuple(words[start:end])):
                    found.append(Entity(start, end, kind))
                    start = end
                    break
            else:
                start += 1
        return found


class LastMentioned:
    """Question answering: of the training answers to questions with the same first word, the last one in the text."""

    title: ClassVar = "Last one mentioned"
    help: ClassVar = "takes the answer known from training that the text mentions last"

    def fit(self, rows: Rows) -> None:
        """Collect the answers by the first word of their question."""
        self._answers: dict[str, set[str]] = defaultdict(set)
        for row in rows:
            self._answers[self._kind(row)] |= {answer["text"] for answer in row["answers"] if answer["text"]}

    def predict(self, rows: Rows) -> list[str]:
        """Return the text of an answer; empty if the text mentions none."""
        return [self._last(row["context"], self._answers.get(self._kind(row), set())) for row in rows]

    @staticmethod
    def _kind(row: Row) -> str:
        return next(iter(re.findall(r"\w+", row["question"].lower())), "")

    @staticmethod
    def _last(context: str, answers: Iterable[str]) -> str:
        """Match whole words only; of two answers that end at the same position, return the longer one."""
        ends = [
            (found[-1].end(), len(answer), answer)
            for answer in answers
            if (found := list(re.finditer(rf"(?<!\w){re.escape(answer)}(?!\w)", context)))
        ]
        return max(ends)[2] if ends else ""


class Copy:
    """Text to text: the source unchanged."""

    title: ClassVar = "Copy"
    help: ClassVar = "writes the source again"

    def fit(self, rows: Rows) -> None:
        """Do nothing: there is nothing to learn."""

    def predict(self, rows: Rows) -> list[str]:
        """Return the sources."""
        return [row["source"] for row in rows]


def split_sentences(text: str) -> list[str]:
    """Split a text into sentences, after “.”, “!” or “?” and a space, or at a newline."""
    return [part.strip() for part in re.split(r"(?<=[.!?])\s+|\n+", text) if part.strip()]


class LeadSentence(Copy):
    """Summaries: the first sentence."""

    title: ClassVar = "First sentence"
    help: ClassVar = "writes the first sentence of the source"

    def predict(self, rows: Rows) -> list[str]:
        """Return the first sentence of each source."""
        return [" ".join(split_sentences(row["source"])[:1]) for row in rows]


class LastSentences(Copy):
    """Summaries: the last three sentences."""

    title: ClassVar = "Last three sentences"
    help: ClassVar = "writes the last three sentences of the source"

    def predict(self, rows: Rows) -> list[str]:
        """Return the last three sentences of each source."""
        return [" ".join(split_sentences(row["source"])[-3:]) for row in rows]


def _by_language(rows: Rows) -> dict[str, list[Row]]:
    """Group the rows by their column “language”; all together if they have none."""
    found: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        found[row.get("language", "")].append(row)
    return found


class WordByWord:
    """Translation by a word table, learned from the pairs by IBM model 1 (Brown 1993): no order, no grammar.

    Punctuation and unknown words are unchanged. Each language has its own table, and the prompt that all of its
    sources begin with (“Say in German: ”) is left out.
    """

    title: ClassVar = "Word by word"
    help: ClassVar = "replaces each word by its likeliest translation"

    _ITERATIONS = 5
    _MAX_PAIRS = 5000

    def fit(self, rows: Rows) -> None:
        """Estimate the probability of each target word for each source word, by expectation maximisation."""
        self._prompts: dict[str, str] = {}
        self._tables: dict[str, dict[str, str]] = {}
        for language, group in _by_language(rows).items():
            prompt = self._prompts[language] = _common_prompt([row["source"] for row in group])
            pairs = [(row["source"][len(prompt) :], row["target"]) for row in group[: self._MAX_PAIRS]]
            self._tables[language] = self._likeliest(pairs)

    def _likeliest(self, texts: Sequence[tuple[str, str]]) -> dict[str, str]:
        """Return the table: source word → target word."""
        word = re.compile(r"\w+")
        pairs = [(word.findall(source), word.findall(target)) for source, target in texts]
        sources, targets = (
            {w: i for i, w in enumerate(sorted({w for p in pairs for w in p[side]}))} for side in (0, 1)
        )
        links, owners = [], []  # a source word and a target word of one pair; which target word of which pair it is
        n_targets = 0
        for source, target in pairs:
            ids = [sources[word] for word in source]
            for word in target:
                links += [source_id * len(targets) + targets[word] for source_id in ids]
                owners += [n_targets] * len(ids)
                n_targets += 1
        if not links:
            return {}
        cells, cell_of_link = np.unique(np.array(links), return_inverse=True)
        owner = np.array(owners)
        source_of_cell = cells // len(targets)
        likelihood = np.ones(len(cells))
        for _ in range(self._ITERATIONS):
            of_link = likelihood[cell_of_link]
            shares = of_link / np.bincount(owner, of_link, minlength=n_targets)[owner]
            counts = np.bincount(cell_of_link, shares, minlength=len(cells))
            likelihood = counts / np.bincount(source_of_cell, counts)[source_of_cell]
        source_words, target_words = list(sources), list(targets)
        return {  # the likeliest last, so that it overwrites the others
            source_words[source_of_cell[cell]]: target_words[cells[cell] % len(targets)]
            for cell in np.argsort(likelihood, kind="stable").tolist()
        }

    def predict(self, rows: Rows) -> list[str]:
        """Return the sources with each word replaced."""
        return [self._replaced(row["source"], row.get("language", "")) for row in rows]

    def _replaced(self, source: str, language: str) -> str:
        table = self._tables.get(language, {})
        text = source.removeprefix(self._prompts.get(language, ""))
        return re.sub(r"\w+", lambda found: table.get(found[0], found[0]), text)


def _common_prompt(sources: Sequence[str]) -> str:
    """Return the prompt that all sources begin with, up to a colon and a space; "" if they have none in common."""
    found = re.match(r"[^:]*: ", sources[0])
    return found[0] if found and all(source.startswith(found[0]) for source in sources) else ""


class TranslationMemory:
    """Text to text: the target of the training source with the most similar character trigrams (Jaccard).

    With several languages, only pairs of the row's language are used.
    """

    title: ClassVar = "Translation memory"
    help: ClassVar = "writes the target of the most similar training source"

    def fit(self, rows: Rows) -> None:
        """Index the pairs by trigram."""
        _commonest(row["source"] for row in rows)
        self._memories = {language: _Memory(group) for language, group in _by_language(rows).items()}

    def predict(self, rows: Rows) -> list[str]:
        """Return the nearest source's target."""
        return [self._nearest(row)[1] for row in rows]

    def _nearest(self, row: Row) -> tuple[str, str]:
        """Return the nearest pair, the first of several."""
        memory = self._memories.get(row.get("language", "")) or next(iter(self._memories.values()))
        return memory.nearest(row["source"])


class _Memory:
    """Pairs that can be found by a similar source."""

    def __init__(self, rows: Rows) -> None:
        self._pairs = [(str(row["source"]), str(row["target"])) for row in rows]
        places: dict[str, list[int]] = defaultdict(list)
        sizes = []
        for i, (source, _) in enumerate(self._pairs):
            trigrams = self._trigrams(source)
            sizes.append(len(trigrams))
            for trigram in trigrams:
                places[trigram].append(i)
        self._sizes = np.array(sizes)
        self._places = {trigram: np.array(indices) for trigram, indices in places.items()}

    def nearest(self, source: str) -> tuple[str, str]:
        trigrams = self._trigrams(source)
        lists = [self._places[trigram] for trigram in trigrams if trigram in self._places]
        if not lists:
            return self._pairs[0]
        shared = np.bincount(np.concatenate(lists), minlength=len(self._pairs))
        return self._pairs[int((shared / (self._sizes + len(trigrams) - shared)).argmax())]

    @staticmethod
    def _trigrams(text: str) -> set[str]:
        padded = f"  {text}  "
        return {padded[i : i + 3] for i in range(len(padded) - 2)}


class SwappedWords(TranslationMemory):
    """Code and other patterns: the nearest source's target, with the words replaced that differ between the sources."""

    title: ClassVar = "Nearest one, words swapped"
    help: ClassVar = "takes the most similar training source's target, and swaps in the words that differ"

    def predict(self, rows: Rows) -> list[str]:
        """Return the nearest source's target, adapted."""
        return [self._adapted(row) for row in rows]

    def _adapted(self, row: Row) -> str:
        near, target = self._nearest(row)
        # Names in code are words in prose: count_key is split like “the key”, and spaces are kept.
        before, after, text = (re.findall(r"[^\W_]+|[\W_]", part) for part in (near, row["source"], target))
        swapped: dict[str, str] = {}
        for kind, i, j, k, m in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
            if kind == "replace" and j - i == m - k:
                swapped |= dict(zip(before[i:j], after[k:m], strict=True))
        return "".join(swapped.get(word, word) for word in text)


BASELINES: dict[str, tuple[type[Baseline], ...]] = {
    "classification": (MajorityLabel, NaiveBayes),
    "multi-label": (MajorityLabels,),
    "regression": (MeanScore,),
    "tagging": (LexiconTagger, MostFrequentTag),
    "span": (LastMentioned,),
    "text-to-text": (Copy, TranslationMemory, WordByWord, LeadSentence, LastSentences, SwappedWords),
}
"""The baselines of each task (models.settings.tasks), the most common first; other tasks have none."""
