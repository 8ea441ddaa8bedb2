"""Models of the Hugging Face hub: search, and inspection before a download. No torch import.

Only weights as safetensors or GGUF, the config and the tokenizer are ever downloaded from a repository, all from its
top folder: nothing pickled, and no code.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from terrarium.models.design import total_parameters
from terrarium.models.events import Event
from terrarium.models.hub_client import TIMEOUT_S, HubClient, HubFile
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.tokenizers.importing import TOKENIZER_FILES

SORTS = {
    "trending_score": "Trending",
    "downloads": "Most downloads",
    "likes": "Most likes",
    "last_modified": "Changed last",
}
"""Sort orders of the hub's lists -> their titles."""
SAFETENSORS = "safetensors"
"""The variant name of a Hugging Face folder's weights, as opposed to the names of GGUF files."""

_MAX_RESULTS = 60
_MAX_CONFIG = 1 << 20
_EXPAND = ("config", "downloads", "gated", "gguf", "likes", "pipeline_tag", "safetensors", "tags")
_NAME = re.compile(r"[A-Za-z0-9][\w.+-]*")
"""The file names that are accepted: none leads to another folder on any system."""
_SINGLE, _INDEX = "model.safetensors", "model.safetensors.index.json"
_SHARD = re.compile(r"model-\d{5}-of-\d{5}\.safetensors")
_PART_OF_GGUF = re.compile(r"-\d{5}-of-\d{5}\.gguf$|mmproj|imatrix", re.IGNORECASE)
_FORBIDDEN = (".py", ".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")
"""Endings of files that can run code, which are never downloaded."""
_PREFERRED = ("q8_0", "q6_k", "q5_k_m", "q4_k_m", "f16", "bf16")
"""Formats of GGUF files in order of preference; the first one available is proposed."""


@dataclass(frozen=True, kw_only=True)
class HubModel:
    """A model of the hub, as found by a search.

    id: owner/name. gated: whether access must be requested from its owner. licence: from its card, "" if not stated.
    architecture: its class, or its llama.cpp graph; "" if unknown. n_parameters: None if unknown. task: the hub's
    name of its task, such as “text-generation”. problem: why it is not supported, "" if no problem is known.
    """

    id: str
    downloads: int = 0
    likes: int = 0
    licence: str = ""
    gated: bool = False
    architecture: str = ""
    n_parameters: int | None = None
    task: str = ""
    problem: str = ""


@dataclass(frozen=True, kw_only=True)
class Variant:
    """Files that are downloaded together: those of a Hugging Face folder (SAFETENSORS), or one GGUF file."""

    name: str
    files: tuple[HubFile, ...]

    @property
    def n_bytes(self) -> int:
        """Their total size."""
        return sum(file.size for file in self.files)

    @property
    def is_gguf(self) -> bool:
        """Whether it is a GGUF file."""
        return self.name != SAFETENSORS


@dataclass(frozen=True, kw_only=True)
class ModelDetails:
    """The hub's information on a model before it is downloaded.

    revision: the commit to download. variants: the proposed one first. n_parameters and context are 0 if unknown.
    config: its design, if config.json has it. problem: why it cannot be downloaded or is not supported, else "".
    """

    model: HubModel
    revision: str
    variants: tuple[Variant, ...]
    n_parameters: int = 0
    context: int = 0
    config: ModelConfig | None = None
    problem: str = ""

    def variant(self, name: str = "") -> Variant:
        """Return the variant with that name, "" for the proposed one; ValueError if there is none."""
        found = next((each for each in self.variants if name in ("", each.name)), None)
        if found is None:
            names = ", ".join(each.name for each in self.variants)
            raise ValueError(f"“{self.model.id}” has no file {name!r}: choose one of {names}.")
        return found


class ModelHub(HubClient):
    """The models of a hub."""

    def search(self, query: str, *, sort: str = "trending_score") -> Generator[Event, None, tuple[HubModel, ...]]:
        """Return at most 60 models whose names match. sort: a key of SORTS.

        Raises:
            ValueError: if the hub cannot be reached.
        """

        def ask() -> tuple[HubModel, ...]:
            self.reach()
            wanted: dict[str, Any] = {"sort": sort, "limit": _MAX_RESULTS, "expand": list(_EXPAND)}
            if query.strip():
                wanted["search"] = query.strip()
            return tuple(_model(info) for info in self.api().list_models(**wanted))

        return (yield from self.answer(ask, "The hub"))

    def details(self, id: str) -> Generator[Event, None, ModelDetails]:
        """Return the hub's information on a model; ValueError if it does not exist, or the hub cannot be reached."""

        def ask() -> ModelDetails:
            info = self.api().model_info(id, files_metadata=True, timeout=TIMEOUT_S)
            names = {str(file.rfilename) for file in info.siblings or ()}
            has_folder = "config.json" in names and any(name.endswith(".safetensors") for name in names)
            return _details(info, self._read_config(id, str(info.sha)) if has_folder else {})

        return (yield from self.answer(ask, f"“{id}”"))

    def url(self, id: str, name: str, revision: str) -> str:
        """Return the URL of a file."""
        from huggingface_hub import hf_hub_url

        return hf_hub_url(id, name, revision=revision, endpoint=self.endpoint)

    def _read_config(self, id: str, revision: str) -> dict[str, Any]:
        """Read a model's config.json."""
        from huggingface_hub import get_session
        from huggingface_hub.utils import build_hf_headers, hf_raise_for_status  # type: ignore[attr-defined]

        url, data = self.url(id, "config.json", revision), b""
        with get_session().stream("GET", url, headers=build_hf_headers(), timeout=TIMEOUT_S) as response:
            hf_raise_for_status(response)
            for chunk in response.iter_bytes():
                data += chunk
                if len(data) > _MAX_CONFIG:  # cut off, it is not valid JSON
                    break
        try:
            found = json.loads(data)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise ValueError(f"The config.json of “{id}” cannot be read: choose another model.")
        return found


def _model(info: Any, problem: str | None = None) -> HubModel:
    """Convert the hub's description of a model. problem: None to derive it from the description."""
    tags = [str(tag) for tag in info.tags or ()]
    gguf, config = info.gguf or {}, info.config if isinstance(info.config, dict) else {}
    classes = config.get("architectures") or [""]
    architecture = str(gguf.get("architecture") or classes[0] or "")
    total = gguf.get("total") or (info.safetensors.total if info.safetensors is not None else None)
    found = HubModel(
        id=str(info.id),
        downloads=int(info.downloads or 0),
        likes=int(info.likes or 0),
        licence=", ".join(tag.removeprefix("license:") for tag in tags if tag.startswith("license:")),
        gated=bool(info.gated),
        architecture=architecture,
        n_parameters=int(total) if isinstance(total, int) else None,
        task=str(info.pipeline_tag or ""),
        problem=problem or "",
    )
    return found if problem is not None else _with_problem(found, tags, is_gguf=bool(gguf))


def _with_problem(model: HubModel, tags: Sequence[str], *, is_gguf: bool) -> HubModel:
    if not is_gguf and "safetensors" not in tags and "gguf" not in tags:
        return dataclasses.replace(model, problem="Has no weights as safetensors or GGUF.")
    return dataclasses.replace(model, problem=_unsupported(model.architecture, is_gguf=is_gguf))


def _unsupported(architecture: str, *, is_gguf: bool) -> str:
    """Return why models of this architecture are not supported; "" if they may be."""
    from terrarium.models.interop.families import FAMILIES
    from terrarium.models.interop.graphs.graphs import GRAPHS

    if not architecture or architecture in (GRAPHS if is_gguf else FAMILIES):
        return ""
    known = ", ".join(GRAPHS) if is_gguf else "the classes of Llama, Mistral, Mixtral, GPT-2, BERT, T5, BART and Marian"
    return f"The architecture {architecture} does not run here: it can be {known}."


def _details(info: Any, raw: dict[str, Any]) -> ModelDetails:
    files = [
        HubFile(
            name=str(file.rfilename),
            size=int(file.size or 0),
            sha256=str(file.lfs.sha256) if file.lfs is not None else "",
            git_sha1=str(file.blob_id or "") if file.lfs is None else "",
        )
        for file in info.siblings or ()
        if _NAME.fullmatch(str(file.rfilename)) and not str(file.rfilename).lower().endswith(_FORBIDDEN)
    ]
    folder, ggufs = _folder_variant(files), _gguf_variants(files)
    config, problem = None, ""
    n_parameters = context = 0
    if folder is not None:
        config, problem = _read(raw)
    if config is not None:
        n_parameters, context = total_parameters(config), config.context_length
    if folder is None or (problem and ggufs):
        folder, gguf = None, info.gguf or {}
        n_parameters, context = (int(gguf.get(key) or 0) for key in ("total", "context_length"))
        problem = _unsupported(str(gguf.get("architecture") or ""), is_gguf=True) if ggufs else _no_weights(info)
    variants = (*([folder] if folder is not None else []), *ggufs)
    if not problem and any(not file.sha256 for each in variants for file in each.files if _is_weights(file)):
        problem = "The hub gives no checksums of its weights, so a download could not be checked: choose another model."
    return ModelDetails(
        model=_model(info, problem),
        revision=str(info.sha or "main"),
        variants=variants,
        n_parameters=n_parameters,
        context=context,
        config=config,
        problem=problem,
    )


def _read(raw: dict[str, Any]) -> tuple[ModelConfig | None, str]:
    """Return the design in a config.json, or why it is not supported."""
    from terrarium.models.interop.families import FAMILIES

    classes = raw.get("architectures")
    name = str(classes[0]) if isinstance(classes, list) and classes else ""
    if not name:
        return None, "Its config.json does not name the model's class: choose another model."
    if name not in FAMILIES:
        return None, _unsupported(name, is_gguf=False)
    try:
        return FAMILIES[name].read_config(raw), ""
    except ValueError as error:
        return None, f"Its design does not run here ({name}): {error}"


def _no_weights(info: Any) -> str:
    pickled = any(str(file.rfilename).endswith((".bin", ".pt", ".pth", ".ckpt")) for file in info.siblings or ())
    why = "only pickled ones, which can run code when they are opened" if pickled else "at least not in its top folder"
    return f"Has no weights as safetensors or GGUF ({why}): choose another model."


def _folder_variant(files: Sequence[HubFile]) -> Variant | None:
    """Return the files of a Hugging Face folder; None if it has no config, or no weights as safetensors."""
    named = {file.name: file for file in files}
    weights = [named[_SINGLE]] if _SINGLE in named else []
    if not weights and _INDEX in named:
        weights = [named[_INDEX], *(file for file in files if _SHARD.fullmatch(file.name))]
    if not weights or "config.json" not in named:
        return None
    patterns = ("config.json", "generation_config.json", *TOKENIZER_FILES)
    others = [file for file in files if any(fnmatchcase(file.name, pattern) for pattern in patterns)]
    return Variant(name=SAFETENSORS, files=(*others, *weights))


def _gguf_variants(files: Sequence[HubFile]) -> list[Variant]:
    """Return each GGUF file that is a complete model, the proposed one first, then by size."""
    whole = [file for file in files if file.name.lower().endswith(".gguf") and not _PART_OF_GGUF.search(file.name)]
    whole.sort(key=lambda file: file.size)
    ranks = [
        next((i for i, kind in enumerate(_PREFERRED) if kind in file.name.lower()), len(_PREFERRED)) for file in whole
    ]
    proposed = min(range(len(whole)), key=ranks.__getitem__, default=0)
    ordered = [*whole[proposed : proposed + 1], *whole[:proposed], *whole[proposed + 1 :]]
    return [Variant(name=file.name, files=(file,)) for file in ordered]


def _is_weights(file: HubFile) -> bool:
    return file.name.lower().endswith((".safetensors", ".gguf"))
