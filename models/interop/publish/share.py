"""Writes a model as a GGUF file, with a Modelfile beside it, and reads it back to measure the loss by its format."""

from __future__ import annotations

import math
import shutil
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

import numpy as np
from gguf import GGUFValueType, GGUFWriter, quants
from tokenizers import Tokenizer
from torch import Tensor

from terrarium.models.architecture.transformer import AnyModel, Decoder
from terrarium.models.chat.own_template import CHAT_TEMPLATE
from terrarium.models.chat.template_config import ChatTemplateConfig, uses_native_template
from terrarium.models.events import Event, Notice, Phase, Progress
from terrarium.models.files.atomic import atomic_write_text
from terrarium.models.inference.held_out import HeldOut, held_out
from terrarium.models.inference.measure_weights import n_counted, nats, text_windows
from terrarium.models.inference.weight_kinds import GGUF_FORMATS, USUAL_GGUF_FORMAT
from terrarium.models.interop.chat_templates import read_template_config_events
from terrarium.models.interop.export import export_hf
from terrarium.models.interop.graphs.graph import in_pairs
from terrarium.models.interop.loading import load_config, load_model_events
from terrarium.models.interop.publish.card import model_card
from terrarium.models.interop.publish.gguf_plan import Plan, PlannedTensor, Value, file_tensors, plan_gguf
from terrarium.models.interop.publish.ollama import modelfile, ollama_commands
from terrarium.models.interop.writing import check_free, check_new_folder, discarding, file_path, new_file
from terrarium.models.library.library import Library
from terrarium.models.number_words import format_size
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.tokenizers import read_tokenizer

_SPARE = 1.02
"""The required free disk space as a multiple of the file's size."""


@dataclass(frozen=True, kw_only=True)
class GgufShared:
    """The result of a GGUF export.

    Attributes:
        modelfile: the Modelfile beside it; None for models that Ollama does not run.
        commands: how to import and run it in Ollama.
        perplexity: on the same texts, of the original model and of the written file; None if not measured.
        text, n_predicted: which texts, and how many tokens were predicted.
        notes: differences from the original model, one sentence each.
    """

    path: Path
    n_bytes: int
    quantisation: str
    modelfile: Path | None
    commands: tuple[str, ...]
    perplexity: tuple[float, float] | None
    text: str
    n_predicted: int
    notes: tuple[str, ...]


def gguf_sizes(source: Path) -> dict[str, int]:
    """Return the file size of the model in `source`, in bytes, for each of GGUF_FORMATS that it can be written in.

    Raises:
        ValueError: if it can be written in none, with the reason; or as `load_config`.
    """
    config, tokenizer = load_config(source), _tokenizer_of(source)
    found, problem = {}, None
    for quantisation in GGUF_FORMATS:
        try:
            found[quantisation] = plan_gguf(config, tokenizer, quantisation).n_bytes
        except ValueError as error:
            problem = problem or error
    if not found and problem is not None:
        raise problem
    return found


class AboutRun(TypedDict, total=False):
    """A Hugging Face folder's information on its model's run: arguments of `export_hf`."""

    labels: Sequence[str]
    name: str
    card: str


def about_run(source: Path, config: ModelConfig, licence: str = "", address: str = "") -> AboutRun:
    """Return the labels, the name and the card of the run in `source`; empty for other models.

    address: as for `model_card`.

    Raises:
        ValueError: if a record of the run is damaged.
    """
    if not (source / "run.json").is_file():
        return {}
    run = RunFolder.open(source)
    return {
        "labels": run.spec.data.labels,
        "name": run.spec.name,
        "card": model_card(run, config, licence=licence, address=address),
    }


def _tokenizer_of(source: Path) -> Tokenizer | None:
    file = source / "tokenizer.json"
    return read_tokenizer(file) if file.is_file() else None


def share_gguf(
    source: Path, out: Path, library: Library, *, quantisation: str = USUAL_GGUF_FORMAT, licence: str = ""
) -> Generator[Event, None, GgufShared]:
    """Write the model in `source` (as for `load_model`) to the GGUF file `out`, and measure the file.

    Yields Phase, Notice and Progress; closing the generator leaves no partial file.

    Args:
        quantisation: one of models.inference.weight_kinds.GGUF_FORMATS.
        licence: its licence, such as “mit”.

    Raises:
        ValueError: if llama.cpp cannot compute the design or GGUF does not support the tokenizer, the file exists
            already, the disk has too little space, or the model cannot be read; OSError if it cannot be written.
    """
    out = file_path(out, ".gguf")
    beside = out.with_suffix(".Modelfile")
    for path in (out, beside):
        check_free(path)
    model, tokenizer = yield from load_model_events(source)
    chat = yield from read_template_config_events(source)
    template = _template(chat, tokenizer)
    labels = RunFolder.open(source).spec.data.labels if (source / "run.json").is_file() else ()
    plan = plan_gguf(model.config, tokenizer, quantisation, _general(source, out.stem, licence), template, labels, chat)
    _check_room(out, plan)
    yield Notice(sentence=f"{out.name} takes {format_size(plan.n_bytes)} as {quantisation}.")
    notes, text = list(plan.notes), ""
    if model.config.topology == "encoder-decoder" or tokenizer is None:
        notes.append("Ollama and LM Studio run decoders and encoders only: use llama.cpp itself for this one.")
    elif model.config.head == "sequence":
        notes.append("Ollama and LM Studio know no labels: llama.cpp gives them (llama-embedding --pooling rank).")
    else:
        starts = plan.fields.get("tokenizer.ggml.add_bos_token")
        skipped = (tokenizer.id_to_token(int(str(plan.fields["tokenizer.ggml.bos_token_id"]))) or "") if starts else ""
        text = modelfile(out.name, model.config, tokenizer, template, chat, skipped_start=skipped, licence=licence)
        if "TEMPLATE" not in text and template:
            notes.append("Its chat template does more than Ollama's can, so Ollama guesses from the one in the file.")
    yield from write_gguf(model, plan, out)
    with discarding(out, beside):
        if text:
            atomic_write_text(beside, text)
        measured = yield from _measured(source, model, tokenizer, out, library)
    return GgufShared(
        path=out,
        n_bytes=plan.n_bytes,
        quantisation=quantisation,
        modelfile=beside if text else None,
        commands=ollama_commands(beside, makes_embeddings=model.config.topology == "encoder-only") if text else (),
        perplexity=measured[0],
        text=measured[1],
        n_predicted=measured[2],
        notes=tuple(notes),
    )


def share_hf(source: Path, out: Path, *, licence: str = "", address: str = "") -> Generator[Event, None, Path]:
    """Write the model in `source` (as for `load_model`) as the Hugging Face folder `out`, and return it.

    Yields Phase, Notice and Progress; closing the generator leaves no partial folder.

    Args:
        address: the name in its card to load it by; by default the folder's name.

    Raises:
        ValueError: if `out` exists, or the model cannot be read; OSError if it cannot be written.
    """
    check_new_folder(out)
    model, tokenizer = yield from load_model_events(source)
    chat = yield from read_template_config_events(source)
    about = about_run(source, model.config, licence, address or out.name)
    return (yield from export_hf(model, tokenizer, out, chat=chat, **about))


def _template(chat: ChatTemplateConfig, tokenizer: Tokenizer | None) -> str:
    if chat.template or tokenizer is None:
        return chat.template
    return CHAT_TEMPLATE if uses_native_template(tokenizer) else ""


def _general(source: Path, stem: str, licence: str) -> dict[str, str | list[str]]:
    """Return the file's metadata on the model: how Terrarium's run was made."""
    said: dict[str, str | list[str]] = {"name": stem, "license": licence}
    if (source / "run.json").is_file():
        run = RunFolder.open(source)
        said["name"] = run.spec.name
        if run.status != "imported":
            corpus = run.lineage.get("corpus") or {}
            said["description"] = f"Trained from {corpus.get('name', 'a text')} with Terrarium."
            said["tags"] = ["terrarium"]
    return said


def _check_room(out: Path, plan: Plan) -> None:
    folder = next(parent for parent in out.parents if parent.exists())
    free, needed = shutil.disk_usage(folder).free, int(_SPARE * plan.n_bytes)
    if free < needed:
        raise ValueError(
            f"{out.name} needs {format_size(needed)}, but {folder} has only {format_size(free)} free: choose another "
            "disk, or a smaller format."
        )


def _measured(
    source: Path, model: AnyModel, tokenizer: Tokenizer | None, out: Path, library: Library
) -> Generator[Event, None, tuple[tuple[float, float] | None, str, int]]:
    """Return the perplexities of a decoder and of the file made from it, the name of the text, and the number of
    predicted tokens.
    """
    if not isinstance(model, Decoder) or tokenizer is None:
        return None, "", 0
    texts = held_out(source, tokenizer, library)
    yield Phase(name="Reading the file back")
    written, _ = yield from load_model_events(out)
    assert isinstance(written, Decoder)
    yield Phase(name="Predicting held-out text")
    return (yield from _perplexities((model, written), texts))


def _perplexities(
    models: tuple[Decoder, Decoder], texts: HeldOut
) -> Generator[Event, None, tuple[tuple[float, float] | None, str, int]]:
    windows = text_windows(texts, models[0].config.context_length)
    if not windows:  # no text is long enough, or no reply begins within the context
        return None, "", 0
    sums = [0.0, 0.0]
    for done, (window, counted) in enumerate(windows, start=1):
        for i, model in enumerate(models):
            sums[i] += nats(model, window, counted)
        yield Progress(done=done, total=len(windows))
    n_predicted = sum(n_counted(*each) for each in windows)
    before, after = (math.exp(min(each / n_predicted, 700.0)) for each in sums)
    return (before, after), texts.label, n_predicted


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
