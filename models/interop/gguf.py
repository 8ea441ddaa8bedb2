"""Reading GGUF files of the llama architecture, dequantised (github.com/ggml-org/ggml/blob/master/docs/gguf.md)."""

from __future__ import annotations

import dataclasses
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from tokenizers import Tokenizer
from torch import Tensor

from models.architecture.positions import inverse_frequencies
from models.architecture.transformer import AnyModel
from models.events import Event, Phase, result_of
from models.interop.building import build_model_from, check_tensors
from models.interop.family import Weight
from models.interop.options import integer, number
from models.settings.model_config import ModelConfig
from models.tokenizers.foreign.gguf_tokenizer import has_tokenizer
from models.tokenizers.foreign.isolated_reading import read_isolated

if TYPE_CHECKING:
    from models.files.gguf_file import GgufTensor

_LLAMA3_SCALING = (1.0, 4.0, 8192)
"""RoPE scaling of all Llama 3 models; their GGUF files contain only the result."""

_IGNORED = (r"rope_freqs\.weight",)  # read for the config
_READ = {
    "block_count", "context_length", "embedding_length", "feed_forward_length", "attention.head_count",
    "attention.head_count_kv", "attention.layer_norm_rms_epsilon", "attention.key_length", "attention.value_length",
    "vocab_size", "rope.freq_base", "rope.dimension_count", "rope.scaling.type", "rope.scaling.factor",
    "rope.scaling.original_context_length", "rope.scaling.finetuned", "attention.sliding_window",
}  # fmt: skip


def read_gguf(
    path: Path, device: torch.device, dtype: torch.dtype, weights: str
) -> Generator[Event, None, tuple[AnyModel, Tokenizer | None]]:
    """The model and tokenizer of a GGUF file. Yields Phase and Progress (bytes).

    Args:
        weights: the format of its matrices, one of weight_kinds.KINDS.

    Raises:
        ValueError: where the file is damaged, or its architecture, quantisation or tokenizer is not supported.
    """
    _, tokenizer = yield from check_gguf(path)
    return (yield from read_gguf_model(path, device, dtype, weights)), tokenizer


def check_gguf(path: Path) -> Generator[Event, None, tuple[ModelConfig, Tokenizer | None]]:
    """The design and the tokenizer of a GGUF file that `read_gguf_model` can read. Yields Phase.

    Raises:
        ValueError: as `read_gguf`; only the weights themselves are not read.
    """
    yield Phase(name="Reading the file's metadata")
    about, tensors = _header(path)
    config = _config(about, tensors, path)
    check_tensors(config, _weights(config), _dequantised(config, tensors), where=str(path), ignored=_IGNORED)
    for tensor in {tensor.kind: tensor for tensor in tensors.values()}.values():
        tensor.check_kind()
    yield Phase(name="Building the tokenizer")
    return config, (yield from read_isolated(path)).tokenizer if has_tokenizer(about) else None


def read_gguf_model(
    path: Path, device: torch.device, dtype: torch.dtype, weights: str
) -> Generator[Event, None, AnyModel]:
    """The model of a GGUF file, dequantised. Yields Phase and Progress (bytes); ValueError as `read_gguf`."""
    about, tensors = _header(path)
    config = _config(about, tensors, path)
    return (
        yield from build_model_from(
            config,
            _weights(config),
            _dequantised(config, tensors),
            where=str(path),
            ignored=_IGNORED,
            device=device,
            dtype=dtype,
            matrices=weights,
        )
    )


def _dequantised(config: ModelConfig, tensors: Mapping[str, GgufTensor]) -> dict[str, _Dequantised]:
    heads = {".attn_q.": config.n_head, ".attn_k.": config.kv_heads}
    return {
        name: _Dequantised(tensor, next((n for part, n in heads.items() if part in name), 0))
        for name, tensor in tensors.items()
    }


def read_gguf_config(path: Path) -> ModelConfig:
    """The design in a GGUF file; ValueError as for `read_gguf`."""
    return _config(*_header(path), path)


def _header(path: Path) -> tuple[dict[str, Any], dict[str, GgufTensor]]:
    from models.files.gguf_file import read_gguf_header  # its package takes half a second to import

    return read_gguf_header(path)


@dataclass(frozen=True)
class _Dequantised:
    """A tensor of a GGUF file as a models.interop.stored.StoredTensor.

    heads: number of heads of queries and keys, whose rows llama.cpp permutes; 0 for other tensors.
    """

    tensor: GgufTensor
    heads: int

    @property
    def where(self) -> str:
        return str(self.tensor.path)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.tensor.shape

    @property
    def start(self) -> int:
        return self.tensor.start

    @property
    def n_bytes(self) -> int:
        return self.tensor.n_bytes

    def read(self) -> Generator[int, None, Tensor]:
        """As `StoredTensor.read`, in float32."""
        out = torch.from_numpy((yield from self.tensor.read()))
        if not self.heads:
            return out
        pairs = out.view(self.heads, -1, 2, *out.shape[1:])  # (H, D/2, 2, …): from adjacent pairs to halves
        return pairs.transpose(1, 2).reshape(out.shape)


def _config(about: dict[str, Any], tensors: Mapping[str, GgufTensor], path: Path) -> ModelConfig:
    """The design that the metadata describes."""
    if about.get("general.type") == "adapter":
        raise ValueError(
            f"{path} is an adapter as a GGUF file, which is not supported: import its PEFT folder, or merge it into "
            "its model with llama.cpp (llama-export-lora) first."
        )
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


def _llama(raw: dict[str, Any], tensors: Mapping[str, GgufTensor]) -> ModelConfig:
    unknown = next((key for key, value in raw.items() if key not in _READ and value), None)
    if unknown is not None:
        raise ValueError(f"llama.{unknown} {raw[unknown]!r} is not supported.")
    n_head, d_model = integer(raw, "attention.head_count"), integer(raw, "embedding_length")
    width = integer(raw, "attention.key_length", d_model // max(n_head, 1))
    for key in ("attention.value_length", "rope.dimension_count"):
        if integer(raw, key, width) != width:
            raise ValueError(f"llama.{key} {raw[key]} is not supported: it must be the head dimension, {width}.")
    context = integer(raw, "context_length")
    embedding = tensors.get("token_embd.weight")
    config = ModelConfig(
        topology="decoder-only",
        vocab_size=integer(raw, "vocab_size", embedding.shape[0] if embedding is not None else None),
        context_length=context,
        n_layer=integer(raw, "block_count"),
        n_head=n_head,
        n_kv_head=integer(raw, "attention.head_count_kv", n_head),
        d_model=d_model,
        d_head=width if width * n_head != d_model else 0,
        d_ff=integer(raw, "feed_forward_length"),
        position="rope",
        norm="rmsnorm",
        norm_place="pre",
        norm_eps=_rounded(number(raw, "attention.layer_norm_rms_epsilon", 1e-5)),
        activation="swiglu",
        sliding_window=integer(raw, "attention.sliding_window", 0),
        bias=_bias(tensors),
        tied_embeddings="output.weight" not in tensors,
        rope_theta=_rounded(number(raw, "rope.freq_base", 10_000.0)),
        **_scaling(raw, context),
    )
    if "rope_freqs.weight" in tensors:
        config = _with_llama3_scaling(config, tensors["rope_freqs.weight"])
    return config


def _rounded(value: float) -> float:
    """The decimal number that a float32 stands for: 1e-05 for 9.999999747378752e-06."""
    return float(f"{value:.6g}")


def _bias(tensors: Mapping[str, GgufTensor]) -> str:
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
            "rope_original_context": integer(raw, "rope.scaling.original_context_length", context),
            "rope_low_rotations": 1.0,
            "rope_high_rotations": 32.0,
        }
    raise ValueError(f"llama.rope.scaling.type {kind!r} is not supported: it can be none, linear or yarn.")


def _with_llama3_scaling(config: ModelConfig, stored: GgufTensor) -> ModelConfig:
    """The config with Llama 3's RoPE scaling, from the frequency divisors (D/2) in the file; ValueError for others."""
    divisors = torch.from_numpy(result_of(stored.read()))
    low, high, original = _LLAMA3_SCALING
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
        raise ValueError("its RoPE scaling (rope_freqs.weight) is not that of Llama 3, so it is not supported.")
    return candidate


def _weights(config: ModelConfig) -> list[Weight]:
    """Local names and those of GGUF."""
    found = [
        Weight(local_name="embedding.weight", remote_name="token_embd.weight"),
        Weight(local_name="final_norm.weight", remote_name="output_norm.weight"),
    ]
    if not config.tied_embeddings:
        found.append(Weight(local_name="head.weight", remote_name="output.weight"))
    attention, feed_forward = config.attention_bias, config.ff_bias
    for i in range(config.n_layer):
        for local, remote, has_bias in (
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
            found += [
                Weight(local_name=f"blocks.{i}.{local}.{part}", remote_name=f"blk.{i}.{remote}.{part}")
                for part in parts
            ]
    return found
