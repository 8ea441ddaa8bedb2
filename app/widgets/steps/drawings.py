"""Which drawing shows which kind of steps."""

from __future__ import annotations

from app.widgets.steps.drawing import Drawing
from app.widgets.steps.lattice import Lattice
from app.widgets.steps.looks import Looks
from app.widgets.steps.lookup import Lookup
from app.widgets.steps.merge_tree import MergeTree
from app.widgets.steps.scan import Scan
from models.tokenizers.step_frequencies import Frequencies
from models.tokenizers.steps import TokenizerSteps, WordSteps
from models.tokenizers.steps_bpe import BpeSteps
from models.tokenizers.steps_unigram import UnigramSteps
from models.tokenizers.steps_wordpiece import WordPieceSteps


def drawing_of(looks: Looks, steps: TokenizerSteps, found: WordSteps, frequencies: Frequencies | None) -> Drawing:
    """The drawing of a word's steps, which tells frequencies too where they were counted."""
    if isinstance(found, BpeSteps):
        return MergeTree(looks, steps, found, frequencies)
    if isinstance(found, WordPieceSteps):
        return Scan(looks, steps, found, frequencies)
    if isinstance(found, UnigramSteps):
        return Lattice(looks, steps, found, frequencies)
    return Lookup(looks, steps, found, frequencies)
