"""How a reply was written with a draft model, as it is kept with it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass

from terrarium.models.events import Speculated
from terrarium.models.number_words import describe_speculation


@dataclass(frozen=True, kw_only=True)
class DraftUse:
    """Speculative decoding of a reply's own tokens, without those that it began with.

    model, run_id: the draft model: the name of its run at that time, and its id. n_tokens: how many it drafted at once
    at most. n_drafted, n_accepted, n_passes: as in `models.events.ReplyFinished`; of a reply that was stopped, of the
    drafted tokens only those that were checked are known. n_made: the reply's own tokens.
    """

    model: str
    run_id: str = ""
    n_tokens: int = 0
    n_drafted: int = 0
    n_accepted: int = 0
    n_passes: int = 0
    n_made: int = 0

    @property
    def words(self) -> str:
        """“31 of 40 drafted tokens accepted (78 %), 2.9 tokens per pass of the model.”"""
        return describe_speculation(self.n_drafted, self.n_accepted, self.n_made, self.n_passes)

    def counting(self, tokens: Iterable[Speculated | None]) -> DraftUse:
        """This with the counts as far as its own tokens tell them: the last one of each pass is not accepted."""
        outcomes = [token.outcome for token in tokens if token is not None]
        n_accepted = outcomes.count("accepted")
        return dataclasses.replace(
            self,
            n_drafted=n_accepted + outcomes.count("replaced"),
            n_accepted=n_accepted,
            n_passes=len(outcomes) - n_accepted,
            n_made=len(outcomes),
        )
