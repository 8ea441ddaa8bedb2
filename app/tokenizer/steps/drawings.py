"""Which drawing shows which kind of steps."""

from __future__ import annotations

from app.tokenizer.steps.drawing import Drawing
from app.tokenizer.steps.lattice import Lattice
from app.tokenizer.steps.looks import Looks
from app.tokenizer.steps.lookup import Lookup
from app.tokenizer.steps.merge_tree import MergeTree
from app.tokenizer.steps.scan import Scan
from models.tokenizers.steps.bpe import BpeSteps
from models.tokenizers.steps.frequencies import Frequencies
from models.tokenizers.steps.steps import TokenizerSteps, WordSteps
from models.tokenizers.steps.unigram import UnigramSteps
from models.tokenizers.steps.wordpiece import WordPieceSteps


def drawing_of(looks: Looks, steps: TokenizerSteps, found: WordSteps, frequencies: Frequencies | None) -> Drawing:
    """The drawing of a word's steps, which tells frequencies too where they were counted."""
    if isinstance(found, BpeSteps):
        return MergeTree(looks, steps, found, frequencies)
    if isinstance(found, WordPieceSteps):
        return Scan(looks, steps, found, frequencies)
    if isinstance(found, UnigramSteps):
        return Lattice(looks, steps, found, frequencies)
    return Lookup(looks, steps, found, frequencies)
