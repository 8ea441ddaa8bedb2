"""The memory of a training step in addition to the weights: forward, loss and backward, recorded on a tape.

The tree of parts says which modules there are, and with which tensors; here is what torch allocates and saves to run
each kind of part, and what no tree knows: masks, fused kernels, dropout, autocast, the loss.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from terrarium.models.design.custom import measured
from terrarium.models.design.parts import CROSS, EMBEDDING, HEAD, POSITIONS, stacks
from terrarium.models.design.tape import Buffer, Tape, Value
from terrarium.models.design.tree import BIAS, TABLE, Part, design_tree
from terrarium.models.settings.activations import ACTIVATIONS
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.norms import NORMS
from terrarium.models.settings.positions import scheme_of
from terrarium.models.settings.run_spec import GPU_LOSS_ROWS, LOSS_ROWS
from terrarium.models.settings.slots import check_complete

FLOAT, HALF, LONG = 4, 2, 8
"""Bytes per number in float32 and bfloat16, and per int64 index."""

N_UNROLLED = 3
"""How many layers of a stack, or experts of a layer, are recorded; the others count as repeats of the last but one."""


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


@dataclass
class StepRecorder:
    """Records a model's parts on a tape, as torch runs them on the device.

    config: the design of the stack that is recorded. table: the token embedding. memory: the encoder's output, which
    only a decoder reads. half: whether matrices are multiplied in bfloat16, under autocast. scores, layer: of the block
    that is recorded.
    """

    tape: Tape
    config: ModelConfig
    batch: Batch
    table: Value
    memory: Value
    is_cuda: bool
    half: bool
    recomputes: bool
    scores: _Scores = _Scores()
    layer: int = 0

    def record(self, part: Part, x: Value) -> Value:
        """Record a part that reads x, under its own heading, and return its result."""
        self.tape.part = part.component
        return self.within(part, x)

    def within(self, part: Part, x: Value) -> Value:
        """Record a part that reads x, under the heading of the part that it belongs to, and return its result."""
        return _RECORDERS[part.kind](self, part, x)

    def unrolled(self, part: Part) -> Iterator[int]:
        """Yield the numbers of those layers or experts that are to be recorded, and count the others."""
        times, marks = part.times or 1, [self.tape.mark()]
        for i in range(min(times, N_UNROLLED)):
            if i == N_UNROLLED - 1:
                self.tape.repeat(marks[-2], marks[-1], times - N_UNROLLED)
            yield i
            marks.append(self.tape.mark())

    def tokens(self, x: Value) -> int:
        """Return the number of tokens of the batch that x (tokens, d_model) stands for."""
        return x.numel // self.config.d_model

    def length(self, x: Value) -> int:
        """Return the number of tokens of each text of x."""
        return self.tokens(x) // self.batch.batch_size

    def add(self, a: Value, b: Value) -> Value:
        """Record a + b, of the same size; both receive the gradient."""
        width = max(a.width, b.width)
        return self.tape.add([a, b], a.numel, width=width, passes=[v for v in (a, b) if v.width == width])

    def cast(self, x: Value, width: int) -> Value:
        """Record a cast of x to numbers of `width` bytes; no operation if it already has that width."""
        return x if x.width == width else self.tape.add([x], x.numel, width=width)

    def dropout(self, x: Value) -> Value:
        """Record dropout: the mask has the numbers' width on the CPU, one byte each on CUDA."""
        if not self.config.dropout:
            return x
        return self.tape.add([x], x.numel, width=x.width, own=x.numel * (1 if self.is_cuda else x.width))


def activations(
    config: ModelConfig, batch: Batch, *, is_cuda: bool, half: bool, recomputes: bool, accumulates: bool
) -> dict[str, int]:
    """Compute the bytes by component at the peak of a training step, without weights.

    Args:
        recomputes: whether the backward pass recomputes each block (activation checkpointing).
        accumulates: whether all gradients exist before the step, and do not count; otherwise those that exist at the
            peak are counted as GRADIENTS.
    """
    tape, parts, inner = Tape(), design_tree(config).parts, stacks(config)
    tape.part = EMBEDDING
    table = tape.parameter(config.vocab_size * config.d_model)
    recorder = StepRecorder(tape, config, batch, table, table, is_cuda=is_cuda, half=half, recomputes=recomputes)
    first = [part.kind for part in parts].index("stack")
    last = first + len(inner)
    hidden = table
    for (stack_config, names), stack in zip(inner, parts[first:last], strict=True):
        is_source = names.stack == "Encoder"
        recorder = replace(recorder, config=stack_config, memory=hidden)
        n_tokens = batch.batch_size * (batch.source_length if is_source else batch.length)
        hidden = Value(n_tokens, LONG, Buffer(0, EMBEDDING), has_grad=False)  # the ids
        for part in parts[:first]:
            hidden = recorder.record(part, hidden)
        hidden = recorder.record(stack, hidden)
    if config.head == "sequence":
        tape.part = HEAD
        hidden = tape.add([hidden], batch.batch_size * config.d_model)  # one token of each text
    for part in parts[last:]:
        hidden = recorder.record(part, hidden)
    if config.head == "none":
        tape.part = HEAD
        tape.add([hidden], 1)
    return tape.peak(accumulates=accumulates)


def _embedding(recorder: StepRecorder, part: Part, ids: Value) -> Value:
    x = recorder.tape.add([recorder.table], ids.numel * recorder.config.d_model)
    return recorder.tape.add([x], x.numel) if recorder.config.scaled_embeddings else x


def _segment(recorder: StepRecorder, part: Part, x: Value) -> Value:
    segments = recorder.tape.add([x], x.numel, own=LONG * recorder.tokens(x), has_grad=False)
    return recorder.tape.add([x, segments], x.numel, passes=[x])


def _ngrams(recorder: StepRecorder, part: Part, x: Value) -> Value:
    """Record models.architecture.ngrams.NGramEmbedding, and the sum with the token embeddings."""
    table, projection = part.parts
    return recorder.add(x, recorder.within(projection, recorder.within(table, x)))


def _ngram_table(recorder: StepRecorder, part: Part, x: Value) -> Value:
    (weight,), n_found = part.tensors, recorder.tokens(x) * (recorder.config.max_ngram - 1)
    table = recorder.tape.parameter(weight.numel)
    return recorder.tape.add([table], n_found * weight.shape[1], own=LONG * n_found, work=2 * LONG * n_found)


def _stack(recorder: StepRecorder, part: Part, x: Value) -> Value:
    """Record models.architecture.stack.Stack.transform."""
    tape, config = recorder.tape, recorder.config
    if scheme_of(config).applied_to == "embeddings":
        tape.part = POSITIONS
        table = FLOAT * sum(tensor.numel for each in part.parts if each.kind == "position" for tensor in each.tensors)
        size = FLOAT * recorder.length(x) * config.d_model
        x = tape.add([x], x.numel, work=size, back_work=size + table, passes=[] if table else [x])
    for each in part.parts:
        if each.kind != "position":
            x = recorder.record(each, x)
    return x


def _blocks(recorder: StepRecorder, part: Part, x: Value) -> Value:
    """Record the layers of a stack, with the dropout before them."""
    tape = recorder.tape
    tape.part = EMBEDDING
    x = recorder.dropout(x)
    tape.part = POSITIONS
    recorder.scores = _scores(recorder, recorder.config, x, recorder.length(x))
    for layer in recorder.unrolled(part):
        recorder.layer = layer
        with tape.recomputed() if recorder.recomputes else contextlib.nullcontext():
            x = _block(recorder, part, x)
    return x


def _scores(recorder: StepRecorder, config: ModelConfig, x: Value, length: int) -> _Scores:
    """Record models.architecture.stack.Stack.attention_context: the masks and biases that all layers share."""
    tape, square = recorder.tape, length * length
    has_window = 0 < config.sliding_window < length
    scheme = scheme_of(config)
    if scheme.applied_to != "scores":
        return _Scores(is_bool=has_window)
    is_learned = scheme.learned is not None or bool(config.position_block)
    n_hidden = scheme.learned.n_hidden if scheme.learned is not None else 0
    if n_hidden:  # a network of the distance: a few numbers per pair, then its hidden ones, which ReLU needs again
        relative = tape.add([x], square, own=(LONG + 8 * FLOAT) * square, work=2 * LONG * square)
        hidden = tape.add([relative], n_hidden * square, back_work=FLOAT * n_hidden * square)
        hidden = tape.add([hidden], hidden.numel, saves_output=True)
        number = HALF if recorder.half else FLOAT
        hidden = recorder.cast(hidden, number)  # for the matrix product
        bias = tape.add([hidden], config.n_head * square, width=number, saves=[hidden])
    else:
        bias = tape.add([x], config.n_head * square, own=LONG * square * is_learned, work=3 * LONG * square)
    bias.has_grad = is_learned
    if has_window or config.is_causal:
        bias = tape.add([bias], bias.numel, own=square)
    return _Scores(bias=bias, is_learned=is_learned)


def _block(recorder: StepRecorder, part: Part, x: Value) -> Value:
    """Record models.architecture.block.Block.forward: norm, short convolution and module, in turn, added to x."""
    is_pre, norm, h = recorder.config.norm_place == "pre", part.parts[0], x
    for each in part.parts:
        if each.kind == "norm":
            norm, h = each, recorder.record(each, x) if is_pre else x
        elif each.kind == "conv":
            h = recorder.record(each, h)
        else:
            x = recorder.add(x, recorder.dropout(recorder.record(each, h)))
            x = x if is_pre else recorder.record(norm, x)
    return x


def _attention(recorder: StepRecorder, part: Part, x: Value) -> Value:
    """Record models.architecture.attention.Attention.forward."""
    tape, config, inner = recorder.tape, recorder.config, {each.path: each for each in part.parts}
    source, scores, rotates = x, recorder.scores, config.rotates(recorder.layer)
    if part.component == CROSS:
        source, scores, rotates = recorder.memory, _Scores(), False
    q = recorder.within(inner["query"], x)
    q = recorder.within(inner["query_norm"], q) if config.qk_norm else q
    k = recorder.within(inner["key"], source)
    k = recorder.within(inner["key_norm"], k) if config.qk_norm else k
    v = recorder.within(inner["value"], source)
    if rotates:
        k = tape.add([k], k.numel, width=k.width, back_work=k.size // 2)
        q = tape.add([q], q.numel, width=q.width, back_work=q.size // 2)
    if not recorder.is_cuda:
        q, k, v = (recorder.cast(each, FLOAT) for each in (q, k, v))  # attention on the CPU is computed in float32
    own, square = FLOAT * recorder.tokens(x) * config.n_head, recorder.length(x) * recorder.length(source)
    n_score = recorder.batch.batch_size * config.n_head * square
    if _is_fused(recorder, config, scores):
        if scores.is_bool:
            own += FLOAT * square  # the mask converted to float
        inputs = [q, k, v]
        if scores.bias is not None:
            inputs.append(scores.bias)
        back_work = FLOAT * n_score if scores.is_learned else 0
        out = tape.add(inputs, q.numel, width=q.width, saves=inputs, saves_output=True, own=own, back_work=back_work)
        if config.qk_norm:
            out = tape.add([out], out.numel, width=out.width)  # copied to join the heads
    else:
        out = _plain_attention(recorder, config, q, k, v, n_score, scores)
    return recorder.within(inner["output"], out)


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
    weights = recorder.dropout(weights)
    v = tape.add([v], seen_numel, width=v.width)
    out = tape.add([weights, v], q.numel, width=q.width, saves=[weights, v])
    return tape.add([out], out.numel, width=out.width)


def _feed_forward(recorder: StepRecorder, part: Part, x: Value) -> Value:
    """Record models.architecture.experts.FeedForward: two or three matrices, and perhaps a norm before the last."""
    *first, down = part.parts
    norms = [each for each in first if each.kind == "norm"]
    curved, *factors = [recorder.within(each, x) for each in first if each.kind != "norm"]
    h = _CURVES[recorder.config.activation](recorder, curved)
    for factor in factors:
        h = recorder.tape.add([h, factor], h.numel, width=h.width, saves=[h, factor])
    for norm in norms:
        h = recorder.within(norm, h)
    return recorder.within(down, h)


def _mixture(recorder: StepRecorder, part: Part, x: Value) -> Value:
    """Record the router and the experts, each with an equal share of the tokens."""
    tape, config, (router, experts), rows = recorder.tape, recorder.config, part.parts, recorder.tokens(x)
    n_taken = rows * config.n_expert_used
    scores = recorder.cast(recorder.record(router, x), FLOAT)
    probabilities = tape.add([scores], scores.numel, saves_output=True)
    shares = tape.add([probabilities], n_taken, own=LONG * n_taken)
    shares = tape.add([shares], n_taken, saves=[shares], own=FLOAT * rows)
    tape.part = experts.component
    out = tape.add([], x.numel)
    share = -(-n_taken // config.n_expert)
    for _ in recorder.unrolled(experts):
        taken = tape.add([x], share * config.d_model, own=2 * LONG * share)
        made = recorder.within(experts, taken)
        weights = tape.add([shares], share, own=2 * LONG * share)
        weighted = tape.add([made, weights], made.numel, width=made.width, saves=[made, weights], back_work=made.size)
        weighted = recorder.cast(weighted, FLOAT)
        out = tape.add([out, weighted], x.numel, saves=[weighted], own=LONG * share, passes=[out])
    return out


def _linear(recorder: StepRecorder, part: Part, x: Value) -> Value:
    """Record a linear layer: x (rows, n_in) -> (rows, n_out)."""
    weight, n_bias = part.tensors[0].numel, sum(tensor.numel for tensor in part.tensors[1:])
    n_out, n_in = part.tensors[0].shape
    number = HALF if recorder.half else FLOAT
    x = recorder.cast(x, number)
    own = weight * HALF if recorder.half else 0  # autocast's copy of the weight
    back_work = number * (weight + n_bias) + (FLOAT * weight if recorder.half else 0)
    made, size = FLOAT * (weight + n_bias), x.numel // n_in * n_out
    return recorder.tape.add([x], size, width=number, saves=[x], own=own, back_work=back_work, weight=made)


def _convolution(recorder: StepRecorder, part: Part, x: Value) -> Value:
    return recorder.tape.add([x], x.numel, saves=[x], back_work=x.size)


def _norm(recorder: StepRecorder, part: Part, x: Value) -> Value:
    if recorder.config.norm_block:  # of a custom norm, its input and a few numbers per row
        return _layer_norm(recorder, x, recorder.tokens(x))
    return _NORMS[recorder.config.norm](recorder, x, x.numel // part.tensors[0].numel)


def _layer_norm(recorder: StepRecorder, x: Value, rows: int) -> Value:
    return recorder.tape.add([x], x.numel, width=x.width, saves=[x], own=2 * FLOAT * rows)


def _rms_norm(recorder: StepRecorder, x: Value, rows: int) -> Value:
    """Record RMSNorm: on the CPU, torch runs several operations in float32, each with its own result."""
    tape, width = recorder.tape, x.width
    if recorder.is_cuda:
        return tape.add([x], x.numel, width=width, saves=[x], own=FLOAT * rows)
    x = recorder.cast(x, FLOAT)
    scaled = tape.add([x], x.numel, saves=[x], own=FLOAT * rows, work=x.size, back_work=3 * x.size)
    return recorder.cast(tape.add([scaled], x.numel, saves=[scaled], back_work=x.size), width)


_NORMS: dict[str, Callable[[StepRecorder, Value, int], Value]] = {"layernorm": _layer_norm, "rmsnorm": _rms_norm}
check_complete(_NORMS, NORMS, "memory of norms")


def _from_input(recorder: StepRecorder, x: Value) -> Value:
    """Record an activation whose backward pass needs its input (GELU, SiLU)."""
    return recorder.tape.add([x], x.numel, width=x.width, saves=[x])


def _from_output(recorder: StepRecorder, x: Value) -> Value:
    """Record an activation whose backward pass needs its output (ReLU, tanh)."""
    return recorder.tape.add([x], x.numel, width=x.width, saves_output=True)


def _relu2(recorder: StepRecorder, x: Value) -> Value:
    h = _from_output(recorder, x)
    return recorder.tape.add([h], h.numel, width=h.width, saves=[h], back_work=2 * h.size)


def _solu(recorder: StepRecorder, x: Value) -> Value:
    shares = recorder.tape.add([recorder.cast(x, FLOAT)], x.numel, saves_output=True)
    shares = recorder.cast(shares, x.width)
    return recorder.tape.add([x, shares], x.numel, width=x.width, saves=[x, shares])


_CURVES: dict[str, Callable[[StepRecorder, Value], Value]] = {
    "relu": _from_output,
    "gelu": _from_input,
    "gelu_tanh": _from_input,
    "relu2": _relu2,
    "solu": _solu,
    "swiglu": _from_input,
    "geglu": _from_input,
    "geglu_tanh": _from_input,
}
check_complete(_CURVES, ACTIVATIONS, "memory of activations")


def _pooler(recorder: StepRecorder, part: Part, x: Value) -> Value:
    """Record the pooler, which only a head of whole texts reads."""
    return _from_output(recorder, _linear(recorder, part, x)) if recorder.config.head == "sequence" else x


def _head(recorder: StepRecorder, part: Part, x: Value) -> Value:
    """Record the head and the cross-entropy, and return the loss."""
    if recorder.config.head == "language":
        return _language_head(recorder, part, x)
    x = recorder.dropout(x)
    for dense in part.parts:
        x = recorder.dropout(_from_output(recorder, recorder.within(dense, x)))
    logits = recorder.cast(_linear(recorder, part, x), FLOAT)
    probabilities = recorder.tape.add([logits], logits.numel, saves_output=True)
    return recorder.tape.add([probabilities], recorder.tokens(x))


def _language_head(recorder: StepRecorder, part: Part, x: Value) -> Value:
    """Record models.architecture.cross_entropy.weighted_cross_entropy: the logits of a block of rows at a time."""
    tape, config, table = recorder.tape, recorder.config, recorder.table
    if recorder.batch.loss_fraction < 1:
        rows = math.ceil(recorder.batch.loss_fraction * recorder.tokens(x))
        x = tape.add([x], rows * config.d_model, own=LONG * rows)
    for transform in part.parts:
        x = recorder.within(transform, x)
    if config.scaled_logits:
        x = tape.add([x], x.numel, width=x.width)
    block = min(recorder.tokens(x), GPU_LOSS_ROWS if recorder.is_cuda else LOSS_ROWS) * config.vocab_size
    work = FLOAT * block
    if recorder.half:  # bfloat16 copies of both factors, and of the logits' gradient or a product
        work += HALF * (x.numel + table.numel + max(block, table.numel))
    bias = FLOAT * sum(tensor.numel for tensor in part.tensors if tensor.role == BIAS)
    matrices = [tape.parameter(tensor.numel) for tensor in part.tensors if tensor.role == TABLE] or [table]
    factors = [x, *matrices] if recorder.batch.trains_head else [x]
    return tape.add(factors, 1, own=bias, work=work, weight=bias, makes_gradients=True)


def _transform(recorder: StepRecorder, part: Part, x: Value) -> Value:
    dense, norm = part.parts
    x = _CURVES[recorder.config.head_activation](recorder, recorder.within(dense, x))
    return recorder.within(norm, x)


def _custom(recorder: StepRecorder, part: Part, x: Value) -> Value:
    """Record a custom block in the place `part.path` as one operation, with the bytes that were measured in float32."""
    batch_size, length = recorder.batch.batch_size, recorder.length(x)
    found = measured(recorder.config, part.path, length=length, batch_size=batch_size)
    passed = found.saved_bytes + x.size  # what is saved, and the output or its gradient
    return recorder.tape.add(
        [x],
        x.numel,
        width=x.width,
        saves=[x],
        own=found.saved_bytes,
        work=max(0, found.forward_peak_bytes - passed),
        back_work=max(0, found.backward_peak_bytes - passed - x.size),
        weight=FLOAT * sum(node.size for node in part.walk()),
    )


_LINEAR = ("query", "key", "value", "output", "gate", "up", "down", "router", "projection", "dense")
_RECORDERS: dict[str, Callable[[StepRecorder, Part, Value], Value]] = {
    "embedding": _embedding,
    "ngrams": _ngrams,
    "ngram table": _ngram_table,
    "segment": _segment,
    "stack": _stack,
    "block": _blocks,
    "attention": _attention,
    "feed_forward": _feed_forward,
    "mixture": _mixture,
    "conv": _convolution,
    "custom": _custom,
    "norm": _norm,
    "pooler": _pooler,
    "head": _head,
    "transform": _transform,
    **dict.fromkeys(_LINEAR, _linear),
}
"""How each kind of part is recorded: a function of the part and of what it reads, which returns its result. The kinds
"model" and "position" have none: `activations` and `_stack` record what they stand for."""
