"""What is worked out beside the window before steps are shown: a text's words, and the steps of one of them. No Qt."""

from __future__ import annotations

from dataclasses import dataclass

from tokenizers import Tokenizer

from models.tokenizers.steps.steps import LookupSteps, SplitText, TokenizerSteps, Word, WordSteps, find_mismatches
from models.tokenizers.token_bytes import component_steps

LONGEST_TEXT = 200_000
"""Characters of a text whose words are listed."""
LONGEST_WORD = 20_000
"""Characters of a word that are followed."""


@dataclass(frozen=True, eq=False)
class TextAnalysis:
    """A text as a tokenizer's words. The steps of `n_checked` were compared with the encoder: `n_wrong` end elsewhere.

    `is_cut`: only the text's first LONGEST_TEXT characters are here. `normalizer`, `pre_tokenizer`: what they are.
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
    """The steps of a word. `agrees`: they end in the tokens that the encoder gives.

    `is_cut`: only the word's first LONGEST_WORD characters are followed.
    """

    word: Word
    found: WordSteps
    is_cut: bool
    agrees: bool


def analyse_text(tokenizer: Tokenizer, steps: TokenizerSteps | None, text: str) -> TextAnalysis:
    """Split a text into words, and compare the steps of each with the encoder. `steps`: the tokenizer's, if there are.

    Raises:
        ValueError: for a kind of tokenizer that cannot be followed.
    """
    steps = TokenizerSteps(tokenizer) if steps is None else steps
    split = steps.split(text[:LONGEST_TEXT])
    checked = [word for word in split.words if len(word.text) <= LONGEST_WORD]
    return TextAnalysis(
        tokenizer,
        steps,
        split,
        len(text) > LONGEST_TEXT,
        len(checked),
        len(find_mismatches(steps, checked)),
        _names(tokenizer.normalizer),
        _names(tokenizer.pre_tokenizer),
    )


def trace_word(steps: TokenizerSteps, word: Word) -> WordTrace:
    """The steps of a word of a text.

    Raises:
        ValueError: where the tokenizer itself fails on it.
    """
    if word.added_id is not None:
        looked_up = LookupSteps(word.text, word.added_id, True)
        return WordTrace(word, looked_up, False, word.encoded == (word.added_id,))
    is_cut = len(word.text) > LONGEST_WORD
    if not is_cut:
        found = steps.steps(word.text)
        return WordTrace(word, found, False, found.ids == word.encoded)
    beginning = word.text[:LONGEST_WORD]
    found = steps.steps(beginning)
    encoded = tuple(token.id for token in steps.encoder.model.tokenize(beginning))
    return WordTrace(word, found, True, found.ids == encoded)


def _names(component: object) -> str:
    """What a normaliser or pre-tokenizer does, by the names of its parts."""
    return ", ".join(dict.fromkeys(step["type"] for step in component_steps(component)))
