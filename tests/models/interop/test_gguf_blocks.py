"""GGUF files cannot bring custom blocks: what they say of them is refused or ignored, and nothing of it runs."""

from __future__ import annotations

import dataclasses
import io
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import gguf
import pytest
import torch
from tokenizers import Tokenizer

from terrarium.app.cli import main
from terrarium.models.custom_blocks import store
from terrarium.models.custom_blocks.carried import file_name
from terrarium.models.custom_blocks.manifest import CustomBlock, read_block
from terrarium.models.events import result_of
from terrarium.models.files.atomic import atomic_write_json, read_json
from terrarium.models.interop.adapters.gguf import import_gguf_adapter
from terrarium.models.interop.chat_templates import read_template_config
from terrarium.models.interop.importing import import_model
from terrarium.models.interop.loading import load_config, load_model
from terrarium.models.interop.publish.gguf_plan import plan_gguf
from terrarium.models.interop.publish.share import write_gguf
from terrarium.models.library.library import Library
from terrarium.models.runs.run_file.packing import pack_run
from terrarium.models.runs.run_file.unpacking import unpack_run
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.presets import PRESETS
from tests.app.small_models import put_model
from tests.models.interop.test_export import random_model
from tests.models.own_blocks import WRITES, put_block

LLAMA = dataclasses.replace(
    PRESETS["llama-tiny"], vocab_size=261, context_length=32, n_layer=1, n_head=2, n_kv_head=2, d_model=16, d_ff=24
)


@pytest.fixture
def ran(tmp_path: Path) -> Path:
    """The file that the block's text writes when it runs."""
    return tmp_path / "it ran"


@pytest.fixture
def block(library: Library, ran: Path, monkeypatch: pytest.MonkeyPatch) -> CustomBlock:
    """A block of the library that may not run."""
    monkeypatch.delenv(store.TRUST_VARIABLE, raising=False)
    return put_block(WRITES % str(ran), allowed=False)


def write(path: Path, tokenizer: Tokenizer, more: dict[str, Any], *, design: ModelConfig = LLAMA) -> Path:
    """A complete file of a small model, with more metadata."""
    plan = plan_gguf(design, tokenizer, "F32")
    plan = dataclasses.replace(plan, fields={**plan.fields, **more})
    return result_of(write_gguf(random_model(design), plan, path))


def with_block_in(folder: Path, design: ModelConfig, block: CustomBlock) -> None:
    """Say in an imported run, as somebody else might have, that its design has the block; carry its text."""
    claimed = dataclasses.replace(design, feed_forward_block=str(block.reference)).to_dict()
    record = read_json(folder / "run.json")
    atomic_write_json(folder / "run.json", {**record, "spec": {**record["spec"], "model": claimed}})
    (state,) = folder.glob("checkpoints/*/state.json")
    atomic_write_json(state, {**read_json(state), "model": claimed})
    (folder / "blocks").mkdir(exist_ok=True)
    (folder / "blocks" / file_name(block.reference)).write_text(block.source, encoding="utf-8")


@pytest.mark.parametrize("key", ["feed_forward_block", "attention_block", "block_options", "design", "blocks.writer"])
@pytest.mark.parametrize("value", ["{reference}", "{sha256}", "{source}"])
def test_metadata_of_the_architecture_that_names_a_block_is_refused(
    key: str, value: str, block: CustomBlock, ran: Path, library: Library, byte_tokenizer: Tokenizer, tmp_path: Path
) -> None:
    said = {"reference": str(block.reference), "sha256": block.sha256, "source": block.source}[value[1:-1]]
    path = write(tmp_path / "model.gguf", byte_tokenizer, {f"llama.{key}": said})
    for read in (load_config, load_model, lambda source: result_of(import_model(source, library))):
        with pytest.raises(ValueError, match=rf"llama\.{key} .* is not supported\.$"):
            read(path)
    assert not ran.exists()
    assert not library.list_runs()


@pytest.mark.parametrize("architecture", ["terrarium", "writer", "TerrariumForCausalLM"])
def test_an_architecture_that_is_a_design_of_ours_is_refused(
    architecture: str, block: CustomBlock, ran: Path, library: Library, tmp_path: Path
) -> None:
    writer = gguf.GGUFWriter(tmp_path / "model.gguf", architecture)
    design = dataclasses.replace(LLAMA, feed_forward_block=str(block.reference))
    for key, value in design.to_dict().items():
        writer.add_string(f"{architecture}.{key}", json.dumps(value))
    writer.add_string(f"{architecture}.design", json.dumps(design.to_dict()))
    writer.add_tensor("token_embd.weight", torch.zeros(261, 16).numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    for read in (load_config, load_model, lambda source: result_of(import_model(source, library))):
        with pytest.raises(ValueError, match=rf"the architecture '{architecture}' is not supported: it can be "):
            read(tmp_path / "model.gguf")
    assert not ran.exists()
    assert not library.list_runs()


@pytest.mark.parametrize("is_known", [True, False])
def test_what_other_keys_say_of_blocks_is_ignored(
    is_known: bool, ran: Path, library: Library, byte_tokenizer: Tokenizer, tmp_path: Path
) -> None:
    """And so are texts beside the file, whether the library has them or not."""
    block = read_block(WRITES % str(ran))
    if is_known:
        store.keep_text(block)
    said: dict[str, str] = {
        "general.name": block.source,
        "general.description": block.source,
        "general.feed_forward_block": str(block.reference),
        "general.design": json.dumps(dataclasses.replace(LLAMA, feed_forward_block=str(block.reference)).to_dict()),
        "general.source.url": f"terrarium:block:{block.reference}",
        "terrarium.feed_forward_block": str(block.reference),
        "terrarium.trust_block": block.sha256,
        f"blocks/{file_name(block.reference)}": block.source,
        "tokenizer.ggml.pre_tokenizer": block.source,
        "tokenizer.chat_template": block.source,
        "allowed": json.dumps({block.sha256: {"name": "writer"}}),
        store.TRUST_VARIABLE: block.sha256,
    }
    path = write(tmp_path / "theirs" / "model.gguf", byte_tokenizer, said)
    for folder in ("blocks", "."):
        (path.parent / folder).mkdir(exist_ok=True)
        (path.parent / folder / file_name(block.reference)).write_text(block.source, encoding="utf-8")
    run = result_of(import_model(path, library))
    model, _ = load_model(run.folder)
    with torch.no_grad():
        model(torch.arange(9)[None])
    for design in (model.config, run.spec.model, load_config(path), load_config(run.folder)):
        assert not design.has_custom_blocks
    assert read_template_config(run.folder).template == block.source, "a text for Jinja, which renders it"
    assert not ran.exists()
    assert not (run.folder / "blocks").exists()
    assert store.has_text(block.reference) is is_known
    assert not store.is_allowed(block)
    assert not store.consent_file().exists()


@pytest.mark.parametrize("is_allowed", [False, True])
def test_a_run_of_a_gguf_file_that_is_said_to_have_a_block_is_refused(
    is_allowed: bool,
    block: CustomBlock,
    ran: Path,
    library: Library,
    byte_tokenizer: Tokenizer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Its weights are those of the file, but its design says otherwise; unpacked from a .terrarium file."""
    run = result_of(import_model(write(tmp_path / "model.gguf", byte_tokenizer, {}), library, name="own"))
    with_block_in(run.folder, run.spec.model, block)
    packed = result_of(pack_run(RunFolder.open(run.folder), tmp_path / "run", library))
    shutil.rmtree(run.folder)
    shutil.rmtree(store.blocks_folder())
    unpacked = result_of(unpack_run(packed, library))
    if is_allowed:
        store.allow(store.find_block(block.reference))
    with pytest.raises(ValueError, match="names custom blocks, which the model of a GGUF file cannot have: import "):
        load_model(unpacked.folder)
    with pytest.raises(ValueError, match="which the model of a GGUF file cannot have"):
        result_of(import_model(unpacked.folder, library))
    for words in (["generate", unpacked.id, "--prompt", "Anna"], ["chat", unpacked.id], ["evaluate", unpacked.id]):
        monkeypatch.setattr(sys, "stdin", io.StringIO("Anna\n"))
        capsys.readouterr()
        assert main(words) == 1, words
        out, err = capsys.readouterr()
        (sentence,) = err.splitlines()
        assert "which the model of a GGUF file cannot have" in sentence
        assert not out
    assert not ran.exists()


def test_an_adapter_cannot_bring_a_block_nor_belong_to_one(
    block: CustomBlock, ran: Path, library: Library, byte_tokenizer: Tokenizer, tmp_path: Path
) -> None:
    writer = gguf.GGUFWriter(tmp_path / "adapter.gguf", "llama")
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", 2.0)
    writer.add_string("adapter.feed_forward_block", str(block.reference))
    writer.add_string("general.feed_forward_block", block.source)
    writer.add_tensor("blk.0.attn_q.weight.lora_a", torch.zeros(2, 16).numpy())
    writer.add_tensor("blk.0.attn_q.weight.lora_b", torch.zeros(16, 2).numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    plain = result_of(import_model(write(tmp_path / "base.gguf", byte_tokenizer, {}), library, name="plain"))
    tuned = result_of(import_gguf_adapter(tmp_path / "adapter.gguf", plain.id, library, name="tuned"))
    assert not tuned.spec.model.has_custom_blocks
    load_model(tuned.folder)
    store.allow(block)
    base = put_model(library, byte_tokenizer, "decoder-only", name="base", feed_forward_block=str(block.reference))
    store.withdraw(block.sha256)
    ran.unlink()
    with pytest.raises(ValueError, match="the adapter belongs to another model"):
        result_of(import_gguf_adapter(tmp_path / "adapter.gguf", base, library))
    assert not ran.exists()
