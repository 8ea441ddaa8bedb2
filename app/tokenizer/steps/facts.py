"""Descriptions of tokens, merges and pieces. No Qt."""

from __future__ import annotations

from terrarium.models.number_words import format_times, with_minus
from terrarium.models.tokenizers import show_bytes
from terrarium.models.tokenizers.steps.bpe import BpeSteps
from terrarium.models.tokenizers.steps.frequencies import Frequencies
from terrarium.models.tokenizers.steps.steps import TokenizerSteps
from terrarium.models.tokenizers.steps.unigram import UnigramSteps


def token_facts(steps: TokenizerSteps, id: int, frequencies: Frequencies | None) -> str:
    """Describe a token: id, bytes and, if counted, frequency."""
    data = steps.bytes[id].hex(" ").upper() or "none"
    facts = [f"id {id:,}", f"bytes {data}" if len(data) <= 60 else f"{len(steps.bytes[id]):,} bytes"]
    if frequencies is not None:
        facts.append(f"{format_times(frequencies.tokens[id])} in {frequencies.label}")
    return " · ".join(facts)


def node_facts(steps: TokenizerSteps, found: BpeSteps, node: int, frequencies: Frequencies | None) -> str:
    """Describe a node of a merge tree."""
    made = found.nodes[node]
    facts = [steps.show_node(made)]
    if made.rank is not None:
        left, right = (steps.show_node(found.nodes[side]) for side in (made.left, made.right))
        facts.append(f"merge {left} + {right}, rank {made.rank:,}")
        if frequencies is not None:
            facts.append(describe_applied(frequencies, made.rank))
    return " · ".join([*facts, token_facts(steps, made.id, frequencies)])


def piece_facts(steps: TokenizerSteps, found: UnigramSteps, piece: int, frequencies: Frequencies | None) -> str:
    """Describe a piece of a lattice."""
    fits = found.pieces[piece]
    facts = [show_piece(fits.text), f"score {format_score(fits.score)}"]
    facts.append(f"best path ending with it {format_score(found.score_with(piece))}")
    facts.append(token_facts(steps, fits.id, frequencies) if fits.known else "unknown: not in the vocabulary")
    return " · ".join(facts)


def format_tokens(steps: TokenizerSteps, ids: tuple[int, ...], most: int = 12) -> str:
    """Format tokens side by side; only the first ones of many."""
    shown = " | ".join(steps.show_token(id) for id in ids[:most])
    return f"{shown} | … ({len(ids):,} in total)" if len(ids) > most else shown


def describe_applied(frequencies: Frequencies, rank: int) -> str:
    """Describe how often a merge applies in a corpus."""
    n = frequencies.merges[rank]
    return f"applied {format_times(n)} in {frequencies.label}" if n else f"never applied in {frequencies.label}"


def format_share(probability: float) -> str:
    """Format a probability in percent."""
    return f"{100 * probability:.3g}\u00a0%" if probability < 0.9995 else "over 99.9\u00a0%"


def count_headers(frequencies: Frequencies | None) -> tuple[str, ...]:
    """Return the header of the frequency column, if frequencies were counted."""
    return ("Counted",) if frequencies is not None else ()


def format_frequency(frequencies: Frequencies | None, id: int) -> str:
    """Return a cell of the frequency column."""
    return "" if frequencies is None else f"{frequencies.tokens[id]:,}"


def format_score(score: float) -> str:
    """Format a log-probability, with a real minus sign."""
    return with_minus(f"{score:.2f}")


def show_piece(text: str) -> str:
    """Return the display form of a piece of a lattice, with invisible characters made visible."""
    return show_bytes(text.encode())
