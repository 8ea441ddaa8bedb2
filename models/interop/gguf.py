"""Reads GGUF files, dequantised (github.com/ggml-org/ggml/blob/master/docs/gguf.md)."""

from __future__ import annotations

import dataclasses
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from tokenizers import Tokenizer
from torch import Tensor

from terrarium.models.architecture.positions import inverse_frequencies
from terrarium.models.architecture.transformer import AnyModel
from terrarium.models.events import Event, Phase, result_of
from terrarium.models.interop.building import build_model_from, check_tensors
from terrarium.models.interop.graphs.graph import Graph, in_halves
from terrarium.models.interop.graphs.graphs import GRAPHS
from terrarium.models.interop.graphs.rotary import LLAMA3_SCALING
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.tokenizers.foreign.gguf_tokenizer import has_tokenizer
from terrarium.models.tokenizers.foreign.isolated_reading import read_isolated

if TYPE_CHECKING:
    from terrarium.models.files.gguf_file import GgufTensor

_IGNORED = (r"rope_freqs\.weight",)  # read for the config


def read_gguf(
    path: Path, device: torch.device, dtype: torch.dtype, weights: str
) -> Generator[Event, None, tuple[AnyModel, Tokenizer | None]]:
    """Read the model and tokenizer of a GGUF file. Yields Phase and Progress (bytes).

    Args:
        weights: the format of its matrices, one of weight_kinds.KINDS.

    Raises:
        ValueError: if the file is damaged, or its architecture, quantisation or tokenizer is not supported.
    """
    _, tokenizer = yield from check_gguf(path)
    return (yield from read_gguf_model(path, device, dtype, weights)), tokenizer


def check_gguf(path: Path) -> Generator[Event, None, tuple[ModelConfig, Tokenizer | None]]:
    """Return the design and the tokenizer of a GGUF file after checking that `read_gguf_model` can read it. Yields
    Phase.

    Raises:
        ValueError: as `read_gguf`; only the weights themselves are not read.
    """
    yield Phase(name="Reading the file's metadata")
    about, tensors = _header(path)
    config = _config(about, tensors, path)
    graph = _graph(about, path)
    stored = _dequantised(graph, config, tensors)
    check_tensors(config, graph.weights(config), stored, where=str(path), ignored=_IGNORED)
    for tensor in {tensor.kind: tensor for tensor in tensors.values()}.values():
        tensor.check_kind()
    yield Phase(name="Building the tokenizer")
    return config, (yield from read_isolated(path)).tokenizer if has_tokenizer(about) else None


def read_gguf_model(
    path: Path, device: torch.device, dtype: torch.dtype, weights: str
) -> Generator[Event, None, AnyModel]:
    """Read the model of a GGUF file, dequantised. Yields Phase and Progress (bytes); ValueError as `read_gguf`."""
    about, tensors = _header(path)
    config, graph = _config(about, tensors, path), _graph(about, path)
    return (
        yield from build_model_from(
            config,
            graph.weights(config),
            _dequantised(graph, config, tensors),
            where=str(path),
            ignored=_IGNORED,
            device=device,
            dtype=dtype,
            matrices=weights,
        )
    )


def _dequantised(graph: Graph, config: ModelConfig, tensors: Mapping[str, GgufTensor]) -> dict[str, _Dequantised]:
    return {name: _Dequantised(tensor, graph.paired_heads(name, config)) for name, tensor in tensors.items()}


def read_gguf_config(path: Path) -> ModelConfig:
    """Return the design in a GGUF file; ValueError as for `read_gguf`."""
    return _config(*_header(path), path)


def read_gguf_labels(path: Path) -> list[str]:
    """Return the names of a text classifier's labels; empty for other models. ValueError as for `read_gguf`."""
    about, _ = _header(path)
    return [str(name) for name in about.get(f"{about.get('general.architecture')}.classifier.output_labels", [])]


def _header(path: Path) -> tuple[dict[str, Any], dict[str, GgufTensor]]:
    from terrarium.models.files.gguf_file import read_gguf_header  # its package takes half a second to import

    return read_gguf_header(path)


@dataclass(frozen=True)
class _Dequantised:
    """A tensor of a GGUF file as a models.interop.stored.StoredTensor.

    The matrices of experts, which are three-dimensional in the file, are concatenated along the rows.

    heads: number of heads of queries and keys, whose rows some graphs permute; 0 for other tensors.
    """

    tensor: GgufTensor
    heads: int

    @property
    def where(self) -> str:
        return str(self.tensor.path)

    @property
    def shape(self) -> tuple[int, ...]:
        shape = self.tensor.shape
        return (shape[0] * shape[1], shape[2]) if len(shape) == 3 else shape

    @property
    def start(self) -> int:
        return self.tensor.start

    @property
    def n_bytes(self) -> int:
        return self.tensor.n_bytes

    def read(self) -> Generator[int, None, Tensor]:
        """As `StoredTensor.read`, in float32."""
        out = torch.from_numpy((yield from self.tensor.read())).view(self.shape)
        return in_halves(out, self.heads)


def _config(about: dict[str, Any], tensors: Mapping[str, GgufTensor], path: Path) -> ModelConfig:
    """Return the design that the metadata describes."""
    if about.get("general.type") == "adapter":
        raise ValueError(
            f"{path} is an adapter, which needs the model that it belongs to: import it with `terrarium import` and "
            "--base."
        )
    graph = _graph(about, path)
    prefix = f"{graph.name}."
    raw = {key.removeprefix(prefix): value for key, value in about.items() if key.startswith(prefix)}
    try:
        config = graph.read(raw, tensors)
        if "rope_freqs.weight" in tensors:
            config = _with_llama3_scaling(config, tensors["rope_freqs.weight"])
        end: Any = about.get("tokenizer.ggml.eos_token_id")
        known = isinstance(end, int) and 0 <= end < config.vocab_size
        return dataclasses.replace(config, end_id=int(end) if known else -1)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _graph(about: dict[str, Any], path: Path) -> Graph:
    """Return the graph that the metadata names; ValueError for an unknown one."""
    name = about.get("general.architecture")
    if name not in GRAPHS:
        raise ValueError(f"{path}: the architecture {name!r} is not supported: it can be {', '.join(GRAPHS)}.")
    return GRAPHS[name]


def _with_llama3_scaling(config: ModelConfig, stored: GgufTensor) -> ModelConfig:
    """Add Llama 3's RoPE scaling to the config, from the frequency divisors (D/2) in the file;
    ValueError for others.
    """
    divisors = torch.from_numpy(result_of(stored.read()))
    low, high, original = LLAMA3_SCALING
    candidate = dataclasses.replace(
        config,
        rope_scaling="llama3",
        rope_factor=float(divisors.max()),
        rope_original_context=int(original),
        rope_low_rotations=low,
        rope_high_rotations=high,
    )
    expected = rope_divisors(candidate)
    if divisors.shape != expected.shape or not torch.allclose(divisors, expected, rtol=1e-3):
        raise ValueError("its RoPE scaling (rope_freqs.weight) is not that of Llama 3, so it is not supported.")
    return candidate


def rope_divisors(config: ModelConfig) -> Tensor:
    """Return (D/2) the divisors of the frequencies in Llama 3's scaling."""
    plain = inverse_frequencies(dataclasses.replace(config, rope_scaling="none"))
    return plain / inverse_frequencies(config)
