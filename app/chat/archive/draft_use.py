"""How a reply was generated with a draft model, as saved with the reply."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass

from terrarium.models.events import Speculated
from terrarium.models.number_words import describe_speculation


@dataclass(frozen=True, kw_only=True)
class DraftUse:
    """Statistics of speculative decoding for a reply's own tokens, without its given prefix.

    model, run_id: the draft model: its run's name at that time, and the run's id. n_tokens: the maximum number of
    tokens drafted per pass. n_drafted, n_accepted, n_passes: as in `models.events.ReplyFinished`; for a stopped reply,
    only the drafted tokens that were verified are counted. n_made: the number of the reply's own tokens.
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
        """A sentence such as “31 of 40 drafted tokens accepted (78 %), 2.9 tokens per pass of the model.”"""
        return describe_speculation(self.n_drafted, self.n_accepted, self.n_made, self.n_passes)

    def counting(self, tokens: Iterable[Speculated | None]) -> DraftUse:
        """Return a copy with counts from the reply's own tokens: all but the last token of each pass were accepted."""
        outcomes = [token.outcome for token in tokens if token is not None]
        n_accepted = outcomes.count("accepted")
        return dataclasses.replace(
            self,
            n_drafted=n_accepted + outcomes.count("replaced"),
            n_accepted=n_accepted,
            n_passes=len(outcomes) - n_accepted,
            n_made=len(outcomes),
        )
