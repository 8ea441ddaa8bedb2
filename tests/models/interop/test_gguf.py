"""GGUF files, written with the `gguf` package as llama.cpp's converter writes them."""

from __future__ import annotations

import dataclasses
import json
import struct
import tracemalloc
import weakref
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from tokenizers import Tokenizer

from terrarium.models import load_model
from terrarium.models.architecture.positions import inverse_frequencies
from terrarium.models.architecture.transformer import AnyModel
from terrarium.models.events import Progress, result_of
from terrarium.models.files.gguf_file import read_gguf_header
from terrarium.models.inference.weight_kinds import KINDS
from terrarium.models.inference.weights import NarrowMatrices, prepare_weights
from terrarium.models.interop.export import export_hf
from terrarium.models.interop.graphs.rotary import LLAMA as GRAPH
from terrarium.models.interop.importing import import_model
from terrarium.models.interop.loading import GGUF_NAME, load_config, load_model_events
from terrarium.models.library.library import Library
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.presets import PRESETS
from terrarium.models.tokenizers import decode, encode_prompt, encode_text, train_tokenizer
from terrarium.models.training.trainer import Trainer
from tests.models.interop.support import assert_close, drive
from tests.models.interop.test_export import random_model

LLAMA = dataclasses.replace(PRESETS["llama-tiny"], vocab_size=300, context_length=20, n_layer=2, d_model=64, d_ff=96)


@pytest.fixture(scope="module")
def bpe() -> Tokenizer:
    return train_tokenizer(["Anna has a red ball, isn't it? Ben's 12 bells 345."] * 9, "bpe", 300)


def regrouped(rows: np.ndarray[Any, Any], n_head: int) -> np.ndarray[Any, Any]:
    """llama.cpp's order of the rows of queries and keys (its converter's `permute`)."""
    halves = rows.reshape(n_head, 2, rows.shape[0] // n_head // 2, *rows.shape[1:])
    return halves.swapaxes(1, 2).reshape(rows.shape)


def write(
    path: Path,
    model: AnyModel,
    *,
    kind: gguf.GGMLQuantizationType = gguf.GGMLQuantizationType.F32,
    tokenizer: Tokenizer | None = None,
    pre: str = "smollm",
    more: dict[str, Any] | None = None,
    tensors: dict[str, np.ndarray[Any, Any]] | None = None,
) -> Path:
    """Write `model`, its matrices as `kind`; `more` metadata and tensors besides."""
    config = model.config
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(config.n_layer)
    writer.add_context_length(config.context_length)
    writer.add_embedding_length(config.d_model)
    writer.add_feed_forward_length(config.ff_width)
    writer.add_head_count(config.n_head)
    writer.add_head_count_kv(config.kv_heads)
    writer.add_layer_norm_rms_eps(config.norm_eps)
    writer.add_rope_freq_base(config.rope_theta)
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_key_length(config.head_dim)
    writer.add_value_length(config.head_dim)
    writer.add_vocab_size(config.vocab_size)
    if tokenizer is not None:
        _write_tokenizer(writer, tokenizer, pre)
    for key, value in (more or {}).items():
        (writer.add_string if isinstance(value, str) else writer.add_float32)(key, value)
    state = model.state_dict()
    for weight in GRAPH.weights(config):
        numbers = state[weight.local_name].numpy()
        if "attn_q" in weight.remote_name or "attn_k" in weight.remote_name:
            numbers = regrouped(numbers, config.n_head if "attn_q" in weight.remote_name else config.kv_heads)
        as_is = numbers.ndim == 1 or kind == gguf.GGMLQuantizationType.F32
        data = np.ascontiguousarray(numbers) if as_is else gguf.quants.quantize(numbers, kind)
        writer.add_tensor(weight.remote_name, data, raw_dtype=None if as_is else kind)
    for name, extra in (tensors or {}).items():
        writer.add_tensor(name, extra)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _write_tokenizer(writer: gguf.GGUFWriter, tokenizer: Tokenizer, pre: str) -> None:
    described = json.loads(tokenizer.to_str())
    vocab: dict[str, int] = described["model"]["vocab"]
    specials = {token["content"] for token in described["added_tokens"]}
    tokens = sorted(vocab, key=lambda token: vocab[token])
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_types([gguf.TokenType.CONTROL if t in specials else gguf.TokenType.NORMAL for t in tokens])
    writer.add_token_merges([" ".join(pair) for pair in described["model"]["merges"]])
    writer.add_eos_token_id(1)


def logits(model: AnyModel) -> torch.Tensor:
    with torch.no_grad():
        return model(torch.arange(4, 24)[None])  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"tied_embeddings": True, "n_kv_head": 1, "rope_theta": 500_000.0, "norm_eps": 1e-6},
        {"bias": "all", "d_head": 8},
        {"bias": "attention", "n_head": 8, "n_kv_head": 4},
    ],
)
def test_the_weights_are_read_back_unchanged(changes: dict[str, Any], tmp_path: Path) -> None:
    model = random_model(dataclasses.replace(LLAMA, **changes))
    path = write(tmp_path / "model.gguf", model)
    found, tokenizer = load_model(path)
    assert tokenizer is None
    assert all(torch.equal(found.state_dict()[name], value) for name, value in model.state_dict().items())
    expected = model.config
    assert dataclasses.replace(
        found.config, n_kv_head=expected.n_kv_head, d_ff=expected.d_ff, d_head=expected.d_head
    ) == dataclasses.replace(expected)
    assert load_config(path) == found.config


@pytest.mark.parametrize(
    ("kind", "tolerance"),
    [("F16", 1e-3), ("BF16", 1e-2), ("Q8_0", 2e-2), ("Q5_1", 6e-2), ("Q4_0", 1.5e-1), ("Q4_1", 1.5e-1)],
)
def test_quantised_matrices(kind: str, tolerance: float, tmp_path: Path) -> None:
    model = random_model(LLAMA)
    path = write(tmp_path / "model.gguf", model, kind=gguf.GGMLQuantizationType[kind])
    found = load_model(path)[0].state_dict()
    for name, value in model.state_dict().items():
        assert (found[name] - value).abs().max() <= tolerance * value.abs().max(), name


SCALINGS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (
        {"llama.rope.scaling.type": "linear", "llama.rope.scaling.factor": 2.0},
        {"rope_scaling": "linear", "rope_factor": 2.0},
    ),
    (
        {"llama.rope.scaling.type": "yarn", "llama.rope.scaling.factor": 4.0},
        {
            "rope_scaling": "yarn",
            "rope_factor": 4.0,
            "rope_original_context": 20,
            "rope_high_rotations": 32.0,
        },
    ),
]


@pytest.mark.parametrize(("more", "slots"), SCALINGS)
def test_rope_scaling(more: dict[str, Any], slots: dict[str, Any], tmp_path: Path) -> None:
    model = random_model(dataclasses.replace(LLAMA, **slots))
    found, _ = load_model(write(tmp_path / "model.gguf", model, more=more))
    assert_close(logits(found), logits(model))


def test_llama3_rope_scaling_is_recognised(tmp_path: Path) -> None:
    config = dataclasses.replace(
        LLAMA, rope_theta=500_000.0, rope_scaling="llama3", rope_factor=8.0, rope_original_context=8192
    )
    model = random_model(config)
    plain = inverse_frequencies(dataclasses.replace(config, rope_scaling="none"))
    divisors = (plain / inverse_frequencies(config)).numpy()
    found, _ = load_model(write(tmp_path / "model.gguf", model, tensors={"rope_freqs.weight": divisors}))
    assert found.config.rope_scaling == "llama3"
    assert_close(logits(found), logits(model))
    path = write(tmp_path / "other.gguf", model, tensors={"rope_freqs.weight": divisors * 1.1})
    with pytest.raises(ValueError, match=r"rope_freqs\.weight\) is not that of Llama 3"):
        load_model(path)


def test_the_tokenizer_is_built_from_the_metadata(bpe: Tokenizer, tmp_path: Path) -> None:
    model = random_model(dataclasses.replace(LLAMA, vocab_size=bpe.get_vocab_size()))
    found, tokenizer = load_model(write(tmp_path / "model.gguf", model, tokenizer=bpe))
    assert tokenizer is not None
    assert found.config.end_id == 1
    for text in ("Anna's 12  bells,\n\tisn't ünder 🎉 it?", " a<|end|>b "):
        assert encode_text(tokenizer, text) == encode_text(bpe, text)
        assert encode_prompt(tokenizer, text) == encode_prompt(bpe, text)
        assert decode(tokenizer, encode_text(tokenizer, text)) == text


@pytest.mark.parametrize(
    ("pre", "text", "cuts"),
    [
        ("gpt-2", "it's 123 x\n\n y", ["it", "'s", "Ġ123", "Ġx", "ĊĊ", "Ġy"]),
        ("smollm", "it's 123 x", ["it", "'s", "Ġ", "1", "2", "3", "Ġx"]),
        ("llama-bpe", "IT'S 12345 x\n\n y", ["IT", "'S", "Ġ", "123", "45", "Ġx", "ĊĊ", "Ġy"]),
        ("qwen2", "it's 12 (x)", ["it", "'s", "Ġ", "1", "2", "Ġ(", "x", ")"]),
    ],
)
def test_pre_tokenization(pre: str, text: str, cuts: list[str], bpe: Tokenizer, tmp_path: Path) -> None:
    model = random_model(dataclasses.replace(LLAMA, n_layer=1, vocab_size=bpe.get_vocab_size()))
    _, tokenizer = load_model(write(tmp_path / "model.gguf", model, tokenizer=bpe, pre=pre))
    assert tokenizer is not None
    assert tokenizer.pre_tokenizer is not None
    assert [piece for piece, _ in tokenizer.pre_tokenizer.pre_tokenize_str(text)] == cuts


def test_unsupported_files_are_refused(bpe: Tokenizer, tmp_path: Path) -> None:
    model = random_model(dataclasses.replace(LLAMA, n_layer=1, vocab_size=bpe.get_vocab_size()))

    def refusal(**options: Any) -> str:
        path = write(tmp_path / "model.gguf", model, **options)
        with pytest.raises(ValueError, match=r"model\.gguf") as caught:
            load_model(path)
        return str(caught.value)

    assert "tokenizer.ggml.pre) is not supported" in refusal(tokenizer=bpe, pre="tekken")
    assert "kind 'rwkv' are not supported" in refusal(more={"tokenizer.ggml.model": "rwkv"})
    assert "its tokens are missing" in refusal(more={"tokenizer.ggml.model": "bert"})
    assert "its tokens are missing" in refusal(more={"tokenizer.ggml.model": "llama"})
    assert "llama.attention.clamp_kqv 8.0 is not supported" in refusal(more={"llama.attention.clamp_kqv": 8.0})
    assert "rope.scaling.type 'longrope'" in refusal(
        more={"llama.rope.scaling.type": "longrope", "llama.rope.scaling.factor": 2.0}
    )
    assert "has the tensor 'blk.0.more'" in refusal(tensors={"blk.0.more": np.zeros(3, dtype=np.float32)})
    whole = dataclasses.replace(model.config, d_ff=model.config.ff_width)
    model.config = dataclasses.replace(whole, context_length=2 + whole.context_length, d_ff=whole.d_ff + 8)
    assert "contradicts its config: 'blk.0.ffn_gate.weight'" in refusal()


def test_an_adapter_is_refused_as_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "adapter.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_tensor("blk.0.attn_q.weight.lora_a", np.zeros((2, 8), dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(ValueError, match=r"adapter\.gguf is an adapter, which needs the model that it belongs to"):
        load_model(path)


def test_other_architectures_and_damage(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    writer = gguf.GGUFWriter(path, "mamba")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(ValueError, match=r"model\.gguf: the architecture 'mamba' is not supported"):
        load_model(path)
    data = write(path, random_model(LLAMA)).read_bytes()
    for spoilt in (data[:-5000], data[:700], data[:30], data[:6], b"", data[:8] + b"\xff" * 16 + data[24:]):
        path.write_bytes(spoilt)
        with pytest.raises(ValueError, match=r"model\.gguf is damaged or cut off.*Get it again\.$"):
            load_model(path)
    path.write_text("A text that was renamed. " * 9)
    with pytest.raises(ValueError, match=r"model\.gguf is not a GGUF file"):
        load_model(path)


@pytest.mark.parametrize("kind", [gguf.GGUFValueType.BOOL, gguf.GGUFValueType.STRING])
def test_an_array_that_is_too_long_is_not_read(kind: gguf.GGUFValueType, tmp_path: Path) -> None:
    n = (1 << 21) + 1
    head = struct.pack("<IIQQ", gguf.GGUF_MAGIC, 3, 0, 1) + struct.pack("<Q", 1) + b"a"
    array = struct.pack("<IIQ", gguf.GGUFValueType.ARRAY, kind, n)
    (tmp_path / "model.gguf").write_bytes(head + array + bytes(n if kind == gguf.GGUFValueType.BOOL else 8 * n))
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"model\.gguf is damaged or cut off"):
        read_gguf_header(tmp_path / "model.gguf")
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


def test_a_header_of_very_many_keys_is_not_read(tmp_path: Path) -> None:
    keys = b"".join(
        struct.pack("<Q", 4) + struct.pack("<I", index) + struct.pack("<IB", gguf.GGUFValueType.UINT8, 0)
        for index in range(5000)
    )
    (tmp_path / "model.gguf").write_bytes(struct.pack("<IIQQ", gguf.GGUF_MAGIC, 3, 0, 5000) + keys + bytes(64))
    with pytest.raises(ValueError, match=r"model\.gguf is damaged or cut off"):
        read_gguf_header(tmp_path / "model.gguf")


def test_tensors_that_share_bytes_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_tensor("a", np.zeros(8, dtype=np.float32))
    writer.add_tensor("b", np.zeros(8, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    assert set(read_gguf_header(path)[1]) == {"a", "b"}
    second = path.read_bytes().index(b"\x01\0\0\0\0\0\0\0b") + 9 + 4 + 8 + 4  # its name, dimensions, shape and kind
    data = bytearray(path.read_bytes())
    assert data[second : second + 8] == (32).to_bytes(8, "little")
    data[second : second + 8] = bytes(8)
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"model\.gguf is damaged: its tensors 'a' and 'b' overlap"):
        read_gguf_header(path)


def test_config_of(tmp_path: Path) -> None:
    config: ModelConfig = load_config(write(tmp_path / "any name", random_model(LLAMA)))
    assert config.n_layer == 2


@pytest.fixture
def quantised(bpe: Tokenizer, tmp_path: Path) -> Path:
    model = random_model(dataclasses.replace(LLAMA, vocab_size=bpe.get_vocab_size()))
    return write(tmp_path / "small.gguf", model, kind=gguf.GGMLQuantizationType.Q4_1, tokenizer=bpe)


def test_an_imported_file_stays_as_small_as_it_is(quantised: Path, library: Library, tmp_path: Path) -> None:
    events, run = drive(import_model(quantised, library))
    copied = [event for event in events if isinstance(event, Progress) and event.total]  # others: a child is awaited
    assert copied[-1].done == quantised.stat().st_size
    [checkpoint] = run.checkpoints()
    assert (checkpoint / GGUF_NAME).read_bytes() == quantised.read_bytes()
    assert not (checkpoint / "model.safetensors").exists()
    assert (run.status, run.lineage["source"]["format"]) == ("imported", "gguf")
    original, tokenizer = load_model(quantised)
    found, own = load_model(run.folder)
    assert found.config == original.config == run.spec.model == load_config(run.folder)
    assert torch.equal(logits(found), logits(original))
    assert tokenizer is not None
    assert own is not None
    assert own.get_vocab() == tokenizer.get_vocab()
    drive(export_hf(found, own, tmp_path / "exported"))
    assert_close(logits(load_model(tmp_path / "exported")[0]), logits(original))
    with pytest.raises(ValueError, match="was imported and cannot be resumed"):
        drive(Trainer(run, library).events())  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", KINDS)
def test_matrices_are_converted_one_by_one_as_they_are_read(
    quantised: Path, library: Library, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, run = drive(import_model(quantised, library))
    take, wide, n_alive = NarrowMatrices.take, [], []

    def watch(matrices: NarrowMatrices, name: str, weight: torch.Tensor) -> torch.Tensor:
        n_alive.append(sum(tensor() is not None for tensor in wide))
        if weight.ndim == 2 and "blocks." in name:
            wide.append(weakref.ref(weight))
        return take(matrices, name, weight)

    monkeypatch.setattr(NarrowMatrices, "take", watch)
    model, _ = result_of(load_model_events(run.folder, weights=kind))
    monkeypatch.undo()
    assert len(wide) == 7 * LLAMA.n_layer
    assert max(n_alive) <= 2 if kind != "float32" else max(n_alive) >= len(wide) - 1
    expected = prepare_weights(load_model(quantised)[0], kind)
    assert type(model.blocks[0].attention.query) is type(expected.blocks[0].attention.query)
    assert torch.equal(logits(model), logits(expected))


def test_a_file_that_could_not_be_opened_is_not_imported(
    quantised: Path, library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cut.gguf").write_bytes(quantised.read_bytes()[:-100])
    with pytest.raises(ValueError, match="damaged or cut off"):
        drive(import_model(tmp_path / "cut.gguf", library))

    def refuse(*_: object) -> None:
        raise NotImplementedError

    monkeypatch.setattr("terrarium.models.files.gguf_file.quants.dequantize", refuse)
    with pytest.raises(ValueError, match="quantised as Q4_1, which is not supported"):
        drive(import_model(quantised, library))
    assert list(library.runs.iterdir()) == []
