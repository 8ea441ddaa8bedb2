"""Readouts of a model's final states: the next token, a label, the tag of a word, or a span.

Letters in shape comments: R rows, T tokens, C d_model, K outcomes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from terrarium.models.architecture.transformer import AnyModel, Encoder
from terrarium.models.inference.continuation import check_prompt
from terrarium.models.inference.sampling import check_finite


@dataclass(frozen=True, kw_only=True)
class Readout:
    """A question with K outcomes, whose probabilities sum to 1.

    at: the position whose state gives the answer, and up to which a causal model has to read; for a whole text, its
        last position (in an encoder, the first).
    head: the kind of head that answers, as in ModelConfig. Its outcomes are the vocabulary (“language”), or the labels
        of the text (“sequence”) or of the token at `at` (“token”).
    label: for independent labels, the one in question: its outcomes are no and yes.
    span: the first and the last position of an answer (head “span”); its outcomes are another span, and this one.
    candidates: the positions at which a span could begin or end.
    """

    at: int
    head: str = "language"
    label: int | None = None
    span: tuple[int, int] | None = None
    candidates: tuple[int, ...] = ()

    def logits(self, model: AnyModel, hidden: Tensor) -> Tensor:
        """Compute logits (R, K) of the outcomes from final hidden states (R, T, C), float32 on the CPU.

        Raises:
            ValueError: if a logit is not a number.
        """
        if self.head == "sequence":
            found = model.logits(hidden)
        else:
            found = model.logits(hidden if self.head == "span" else hidden[:, self.at])
        found = found.float().cpu()
        check_finite(found)
        if self.label is not None:
            yes = found[:, self.label]
            return torch.stack((torch.zeros_like(yes), yes), dim=1)
        return found if self.span is None else self._span_logits(found)

    def _span_logits(self, ends: Tensor) -> Tensor:
        """Convert logits of start and end at every token, (R, T, 2), to log-probabilities of other spans and this one.

        As in training, start and end are independent.
        """
        assert self.span is not None
        allowed = torch.zeros(ends.size(1), dtype=torch.bool)
        allowed[list(self.candidates)] = True
        logs = ends.masked_fill(~allowed[None, :, None], float("-inf")).log_softmax(dim=1)
        own = logs[:, self.span[0], 0] + logs[:, self.span[1], 1]
        other = torch.log(-torch.expm1(own.clamp(max=-1e-7)))
        return torch.stack((other, own), dim=1)

    def log_probability(self, model: AnyModel, hidden: Tensor, outcome: int) -> Tensor:
        """Compute the log-probability (R,) of an outcome from final hidden states (R, T, C)."""
        return F.log_softmax(self.logits(model, hidden), dim=-1)[:, outcome]

    def check(self, model: AnyModel, n_tokens: int, n_source: int = 0) -> None:
        """Check that the model can answer this for a text, and a source, of these lengths.

        Raises:
            ValueError: if it has another head, or the text is empty or longer than the context.
        """
        if model.config.head != self.head:
            if self.head != "language":
                raise ValueError("This model has another head than the question needs: choose another model.")
            what = "encoder has no masked-token head" if isinstance(model, Encoder) else "model's head predicts labels"
            raise ValueError(f"This {what}, so it predicts no tokens: choose another model.")
        check_prompt(n_tokens, model.config.context_length)
        if model.config.topology == "encoder-decoder":
            check_prompt(n_source, model.config.context_length)
