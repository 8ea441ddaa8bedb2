"""What is known of tokens, merges and pieces, in words. No Qt."""

from __future__ import annotations

from models.number_words import times
from models.tokenizers import show_bytes
from models.tokenizers.steps.bpe import BpeSteps
from models.tokenizers.steps.frequencies import Frequencies
from models.tokenizers.steps.steps import TokenizerSteps
from models.tokenizers.steps.unigram import UnigramSteps


def token_facts(steps: TokenizerSteps, id: int, frequencies: Frequencies | None) -> str:
    """Id, bytes and, where counted, frequency of a token."""
    data = steps.bytes[id].hex(" ").upper() or "none"
    facts = [f"id {id:,}", f"bytes {data}" if len(data) <= 60 else f"{len(steps.bytes[id]):,} bytes"]
    if frequencies is not None:
        facts.append(f"{times(frequencies.tokens[id])} a token of {frequencies.label}")
    return " · ".join(facts)


def node_facts(steps: TokenizerSteps, found: BpeSteps, node: int, frequencies: Frequencies | None) -> str:
    """What is known of a node of a word's tree."""
    made = found.nodes[node]
    facts = [steps.show_node(found, made)]
    if made.rank is not None:
        left, right = (steps.show_node(found, found.nodes[side]) for side in (made.left, made.right))
        facts.append(f"merge {left} + {right}, rank {made.rank:,}")
        if frequencies is not None:
            facts.append(applied(frequencies, made.rank))
    return " · ".join([*facts, token_facts(steps, made.id, frequencies)])


def piece_facts(steps: TokenizerSteps, found: UnigramSteps, piece: int, frequencies: Frequencies | None) -> str:
    """What is known of a piece of a word's lattice."""
    fits = found.pieces[piece]
    facts = [shown_piece(fits.text), f"score {score_words(fits.score)}"]
    facts.append(f"best way that ends in it {score_words(found.score_with(piece))}")
    facts.append(token_facts(steps, fits.id, frequencies) if fits.known else "unknown: not in the vocabulary")
    return " · ".join(facts)


def tokens_words(steps: TokenizerSteps, ids: tuple[int, ...], most: int = 12) -> str:
    """Tokens side by side, the first ones where there are many."""
    shown = " | ".join(steps.show_token(id) for id in ids[:most])
    return f"{shown} | … ({len(ids):,} in all)" if len(ids) > most else shown


def applied(frequencies: Frequencies, rank: int) -> str:
    """How often a merge applies on a corpus."""
    n = frequencies.merges[rank]
    return f"applied {times(n)} on {frequencies.label}" if n else f"never applied on {frequencies.label}"


def share(probability: float) -> str:
    """A probability in per cent."""
    return f"{100 * probability:.3g}\u00a0%" if probability < 0.9995 else "over 99.9\u00a0%"


def counts(frequencies: Frequencies | None) -> tuple[str, ...]:
    """The column for how often tokens are on a corpus, where that was counted."""
    return ("Counted",) if frequencies is not None else ()


def count(frequencies: Frequencies | None, id: int) -> str:
    """A field of that column."""
    return "" if frequencies is None else f"{frequencies.tokens[id]:,}"


def score_words(score: float) -> str:
    """A log-probability with a real minus sign."""
    return f"{score:.2f}".replace("-", "−")


def shown_piece(text: str) -> str:
    """A piece of a lattice: spaces are marked already; what cannot be seen is written out."""
    return show_bytes(text.encode())
