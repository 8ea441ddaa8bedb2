"""GGUF files that we write, run by llama.cpp: the same tokens, the same text, the same numbers, the same embeddings."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import llama_cpp
import numpy as np
import pytest
import torch
from tokenizers import Tokenizer

from terrarium.models import load_model
from terrarium.models.architecture.transformer import AnyModel, Encoder
from terrarium.models.events import TokenMade, result_of
from terrarium.models.files.gguf_file import read_gguf_header
from terrarium.models.inference.generate import generate
from terrarium.models.interop.adapters.gguf import export_gguf_adapter
from terrarium.models.interop.importing import import_model
from terrarium.models.interop.publish.gguf_plan import plan_gguf
from terrarium.models.interop.publish.share import write_gguf
from terrarium.models.library.library import Library
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.presets import PRESETS
from terrarium.models.settings.sampling_config import SamplingConfig
from terrarium.models.settings.tokenizer_options import TokenizerOptions
from terrarium.models.tiny_world.stories import stories
from terrarium.models.tokenizers import encode_text, train_tokenizer
from tests.models.interop.adapters.support import IDS, make_case
from tests.models.interop.publish.test_gguf_export import bert_wordpiece
from tests.models.interop.test_export import random_model
from tests.models.tokenizers.foreign.support import all_texts
from tests.models.tokenizers.foreign.test_gguf_sentencepiece import llama_like

N_WRITTEN = 32
DESIGNS: dict[str, ModelConfig] = {
    "llama": PRESETS["llama-tiny"],
    "llama, llama3's scaling, biases": dataclasses.replace(
        PRESETS["llama-tiny"], bias="all", rope_scaling="llama3", rope_factor=8.0, rope_original_context=8192
    ),
    "llama, yarn": dataclasses.replace(
        PRESETS["llama-tiny"], rope_scaling="yarn", rope_factor=2.0, rope_original_context=128, rope_high_rotations=32.0
    ),
    "experts": PRESETS["moe-tiny"],
    "arcee": dataclasses.replace(PRESETS["llama-tiny"], activation="relu2", tied_embeddings=True),
    "qwen3": dataclasses.replace(PRESETS["llama-tiny"], qk_norm=True),
    "gpt2": PRESETS["gpt2-tiny"],
}


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_tokenizer(stories("English", 300), "bpe", 1024)


def exported(
    design: ModelConfig, tokenizer: Tokenizer, folder: Path, quantisation: str = "F32"
) -> tuple[AnyModel, Path]:
    model = random_model(dataclasses.replace(design, vocab_size=tokenizer.get_vocab_size()))
    plan = plan_gguf(model.config, tokenizer, quantisation)
    return model, result_of(write_gguf(model, plan, folder / "model.gguf"))


def opened(path: Path, **options: Any) -> llama_cpp.Llama:
    return llama_cpp.Llama(str(path), n_ctx=256, logits_all=True, verbose=False, n_threads=1, **options)


@pytest.mark.parametrize("name", DESIGNS)
def test_it_writes_the_same_32_tokens_with_the_same_logits(name: str, tokenizer: Tokenizer, tmp_path: Path) -> None:
    model, path = exported(DESIGNS[name], tokenizer, tmp_path)
    theirs = opened(path)
    ids = encode_text(tokenizer, next(iter(stories("English", 1))))[:40]
    theirs.eval(ids)
    for _ in range(N_WRITTEN):
        with torch.inference_mode():
            logits = model(torch.tensor([ids]))[0].numpy()
        written = np.array(theirs.scores[: theirs.n_tokens])
        error = np.abs(written[-1] - logits[-1]).max() / np.abs(logits[-1]).max()
        assert error < 2e-2
        assert int(written[-1].argmax()) == int(logits[-1].argmax())
        ids.append(int(logits[-1].argmax()))
        theirs.eval(ids[-1:])
    print(f"{name}: 32 tokens equal, logits of the last within {error:.1e}")  # noqa: T201


@pytest.mark.parametrize("pre_tokenizer", ["digits", "gpt2", "gpt4"])
def test_a_thousand_texts_have_the_same_tokens(pre_tokenizer: str, tmp_path: Path) -> None:
    texts = [*stories("English", 600), *stories("German", 200), *stories("French", 200)]
    odd = ["it's 123 x\n\n y", "IT'S 12345", "  two  spaces", "naïve café 東京 🎉", "a\tb\r\nc", "x1y22z333"]
    made = train_tokenizer(texts[:300], "bpe", 1024, TokenizerOptions(pre_tokenizer=pre_tokenizer))
    _, path = exported(PRESETS["llama-tiny"], made, tmp_path)
    theirs = opened(path, vocab_only=True)
    for text in [*texts, *odd]:
        assert theirs.tokenize(text.encode(), add_bos=False, special=False) == encode_text(made, text), repr(text)


@pytest.mark.parametrize("pre_tokenizer", ["digits", "none", "whitespace"])
def test_unigram_has_the_same_tokens(pre_tokenizer: str, tmp_path: Path) -> None:
    texts = [*stories("English", 300), *stories("German", 150), *stories("French", 150)]
    made = train_tokenizer(texts, "unigram", 900, TokenizerOptions(pre_tokenizer=pre_tokenizer))
    _, path = exported(PRESETS["t5-tiny"], made, tmp_path)
    theirs = opened(path, vocab_only=True)
    for text in [*texts, *(f" {text}" for text in texts[::40])]:
        assert theirs.tokenize(text.encode(), add_bos=False, special=False) == encode_text(made, text), repr(text)


def test_sentencepieces_bpe_has_the_same_tokens(tmp_path: Path) -> None:
    made = llama_like()
    _, path = exported(PRESETS["llama-tiny"], made, tmp_path)
    theirs = opened(path, vocab_only=True)
    odd = ["it's 123 x\n\n y", "  two  spaces ", "naïve café 東京 🎉", "a\tb\r\nc"]
    plain = [text for text in all_texts() if "<" not in text]  # there, a token's name in a text may become that token
    for text in [*stories("English", 200), *stories("German", 100), *plain, *odd]:
        found = theirs.tokenize(text.encode(), add_bos=False, special=False)
        assert found == encode_text(made, text), repr(text)


def test_bytes_have_the_same_tokens(tmp_path: Path) -> None:
    made = train_tokenizer([], "byte", 261)
    _, path = exported(PRESETS["llama-tiny"], made, tmp_path)
    theirs = opened(path, vocab_only=True)
    for text in ("Anna's 12 bälle", "東京 🎉\n\n"):
        assert theirs.tokenize(text.encode(), add_bos=False, special=False) == encode_text(made, text)


@pytest.mark.parametrize("is_gated", [False, True])
def test_t5_writes_the_same_32_tokens(is_gated: bool, tokenizer: Tokenizer, tmp_path: Path) -> None:
    """By the low-level API, which alone has encoders; its graph scales no logits, so the file has a table for that."""
    gated = {"activation": "geglu_tanh", "scaled_logits": False, "tied_embeddings": False, "n_encoder_layer": 3}
    design = dataclasses.replace(PRESETS["t5-tiny"], **(gated if is_gated else {}))  # type: ignore[arg-type]
    model, path = exported(design, tokenizer, tmp_path)
    theirs = opened(path)
    context = theirs._ctx.ctx  # noqa: SLF001
    source = encode_text(tokenizer, next(iter(stories("English", 1))))[:30]
    tokens = (llama_cpp.llama_token * len(source))(*source)
    assert llama_cpp.llama_encode(context, llama_cpp.llama_batch_get_one(tokens, len(source))) == 0
    target = [llama_cpp.llama_model_decoder_start_token(theirs._model.model)]  # noqa: SLF001
    for _ in range(N_WRITTEN):
        last = (llama_cpp.llama_token * 1)(target[-1])
        assert llama_cpp.llama_decode(context, llama_cpp.llama_batch_get_one(last, 1)) == 0
        found = llama_cpp.llama_get_logits_ith(context, -1)
        written = np.ctypeslib.as_array(found, shape=(model.config.vocab_size,))
        with torch.inference_mode():
            logits = model(torch.tensor([source]), torch.tensor([target]))[0, -1].numpy()
        assert np.abs(written - logits).max() / np.abs(logits).max() < 2e-2
        assert int(written.argmax()) == int(logits.argmax())
        target.append(int(logits.argmax()))


def test_bert_makes_the_same_embeddings(tokenizer: Tokenizer, tmp_path: Path) -> None:
    model, path = exported(PRESETS["bert-tiny"], tokenizer, tmp_path)
    assert isinstance(model, Encoder)
    theirs = llama_cpp.Llama(str(path), embedding=True, n_ctx=256, verbose=False, n_threads=1)
    for text in stories("English", 5):
        ids = encode_text(tokenizer, text)[:100]
        with torch.inference_mode():
            ours = model.hidden(torch.tensor([ids]))[0].mean(dim=0).numpy()
        found = np.array(theirs.embed(theirs.detokenize(ids).decode()))
        assert ours @ found / np.linalg.norm(ours) / np.linalg.norm(found) > 0.999


@pytest.mark.parametrize("pooler", [True, False])
def test_a_head_gives_the_same_labels(pooler: bool, tokenizer: Tokenizer, tmp_path: Path) -> None:
    head = {"head": "sequence", "n_label": 3, "pooler": pooler}
    model, path = exported(dataclasses.replace(PRESETS["bert-tiny"], **head), tokenizer, tmp_path)  # type: ignore[arg-type]
    theirs = llama_cpp.Llama(
        str(path),
        embedding=True,
        pooling_type=llama_cpp.LLAMA_POOLING_TYPE_RANK,
        n_ctx=256,
        verbose=False,
        n_threads=1,
    )
    context = theirs._ctx.ctx  # noqa: SLF001
    end = tokenizer.token_to_id("<|end|>")
    for text in stories("English", 5):
        ids = [end, *encode_text(tokenizer, f" {text}")[:100], end]
        given = theirs.tokenize(theirs.detokenize(ids[1:-1]), add_bos=True, special=False)
        assert given == ids
        tokens = (llama_cpp.llama_token * len(ids))(*ids)
        llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(context), True)
        assert llama_cpp.llama_decode(context, llama_cpp.llama_batch_get_one(tokens, len(ids))) == 0
        found = np.array(llama_cpp.llama_get_embeddings_seq(context, 0)[:3])
        with torch.inference_mode():
            logits = model(torch.tensor([ids]))[0].numpy()
        assert np.abs(found - logits).max() < 2e-2 * max(1.0, np.abs(logits).max())


@pytest.mark.parametrize("lowercase", [True, False])
def test_wordpiece_has_the_same_tokens(lowercase: bool, tmp_path: Path) -> None:
    made = bert_wordpiece(tmp_path, lowercase=lowercase)
    _, path = exported(PRESETS["bert-tiny"], made, tmp_path)
    theirs = opened(path, vocab_only=True)
    for text in [*stories("English", 100), *stories("German", 100), "naïve café, 東京!", "a  b\n(c) $5 1.000"]:
        assert theirs.tokenize(text.encode(), add_bos=False, special=False) == encode_text(made, text), repr(text)
        assert theirs.tokenize(text.encode(), add_bos=True, special=False) == made.encode(text).ids


@pytest.mark.parametrize("quantisation", ["F16", "BF16", "Q8_0", "Q4_0"])
def test_quantised_it_computes_what_we_read_back(quantisation: str, tokenizer: Tokenizer, tmp_path: Path) -> None:
    _, path = exported(PRESETS["llama-tiny"], tokenizer, tmp_path, quantisation)
    ours, _ = load_model(path)
    ids = encode_text(tokenizer, next(iter(stories("English", 1))))[:60]
    theirs = opened(path)
    theirs.eval(ids)
    with torch.inference_mode():
        logits = ours(torch.tensor([ids]))[0].numpy()
    written = np.array(theirs.scores[: theirs.n_tokens])
    assert np.abs(written[-1] - logits[-1]).max() < 5e-2 * np.abs(logits).max()  # it rounds activations, too


K_QUANTS = {
    "Q2_K": llama_cpp.LLAMA_FTYPE_MOSTLY_Q2_K,
    "Q3_K": llama_cpp.LLAMA_FTYPE_MOSTLY_Q3_K_M,
    "Q4_K": llama_cpp.LLAMA_FTYPE_MOSTLY_Q4_K_M,
    "Q5_K": llama_cpp.LLAMA_FTYPE_MOSTLY_Q5_K_M,
    "Q6_K": llama_cpp.LLAMA_FTYPE_MOSTLY_Q6_K,
}
"""The formats that llama.cpp alone can write, by that of most of their matrices."""


def requantised(path: Path, to: Path, kind: int) -> Path:
    """The file in another format, by llama.cpp."""
    how = llama_cpp.llama_model_quantize_default_params()
    how.ftype, how.nthread, how.allow_requantize = kind, 2, True
    assert llama_cpp.llama_model_quantize(str(path).encode(), str(to).encode(), how) == 0
    return to


def perplexity(logits: np.ndarray[Any, Any], ids: list[int]) -> float:
    """Of the tokens after the first: logits (T, V)."""
    found = torch.from_numpy(logits[: len(ids) - 1])
    return float(torch.nn.functional.cross_entropy(found, torch.tensor(ids[1:])).exp())


@pytest.mark.parametrize("name", K_QUANTS)
def test_a_k_quant_that_llama_cpp_has_made_is_imported(
    name: str, tokenizer: Tokenizer, library: Library, tmp_path: Path
) -> None:
    """Every weight is what llama.cpp makes of it; imported, it generates, and predicts as well as llama.cpp."""
    wide = dataclasses.replace(PRESETS["llama-tiny"], d_model=256, d_ff=768, n_head=8, n_layer=2)  # rows of 256
    model, path = exported(wide, tokenizer, tmp_path)
    quantised = requantised(path, tmp_path / "quantised.gguf", K_QUANTS[name])
    kinds = {tensor.kind.name for tensor in read_gguf_header(quantised)[1].values()}
    assert name in kinds
    run = result_of(import_model(quantised, library))
    ours, own_tokenizer = load_model(run.folder)
    assert own_tokenizer is not None
    plain = requantised(quantised, tmp_path / "plain.gguf", llama_cpp.LLAMA_FTYPE_ALL_F32)
    state = load_model(plain)[0].state_dict()
    assert all(torch.equal(value, state[each]) for each, value in ours.state_dict().items())
    assert not torch.equal(state["head.weight"], model.state_dict()["head.weight"])
    ids = encode_text(tokenizer, next(iter(stories("English", 1))))[:100]
    with torch.inference_mode():
        logits, before = (each(torch.tensor([ids]))[0].numpy() for each in (ours, model))
    written = {}
    for file in (plain, quantised):
        theirs = opened(file)
        theirs.eval(ids)
        written[file] = np.array(theirs.scores[: theirs.n_tokens])
    assert np.abs(written[plain] - logits).max() < 2e-2 * np.abs(logits).max()
    found = perplexity(logits, ids)
    assert found == pytest.approx(perplexity(written[quantised], ids), rel=0.1)  # it rounds activations, too
    reply = list(generate(ours, own_tokenizer, ids[:20], SamplingConfig(max_tokens=8)))
    assert sum(isinstance(event, TokenMade) for event in reply) == 8
    print(  # noqa: T201
        f"{name} ({', '.join(sorted(kinds))}): perplexity {found:.5g} here, {perplexity(written[quantised], ids):.5g} "
        f"there, {perplexity(before, ids):.5g} before"
    )


@pytest.mark.parametrize("name", ["llama", "gpt2", "experts", "qwen3"])
def test_an_adapter_changes_what_llama_cpp_computes_as_it_does_here(name: str, tmp_path: Path) -> None:
    case = make_case(name, tmp_path)
    run = case.tuned(lora_r=4)
    model, tokenizer = load_model(case.parent.folder)
    assert tokenizer is not None
    base = result_of(write_gguf(model, plan_gguf(model.config, tokenizer, "F32"), tmp_path / "base.gguf"))
    adapter = result_of(export_gguf_adapter(run, tmp_path / "adapter.gguf"))
    ids = IDS[0].tolist()
    tuned, _ = load_model(run.folder)
    with torch.inference_mode():
        before, after = (each(torch.tensor([ids]))[0].numpy() for each in (model, tuned))
    theirs = llama_cpp.Llama(str(base), lora_path=str(adapter), n_ctx=32, logits_all=True, verbose=False, n_threads=1)
    theirs.eval(ids)
    written = np.array(theirs.scores[: theirs.n_tokens])
    error, moved = (np.abs(written - each).max() / np.abs(after).max() for each in (after, before))
    assert error < 2e-2
    assert moved > 5 * error
    print(f"{name}: within {error:.1e}, and {moved:.1e} away from the model without it")  # noqa: T201
