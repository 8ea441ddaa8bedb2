"""Ablation and activation patching: how the answer changes when a part of the model is switched off, or its output is
replaced by its output on another text.

Letters in shape comments: R rows (variants in one batch), T tokens, H heads, C d_model, V vocab_size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from terrarium.models.architecture.cache import KVCache
from terrarium.models.architecture.trace import Patch, Trace
from terrarium.models.architecture.transformer import AnyModel, Decoder, Encoder, EncoderDecoder
from terrarium.models.design.tree import design_tree, sites
from terrarium.models.inference.continuation import evaluating
from terrarium.models.inference.sampling import as_floats, draw_number
from terrarium.models.inference.sampling_steps import Floats, drawn_token, sampling_steps, state_at
from terrarium.models.inspect.read_text import (
    NEXT_TOKEN,
    Text,
    answer_logits,
    answering_stack,
    n_weights,
    read,
    read_up_to,
)
from terrarium.models.inspect.readout import Readout
from terrarium.models.settings.sampling_config import SamplingConfig

FLOPS_PER_CALL = 12e9
"""FLOPs between two opportunities to cancel: a third of a second on a slow core."""


class ModelPart(NamedTuple):
    """A part of the model by its site: an attention (or one `head` of it, from 0), a feed-forward, or a whole block."""

    site: str
    head: int | None = None


@dataclass(frozen=True, kw_only=True)
class AnswerChange:
    """An answer before and after an intervention.

    tokens: (id, probability before, probability after) of the top tokens of both, and of the target token. log_ratio:
    change of the target token's log-probability, in nats. divergence: Kullback-Leibler divergence D(before ‖ after), in
    nats.
    """

    tokens: tuple[tuple[int, float, float], ...]
    log_ratio: float
    divergence: float


class Donor(NamedTuple):
    """The outputs of all parts on another text, for activation patching; the lengths of that text and its source."""

    trace: Trace
    length: int
    source_length: int


def parts_of(model: AnyModel) -> list[tuple[str, list[ModelPart]]]:
    """Return all parts by the site of their block, in order: every head, each whole attention and feed-forward, then
    the whole block. The encoder of an encoder-decoder comes first."""
    found = []
    for site, sublayers in sites(design_tree(model.config)).items():
        heads = [ModelPart(name, i) for name, part in sublayers.items() for i in range(part.n_head)]
        found.append((site, [*heads, *map(ModelPart, sublayers), ModelPart(site)]))
    return found


@torch.no_grad()
def record_donor(model: AnyModel, text: Text, readout: Readout = NEXT_TOKEN) -> Donor:
    """Read another text and record its parts' outputs, to be patched into a pass over the first text.

    Raises:
        ValueError: as `read_text.check_readable`.
    """
    trace = Trace(wanted=frozenset({"parts", "heads"}))
    with evaluating(model):
        read(model, text, trace, readout=readout)
    return Donor(trace, len(text.ids), len(text.source_ids))


@torch.no_grad()
def ablated_logits(
    model: AnyModel,
    text: Text,
    readout: Readout,
    variants: Sequence[Sequence[ModelPart]],
    donor: Donor | None = None,
    known: Mapping[str, Tensor] | None = None,
) -> Tensor:
    """Return the logits (R, K) of a readout with each variant's parts switched off, or patched from the donor.

    known: the residual stream (1, T, C) after those first blocks that no variant changes.

    Raises:
        ValueError: as `read_text.check_readable`.
    """
    text, n_rows = read_up_to(model.config, text, readout.at), len(variants)
    given = {site: x.expand(n_rows, -1, -1) for site, x in (known or {}).items()}
    with evaluating(model):
        patches = _patches_of(model, text, variants, donor)
        trace = Trace(wanted=frozenset(), patches=patches, known=given)
        return readout.logits(model, read(model, text, trace, n_rows, readout=readout))


def _patches_of(
    model: AnyModel, text: Text, variants: Sequence[Sequence[ModelPart]], donor: Donor | None
) -> dict[str, Patch]:
    """Make the patches with which each row of a batch reads `text` in its own variant.

    The donor's text is aligned with this one at the end: the start of the longer one is not patched.
    """
    device = model.embedding.weight.device
    blocks = sites(design_tree(model.config))
    rows: dict[tuple[str, int | None], list[int]] = {}
    for row, parts in enumerate(variants):
        for part in parts:
            for site in blocks.get(part.site, [part.site]):
                rows.setdefault((site, part.head), []).append(row)
    patches: dict[str, Patch] = {}
    for (site, head), chosen in rows.items():
        n_head = blocks[site.rpartition(".")[0]][site].n_head if head is not None else 1
        where = torch.zeros(len(variants), n_head, 1, 1, dtype=torch.bool, device=device)
        where[chosen, head or 0] = True
        if head is None:
            where = where[:, 0]
        key = site if head is None else f"{site}.heads"
        values = torch.zeros((), device=device)
        if donor is not None:
            in_source = site.startswith("encoder.")
            length = len(text.source_ids if in_source else text.ids)
            output = (donor.trace.parts if head is None else donor.trace.heads)[site]
            there = donor.source_length if in_source else donor.length
            values, reached = _align_end(output, there, length)
            where = where & reached
        if key in patches:  # other heads of the same attention
            where = where | patches[key].where
        patches[key] = Patch(where, values)
    return patches


def _align_end(output: Tensor, there: int, here: int) -> tuple[Tensor, Tensor]:
    """Align a donor's output (…, there, n) at the end with a text of `here` tokens: values (…, here, n), and the mask
    (here, 1) of the positions that it covers."""
    n = min(there, here)
    values = output.new_zeros(*output.shape[:-2], here, output.size(-1))
    values[..., here - n :, :] = output[..., there - n :, :]
    return values, torch.arange(here, device=output.device)[:, None] >= here - n


def compare_answers(before: Tensor, after: Tensor, id: int, n_best: int = 5) -> AnswerChange:
    """Compare two answers, logits (K,) each; `id` is the target outcome: a token or a label."""
    log_p, log_q = torch.log_softmax(before.double(), dim=-1), torch.log_softmax(after.double(), dim=-1)
    n_best = min(n_best, len(before))
    wanted = dict.fromkeys([*log_p.topk(n_best).indices.tolist(), *log_q.topk(n_best).indices.tolist(), id])
    ordered = sorted(wanted, key=lambda i: -max(float(log_p[i]), float(log_q[i])))
    return AnswerChange(
        tokens=tuple((i, float(log_p[i].exp()), float(log_q[i].exp())) for i in ordered),
        log_ratio=float(log_q[id] - log_p[id]),
        divergence=float((log_p.exp() * (log_p - log_q)).sum()),
    )


class Survey:
    """Measures, part by part, how the log-probability of the target token changes without that part.

    Calls of `measure_next` may be far apart: if the weights change in between, the baseline is recomputed.
    """

    def __init__(self, text: Text, readout: Readout, id: int, other: Text | None = None) -> None:
        self._text, self._readout, self._id, self._other = text, readout, id, other
        self._todo: list[tuple[str, list[ModelPart]]] | None = None
        self._version = -1
        self._streams: dict[str, Tensor] = {}
        self._donor: Donor | None = None
        self._own = 0.0
        self.total = 0
        """Number of parts; 0 before the first call."""

    def measure_next(self, model: AnyModel) -> list[tuple[ModelPart, float]]:
        """Measure some parts, from the last block to the first: the changes in nats; empty when all are done.

        Raises:
            ValueError: as `read_text.check_readable`.
        """
        if self._todo is None:
            self._todo = parts_of(model)
            self.total = sum(len(parts) for _, parts in self._todo)
        if not self._todo:
            return []
        if self._version != model.weights_version:
            self._read_baseline(model)
        site, parts = self._todo.pop()
        now, later = parts[: self._n_rows(model, site)], parts[self._n_rows(model, site) :]
        if later:
            self._todo.append((site, later))
        known, variants = self._before(model, site), [[part] for part in now]
        logits = ablated_logits(model, self._text, self._readout, variants, self._donor, known)
        own = torch.log_softmax(logits, dim=-1)[:, self._id]
        return list(zip(now, (own - self._own).tolist(), strict=True))

    @torch.no_grad()
    def _read_baseline(self, model: AnyModel) -> None:
        self._version = model.weights_version
        trace = Trace(wanted=frozenset({"residual"}))
        with evaluating(model):
            text = read_up_to(model.config, self._text, self._readout.at)
            hidden = read(model, text, trace, readout=self._readout)
            self._own = float(self._readout.log_probability(model, hidden, self._id)[0])
        self._streams = trace.residual
        self._donor = record_donor(model, self._other, self._readout) if self._other is not None else None

    def _before(self, model: AnyModel, site: str) -> dict[str, Tensor]:
        """Return the residual streams after the blocks before the one at `site`."""
        order = [block for block, _ in parts_of(model)]
        return {block: self._streams[block] for block in order[: order.index(site)]}

    def _n_rows(self, model: AnyModel, site: str) -> int:
        """Return the number of variants that fit into one short call."""
        stack = answering_stack(model)
        first = int(site.rpartition(".")[2]) if site.startswith(f"{stack.site}blocks.") else 0
        weights = sum(n_weights(block) for block in stack.blocks[first:])
        n_tokens = max(min(self._readout.at + 1, len(self._text.ids)), len(self._text.source_ids))
        return max(1, int(FLOPS_PER_CALL / (2 * weights * n_tokens)))


def generate_with_ablation(
    model: AnyModel,
    text: Text,
    parts: Sequence[ModelPart],
    donor: Donor | None,
    n_tokens: int,
    sampling: SamplingConfig,
    end: int | None = None,
    *,
    draws: Sequence[float | None] = (),
    n_prompt: int | None = None,
) -> tuple[list[int], list[int]]:
    """Generate up to `n_tokens`, without and with the intervention; a row ends at the token `end` or a full context.

    A donor patches the positions of `text` only; generated tokens are computed normally.

    Args:
        draws: the random numbers for sampling in both rows, if known; others come from the seed, as if the text after
        the
            prompt were the beginning of a reply.
        n_prompt: how many tokens of the text count as the prompt, for penalties and Mirostat; None for all of them.

    Raises:
        ValueError: for an encoder; and as `read_text.check_readable`.
    """
    if isinstance(model, Encoder):
        raise ValueError("An encoder cannot continue a text: see what it predicts for a masked token.")
    cache = KVCache(model.config.n_layer)
    generator = torch.Generator().manual_seed(sampling.seed)
    n_prompt = len(text.ids) if n_prompt is None else n_prompt
    for _ in range(n_prompt, len(text.ids)):
        draw_number(generator)
    rows: tuple[list[int], list[int]] = ([], [])
    over = [False, False]
    patches = _patches_of(model, text, [(), tuple(parts)], donor)
    with evaluating(model):
        hidden = read(model, text, Trace(wanted=frozenset(), patches=patches), 2, cache)
        logits = answer_logits(model, hidden[:, -1])

        def before(position: int) -> Floats:
            """Return the unmodified model's logits (V,) for the token at a position."""
            return as_floats(answer_logits(model, hidden[0, position - 1 : position])[0])

        state = state_at(len(text.ids), sampling, text.ids, n_prompt, before)
    states = state, state.copy()
    later = Trace(wanted=frozenset(), patches=patches) if donor is None else None
    for made in range(1, n_tokens + 1):
        draw, known = draw_number(generator), draws[made - 1] if made <= len(draws) else None
        draw = draw if known is None else known
        for row in range(2):
            steps = sampling_steps(as_floats(logits[row]), sampling, [*text.ids, *rows[row]], n_prompt, states[row])
            id = drawn_token(steps.final, draw) if sampling.temperature else int(steps.final.argmax())
            states[row].update(steps, id)
            if not over[row]:
                rows[row].append(id)
                over[row] = id == end
        if all(over) or made == n_tokens or len(text.ids) + made > model.config.context_length:
            break
        logits = _next(model, [row[-1] for row in rows], cache, later)
    return rows


def _next(model: Decoder | EncoderDecoder, ids: list[int], cache: KVCache, trace: Trace | None) -> Tensor:
    """Read one more token in each row; return logits (2, V)."""
    new = torch.tensor(ids, device=model.embedding.weight.device)[:, None]
    with evaluating(model):
        if isinstance(model, EncoderDecoder):
            hidden = model.decode(new, None, cache=cache, trace=trace)
        else:
            hidden = model.hidden(new, cache=cache, trace=trace)
        return answer_logits(model, hidden[:, -1])
