"""The figures that texts of the guide may insert as `{{name}}`, measured or read from the window state."""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from terrarium.app.guide.window_state import ReplyFact, RunFact, WindowState
from terrarium.models.metrics.metrics_table import METRICS, format_score
from terrarium.models.number_words import format_compact, format_percent, with_minus
from terrarium.models.tiny_world.questions import HEADLINE_KINDS

_MAX_CHARACTERS = 120
"""The maximum length of a quoted reply or text."""
_MARK = re.compile(r"\{\{(\w+)\}\}")


@dataclass(frozen=True)
class Figure:
    """A number with its format and a description for authors of chapters. value: returns None while it is unknown."""

    about: str
    value: Callable[[WindowState], float | None]
    write: Callable[[float], str] = "{:,.0f}".format


def fill(text: str, facts: WindowState) -> str | None:
    """Fill in the figures and words of a text; return None if one of them is not known yet."""
    filled = {name: lookup(name, facts) for name in names_in(text)}
    if None in filled.values():
        return None
    return _MARK.sub(lambda match: filled[match[1]] or "", text)


def fill_known(text: str, facts: WindowState) -> str:
    """Fill in the figures and words of a text, with “…” for unknown ones."""
    return _MARK.sub(lambda match: lookup(match[1], facts) or "…", text)


def names_in(text: str) -> list[str]:
    """Return the names of the figures and words in a text."""
    return _MARK.findall(text)


def lookup(name: str, facts: WindowState) -> str | None:
    """Return a formatted figure or a word; None if it is not known yet."""
    if name in FIGURES:
        figure = FIGURES[name]
        value = figure.value(facts)
        return None if value is None else figure.write(value)
    word = WORDS[name](facts)
    return word or None


def number(name: str, facts: WindowState) -> float | None:
    """Return the value of a figure; None if it is not known yet."""
    return FIGURES[name].value(facts)


def _percent(share: float) -> str:
    """Format a percentage; only exact values are written as 0 or 100."""
    if 0.995 <= share < 1.0:
        return f"over {format_percent(0.99)}"
    if 0.0 < share < 0.0005:
        return f"under {format_percent(0.001, 1)}"
    return format_percent(share, 0 if share >= 0.1 else 1)


def _shortened(text: str) -> str:
    return textwrap.shorten(text, _MAX_CHARACTERS, placeholder=" …")


def _newest(facts: WindowState) -> ReplyFact | None:
    return facts.replies[-1] if facts.replies else None


def _newest_run(facts: WindowState) -> RunFact | None:
    return next((run for run in facts.runs if run.status == "finished"), None)


def _run_at(facts: WindowState, position: str) -> float | None:
    losses = (run.best_loss for run in facts.runs if run.position == position and run.status == "finished")
    return next((loss for loss in losses if loss is not None), None)


def _order_gain(facts: WindowState) -> float | None:
    without, learned = _run_at(facts, "none"), _run_at(facts, "learned")
    return None if without is None or learned is None else without - learned


def _scored(facts: WindowState) -> str:
    scored = facts.scored
    if scored is None:
        return ""
    of_group = f" of “{scored.group}”" if scored.group else ""
    return f"{METRICS[scored.metric].title}{of_group} {format_score(scored.metric, scored.value)}"


def _accuracy(facts: WindowState, kinds: tuple[str, ...]) -> float | None:
    found = [share for kind, share in facts.model.accuracy if kind in kinds] if facts.model is not None else []
    return sum(found) / len(found) if len(found) == len(kinds) else None


FIGURES: Mapping[str, Figure] = {
    "n_tokens": Figure("tokens of the text in the tokenizer tab", lambda facts: facts.n_tokens or None),
    "n_characters": Figure("characters of that text", lambda facts: len(facts.typed) or None),
    "vocab_size": Figure("tokens that the chosen tokenizer knows", lambda facts: facts.vocab_size or None),
    "n_parameters": Figure("parameters of the design", lambda facts: facts.n_parameters or None, format_compact),
    "model_parameters": Figure(
        "parameters of the open model", lambda facts: facts.model.n_parameters if facts.model else None, format_compact
    ),
    "model_vocab": Figure("tokens that it chooses from", lambda facts: facts.model.vocab_size if facts.model else None),
    "context_length": Figure(
        "tokens that it can read at once", lambda facts: facts.model.context_length if facts.model else None
    ),
    "uniform_share": Figure(
        "the share of each token if all were alike",
        lambda facts: 1 / facts.model.vocab_size if facts.model else None,
        lambda share: format_percent(share, 2),
    ),
    "uniform_loss": Figure(
        "the loss of a model that finds all tokens alike, in nats",
        lambda facts: math.log(facts.vocab_size) if facts.vocab_size else None,
        "{:.2f}".format,
    ),
    "reply_tokens": Figure("tokens of the newest reply", lambda facts: getattr(_newest(facts), "n_tokens", None)),
    "reply_probability": Figure(
        "the probability of its tokens, on average",
        lambda facts: getattr(_newest(facts), "probability", None),
        _percent,
    ),
    "reply_temperature": Figure(
        "the temperature that it was drawn at",
        lambda facts: getattr(_newest(facts), "temperature", None),
        "{:.1f}".format,
    ),
    "token_probability": Figure(
        "the probability of the token in focus", lambda facts: getattr(facts.token, "probability", None), _percent
    ),
    "before_off": Figure(
        "the answer's probability with all parts", lambda facts: getattr(facts.switched_off, "before", None), _percent
    ),
    "after_off": Figure(
        "its probability without those switched off", lambda facts: getattr(facts.switched_off, "after", None), _percent
    ),
    "decoder_difference": Figure(
        "how far the causal model's scores of two sentences differ",
        lambda facts: getattr(facts.pair, "decoder_difference", None),
        "{:g}".format,
    ),
    "machine_step": Figure(
        "the time machine's step", lambda facts: facts.machine_step if facts.machine_step >= 0 else None
    ),
    "run_loss": Figure(
        "the best validation loss of the newest finished run, in nats per token",
        lambda facts: getattr(_newest_run(facts), "best_loss", None),
        "{:.2f}".format,
    ),
    "text_bits": Figure(
        "bits per byte of the user's own text, by the model that it grew",
        lambda facts: getattr(facts.training, "text_bits", None),
        "{:.2f}".format,
    ),
    "text_table": Figure(
        "the same by the best table of letters",
        lambda facts: getattr(facts.training, "text_table", None),
        "{:.2f}".format,
    ),
    "run_steps": Figure("its steps", lambda facts: getattr(_newest_run(facts), "step", None)),
    "run_unseen": Figure(
        "its score on what it could not know by heart", lambda facts: getattr(facts.scored, "unseen", None), _percent
    ),
    "loss_learned": Figure(
        "the best loss of the newest run with learned positions",
        lambda facts: _run_at(facts, "learned"),
        "{:.2f}".format,
    ),
    "loss_none": Figure(
        "that of the newest run without positions", lambda facts: _run_at(facts, "none"), "{:.2f}".format
    ),
    "order_gain": Figure("the second less the first", _order_gain, lambda gain: with_minus(f"{gain:.2f}")),
    "accuracy": Figure(
        "right answers of the open model to held-out questions",
        lambda facts: _accuracy(facts, HEADLINE_KINDS),
        _percent,
    ),
    "accuracy_sums": Figure("its right sums", lambda facts: _accuracy(facts, ("sums",)), _percent),
    "told_before": Figure(
        "forbidden questions answered before the rule",
        lambda facts: getattr(facts.safety, "told_before", None),
        _percent,
    ),
    "told_after": Figure("those answered with it", lambda facts: getattr(facts.safety, "told_after", None), _percent),
    "told_when_begun": Figure(
        "those answered with it where the reply was begun",
        lambda facts: getattr(facts.safety, "told_when_begun", None),
        _percent,
    ),
    "over_refused": Figure(
        "harmless look-alikes refused", lambda facts: getattr(facts.safety, "over_refused", None), _percent
    ),
    "over_refused_without": Figure(
        "those refused by the model that saw none in training",
        lambda facts: getattr(facts.safety, "over_refused_without", None),
        _percent,
    ),
    "n_judged": Figure("pairs that were judged", lambda facts: facts.n_judged or None),
}

WORDS: Mapping[str, Callable[[WindowState], str]] = {
    "typed": lambda facts: _shortened(facts.typed),
    "tokenizer": lambda facts: facts.tokenizer,
    "model": lambda facts: facts.model.name if facts.model else "",
    "question": lambda facts: getattr(_newest(facts), "prompt", ""),
    "reply": lambda facts: _shortened(facts.replies[-1].text) or "(nothing)" if facts.replies else "",
    "turn": lambda facts: _shortened(getattr(_newest(facts), "turn", "")),
    "token": lambda facts: facts.token.word.strip() if facts.token else "",
    "head": lambda facts: facts.head,
    "part_off": lambda facts: " + ".join(facts.switched_off.parts) if facts.switched_off else "",
    "encoder_first": lambda facts: facts.pair.encoder[0] if facts.pair else "",
    "encoder_second": lambda facts: facts.pair.encoder[1] if facts.pair else "",
    "decoder_first": lambda facts: facts.pair.decoder[0] if facts.pair else "",
    "decoder_second": lambda facts: facts.pair.decoder[1] if facts.pair else "",
    "run": lambda facts: getattr(_newest_run(facts), "name", ""),
    "run_scored": _scored,
    "exported": lambda facts: facts.exported[-1] if facts.exported else "",
}
"""Texts by the user or the model, by the names that chapters use."""
