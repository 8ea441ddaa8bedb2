"""ONNX files, run with onnxruntime beside the model that they were made of."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch

from terrarium.app.cli import main
from terrarium.models.interop.export import export_hf
from terrarium.models.interop.loading import load_model
from terrarium.models.interop.publish import onnx_export, onnx_fit
from terrarium.models.interop.publish.onnx_export import share_onnx
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.presets import PRESETS
from tests import ROOT
from tests.models.interop.support import drive
from tests.models.interop.test_export import random_model

needs_extra = pytest.mark.skipif(
    any(find_spec(name) is None for name in ("onnx", "onnxscript", "onnxruntime")), reason="without the extra “onnx”"
)

SIZES = {"vocab_size": 99, "context_length": 24, "n_layer": 1, "n_head": 2, "d_model": 16, "d_ff": 24, "dropout": 0.0}


@pytest.fixture(scope="module", autouse=True)
def traced_once() -> Iterator[None]:
    """A design is traced once, which takes seconds; `random_model` makes the same weights each time."""
    trace, programs = torch.onnx.export, dict[ModelConfig, Any]()

    def trace_once(traced: Any, *args: Any, **settings: Any) -> Any:
        config = traced.model.config
        if config not in programs:
            programs[config] = trace(traced, *args, **settings)
        return programs[config]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.onnx, "export", trace_once)
        yield


def small(preset: str, **settings: object) -> ModelConfig:
    """A small design of the kind of a preset."""
    return dataclasses.replace(PRESETS[preset], **{**SIZES, **settings})  # type: ignore[arg-type]


BERT = small("bert-tiny")


def source_of(config: ModelConfig, folder: Path) -> Path:
    """A model with a design, on disk."""
    _, out = drive(export_hf(random_model(config), None, folder / "source"))
    return out


@needs_extra
@pytest.mark.parametrize(
    ("config", "output", "shape"),
    [
        (BERT, "logits", (2, 7, 99)),
        (dataclasses.replace(BERT, head="none"), "last_hidden_state", (2, 7, 16)),
        (dataclasses.replace(BERT, head="sequence", n_label=3), "logits", (2, 3)),
        (small("terrarium-char"), "logits", (2, 7, 99)),  # all that a decoder of ours has, and n-grams
    ],
    ids=["fill-mask", "embeddings", "labels", "decoder"],
)
def test_onnxruntime_computes_the_same(
    config: ModelConfig, output: str, shape: tuple[int, ...], tmp_path: Path
) -> None:
    import onnxruntime

    source = source_of(config, tmp_path)
    _, shared = drive(share_onnx(source, tmp_path / "small"))
    assert shared.path == tmp_path / "small.onnx"
    content = shared.path.read_bytes()
    assert shared.n_bytes == len(content)
    assert not any(str(folder).encode() in content for folder in (ROOT, Path(torch.__file__).parent)), "a path of ours"
    assert shared.output == output
    assert 0 <= shared.difference < 1e-4 * max(1.0, shared.largest)
    model, _ = load_model(source)
    session = onnxruntime.InferenceSession(str(shared.path), providers=["CPUExecutionProvider"])
    ids, mask = torch.randint(99, (2, 7)), torch.tensor([[1] * 7, [1] * 4 + [0] * 3])
    given = {"input_ids": ids.numpy(), "attention_mask": mask.numpy()}
    if "token_type_ids" in shared.inputs:
        given["token_type_ids"] = torch.zeros_like(ids).numpy()
    found = torch.from_numpy(session.run([output], given)[0])
    assert found.shape == shape
    compute = model.hidden if output == "last_hidden_state" else model
    with torch.no_grad():
        wanted = compute(ids, mask=mask.bool())
    if found.dim() == 3:
        found, wanted = found[mask.bool()], wanted[mask.bool()]
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)


@needs_extra
def test_the_command_writes_a_file_and_says_how_much_it_differs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import onnx

    source = source_of(BERT, tmp_path)
    command = ["export", str(source), "--format", "onnx", "--out", str(tmp_path / "a.onnx"), "--licence", "mit"]
    assert main([*command, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["out"] == str(tmp_path / "a.onnx")
    assert printed["inputs"] == ["input_ids", "attention_mask", "token_type_ids"]
    assert printed["difference"] < 1e-4 * max(1, printed["largest"])
    said = {each.key: each.value for each in onnx.load(tmp_path / "a.onnx").metadata_props}
    assert said["license"] == "mit"
    assert said["context_length"] == "24"
    assert main(command) == 1
    assert "exists already" in capsys.readouterr().err
    shutil.rmtree(source)
    assert {path.name for path in tmp_path.iterdir()} == {"a.onnx"}


@needs_extra
def test_a_file_that_computes_something_else_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = source_of(BERT, tmp_path)
    monkeypatch.setattr(onnx_export, "_TOLERANCE", 0.0)
    with pytest.raises(ValueError, match="computes something else from the file"):
        drive(share_onnx(source, tmp_path / "a.onnx"))
    assert {path.name for path in tmp_path.iterdir()} == {"source"}


def test_designs_that_it_is_not_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_fit, "_PACKAGES", ())
    with pytest.raises(ValueError, match="this is an encoder-decoder: export a Hugging Face folder instead"):
        drive(share_onnx(source_of(small("t5-tiny"), tmp_path / "t5"), tmp_path / "a.onnx"))
    dynamic = small("llama-tiny", rope_scaling="dynamic", rope_factor=2.0, rope_original_context=12, n_kv_head=0)
    with pytest.raises(ValueError, match="With dynamic RoPE scaling the model changes"):
        drive(share_onnx(source_of(dynamic, tmp_path / "llama"), tmp_path / "a.onnx"))
    assert not (tmp_path / "a.onnx").exists()


def test_without_the_extra_it_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(onnx_fit, "_PACKAGES", ("onnx", "a_package_that_nobody_has"))
    assert main(["export", str(tmp_path), "--format", "onnx", "--out", str(tmp_path / "a.onnx")]) == 1
    assert "pip install 'llm-terrarium[onnx]'" in capsys.readouterr().err
