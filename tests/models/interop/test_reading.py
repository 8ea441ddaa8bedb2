"""Folders that are damaged, contradictory or not supported: each is refused with a clear message."""

from __future__ import annotations

import base64
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from terrarium.models import load_model
from terrarium.models.architecture.transformer import Decoder
from terrarium.models.events import Notice, Phase, Progress
from terrarium.models.interop.loading import load_config, load_model_events
from terrarium.models.interop.stored import read_header
from terrarium.models.tokenizers import train_tokenizer
from tests.models.interop.support import drive, save_theirs
from tests.models.interop.test_decoders import gpt2, llama


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small LLaMA, saved by transformers."""
    return save_theirs(llama(0, num_key_value_heads=2), tmp_path_factory.mktemp("llama"))


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    """A copy of it to spoil."""
    return Path(shutil.copytree(saved, tmp_path / "model"))


def change(folder: Path, file: str = "config.json", **options: Any) -> None:
    path = folder / file
    raw = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps({**raw, **options}))


def refusal(folder: Path) -> str:
    with pytest.raises(ValueError, match=r".") as caught:
        load_model(folder)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert str(folder) in sentence
    return sentence


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"architectures": ["MambaForCausalLM"]}, "class MambaForCausalLM is not supported: it can be GPT2LMHeadModel"),
        ({"architectures": None}, "does not name the model's class"),
        ({"hidden_act": "mish"}, "hidden_act 'mish' is not supported: it can be silu"),
        ({"rope_parameters": {"rope_type": "longrope", "factor": 2.0}}, "RoPE scaling 'longrope' is not supported"),
        ({"rope_parameters": {"rope_type": "linear"}}, "factor is missing"),
        ({"rope_parameters": {"rope_type": "linear", "factor": 2.0, "beta_fast": 1}}, "has no option 'beta_fast'"),
        ({"rope_parameters": {"rope_type": "default", "partial_rotary_factor": 0.5}}, "partial_rotary_factor 0.5"),
        ({"rope_parameters": {"full_attention": {"rope_type": "default"}}}, "per layer type"),
        (
            {"rope_parameters": {"rope_type": "yarn", "factor": 2.0, "truncate": False}},
            "truncate False is not supported",
        ),
        ({"rope_scaling": {"type": "linear", "factor": 2.0}}, "contradict each other"),
        ({"sliding_window": 4}, "the option 'sliding_window' is not known"),
        ({"attn_logit_softcapping": 30.0}, "the option 'attn_logit_softcapping' is not known"),
        ({"quantization_config": {"bits": 4}}, "the option 'quantization_config' is not known"),
        ({"pruned_heads": {"0": [1]}}, "pruned_heads"),
        ({"hidden_size": "32"}, "hidden_size must be a whole number, not '32'"),
        ({"num_hidden_layers": 10**9}, "n_layer is 1000000000, but must lie between 1 and 1024"),
        ({"num_attention_heads": 5, "head_dim": None}, "n_head 5 does not divide d_model 32"),
        ({"rms_norm_eps": True}, "rms_norm_eps must be a number"),
        ({"tie_word_embeddings": 1}, "tie_word_embeddings must be true or false"),
    ],
)
def test_unknown_options_are_refused(options: dict[str, Any], words: str, folder: Path) -> None:
    change(folder, **options)
    assert words in refusal(folder)
    with pytest.raises(ValueError, match=r"config\.json"):
        load_config(folder)


def test_harmless_options_are_ignored(folder: Path) -> None:
    change(
        folder, torch_dtype="float16", _name_or_path="x", transformers_version="4.1", use_cache=False, some_flag=None
    )
    change(folder, pretraining_tp=2, id2label={"0": "a"}, temperature=0.7, attention_dropout=0.0, unknown_switch=False)
    load_model(folder)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"hidden_size": 64}, r"is 97 × 32, but a model of that config needs 97 × 64"),
        ({"vocab_size": 9_000_000}, r"needs 9000000 × 32"),
        ({"hidden_size": 1_048_576, "intermediate_size": 16_777_216, "head_dim": 8}, "needs"),
        ({"num_hidden_layers": 1000}, r"lacks the tensor 'model\.layers\.2\..*' and \d+ more"),
        ({"num_hidden_layers": 1}, r"has the tensor 'model\.layers\.1\..*' and 8 more, which"),
        ({"attention_bias": True}, r"lacks the tensor 'model\.layers\.0\.self_attn\.q_proj\.bias' and 7 more"),
        ({"tie_word_embeddings": True}, "has other values in 'lm_head.weight'"),
        ({"num_key_value_heads": 4}, "k_proj"),
    ],
)
def test_a_config_that_contradicts_its_weights(options: dict[str, Any], words: str, folder: Path) -> None:
    change(folder, **options)
    with pytest.raises(ValueError, match=words):
        load_model(folder)


def test_damaged_files_are_named(folder: Path) -> None:
    weights = folder / "model.safetensors"
    data = weights.read_bytes()
    for spoilt, words in (
        (data[:-10], "perhaps a download was interrupted"),
        (data[:100], "truncated or not a safetensors file"),
        (b"", "truncated or not a safetensors file"),
        (b"\xff" * 200, "truncated or not a safetensors file"),
        ((20).to_bytes(8, "little") + b"x" * 100, "not valid JSON"),
        ((2).to_bytes(8, "little") + b"[]", "not a JSON object"),
        (data.replace(b'"F32"', b'"F16"', 1), "does not match its shape"),
        (data.replace(b'"shape"', b'"shame"', 1), "has an invalid entry"),
    ):
        weights.write_bytes(spoilt)
        sentence = refusal(folder)
        assert words in sentence
        assert "model.safetensors is damaged" in sentence
    weights.write_bytes(data)
    (folder / "config.json").write_text("{")
    assert "config.json is damaged" in refusal(folder)


def test_offsets_that_claim_too_much_allocate_nothing(tmp_path: Path) -> None:
    header = json.dumps({"a": {"dtype": "F32", "shape": [10**12], "data_offsets": [0, 4 * 10**12]}}).encode()
    (tmp_path / "x.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(ValueError, match="ends before 'a' does"):
        read_header(tmp_path / "x.safetensors")


def test_tensors_that_share_bytes_are_refused(tmp_path: Path) -> None:
    tensors = {"a": [0, 8], "b": [8, 16], "c": [12, 20], "empty": [12, 12]}
    header = json.dumps(
        {
            name: {"dtype": "F32", "shape": [(end - start) // 4], "data_offsets": [start, end]}
            for name, (start, end) in tensors.items()
        }
    ).encode()
    (tmp_path / "x.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(20))
    with pytest.raises(ValueError, match=r"x\.safetensors is damaged: its tensors 'b' and 'c' overlap"):
        read_header(tmp_path / "x.safetensors")


def test_folders_without_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    assert "has no weights: model.safetensors is missing" in refusal(folder)
    (folder / "pytorch_model.bin").write_bytes(b"pickle")
    sentence = refusal(folder)
    assert "only in pytorch_model.bin, which can run code" in sentence
    assert "model.safetensors" in sentence
    (folder / "config.json").unlink()
    assert "holds no model" in refusal(folder)
    save_file({"a": torch.zeros(1)}, folder / "model.safetensors")
    assert "has weights but no config.json" in refusal(folder)
    with pytest.raises(ValueError, match="does not exist"):
        load_model(folder / "nowhere")


def test_incomplete_sharded_folders(tmp_path: Path) -> None:
    folder = save_theirs(llama(0), tmp_path / "model", sharded=True)
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    first = index["weight_map"]["model.norm.weight"]
    data = (folder / first).read_bytes()
    (folder / first).unlink()
    assert f"{first} is missing" in refusal(folder)
    (folder / first).write_bytes(data)
    change(folder, "model.safetensors.index.json", weight_map={**index["weight_map"], "more": first})
    assert f"{first} does not hold 'more'" in refusal(folder)
    change(folder, "model.safetensors.index.json", weight_map={"x": "../model.safetensors"})
    assert "not the name of a file beside it" in refusal(folder)
    change(folder, "model.safetensors.index.json", weight_map=3)
    assert "has no weight_map" in refusal(folder)


def test_other_number_formats(folder: Path) -> None:
    file = folder / "model.safetensors"
    tensors = load_file(file)
    expected, _ = load_model(folder, dtype=torch.bfloat16)
    save_file({name: tensor.bfloat16() for name, tensor in tensors.items()}, file)
    found, _ = load_model(folder, dtype=torch.bfloat16)
    ids = torch.arange(5)[None]
    assert torch.equal(found(ids), expected(ids))
    save_file({name: (tensor * 10).to(torch.int8) for name, tensor in tensors.items()}, file)
    assert "is stored as int8, as in quantised models" in refusal(folder)
    save_file({name: tensor.to(torch.float8_e4m3fn) for name, tensor in tensors.items()}, file)
    assert "is stored as F8_E4M3, which is not supported" in refusal(folder)


def test_names_without_their_prefix_and_old_masks(tmp_path: Path) -> None:
    """As OpenAI's GPT-2 was published: no “transformer.”, and the causal masks among the weights."""
    theirs = gpt2(0)
    folder = save_theirs(theirs, tmp_path / "model")
    tensors = {name.removeprefix("transformer."): t for name, t in load_file(folder / "model.safetensors").items()}
    tensors["h.0.attn.bias"] = torch.ones(1, 1, 24, 24).tril()
    tensors["lm_head.weight"] = tensors["wte.weight"].clone()
    save_file(tensors, folder / "model.safetensors")
    model, _ = load_model(folder)
    ids = torch.arange(5)[None]
    with torch.no_grad():
        assert torch.allclose(model(ids), theirs(ids).logits, atol=1e-4)


def test_loading_reports_progress_and_can_be_cancelled(saved: Path) -> None:
    state = torch.get_rng_state()
    events, (model, tokenizer) = drive(load_model_events(saved))
    assert isinstance(model, Decoder)
    assert not model.training
    assert tokenizer is None
    assert torch.equal(torch.get_rng_state(), state)
    phases = [event.name for event in events if isinstance(event, Phase)]
    assert phases == ["Reading the tokenizer", "Building the model", "Reading the weights"]
    progress = [event for event in events if isinstance(event, Progress)]
    assert progress[0].done == 0
    assert [event.done for event in progress] == sorted(event.done for event in progress)
    assert progress[-1].done == progress[-1].total == 4 * model.n_parameters
    loading = load_model_events(saved)
    next(loading)
    loading.close()


def test_large_tensors_are_read_in_chunks(tmp_path: Path) -> None:
    table = torch.randn(5_000_001)  # 20 MB, more than a piece
    save_file({"a": table}, tmp_path / "x.safetensors")
    pieces, read = drive(read_header(tmp_path / "x.safetensors")["a"].read())
    assert torch.equal(read, table)
    assert len(pieces) > 1
    assert sum(pieces) == 20_000_004


# Tokenizers


def test_tokenizer_json_and_ids(folder: Path) -> None:
    tokenizer = train_tokenizer((), "byte", 0)
    tokenizer.enable_truncation(3)
    tokenizer.save(str(folder / "tokenizer.json"))
    assert "tokens up to id 260, but the model has only 97" in refusal(folder)
    folder_gpt2 = save_theirs(gpt2(0, vocab_size=300), folder / "gpt2")
    tokenizer.save(str(folder_gpt2 / "tokenizer.json"))
    change(folder_gpt2, "generation_config.json", eos_token_id=[1, 7])
    model, loaded = load_model(folder_gpt2)
    assert loaded is not None
    assert len(loaded.encode("longer than three").ids) > 3
    assert model.config.end_id == 1
    change(folder_gpt2, "generation_config.json", eos_token_id=50_256)  # of no token here
    assert load_model(folder_gpt2)[0].config.end_id == -1
    (folder_gpt2 / "tokenizer.json").write_text("{}")
    assert "tokenizer.json is damaged or not a tokenizer" in refusal(folder_gpt2)


def test_vocab_and_merges(tmp_path: Path) -> None:
    original = train_tokenizer(["Anna has a red ball, and Ben has 12 bells. Ünder"] * 9, "bpe", 290)
    folder = save_theirs(gpt2(0, vocab_size=400), tmp_path)
    model = json.loads(original.to_str())["model"]
    (folder / "vocab.json").write_text(json.dumps(model["vocab"]))
    merges = [" ".join(pair) for pair in model["merges"]]
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]) + "\n")
    change(folder, "special_tokens_map.json", eos_token="<|end|>")
    _, tokenizer = load_model(folder)
    assert tokenizer is not None
    text = "Anna has  12 bells,\n and Ünder 🎉<|end|>"
    ids = tokenizer.encode(text).ids
    assert tokenizer.decode(ids, skip_special_tokens=False) == text
    assert ids[-1] == 1
    assert tokenizer.encode("Anna has").tokens == original.encode("Anna has").tokens
    (folder / "merges.txt").write_text("a b c\n")
    assert "merges.txt is damaged" in refusal(folder)
    (folder / "merges.txt").write_text("qqq zzz\n")
    assert "merges.txt does not match vocab.json" in refusal(folder)


def test_word_pieces(tmp_path: Path) -> None:
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "cat", "##s", "sat", "uber", "."]
    folder = save_theirs(gpt2(0), tmp_path)
    (folder / "vocab.txt").write_text("\n".join(words) + "\n")
    _, tokenizer = load_model(folder)
    assert tokenizer is not None
    assert tokenizer.encode("The CATS sat über [MASK].").tokens == [
        *("[CLS]", "the", "cat", "##s", "sat", "uber", "[MASK]", ".", "[SEP]")
    ]
    change(folder, "tokenizer_config.json", do_lower_case=False)
    _, tokenizer = load_model(folder)
    assert tokenizer is not None
    assert tokenizer.encode("The cats").tokens == ["[CLS]", "[UNK]", "cat", "##s", "[SEP]"]
    (folder / "vocab.txt").write_text("a\na\n")
    assert "vocab.txt is damaged" in refusal(folder)


def test_an_unknown_pre_tokenization_pattern_costs_only_the_tokenizer(folder: Path) -> None:
    ranks = (b"%s %d\n" % (base64.b64encode(bytes([byte])), byte) for byte in range(256))
    (folder / "mine.tiktoken").write_bytes(b"".join(ranks))
    events, (_, tokenizer) = drive(load_model_events(folder))
    assert tokenizer is None
    assert ["choose a pattern" in event.sentence for event in events if isinstance(event, Notice)] == [True]


def test_an_unreadable_sentencepiece_model_is_reported(folder: Path) -> None:
    (folder / "tokenizer.model").write_bytes(b"x")
    events, (_, tokenizer) = drive(load_model_events(folder))
    assert tokenizer is None
    assert ["SentencePiece" in event.sentence for event in events if isinstance(event, Notice)] == [True]
