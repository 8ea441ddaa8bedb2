"""Reads and writes LoRA adapters as PEFT folders: adapter_config.json and adapter_model.safetensors.

PEFT's names are those of the Hugging Face class that computes the design, “base_model.model.NAME.lora_A.weight” (r,
in) and “….lora_B.weight” (out, r); or of the class in the exported folder, if that has its own code. If one remote
matrix is several local ones (GPT-2's c_attn is query, key and value), export stacks their A and puts their B on a
diagonal, at a multiple of the rank; after import, they share A and each has its rows of B. Both are exact.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from terrarium.models.architecture.lora import DOWN, UP
from terrarium.models.events import Event, Notice, Phase
from terrarium.models.files.atomic import DamagedError, atomic_write_json, read_json
from terrarium.models.interop.adapters.modules import (
    Module,
    check_pair,
    joined,
    known_module,
    modules_of,
    pairs_of,
    split,
)
from terrarium.models.interop.adapters.runs import run_with_adapter, trained_adapter
from terrarium.models.interop.chat_templates import read_template_config_events
from terrarium.models.interop.export import write_tokenizer
from terrarium.models.interop.families import family_for_export
from terrarium.models.interop.parents import Parent, open_parent
from terrarium.models.interop.stored import read_tensors
from terrarium.models.interop.writing import new_folder, write_tensors
from terrarium.models.library.library import Library
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.tune_spec import TuneSpec
from terrarium.models.tokenizers import read_tokenizer

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"

_OWN_CODE = (
    "The transformers library does not know this design, so use the adapter with the folder that its model is "
    "exported as, which contains its code."
)

_TASKS = {"decoder-only": "CAUSAL_LM", "encoder-decoder": "SEQ_2_SEQ_LM", "encoder-only": None}
_KEY = re.compile(r"base_model\.model\.(.+)\.lora_([AB])(?:\.default)?\.weight")
_REFUSED = {
    "use_dora": "DoRA",
    "modules_to_save": "modules_to_save",
    "lora_bias": "lora_bias",
    "target_parameters": "target_parameters",
    "trainable_token_indices": "trainable_token_indices",
    "layer_replication": "layer_replication",
    "alora_invocation_tokens": "aLoRA",
    "use_qalora": "QALoRA",
    "use_bdlora": "BD-LoRA",
    "arrow_config": "Arrow",
    "kasa_config": "KaSA",
    "velora_config": "VeLoRA",
    "monteclora_config": "MonteCLoRA",
}
"""Options of an adapter that change the computation and are not supported, by name."""


def is_peft(path: Path) -> bool:
    """Whether this is the folder of an adapter."""
    return (path / CONFIG).is_file()


def export_peft(run: RunFolder, out: Path) -> Generator[Event, None, Path]:
    """Write the adapters of a run's last checkpoint, with its tokenizer, into the new folder `out`, and return it.

    Yields Phase and, if no Hugging Face class computes the design, a Notice.

    Raises:
        ValueError: if the run has none or has trained more than adapters, or `out` exists.
    """
    adapter = trained_adapter(run)
    config, scale = adapter.config, adapter.scale
    family = family_for_export(config)
    if "auto_map" in family.write_config(config):
        yield Notice(sentence=_OWN_CODE)
    modules = modules_of(config, family.weights(config))
    yield Phase(name="Writing the adapter")
    chat = yield from read_template_config_events(run.folder)
    tune = run.spec.tune
    is_rs = tune is not None and tune.lora_rslora
    written: dict[str, Tensor] = {}
    ranks: dict[str, int] = {}
    for module in modules:
        pairs = pairs_of(module, adapter.tensors)
        if not pairs:
            continue
        a, b = joined(module, pairs)
        written[f"base_model.model.{module.name}.lora_A.weight"] = a
        written[f"base_model.model.{module.name}.lora_B.weight"] = b
        ranks[module.name] = len(a)
    usual = tune.lora_r if tune is not None else next(iter(ranks.values()))
    targets = _targets([module.name for module in modules], ranks)
    odd = {target: ranks[name] for name, target in targets.items() if ranks[name] != usual}
    with new_folder(out) as folder:
        for _ in write_tensors(folder / WEIGHTS, written):
            pass
        about = {
            "peft_type": "LORA",
            "task_type": _TASKS[config.topology],
            "base_model_name_or_path": _base_name(run),
            "r": usual,
            "lora_alpha": _alpha(scale, usual, is_rs),
            "lora_dropout": 0.0 if tune is None else tune.lora_dropout,
            "use_rslora": is_rs,
            "bias": "none",
            "fan_in_fan_out": any(module.transposed for module in modules),
            "target_modules": sorted(set(targets.values())),
            "rank_pattern": odd,
            "alpha_pattern": {name: _alpha(scale, rank, is_rs) for name, rank in odd.items()},
            "modules_to_save": None,
            "inference_mode": True,
        }
        atomic_write_json(folder / CONFIG, about, indent=2)
        if run.tokenizer_file.is_file():
            write_tokenizer(folder, config, read_tokenizer(run.tokenizer_file), chat)
    return out


def import_peft(
    source: Path, base: str, library: Library, out: Path | None = None, name: str | None = None
) -> Generator[Event, None, RunFolder]:
    """Make a run with the adapter in `source` on a copy of the model `base`: `out`, or a new one of the library.

    Yields Phase, Progress and Notice; closing the generator leaves no files.

    Args:
        base: as `TuneSpec.parent`.
        name: the name of the run; by default the folder's name.

    Raises:
        ValueError: if the adapter cannot be read or belongs to another model, or `out` exists already.
    """
    source = source.absolute()
    settings = _read_config(source)
    parent = yield from open_parent(library, base)
    yield Phase(name="Reading the adapter")
    tensors, scale = _read_adapter(source, settings, parent)
    tune = TuneSpec(
        parent=parent.reference,
        mode="lora",
        lora_r=settings.r,
        lora_alpha=settings.alpha,
        lora_rslora=settings.is_rs,
    )
    return (
        yield from run_with_adapter(
            parent, tensors, scale, tune, source=source, kind="peft", library=library, out=out, name=name
        )
    )


def _targets(known: list[str], adapted: Mapping[str, int]) -> dict[str, str]:
    """Return each adapted matrix's entry in target_modules: its last name, or its full name if others share it."""
    last = {name: name.rpartition(".")[2] for name in adapted}
    kinds: dict[str, set[int]] = {}
    for name, rank in adapted.items():
        kinds.setdefault(last[name], set()).add(rank)
    whole = {name.rpartition(".")[2] for name in known if name not in adapted}
    whole |= {kind for kind, ranks in kinds.items() if len(ranks) > 1} | {"dense"}  # BERT has others of that name
    return {name: name if last[name] in whole else last[name] for name in adapted}


def _alpha(scale: float, rank: int, is_rs: bool) -> float:
    return scale * (rank**0.5 if is_rs else rank)


def _base_name(run: RunFolder) -> str:
    """Return the path of the parent if it came from elsewhere, else its name."""
    parent = run.lineage.get("parent") or {}
    return str(parent.get("path") or parent.get("name") or "")


@dataclass(frozen=True)
class _Settings:
    """The settings in adapter_config.json. alphas: alpha by the end of a matrix's name, if it differs from `alpha`."""

    r: int
    alpha: float
    is_rs: bool
    alphas: Mapping[str, float]

    def scale(self, module: str, rank: int) -> float:
        """Return the factor of a matrix's adapter."""
        own = (alpha for name, alpha in self.alphas.items() if f".{module}".endswith(f".{name}"))
        return next(own, self.alpha) / (rank**0.5 if self.is_rs else rank)


def _read_config(folder: Path) -> _Settings:
    file = folder / CONFIG
    raw = read_json(file)
    if raw.get("peft_type") != "LORA":
        raise ValueError(f"{file}: adapters of the type {raw.get('peft_type')!r} are not supported: it must be LORA.")
    for option, words in _REFUSED.items():
        if raw.get(option):
            raise ValueError(f"{file}: {words} is not supported: merge the adapter into its model with PEFT first.")
    if raw.get("bias", "none") != "none":
        raise ValueError(f"{file}: trained biases are not supported: merge the adapter into its model with PEFT first.")
    start = raw.get("init_lora_weights", True)
    if isinstance(start, str) and start != "gaussian":
        raise ValueError(
            f"{file}: adapters that begin as {start!r} belong to a changed model: convert this one to plain LoRA first."
        )
    r, alphas = raw.get("r"), raw.get("alpha_pattern") or {}
    numbers = [raw.get("lora_alpha"), *alphas.values()] if isinstance(alphas, dict) else []
    alpha, *others = [float(n) for n in numbers if type(n) in (int, float) and n > 0] or [0.0]
    if type(r) is not int or r < 1 or not numbers or len(numbers) != 1 + len(others):
        raise DamagedError(f"{file} is damaged: its r, lora_alpha and alpha_pattern must be numbers above 0.")
    if any(not re.fullmatch(r"[\w.]+", name) for name in alphas):
        raise ValueError(f"{file}: alpha_pattern has a regular expression, which is not supported: write names.")
    return _Settings(r, alpha, bool(raw.get("use_rslora")), dict(zip(alphas, others, strict=True)))


def _read_adapter(folder: Path, settings: _Settings, parent: Parent) -> tuple[dict[str, Tensor], float]:
    """Return the adapters by Terrarium's names, and their common factor."""
    file = folder / WEIGHTS
    if not file.is_file() and (folder / "adapter_model.bin").is_file():
        raise ValueError(
            f"{folder} has its weights only in adapter_model.bin, which can run code when it is opened: save the "
            "adapter as safetensors."
        )
    pairs: dict[str, dict[str, Tensor]] = {}
    for key, tensor in read_tensors(file).items():
        match = _KEY.fullmatch(key)
        if match is None:
            raise ValueError(f"{file} has the tensor {key!r}, which is not one of a plain LoRA adapter.")
        pairs.setdefault(match[1], {})[match[2]] = tensor.float()
    if not pairs:
        raise DamagedError(f"{file} is damaged: it holds no adapter.")
    modules = _by_name(parent.config)
    found: dict[str, Tensor] = {}
    common = settings.scale("", settings.r)
    for name, pair in pairs.items():
        module = known_module(str(file), name, modules, parent)
        if set(pair) != {"A", "B"}:
            raise DamagedError(f"{file} is damaged: it has only one of the two matrices of {name!r}.")
        a, b = pair["A"], pair["B"]
        check_pair(str(file), module, a, b, parent)
        factor = settings.scale(name, len(a)) / common
        for path, a_here, b_here in split(module, a, b):
            found[f"{path}.{DOWN}"] = a_here.clone()
            found[f"{path}.{UP}"] = (b_here if factor == 1 else b_here * factor).contiguous()
    return found, common


def _by_name(config: ModelConfig) -> dict[str, Module]:
    """Return the matrices by the names that files may have: also without the prefix that a headless class lacks."""
    family = family_for_export(config)
    modules = modules_of(config, family.weights(config))
    return {name: module for module in modules for name in (module.name.removeprefix(family.PREFIX), module.name)}
