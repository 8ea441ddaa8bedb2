"""GGUF files in llama.cpp's K-quants, of random blocks, against their definition in ggml-quants.c, number by number.

Files that llama.cpp itself has quantised are read in tests/real.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch

from terrarium.models import load_model
from terrarium.models.events import result_of
from terrarium.models.files.gguf_file import read_gguf_header
from terrarium.models.interop.graphs.rotary import LLAMA as GRAPH
from terrarium.models.interop.importing import import_model
from terrarium.models.library.library import Library
from terrarium.models.settings.presets import PRESETS
from tests.models.interop.test_export import random_model

Block = np.ndarray[Any, np.dtype[np.uint8]]
DESIGN = dataclasses.replace(
    PRESETS["llama-tiny"], vocab_size=261, context_length=32, n_layer=1, n_head=4, n_kv_head=4, d_model=256, d_ff=256
)


def half(block: Block, at: int) -> float:
    return float(block[at : at + 2].view(np.float16)[0])


def scale_and_minimum(packed: Block, i: int) -> tuple[int, int]:
    """The i-th of eight pairs of six bits each, in twelve bytes."""
    q = [int(byte) for byte in packed]
    if i < 4:
        return q[i] & 63, q[i + 4] & 63
    return q[i + 4] & 15 | q[i - 4] >> 6 << 4, q[i + 4] >> 4 | q[i] >> 6 << 4


def q2_k(block: Block) -> Iterator[float]:
    scales, qs, d, low = block[:16], block[16:80], half(block, 80), half(block, 82)
    for i, (first, shift, side) in enumerate(itertools.product((0, 32), (0, 2, 4, 6), (0, 16))):
        for q in qs[first + side : first + side + 16]:
            yield d * (scales[i] & 15) * (q >> shift & 3) - low * (scales[i] >> 4)


def q3_k(block: Block) -> Iterator[float]:
    high, qs, packed, d = block[:32], block[32:96], [int(byte) for byte in block[96:108]], half(block, 108)
    for i, (first, j, side) in enumerate(itertools.product((0, 32), range(4), (0, 16))):
        scale = (packed[i % 8] >> i // 8 * 4 & 15 | (packed[8 + i % 4] >> i // 4 * 2 & 3) << 4) - 32
        for n in range(side, side + 16):
            missing = 0 if high[n] >> (j + first // 8) & 1 else 4
            yield d * scale * (int(qs[first + n] >> 2 * j & 3) - missing)


def q4_k(block: Block) -> Iterator[float]:
    for i in range(8):
        scale, low = scale_and_minimum(block[4:16], i)
        for q in block[16 + i // 2 * 32 :][:32]:
            yield half(block, 0) * scale * (q >> i % 2 * 4 & 15) - half(block, 2) * low


def q5_k(block: Block) -> Iterator[float]:
    for i in range(8):
        scale, low = scale_and_minimum(block[4:16], i)
        for q, high in zip(block[48 + i // 2 * 32 :][:32], block[16:48], strict=True):
            yield half(block, 0) * scale * ((q >> i % 2 * 4 & 15) + (high >> i & 1) * 16) - half(block, 2) * low


def q6_k(block: Block) -> Iterator[float]:
    scales, d = block[192:208].view(np.int8), half(block, 208)
    for part, quarter, n in itertools.product(range(2), range(4), range(32)):
        low = int(block[part * 64 + quarter % 2 * 32 + n]) >> quarter // 2 * 4 & 15
        high = int(block[128 + part * 32 + n]) >> quarter * 2 & 3
        yield d * int(scales[part * 8 + quarter * 2 + n // 16]) * ((low | high << 4) - 32)


KINDS: dict[str, tuple[Callable[[Block], Iterator[float]], tuple[int, ...]]] = {
    "Q2_K": (q2_k, (80, 82)),
    "Q3_K": (q3_k, (108,)),
    "Q4_K": (q4_k, (0, 2)),
    "Q5_K": (q5_k, (0, 2)),
    "Q6_K": (q6_k, (208,)),
}
"""By name: what a block of 256 numbers stands for, and where its scales in float16 are."""


def random_blocks(kind: gguf.GGMLQuantizationType, shape: tuple[int, ...], seed: int) -> Block:
    """The bytes of a matrix (rows, columns) whose numbers are small."""
    per_block, n_bytes = gguf.GGML_QUANT_SIZES[kind]
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, 256, (shape[0] * shape[1] // per_block, n_bytes), dtype=np.uint8)
    for at in KINDS[kind.name][1]:
        scales = rng.uniform(1e-5, 4e-5, len(blocks)).astype(np.float16)
        blocks[:, at : at + 2] = scales.view(np.uint8).reshape(-1, 2)
    return blocks.reshape(shape[0], -1)


def write(path: Path, kind: gguf.GGMLQuantizationType) -> dict[str, Block]:
    """A model whose matrices are random blocks of `kind`; the blocks, by name."""
    writer = gguf.GGUFWriter(path, "llama")
    for name, value in GRAPH.write(DESIGN).items():
        (writer.add_float32 if isinstance(value, float) else writer.add_uint32)(f"llama.{name}", value)  # type: ignore[arg-type]
    blocks = {}
    state = random_model(DESIGN).state_dict()
    for i, weight in enumerate(GRAPH.weights(DESIGN)):
        tensor = state[weight.local_name]
        if tensor.dim() == 1:
            writer.add_tensor(weight.remote_name, tensor.numpy())
        else:
            blocks[weight.remote_name] = random_blocks(kind, tuple(tensor.shape), i)
            writer.add_tensor(weight.remote_name, blocks[weight.remote_name], raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return blocks


@pytest.mark.parametrize("name", KINDS)
def test_every_number_is_what_its_block_defines(name: str, tmp_path: Path) -> None:
    blocks = write(tmp_path / "model.gguf", gguf.GGMLQuantizationType[name])
    _, tensors = read_gguf_header(tmp_path / "model.gguf")
    stored = tensors["blk.0.ffn_up.weight"]
    found = result_of(stored.read())
    n_bytes = blocks[stored.name].shape[1]  # one block is one row here
    expected = [list(KINDS[name][0](blocks[stored.name][row, :n_bytes])) for row in range(8)]
    np.testing.assert_allclose(found[:8], expected, rtol=1e-5, atol=1e-9)
    assert np.array_equal(found, gguf.quants.dequantize(blocks[stored.name], gguf.GGMLQuantizationType[name]))


@pytest.mark.parametrize("name", KINDS)
def test_it_is_imported_and_computes(name: str, library: Library, tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    blocks = write(path, gguf.GGMLQuantizationType[name])
    run = result_of(import_model(path, library))
    model, _ = load_model(run.folder)
    table = gguf.quants.dequantize(blocks["token_embd.weight"], gguf.GGMLQuantizationType[name])
    assert torch.equal(model.embedding.weight, torch.from_numpy(table))
    with torch.no_grad():
        assert model(torch.arange(4, 24)[None]).isfinite().all()
