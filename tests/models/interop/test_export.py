"""Exports: transformers loads them and computes the same."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from terrarium.models import load_model
from terrarium.models.architecture.transformer import AnyModel, build_model
from terrarium.models.events import Progress
from terrarium.models.interop.export import export_hf
from terrarium.models.interop.families import family_of
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.presets import PRESETS
from terrarium.models.tokenizers import train_tokenizer
from tests.models.interop.support import assert_close, drive

VOCAB = 300
GPT2 = dataclasses.replace(PRESETS["gpt2-tiny"], vocab_size=VOCAB, context_length=20, n_layer=2, d_model=24)
LLAMA = dataclasses.replace(PRESETS["llama-tiny"], vocab_size=VOCAB, context_length=20, n_layer=2, d_model=32)
DESIGNS: dict[str, ModelConfig] = {
    "gpt2": GPT2,
    "gpt2, untied, gelu": dataclasses.replace(GPT2, tied_embeddings=False, activation="gelu", d_ff=30),
    "gpt2, scores not scaled": dataclasses.replace(GPT2, scaled_scores=False, norm_eps=1e-3, activation="relu"),
    "llama": LLAMA,
    "llama, tied, biases": dataclasses.replace(LLAMA, tied_embeddings=True, bias="all", d_head=6, activation="geglu"),
    "llama, attention bias": dataclasses.replace(LLAMA, bias="attention", n_kv_head=1, end_id=9),
    "llama, feed-forward bias": dataclasses.replace(LLAMA, bias="feed-forward", activation="geglu_tanh"),
    "mistral": dataclasses.replace(LLAMA, sliding_window=4),
    "mistral, heads of another width": dataclasses.replace(LLAMA, d_model=30, d_head=8),
    "mixtral": dataclasses.replace(LLAMA, n_expert=4, sliding_window=5, tied_embeddings=True),
    "linear": dataclasses.replace(LLAMA, rope_scaling="linear", rope_factor=2.0, rope_theta=500.0),
    "dynamic": dataclasses.replace(
        LLAMA, rope_scaling="dynamic", rope_factor=2.0, rope_original_context=10, context_length=20
    ),
    "llama3": dataclasses.replace(LLAMA, rope_scaling="llama3", rope_factor=4.0, rope_original_context=10),
    "yarn": dataclasses.replace(
        LLAMA, rope_scaling="yarn", rope_factor=4.0, rope_original_context=10, rope_high_rotations=32.0
    ),
    "yarn, with all its numbers": dataclasses.replace(
        LLAMA,
        rope_scaling="yarn",
        rope_factor=2.0,
        rope_original_context=10,
        rope_low_rotations=0.5,
        rope_high_rotations=9.0,
        rope_attention_factor=1.2,
    ),
}


def random_model(config: ModelConfig, seed: int = 0) -> AnyModel:
    """A model in which every parameter matters."""
    torch.manual_seed(seed)
    model = build_model(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape) * (0.2 if parameter.dim() == 1 else 0.15))
    return model


@pytest.mark.parametrize("name", DESIGNS)
def test_transformers_computes_the_same(name: str, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    model = random_model(DESIGNS[name])
    events, out = drive(export_hf(model, None, tmp_path / "out", shard_bytes=20_000 if "bias" in name else 10**9))
    progress = [event for event in events if isinstance(event, Progress)]
    assert progress[-1].done == progress[-1].total > 0
    theirs, said = AutoModelForCausalLM.from_pretrained(out, output_loading_info=True)
    assert not any(said[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys")), said
    ids = torch.randint(0, VOCAB, (2, 20))
    mask = torch.ones(2, 20, dtype=torch.bool)
    mask[1, :6] = False
    with torch.no_grad():
        assert_close(model(ids, mask=mask), theirs.eval()(ids, attention_mask=mask.long()).logits, mask)

    again, _ = load_model(out)
    ours, back = model.config, again.config
    assert (
        dataclasses.replace(back, d_head=ours.d_head, d_ff=ours.d_ff, n_kv_head=ours.n_kv_head, init_std=ours.init_std)
        == ours
    )
    assert (back.head_dim, back.ff_width, back.kv_heads) == (ours.head_dim, ours.ff_width, ours.kv_heads)
    assert all(torch.equal(again.state_dict()[key], value) for key, value in model.state_dict().items())


def test_the_tokenizer_goes_along(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = train_tokenizer(["Anna has a red ball. Ben has a blue ball."] * 20, "bpe", VOCAB)
    model = random_model(dataclasses.replace(LLAMA, vocab_size=tokenizer.get_vocab_size()))
    _, out = drive(export_hf(model.to(torch.bfloat16), tokenizer, tmp_path / "out"))
    theirs = AutoTokenizer.from_pretrained(out)
    text = "Anna has 12 bälle.\n"
    assert theirs.encode(text) == tokenizer.encode(text).ids
    assert theirs.decode(theirs.encode(text)) == text
    assert (theirs.eos_token, theirs.pad_token) == ("<|end|>", "<|pad|>")
    chat = [{"role": "user", "content": "Hello"}]
    assert (
        theirs.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
        == "<|user|> Hello<|end|><|assistant|>"
    )
    assert AutoModelForCausalLM.from_pretrained(out).dtype == torch.bfloat16
    assert json.loads((out / "config.json").read_text())["eos_token_id"] == 1
    again, loaded = load_model(out, dtype=torch.bfloat16)
    assert again.config.end_id == 1
    assert loaded is not None
    assert loaded.get_vocab() == tokenizer.get_vocab()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"qk_norm": True}, "qk_norm"),
        ({"position": "alibi"}, "position"),
        ({"nope_interval": 2}, "nope_interval"),
        ({"rope_fraction": 0.5}, "rope_fraction"),
        ({"n_expert": 4, "bias": "all"}, "bias"),
        ({"conv_width": 4}, "conv_width"),
        ({"max_ngram": 3, "ngram_rows": 60}, "max_ngram"),
        ({"activation": "relu2"}, "activation 'relu2'"),
        ({"norm_place": "post"}, "norm_place"),
        ({"sliding_window": 4, "bias": "all"}, "no biases where there is a sliding window"),
    ],
)
def test_a_design_that_no_published_class_computes_brings_its_own(
    changes: dict[str, Any], words: str, tmp_path: Path
) -> None:
    config = dataclasses.replace(LLAMA, **changes)
    with pytest.raises(ValueError, match=rf"No Hugging Face class computes this design: .*{words}"):
        family_of(config)
    _, out = drive(export_hf(build_model(config), None, tmp_path / "out"))
    assert json.loads((out / "config.json").read_text())["architectures"] == ["TerrariumForCausalLM"]
    assert load_model(out)[0].config == config


def test_heads_of_another_width_are_not_written_as_gpt2() -> None:
    with pytest.raises(ValueError, match=r"GPT2LMHeadModel needs head_dim 6, which is 8 here"):
        family_of(dataclasses.replace(GPT2, d_head=8))


def test_a_published_class_brings_no_code(tmp_path: Path) -> None:
    _, out = drive(export_hf(build_model(LLAMA), None, tmp_path / "out"))
    assert not list(out.glob("*.py"))


def test_nothing_is_overwritten_and_closing_leaves_nothing(tmp_path: Path) -> None:
    model = random_model(LLAMA)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ValueError, match="exists already: choose another folder"):
        drive(export_hf(model, None, tmp_path / "file"))
    with pytest.raises(ValueError, match="exists already: choose another folder"):
        drive(export_hf(model, None, tmp_path))
    events = export_hf(model, None, tmp_path / "out")
    while not isinstance(next(events), Progress):
        pass
    events.close()
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
