"""Reads and writes LoRA adapters as GGUF files, which llama.cpp applies to the GGUF file of their model.

Their tensors are named after those of that file, “NAME.weight.lora_a” (r, N) and “….lora_b” (M, r); each adapter is
multiplied by alpha / r. As in that file, the rows of queries and keys are permuted, and matrices of experts have an
extra dimension.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gguf import GGUFWriter
from torch import Tensor

from terrarium.models.architecture.lora import DOWN, UP
from terrarium.models.events import Event, Phase, result_of
from terrarium.models.files.atomic import DamagedError
from terrarium.models.files.gguf_file import GgufTensor, read_gguf_header
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
from terrarium.models.interop.graphs.graph import Graph, in_halves, in_pairs
from terrarium.models.interop.graphs.graphs import GRAPHS, graph_of
from terrarium.models.interop.loading import is_gguf
from terrarium.models.interop.parents import Parent, open_parent
from terrarium.models.interop.writing import file_path, new_file
from terrarium.models.library.library import Library
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.tune_spec import TuneSpec

_A, _B = ".weight.lora_a", ".weight.lora_b"
_EXPERTS = "_exps"


def is_gguf_adapter(path: Path) -> bool:
    """Whether this is a GGUF file with an adapter; ValueError if it is a GGUF file that cannot be read."""
    return path.is_file() and is_gguf(path) and read_gguf_header(path)[0].get("general.type") == "adapter"


def export_gguf_adapter(run: RunFolder, out: Path) -> Generator[Event, None, Path]:
    """Write the adapters of a run's last checkpoint to the GGUF file `out`, and return its path. Yields Phase.

    Raises:
        ValueError: if the run has none or has trained more than adapters, llama.cpp has no graph for the design, or
            `out` exists; OSError if it cannot be written.
    """
    out = file_path(out, ".gguf")
    adapter = trained_adapter(run)
    graph = graph_of(adapter.config)
    yield Phase(name="Writing the adapter")
    written: dict[str, Tensor] = {}
    usual = 0
    for module in modules_of(adapter.config, graph.weights(adapter.config)):
        pairs = pairs_of(module, adapter.tensors)
        if not pairs:
            continue
        usual = usual or len(pairs[0].a)
        if module.name.endswith(_EXPERTS):
            a, b = torch.stack([pair.a for pair in pairs]), torch.stack([pair.b for pair in pairs])
        else:
            a, b = joined(module, pairs)
            b = in_pairs(b, graph.paired_heads(f"{module.name}.weight", adapter.config))
        written[module.name + _A] = a
        written[module.name + _B] = b * (a.shape[-2] / usual)  # in GGUF, all have the same alpha
    with new_file(out) as half_made:
        writer = GGUFWriter(half_made, graph.name)
        try:
            writer.add_type("adapter")
            writer.add_name(run.spec.name)
            writer.add_string("adapter.type", "lora")
            writer.add_float32("adapter.lora.alpha", adapter.scale * usual)
            arrays = {name: np.ascontiguousarray(tensor.float().numpy()) for name, tensor in written.items()}
            for name, array in arrays.items():
                writer.add_tensor_info(name, array.shape, array.dtype, array.nbytes)
            writer.write_header_to_file()
            writer.write_kv_data_to_file()
            writer.write_ti_data_to_file()
            assert writer.fout is not None
            [file] = writer.fout
            writer.write_padding(file, file.tell())
            for array in arrays.values():
                file.write(array.tobytes())  # gguf's own writer would not report a full disk
                writer.write_padding(file, array.nbytes)
        finally:
            writer.close()
    return out


def import_gguf_adapter(
    source: Path, base: str, library: Library, out: Path | None = None, name: str | None = None
) -> Generator[Event, None, RunFolder]:
    """Make a run with the adapter in the file `source` on a copy of the model `base`. As `import_peft`.

    Raises:
        ValueError: if the adapter cannot be read or belongs to another model, or `out` exists already.
    """
    source = source.absolute()
    about, stored = read_gguf_header(source)
    alpha: Any = about.get("adapter.lora.alpha")
    if about.get("adapter.type") != "lora" or not isinstance(alpha, float) or alpha <= 0:
        raise ValueError(f"{source} is no plain LoRA adapter (adapter.type and adapter.lora.alpha say so).")
    parent = yield from open_parent(library, base)
    architecture = str(about.get("general.architecture"))
    graph = GRAPHS.get(architecture)
    if graph is None or graph.lacks(parent.config):
        raise ValueError(
            f"{source} adapts a model of the architecture {architecture!r}, which {parent.name!r} is not: the adapter "
            "belongs to another model."
        )
    yield Phase(name="Reading the adapter")
    rank = _usual_rank(source, stored)
    tensors = _read(source, stored, parent, graph, rank)
    tune = TuneSpec(parent=parent.reference, mode="lora", lora_r=rank, lora_alpha=alpha)
    return (
        yield from run_with_adapter(
            parent, tensors, alpha / rank, tune, source=source, kind="gguf", library=library, out=out, name=name
        )
    )


def _usual_rank(source: Path, stored: Mapping[str, GgufTensor]) -> int:
    ranks = [tensor.shape[-2] for name, tensor in stored.items() if name.endswith(_A) and len(tensor.shape) > 1]
    if not ranks:
        raise DamagedError(f"{source} is damaged: it holds no adapter.")
    return min(ranks)


def _read(source: Path, stored: Mapping[str, GgufTensor], parent: Parent, graph: Graph, rank: int) -> dict[str, Tensor]:
    """Return the adapters by Terrarium's names, all to be multiplied by alpha / rank."""
    config = parent.config
    modules = {module.name: module for module in modules_of(config, graph.weights(config))}
    left = {name: torch.from_numpy(result_of(tensor.read())) for name, tensor in stored.items()}
    found: dict[str, Tensor] = {}
    for name in [name.removesuffix(_A) for name in stored if name.endswith(_A)]:
        module = known_module(str(source), name, modules, parent)
        a, b = left.pop(name + _A), left.pop(name + _B, None)
        if b is None:
            raise DamagedError(f"{source} is damaged: it has only one of the two matrices of {name!r}.")
        factor = rank / a.shape[-2] if a.dim() > 1 else 1.0  # in GGUF, all have the same alpha
        for path, a_here, b_here in _parts(str(source), module, a, b, graph, parent):
            found[f"{path}.{DOWN}"] = a_here.clone()
            found[f"{path}.{UP}"] = (b_here if factor == 1 else b_here * factor).contiguous()
    if left:
        raise ValueError(f"{source} has the tensor {min(left)!r}, which is not one of a plain LoRA adapter.")
    return found


def _parts(
    where: str, module: Module, a: Tensor, b: Tensor, graph: Graph, parent: Parent
) -> Iterator[tuple[str, Tensor, Tensor]]:
    """Yield each layer's path, A and B, in Terrarium's order; ValueError if they do not fit the model."""
    if a.dim() == b.dim() == 3 and len(a) == len(b) == len(module.parts):
        for (path, _), a_here, b_here in zip(module.parts, a, b, strict=True):
            check_pair(where, Module(module.name, ((path, None),)), a_here, b_here, parent)
            yield path, a_here, b_here
        return
    check_pair(where, module, a, b, parent)
    b = in_halves(b, graph.paired_heads(f"{module.name}.weight", parent.config))
    yield from split(module, a, b)
