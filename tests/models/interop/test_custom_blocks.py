"""Models with custom blocks for other programs: refused in one sentence, or brought along with their code."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer

from terrarium.models.architecture.transformer import AnyModel
from terrarium.models.custom_blocks import store
from terrarium.models.events import result_of
from terrarium.models.interop.export import export_hf
from terrarium.models.interop.families import family_of
from terrarium.models.interop.graphs.graphs import GRAPHS, graph_of, portable
from terrarium.models.interop.importing import import_model
from terrarium.models.interop.loading import load_config, load_model
from terrarium.models.interop.publish.onnx_fit import onnx_misfit
from terrarium.models.library.library import Library
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.presets import PRESETS
from tests.models.designs import small
from tests.models.interop.test_export import random_model
from tests.models.own_blocks import BUFFERS, POSITION_TEXTS, STARTS, WRITES, put_block, start_source, with_block

THEIRS = """
import sys, torch, transformers
auto, given = getattr(transformers, sys.argv[1]), torch.load(sys.argv[2])
for folder in sys.argv[3:]:
    model, said = auto.from_pretrained(folder, trust_remote_code=True, output_loading_info=True)
    assert not any(said[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys")), (folder, said)
    assert not any(name.startswith("terrarium.") for name in sys.modules)
    with torch.no_grad():
        torch.save(model.eval()(**given).logits, f"{folder}.pt")
"""
"""What another program does with such folders, without Terrarium."""
PAIR = {"topology": "encoder-decoder", "n_encoder_layer": 1, "n_encoder_head": 4, "d_encoder_ff": 48}
TEXTS = {start: start_source(start) for start in STARTS} | POSITION_TEXTS | {"buffers": BUFFERS}
CASES = (
    ("retention", "experts"),
    ("temperature",),
    ("convolution",),
    ("embeddings",),
    ("queries",),
    ("scores",),
    ("buffers",),
)


@pytest.fixture
def base(tiny_config: ModelConfig) -> ModelConfig:
    return ModelConfig(vocab_size=261, context_length=32, n_layer=2, n_head=2, d_model=32)


@pytest.mark.parametrize("change", [{}, PAIR], ids=["decoder-only", "encoder-decoder"])
def test_transformers_computes_the_same_with_the_folder(
    library: Library, base: ModelConfig, byte_tokenizer: Tokenizer, tmp_path: Path, change: dict[str, Any]
) -> None:
    ids = torch.randint(0, 261, (2, 20), generator=torch.Generator().manual_seed(1))
    given = {"input_ids": ids} | ({"decoder_input_ids": ids[:, :9]} if change else {})
    torch.save(given, tmp_path / "ids.pt")
    exported: dict[Path, tuple[AnyModel, list[str]]] = {}
    for case in CASES:
        blocks = [put_block(TEXTS[text]) for text in case]
        config = dataclasses.replace(base, **change)
        for text, block in zip(case, blocks, strict=True):
            config = with_block(config, block, **({"position": "none"} if text in POSITION_TEXTS else {}))
        model = random_model(config)
        folder = result_of(export_hf(model, byte_tokenizer, tmp_path / "_".join(case)))
        exported[folder] = model, sorted(block.name for block in blocks)
    (tmp_path / "theirs.py").write_text(THEIRS, encoding="utf-8")
    auto = "AutoModelForSeq2SeqLM" if change else "AutoModelForCausalLM"
    kept = {key: value for key, value in os.environ.items() if not key.startswith("TERRARIUM_")}
    environment = kept | {"HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, str(tmp_path / "theirs.py"), auto, str(tmp_path / "ids.pt"), *map(str, exported)]
    subprocess.run(command, env=environment, cwd=tmp_path, check=True, timeout=120)
    for folder, (model, names) in exported.items():
        with torch.no_grad():
            expected = model(*given.values())
        torch.testing.assert_close(torch.load(f"{folder}.pt"), expected, rtol=1e-4, atol=1e-5)
        back, _ = load_model(folder)
        with torch.no_grad():
            again = back(*given.values())
        torch.testing.assert_close(again, expected, rtol=0, atol=0)
        assert sorted(path.name.partition("-")[0] for path in (folder / "blocks").iterdir()) == names


def test_the_folder_comes_back_where_its_block_is_allowed(
    library: Library, base: ModelConfig, byte_tokenizer: Tokenizer, tmp_path: Path
) -> None:
    ran = tmp_path / "it ran"
    block = put_block(WRITES % str(ran))
    model = random_model(with_block(base, block))
    folder = result_of(export_hf(model, byte_tokenizer, tmp_path / "out"))
    store.withdraw(block.sha256)
    shutil.rmtree(store.blocks_folder())
    ran.unlink()
    assert load_config(folder).feed_forward_block == str(block.reference)
    for read in (lambda: load_model(folder), lambda: result_of(import_model(folder, library))):
        with pytest.raises(store.NotAllowedError, match="not allowed on this computer"):
            read()
    assert not ran.exists()
    assert not library.list_runs()
    store.allow(store.find_block(block.reference))
    run = result_of(import_model(folder, library))
    again = load_model(run.folder)[0].state_dict()
    assert all(torch.equal(again[name], weight) for name, weight in model.state_dict().items())
    assert len(list((run.folder / "blocks").iterdir())) == 1


@pytest.mark.parametrize("preset", ["gpt2-tiny", "llama-tiny", "bert-tiny"])
@pytest.mark.parametrize("start", ["temperature", "experts"])
def test_formats_without_code_refuse_in_one_sentence(library: Library, preset: str, start: str) -> None:
    plain = small(PRESETS[preset], 32)
    config = with_block(plain, put_block(start_source(start), allowed=False), position=plain.position)
    name = {"temperature": "learned_temperature", "experts": "two_experts"}[start]
    for refuse in (family_of, graph_of):
        refuse(plain)
        with pytest.raises(
            ValueError, match=f"“{name}” is a program that .* cannot run: export a Hugging Face"
        ) as caught:
            refuse(config)
        assert str(caught.value).count(". ") == 0
    assert not onnx_misfit(plain)
    assert f"“{name}”" in onnx_misfit(config)
    assert all(any(name in each for each in graph.lacks(config)) for graph in GRAPHS.values())
    assert portable(config) is None
