"""`terrarium bench weights MODEL`: speed, memory and perplexity with bfloat16, int8 and int4 weights."""

from __future__ import annotations

from terrarium.app.commands.common import find_model, open_model
from terrarium.app.commands.progress import ProgressLine
from terrarium.models.inference.weight_kinds import WeightsMeasured
from terrarium.models.library.library import Library
from terrarium.models.number_words import format_size


def bench_weights(text: str, device_name: str, line: ProgressLine, texts_of: str = "") -> WeightsMeasured:
    """Measure MODEL. Raises ValueError if it is missing or not a decoder.

    texts_of: the run whose held-out texts are predicted; "" for the model's own.
    """
    from terrarium.models.inference.held_out import held_out
    from terrarium.models.inference.measure_weights import measure_weights

    model, tokenizer, _ = open_model(text, device_name)
    for event in measure_weights(model, held_out(find_model(texts_of or text), tokenizer, Library())):
        if isinstance(event, WeightsMeasured):
            return event
        line.show(event)
    raise AssertionError("measure_weights ends with WeightsMeasured")


def format_table(measured: WeightsMeasured) -> str:
    """A table with one row per kind of weights, and what they were measured on."""
    rows = [("weights", "memory", "tokens/s written", "tokens/s read", "perplexity", "change")]
    rows += [
        (
            row.kind,
            format_size(1e6 * row.megabytes),
            f"{row.tokens_per_s:,.1f}",
            f"{row.read_per_s:,.0f}",
            f"{row.perplexity:.3f}",
            "" if row is measured.rows[0] else f"{row.change:+.2%}",
        )
        for row in measured.rows
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    problems = [row.problem for row in measured.rows if row.problem]
    return "\n".join([*lines, f"Perplexity of {measured.n_predicted:,} tokens of {measured.text}.", *problems])
