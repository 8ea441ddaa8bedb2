"""Runs from the weights of models that come from elsewhere: they keep everything that they need of them."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer
from torch import Tensor

from terrarium.models.chat.template_config import PLAIN_TEMPLATE
from terrarium.models.corpora.corpus import build_examples_corpus
from terrarium.models.events import result_of
from terrarium.models.interop.chat_templates import read_template_config
from terrarium.models.interop.export import export_hf
from terrarium.models.interop.importing import import_model
from terrarium.models.interop.loading import load_config, load_model
from terrarium.models.library.library import Library
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.run_spec import DataSpec, RunSpec
from terrarium.models.settings.tune_spec import TuneSpec
from terrarium.models.training.prepare import prepare_run
from terrarium.models.training.setup import set_up
from tests.models.interop.test_export import random_model
from tests.models.interop.test_gguf import LLAMA, bpe, write
from tests.models.training.support import make_spec, train

__all__ = ["bpe"]

TEMPLATE = "{% for message in messages %}{{ message['content'] }}{% endfor %}"


def hugging_face(folder: Path, tokenizer: Tokenizer) -> Path:
    """A chat model with a template of its own."""
    path = result_of(export_hf(random_model(LLAMA, 0), tokenizer, folder / "chatty"))
    config = json.loads((path / "tokenizer_config.json").read_text())
    (path / "tokenizer_config.json").write_text(json.dumps(config | {"chat_template": TEMPLATE}))
    return path


def tuned(library: Library, parent: Path | str, mode: str = "lora", **settings: Any) -> RunSpec:
    spec = make_spec(library.home, ModelConfig(), optimizer="adamw", steps=3, sample_interval=0, **settings)
    return dataclasses.replace(spec, tune=TuneSpec(parent=str(parent), mode=mode, lora_r=2, max_length=16))


def assert_starts_as(run: RunFolder, library: Library, expected: dict[str, Tensor]) -> None:
    """The run's first weights are these, and it reads texts of at most 16 tokens."""
    context = result_of(set_up(run, library, "cpu", None))
    state = context.model.state_dict()
    assert [name for name in expected if not torch.equal(state[name], expected[name])] == []
    assert context.train_batches.batch(0).inputs.shape[1] == 16


@pytest.mark.parametrize("kind", ["folder", "file", "imported folder", "imported file"])
@pytest.mark.parametrize("mode", ["all", "lora"])
def test_models_from_elsewhere(library: Library, tmp_path: Path, bpe: Tokenizer, kind: str, mode: str) -> None:
    if kind.endswith("folder"):
        source = hugging_face(tmp_path, bpe)
    else:
        source = write(
            tmp_path / "chatty.gguf",
            random_model(LLAMA, 0),
            tokenizer=bpe,
            more={"tokenizer.chat_template": TEMPLATE},
        )
    parent: Path | str = source
    if kind.startswith("imported"):
        parent = result_of(import_model(source, library)).name
    expected, config = load_model(source)[0].state_dict(), load_config(source)
    run = result_of(prepare_run(library, tuned(library, parent, mode)))
    shutil.rmtree(source) if source.is_dir() else source.unlink()
    if kind.startswith("imported"):
        shutil.rmtree(library.find_run(str(parent)))
    assert run.spec.model == config
    assert run.lineage["parent"]["kind"] == "weights"
    assert run.lineage["parent"]["name"] == "chatty"
    assert read_template_config(run.folder).template == TEMPLATE
    assert_starts_as(run, library, expected)
    train(run, library)
    trained, tokenizer = load_model(run.folder)
    assert tokenizer is not None
    assert tokenizer.get_vocab() == bpe.get_vocab()
    assert any(not torch.equal(weight, expected[name]) for name, weight in trained.state_dict().items())


def plain(folder: Path, tokenizer: Tokenizer) -> Path:
    """A model whose tokenizer has no tokens for conversations."""
    config = dataclasses.replace(LLAMA, vocab_size=tokenizer.get_vocab_size())
    path = result_of(export_hf(random_model(config, 0), tokenizer, folder / "plain"))
    text = (path / "tokenizer.json").read_text()
    for token in ("<|user|>", "<|assistant|>", "<|system|>"):
        text = text.replace(token, token.replace("|", "#"))
    (path / "tokenizer.json").write_text(text)
    about = json.loads((path / "tokenizer_config.json").read_text())
    about.pop("chat_template")
    (path / "tokenizer_config.json").write_text(json.dumps(about))
    return path


def test_a_model_without_a_chat_template_learns_conversations_as_lines(
    library: Library, tmp_path: Path, bpe: Tokenizer
) -> None:
    source, vocab_size = plain(tmp_path, bpe), bpe.get_vocab_size()
    chat = {"messages": [{"role": "user", "content": "Anna?"}, {"role": "assistant", "content": "Ben has 12 bells."}]}
    build_examples_corpus(library, [chat] * 9, [chat], "talk", 0, task="chat")
    spec = dataclasses.replace(
        tuned(library, source, "lora"), data=DataSpec(source="dataset", dataset="talk", task="chat")
    )
    run = result_of(prepare_run(library, spec))
    assert run.spec.model.vocab_size == vocab_size
    assert read_template_config(run.folder).template == PLAIN_TEMPLATE
    train(run, library)
    assert load_model(run.folder)[0].embedding.weight.shape[0] == vocab_size


def test_a_model_without_a_tokenizer(library: Library, tmp_path: Path) -> None:
    source = result_of(export_hf(random_model(LLAMA, 0), None, tmp_path / "mute"))
    with pytest.raises(ValueError, match="mute has no tokenizer, so no run can start from it"):
        result_of(prepare_run(library, tuned(library, source)))
