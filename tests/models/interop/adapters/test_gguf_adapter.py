"""LoRA adapters as llama.cpp's GGUF files, out and in; llama.cpp itself applies them in tests/real."""

from __future__ import annotations

import errno
import re
import sys
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch

from terrarium.app.cli import main
from terrarium.models.events import result_of
from terrarium.models.files.gguf_file import read_gguf_header
from terrarium.models.interop.adapters.gguf import export_gguf_adapter, import_gguf_adapter, is_gguf_adapter
from terrarium.models.interop.adapters.runs import trained_adapter
from terrarium.models.interop.loading import load_model
from terrarium.models.interop.publish.gguf_plan import plan_gguf
from terrarium.models.interop.publish.share import write_gguf
from tests.models.interop.adapters.support import IDS, Case, make_case
from tests.models.interop.support import assert_close


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Case]:
    return {name: make_case(name, tmp_path_factory.mktemp(name)) for name in ("llama", "gpt2", "experts", "qwen3")}


def logits(folder: Path) -> torch.Tensor:
    with torch.no_grad():
        return load_model(folder)[0](IDS)  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", ["llama", "gpt2", "experts", "qwen3"])
def test_it_comes_back_and_computes_the_same(name: str, cases: dict[str, Case], tmp_path: Path) -> None:
    case = cases[name]
    run = case.tuned(lora_r=3, lora_alpha=5.0)
    path = result_of(export_gguf_adapter(run, tmp_path / "added.gguf"))
    assert is_gguf_adapter(path)
    about, stored = read_gguf_header(path)
    assert about["general.architecture"] == {"gpt2": "gpt2", "qwen3": "qwen3"}.get(name, "llama")
    assert about["adapter.lora.alpha"] == pytest.approx(5.0)
    again = result_of(import_gguf_adapter(path, case.parent.id, case.library))
    assert again.status == "imported"
    assert again.spec.name == "added"
    assert_close(logits(again.folder), logits(run.folder))
    assert (logits(again.folder) - logits(case.parent.folder)).abs().max() > 0.01
    if name != "gpt2":  # whose three matrices share A there
        ours, theirs = trained_adapter(run), trained_adapter(again)
        assert ours.tensors.keys() == theirs.tensors.keys()
        assert all(torch.equal(value, theirs.tensors[key]) for key, value in ours.tensors.items())
    twice = result_of(export_gguf_adapter(again, tmp_path / "twice.gguf"))
    assert read_gguf_header(twice)[1].keys() == stored.keys()


@pytest.mark.parametrize("name", ["llama", "gpt2", "experts", "qwen3"])
def test_its_matrices_fit_those_of_the_models_file(name: str, cases: dict[str, Case], tmp_path: Path) -> None:
    case = cases[name]
    model, tokenizer = load_model(case.parent.folder)
    base = result_of(write_gguf(model, plan_gguf(model.config, tokenizer, "F32"), tmp_path / "base.gguf"))
    adapter = result_of(export_gguf_adapter(case.tuned(), tmp_path / "adapter.gguf"))
    tuned = result_of(
        write_gguf(
            load_model(case.tuned().folder)[0], plan_gguf(model.config, tokenizer, "F32"), tmp_path / "tuned.gguf"
        )
    )
    about, stored = read_gguf_header(adapter)
    plain, merged = read_gguf_header(base)[1], read_gguf_header(tuned)[1]
    names = {key.removesuffix(".lora_a") for key in stored if key.endswith(".lora_a")}
    assert len(names) == {"llama": 14, "gpt2": 8, "experts": 14, "qwen3": 14}[name]
    for each in names:  # as llama.cpp adds them: W + alpha / r · B A
        a, b = result_of(stored[f"{each}.lora_a"].read()), result_of(stored[f"{each}.lora_b"].read())
        added = about["adapter.lora.alpha"] / a.shape[-2] * (b @ a)
        np.testing.assert_allclose(
            result_of(plain[each].read()) + added, result_of(merged[each].read()), rtol=1e-4, atol=1e-5
        )


def write(path: Path, arch: str = "llama", tensors: dict[str, Any] | None = None, **about: Any) -> Path:
    writer = gguf.GGUFWriter(path, arch)
    writer.add_type("adapter")
    writer.add_string("adapter.type", about.get("kind", "lora"))
    writer.add_float32("adapter.lora.alpha", about.get("alpha", 4.0))
    for name, shape in (tensors or {}).items():
        writer.add_tensor(name, np.ones(shape, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


A, B = "blk.0.attn_v.weight.lora_a", "blk.0.attn_v.weight.lora_b"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"arch": "gpt2", "tensors": {A: (2, 32), B: (16, 2)}}, "of the architecture 'gpt2'"),
        ({"kind": "control", "tensors": {A: (2, 32), B: (16, 2)}}, "is no plain LoRA adapter"),
        ({"alpha": 0.0, "tensors": {A: (2, 32), B: (16, 2)}}, "is no plain LoRA adapter"),
        ({}, "holds no adapter"),
        ({"tensors": {A: (2, 32)}}, "only one of the two matrices"),
        ({"tensors": {A: (2, 32), B: (16, 3)}}, "16 × 3 and 2 × 32, but that of the model is 16 × 32"),
        ({"tensors": {A: (2, 24), B: (16, 2)}}, "the adapter belongs to another model"),
        ({"tensors": {A: (2, 32), B: (16, 2), "blk.0.attn_norm.weight": (32,)}}, "not one of a plain LoRA adapter"),
        ({"tensors": {A.replace(".0.", ".7."): (2, 32), B.replace(".0.", ".7."): (16, 2)}}, "no matrix of a block"),
    ],
)
def test_files_that_are_refused(options: dict[str, Any], words: str, cases: dict[str, Case], tmp_path: Path) -> None:
    case = cases["llama"]
    runs = sorted(case.library.runs.iterdir())
    path = write(tmp_path / "adapter.gguf", **options)
    with pytest.raises(ValueError, match=re.escape(words)):
        result_of(import_gguf_adapter(path, case.parent.id, case.library))
    assert sorted(case.library.runs.iterdir()) == runs


def test_a_design_without_a_graph_is_another_model(tmp_path: Path) -> None:
    ours = make_case("ours", tmp_path)
    path = write(tmp_path / "adapter.gguf", tensors={A: (2, 32), B: (16, 2)})
    with pytest.raises(ValueError, match=r"'llama', which .* is not: the adapter belongs to another model\.$"):
        result_of(import_gguf_adapter(path, ours.parent.id, ours.library))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit for the size of files")
def test_a_file_that_cannot_grow_leaves_nothing_and_says_why(cases: dict[str, Case], tmp_path: Path) -> None:
    import resource

    run = cases["llama"].tuned()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        with pytest.raises(OSError, match="File too large") as failed:
            result_of(export_gguf_adapter(run, tmp_path / "adapter.gguf"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert failed.value.errno == errno.EFBIG
    assert not list(tmp_path.iterdir())


def test_the_commands_write_and_read_it(
    cases: dict[str, Case], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    case = cases["llama"]
    run = case.tuned()
    monkeypatch.setenv("TERRARIUM_HOME", str(case.library.home))
    assert main(["export", run.id, "--format", "gguf-adapter", "--out", str(tmp_path / "small")]) == 0
    path = tmp_path / "small.gguf"
    assert capsys.readouterr().out.strip() == str(path)
    assert main(["import", str(path)]) == 2
    assert "name the model that it belongs to with --base" in capsys.readouterr().err
    assert main(["import", str(path), "--base", case.parent.id, "--out", str(tmp_path / "again")]) == 0
    assert_close(logits(tmp_path / "again"), logits(run.folder))
    assert main(["export", run.id, "--format", "gguf-adapter", "--out", str(tmp_path / "small")]) == 1
    assert "exists already" in capsys.readouterr().err
