"""Writes an encoder, or a decoder without its KV cache, as an ONNX file, for any number of texts of any length, and
verifies it.

It needs the packages of the extra `onnx`. Inputs and outputs have the names of transformers and transformers.js:
input_ids, attention_mask and, with segments, token_type_ids (B, T); logits, or without a head last_hidden_state (B,
T, C).
"""

from __future__ import annotations

import contextlib
import json
import logging
import warnings
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from terrarium.models.architecture.transformer import AnyModel, Decoder, Encoder, EncoderDecoder
from terrarium.models.events import Event, Phase, Progress
from terrarium.models.interop.loading import load_model_events
from terrarium.models.interop.publish.onnx_fit import INSTEAD, onnx_misfit, onnx_packages_missing
from terrarium.models.interop.publish.share import about_run
from terrarium.models.interop.writing import check_free, file_path, new_file

_ENDING = ".onnx"
_TRACED = (2, 8)
"""The number of texts and tokens in the traced example."""
_TOLERANCE = 1e-4
"""The maximum difference of the file's results, as a share of the largest number in the output (of 1 at least)."""


@dataclass(frozen=True, kw_only=True)
class OnnxShared:
    """The result of an ONNX export.

    Attributes:
        inputs, output: the names of the file's inputs and output.
        difference: the largest difference between the file's numbers and the model's own, on texts of several
            lengths.
        largest: the largest of those numbers.
    """

    path: Path
    n_bytes: int
    inputs: tuple[str, ...]
    output: str
    difference: float
    largest: float


def share_onnx(source: Path, out: Path, *, licence: str = "") -> Generator[Event, None, OnnxShared]:
    """Write the model in `source` (as for `load_model`) to the ONNX file `out`, and compare the two with onnxruntime.

    Yields Phase and Progress; closing the generator leaves no partial file.

    Args:
        licence: its licence, such as “mit”.

    Raises:
        ValueError: if the packages are missing, the design is an encoder-decoder or changes with the text's length,
            the model is larger than 2 GB or cannot be read, the file exists already, or its results differ from the
            model's; OSError if it cannot be written.
    """
    if missing := onnx_packages_missing():
        raise ValueError(missing)
    out = file_path(out, _ENDING)
    check_free(out)
    model, _ = yield from load_model_events(source)
    traced = _Traced(_checked(model))
    about = about_run(source, model.config, licence)
    with new_file(out) as file:
        yield Phase(name="Tracing the model, which takes a while")
        _write(traced, file, {"license": licence, "name": about.get("name", ""), "labels": about.get("labels", ())})
        yield Phase(name="Comparing the file with the model")
        difference, largest = yield from _compared(traced, file)
        n_bytes = file.stat().st_size
    return OnnxShared(
        path=out,
        n_bytes=n_bytes,
        inputs=traced.inputs,
        output=traced.output,
        difference=difference,
        largest=largest,
    )


def _checked(model: AnyModel) -> Decoder | Encoder:
    misfit = onnx_misfit(model.config)
    if misfit or isinstance(model, EncoderDecoder):
        raise ValueError(misfit)
    return model.float().eval()


class _Traced(nn.Module):
    """A model with the inputs and outputs of transformers."""

    def __init__(self, model: Decoder | Encoder) -> None:
        super().__init__()
        self.model = model
        self.has_segments = isinstance(model, Encoder) and model.segment is not None
        self.inputs = ("input_ids", "attention_mask", *(("token_type_ids",) if self.has_segments else ()))
        self.output = "last_hidden_state" if model.head is None else "logits"
        self.eval()

    def forward(self, ids: Tensor, mask: Tensor, segments: Tensor | None = None) -> Tensor:
        """Map token ids, mask (1 for each token that is not padding) and segments, (B, T) each, to logits, or to
        hidden states (B, T, C).
        """
        compute = self.model.hidden if self.model.head is None else self.model
        return compute(ids, mask=mask.bool(), segments=segments)

    def example(self, n: int, length: int) -> tuple[Tensor, ...]:
        """Return some random texts, the last of which ends in padding if it is long enough."""
        config = self.model.config
        generator = torch.Generator().manual_seed(length)
        ids = torch.randint(config.vocab_size, (n, length), generator=generator)
        mask = torch.ones_like(ids)
        if length > 1:
            mask[-1, -(length // 3 + 1) :] = 0
        if not self.has_segments:
            return ids, mask
        return ids, mask, torch.randint(config.n_segment, (n, length), generator=generator)


def _write(traced: _Traced, file: Path, about: dict[str, Any]) -> None:
    """Trace the model and write it to `file`, with its metadata."""
    context = traced.model.config.context_length
    axes = {0: torch.export.Dim("batch", min=1), 1: torch.export.Dim("length", min=1, max=context)}
    example = traced.example(_TRACED[0], min(_TRACED[1], context))
    with torch.no_grad(), _quiet():
        try:
            program: Any = torch.onnx.export(
                traced,
                example,
                dynamo=True,
                verbose=False,
                input_names=list(traced.inputs),
                output_names=[traced.output],
                dynamic_shapes=tuple(axes for _ in example),
            )
        except Exception as error:
            reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
            raise ValueError(
                f"PyTorch's exporter does not manage this design ({reason.rstrip('.')}): {INSTEAD}."
            ) from error
        for name, said in {**about, "context_length": context}.items():
            if said:
                program.model.metadata_props[name] = said if isinstance(said, str) else json.dumps(said)
        for node in program.model.graph.all_nodes():
            node.metadata_props.clear()  # the exporter writes stack traces, with folders of this computer
        program.save(str(file), external_data=False)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporter's messages about its own parts, and about optional packages."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _compared(traced: _Traced, file: Path) -> Generator[Event, None, tuple[float, float]]:
    """Return the largest difference between a file's numbers and the model's, and the largest number, without
    padding.

    Raises:
        ValueError: if they differ by more than rounding.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    context = traced.model.config.context_length
    shapes = ((1, 1), (3, max(1, context // 2)), (1, context))
    difference, largest = 0.0, 0.0
    for done, (n, length) in enumerate(shapes, start=1):
        example = traced.example(n, length)
        with torch.no_grad():
            ours = traced(*example)
        given = {name: tensor.numpy() for name, tensor in zip(traced.inputs, example, strict=True)}
        theirs = torch.from_numpy(session.run(None, given)[0])
        if ours.shape != theirs.shape:
            raise ValueError(f"The file makes {tuple(theirs.shape)} of {n} × {length} tokens, not {tuple(ours.shape)}.")
        if ours.dim() == 3:
            real = example[1].bool()
            ours, theirs = ours[real], theirs[real]
        difference = max(difference, (ours - theirs).abs().max().item())
        largest = max(largest, ours.abs().max().item())
        yield Progress(done=done, total=len(shapes))
    if not difference <= _TOLERANCE * max(1.0, largest):
        raise ValueError(
            f"onnxruntime computes something else from the file (it differs by {difference:.2g}), so it is not kept: "
            f"{INSTEAD}."
        )
    return difference, largest
