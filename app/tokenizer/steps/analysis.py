"""Background work of the Steps view: the words of a text, and the steps of one word. No Qt."""

from __future__ import annotations

from dataclasses import dataclass

from tokenizers import Tokenizer

from terrarium.models.tokenizers.steps.steps import (
    LookupSteps,
    SplitText,
    TokenizerSteps,
    Word,
    WordSteps,
    find_mismatches,
)
from terrarium.models.tokenizers.token_bytes import component_steps

MAX_TEXT = 200_000
"""The maximum number of characters of a text that are analysed."""
MAX_WORD = 20_000
"""The maximum number of characters of a word that are traced."""


@dataclass(frozen=True, eq=False)
class TextAnalysis:
    """A text split into a tokenizer's words.

    n_checked, n_wrong: how many words had their steps compared with the encoder, and how many of those differ. is_cut:
    only the first MAX_TEXT characters were analysed. normalizer, pre_tokenizer: the names of their components.
    """

    tokenizer: Tokenizer
    steps: TokenizerSteps
    split: SplitText
    is_cut: bool
    n_checked: int
    n_wrong: int
    normalizer: str
    pre_tokenizer: str


@dataclass(frozen=True, eq=False)
class WordTrace:
    """The steps of a word. `agrees`: whether they result in the encoder's tokens.

    is_cut: only the first MAX_WORD characters were traced.
    """

    word: Word
    found: WordSteps
    is_cut: bool
    agrees: bool


def analyse_text(tokenizer: Tokenizer, steps: TokenizerSteps | None, text: str) -> TextAnalysis:
    """Split a text into words, and compare the steps of each with the encoder. `steps`: the tokenizer's, if known.

    Raises:
        ValueError: for an unsupported kind of tokenizer.
    """
    steps = TokenizerSteps(tokenizer) if steps is None else steps
    split = steps.split(text[:MAX_TEXT])
    checked = [word for word in split.words if len(word.text) <= MAX_WORD]
    return TextAnalysis(
        tokenizer,
        steps,
        split,
        len(text) > MAX_TEXT,
        len(checked),
        len(find_mismatches(steps, checked)),
        _names(tokenizer.normalizer),
        _names(tokenizer.pre_tokenizer),
    )


def trace_word(steps: TokenizerSteps, word: Word) -> WordTrace:
    """Compute the steps of a word.

    Raises:
        ValueError: if the tokenizer itself fails on it.
    """
    if word.added_id is not None:
        looked_up = LookupSteps(word.text, word.added_id, True)
        return WordTrace(word, looked_up, False, word.encoded == (word.added_id,))
    is_cut = len(word.text) > MAX_WORD
    if not is_cut:
        found = steps.steps(word.text)
        return WordTrace(word, found, False, found.ids == word.encoded)
    beginning = word.text[:MAX_WORD]
    found = steps.steps(beginning)
    encoded = tuple(token.id for token in steps.encoder.model.tokenize(beginning))
    return WordTrace(word, found, True, found.ids == encoded)


def _names(component: object) -> str:
    """Return the names of the components of a normalizer or pre-tokenizer."""
    return ", ".join(dict.fromkeys(step["type"] for step in component_steps(component)))
