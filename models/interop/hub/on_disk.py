"""Finds models that other programs have downloaded, by names and sizes in their default folders. No torch import."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from terrarium.models.files.atomic import read_json
from terrarium.models.interop.families import FAMILIES

_MAX_FOUND = 200
"""The maximum number of models from one folder."""
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_OLLAMA_WEIGHTS = "application/vnd.ollama.image.model"
_GGUF_DEPTHS = ("*.gguf", "*/*.gguf", "*/*/*.gguf")


@dataclass(frozen=True, kw_only=True)
class FoundModel:
    """A GGUF file or a Hugging Face folder. program: the one that downloaded it."""

    name: str
    path: Path
    program: str
    n_bytes: int


def find_models(home: Path | None = None) -> tuple[FoundModel, ...]:
    """Find models on this computer that may be imported, by program; unreadable ones are left out.

    Args:
        home: the user's folder; None for the actual one, and for folders from environment variables.
    """
    named: Callable[[str], str] = (lambda name: os.environ.get(name, "")) if home is None else (lambda name: "")
    home = Path.home() if home is None else home
    places: tuple[Iterator[FoundModel], ...] = (
        _in_hub_cache(_hub_cache(home, named)),
        _ggufs("LM Studio", home / ".lmstudio" / "models"),
        _ggufs("LM Studio", home / ".cache" / "lm-studio" / "models"),
        _in_ollama(Path(named("OLLAMA_MODELS") or home / ".ollama" / "models")),
        _ggufs("llama.cpp", Path(named("LLAMA_CACHE") or home / ".cache" / "llama.cpp")),
    )
    return tuple(model for place in places for model in itertools.islice(_readable(place), _MAX_FOUND))


def _hub_cache(home: Path, named: Callable[[str], str]) -> Path:
    if cache := named("HF_HUB_CACHE") or named("HUGGINGFACE_HUB_CACHE"):
        return Path(cache)
    return Path(named("HF_HOME") or home / ".cache" / "huggingface") / "hub"


def _readable(models: Iterator[FoundModel]) -> Iterator[FoundModel]:
    """Yield the models until an unreadable folder."""
    try:
        yield from models
    except OSError:
        return


def _in_hub_cache(folder: Path) -> Iterator[FoundModel]:
    """Yield the newest snapshot of each model whose class is supported, and GGUF files."""
    for repository in sorted(folder.glob("models--*")):
        name = repository.name.removeprefix("models--").replace("--", "/", 1)
        snapshots = sorted((repository / "snapshots").glob("*"), key=lambda path: path.stat().st_mtime)
        if not snapshots:
            continue
        for file in sorted(snapshots[-1].glob("*.gguf")):
            yield FoundModel(name=file.stem, path=file, program="Hugging Face", n_bytes=file.stat().st_size)
        weights = [path for path in snapshots[-1].glob("*.safetensors") if path.is_file()]
        if weights and _runs_here(snapshots[-1] / "config.json"):
            size = sum(path.stat().st_size for path in weights)
            yield FoundModel(name=name, path=snapshots[-1], program="Hugging Face", n_bytes=size)


def _runs_here(config: Path) -> bool:
    try:
        classes = read_json(config).get("architectures")
    except ValueError:
        return False
    return isinstance(classes, list) and bool(classes) and classes[0] in FAMILIES


def _ggufs(program: str, folder: Path) -> Iterator[FoundModel]:
    """Yield the GGUF files up to two folders deep."""
    for pattern in _GGUF_DEPTHS:
        for path in sorted(folder.glob(pattern)):
            if path.is_file() and "mmproj" not in path.name.lower():
                yield FoundModel(name=path.stem, path=path, program=program, n_bytes=path.stat().st_size)


def _in_ollama(folder: Path) -> Iterator[FoundModel]:
    """Yield the weights of each model: a GGUF file named by its SHA-256."""
    for manifest in sorted((folder / "manifests").glob("*/*/*/*")):
        try:
            layers = read_json(manifest).get("layers")
        except ValueError:
            continue
        for layer in layers if isinstance(layers, list) else ():
            digest = str(layer.get("digest", "")) if isinstance(layer, dict) else ""
            if digest and layer.get("mediaType") == _OLLAMA_WEIGHTS and _DIGEST.fullmatch(digest):
                path = folder / "blobs" / digest.replace(":", "-")
                if path.is_file():
                    name = f"{manifest.parent.name}-{manifest.name}"
                    yield FoundModel(name=name, path=path, program="Ollama", n_bytes=path.stat().st_size)
