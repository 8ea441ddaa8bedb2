"""Models that other programs have downloaded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from terrarium.models.interop.hub.on_disk import find_models

GGUF = b"GGUF" + b"\0" * 96
DIGEST = "a" * 64


def put(path: Path, data: bytes | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def put_snapshot(home: Path, repository: str, architecture: str) -> Path:
    folder = home / f".cache/huggingface/hub/models--{repository}/snapshots/0123456789abcdef"
    put(folder / "config.json", json.dumps({"architectures": [architecture]}))
    put(folder / "model.safetensors", b"x" * 50)
    return folder


def put_ollama(home: Path, digest: str, *, name: str = "qwen3") -> Path:
    layers = [
        {"mediaType": "application/vnd.ollama.image.license", "digest": f"sha256:{'b' * 64}"},
        {"mediaType": "application/vnd.ollama.image.model", "digest": digest},
    ]
    put(home / f".ollama/models/manifests/registry.ollama.ai/library/{name}/0.6b", json.dumps({"layers": layers}))
    return put(home / f".ollama/models/blobs/sha256-{DIGEST}", GGUF)


def test_nothing_is_found_in_an_empty_home(tmp_path: Path) -> None:
    assert find_models(tmp_path) == ()


def test_each_program_has_its_folder(tmp_path: Path) -> None:
    snapshot = put_snapshot(tmp_path, "tiny--llama", "LlamaForCausalLM")
    put_snapshot(tmp_path, "tiny--mamba", "MambaForCausalLM")
    put(tmp_path / ".cache/huggingface/hub/models--tiny--damaged/snapshots/1/config.json", "{")
    studio = put(tmp_path / ".lmstudio/models/somebody/model/model-Q8_0.gguf", GGUF)
    put(tmp_path / ".lmstudio/models/somebody/model/mmproj-F16.gguf", GGUF)
    blob = put_ollama(tmp_path, f"sha256:{DIGEST}")
    cpp = put(tmp_path / ".cache/llama.cpp/other.gguf", GGUF)
    assert [(each.program, each.name, each.path, each.n_bytes) for each in find_models(tmp_path)] == [
        ("Hugging Face", "tiny/llama", snapshot, 50),
        ("LM Studio", "model-Q8_0", studio, 100),
        ("Ollama", "qwen3-0.6b", blob, 100),
        ("llama.cpp", "other", cpp, 100),
    ]


@pytest.mark.parametrize("digest", ["../../../etc/passwd", "sha256:../../x", "", "sha256:" + "c" * 64])
def test_a_manifest_leads_to_no_other_file(tmp_path: Path, digest: str) -> None:
    put_ollama(tmp_path, digest)
    assert find_models(tmp_path) == ()


def test_the_environment_names_other_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HF_HUB_CACHE", "OLLAMA_MODELS", "LLAMA_CACHE"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "nobody")
    put(tmp_path / "LLAMA_CACHE/mine.gguf", GGUF)
    assert [each.name for each in find_models()] == ["mine"]
