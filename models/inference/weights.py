"""Quantized models for inference: matrices in bfloat16, in int8 with one scale per output channel, or in int4 with a
scale and an offset for each 32 weights of a row.

The residual stream, norms, biases, embeddings, routers and custom blocks stay in float32; only the input of a matrix is
rounded to bfloat16. (int8: weight-only, symmetric, per output channel, as in LLM.int8(), arXiv:2208.07339, section 2.
int4: like GGUF's Q4_1, whose weights are preserved except for the rounding of a scale. The head, which suffers most
from rounding: int8 with a scale for each 32 weights, like Q8_0, if torch has a kernel for that.)

Letters in shape comments: T tokens, K inputs, N outputs, C d_model, V vocab_size.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from terrarium.models.architecture.heads import LanguageHead
from terrarium.models.architecture.transformer import AnyModel
from terrarium.models.custom_blocks.loading import PlacedBlock
from terrarium.models.inference.weight_kinds import KINDS
from terrarium.models.settings.slots import check_complete

_MAX_KERNEL_TOKENS = 16
"""Maximum number of tokens for which the int8 kernel is faster than converting the weights first (measured)."""
_GROUP = 32
"""The int8 kernel reads inputs in groups; with other sizes it reads out of bounds. An int4 group has one scale."""
_BLOCK = 64
"""The int4 kernel computes outputs in blocks."""


def prepare_weights(model: AnyModel, kind: str) -> AnyModel:
    """Return the model with its matrices in the format `kind`, for inference: a new model that shares all other
    tensors, or `model` itself for "float32".

    It does not follow later updates of `model`.

    Raises:
        ValueError: for an unknown format.
    """
    if kind not in KINDS:
        raise ValueError(f"Weights cannot be kept as {kind!r}: choose one of {', '.join(KINDS)}.")
    if kind == "float32":
        return model
    shared = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}
    prepared = copy.deepcopy(model, memo=shared).eval()
    narrowed = NarrowMatrices(prepared, kind)
    for name, module in prepared.named_modules():
        if isinstance(module, nn.Linear):
            narrowed.take(f"{name}.weight", module.weight)
    narrowed.put()
    return prepared


class NarrowMatrices:
    """Converts the matrices of `model` to the format `kind`, one by one, so that the originals can be freed, and then
    replaces its layers. Does nothing for "float32".
    """

    def __init__(self, model: AnyModel, kind: str) -> None:
        self._model, self._kind = model, kind
        self._narrow = _NARROW.get(kind, Bfloat16Linear)
        custom = tuple(f"{name}." for name, module in model.named_modules() if isinstance(module, PlacedBlock))
        self._names = {
            f"{name}.weight"
            for name, module in model.named_modules()
            if kind != KINDS[0]
            and type(module) is nn.Linear
            and name.rpartition(".")[2] != "router"
            and not name.startswith(custom)
        }
        self._taken: dict[str, NarrowLinear] = {}

    def take(self, name: str, weight: Tensor) -> Tensor:
        """Convert the tensor `name` of the state dict if it is such a matrix, and return a placeholder until `put`;
        otherwise return the tensor itself."""
        if name not in self._names:
            return weight
        self._taken[name.removesuffix(".weight")] = self._narrow(weight, None)
        return weight.detach().to("meta")

    def put(self) -> None:
        """Replace the model's layers, and its head."""
        for path, matrix in self._taken.items():
            parent, _, name = path.rpartition(".")
            layer = self._model.get_submodule(path)
            assert isinstance(layer, nn.Linear)
            matrix.bias = layer.bias
            setattr(self._model.get_submodule(parent), name, matrix.eval())
        head = self._model.head
        if self._kind != KINDS[0] and isinstance(head, LanguageHead):
            table = self._model.embedding.weight if head.weight is None else head.weight
            self._model.head = QuantizedHead(head, self._of_head(table.device)(table, head.bias))

    def _of_head(self, device: torch.device) -> type[NarrowLinear]:
        """Return the format of the head, which suffers most from rounding."""
        if self._kind == "bfloat16":
            return self._narrow
        return HalvedInt8Linear if device.type == "cpu" and has_int4_kernel() else Int8Linear


def megabytes(model: nn.Module) -> float:
    """Return the memory of the model's weights in millions of bytes; shared tensors count once."""
    tensors = {tensor.data_ptr(): tensor for tensor in (*model.parameters(), *model.buffers())}
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors.values()) / 1e6


def slower_reason(kind: str, device: torch.device) -> str:
    """Return a sentence on why this format cannot be fast on the device; '' if no reason is known."""
    if kind == "int8" and (device.type != "cpu" or not has_int8_kernel()):
        return (
            "There is no int8 kernel for this device, so int8 weights are converted for each token, which takes longer."
        )
    if kind == "int4" and (device.type != "cpu" or not has_int4_kernel()):
        return "There is no int4 kernel for this device, so rounded weights are kept as bfloat16, which saves less."
    return ""


Kernel = Callable[[Tensor], Tensor]
"""Maps (1, K) bfloat16 to (1, N) bfloat16 or float32."""


def join_layers(layers: Sequence[nn.Module]) -> Int8Linear | Int4Linear | None:
    """Return one layer with the concatenated outputs of several layers that have the same input; None if impossible.

    For one token, each call of a kernel takes about as long as a small matrix. The weights of `layers` become views of
    the joint layer's and remain so; a second call returns the same layer.
    """
    for kind in (Int8Linear, Int4Linear):
        found = [layer for layer in layers if isinstance(layer, kind)]
        if len(found) == len(layers) and all(layer.bias is None and layer.token_kernel() for layer in found):
            storages = {layer.weight.untyped_storage().data_ptr() for layer in found}
            for joint in found[0].joint:
                if storages == {joint.weight.untyped_storage().data_ptr()}:
                    return joint
            made = kind.joined(found)  # type: ignore[arg-type]
            found[0].joint = (made,)
            return made
    return None


class Bfloat16Linear(nn.Module):
    """A linear layer whose weights are rounded to bfloat16."""

    weight: Tensor

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.register_buffer("weight", weight.detach().bfloat16())
        self.bias = bias

    def dequantized(self) -> Tensor:
        """Return the dequantized weights, (N, K) float32."""
        return self.weight.float()

    def forward(self, x: Tensor) -> Tensor:
        """Map x (…, K) to (…, N), in the dtype of x."""
        y = F.linear(x.bfloat16(), self.weight).to(x.dtype)
        return y if self.bias is None else y + self.bias


class Int8Linear(nn.Module):
    """A linear layer with int8 weights from −127 to 127, and a bfloat16 scale per output."""

    weight: Tensor
    scale: Tensor
    joint: tuple[Int8Linear | Int4Linear, ...] = ()
    """The joint layer; set on the first of several layers that `join_layers` has joined."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        weight = weight.detach().float()
        # The scale is rounded to the kernel's bfloat16 first, so that the weights compensate for that.
        scale = (weight.abs().amax(dim=1).clamp(min=1e-20) / 127).bfloat16()  # (N)
        whole = (weight / scale.float()[:, None]).round().clamp(-127, 127).to(torch.int8)
        self.register_buffer("weight", F.pad(whole, (0, -whole.size(1) % _GROUP)))  # (N, K and up to 31 zeros)
        self.register_buffer("scale", scale)
        self.bias = bias
        self._n_added = self.weight.size(1) - whole.size(1)

    def token_kernel(self) -> Kernel | None:
        """Return the product with one token, without bias; None if there is no kernel for it."""
        if self._n_added or self.weight.device.type != "cpu" or not has_int8_kernel():
            return None
        weight, scale = self.weight, self.scale
        return lambda row: _int8_kernel(row, weight, scale)

    @classmethod
    def joined(cls, layers: Sequence[Int8Linear]) -> Int8Linear:
        """Return one layer with the concatenated outputs of `layers`; their weights become views of its weights."""
        joint = copy.copy(layers[0])
        joint._buffers = {
            "weight": torch.cat([layer.weight for layer in layers]),
            "scale": torch.cat([layer.scale for layer in layers]),
        }
        for layer, weight in zip(layers, joint.weight.split([len(layer.weight) for layer in layers]), strict=True):
            layer.weight = weight
        return joint

    def dequantized(self) -> Tensor:
        """Return the dequantized weights, (N, K) float32."""
        return (self.weight * self.scale.float()[:, None])[:, : self.weight.size(1) - self._n_added]

    def forward(self, x: Tensor) -> Tensor:
        """Map x (…, K) to (…, N), in the dtype of x."""
        rows = x.reshape(-1, x.size(-1)).bfloat16()  # (T, K)
        if self._n_added:
            rows = F.pad(rows, (0, self._n_added))
        kernel = (
            has_int8_kernel()
            and rows.device.type == "cpu"
            and len(rows) <= _MAX_KERNEL_TOKENS
            and not rows.requires_grad
        )
        if kernel:
            y = _int8_kernel(rows, self.weight, self.scale).to(x.dtype)
        else:
            y = F.linear(rows, self.weight.bfloat16()).to(x.dtype) * self.scale.to(x.dtype)
        y = y.view(*x.shape[:-1], -1)
        return y if self.bias is None else y + self.bias


class Int4Linear(nn.Module):
    """A linear layer with int4 weights q from 0 to 15: w = (q − 8) · scale + offset, both bfloat16, for groups of 32.

    Without a kernel for them, the rounded weights are stored in bfloat16.
    """

    weight: Tensor
    groups: Tensor
    joint: tuple[Int8Linear | Int4Linear, ...] = ()
    """The joint layer; set on the first of several layers that `join_layers` has joined."""

    def __init__(
        self, weight: Tensor, bias: Tensor | None, to_int4: Callable[[Tensor], tuple[Tensor, Tensor]] | None = None
    ) -> None:
        """to_int4: computes the numbers, scales and offsets of groups, instead of `_to_int4`."""
        super().__init__()
        weight = weight.detach().float()
        self.bias = bias
        self._size = weight.shape  # (N, K)
        padded = F.pad(weight, (0, -weight.size(1) % _GROUP, 0, -weight.size(0) % _BLOCK))
        quanta, groups = (to_int4 or _to_int4)(padded.unflatten(1, (-1, _GROUP)))
        self._is_packed = weight.device.type == "cpu" and has_int4_kernel()
        self.register_buffer("groups", groups.transpose(0, 1).contiguous())  # (K / 32, N, 2)
        if self._is_packed:
            self.register_buffer("weight", _pack_int4(quanta.flatten(1).int(), 1))
        else:
            rounded = (quanta - 8) * groups[..., :1].float() + groups[..., 1:].float()
            self.register_buffer("weight", rounded.flatten(1)[: self._size[0], : self._size[1]].bfloat16())

    def token_kernel(self) -> Kernel | None:
        """Return the product with one token, without bias; None if there is no kernel for it."""
        if not self._is_packed or self._size[0] % _BLOCK or self._size[1] % _GROUP:
            return None
        weight, groups = self.weight, self.groups
        return lambda row: _int4_kernel(row, weight, _GROUP, groups)

    @classmethod
    def joined(cls, layers: Sequence[Int4Linear]) -> Int4Linear:
        """Return one layer with the concatenated outputs of `layers`; their weights become views of its weights."""
        joint = copy.copy(layers[0])
        sizes = [layer._size[0] for layer in layers]
        joint._size = torch.Size((sum(sizes), layers[0]._size[1]))
        joint._buffers = {
            "weight": torch.cat([layer.weight for layer in layers]),
            "groups": torch.cat([layer.groups for layer in layers], dim=1),
        }
        for layer, weight in zip(layers, joint.weight.split(sizes), strict=True):
            layer.weight = weight
        return joint

    def dequantized(self) -> Tensor:
        """Return the dequantized weights, (N, K) float32, rounded to bfloat16."""
        if not self._is_packed:
            return self.weight.float()
        with torch.no_grad():
            return self._multiply(torch.eye(self._size[1], dtype=torch.bfloat16)).mT.float()

    def forward(self, x: Tensor) -> Tensor:
        """Map x (…, K) to (…, N), in the dtype of x."""
        rows = x.reshape(-1, x.size(-1)).bfloat16()  # (T, K)
        if self._is_packed and not rows.requires_grad:
            y = self._multiply(rows).to(x.dtype)
        else:
            weight = self.dequantized().bfloat16() if self._is_packed else self.weight
            y = F.linear(rows, weight).to(x.dtype)
        y = y.view(*x.shape[:-1], -1)
        return y if self.bias is None else y + self.bias

    def _multiply(self, rows: Tensor) -> Tensor:
        """Map rows (T, K) bfloat16 to (T, N) bfloat16."""
        n_outputs, n_inputs = self._size
        rows = F.pad(rows, (0, -n_inputs % _GROUP)) if n_inputs % _GROUP else rows
        y = _int4_kernel(rows, self.weight, _GROUP, self.groups)
        return y if n_outputs % _BLOCK == 0 else y[:, :n_outputs].contiguous()

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> nn.Module:
        """Move or convert the layer; packed weights are dequantized off the CPU, where there is no kernel for them."""
        if self._is_packed and fn(self.groups).device.type != "cpu":
            self.weight, self._is_packed = self.dequantized().bfloat16(), False
        return super()._apply(fn, recurse)  # type: ignore[no-any-return, no-untyped-call]


class HalvedInt8Linear(nn.Module):
    """A linear layer with int8 weights and a bfloat16 scale for each 32 of them, as in GGUF's Q8_0.

    The high and the low four bits are int4 weights of their own: torch has a kernel for groups of those only. It takes
    1.4 times as long as int8 with a scale per output. As SmolLM2's head it costs no perplexity, the other 0.7 %
    (measured).
    """

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.bias = bias
        self.high = Int4Linear(weight, None, functools.partial(_to_half, high=True))
        self.low = Int4Linear(weight, None, functools.partial(_to_half, high=False))

    def token_kernel(self) -> Kernel | None:
        """Return the product with one token, without bias; None if there is no kernel for it."""
        high, low = self.high.token_kernel(), self.low.token_kernel()
        return None if high is None or low is None else lambda row: high(row).float().add_(low(row))

    def dequantized(self) -> Tensor:
        """Return the dequantized weights, (N, K) float32, each half rounded to bfloat16."""
        return self.high.dequantized() + self.low.dequantized()

    def forward(self, x: Tensor) -> Tensor:
        """Map x (…, K) to (…, N), in the dtype of x."""
        y = self.high(x) + self.low(x)
        return y if self.bias is None else y + self.bias  # type: ignore[no-any-return]


def _to_half(weight: Tensor, *, high: bool) -> tuple[Tensor, Tensor]:
    """Like `_to_int4`, for half of each weight q · scale, q from −127 to 127: q = 16 (high − 8) + (low − 8) + 8."""
    scale = (weight.abs().amax(dim=-1, keepdim=True) / 127).bfloat16()  # (N, G, 1)
    q = (weight / scale.float().clamp(min=1e-20)).round().clamp(-127, 127) + 128
    if high:
        return q // 16, torch.cat((16 * scale, torch.zeros_like(scale)), dim=-1)
    return q % 16, torch.cat((scale, 8 * scale), dim=-1)


def _to_int4(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Quantize weights in groups (N, G, 32): numbers from 0 to 15 (N, G, 32), scale and offset of each group (N, G, 2).

    Tries several ranges and uses the one with the smallest squared error: a range narrower than that of the weights
    clips the extremes, but rounds all others less. The full range comes first, so that weights that already have 16
    steps are unchanged.
    """
    low, high = weight.aminmax(dim=-1, keepdim=True)
    best = torch.full_like(low, torch.inf)
    quanta, groups = torch.zeros_like(weight), torch.zeros(*low.shape[:-1], 2).bfloat16()
    for cut in _CUTS:
        scale = ((high - low) * (1 - cut) / 15).bfloat16().float()
        offset = ((high + low) / 2 + scale / 2).bfloat16().float()  # q = 7.5 is the middle
        tried = ((weight - offset) / scale.clamp(min=1e-20) + 8).round().clamp(0, 15)
        error = ((tried - 8) * scale + offset - weight).square().sum(dim=-1, keepdim=True)
        is_better = error < best
        best = torch.where(is_better, error, best)
        quanta = torch.where(is_better, tried, quanta)
        groups = torch.where(is_better, torch.cat((scale, offset), dim=-1).bfloat16(), groups)
    return quanta, groups


_CUTS = (0.0, 0.04, 0.08, 0.12, 0.16, 0.2)
"""Fractions by which the range of a group is narrowed."""

NarrowLinear = Bfloat16Linear | Int8Linear | HalvedInt8Linear | Int4Linear
_NARROW: dict[str, type[NarrowLinear]] = {"bfloat16": Bfloat16Linear, "int8": Int8Linear, "int4": Int4Linear}
check_complete(_NARROW, KINDS[1:], "code of weight formats")


class QuantizedHead(LanguageHead):
    """A head with its own quantized matrix, even if the model ties it to the embedding."""

    def __init__(self, head: LanguageHead, matrix: NarrowLinear) -> None:
        nn.Module.__init__(self)
        self.transform, self.scale, self.bias = head.transform, head.scale, head.bias
        self.matrix = matrix

    @property
    def weight(self) -> Tensor:  # type: ignore[override]
        """The dequantized matrix, (V, C) float32."""
        return self.matrix.dequantized()

    def forward(self, hidden: Tensor, table: Tensor) -> Tensor:
        """Like `LanguageHead.forward`, but without using the table."""
        if self.transform is not None:
            hidden = self.transform(hidden)
        return self.matrix(hidden * self.scale if self.scale != 1.0 else hidden)  # type: ignore[no-any-return]


@functools.cache
def has_int8_kernel() -> bool:
    """Return whether torch has a working int8 kernel here; it is not part of torch's public API, so it is tested."""
    try:
        with torch.inference_mode():
            x = torch.linspace(-1, 1, 2 * _GROUP).view(2, -1).bfloat16()
            weight = torch.arange(-3 * _GROUP // 2, 3 * _GROUP // 2).view(3, -1).to(torch.int8)
            expected = F.linear(x.float(), weight.float())
            return torch.allclose(
                _int8_kernel(x, weight, torch.ones(3).bfloat16()).float(), expected, rtol=0.02, atol=1
            )
    except (AttributeError, RuntimeError, TypeError):  # missing operation, unsupported machine, or another signature
        return False


_int8_kernel: Callable[[Tensor, Tensor, Tensor], Tensor] = getattr(torch, "_weight_int8pack_mm", F.linear)


@functools.cache
def has_int4_kernel() -> bool:
    """Return whether torch has a working int4 kernel here; it is not part of torch's public API, so it is tested."""
    try:
        with torch.inference_mode():
            x = torch.linspace(-1, 1, 2 * 2 * _GROUP).view(2, -1).bfloat16()
            quanta = (torch.arange(_BLOCK * 2 * _GROUP) * 7 % 16).view(_BLOCK, -1)
            groups = torch.tensor([0.5, 0.25]).bfloat16().expand(2, _BLOCK, 2).contiguous()
            expected = F.linear(x.float(), (quanta - 8) * 0.5 + 0.25)
            made = _int4_kernel(x, _pack_int4(quanta.int(), 1), _GROUP, groups).float()
            return torch.allclose(made, expected, rtol=0.02, atol=0.1)
    except (AttributeError, RuntimeError, TypeError):  # missing operation, unsupported machine, or another signature
        return False


_int4_kernel: Callable[..., Tensor] = getattr(torch, "_weight_int4pack_mm_for_cpu", F.linear)
_pack_int4: Callable[[Tensor, int], Tensor] = getattr(torch, "_convert_weight_to_int4pack_for_cpu", torch.sum)
