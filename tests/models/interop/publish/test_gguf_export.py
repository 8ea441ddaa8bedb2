"""GGUF files that we write are read back as they were; llama.cpp itself runs them in tests/real."""

from __future__ import annotations

import dataclasses
import errno
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer

from terrarium.models import load_model
from terrarium.models.events import Notice, Progress, result_of
from terrarium.models.files.gguf_file import read_gguf_header
from terrarium.models.inference.weight_kinds import GGUF_FORMATS
from terrarium.models.interop.graphs.graphs import (
    NoGraphError,
    graph_of,
    portable,
    what_differs,
    with_previous_token_heads,
)
from terrarium.models.interop.importing import import_model
from terrarium.models.interop.publish import share
from terrarium.models.interop.publish.gguf_plan import plan_gguf
from terrarium.models.interop.publish.share import write_gguf
from terrarium.models.library.library import Library
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.presets import PRESETS
from terrarium.models.settings.tokenizer_options import TokenizerOptions
from terrarium.models.tiny_world.stories import stories
from terrarium.models.tokenizers import encode_text, train_tokenizer
from terrarium.models.tokenizers.foreign.vocab_files import word_piece
from tests.models.interop.support import drive
from tests.models.interop.test_export import random_model

VOCAB = 300
SMALL: dict[str, Any] = {"vocab_size": VOCAB, "context_length": 20, "n_layer": 2, "d_model": 64}
LLAMA = dataclasses.replace(PRESETS["llama-tiny"], **SMALL, d_ff=96)
DESIGNS: dict[str, ModelConfig] = {
    "llama": LLAMA,
    "llama, tied, biases, wider heads": dataclasses.replace(LLAMA, tied_embeddings=True, bias="all", d_head=32),
    "llama3's scaling": dataclasses.replace(
        LLAMA, rope_scaling="llama3", rope_factor=8.0, rope_original_context=8192, rope_theta=500_000.0
    ),
    "linear scaling": dataclasses.replace(LLAMA, rope_scaling="linear", rope_factor=2.0),
    "yarn": dataclasses.replace(
        LLAMA, rope_scaling="yarn", rope_factor=4.0, rope_original_context=10, rope_high_rotations=32.0
    ),
    "experts": dataclasses.replace(LLAMA, n_expert=4),
    "arcee": dataclasses.replace(LLAMA, activation="relu2"),
    "qwen3": dataclasses.replace(LLAMA, qk_norm=True, n_kv_head=1),
    "gpt2": dataclasses.replace(PRESETS["gpt2-tiny"], **SMALL),
    "gpt2, untied": dataclasses.replace(PRESETS["gpt2-tiny"], **SMALL, tied_embeddings=False, d_ff=96),
    "bert": dataclasses.replace(PRESETS["bert-tiny"], **SMALL),
    "t5": dataclasses.replace(PRESETS["t5-tiny"], **SMALL, n_encoder_layer=3),
    "t5, gated": dataclasses.replace(
        PRESETS["t5-tiny"], **SMALL, activation="geglu_tanh", tied_embeddings=False, scaled_logits=False
    ),
}


def bert_wordpiece(folder: Path, *, lowercase: bool) -> Tokenizer:
    """BERT's tokenizer with a small vocabulary, as it is imported."""
    texts = [*stories("English", 200)]
    pieces = train_tokenizer(texts, "wordpiece", 400, TokenizerOptions(pre_tokenizer="whitespace")).get_vocab()
    ours = [piece for piece in sorted(pieces, key=lambda piece: pieces[piece]) if not piece.startswith("<|")]
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words = dict.fromkeys(piece.lower() if lowercase else piece for piece in ours)
    (folder / "vocab.txt").write_text("\n".join([*names, *words]) + "\n", "utf-8")
    (folder / "tokenizer_config.json").write_text(f'{{"do_lower_case": {str(lowercase).lower()}}}')
    return word_piece(folder / "vocab.txt")[0]


@pytest.fixture(scope="module")
def bpe() -> Tokenizer:
    return train_tokenizer(["Anna has a red ball, isn't it? Ben's 12 bells 345."] * 9, "bpe", VOCAB)


@pytest.mark.parametrize("name", DESIGNS)
def test_in_f32_every_weight_comes_back_bit_for_bit(name: str, bpe: Tokenizer, tmp_path: Path) -> None:
    model = random_model(DESIGNS[name])
    config = model.config
    plan = plan_gguf(config, bpe, "F32", {"name": "Anna's model"})
    events, path = drive(write_gguf(model, plan, tmp_path / "model.gguf"))
    assert path.stat().st_size == plan.n_bytes
    progress = [event for event in events if isinstance(event, Progress)]
    assert progress[-1].done == progress[-1].total > 0
    again, tokenizer = load_model(path)
    state = dict(model.state_dict())
    if config.scaled_logits:  # the scale is in a table of its own, which llama.cpp's graph needs
        state["head.weight"] = state["embedding.weight"] * config.d_model**-0.5
    found = again.state_dict()
    assert set(found) == {name for name in state if config.topology != "encoder-only" or not name.startswith("head.")}
    assert all(torch.equal(value, state[name]) for name, value in found.items())
    kept = ("n_layer", "n_head", "kv_heads", "head_dim", "ff_width", "norm_eps", "activation", "rope_scaling", "bias")
    assert [getattr(again.config, slot) for slot in kept] == [getattr(config, slot) for slot in kept]
    assert again.config.end_id == 1
    assert tokenizer is not None
    for text in ("Anna's 12  bells,\n\tisn't ünder 🎉 it?", " a<|end|>b "):
        assert encode_text(tokenizer, text) == encode_text(bpe, text)
    about, _ = read_gguf_header(path)
    assert about["general.name"] == "Anna's model"


@pytest.mark.parametrize(
    ("quantisation", "tolerance"), [("F16", 1e-3), ("BF16", 1e-2), ("Q8_0", 1e-2), ("Q4_0", 1.5e-1)]
)
@pytest.mark.parametrize("name", ["llama", "gpt2", "bert", "t5"])
def test_quantised_it_is_within_the_formats_error(
    name: str, quantisation: str, tolerance: float, bpe: Tokenizer, tmp_path: Path
) -> None:
    model = random_model(DESIGNS[name])
    plan = plan_gguf(model.config, bpe, quantisation)
    path = result_of(write_gguf(model, plan, tmp_path / "model.gguf"))
    assert path.stat().st_size == plan.n_bytes < plan_gguf(model.config, bpe, "F32").n_bytes
    found = load_model(path)[0].state_dict()
    state = model.state_dict()
    changed = 0
    for each, value in found.items():
        if each in state:
            assert (value - state[each]).abs().max() <= tolerance * state[each].abs().max(), each
            changed += not torch.equal(value, state[each])
    assert changed > 0
    assert all(torch.equal(found[each], state[each]) for each in found if found[each].dim() == 1)


def test_narrow_rows_stay_f16_which_is_said(bpe: Tokenizer, tmp_path: Path) -> None:
    model = random_model(dataclasses.replace(LLAMA, d_ff=100))
    plan = plan_gguf(model.config, bpe, "Q8_0")
    events, path = drive(write_gguf(model, plan, tmp_path / "model.gguf"))
    [said] = [event.sentence for event in events if isinstance(event, Notice)]
    assert said == "2 of 16 matrices stay F16: Q8_0 packs 32 numbers of a row together, and theirs have 100."
    _, tensors = read_gguf_header(path)
    assert {each.kind.name for name, each in tensors.items() if "ffn_down" in name} == {"F16"}
    with pytest.raises(ValueError, match=r"no matrix of this design .* multiple of that \(24 numbers\): choose F16"):
        plan_gguf(dataclasses.replace(LLAMA, d_model=24, d_ff=40), bpe, "Q4_0")


@pytest.mark.parametrize("pooler", [True, False])
def test_a_head_that_labels_texts_comes_back_with_its_labels(
    pooler: bool, bpe: Tokenizer, library: Library, tmp_path: Path
) -> None:
    model = random_model(dataclasses.replace(DESIGNS["bert"], head="sequence", n_label=3, pooler=pooler))
    labels = ("sad", "glad", "mad")
    plan = plan_gguf(model.config, bpe, "F32", labels=labels)
    assert [note.partition(",")[0] for note in plan.notes] == [
        "llama.cpp reads all of a text as its first segment",
        "llama.cpp puts no space before a text",
    ]
    path = result_of(write_gguf(model, plan, tmp_path / "model.gguf"))
    again, tokenizer = load_model(path)
    assert (again.config.head, again.config.n_label, again.config.pooler) == ("sequence", 3, pooler)
    found = again.state_dict()
    assert all(torch.equal(value, found[name]) for name, value in model.state_dict().items())
    assert tokenizer is not None
    run = result_of(import_model(path, library))
    assert (run.spec.data.task, run.spec.data.labels) == ("classification", labels)
    about, _ = read_gguf_header(path)
    assert about["bert.pooling_type"] == 4
    assert about["tokenizer.ggml.add_bos_token"]
    assert about["tokenizer.ggml.add_eos_token"]


@pytest.mark.parametrize(
    ("design", "words"),
    [
        (
            "terrarium-tiny",
            r"one, arcee, needs Normalisation rmsnorm \(here layernorm\), Short convolution 0 \(here 4\)",
        ),
        ("transformer-tiny", "train the design t5-tiny.* closest one, t5, needs Positions t5"),
        ("bart-tiny", "closest one, t5"),
    ],
)
def test_what_has_no_graph_is_refused_with_the_slot_and_a_way_out(design: str, words: str) -> None:
    with pytest.raises(NoGraphError, match=words) as caught:
        graph_of(PRESETS[design])
    plain, details = caught.value.plain, caught.value.details
    assert plain.endswith("cannot run this design: grow one that they can, or export it as a Hugging Face folder.")
    assert "needs" in details


@pytest.mark.parametrize("name", [name for name in PRESETS if PRESETS[name].head in ("language", "none")])
def test_what_is_proposed_instead_of_a_design_has_a_graph(name: str) -> None:
    own = dataclasses.replace(PRESETS[name], vocab_size=300, context_length=96)
    design = portable(own)
    if design is not None:
        graph_of(design)
        assert (design.topology, design.vocab_size, design.context_length) == (own.topology, 300, 96)
    else:
        graph_of(own)


def test_another_design_is_proposed_only_where_it_helps() -> None:
    ours = PRESETS["terrarium-tiny"]
    assert portable(ours) == with_previous_token_heads(ours)
    assert portable(LLAMA) is None
    assert portable(dataclasses.replace(ours, head="sequence")) is None


def test_what_differs_in_it_is_said() -> None:
    ours = dataclasses.replace(PRESETS["terrarium-tiny"], norm="layernorm", activation="relu2")
    said = what_differs(ours, with_previous_token_heads(ours))
    assert "copy the 4 tokens before" in said
    assert "Normalisation, Feed-forward" in said
    alike = dataclasses.replace(ours, norm="rmsnorm", activation="swiglu")
    assert "Normalisation" not in what_differs(alike, with_previous_token_heads(alike))
    assert what_differs(PRESETS["bert-tiny"], LLAMA) == "The design is another one, which llama.cpp computes."


@pytest.mark.parametrize(("n_head", "lookback", "d_head"), [(4, 4, 128), (8, 4, 64), (6, 3, 48), (1, 1, 128)])
def test_heads_that_look_back_copy_every_channel(n_head: int, lookback: int, d_head: int) -> None:
    own = dataclasses.replace(PRESETS["terrarium-tiny"], d_model=d_head * n_head // lookback, n_head=n_head)
    design = with_previous_token_heads(own)
    assert (design.lookback, design.head_dim, design.n_layer) == (lookback, d_head, own.n_layer + 1)
    assert graph_of(design).name == "qwen3"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sliding_window": 8}, r"Sliding window 0 \(here 8\)"),
        ({"rope_scaling": "dynamic", "rope_factor": 2.0}, "here dynamic"),
        ({"n_expert": 4, "bias": "all"}, "experts without biases"),
        ({"position": "alibi"}, r"Positions rope \(here alibi\)"),
        ({"head": "sequence"}, "in encoders that label whole texts only"),
        ({"topology": "encoder-only", "head": "token"}, "in encoders that label whole texts only"),
    ],
)
def test_slots_that_no_graph_has(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        graph_of(dataclasses.replace(LLAMA, **changes))


@pytest.mark.parametrize(
    ("kind", "options", "words"),
    [
        ("unigram", {"normalizer": "nfc"}, r"cannot hold this tokenizer \(Unigram\)"),
        ("wordpiece", {"pre_tokenizer": "whitespace"}, r"\(WordPiece\)"),
        ("word", {}, r"\(of words\)"),
        ("char", {}, r"\(of characters\)"),
        ("bpe", {"normalizer": "nfc"}, "normalises its text"),
        ("bpe", {"pre_tokenizer": "none"}, "split into words"),
    ],
)
def test_tokenizers_that_gguf_cannot_hold(kind: str, options: dict[str, Any], words: str) -> None:
    tokenizer = train_tokenizer(["Anna has a red ball."] * 9, kind, VOCAB, TokenizerOptions(**options))
    with pytest.raises(ValueError, match=words) as caught:
        plan_gguf(dataclasses.replace(LLAMA, vocab_size=1000), tokenizer, "F32")
    assert "Hugging Face folder" in str(caught.value)


@pytest.mark.parametrize("pre_tokenizer", ["digits", "gpt2", "gpt4"])
def test_a_thousand_texts_have_the_same_ids_when_read_back(pre_tokenizer: str, tmp_path: Path) -> None:
    texts = [*stories("English", 600), *stories("German", 400)]
    made = train_tokenizer(texts[:200], "bpe", 600, TokenizerOptions(pre_tokenizer=pre_tokenizer))
    model = random_model(dataclasses.replace(LLAMA, n_layer=1, vocab_size=made.get_vocab_size() + 7))
    path = result_of(write_gguf(model, plan_gguf(model.config, made, "F32"), tmp_path / "model.gguf"))
    _, again = load_model(path)
    assert again is not None
    assert again.get_vocab_size() == model.config.vocab_size  # ids without a token have unused ones
    for text in texts:
        assert encode_text(again, text) == encode_text(made, text)


def test_bytes_come_back_as_well(tmp_path: Path) -> None:
    made = train_tokenizer([], "byte", 261)
    path = result_of(write_gguf(random_model(LLAMA), plan_gguf(LLAMA, made, "F32"), tmp_path / "model.gguf"))
    _, again = load_model(path)
    assert again is not None
    assert encode_text(again, "Anna's 12 bälle") == encode_text(made, "Anna's 12 bälle")


@pytest.mark.parametrize("lowercase", [True, False])
def test_berts_wordpiece_comes_back(lowercase: bool, tmp_path: Path) -> None:
    made = bert_wordpiece(tmp_path, lowercase=lowercase)
    model = random_model(dataclasses.replace(DESIGNS["bert"], vocab_size=made.get_vocab_size()))
    path = result_of(write_gguf(model, plan_gguf(model.config, made, "F32"), tmp_path / "model.gguf"))
    _, again = load_model(path)
    assert again is not None
    for text in ("Anna's 12 bälle, naïve!", "東京 unknownword", "a  b\n(c)"):
        assert again.encode(text).ids == made.encode(text).ids
        assert again.encode(text, add_special_tokens=False).ids == made.encode(text, add_special_tokens=False).ids


def test_a_tokenizer_of_another_model_is_refused(bpe: Tokenizer) -> None:
    with pytest.raises(ValueError, match="ids up to 286, but the model knows 100"):
        plan_gguf(dataclasses.replace(LLAMA, vocab_size=100), bpe, "F32")


def test_a_full_disk_leaves_nothing(bpe: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quantize = share.quants.quantize
    calls = []

    def fill(numbers: Any, kind: Any) -> Any:
        calls.append(kind)
        if len(calls) > 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        return quantize(numbers, kind)

    monkeypatch.setattr(share.quants, "quantize", fill)
    with pytest.raises(OSError, match="No space left"):
        drive(write_gguf(random_model(LLAMA), plan_gguf(LLAMA, bpe, "F32"), tmp_path / "model.gguf"))
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten_and_closing_leaves_nothing(bpe: Tokenizer, tmp_path: Path) -> None:
    model, plan = random_model(LLAMA), plan_gguf(LLAMA, bpe, "F32")
    (tmp_path / "mine.gguf").write_text("mine")
    with pytest.raises(ValueError, match=r"mine\.gguf exists already"):
        drive(write_gguf(model, plan, tmp_path / "mine.gguf"))
    with pytest.raises(ValueError, match="is a folder"):
        drive(write_gguf(model, plan, tmp_path))
    events = write_gguf(model, plan, tmp_path / "other.gguf")
    while not isinstance(next(events), Progress):
        pass
    events.close()
    assert [path.name for path in tmp_path.iterdir()] == ["mine.gguf"]
    assert (tmp_path / "mine.gguf").read_text() == "mine"


def test_other_formats_are_refused() -> None:
    with pytest.raises(ValueError, match=f"choose one of {', '.join(GGUF_FORMATS)}"):
        plan_gguf(LLAMA, None, "Q5_K")
