"""Examples of tokenization that a quick start shows before it has a model: words merged into tokens step by step."""

from __future__ import annotations

from collections.abc import Sequence

from tokenizers import Tokenizer

from terrarium.models.events import ShownText, WordMerges
from terrarium.models.tokenizers.steps.bpe import BpeSteps
from terrarium.models.tokenizers.steps.steps import TokenizerSteps

_N_WORDS = 6
_LETTERS = range(5, 13)
"""Word lengths with enough merges to show, but short enough for a line."""


def merge_words(tokenizer: Tokenizer, texts: Sequence[ShownText]) -> tuple[WordMerges, ...]:
    """Return some words of the texts, with their merges into tokens step by step; () for a tokenizer without merges.

    Words with the most merges come first. A word whose steps do not lead to the tokenizer's own tokens is left out.
    """
    steps = TokenizerSteps(tokenizer)
    if steps.bpe is None:
        return ()
    text = " ".join(f"{each.text} {each.answer}" for each in texts)
    found: dict[str, BpeSteps] = {}
    for word in steps.split(text).words:
        letters = word.display.strip("·")
        if not letters.isalpha() or len(letters) not in _LETTERS:
            continue
        merges = steps.bpe.steps(word.text)
        if merges.ids == word.encoded and merges.n_steps:
            found.setdefault(letters, merges)
    most = sorted(found.items(), key=lambda item: -item[1].n_steps)[:_N_WORDS]
    return tuple(
        WordMerges(
            word=letters,
            states=tuple(
                tuple(steps.show_node(merges.nodes[i]) for i in merges.state(step))
                for step in range(merges.n_steps + 1)
            ),
        )
        for letters, merges in most
    )
