"""Fast decoding of one text: a decoder's logits, computed with its own weights but without its modules.

With one token per step, a small model is bound by call overhead and a large one by memory bandwidth. This code makes
fewer calls (measured on a CPU: a third of the time at a million parameters), and reads matrices at full speed (see
`fast_matmul`). Results equal `Decoder.hidden` and `Decoder.logits` up to rounding, and the KV cache is the same, so
both can be mixed.

Letters in shape comments: T tokens, S tokens in the cache, C d_model, H n_head, G n_kv_head, D head_dim, F d_ff, V
vocab_size.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from terrarium.models.architecture.block import Block
from terrarium.models.architecture.cache import KVCache, LayerCache
from terrarium.models.architecture.convolution import ShortConv, convolve
from terrarium.models.architecture.experts import FeedForward, MixtureOfExperts, activate
from terrarium.models.architecture.heads import LanguageHead
from terrarium.models.architecture.norms import RMSNorm
from terrarium.models.architecture.transformer import Decoder
from terrarium.models.inference.fast_matmul import (
    FEW,
    MatMul,
    Products,
    StripedMatMul,
    batch_linear,
    make_joint,
    make_matmul,
    pairs_are_faster,
)
from terrarium.models.inference.threads import StepThreads, ThreadTuner
from terrarium.models.inference.weights import QuantizedHead
from terrarium.models.settings.block_references import blocks_of
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.positions import scheme_of

_N_TURNED = 256
"""Number of positions for which RoPE rotations are computed at a time."""

_CACHED = 1 << 25
"""Bytes of weights that may fit the cache shared by all cores; larger weights are read from memory for each token."""
_SMALL = 8_000_000
"""Bytes of weights that fit the cache of one core, so that a second thread gains nothing (measured)."""


class FastDecoder:
    """Decodes one text with views of a model's weights: in-place updates take effect, replaced tensors do not."""

    def __init__(self, model: Decoder) -> None:
        assert FastDecoder.covers(model)
        config = model.config
        n_bytes = sum(parameter.nbytes for parameter in model.parameters())
        products = Products(batch_linear(), in_pairs=n_bytes > _CACHED and pairs_are_faster())
        self._model, self._table = model, model.embedding.weight
        self._threads = StepThreads()
        self._layers = [
            _Layer(block, config, i, products, self._threads)  # type: ignore[arg-type]
            for i, block in enumerate(model.blocks)
        ]
        self._embedding_norm, self._final_norm = _norm(model.embedding_norm), _norm(model.final_norm)
        self._head = _head(model, products, self._threads)
        self._buffers: dict[int, _Buffers] = {}  # by number of tokens, if small
        self._tuner = ThreadTuner(is_small=n_bytes < _SMALL)
        self._turned_from = 0
        self._turned: list[tuple[Tensor, Tensor]] = []  # the rotations of consecutive positions from there on

    @staticmethod
    def covers(model: nn.Module) -> bool:
        """Return whether the model is supported: a decoder on the CPU in float32 (matrices may be quantized), all of
        whose parts are built in.
        """
        if type(model) is not Decoder or blocks_of(model.config):
            return False
        return all(
            type(parameter) is nn.Parameter and parameter.device.type == "cpu" and parameter.dtype == torch.float32
            for parameter in model.parameters()
        )

    def supports(self, ids: Tensor, cache: KVCache) -> bool:
        """Return whether ids (B, T) can be read: one text, from its beginning or a single token, within the context."""
        return (ids.size(1) == 1 or not cache.length) and self._fits(ids, cache)

    def supports_short(self, ids: Tensor, cache: KVCache) -> bool:
        """Return whether `each_logits` can read ids (B, T): up to FEW tokens of one text, within the context."""
        return ids.size(1) <= FEW and self._fits(ids, cache)

    def _fits(self, ids: Tensor, cache: KVCache) -> bool:
        fits = cache.length + ids.size(1) <= self._model.config.context_length
        return ids.size(0) == 1 and fits and cache.mask is None

    def next_logits(self, ids: Tensor, cache: KVCache) -> Tensor:
        """Read supported ids (1, T); return the logits of the next token (1, V). Requires inference mode."""
        if ids.size(1) == 1:
            return self._tuner.run(lambda: self.read(ids, cache))
        return self.read(ids, cache)

    def each_logits(self, ids: Tensor, cache: KVCache) -> Tensor:
        """Read ids (1, T) that `supports_short`; return the logits after each (T, V). Requires inference mode.

        The result is bit-identical for any number of threads.
        """
        return self._tuner.run(lambda: self._threads.do(lambda: self._read(ids, cache, each=True)))

    def read(self, ids: Tensor, cache: KVCache) -> Tensor:
        """Like `next_logits`, with the current number of threads, which does not affect results of up to FEW tokens."""
        return self._threads.do(lambda: self._read(ids, cache)) if ids.size(1) <= FEW else self._read(ids, cache)

    def _read(self, ids: Tensor, cache: KVCache, *, each: bool = False) -> Tensor:
        past, length = cache.length, ids.size(1)
        x = self._enter(ids, past, cache)
        view = self._view(past, length)
        buffers = self._buffers.get(length) or _Buffers(self._model.config, length)
        if length <= FEW:
            self._buffers[length] = buffers
        for layer, kept in zip(self._layers, cache.layers, strict=True):
            x = layer(x, view, buffers, kept)
        return self._head(self._final_norm(x if each else x[-1:]))

    def _enter(self, ids: Tensor, past: int, cache: KVCache) -> Tensor:
        """Compute the input of the first block (T, C), a new tensor."""
        model, length = self._model, ids.size(1)
        is_plain = model.ngrams is None and not model.config.scaled_embeddings
        if length == 1 and is_plain and 0 <= (id := int(ids)) < self._table.size(0):
            x = self._table[id : id + 1].clone()  # half the time
        else:
            x = model.embed(ids, cache=cache)[0]
        if isinstance(model.position, nn.Embedding):
            x = x + model.position.weight[past : past + length]
        elif model.position is not None:
            x = x + model.position(torch.arange(past, past + length))
        return self._embedding_norm(x)

    def _view(self, past: int, length: int) -> _View:
        model = self._model
        window, n_seen = model.config.sliding_window, past + length
        if model.score_bias is None and length == 1:
            skipped = max(0, n_seen - window) if window else 0
            return _View(skipped=skipped, turn=self._turn(past))
        context = model.attention_context(torch.arange(past, n_seen)[None], past=past)
        turn = None if context.rotation is None else _turns(*context.rotation)
        return _View(context.mask, context.causal and context.mask is None, 0, turn)

    def _turn(self, position: int) -> tuple[Tensor, Tensor] | None:
        """Return the rotation of one position, as `_View.turn`."""
        rotary, config = self._model.rotary, self._model.config
        if rotary is None:
            return None
        if config.rope_scaling == "dynamic":  # depends on the number of tokens
            return _turns(*rotary(torch.tensor([[position]])))
        if not 0 <= position - self._turned_from < len(self._turned):
            until = min(position + _N_TURNED, config.context_length)
            cos, sin = _turns(*rotary(torch.arange(position, until)[None]))
            self._turned_from, self._turned = position, list(zip(cos.split(1), sin.split(1), strict=True))
        return self._turned[position - self._turned_from]


class _View(NamedTuple):
    """Attention inputs that all layers share in one call."""

    mask: Tensor | None = None
    """As `attention.AttentionContext.mask`."""
    causal: bool = False
    skipped: int = 0
    """Number of first tokens outside the sliding window, if there is no mask."""
    turn: tuple[Tensor, Tensor] | None = None
    """cos (T, 1, D) and sin (T, 1, D/2) of each token's rotation."""


class _Buffers:
    """Buffers for queries, keys and values of T tokens, with views; allocated once for all layers and steps."""

    def __init__(self, config: ModelConfig, length: int) -> None:
        n_head, n_kv, width, half = config.n_head, config.kv_heads, config.head_dim, config.head_dim // 2
        parts = (n_head * width, n_kv * width, n_kv * width)
        made, used = torch.empty(2, length, n_head + 2 * n_kv, width)  # before and after rotation
        if scheme_of(config).applied_to != "queries":
            used = made
        self.all = made.view(length, -1)  # (T, all n·D)
        self.query, self.key, self._made_value = self.all.split(parts, dim=1)  # each (T, n·D)
        self.value = used.view(length, -1).split(parts, dim=1)[2]
        self.query_heads, self.key_heads = made[:, :n_head], made[:, n_head:-n_kv]  # (T, n, D)
        self.seen = used[:, :n_head].transpose(0, 1)[None]  # queries in the layout of attention, (1, H, T, D)
        # Keys and values in the layout of the cache, (2, 1, G, T, D):
        self.kept = used[:, n_head:].unflatten(1, (2, n_kv)).permute(1, 2, 0, 3)[:, None]
        self._made, self._used = made[:, :-n_kv], used[:, :-n_kv]  # (T, H + G, D)
        self._made_halves = self._made[..., :half], self._made[..., half:]
        self._used_halves = self._used[..., :half], self._used[..., half:]

    def take_value(self) -> None:
        """Copy the values to their buffer, if a joint product wrote them elsewhere."""
        if self.value.data_ptr() != self._made_value.data_ptr():
            self.value.copy_(self._made_value)

    def keep(self) -> None:
        """Copy queries and keys unchanged, in a layer without rotation."""
        self._used.copy_(self._made)

    def turn(self, cos: Tensor, sin: Tensor) -> None:
        """Rotate queries and keys, as `positions.rotate` does."""
        torch.mul(self._made, cos, out=self._used)
        self._used_halves[0].addcmul_(self._made_halves[1], sin, value=-1)
        self._used_halves[1].addcmul_(self._made_halves[0], sin)


class _Layer:
    """One block."""

    def __init__(
        self, block: Block, config: ModelConfig, number: int, products: Products, threads: StepThreads
    ) -> None:
        attention, feed_forward = block.attention, block.feed_forward
        self._is_pre, self._shares = block.is_pre, config.kv_heads != config.n_head
        self._scale, self._rotates = attention.scale, config.rotates(number)
        self._norms = _norm(block.attention_norm), _norm(block.feed_forward_norm)
        self._convs = block.attention_conv, block.feed_forward_conv
        self._all = make_joint((attention.query, attention.key, attention.value), threads)
        self._query, self._key, self._value, self._output = (
            make_matmul(module, products, threads)
            for module in (attention.query, attention.key, attention.value, attention.output)
        )
        self._query_norm = _norm(attention.query_norm) if attention.query_norm is not None else None
        self._key_norm = _norm(attention.key_norm)
        self._feed_forward: _Feed | _Mixture
        if isinstance(feed_forward, FeedForward):
            self._feed_forward = _Feed(feed_forward, products, threads)
        else:
            self._feed_forward = _Mixture(feed_forward, products, threads)

    def __call__(self, x: Tensor, view: _View, buffers: _Buffers, cache: LayerCache) -> Tensor:
        """Apply the block to x (T, C), in place; return its output (T, C)."""
        h = self._norms[0](x) if self._is_pre else x
        self._attend(x, _convolved(self._convs[0], h, cache, "attention"), view, buffers, cache)
        if not self._is_pre:
            x = self._norms[0](x)
        h = self._norms[1](x) if self._is_pre else x
        self._feed_forward.add_to(x, _convolved(self._convs[1], h, cache, "feed_forward"))
        return x if self._is_pre else self._norms[1](x)

    def _attend(self, x: Tensor, h: Tensor, view: _View, buffers: _Buffers, cache: LayerCache) -> None:
        """Add the attention output for h (T, C) to x (T, C)."""
        if self._all is not None and h.size(0) == 1:
            self._all.into(h, buffers.all)
            buffers.take_value()
        else:
            self._query.into(h, buffers.query)
            self._key.into(h, buffers.key)
            self._value.into(h, buffers.value)
        if self._query_norm is not None:
            buffers.query_heads.copy_(self._query_norm(buffers.query_heads))
            buffers.key_heads.copy_(self._key_norm(buffers.key_heads))
        if view.turn is not None and self._rotates:
            buffers.turn(*view.turn)
        elif view.turn is not None:
            buffers.keep()
        keys, values = cache.extend_both(buffers.kept)  # each (1, G, S, D)
        if view.skipped:
            keys, values = keys[:, :, view.skipped :], values[:, :, view.skipped :]
        queries, shares = buffers.seen, self._shares  # (1, H, T, D)
        if shares and x.size(0) == 1 and view.mask is None:  # as H / G tokens of G heads, so that each key is read once
            queries, shares = queries.view(1, keys.size(1), -1, keys.size(3)), False
        # With several threads, the bits depend on the alignment of each thread's buffer (seen with AVX2).
        out = F.scaled_dot_product_attention(
            queries, keys, values, view.mask, 0.0, view.causal, scale=self._scale, enable_gqa=shares
        )  # (1, H, T, D), or (1, G, H / G, D)
        self._output.add_to(x, out.view(1, -1) if x.size(0) == 1 else out.transpose(1, 2).reshape(x.size(0), -1))


class _Feed:
    """One feed-forward."""

    def __init__(self, module: FeedForward, products: Products, threads: StepThreads) -> None:
        self._activation = module.activation
        self._norm = _norm(module.norm)
        self._both = make_joint((module.up, module.gate), threads) if module.gate is not None else None
        self._gate = make_matmul(module.gate, products, threads) if module.gate is not None else None
        self._up, self._down = make_matmul(module.up, products, threads), make_matmul(module.down, products, threads)

    def __call__(self, x: Tensor) -> Tensor:
        """Map x (T, C) to (T, C), a new tensor."""
        return self._down(self._activated(x))

    def add_to(self, sum: Tensor, x: Tensor) -> None:
        """Add the output for x (T, C) to `sum` (T, C), which may be x itself."""
        self._down.add_to(sum, self._activated(x))

    def _activated(self, x: Tensor) -> Tensor:
        """Map x (T, C) to activations (T, F)."""
        if self._both is not None and x.size(0) == 1:
            return self._norm(activate(self._activation, *self._both(x).chunk(2, dim=1)))
        return self._norm(activate(self._activation, self._up(x), self._gate(x) if self._gate is not None else None))


class _Mixture:
    """A mixture of experts."""

    def __init__(self, module: MixtureOfExperts, products: Products, threads: StepThreads) -> None:
        self._module, self._router = module, make_matmul(module.router, products, threads)
        self._experts = [_Feed(expert, products, threads) for expert in module.experts]  # type: ignore[arg-type]

    def add_to(self, sum: Tensor, x: Tensor) -> None:
        """Add the output for x (T, C) to `sum` (T, C), which may be x itself."""
        if x.size(0) > 1:
            sum.add_(self._module(x[None])[0])
            return
        shares, chosen = self._router(x)[0].softmax(0).topk(self._module.n_used)
        parts = [self._experts[i](x) for i in chosen.tolist()]
        for part, share in zip(parts, (shares / shares.sum()).tolist(), strict=True):
            sum.add_(part, alpha=share)


def _turns(cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor]:
    """Convert a rotation (1, 1, T, D), whose halves are equal, to the form of `_View.turn`."""
    return cos[0, 0, :, None], sin[0, 0, :, None, : sin.size(-1) // 2]


def _convolved(conv: ShortConv | None, h: Tensor, cache: LayerCache, site: str) -> Tensor:
    """Like `convolve`, with fewer calls for one token."""
    if conv is None:
        return h
    tail = cache.tails.get(site)
    if h.size(0) > 1 or tail is None:
        return convolve(conv, h[None], cache, site, None)[0]
    joined = torch.cat((tail[0], h))  # (W or more, C)
    cache.tails[site] = joined[None, max(0, joined.size(0) - (conv.width - 1 + cache.spare)) :]
    return (joined[-conv.width :] * conv.weight).sum(0, keepdim=True).add_(h)


def _norm(module: nn.Module | None) -> Callable[[Tensor], Tensor]:
    """Return a function that normalizes (…, width) like `module`."""
    if isinstance(module, RMSNorm):
        weight, eps, width = module.weight, module.eps, module.weight.numel()
        zero = torch.zeros(1, width)
        assert eps is not None

        def rms(x: Tensor) -> Tensor:
            if x.numel() > width:
                return F.rms_norm(x, (width,), weight, eps)
            token = x.view(-1)  # one token: the same result in a third of the time
            return torch.addcmul(zero, x, weight, value=(token.dot(token).item() / width + eps) ** -0.5)

        return rms
    if isinstance(module, nn.LayerNorm):
        shape, gain, bias, epsilon = module.normalized_shape, module.weight, module.bias, module.eps
        return lambda x: F.layer_norm(x, shape, gain, bias, epsilon)
    return (lambda x: x) if module is None else module


def _head(model: Decoder, products: Products, threads: StepThreads) -> Callable[[Tensor], Tensor]:
    """Return a function from hidden states (1, C) to logits (1, V)."""
    head = model.head
    matrix: MatMul
    if isinstance(head, QuantizedHead):
        matrix = make_matmul(head.matrix, products, threads)
    else:
        assert type(head) is LanguageHead
        matrix = StripedMatMul(
            model.embedding.weight if head.weight is None else head.weight, head.bias, products, threads
        )
    assert head.transform is None  # only encoders have one
    return matrix if head.scale == 1.0 else lambda hidden: matrix(hidden * head.scale)
