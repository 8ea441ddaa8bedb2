"""Writes GGUF files, which llama.cpp, Ollama and LM Studio run, with the quantisers of the `gguf` package."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from pathlib import Path

import numpy as np
from gguf import GGUFValueType, GGUFWriter, quants
from torch import Tensor

from terrarium.models.architecture.transformer import AnyModel
from terrarium.models.events import Event, Notice, Phase, Progress
from terrarium.models.interop.graphs.graph import in_pairs
from terrarium.models.interop.publish.gguf_plan import Plan, PlannedTensor, Value, file_tensors
from terrarium.models.interop.writing import new_file

_CHUNK = 1 << 20
"""Numbers that are quantised together, which takes some ten milliseconds."""


def write_gguf(model: AnyModel, plan: Plan, out: Path) -> Generator[Event, None, Path]:
    """Write the file `out` as planned, atomically, and return it. Yields Phase, Notice and Progress (bytes).

    Raises:
        ValueError: if `out` exists; OSError if it cannot be written.
    """
    _, tensors = file_tensors(plan.graph, model.config, model.state_dict())
    with new_file(out) as half_made:
        yield Phase(name="Writing the file")
        for note in plan.notes:
            yield Notice(sentence=note)
        writer = GGUFWriter(half_made, plan.graph.name)
        try:
            for key, value in plan.fields.items():
                _add(writer, key, value)
            for name, each in plan.tensors.items():
                # The shape is in numbers, not bytes, so a float dtype is passed; `raw_dtype` is the stored format.
                writer.add_tensor_info(name, each.shape, np.dtype(np.float32), each.n_bytes, raw_dtype=each.kind)
            writer.write_header_to_file()
            writer.write_kv_data_to_file()
            writer.write_ti_data_to_file()
            yield from _write_tensors(writer, plan, tensors)
        finally:
            writer.close()
    return out


def _add(writer: GGUFWriter, key: str, value: Value) -> None:
    if isinstance(value, list):
        return writer.add_array(key, value)
    if isinstance(value, str):
        return writer.add_string(key, value)
    if isinstance(value, bool):
        return writer.add_bool(key, value)
    kind = GGUFValueType.UINT32 if isinstance(value, int) else GGUFValueType.FLOAT32
    return writer.add_key_value(key, value, kind)


def _write_tensors(writer: GGUFWriter, plan: Plan, tensors: Mapping[str, Tensor]) -> Generator[Event, None, None]:
    assert writer.fout is not None
    [file] = writer.fout
    total, done = sum(each.n_bytes for each in plan.tensors.values()), 0
    writer.write_padding(file, file.tell())
    for name, each in plan.tensors.items():
        for part in _parts(in_pairs(tensors[name], plan.graph.paired_heads(name, plan.config)), each):
            done += file.write(part.tobytes())
            yield Progress(done=done, total=total)
        writer.write_padding(file, each.n_bytes)


def _parts(tensor: Tensor, planned: PlannedTensor) -> Generator[np.ndarray, None, None]:
    """Yield the quantised rows in chunks."""
    rows = tensor.detach().cpu().reshape(-1, tensor.shape[-1])
    step = max(1, _CHUNK // rows.shape[1])
    for start in range(0, len(rows), step):
        numbers = np.ascontiguousarray(rows[start : start + step].float().numpy())
        yield quants.quantize(numbers, planned.kind)
