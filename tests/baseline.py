"""What a restructuring must leave as it is: counts of 431 designs, losses and gradients, exported files.

    python -m tests.baseline record before.json
    python -m tests.baseline compare before.json

Compare on the processor that recorded, with the same torch: losses and gradients are compared bit for bit. Exits with 1
where something differs, and names it. For screens, `terrarium screenshots` before and after; for libraries of earlier
versions, tests/old_library.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import random
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

from terrarium.models.architecture.transformer import AnyModel, build_model
from terrarium.models.design import (
    active_parameters,
    operations,
    parameters_by_component,
    trained_parameters,
    training_memory,
)
from terrarium.models.events import result_of
from terrarium.models.files.gguf_file import read_gguf_header
from terrarium.models.interop.export import export_hf
from terrarium.models.interop.graphs.graphs import NoGraphError
from terrarium.models.interop.publish.gguf_plan import plan_gguf
from terrarium.models.interop.publish.share import write_gguf
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.presets import PRESETS
from terrarium.models.settings.tune_spec import TuneSpec
from terrarium.models.training.estimates.measure import RandomTexts
from tests.models.designs import tiny_design

N_DESIGNS = 431
_VARIANTS = {
    "llama-tiny, grouped, experts": ("llama-tiny", {"n_kv_head": 1, "n_expert": 4, "n_expert_used": 2}),
    "llama-tiny, sliding window": ("llama-tiny", {"sliding_window": 5}),
    "gpt2-tiny, labels": ("gpt2-tiny", {"head": "sequence", "n_label": 3}),
    "bert-tiny, labels": ("bert-tiny", {"head": "sequence", "n_label": 3, "pooler": True}),
    "bart-tiny, labels": ("bart-tiny", {"head": "sequence", "n_label": 3}),
    "t5-tiny, another encoder": ("t5-tiny", {"n_encoder_layer": 2, "n_encoder_head": 2, "d_encoder_ff": 64}),
}
_ROWS, _LENGTH, _SOURCE = 2, 13, 7
_LORA = TuneSpec(parent="a parent", mode="lora", lora_r=8)


def designs() -> dict[str, ModelConfig]:
    """All presets, variants of them, and random designs."""
    named = {name: dataclasses.replace(PRESETS[preset], **values) for name, (preset, values) in _VARIANTS.items()}
    found = dict(PRESETS) | named
    rng = random.Random(0)
    while len(found) < N_DESIGNS:
        if (config := tiny_design(rng)) is not None:
            found[f"random {len(found)}"] = config
    return found


def counts(config: ModelConfig) -> dict[str, Any]:
    """What is counted and estimated of a design."""
    length = min(_LENGTH, config.context_length)
    found: dict[str, Any] = {
        "parameters": {name: n for name, n in parameters_by_component(config).items() if n},
        "active": active_parameters(config),
        "operations": {name: n for name, n in operations(config, length, length).items() if n},
        "memory": training_memory(config, _ROWS, length),
    }
    try:
        found["lora"] = dataclasses.asdict(trained_parameters(config, _LORA))
    except ValueError as error:
        found["lora"] = str(error)
    return found


def computed(config: ModelConfig, model: AnyModel) -> dict[str, str]:
    """The loss of a batch of random tokens, as a hexadecimal number, and a hash of its gradients."""
    if config.head == "none":
        return {}
    texts = RandomTexts(config, _ROWS, _LENGTH, _SOURCE, torch.device("cpu"))
    loss = texts.loss(model)
    loss.backward()  # type: ignore[no-untyped-call]
    digest = hashlib.sha256()
    for name, weight in sorted(model.named_parameters()):
        digest.update(name.encode())
        if weight.grad is not None:
            digest.update(weight.grad.contiguous().numpy().tobytes())
    return {"loss": loss.item().hex(), "gradients": digest.hexdigest()}


def exported(config: ModelConfig, model: AnyModel, folder: Path) -> dict[str, str]:
    """A hash of each file of its Hugging Face folder, and of its GGUF file; why there is none."""
    found: dict[str, str] = {}
    try:
        out = result_of(export_hf(model, None, folder / "hf"))
        found |= {f"hf/{file.name}": _sha256(file) for file in sorted(out.iterdir())}
    except ValueError as error:
        found["hf"] = str(error)
    try:
        file = result_of(write_gguf(model, plan_gguf(config, None, "F32"), folder / "model.gguf"))
        found["gguf"] = _sha256(file)
    except (NoGraphError, ValueError) as error:
        found["gguf"] = str(error)
    return found


def _sha256(file: Path) -> str:
    """The hash of a file; of one with tensors, whatever their order: of their names, shapes, types and values."""
    if file.suffix == ".safetensors":
        return _of_tensors({name: tensor.numpy() for name, tensor in load_file(file).items()})
    if file.suffix == ".gguf":
        about, tensors = read_gguf_header(file)
        values = {name: result_of(tensor.read()) for name, tensor in tensors.items()}
        return _of_tensors(values, json.dumps(about, sort_keys=True, default=str))
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _of_tensors(tensors: Mapping[str, np.ndarray[Any, Any]], about: str = "") -> str:
    found = hashlib.sha256(about.encode())
    for name, values in sorted(tensors.items()):
        found.update(f"{name} {values.shape} {values.dtype}".encode())
        found.update(values.tobytes())
    return found.hexdigest()


def baseline() -> dict[str, Any]:
    """All that is compared, by the name of a design."""
    torch.set_num_threads(1)  # a sum depends on how many threads share it
    found: dict[str, Any] = {
        "about": {"torch": torch.__version__, "processor": torch.backends.cpu.get_cpu_capability()}
    }
    for name, config in designs().items():
        found[name] = {"counts": counts(config)}
        if name.endswith("-tiny") or name in _VARIANTS:
            torch.manual_seed(0)
            model = build_model(config).eval()
            with tempfile.TemporaryDirectory() as folder:
                found[name] |= {"computed": computed(config, model), "exported": exported(config, model, Path(folder))}
    return json.loads(json.dumps(found))  # type: ignore[no-any-return]


def differences(before: Any, after: Any, where: str = "") -> Iterator[str]:
    """Where two baselines differ, a line each."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in sorted(before.keys() | after.keys()):
            yield from differences(before.get(key), after.get(key), f"{where} › {key}" if where else key)
    elif before != after:
        yield f"{where}: {before} → {after}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=("record", "compare"))
    parser.add_argument("file", type=Path)
    args = parser.parse_args()
    found = baseline()
    if args.action == "record":
        args.file.write_text(json.dumps(found, indent=1), encoding="utf-8")
        return 0
    different = list(differences(json.loads(args.file.read_text(encoding="utf-8")), found))
    sys.stdout.writelines(f"{line}\n" for line in different)
    return 1 if different else 0


if __name__ == "__main__":
    raise SystemExit(main())
