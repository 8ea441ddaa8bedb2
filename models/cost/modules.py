"""Records a model's modules as operations on a tape, with what each allocates and saves, as in models.architecture.

Letters in comments: N tokens of the batch, B batch, T tokens, S keys, C d_model, H n_head, G n_kv_head, D head_dim,
F d_ff, E n_expert, k n_expert_used.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from terrarium.models.cost.parts import PartNames
from terrarium.models.cost.tape import Tape, Value
from terrarium.models.settings.activations import ACTIVATIONS
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.norms import NORMS
from terrarium.models.settings.slots import check_complete

FLOAT, HALF, LONG = 4, 2, 8
"""Bytes per number in float32 and bfloat16, and per int64 index."""

N_UNROLLED = 3
"""How many layers of a stack, or experts of a layer, are recorded; the others count as repeats of the last one."""


@dataclass(frozen=True)
class StepRecorder:
    """Records a model's modules on a tape, as torch runs them on the device."""

    tape: Tape
    is_cuda: bool = False
    half: bool = False
    """Whether matrices are multiplied in bfloat16, under autocast."""

    def add(self, a: Value, b: Value) -> Value:
        """Record a + b, of the same size; both receive the gradient."""
        width = max(a.width, b.width)
        return self.tape.add([a, b], a.numel, width=width, passes=[v for v in (a, b) if v.width == width])

    def cast(self, x: Value, width: int) -> Value:
        """Record a cast of x to numbers of `width` bytes; no operation if it already has that width."""
        return x if x.width == width else self.tape.add([x], x.numel, width=width)

    def dropout(self, x: Value, rate: float) -> Value:
        """Record dropout: the mask has the numbers' width on the CPU, one byte each on CUDA."""
        if not rate:
            return x
        return self.tape.add([x], x.numel, width=x.width, own=x.numel * (1 if self.is_cuda else x.width))

    def linear(self, x: Value, rows: int, width: int, *, bias: bool = False, table: Value | None = None) -> Value:
        """Record a linear layer: x (rows, …) -> (rows, width). table: a weight with other uses (a tied embedding)."""
        weight = x.numel // rows * width
        number = HALF if self.half else FLOAT
        x = self.cast(x, number)
        own = weight * HALF if self.half else 0  # autocast's copy of the weight
        back_work = number * width * bias
        if table is None:
            back_work += weight * number + (weight * FLOAT if self.half else 0)
        made = FLOAT * ((weight if table is None else 0) + width * bias)
        inputs = [x] if table is None else [x, table]
        return self.tape.add(inputs, rows * width, width=number, saves=[x], own=own, back_work=back_work, weight=made)

    def norm(self, config: ModelConfig, x: Value, rows: int) -> Value:
        """Record the design's norm over each of `rows` rows."""
        return _NORMS[config.norm](self, x, rows)

    def convolution(self, config: ModelConfig, x: Value) -> Value:
        """Record the short convolution, if the design has one."""
        return self.tape.add([x], x.numel, saves=[x], back_work=x.size) if config.conv_width else x

    def feed_forward(self, config: ModelConfig, x: Value, rows: int) -> Value:
        """Record a feed-forward: two matrices, three if gated, and a norm before the last if the activation has one."""
        width = config.ff_width
        gate = self.linear(x, rows, width, bias=config.ff_bias) if config.is_gated else None
        h = self.linear(x, rows, width, bias=config.ff_bias)
        h = self.activate(config.activation, h, gate)
        h = self.norm(config, h, rows) if config.has_ff_norm else h
        return self.linear(h, rows, config.d_model, bias=config.ff_bias)

    def activate(self, kind: str, h: Value, gate: Value | None) -> Value:
        """Record models.architecture.experts.activate."""
        tape = self.tape
        if gate is not None:
            curve = _CURVES[kind](self, gate)
            return tape.add([curve, h], h.numel, width=h.width, saves=[curve, h])
        return _CURVES[kind](self, h)

    def experts(self, config: ModelConfig, x: Value, rows: int, parts: PartNames) -> Value:
        """Record the router and the experts, each with an equal share of the tokens."""
        tape, n_expert, used, width = self.tape, config.n_expert, config.n_expert_used, config.d_model
        tape.part = parts.router
        scores = self.cast(self.linear(x, rows, n_expert), FLOAT)
        probabilities = tape.add([scores], rows * n_expert, saves_output=True)
        shares = tape.add([probabilities], rows * used, own=LONG * rows * used)
        shares = tape.add([shares], rows * used, saves=[shares], own=FLOAT * rows)
        tape.part = parts.experts
        out = tape.add([], x.numel)
        share = -(-rows * used // n_expert)
        marks = [tape.mark()]
        for i in range(min(n_expert, N_UNROLLED)):
            if i == N_UNROLLED - 1:
                tape.repeat(marks[i - 1], marks[i], n_expert - N_UNROLLED)
            taken = tape.add([x], share * width, own=2 * LONG * share)
            made = self.feed_forward(config, taken, share)
            weights = tape.add([shares], share, own=2 * LONG * share)
            weighted = tape.add(
                [made, weights], share * width, width=made.width, saves=[made, weights], back_work=made.size
            )
            weighted = self.cast(weighted, FLOAT)
            out = tape.add([out, weighted], x.numel, saves=[weighted], own=LONG * share, passes=[out])
            marks.append(tape.mark())
        return out


def _layer_norm(recorder: StepRecorder, x: Value, rows: int) -> Value:
    return recorder.tape.add([x], x.numel, width=x.width, saves=[x], own=2 * FLOAT * rows)


def _rms_norm(recorder: StepRecorder, x: Value, rows: int) -> Value:
    """Record RMSNorm: on the CPU, torch runs several operations, each with its own result."""
    tape = recorder.tape
    if recorder.is_cuda:
        return tape.add([x], x.numel, width=x.width, saves=[x], own=FLOAT * rows)
    scaled = tape.add([x], x.numel, width=x.width, saves=[x], own=x.width * rows, work=x.size, back_work=3 * x.size)
    return tape.add([scaled], x.numel, width=x.width, saves=[scaled], back_work=x.size)


_NORMS: dict[str, Callable[[StepRecorder, Value, int], Value]] = {"layernorm": _layer_norm, "rmsnorm": _rms_norm}
check_complete(_NORMS, NORMS, "memory of norms")


def _smooth(recorder: StepRecorder, x: Value) -> Value:
    """Record an activation whose backward pass needs its input (GELU, SiLU)."""
    return recorder.tape.add([x], x.numel, width=x.width, saves=[x])


def _relu(recorder: StepRecorder, x: Value) -> Value:
    return recorder.tape.add([x], x.numel, width=x.width, saves_output=True)


def _relu2(recorder: StepRecorder, x: Value) -> Value:
    h = _relu(recorder, x)
    return recorder.tape.add([h], h.numel, width=h.width, saves=[h], back_work=2 * h.size)


def _solu(recorder: StepRecorder, x: Value) -> Value:
    shares = recorder.tape.add([recorder.cast(x, FLOAT)], x.numel, saves_output=True)
    shares = recorder.cast(shares, x.width)
    return recorder.tape.add([x, shares], x.numel, width=x.width, saves=[x, shares])


_CURVES: dict[str, Callable[[StepRecorder, Value], Value]] = {
    "relu": _relu,
    "gelu": _smooth,
    "gelu_tanh": _smooth,
    "relu2": _relu2,
    "solu": _solu,
    "swiglu": _smooth,
    "geglu": _smooth,
    "geglu_tanh": _smooth,
}
check_complete(_CURVES, ACTIVATIONS, "memory of activations")
