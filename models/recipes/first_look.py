"""What a quick start can show of itself before there is a model: words becoming tokens by the merges just learned."""

from __future__ import annotations

from collections.abc import Sequence

from tokenizers import Tokenizer

from terrarium.models.events import ShownText, WordMerges
from terrarium.models.tokenizers.steps.bpe import BpeSteps
from terrarium.models.tokenizers.steps.steps import TokenizerSteps

_N_WORDS = 6
_LETTERS = range(5, 13)
"""Long enough that several merges are seen, short enough for a line."""


def merge_words(tokenizer: Tokenizer, texts: Sequence[ShownText]) -> tuple[WordMerges, ...]:
    """Some words of the texts and how each becomes tokens, merge by merge; () for a tokenizer without merges.

    Those with the most merges come first. Left out is a word of which the tokenizer itself makes other tokens.
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
