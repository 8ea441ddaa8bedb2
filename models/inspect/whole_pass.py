"""One token's way through a model: every stage of the forward pass that predicts the next token, with its numbers.

A causal stack reads the tokens before it into a KV cache, and then the token alone, traced: exactly as in generation,
with only one row of attention of each layer in memory. An encoder has to read its whole text in one pass.

Letters in shape comments: H heads, S tokens in the context (keys), D head_dim, C d_model, V vocab_size.
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from terrarium.models.architecture.cache import KVCache
from terrarium.models.architecture.trace import Trace
from terrarium.models.architecture.transformer import AnyModel, Decoder, Encoder, EncoderDecoder, Model
from terrarium.models.events import Progress, result_of
from terrarium.models.inference.continuation import evaluating
from terrarium.models.inference.prefill import chunk_size
from terrarium.models.inference.sampling_steps import Floats
from terrarium.models.inference.threads import ThreadTuner
from terrarium.models.inspect.logit_attribution import contributions, head_outputs
from terrarium.models.inspect.logit_lens import layer_logits
from terrarium.models.inspect.read_text import (
    Text,
    answer_logits,
    answering_stack,
    block_sites,
    check_readable,
    read,
    read_up_to,
)

N_BEST = 5
"""Number of tokens of each layer's prediction, most likely first."""

_ATTENTIONS = ("attention", "cross_attention")


@dataclass(frozen=True, kw_only=True, eq=False)
class HeadPass:
    """One head at the token: its weights (S) over its keys, the norm of the vector that it adds, and by how much that
    vector raises the logit of the target token over that of its rival; None if logits have no exact parts."""

    weights: Floats
    length: float
    effect: float | None


@dataclass(frozen=True, kw_only=True, eq=False)
class PartPass:
    """An attention, a cross-attention or a feed-forward at the token, by its site.

    added: (C), the vector that it adds to the residual stream. share: the norm of that vector divided by that of the
    stream. heads: of an attention. experts: (index, share) of those that a router chose, () without a router.
    """

    site: str
    added: Floats
    share: float
    heads: tuple[HeadPass, ...] = ()
    experts: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class LayerPass:
    """One block at the token, or the embeddings before all blocks, which have no parts.

    stream: (C), the residual stream after it. best: (id, probability) of the top tokens if the model ended here (the
    logit lens), and `own` that of the target token.
    """

    site: str
    parts: tuple[PartPass, ...]
    stream: Floats
    best: tuple[tuple[int, float], ...]
    own: float


@dataclass(frozen=True, kw_only=True, eq=False)
class WholePass:
    """The pass that predicts a token, at position `at` of a text.

    token: the target id; rival: the most likely other token. start: (C) each, by name, the vectors that add up to the
    first stream: "token", then depending on the design "ngrams", "segment" and "position". layers: the embeddings, then
    every block. final: (C), the last stream after the final norm, if any. logits: (V).

    In a pre-norm design, the first stream and all added vectors sum to the last stream. A post-norm design normalises
    each sum, so that the parts are exact, but their sum is not the last stream.
    """

    at: int
    token: int
    rival: int
    start: Mapping[str, Floats]
    layers: tuple[LayerPass, ...]
    final: Floats
    logits: Floats

    @property
    def probabilities(self) -> Floats:
        """(V) The model's own distribution, before sampling settings."""
        shifted = np.exp(self.logits - self.logits.max())
        shares: Floats = shifted / shifted.sum()
        return shares


def read_pass(model: AnyModel, text: Text, at: int, token: int = -1, cache: PassCache | None = None) -> WholePass:
    """Run `read_pass_in_chunks` to its end and return its result."""
    return result_of(read_pass_in_chunks(model, text, at, token, cache))


def read_pass_in_chunks(
    model: AnyModel, text: Text, at: int, token: int = -1, cache: PassCache | None = None
) -> Generator[Progress, None, WholePass]:
    """Compute the pass at position `at` that predicts `token`; -1 for the most likely. Yields Progress (tokens).

    Modes, gradients and random state are unchanged.

    Args:
        cache: for a decoder: tokens in it are not read again.

    Raises:
        ValueError: as `read_text.check_readable`, and if a logit is not a number.
    """
    check_readable(model, text)
    text = read_up_to(model.config, text, at)
    if isinstance(model, Encoder):
        trace = _trace_encoder(model, text, at)
    else:
        before = yield from _read_before(model, text, at, cache)
        trace = _trace_last(model, text, before)
    yield Progress(done=len(text.ids), total=len(text.ids))
    return _pass_from(model, text, at, token, trace)


@torch.no_grad()
def _pass_from(model: AnyModel, text: Text, at: int, token: int, trace: Trace) -> WholePass:
    stack = answering_stack(model)
    sites = [f"{stack.site}embedding", *block_sites(stack)]
    streams = [trace.residual[site][0, 0] for site in sites]
    with evaluating(model):
        final = streams[-1] if stack.final_norm is None else stack.final_norm(streams[-1])
        logits = answer_logits(model, final[None])[0]
        start = _start(model, text, at)
    best = logits.topk(2).indices.tolist()
    token = best[0] if token < 0 else token
    rival = best[1] if best[0] == token else best[0]
    effects = _head_effects(model, trace, token, rival)
    layers, before = list[LayerPass](), streams[0]
    for site, stream, given in zip(sites, streams, layer_logits(model, trace, [0]), strict=True):
        parts = list[PartPass]()
        for name in (*_ATTENTIONS, "feed_forward"):
            if f"{site}.{name}" in trace.parts:
                part = _part(model, trace, f"{site}.{name}", before, effects)
                parts.append(part)
                before = before + trace.parts[part.site][0, 0]
                if not stack.blocks[0].is_pre:
                    with evaluating(model):
                        before = model.get_submodule(f"{part.site}_norm")(before)
        shares = torch.softmax(given[0], dim=-1)
        top = shares.topk(min(N_BEST, len(shares)))
        layers.append(
            LayerPass(
                site=site,
                parts=tuple(parts),
                stream=_floats(stream),
                best=tuple(zip(top.indices.tolist(), top.values.tolist(), strict=True)),
                own=float(shares[token]),
            )
        )
    return WholePass(
        at=at,
        token=token,
        rival=rival,
        start=start,
        layers=tuple(layers),
        final=_floats(final),
        logits=_floats(logits),
    )


def _part(model: AnyModel, trace: Trace, site: str, before: Tensor, effects: Mapping[str, float]) -> PartPass:
    added = trace.parts[site][0, 0]
    heads = list[HeadPass]()
    if site in trace.heads:
        with evaluating(model):
            written = head_outputs(model.get_submodule(site), trace.heads[site][0, :, 0].to(added.dtype))[:-1]
        for i, (weights, out) in enumerate(zip(trace.attention[site][0, :, 0], written, strict=True)):
            heads.append(
                HeadPass(weights=_floats(weights), length=float(out.norm()), effect=effects.get(f"{site}.heads.{i}"))
            )
    experts: tuple[tuple[int, float], ...] = ()
    if site in trace.router:
        shares, chosen = trace.router[site][0][0], trace.router[site][1][0]
        used = shares[chosen] / shares[chosen].sum()
        experts = tuple(zip(chosen.tolist(), used.tolist(), strict=True))
    return PartPass(
        site=site,
        added=_floats(added),
        share=float(added.norm() / before.norm().clamp_min(1e-12)),
        heads=tuple(heads),
        experts=experts,
    )


def _head_effects(model: AnyModel, trace: Trace, token: int, rival: int) -> dict[str, float]:
    """Return by how much each head raises the logit of the token over its rival; {} without an exact split."""
    try:
        [split] = contributions(model, trace, 0, [(token, rival)], by_head=True)
    except ValueError:
        return {}
    return dict(split.parts)


def _start(model: AnyModel, text: Text, at: int) -> dict[str, Floats]:
    """Return the vectors that add up to the token's first stream, before a norm of the embeddings."""
    ids = torch.tensor([text.ids], device=model.embedding.weight.device)
    found = {"token": Model.embed(model, ids)[0, at]}
    if isinstance(model, Decoder) and model.ngrams is not None:
        found["ngrams"] = model.ngrams(ids)[0, at]
    if isinstance(model, Encoder) and model.segment is not None:
        found["segment"] = model.segment.weight[text.segments[at] if text.segments else 0]
    place = answering_stack(model).position
    if place is not None:
        found["position"] = place(torch.tensor([[at]], device=ids.device))[0, 0]
    return {name: _floats(vector) for name, vector in found.items()}


class PassCache:
    """The KV cache of the last text: for another token of it, only the missing tokens are read.

    It is valid as long as the model's weights do not change. For a design with short convolutions or n-grams, whose
    caches cannot be truncated, it can only be extended.
    """

    def __init__(self) -> None:
        self.tuner = ThreadTuner(is_small=False)
        """Chooses the number of threads for reading."""
        self._model: weakref.ref[Decoder] | None = None
        self._version = -1
        self._ids: tuple[int, ...] = ()
        self._cache: KVCache | None = None

    def before(self, model: Decoder, ids: Sequence[int], at: int) -> KVCache:
        """Return a cache of the first tokens of `ids`, at most `at` of them. The caller reads the remaining ones up to
        position `at`, and that token itself, into it."""
        kept = self._cache
        if kept is not None and self._is_of(model, kept):
            n = min(kept.length, at + 1)  # including the token at `at`, because a prefix writes it into the same memory
            if self._ids[:n] == tuple(ids[:n]):
                if kept.length <= at:
                    self._ids = tuple(ids)
                    return kept
                if kept.can_truncate:
                    return kept.prefix(at)
        self._cache = fresh = KVCache(model.config.n_layer)
        self._model, self._version, self._ids = weakref.ref(model), model.weights_version, tuple(ids)
        return fresh

    def _is_of(self, model: Decoder, kept: KVCache) -> bool:
        """Return whether a cache was filled by this model with its current weights, equally in all layers."""
        is_same = self._model is not None and self._model() is model and self._version == model.weights_version
        return is_same and len({layer.length for layer in kept.layers}) == 1


def _read_before(
    model: Decoder | EncoderDecoder, text: Text, at: int, cache: PassCache | None
) -> Generator[Progress, None, KVCache]:
    """Fill a KV cache with the tokens before position `at`."""
    if isinstance(model, EncoderDecoder):
        read_so_far = KVCache(model.config.n_layer)
        if at:
            with evaluating(model):
                read(model, Text(ids=text.ids[:at], source_ids=text.source_ids), cache=read_so_far)
        return read_so_far
    cache = PassCache() if cache is None else cache
    read_so_far = cache.before(model, text.ids, at)
    ids = torch.tensor([text.ids], device=model.embedding.weight.device)
    size = chunk_size(model)
    while read_so_far.length < at:
        some = ids[:, read_so_far.length : min(read_so_far.length + size, at)]
        with evaluating(model):
            cache.tuner.run(functools.partial(model.hidden, some, cache=read_so_far))
        yield Progress(done=read_so_far.length, total=at + 1)
    return read_so_far


def _trace_last(model: Decoder | EncoderDecoder, text: Text, cache: KVCache) -> Trace:
    """Trace everything at the last token of a text whose other tokens are in the cache."""
    trace = Trace()
    with evaluating(model):
        ids = torch.tensor([text.ids[cache.length :]], device=model.embedding.weight.device)
        if isinstance(model, Decoder):
            model.hidden(ids, cache=cache, trace=trace)
        elif cache.has_source:
            model.decode(ids, None, cache=cache, trace=trace)
        else:
            source = torch.tensor([text.source_ids], device=ids.device)
            model.decode(ids, model.encode(source), cache=cache, trace=trace)
    return trace


def _trace_encoder(model: Encoder, text: Text, at: int) -> Trace:
    """Trace everything at position `at` of an encoder's text, with the shapes of `_trace_last`."""
    trace = Trace()
    trace.attention = _RowDict(at)
    with evaluating(model):
        read(model, text, trace)
    for kept in (trace.residual, trace.parts):
        kept.update({site: values[:, at : at + 1] for site, values in kept.items()})
    trace.heads.update({site: values[:, :, at : at + 1] for site, values in trace.heads.items()})
    trace.router.update({site: (p[at : at + 1], chosen[at : at + 1]) for site, (p, chosen) in trace.router.items()})
    return trace


class _RowDict(dict[str, Tensor]):
    """Stores one row of each layer's weights (1, H, S, S) instead of all: (1, H, 1, S)."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self._at = at

    def __setitem__(self, site: str, weights: Tensor) -> None:
        super().__setitem__(site, weights[:, :, self._at : self._at + 1].clone())


def _floats(tensor: Tensor) -> Floats:
    found: Floats = tensor.detach().float().cpu().numpy()
    return found
