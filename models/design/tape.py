"""Simulates the memory of torch's autograd: what a training step allocates, saves for backward, and frees.

The rules are autograd's. A result of the forward pass is freed after its last use unless an operation saved it. The
backward pass runs the operations from the last to the first: each computes the gradients of its inputs, then frees
what it saved and its result's gradient. The gradients of a value with several uses are accumulated as they arrive.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

GRADIENTS = "Gradients"
ON_HEAP = "On the heap"
"""The key of the bytes at the peak, across components, that are in tensors of less than `HEAP_LIMIT` bytes."""

HEAP_LIMIT = 1 << 25
"""The size from which a block has pages of its own; glibc eventually takes smaller ones from its heap, which becomes
fragmented (M_MMAP_THRESHOLD in mallopt(3), which adapts up to this limit)."""


class Buffer:
    """A block of memory of `size` bytes, allocated by the model's component `part`."""

    __slots__ = ("holders", "on_heap", "part", "size")

    def __init__(self, size: int, part: str, times: int = 1) -> None:
        """times: the number of blocks that this stands for, of `size` bytes each."""
        self.size, self.part, self.holders = size * times, part, 0
        self.on_heap = self.size if size < HEAP_LIMIT else 0


class Value:
    """A tensor of `numel` numbers of `width` bytes each; with `has_grad`, it gets a gradient of the same size."""

    __slots__ = ("buffer", "grad", "has_grad", "is_parameter", "numel", "summed", "uses", "width")

    def __init__(
        self, numel: int, width: int, buffer: Buffer, *, has_grad: bool = True, is_parameter: bool = False
    ) -> None:
        self.numel, self.width, self.buffer = numel, width, buffer
        self.has_grad, self.is_parameter = has_grad, is_parameter
        self.uses = 0
        """The number of operations that read it and have not yet computed their gradient for it."""
        self.grad: Buffer | None = None
        self.summed = False
        """Whether `grad` is an accumulated sum, which no other value shares."""

    @property
    def size(self) -> int:
        """The size in bytes."""
        return self.numel * self.width


@dataclass(eq=False)
class Operation:
    """A node of autograd's graph. All amounts are in bytes."""

    part: str
    inputs: Sequence[Value]
    output: Value
    saved: Sequence[Buffer]
    own: Buffer
    """The bytes saved in addition to inputs and output: masks, statistics, indices."""
    work: int
    back_work: int
    weight: int
    """The gradient of its own weights, which remains after its backward pass."""
    passes: Sequence[Value]
    """The inputs that receive the output's gradient unchanged, without a new tensor (sums)."""
    ahead: Sequence[Buffer]
    """The gradients of the inputs, if the forward pass already computes them."""


@dataclass(eq=False)
class Region:
    """The operations from `start` to `end`, of which the forward pass saves only the `inputs`, because the backward
    pass recomputes them (activation checkpointing)."""

    start: int
    end: int
    inputs: Sequence[Buffer]


@dataclass(eq=False)
class Repeat:
    """`times` further copies of the operations from `start` to `end`; only the memory that they save counts."""

    start: int
    end: int
    times: int
    buffers: list[Buffer] = field(default_factory=list)


class Tape:
    """A record of operations, made with `add`; `peak` then runs them forward and backward."""

    def __init__(self) -> None:
        self.part = ""
        """The component that the operations recorded next belong to."""
        self._steps: list[Operation | Repeat] = []
        self._regions: list[Region] = []
        self._makes_gradients = False
        self._live: Counter[str] = Counter()
        self._total = 0
        self._on_heap = 0
        self._peak = 0
        self._at_peak: dict[str, int] = {}

    # Recording

    def parameter(self, numel: int) -> Value:
        """Return a weight with several uses. It exists before the step: only its gradient counts, until complete."""
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
        weight: int = 0,
        passes: Sequence[Value] = (),
        has_grad: bool = True,
        makes_gradients: bool = False,
    ) -> Value:
        """Record an operation and return its result.

        Args:
            saves, saves_output, own: saved for the backward pass: these inputs, the result, and `own` further bytes.
            work, back_work: temporary bytes while it runs, forward and backward. They include the gradient of a weight
                that is used once, which is immediately added to the weight's own buffer.
            weight: bytes of that buffer, in float32.
            passes: inputs that receive the result's gradient unchanged.
            makes_gradients: whether the forward pass already computes the gradients of the inputs.
        """
        buffer = Buffer(numel * width, self.part)
        output = Value(numel, width, buffer, has_grad=has_grad and any(value.has_grad for value in inputs))
        saved = [value.buffer for value in saves]
        if saves_output:
            saved.append(buffer)
        for value in inputs:
            value.uses += 1
        kept = Buffer(own, self.part)
        ahead = [Buffer(value.size, self.part) for value in inputs] if makes_gradients else []
        self._steps.append(Operation(self.part, inputs, output, saved, kept, work, back_work, weight, passes, ahead))
        return output

    def mark(self) -> int:
        """Return the index of the next operation, for `repeat`."""
        return len(self._steps)

    def repeat(self, start: int, end: int, times: int) -> None:
        """Count what the operations from `start` to `end` save `times` more, since only a few layers are recorded."""
        if times > 0:
            self._steps.append(Repeat(start, end, times))

    @contextmanager
    def recomputed(self) -> Iterator[None]:
        """Record operations that the backward pass recomputes."""
        start = self.mark()
        yield
        made = {step.output.buffer for step in self._operations(start, self.mark())}
        read = {value.buffer for step in self._operations(start, self.mark()) for value in step.inputs}
        self._regions.append(Region(start, self.mark(), list(read - made)))

    def _operations(self, start: int, end: int) -> list[Operation]:
        return [step for step in self._steps[start:end] if isinstance(step, Operation)]

    # Running

    def peak(self, *, accumulates: bool) -> dict[str, int]:
        """Compute the bytes by component at the peak of a forward and a backward pass, and how many are `ON_HEAP`.

        Args:
            accumulates: whether the buffers of the weights' gradients already exist, and do not count. Otherwise the
                backward pass allocates them one by one, and those that exist at the peak count as `GRADIENTS`.
        """
        self._makes_gradients = not accumulates
        self._forward(0, len(self._steps))
        self._backward()
        return self._at_peak

    def _forward(self, start: int, end: int, *, again: bool = False) -> None:
        """Run the operations from `start` to `end`; `again`: those of a region, recomputed in the backward pass."""
        repeats = [step for step in self._steps[start:end] if isinstance(step, Repeat)]
        wanted = {index for step in repeats for index in (step.start, step.end)}
        snapshots: dict[int, Counter[str]] = {}
        operations = self._operations(start, end)
        reads = Counter(value.buffer for step in operations for value in step.inputs)
        own = {step.output.buffer for step in operations}  # results from outside are not freed here
        inside = set() if again else {i for region in self._regions for i in range(region.start, region.end)}
        entered = {} if again else {region.start: region for region in self._regions}
        for index in range(start, end):
            step, keeps = self._steps[index], index not in inside
            if index in wanted:
                snapshots[index] = self._live.copy()
            for buffer in entered[index].inputs if index in entered else ():
                self._retain(buffer)
            if isinstance(step, Repeat):
                grown = snapshots[step.end]
                grown.subtract(snapshots[step.start])
                step.buffers = [Buffer(size, part, step.times) for part, size in grown.items()] if keeps else []
                for buffer in step.buffers:
                    self._retain(buffer)
                self._update_peak()
                continue
            made = step.output.buffer
            self._retain(made)  # by the forward pass, until its last use
            for buffer in (step.own, *step.saved, *step.ahead) if keeps else ():
                self._retain(buffer)
            self._update_peak(step.work + (0 if keeps else step.own.size), step.part)
            for value in step.inputs:
                reads[value.buffer] -= 1
            for buffer in {made, *(value.buffer for value in step.inputs)}:
                if reads[buffer] == 0 and buffer in own:
                    self._release(buffer)

    def _backward(self) -> None:
        last = next(step for step in reversed(self._steps) if isinstance(step, Operation))
        last.output.grad = self._retain(Buffer(last.output.size, last.part))
        first, final = ({getattr(region, side): region for region in self._regions} for side in ("start", "end"))
        for index in reversed(range(len(self._steps))):
            if index + 1 in final:
                self._compute_again(final[index + 1])
            self._differentiate(self._steps[index])
            for buffer in first[index].inputs if index in first else ():
                self._release(buffer)

    def _compute_again(self, region: Region) -> None:
        """Recompute a region, up to its last operation that saves something: torch stops there."""
        saving = [
            index
            for index in range(region.start, region.end)
            if not isinstance(step := self._steps[index], Operation) or step.saved or step.own.size
        ]
        self._forward(region.start, 1 + max(saving, default=region.start - 1), again=True)

    def _differentiate(self, step: Operation | Repeat) -> None:
        """Run an operation backward."""
        if isinstance(step, Repeat):
            for buffer in step.buffers:
                self._release(buffer)
            for each in self._operations(step.start, step.end):
                self._make_gradient(each.weight, step.times)
            return
        grad = step.output.grad
        made: list[tuple[Value, Buffer]] = []
        if grad is not None:
            for i, value in enumerate(step.inputs):
                if value.has_grad:
                    is_same = any(value is other for other in step.passes)
                    new = step.ahead[i] if step.ahead else grad if is_same else Buffer(value.size, step.part)
                    made.append((value, self._retain(new)))
            self._update_peak(step.back_work, step.part)
            step.output.grad = None
            self._release(grad)
            self._make_gradient(step.weight)
        for buffer in (step.own, *step.saved, *step.ahead):
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
            self._make_gradient(value.size)

    def _make_gradient(self, size: int, times: int = 1) -> None:
        """Allocate the buffer of a weight's gradient, which remains after the backward pass."""
        if self._makes_gradients:
            self._retain(Buffer(size, GRADIENTS, times))
            self._update_peak()

    def _retain(self, buffer: Buffer) -> Buffer:
        if buffer.holders == 0:
            self._live[buffer.part] += buffer.size
            self._total += buffer.size
            self._on_heap += buffer.on_heap
        buffer.holders += 1
        return buffer

    def _release(self, buffer: Buffer) -> None:
        buffer.holders -= 1
        if buffer.holders == 0:
            self._live[buffer.part] -= buffer.size
            self._total -= buffer.size
            self._on_heap -= buffer.on_heap

    def _update_peak(self, work: int = 0, part: str = "") -> None:
        """Record the current allocation if it is the highest so far."""
        if self._total + work > self._peak:
            self._peak = self._total + work
            self._at_peak = {name: size for name, size in self._live.items() if size}
            self._at_peak[ON_HEAP] = self._on_heap
            if work:
                self._at_peak[part] = self._at_peak.get(part, 0) + work
