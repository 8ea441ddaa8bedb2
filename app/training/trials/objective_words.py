"""What each objective asks of a model, in plain words."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class ObjectiveWords:
    """title: its name. sentence: what happens to a text. reads, says: what stands above the two rows of tokens."""

    title: str
    sentence: str
    reads: str
    says: str


OBJECTIVES = {
    "next-token": ObjectiveWords(
        title="Next token",
        sentence="The model reads from left to right, and at each place it predicts the token that comes next.",
        reads="",
        says="Reads and predicts",
    ),
    "masked-tokens": ObjectiveWords(
        title="Masked tokens",
        sentence="15\N{NO-BREAK SPACE}% of the tokens are asked for: most of them are masked, some replaced by others, "
        "some left. The model predicts what stood there, from both sides.",
        reads="Reads",
        says="Predicts, in its place",
    ),
    "span-corruption": ObjectiveWords(
        title="Span corruption",
        sentence="15\N{NO-BREAK SPACE}% of the text is cut out, in spans of about 3 tokens, and numbered gaps stand in "
        "their place. The model writes what belongs into each gap.",
        reads="Reads",
        says="Writes",
    ),
    "denoising": ObjectiveWords(
        title="Denoising",
        sentence="30\N{NO-BREAK SPACE}% of the text is hidden, each span behind one mask however long it is, and the "
        "sentences change places. The model writes the whole text as it was.",
        reads="Reads",
        says="Writes",
    ),
    "pronouns": ObjectiveWords(
        title="What “it” is",
        sentence="Of the nouns before “it”, the model points at the one that is meant: by the product of its state at "
        "“it” with its state at each noun. Nothing else is asked for.",
        reads="",
        says="Reads and points at",
    ),
}
"""By DataPreview.objective."""
