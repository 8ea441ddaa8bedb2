"""`terrarium tokenizer compare`: compares tokenizers on the same texts, and their cost for a design."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from terrarium.app.commands.common import UsageError, read_argument
from terrarium.app.commands.options import Command, argument, option, print_json
from terrarium.app.commands.progress import ProgressLine, drive
from terrarium.models.corpora.corpus import list_corpora
from terrarium.models.data.corpus_texts import CorpusChoice, corpus_texts, language_texts
from terrarium.models.library.library import Library
from terrarium.models.tiny_world.stories import LANGUAGE_NAMES
from terrarium.models.tokenizers import load_tokenizer, tokenizer_kind

if TYPE_CHECKING:
    from terrarium.models.settings.model_config import ModelConfig
    from terrarium.models.tokenizers.text.compare import Figures, MeasuredPart, TextLoader

BUILT_IN = ("tiny-world", "stdlib")
"""Corpora that are generated on first use."""
LANGUAGES = "languages"


class Compare(Command):
    """Compare tokenizers on the same texts."""

    tokenizers: tuple[str, ...] = argument("TOKENIZER", "paths or names", complete="tokenizer")
    text: str | None = option("the text; - reads stdin", metavar="T")
    data: tuple[Path, ...] = option("files, each measured separately", many=True, metavar="FILE")
    corpus: tuple[str, ...] = option(
        f"{', '.join(BUILT_IN)}, {LANGUAGES} (the same stories in {', '.join(LANGUAGE_NAMES)}), or a corpus of the "
        "library by its label or the digits of its SHA-256; repeatable, each is measured separately",
        metavar="C",
        complete="dataset",
    )
    design: str | None = option(
        "also show what each vocabulary costs this preset, design or run, and how much text fits into its context",
        metavar="D",
        complete="design",
    )

    def run(self) -> None:
        """Print the tables, or one JSON object."""
        from terrarium.models.tokenizers.text.compare import Figures, compare

        library = Library()
        sources = self._sources(library)
        loaded = {name: load_tokenizer(name, library) for name in dict.fromkeys(self.tokenizers)}
        design = None
        if self.design is not None:
            from terrarium.app.commands.describe import find_config

            design = find_config(self.design)
        with ProgressLine(as_json=self.as_json) as line:
            parts = drive(compare(loaded, sources), line)
        rows = []
        for name, tokenizer in loaded.items():
            total = sum((part.figures[name] for part in parts), Figures())
            size = tokenizer.get_vocab_size()
            row = {"tokenizer": name, "kind": tokenizer_kind(tokenizer), "vocab_size": size, **_facts(total)}
            row["parts"] = [{"part": part.label, **_facts(part.figures[name])} for part in parts]
            if design is not None:
                row["cost"] = _cost_facts(design, size, total)
            rows.append(row)
        if self.as_json:
            print_json(
                {"bytes": total.n_bytes, "characters": total.n_characters, "words": total.n_words} | _about(rows, parts)
            )
        else:
            _print_tables(rows, parts)

    def _sources(self, library: Library) -> list[TextLoader]:
        choices = [] if self.text is None else [CorpusChoice(source="text", text=read_argument(self.text))]
        choices += [CorpusChoice(source="files", files=(str(file),)) for file in self.data]
        sources: list[TextLoader] = [partial(corpus_texts, library, choice) for choice in choices]
        for name in self.corpus:
            if name == LANGUAGES:
                sources += [partial(language_texts, language) for language in LANGUAGE_NAMES]
            else:
                sources.append(partial(corpus_texts, library, find_corpus(name, library, [LANGUAGES])))
        if not sources:
            raise UsageError("No text to compare on: give --text, --data or --corpus.")
        return sources


def find_corpus(name: str, library: Library, others: Sequence[str] = ()) -> CorpusChoice:
    """Find a corpus by name: a built-in one, or one of the library by its label or the digits of its SHA-256.

    Args:
        others: other accepted values, for the error message.

    Raises:
        ValueError: if there is no such corpus.
    """
    if name in BUILT_IN:
        return CorpusChoice(source=name)
    corpora = list_corpora(library)
    for corpus in corpora:
        if name == corpus.label or corpus.sha == name[:12]:
            return CorpusChoice(source="corpus", sha=corpus.sha)
    known = ", ".join([*BUILT_IN, *others, *(f"{corpus.sha} ({corpus.label})" for corpus in corpora)])
    raise ValueError(f"There is no corpus called {name!r}: choose one of {known}.")


def _facts(figures: Figures) -> dict[str, Any]:
    ratios = {
        "bytes_per_token": figures.bytes_per_token,
        "characters_per_token": figures.characters_per_token,
        "tokens_per_word": figures.tokens_per_word,
        "whole_word_share": figures.whole_share,
        "unknown_share": figures.unknown_share,
    }
    return {
        "tokens": figures.n_tokens,
        "unknown": figures.n_unknown,
        **{name: None if math.isnan(value) else value for name, value in ratios.items()},
    }


def _cost_facts(design: ModelConfig, vocab_size: int, figures: Figures) -> dict[str, Any]:
    from terrarium.models.tokenizers.text.compare import model_cost

    cost = model_cost(design, vocab_size, figures)
    return {
        "vocabulary_parameters": cost.vocabulary_parameters,
        "total_parameters": cost.total_parameters,
        "context_length": design.context_length,
        "context_characters": cost.context_characters,
        "context_words": cost.context_words,
    }


def _about(rows: Sequence[dict[str, Any]], parts: Sequence[MeasuredPart]) -> dict[str, Any]:
    texts = [(part.label, next(iter(part.figures.values()))) for part in parts]
    about = [
        {"part": label, "bytes": each.n_bytes, "characters": each.n_characters, "words": each.n_words}
        for label, each in texts
    ]
    return {"parts": about, "tokenizers": rows}


def _print_tables(rows: Sequence[dict[str, Any]], parts: Sequence[MeasuredPart]) -> None:
    columns = {
        "kind": [row["kind"] for row in rows],
        "vocabulary": [f"{row['vocab_size']:,}" for row in rows],
        "tokens": [f"{row['tokens']:,}" for row in rows],
        "tokens/word": [_number(row["tokens_per_word"]) for row in rows],
        "characters/token": [_number(row["characters_per_token"]) for row in rows],
        "bytes/token": [_number(row["bytes_per_token"]) for row in rows],
        "whole words": [_share(row["whole_word_share"]) for row in rows],
        "unknown": [f"{row['unknown']:,}" for row in rows],
    }
    names = [row["tokenizer"] for row in rows]
    _print_table(names, columns)
    if len(parts) > 1:
        for title, fact in (("tokens per word", "tokens_per_word"), ("bytes per token", "bytes_per_token")):
            print(f"\n{title}:")
            by_part = {part.label: [_number(row["parts"][i][fact]) for row in rows] for i, part in enumerate(parts)}
            _print_table(names, by_part)
    if "cost" in rows[0]:
        costs = [row["cost"] for row in rows]
        print(f"\nfor the design, with {costs[0]['context_length']:,} tokens of context:")
        columns = {
            "vocabulary's parameters": [f"{each['vocabulary_parameters']:,}" for each in costs],
            "of all": [_share(each["vocabulary_parameters"] / each["total_parameters"]) for each in costs],
            "characters in the context": [f"{each['context_characters']:,.0f}" for each in costs],
            "words": [f"{each['context_words']:,.0f}" for each in costs],
        }
        _print_table(names, columns)


def _print_table(names: Sequence[str], columns: dict[str, list[str]]) -> None:
    """Print names left-aligned, and numbers right-aligned below their headings."""
    first = max(map(len, ("tokenizer", *names)))
    widths = [max(map(len, (title, *cells))) for title, cells in columns.items()]
    print("  ".join([f"{'tokenizer':<{first}}", *(f"{t:>{w}}" for t, w in zip(columns, widths, strict=True))]))
    for i, name in enumerate(names):
        cells = (f"{cells[i]:>{width}}" for cells, width in zip(columns.values(), widths, strict=True))
        print("  ".join([f"{name:<{first}}", *cells]))


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"
