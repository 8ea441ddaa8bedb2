"""Reading GGUF files of the llama architecture, dequantised (github.com/ggml-org/ggml/blob/master/docs/gguf.md)."""

from __future__ import annotations

import dataclasses
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gguf import GGMLQuantizationType, GGUFReader, quants
from gguf.quants import QuantError
from tokenizers import Tokenizer
from torch import Tensor

from models.config import ModelConfig
from models.events import Event, Phase
from models.files import DamagedError
from models.interop.family import Weight
from models.interop.filling import fill
from models.interop.gguf_tokenizer import make_tokenizer
from models.interop.options import number, whole
from models.interop.stored import Stored
from models.positions import inverse_frequencies
from models.transformer import AnyModel

_PIECE = 1 << 21
"""Bytes of the file that are dequantised at once: some ten milliseconds."""

_LLAMA3_ROTATIONS = (1.0, 4.0, 8192)
"""What all Llama 3 models were stretched with; their GGUFs hold the result only."""

_IGNORED = (r"rope_freqs\.weight",)  # looked at for the config
_READ = {
    "block_count", "context_length", "embedding_length", "feed_forward_length", "attention.head_count",
    "attention.head_count_kv", "attention.layer_norm_rms_epsilon", "attention.key_length", "attention.value_length",
    "vocab_size", "rope.freq_base", "rope.dimension_count", "rope.scaling.type", "rope.scaling.factor",
    "rope.scaling.original_context_length", "rope.scaling.finetuned", "attention.sliding_window",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class _GgufTensor:
    """A tensor in a GGUF file; `heads` says in how many heads its rows were regrouped, 0 = they were not."""

    where: str
    name: str
    kind: GGMLQuantizationType
    shape: tuple[int, ...]
    data: np.ndarray[Any, Any]
    """Rows of the mapped file; where quantised, as bytes."""
    start: int
    n_bytes: int
    heads: int = 0

    def read(self) -> Generator[int, None, Tensor]:
        """As `Stored.read`, in float32."""
        out = torch.empty(self.shape)
        numbers = out.view(self.shape[0], -1).numpy()
        rows = max(1, _PIECE * self.shape[0] // max(self.n_bytes, 1))
        done = 0
        for first in range(0, self.shape[0], rows):
            part = np.array(self.data[first : first + rows])  # from the disk
            try:
                made = quants.dequantize(part, self.kind)
            except (QuantError, NotImplementedError) as error:
                raise ValueError(
                    f"{self.where}: {self.name!r} is quantised as {self.kind.name}, which cannot be read: "
                    "take a file in another quantisation (Q8_0, Q4_K_M, F16 …)."
                ) from error
            numbers[first : first + rows] = made.reshape(len(part), -1)
            done, before = self.n_bytes * min(first + rows, self.shape[0]) // self.shape[0], done
            yield done - before
        return _regrouped_back(out, self.heads) if self.heads else out


def _regrouped_back(rows: Tensor, n_head: int) -> Tensor:
    """Undo llama.cpp's order of the rows (n_head·D, …) of queries and keys: pairs side by side become halves."""
    pairs = rows.view(n_head, -1, 2, *rows.shape[1:])  # (H, D/2, 2, …)
    return pairs.transpose(1, 2).reshape(rows.shape)


def read_gguf(
    path: Path, device: torch.device, dtype: torch.dtype
) -> Generator[Event, None, tuple[AnyModel, Tokenizer | None]]:
    """The model and tokenizer of a GGUF file. Yields Phase and Progress (bytes).

    Raises:
        ValueError: where the file is damaged, or of an architecture, quantisation or tokenizer that is not known.
    """
    yield Phase(name="Reading the file's description")
    reader = _open(path)
    about = _metadata(reader, path)
    config = _config(about, _tensors(reader, path), path)
    yield Phase(name="Building the tokenizer")
    tokenizer = make_tokenizer(about, str(path))
    stored = _tensors(reader, path, config)
    model = yield from fill(
        config, _weights(config), stored, where=str(path), ignored=_IGNORED, device=device, dtype=dtype
    )
    return model, tokenizer


def read_gguf_config(path: Path) -> ModelConfig:
    """The design in a GGUF file; ValueError as for `read_gguf`."""
    reader = _open(path)
    return _config(_metadata(reader, path), _tensors(reader, path), path)


def _open(path: Path) -> GGUFReader:
    try:
        return GGUFReader(path)
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror or error}.") from error
    except (ValueError, IndexError, KeyError, TypeError, OverflowError, MemoryError) as error:
        # What numpy and the reader say of bytes that make no sense.
        raise DamagedError(f"{path} is damaged or cut off: it is no complete GGUF file.") from error


def _metadata(reader: GGUFReader, path: Path) -> dict[str, Any]:
    try:
        return {key: field.contents() for key, field in reader.fields.items()}
    except (ValueError, IndexError, TypeError) as error:
        raise DamagedError(f"{path} is damaged: its description cannot be read ({error}).") from error


def _tensors(reader: GGUFReader, path: Path, config: ModelConfig | None = None) -> dict[str, Stored]:
    """All tensors by name; with a config, queries and keys know of their heads."""
    found: dict[str, Stored] = {}
    for tensor in reader.tensors:
        shape = tuple(int(n) for n in reversed(tensor.shape))
        if not shape or not prod(shape):
            raise DamagedError(f"{path} is damaged: the tensor {tensor.name!r} is empty.")
        heads = 0
        if config is not None and ".attn_q." in tensor.name:
            heads = config.n_head
        if config is not None and ".attn_k." in tensor.name:
            heads = config.kv_heads
        found[tensor.name] = _GgufTensor(
            where=str(path),
            name=tensor.name,
            kind=tensor.tensor_type,
            shape=shape,
            data=tensor.data,
            start=int(tensor.data_offset),
            n_bytes=int(tensor.n_bytes),
            heads=heads,
        )
    return found


def _config(about: dict[str, Any], tensors: Mapping[str, Stored], path: Path) -> ModelConfig:
    """The design that the metadata describes."""
    architecture = about.get("general.architecture")
    if architecture != "llama":
        raise ValueError(f"{path}: the architecture {architecture!r} is not supported: it can be llama.")
    raw = {key.removeprefix("llama."): value for key, value in about.items() if key.startswith("llama.")}
    try:
        config = _llama(raw, tensors)
        end: Any = about.get("tokenizer.ggml.eos_token_id")
        known = isinstance(end, int) and 0 <= end < config.vocab_size
        return dataclasses.replace(config, end_id=int(end) if known else -1)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _llama(raw: dict[str, Any], tensors: Mapping[str, Stored]) -> ModelConfig:
    unknown = next((key for key, value in raw.items() if key not in _READ and value), None)
    if unknown is not None:
        raise ValueError(f"llama.{unknown} {raw[unknown]!r} is not supported.")
    n_head, d_model = whole(raw, "attention.head_count"), whole(raw, "embedding_length")
    width = whole(raw, "attention.key_length", d_model // max(n_head, 1))
    for key in ("attention.value_length", "rope.dimension_count"):
        if whole(raw, key, width) != width:
            raise ValueError(f"llama.{key} {raw[key]} is not supported: it can only be the width of a head, {width}.")
    context = whole(raw, "context_length")
    embedding = tensors.get("token_embd.weight")
    config = ModelConfig(
        topology="decoder-only",
        vocab_size=whole(raw, "vocab_size", embedding.shape[0] if embedding is not None else None),
        context_length=context,
        n_layer=whole(raw, "block_count"),
        n_head=n_head,
        n_kv_head=whole(raw, "attention.head_count_kv", n_head),
        d_model=d_model,
        d_head=width if width * n_head != d_model else 0,
        d_ff=whole(raw, "feed_forward_length"),
        position="rope",
        norm="rmsnorm",
        norm_place="pre",
        norm_eps=_rounded(number(raw, "attention.layer_norm_rms_epsilon", 1e-5)),
        activation="swiglu",
        sliding_window=whole(raw, "attention.sliding_window", 0),
        bias=_bias(tensors),
        tied_embeddings="output.weight" not in tensors,
        rope_theta=_rounded(number(raw, "rope.freq_base", 10_000.0)),
        **_scaling(raw, context),
    )
    if "rope_freqs.weight" in tensors:
        config = _stretched_as_llama3(config, tensors["rope_freqs.weight"])
    return config


def _rounded(value: float) -> float:
    """A number that was meant in decimals, from its float32: 1e-05 of 9.999999747378752e-06."""
    return float(f"{value:.6g}")


def _bias(tensors: Mapping[str, Stored]) -> str:
    attention, feed_forward = "blk.0.attn_output.bias" in tensors, "blk.0.ffn_down.bias" in tensors
    if attention and feed_forward:
        return "all"
    return "attention" if attention else "feed-forward" if feed_forward else "none"


def _scaling(raw: dict[str, Any], context: int) -> dict[str, Any]:
    kind = raw.get("rope.scaling.type", "none")
    factor = number(raw, "rope.scaling.factor", 1.0)
    if kind == "none" or factor in (0.0, 1.0):
        return {}
    if kind == "linear":
        return {"rope_scaling": "linear", "rope_factor": factor}
    if kind == "yarn":
        return {
            "rope_scaling": "yarn",
            "rope_factor": factor,
            "rope_original_context": whole(raw, "rope.scaling.original_context_length", context),
            "rope_low_rotations": 1.0,
            "rope_high_rotations": 32.0,
        }
    raise ValueError(f"llama.rope.scaling.type {kind!r} is not supported: it can be none, linear or yarn.")


def _stretched_as_llama3(config: ModelConfig, stored: Stored) -> ModelConfig:
    """With the scaling whose divisors of the rotations (D/2) the file holds; ValueError where it is not Llama 3's."""
    reading = stored.read()
    try:
        while True:
            next(reading)
    except StopIteration as end:
        divisors: Tensor = end.value
    low, high, original = _LLAMA3_ROTATIONS
    candidate = dataclasses.replace(
        config,
        rope_scaling="llama3",
        rope_factor=float(divisors.max()),
        rope_original_context=int(original),
        rope_low_rotations=low,
        rope_high_rotations=high,
    )
    plain = inverse_frequencies(dataclasses.replace(candidate, rope_scaling="none"))
    expected = plain / inverse_frequencies(candidate)
    if divisors.shape != expected.shape or not torch.allclose(divisors, expected, rtol=1e-3):
        raise ValueError(
            "the stretching of its rotations (rope_freqs.weight) is not that of Llama 3, so it is not known."
        )
    return candidate


def _weights(config: ModelConfig) -> list[Weight]:
    """Our names and those of GGUF."""
    found = [
        Weight(ours="embedding.weight", theirs="token_embd.weight"),
        Weight(ours="final_norm.weight", theirs="output_norm.weight"),
    ]
    if not config.tied_embeddings:
        found.append(Weight(ours="head.weight", theirs="output.weight"))
    attention, feed_forward = config.attention_bias, config.ff_bias
    for i in range(config.n_layer):
        for ours, theirs, has_bias in (
            ("attention_norm", "attn_norm", False),
            ("attention.query", "attn_q", attention),
            ("attention.key", "attn_k", attention),
            ("attention.value", "attn_v", attention),
            ("attention.output", "attn_output", attention),
            ("feed_forward_norm", "ffn_norm", False),
            ("feed_forward.gate", "ffn_gate", feed_forward),
            ("feed_forward.up", "ffn_up", feed_forward),
            ("feed_forward.down", "ffn_down", feed_forward),
        ):
            parts = ("weight", "bias") if has_bias else ("weight",)
            found += [Weight(ours=f"blocks.{i}.{ours}.{part}", theirs=f"blk.{i}.{theirs}.{part}") for part in parts]
    return found
