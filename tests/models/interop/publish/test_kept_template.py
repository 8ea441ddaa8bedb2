"""A model that was tuned from a chat model of elsewhere keeps its chat template, whatever it is exported as."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer

from terrarium.models.chat.foreign import foreign_chat_tokens
from terrarium.models.chat.template_config import ChatTemplateConfig, read_kept_template_config, reply_ends
from terrarium.models.corpora.corpus import build_examples_corpus
from terrarium.models.events import Phase, result_of
from terrarium.models.files.gguf_file import read_gguf_header
from terrarium.models.inference.held_out import held_out, held_out_texts
from terrarium.models.interop.adapters.peft import export_peft
from terrarium.models.interop.chat_templates import read_template_config
from terrarium.models.interop.export import export_hf
from terrarium.models.interop.importing import import_model
from terrarium.models.interop.publish.share import share_gguf, share_hf
from terrarium.models.library.library import Library
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.run_spec import DataSpec
from terrarium.models.settings.tune_spec import TuneSpec
from terrarium.models.tokenizers import decode, read_tokenizer, train_tokenizer
from terrarium.models.training.prepare import prepare_run
from tests.models.interop.publish.test_gguf_export import LLAMA
from tests.models.interop.test_export import random_model
from tests.models.training.support import make_spec, train

TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] }}"
    "{{ eos_token + '\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
NAMED = {"bos_token": "<|bos|>", "eos_token": "<|im_end|>"}
SAMPLING = {"temperature": 0.6, "top_k": 40}
SPELLINGS = {"<|system|>": "<|bos|>", "<|user|>": "<|im_start|>", "<|assistant|>": "<|im_end|>", "<|end|>": "<|eot|>"}
TALK = [
    {"role": "user", "content": "Has Anna a ball?"},
    {"role": "assistant", "content": "A red ball."},
    {"role": "user", "content": "And Ben?"},
]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    return Library(tmp_path_factory.mktemp("kept"))


@pytest.fixture(scope="module")
def run(library: Library) -> RunFolder:
    """A chat model with a template of its own, and none of our role tokens, after some steps of LoRA on chats."""
    text = train_tokenizer(["Anna has a red ball, isn't it? Ben's 12 bells 345."] * 9, "bpe", 300).to_str()
    for ours, theirs in SPELLINGS.items():
        text = text.replace(ours, theirs)
    tokenizer = Tokenizer.from_str(text)
    end = tokenizer.token_to_id("<|im_end|>")
    config = dataclasses.replace(LLAMA, vocab_size=tokenizer.get_vocab_size(), context_length=64, end_id=end)
    source = result_of(export_hf(random_model(config), tokenizer, library.home / "theirs"))
    written: dict[str, dict[str, Any]] = {
        "tokenizer_config.json": {"chat_template": TEMPLATE, **NAMED},
        "generation_config.json": {"eos_token_id": [end, tokenizer.token_to_id("<|eot|>")], **SAMPLING},
    }
    for name, more in written.items():
        about = json.loads((source / name).read_text())
        (source / name).write_text(json.dumps(about | more))
    rows = [{"messages": TALK[:2]}] * 8
    build_examples_corpus(library, rows, rows[:2], "talks", 0, task="chat")
    spec = make_spec(
        library.home, ModelConfig(), optimizer="adamw", steps=3, sample_interval=0, context_loss_weight=0.0
    )
    tuned = dataclasses.replace(
        spec,
        tune=TuneSpec(parent=str(source), mode="lora", lora_r=2, max_length=48),
        data=DataSpec(source="dataset", dataset="talks", task="chat"),
    )
    made = result_of(prepare_run(library, tuned))
    train(made, library)
    return made


def prompt_ids(tokenizer: Tokenizer, chat: ChatTemplateConfig) -> list[int]:
    ids: list[int] = foreign_chat_tokens(tokenizer, chat.template, chat.named_tokens, TALK).tokens.ids.tolist()
    return ids


@pytest.fixture(scope="module")
def expected(run: RunFolder) -> list[int]:
    """The ids of a conversation before it is exported."""
    return prompt_ids(read_tokenizer(run.tokenizer_file), read_template_config(run.folder))


def assert_kept(imported: RunFolder, run: RunFolder, expected: list[int]) -> None:
    """The same ids for a conversation, and the same ends of a reply."""
    tokenizer, chat = read_tokenizer(imported.tokenizer_file), read_template_config(imported.folder)
    kept = read_template_config(run.folder)
    assert chat.template == TEMPLATE
    assert chat.named_tokens == NAMED
    assert prompt_ids(tokenizer, chat) == expected
    ends = reply_ends(imported.spec.model, tokenizer, chat).ids
    assert set(ends) == set(reply_ends(run.spec.model, read_tokenizer(run.tokenizer_file), kept).ids)


def test_its_held_out_conversations_are_written_by_its_template(run: RunFolder, library: Library) -> None:
    tokenizer = read_tokenizer(run.tokenizer_file)
    replies, texts = held_out(run.folder, tokenizer, library), held_out_texts(run.folder, tokenizer, library)
    assert replies.label == "the replies in the validation texts of talks"
    said = [id for id, is_counted in zip(replies.texts[0], replies.counted[0], strict=True) if is_counted]
    assert decode(tokenizer, said) == "A red ball.<|im_end|>"
    assert decode(tokenizer, list(texts.texts[0])).startswith("<|bos|><|im_start|>user\nHas Anna a ball?<|im_end|>\n")


def test_a_gguf_file_has_it(run: RunFolder, library: Library, expected: list[int], tmp_path: Path) -> None:
    shared = result_of(share_gguf(run.folder, tmp_path / "tuned", library, quantisation="F16"))
    assert shared.perplexity is not None
    about, _ = read_gguf_header(shared.path)
    assert about["tokenizer.chat_template"] == TEMPLATE
    assert_kept(result_of(import_model(shared.path, library)), run, expected)


@pytest.mark.parametrize("phase", ["Reading the file back", "Predicting held-out text"])
def test_whatever_ends_it_leaves_no_file(run: RunFolder, library: Library, tmp_path: Path, phase: str) -> None:
    sharing = share_gguf(run.folder, tmp_path / "tuned", library, quantisation="F16")
    for event in sharing:
        if isinstance(event, Phase) and event.name == phase:
            break
    assert (tmp_path / "tuned.gguf").exists()
    with pytest.raises(MemoryError):
        sharing.throw(MemoryError())
    assert list(tmp_path.iterdir()) == []
    assert result_of(share_gguf(run.folder, tmp_path / "tuned", library, quantisation="F16")).path.exists()


def test_a_hugging_face_folder_has_it(run: RunFolder, library: Library, expected: list[int], tmp_path: Path) -> None:
    from transformers import AutoTokenizer, GenerationConfig

    folder = result_of(share_hf(run.folder, tmp_path / "tuned"))
    theirs = AutoTokenizer.from_pretrained(folder)
    assert theirs.apply_chat_template(TALK, add_generation_prompt=True, return_dict=False) == expected
    assert theirs.encode("Anna") == read_tokenizer(run.tokenizer_file).encode("Anna").ids
    assert (theirs.bos_token, theirs.eos_token) == ("<|bos|>", "<|im_end|>")
    generation = GenerationConfig.from_pretrained(folder)
    kept = read_kept_template_config(run.folder)
    assert kept is not None
    assert tuple(generation.eos_token_id) == kept.end_ids
    assert (generation.do_sample, generation.temperature, generation.top_k) == (True, 0.6, 40)
    imported = result_of(import_model(folder, library))
    assert_kept(imported, run, expected)
    assert read_template_config(imported.folder) == kept


def test_an_adapters_folder_has_it(run: RunFolder, expected: list[int], tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    folder = result_of(export_peft(run, tmp_path / "adapter"))
    theirs = AutoTokenizer.from_pretrained(folder)
    assert theirs.apply_chat_template(TALK, add_generation_prompt=True, return_dict=False) == expected
