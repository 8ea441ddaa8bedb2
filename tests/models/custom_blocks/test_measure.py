"""What is measured without data is what a real run allocates, and what is counted by hand."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from terrarium.models.custom_blocks.measure import Measured, MeasuredModule, measure
from terrarium.models.training.estimates.measure import peak_allocated

B, T, C, H = 4, 32, 64, 4
FLOAT = 4


class HandMade(nn.Module):
    """Attention in plain operations, with a residual connection, up to a loss."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(C)
        self.joint = nn.Linear(C, 3 * C, bias=False)
        self.output = nn.Linear(C, C)

    def forward(self, x: Tensor, allowed: Tensor) -> Tensor:
        q, k, v = self.joint(self.norm(x)).unflatten(-1, (3, H, C // H)).permute(2, 0, 3, 1, 4)  # (B, H, T, D)
        scores = (q @ k.mT).masked_fill(~allowed, -torch.inf)
        return (x + self.output((scores.softmax(-1) @ v).transpose(1, 2).flatten(2))).square().mean()


class Fused(HandMade):
    """The same with torch's attention, which has a kernel of its own on the CPU."""

    def forward(self, x: Tensor, allowed: Tensor) -> Tensor:
        q, k, v = self.joint(self.norm(x)).unflatten(-1, (3, H, C // H)).permute(2, 0, 3, 1, 4)
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=allowed)
        return (x + self.output(out.transpose(1, 2).flatten(2))).square().mean()


class Convolution(nn.Module):
    """A depthwise convolution over the tokens, in train mode with a norm that has buffers, up to a loss."""

    def __init__(self) -> None:
        super().__init__()
        self.filter = nn.Conv1d(C, C, 3, padding=1, groups=C)
        self.norm = nn.BatchNorm1d(C)
        self.dropout = nn.Dropout(0.1)

    def forward(self, x: Tensor, allowed: Tensor | None) -> Tensor:
        return self.dropout(F.gelu(self.norm(self.filter(x.mT)))).square().mean()


class Recomputed(Fused):
    """Attention that the backward pass computes again."""

    def forward(self, x: Tensor, allowed: Tensor) -> Tensor:
        return checkpoint(super().forward, x, allowed, use_reentrant=False, preserve_rng_state=False)


class Words(nn.Module):
    """A tied table: looked up, and multiplied with."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(100, C)
        self.head = nn.Linear(C, 100)
        self.head.weight = self.table.weight

    def forward(self, ids: Tensor) -> Tensor:
        return F.cross_entropy(self.head(self.table(ids)).flatten(0, 1), ids.flatten())


class Only(nn.Module):
    """A module that does one thing."""

    def __init__(self, run: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.run = run

    def forward(self, x: Tensor) -> Tensor:
        return self.run(x)


def meta(*shape: int) -> Tensor:
    return torch.empty(shape, device="meta", requires_grad=True)


def part(found: Measured, path: str) -> MeasuredModule:
    (module,) = (each for each in found.modules if each.path == path)
    return module


def test_a_linear_layer() -> None:
    found = measure(nn.Linear(C, 3 * C, device="meta"), meta(B, T, C))
    (module,) = found.modules
    assert (module.path, module.kind, module.shape) == ("", "Linear", (B, T, 3 * C))
    assert module.flops == 2 * B * T * C * 3 * C
    assert module.tensors == (("weight", (3 * C, C), "matrix"), ("bias", (3 * C,), "bias"))
    assert found.saved_bytes == 0, "only its input and its weight"
    assert found.forward_peak_bytes == FLOAT * B * T * 3 * C
    x, y, weight, bias = B * T * C, B * T * 3 * C, 3 * C * C, 3 * C
    assert found.backward_peak_bytes == FLOAT * (y + x + weight + bias + 1), "gradients, and the loss"


@pytest.mark.parametrize("kind", [HandMade, Fused])
def test_attention_counts_by_module(kind: type[nn.Module]) -> None:
    found = measure(kind().eval(), meta(B, T, C), torch.ones(T, T, dtype=torch.bool))
    assert [module.path for module in found.modules] == ["", "norm", "joint", "output"]
    assert part(found, "joint").flops == 3 * part(found, "output").flops == 2 * B * T * C * 3 * C
    assert part(found, "").flops == 2 * 2 * B * H * T * T * (C // H), "scores, and their sums of the values"
    assert part(found, "norm").tensors == (("weight", (C,), "norm"), ("bias", (C,), "bias"))
    assert part(found, "joint").shape == (B, T, 3 * C)


def test_attention_with_wider_values_and_shared_keys() -> None:
    q, k, v = (torch.empty(B, n, T, width) for n, width in ((H, 16), (2, 16), (2, 16)))
    grouped = measure(Only(lambda q: F.scaled_dot_product_attention(q, k, v, enable_gqa=True)), q)
    assert part(grouped, "").flops == 2 * 2 * B * H * T * T * 16


def test_a_convolution() -> None:
    found = measure(nn.Conv1d(C, 2 * C, 3, padding=1), meta(B, C, T))
    assert found.modules[0].flops == 2 * B * T * 2 * C * C * 3
    assert found.modules[0].tensors[0] == ("weight", (2 * C, C, 3), "filter")


def test_what_is_shared_counts_once() -> None:
    found = measure(Words(), torch.zeros(B, T, dtype=torch.long))
    assert part(found, "table").tensors == (("weight", (100, C), "table"),)
    assert part(found, "head").tensors == (("bias", (100,), "bias"),)
    assert (part(found, "table").flops, part(found, "head").flops) == (0, 2 * B * T * C * 100)
    views = measure(Only(lambda x: torch.relu(x).mT.flatten(0, 1)[1:].exp()), meta(B, T, C))
    size = FLOAT * B * T * C
    assert views.saved_bytes == size + size - FLOAT * T, "the results of relu, once, and of exp"


def test_a_layer_that_runs_twice() -> None:
    layer = nn.Linear(C, C)
    twice = measure(nn.Sequential(layer, nn.ReLU(), layer), meta(B, T, C))
    assert [module.path for module in twice.modules] == ["", "0", "1"]
    assert part(twice, "0").flops == 2 * 2 * B * T * C * C


@pytest.mark.parametrize("kind", [HandMade, Fused, Convolution, Recomputed, Words])
def test_peaks_are_those_of_a_real_run(kind: type[nn.Module]) -> None:
    torch.manual_seed(0)
    module, allowed = kind(), torch.ones(T, T, dtype=torch.bool).tril()
    if kind is Words:
        inputs: tuple[Tensor, ...] = (torch.zeros(16 * B, T, dtype=torch.long),)
    else:  # large enough that the workspace of fused attention, which is left out, does not matter
        inputs = torch.randn(16 * B, T, C, requires_grad=True), allowed
    found = measure(module, *inputs)
    for parameter in module.parameters():
        parameter.grad = torch.zeros_like(parameter)
    module(*inputs).backward()  # what torch makes once, and keeps
    inputs[0].grad = None
    losses: list[Tensor] = []
    forward = peak_allocated(lambda: losses.append(module(*inputs)), torch.device("cpu"))
    assert found.forward_peak_bytes == pytest.approx(forward, rel=0.01)
    losses.clear()
    both = peak_allocated(lambda: module(*inputs).backward(), torch.device("cpu"))
    assert max(found.forward_peak_bytes, found.backward_peak_bytes) == pytest.approx(both, rel=0.01)
    assert found.saved_bytes < found.forward_peak_bytes
    assert (found.saved_bytes == 0) == (kind is Recomputed)


def test_the_module_stays_as_it_is() -> None:
    module = Convolution()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    measure(module, meta(B, T, C), torch.ones(T, T, dtype=torch.bool))
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())
    assert all(parameter.grad is None and parameter.device.type == "cpu" for parameter in module.parameters())
    assert module(torch.randn(B, T, C), None).isfinite(), "on real tensors again"
    without_gradient = measure(nn.ReLU(), torch.empty(B, T))
    assert (without_gradient.saved_bytes, without_gradient.backward_peak_bytes) == (0, 0)


def test_nothing_is_allocated() -> None:
    module = nn.Sequential(nn.Linear(100_000, 100_000, device="meta"), nn.GELU())  # 40 GB
    assert peak_allocated(lambda: check_large(module), torch.device("cpu")) < 1_000


def check_large(module: nn.Module) -> None:
    assert measure(module, meta(1000, 100_000)).saved_bytes == FLOAT * 10**8


@pytest.mark.parametrize(
    "run",
    [lambda x: x if x.sum() > 0 else -x, lambda x: x[x > 0], lambda x: x * x.max().item(), lambda x: x.unique()],
)
def test_a_module_that_reads_its_input_is_refused(run: Callable[[Tensor], Tensor]) -> None:
    with pytest.raises(ValueError, match=r"Only \(1\) decides by the values .* cannot be measured without data"):
        measure(nn.Sequential(nn.ReLU(), Only(run)), meta(B, T, C))
    with pytest.raises(ValueError, match=r"^Only decides"):
        measure(Only(run), meta(B, T, C))


def test_other_errors_are_the_modules_own() -> None:
    with pytest.raises(RuntimeError, match="a and b must have same reduction dim"):
        measure(nn.Linear(C, C), meta(B, C + 1))
