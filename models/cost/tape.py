"""A training step as torch's autograd runs it, in bytes alone: what is allocated, kept for backward, and freed.

The rules are autograd's. A result of the forward pass is freed after its last use unless an operation saved it. The
backward pass runs the operations from the last to the first: each computes the gradients of its inputs, then frees
what it saved and its result's gradient. The gradients of a value with several uses are accumulated as they arrive.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field


class Buffer:
    """A block of memory, `size` bytes, allocated by the model's component `part`."""

    __slots__ = ("holders", "part", "size")

    def __init__(self, size: int, part: str) -> None:
        self.size, self.part, self.holders = size, part, 0


class Value:
    """A tensor of `numel` numbers of `width` bytes each; with `has_grad`, it gets a gradient of the same size."""

    __slots__ = ("buffer", "grad", "has_grad", "is_parameter", "numel", "summed", "uses", "width")

    def __init__(
        self, numel: int, width: int, buffer: Buffer, *, has_grad: bool = True, is_parameter: bool = False
    ) -> None:
        self.numel, self.width, self.buffer = numel, width, buffer
        self.has_grad, self.is_parameter = has_grad, is_parameter
        self.uses = 0
        """Operations that read it and have not given it a gradient yet."""
        self.grad: Buffer | None = None
        self.summed = False
        """Whether `grad` is an accumulated sum, which no other value shares."""

    @property
    def size(self) -> int:
        """Bytes."""
        return self.numel * self.width


@dataclass(eq=False)
class Operation:
    """One node of autograd's graph. All amounts are in bytes."""

    part: str
    inputs: Sequence[Value]
    output: Value
    saved: Sequence[Buffer]
    own: Buffer
    """What it saves in addition to inputs and output: masks, statistics, indices."""
    work: int
    back_work: int
    passes: Sequence[Value]
    """The inputs that receive the output's gradient unchanged, without a new tensor (sums)."""


@dataclass(eq=False)
class Repeat:
    """`times` further copies of the operations from `start` to `end`; only the memory that they save is counted."""

    start: int
    end: int
    times: int
    buffers: list[Buffer] = field(default_factory=list)


class Tape:
    """Operations are recorded with `add`; `peak` then runs them forward and backward."""

    def __init__(self) -> None:
        self.part = ""
        """The component that the operations recorded next belong to."""
        self._steps: list[Operation | Repeat] = []
        self._live: Counter[str] = Counter()
        self._total = 0
        self._peak = 0
        self._at_peak: dict[str, int] = {}

    # Recording

    def parameter(self, numel: int) -> Value:
        """A weight with several uses. It exists before the step, so only its gradient, while it is added up, counts."""
        return Value(numel, 4, Buffer(0, self.part), is_parameter=True)

    def add(
        self,
        inputs: Sequence[Value],
        numel: int,
        *,
        width: int = 4,
        saves: Sequence[Value] = (),
        saves_output: bool = False,
        own: int = 0,
        work: int = 0,
        back_work: int = 0,
        passes: Sequence[Value] = (),
        has_grad: bool = True,
    ) -> Value:
        """Record an operation and return its result.

        Args:
            saves, saves_output, own: what it keeps for the backward pass: inputs, its result, and `own` further bytes.
            work, back_work: bytes that it needs only while it runs, forward and backward; the gradient of a weight
                that is used once is counted here: it is added to the weight's own buffer immediately.
            passes: inputs that receive the result's gradient unchanged.
        """
        buffer = Buffer(numel * width, self.part)
        output = Value(numel, width, buffer, has_grad=has_grad and any(value.has_grad for value in inputs))
        saved = [value.buffer for value in saves]
        if saves_output:
            saved.append(buffer)
        for value in inputs:
            value.uses += 1
        self._steps.append(Operation(self.part, inputs, output, saved, Buffer(own, self.part), work, back_work, passes))
        return output

    def mark(self) -> int:
        """The index of the next operation, for `repeat`."""
        return len(self._steps)

    def repeat(self, start: int, end: int, times: int) -> None:
        """Count what the operations from `start` to `end` save `times` more: only a few layers are written out."""
        if times > 0:
            self._steps.append(Repeat(start, end, times))

    # Running

    def peak(self) -> dict[str, int]:
        """Bytes by component at the peak of a forward and a backward pass."""
        self._forward()
        self._backward()
        return self._at_peak

    def _forward(self) -> None:
        wanted = {index for step in self._steps if isinstance(step, Repeat) for index in (step.start, step.end)}
        snapshots: dict[int, Counter[str]] = {}
        reads: Counter[Buffer] = Counter()
        for step in self._steps:
            if isinstance(step, Operation):
                reads.update(value.buffer for value in step.inputs)
        for index, step in enumerate(self._steps):
            if index in wanted:
                snapshots[index] = self._live.copy()
            if isinstance(step, Repeat):
                grown = snapshots[step.end]
                grown.subtract(snapshots[step.start])
                step.buffers = [Buffer(size * step.times, part) for part, size in grown.items()]
                for buffer in step.buffers:
                    self._retain(buffer)
                self._update_peak()
                continue
            made = step.output.buffer
            self._retain(made)  # by the forward pass, until its last use
            for buffer in (step.own, *step.saved):
                self._retain(buffer)
            self._update_peak(step.work, step.part)
            for value in step.inputs:
                reads[value.buffer] -= 1
            for buffer in {made, *(value.buffer for value in step.inputs)}:
                if reads[buffer] == 0:
                    self._release(buffer)

    def _backward(self) -> None:
        last = next(step for step in reversed(self._steps) if isinstance(step, Operation))
        last.output.grad = self._retain(Buffer(last.output.size, last.part))
        for step in reversed(self._steps):
            if isinstance(step, Repeat):
                for buffer in step.buffers:
                    self._release(buffer)
                continue
            grad = step.output.grad
            made: list[tuple[Value, Buffer]] = []
            if grad is not None:
                for value in step.inputs:
                    if value.has_grad:
                        is_same = any(value is other for other in step.passes)
                        new = grad if is_same else Buffer(value.size, step.part)
                        made.append((value, self._retain(new)))
                self._update_peak(step.back_work, step.part)
                step.output.grad = None
                self._release(grad)
            for buffer in (step.own, *step.saved):
                self._release(buffer)
            for value, new in made:
                self._add_gradient(value, new)

    def _add_gradient(self, value: Value, new: Buffer) -> None:
        """Accumulate a gradient of `value`; a parameter's goes to its own buffer (.grad) when it is complete."""
        value.uses -= 1
        if value.grad is None:
            value.grad = new
        else:
            old = value.grad
            if value.summed:
                self._update_peak()  # added in place
            else:
                value.grad = self._retain(Buffer(value.size, new.part))  # other values may share the gradients
                self._update_peak()
                value.summed = True
                self._release(old)
            self._release(new)
        if value.uses == 0 and value.is_parameter:
            self._release(value.grad)
            value.grad = None

    def _retain(self, buffer: Buffer) -> Buffer:
        if buffer.holders == 0:
            self._live[buffer.part] += buffer.size
            self._total += buffer.size
        buffer.holders += 1
        return buffer

    def _release(self, buffer: Buffer) -> None:
        buffer.holders -= 1
        if buffer.holders == 0:
            self._live[buffer.part] -= buffer.size
            self._total -= buffer.size

    def _update_peak(self, work: int = 0, part: str = "") -> None:
        """Record the current allocation if it is the highest so far."""
        if self._total + work > self._peak:
            self._peak = self._total + work
            self._at_peak = {name: size for name, size in self._live.items() if size}
            if work:
                self._at_peak[part] = self._at_peak.get(part, 0) + work
