"""The memory of a training step in addition to the weights: forward, loss and backward, recorded on a tape.

Letters in comments: B batch, T tokens, S keys (in cross-attention: source tokens), H n_head.
"""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass

from terrarium.models.cost.modules import FLOAT, HALF, LONG, N_UNROLLED, StepRecorder
from terrarium.models.cost.parts import (
    CONVOLUTION,
    CROSS,
    EMBEDDING,
    HEAD,
    NGRAMS,
    NORMS,
    POOLER,
    POSITIONS,
    SEGMENTS,
    PartNames,
    stacks,
)
from terrarium.models.cost.tape import Tape, Value
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.positions import scheme_of
from terrarium.models.settings.run_spec import GPU_LOSS_ROWS, LOSS_ROWS


@dataclass(frozen=True, kw_only=True)
class Batch:
    """The input of a step: `batch_size` texts of `length` tokens, and in an encoder-decoder sources of `source_length`.

    loss_fraction: the fraction of the tokens that are part of the loss. trains_head: whether the output table is
    trained, so that it has a gradient.
    """

    batch_size: int
    length: int
    source_length: int
    loss_fraction: float = 1.0
    trains_head: bool = True


@dataclass(frozen=True)
class _Scores:
    """The mask or bias of attention scores, as in models.architecture.attention.AttentionContext."""

    is_bool: bool = False
    bias: Value | None = None
    is_learned: bool = False


def activations(
    config: ModelConfig, batch: Batch, *, is_cuda: bool, half: bool, recomputes: bool, accumulates: bool
) -> dict[str, int]:
    """Compute the bytes by component at the peak of a training step, without weights.

    Args:
        recomputes: whether the backward pass recomputes each block (activation checkpointing).
        accumulates: whether all gradients exist before the step, and do not count; otherwise those that exist at the
            peak are counted as GRADIENTS.
    """
    tape = Tape()
    recorder = StepRecorder(tape, is_cuda, half)
    tape.part = EMBEDDING
    table = tape.parameter(config.vocab_size * config.d_model)
    b, t, s = batch.batch_size, batch.length, batch.source_length
    memory = None
    for part_config, parts in stacks(config):
        is_source = parts.stack == "Encoder"
        rows = b * (s if is_source else t)
        x = _embed(recorder, part_config, table, rows)
        hidden = _stack(recorder, part_config, parts, x, b, rows // b, memory, s, recomputes)
        if is_source:
            memory = hidden
    _loss(recorder, config, table, hidden, batch)
    return tape.peak(accumulates=accumulates)


def _embed(recorder: StepRecorder, config: ModelConfig, table: Value, rows: int) -> Value:
    tape, width = recorder.tape, config.d_model
    tape.part = EMBEDDING
    x = tape.add([table], rows * width)
    if config.scaled_embeddings:
        x = tape.add([x], x.numel)
    if config.n_segment and config.topology == "encoder-only":
        tape.part = SEGMENTS
        kind = tape.add([x], x.numel, own=LONG * rows, has_grad=False)
        x = tape.add([x, kind], x.numel, passes=[x])
    return recorder.add(x, _ngrams(recorder, config, rows)) if config.has_ngrams else x


def _ngrams(recorder: StepRecorder, config: ModelConfig, rows: int) -> Value:
    """Record models.architecture.ngrams.NGramEmbedding."""
    tape, orders = recorder.tape, config.max_ngram - 1
    tape.part = NGRAMS
    table = tape.parameter(orders * config.ngram_rows * config.d_ngram)
    found = tape.add([table], rows * orders * config.d_ngram, own=LONG * rows * orders, work=2 * LONG * rows * orders)
    return recorder.linear(found, rows, config.d_model)


def _stack(
    recorder: StepRecorder,
    config: ModelConfig,
    parts: PartNames,
    x: Value,
    batch: int,
    length: int,
    memory: Value | None,
    source_length: int,
    recomputes: bool,
) -> Value:
    """Record models.architecture.stack.Stack.transform, with cross-attention to `memory` if given."""
    tape, rows = recorder.tape, batch * length
    tape.part = POSITIONS
    scheme = scheme_of(config)
    if scheme.applied_to == "embeddings":
        tensors = scheme.learned.tensors if scheme.learned is not None else ()
        table = sum(math.prod(tensor.shape(config)) for tensor in tensors)
        size = FLOAT * length * config.d_model
        x = tape.add([x], x.numel, work=size, back_work=size + FLOAT * table, passes=[] if table else [x])
    if config.embedding_norm:
        tape.part = NORMS
        x = recorder.norm(config, x, rows)
    tape.part = EMBEDDING
    x = recorder.dropout(x, config.dropout)
    tape.part = POSITIONS
    scores = _scores(recorder, config, x, length)
    marks = [tape.mark()]
    for i in range(min(config.n_layer, N_UNROLLED)):
        if i == N_UNROLLED - 1:
            tape.repeat(marks[i - 1], marks[i], config.n_layer - N_UNROLLED)
        with tape.recomputed() if recomputes else contextlib.nullcontext():
            x = _block(recorder, config, parts, i, x, batch, length, scores, memory, source_length)
        marks.append(tape.mark())
    if config.norm_place == "pre":
        tape.part = NORMS
        x = recorder.norm(config, x, rows)
    return x


def _scores(recorder: StepRecorder, config: ModelConfig, x: Value, length: int) -> _Scores:
    """Record models.architecture.stack.Stack.attention_context: the masks and biases that all layers share."""
    tape, square = recorder.tape, length * length
    has_window = 0 < config.sliding_window < length
    scheme = scheme_of(config)
    if scheme.applied_to != "scores":
        return _Scores(is_bool=has_window)
    is_learned = scheme.learned is not None
    n_hidden = scheme.learned.n_hidden if scheme.learned is not None else 0
    if n_hidden:  # a network of the distance: a few numbers per pair, then its hidden ones, which ReLU needs again
        relative = tape.add([x], square, own=(LONG + 8 * FLOAT) * square, work=2 * LONG * square)
        hidden = tape.add([relative], n_hidden * square, back_work=FLOAT * n_hidden * square)
        hidden = tape.add([hidden], hidden.numel, saves_output=True)
        bias = tape.add([hidden], config.n_head * square)
    else:
        bias = tape.add([x], config.n_head * square, own=LONG * square * is_learned, work=3 * LONG * square)
    bias.has_grad = is_learned
    if has_window or config.is_causal:
        bias = tape.add([bias], bias.numel, own=square)
    return _Scores(bias=bias, is_learned=is_learned)


def _block(
    recorder: StepRecorder,
    config: ModelConfig,
    parts: PartNames,
    layer: int,
    x: Value,
    batch: int,
    length: int,
    scores: _Scores,
    memory: Value | None,
    source_length: int,
) -> Value:
    """Record models.architecture.block.Block.forward."""
    tape, rows = recorder.tape, batch * length
    is_pre = config.norm_place == "pre"
    for kind in ("attention", "cross", "feed") if memory is not None else ("attention", "feed"):
        h = x
        if is_pre:
            tape.part = NORMS
            h = recorder.norm(config, h, rows)
        if kind != "cross":
            tape.part = CONVOLUTION
            h = recorder.convolution(config, h)
        if kind == "attention":
            tape.part = parts.attention
            h = _attention(recorder, config, h, h, batch, length, length, scores, config.rotates(layer))
        elif kind == "cross":
            assert memory is not None
            tape.part = CROSS
            h = _attention(recorder, config, h, memory, batch, length, source_length, None)
        elif config.n_expert:
            h = recorder.experts(config, h, rows, parts)
        else:
            tape.part = parts.feed_forward
            h = recorder.feed_forward(config, h, rows)
        x = recorder.add(x, recorder.dropout(h, config.dropout))
        if not is_pre:
            tape.part = NORMS
            x = recorder.norm(config, x, rows)
    return x


def _attention(
    recorder: StepRecorder,
    config: ModelConfig,
    x: Value,
    source: Value,
    batch: int,
    length: int,
    seen: int,
    scores: _Scores | None,
    rotates: bool = False,
) -> Value:
    """Record models.architecture.attention.Attention.forward; scores = None in cross-attention."""
    tape, width = recorder.tape, config.head_dim
    inner, shared = config.n_head * width, config.kv_heads * width
    rows, seen_rows = batch * length, batch * seen
    q = recorder.linear(x, rows, inner, bias=config.attention_bias)
    q = recorder.norm(config, q, rows * config.n_head) if config.qk_norm else q
    k = recorder.linear(source, seen_rows, shared, bias=config.attention_bias)
    k = recorder.norm(config, k, seen_rows * config.kv_heads) if config.qk_norm else k
    v = recorder.linear(source, seen_rows, shared, bias=config.attention_bias)
    if rotates:
        k = tape.add([k], k.numel, width=k.width, back_work=k.size // 2)
        q = tape.add([q], q.numel, width=q.width, back_work=q.size // 2)
    if not recorder.is_cuda:
        q, k, v = (recorder.cast(each, FLOAT) for each in (q, k, v))  # attention on the CPU is computed in float32
    scores = scores or _Scores()
    if _is_fused(recorder, config, scores):
        own = FLOAT * rows * config.n_head
        if scores.is_bool:
            own += FLOAT * length * seen  # the mask converted to float
        inputs = [q, k, v]
        if scores.bias is not None:
            inputs.append(scores.bias)
        back_work = FLOAT * batch * config.n_head * length * seen if scores.is_learned else 0
        out = tape.add(inputs, q.numel, width=q.width, saves=inputs, saves_output=True, own=own, back_work=back_work)
        if config.qk_norm:
            out = tape.add([out], out.numel, width=out.width)  # copied to join the heads
    else:
        out = _plain_attention(recorder, config, q, k, v, batch * config.n_head * length * seen, scores)
    return recorder.linear(out, rows, config.d_model, bias=config.attention_bias)


def _is_fused(recorder: StepRecorder, config: ModelConfig, scores: _Scores) -> bool:
    """Return whether torch has a fused kernel, which never materialises the scores (see its sdp_utils)."""
    has_groups = config.kv_heads != config.n_head
    if recorder.is_cuda:
        return not has_groups or (recorder.half and not scores.is_bool and scores.bias is None)
    return not config.dropout and not scores.is_learned


def _plain_attention(
    recorder: StepRecorder, config: ModelConfig, q: Value, k: Value, v: Value, n_score: int, scores: _Scores
) -> Value:
    """Record torch's _scaled_dot_product_attention_math."""
    tape = recorder.tape
    seen_numel = k.numel // config.kv_heads * config.n_head  # shared keys and values are copied for each head
    q = tape.add([q], q.numel, width=q.width, work=q.size)
    k = tape.add([k], seen_numel, width=k.width, work=seen_numel * k.width)
    inputs = [q, k]
    if scores.bias is not None:
        inputs.append(scores.bias)
    weights = tape.add(inputs, n_score, width=q.width, saves=[q, k])
    weights = tape.add([weights], n_score, width=q.width, saves_output=True, work=n_score)
    weights = recorder.dropout(weights, config.dropout)
    v = tape.add([v], seen_numel, width=v.width)
    out = tape.add([weights, v], q.numel, width=q.width, saves=[weights, v])
    return tape.add([out], out.numel, width=out.width)


def _loss(recorder: StepRecorder, config: ModelConfig, table: Value, hidden: Value, batch: Batch) -> None:
    """Record the head and the cross-entropy."""
    tape, width = recorder.tape, config.d_model
    rows = batch.batch_size * batch.length
    classes = config.vocab_size
    tape.part = HEAD
    if config.head != "language":
        classes = config.n_output
        if config.head == "sequence":
            rows = batch.batch_size
            hidden = tape.add([hidden], rows * width)
            if config.pooler and config.topology == "encoder-only":
                tape.part = POOLER
                hidden = recorder.linear(hidden, rows, width, bias=True)
                hidden = tape.add([hidden], hidden.numel, width=hidden.width, saves_output=True)
                tape.part = HEAD
        if config.head == "none":
            tape.add([hidden], 1)
            return
        hidden = recorder.dropout(hidden, config.dropout)
        if config.has_dense_head:
            hidden = recorder.linear(hidden, rows, width, bias=True)
            hidden = tape.add([hidden], hidden.numel, width=hidden.width, saves_output=True)
            hidden = recorder.dropout(hidden, config.dropout)
        logits = recorder.linear(hidden, rows, classes, bias=config.has_label_bias)
    else:
        if batch.loss_fraction < 1:
            rows = math.ceil(batch.loss_fraction * rows)
            hidden = tape.add([hidden], rows * width, own=LONG * rows)
        if config.head_transform and config.topology == "encoder-only":
            hidden = recorder.linear(hidden, rows, width, bias=config.bias == "all")
            kind = config.head_activation
            hidden = recorder.norm(config, recorder.activate(kind, hidden, None), rows)
        if config.scaled_logits:
            hidden = tape.add([hidden], hidden.numel, width=hidden.width)
        _language_loss(recorder, config, table, hidden, rows, trains_head=batch.trains_head)
        return
    probabilities = tape.add([recorder.cast(logits, FLOAT)], rows * classes, saves_output=True)
    tape.add([probabilities], rows)


def _language_loss(
    recorder: StepRecorder, config: ModelConfig, table: Value, hidden: Value, rows: int, *, trains_head: bool
) -> None:
    """Record models.architecture.cross_entropy.weighted_cross_entropy: the logits of a block of rows at a time."""
    tape, matrix = recorder.tape, table if config.tied_embeddings else recorder.tape.parameter(table.numel)
    block = min(rows, GPU_LOSS_ROWS if recorder.is_cuda else LOSS_ROWS) * config.vocab_size
    work = FLOAT * block
    if recorder.half:  # bfloat16 copies of both factors, and of the logits' gradient or a product
        work += HALF * (hidden.numel + table.numel + max(block, table.numel))
    bias = FLOAT * config.vocab_size * config.head_bias
    factors = [hidden, matrix] if trains_head else [hidden]
    tape.add(factors, 1, own=bias, work=work, weight=bias, makes_gradients=True)
