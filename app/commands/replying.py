"""Helpers shared by `generate` and `chat`: sampling options, and printing a reply as it is generated."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from terrarium.app.commands.common import UsageError, open_model, settings_from
from terrarium.app.commands.options import OptionSet, option, slots
from terrarium.models.chat.own_template import ReplyStripper
from terrarium.models.events import Event, ReplyFinished, TokenMade
from terrarium.models.number_words import describe_speculation
from terrarium.models.settings.sampling_config import MAX_DRAFTED, N_DRAFTED, SamplingConfig

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from terrarium.models.architecture.transformer import AnyModel
    from terrarium.models.inference.speculative import Draft

_DRAFTS = "speculative decoding"


def sampling_options() -> Any:
    """Return the field with the sampling settings that were given, for `sampling_from`."""
    return slots(SamplingConfig, group="sampling", read={"logit_bias": _bias})


def sampling_from(given: Mapping[str, Any], advised: Mapping[str, Any] | None = None) -> SamplingConfig:
    """Return the sampling settings of the options; the rest defaults to those recommended for the model (`advised`).

    Raises:
        UsageError: if they are invalid.
    """
    return settings_from(SamplingConfig, {**(advised or {}), **given})


class DraftOptions(OptionSet):
    """The options of speculative decoding."""

    name: str | None = option(
        "a smaller model with the same tokenizer, which drafts tokens that MODEL checks, several in one pass: the same "
        "replies at temperature 0, and the same distribution of replies otherwise",
        "--draft",
        metavar="MODEL",
        group=_DRAFTS,
        complete="model",
    )
    n_tokens: int | None = option(
        f"tokens drafted at once at most; fewer where the draft is often wrong (1 to {MAX_DRAFTED}, "
        f"default: {N_DRAFTED})",
        "--draft-tokens",
        metavar="K",
        group=_DRAFTS,
    )

    def check(self) -> None:
        """Raise UsageError if the options are inconsistent."""
        if self.name is None and self.n_tokens is not None:
            raise UsageError("--draft-tokens needs --draft, the model that drafts them.")
        if self.n_tokens is not None and not 1 <= self.n_tokens <= MAX_DRAFTED:
            raise UsageError(f"--draft-tokens is {self.n_tokens}, but must be 1 to {MAX_DRAFTED}.")

    def load(self, model: AnyModel, tokenizer: Tokenizer, name: str, device: str) -> Draft | None:
        """Load the draft model for the model called `name`; None without the option.

        Warns on stderr if it is not smaller than the model.

        Raises:
            ValueError: if it cannot draft for the model.
        """
        if self.name is None:
            return None
        from terrarium.models.inference.prefill import PrefixCache
        from terrarium.models.inference.speculative import Draft, check_draft

        if self.name == name:
            raise UsageError("--draft is the model itself, which gains no speed: name a smaller one.")
        small, own, _ = open_model(self.name, device)
        check_draft(model, tokenizer, small, own, self.name)
        if small.n_parameters >= model.n_parameters:
            print(
                f"({self.name} is no smaller than {name}, so this will not be faster: its replies are the same.)",
                file=sys.stderr,
            )
        return Draft(model=small, n_tokens=self.n_tokens or N_DRAFTED, prefix_cache=PrefixCache())


def _bias(text: str) -> tuple[int, float]:
    """Parse “ID=BIAS”: a token id and the number to add to its logit."""
    id, _, bias = text.partition("=")
    try:
        return int(id), float(bias)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} must be a token's id and a number, as in 312=-5") from None


def write_reply(
    events: Iterable[Event], *, quiet: bool, stripper: ReplyStripper | None = None
) -> tuple[str, list[int], ReplyFinished]:
    """Print the reply as it is generated, unless `quiet`; return its text, its ids and its last event.

    stripper: strips the white space around a chat message; None for a continuation.
    """
    text = ""
    ids: list[int] = []
    for event in events:
        if isinstance(event, ReplyFinished):
            if not quiet:
                print(flush=True)
            return text, ids, event
        if isinstance(event, TokenMade):
            new = event.text if stripper is None else stripper.add(event.text)
            text += new
            ids.append(event.id)
            if not quiet:
                print(new, end="", flush=True)
    raise AssertionError("a reply ends with ReplyFinished")


def write_statistics(end: ReplyFinished) -> None:
    """Write the statistics of a reply to stderr: its length, why it ended, and its speed."""
    rate = f"{end.tokens_per_s:,.0f} tokens/s" if end.n_tokens > 1 else "one token"
    print(
        f"{end.n_prompt} tokens read in {1000 * end.prefill_s:.0f} ms, {end.n_tokens} generated at {rate}; "
        f"{'finished' if end.reason == 'stop' else 'reached the length limit'}",
        file=sys.stderr,
    )
    if end.n_passes:
        print(describe_speculation(end.n_drafted, end.n_accepted, end.n_tokens, end.n_passes), file=sys.stderr)
