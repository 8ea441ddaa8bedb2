"""Loads a model from a folder or file."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from pathlib import Path

import torch
from tokenizers import Tokenizer

from terrarium.models.architecture.lora import DOWN, UP
from terrarium.models.architecture.transformer import AnyModel
from terrarium.models.design.tree import design_tree, state_names
from terrarium.models.events import Event, result_of
from terrarium.models.files.atomic import DamagedError
from terrarium.models.inference.weight_kinds import KINDS
from terrarium.models.interop.building import build_model_from
from terrarium.models.interop.family import Weight
from terrarium.models.interop.gguf import read_gguf, read_gguf_config, read_gguf_model
from terrarium.models.interop.model_folders import read_folder, read_folder_config
from terrarium.models.interop.stored import MergedTensor, StoredTensor, read_header
from terrarium.models.runs.checkpoint_state import PART_FORMAT, base_of, read_about, read_model_config
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.tokenizers import read_tokenizer
from terrarium.models.tokenizers.foreign.isolated_reading import read_isolated

GGUF_NAME = "model.gguf"
"""The weights of a checkpoint imported from a GGUF file, which is copied unchanged."""


def load_model(
    path: str | Path, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32
) -> tuple[AnyModel, Tokenizer | None]:
    """Load the model in `path`, in eval mode, and its tokenizer, or None.

    Args:
        path: a run folder (its latest checkpoint), a checkpoint folder, a Hugging Face folder or a .gguf file.

    Raises:
        ValueError: if there is no model, a file of it is missing or damaged, or the model is not supported; the
            message names the file.
    """
    return result_of(load_model_events(path, device, dtype))


def load_model_events(
    path: str | Path,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
    *,
    weights: str = KINDS[0],
    from_elsewhere: bool = False,
) -> Generator[Event, None, tuple[AnyModel, Tokenizer | None]]:
    """Load as `load_model`, yielding Phase, Progress (bytes) and Notice; closing the generator cancels.

    Args:
        weights: the format of the matrices, one of weight_kinds.KINDS: for inference, as from `prepare_weights`.
        from_elsewhere: read the tokenizer of a run in a child process, too, as is always done for foreign formats.
    """
    path, device = Path(path), torch.device(device)
    if weights not in KINDS:
        raise ValueError(f"Weights cannot be kept as {weights!r}: choose one of {', '.join(KINDS)}.")
    if is_gguf(path):
        return (yield from read_gguf(path, device, dtype, weights))
    if is_hugging_face(path):
        return (yield from read_folder(path, device, dtype, weights))
    checkpoint, tokenizer_file = _find(path)
    if (checkpoint / GGUF_NAME).is_file():
        if read_model_config(checkpoint).has_custom_blocks:
            raise DamagedError(
                f"{checkpoint / 'state.json'} names custom blocks, which the model of a GGUF file cannot have: import "
                f"{checkpoint / GGUF_NAME} again."
            )
        model = yield from read_gguf_model(checkpoint / GGUF_NAME, device, dtype, weights)
    else:
        model = yield from _read_checkpoint(checkpoint, device, dtype, weights)
    if not tokenizer_file.is_file():
        return model, None
    if from_elsewhere:
        return model, (yield from read_isolated(tokenizer_file)).tokenizer
    return model, read_tokenizer(tokenizer_file)


def _read_checkpoint(
    checkpoint: Path, device: torch.device, dtype: torch.dtype, weights: str
) -> Generator[Event, None, AnyModel]:
    """Build the model of a checkpoint that Terrarium trained."""
    try:
        config = read_model_config(checkpoint)
        names = list(state_names(design_tree(config)))
        stored = _stored_weights(checkpoint, names)
    except DamagedError as error:
        raise DamagedError(f"{error} Put an intact copy of it back, or use another checkpoint.") from error
    return (
        yield from build_model_from(
            config,
            [Weight(local_name=name, remote_name=name) for name in names],
            stored,
            where=str(checkpoint / "model.safetensors"),
            device=device,
            dtype=dtype,
            matrices=weights,
        )
    )


def _stored_weights(checkpoint: Path, names: Sequence[str]) -> Mapping[str, StoredTensor]:
    """Return the tensors of a checkpoint; untrained ones come from the run's base, and adapters are merged.

    Args:
        names: those of the model; the base may have others, such as those of another head.
    """
    about, own = read_about(checkpoint), read_header(checkpoint / "model.safetensors")
    if about["format"] != PART_FORMAT:
        return own
    base = read_header(base_of(checkpoint) / "model.safetensors")
    found: dict[str, StoredTensor] = {name: base[name] for name in names if name in base}
    for name, tensor in own.items():
        path, _, part = name.rpartition(".")
        matrix = f"{path}.weight"
        if part == DOWN and f"{path}.{UP}" in own and matrix in found and isinstance(about.get("lora_scale"), float):
            found[matrix] = MergedTensor(found[matrix], tensor, own[f"{path}.{UP}"], about["lora_scale"])
        elif part != UP:
            found[name] = tensor
    return found


def load_config(path: str | Path) -> ModelConfig:
    """Return the config of the model in `path` (as for `load_model`), without reading weights; ValueError as there."""
    path = Path(path)
    if is_gguf(path):
        return read_gguf_config(path)
    if is_hugging_face(path):
        return read_folder_config(path)
    return read_model_config(_find(path)[0])


def is_gguf(path: Path) -> bool:
    """Whether this is a GGUF file, by its first bytes or its name."""
    if not path.is_file():
        return False
    if path.suffix.lower() == ".gguf":
        return True
    with path.open("rb") as file:
        return file.read(4) == b"GGUF"


def is_hugging_face(path: Path) -> bool:
    """Whether this is a folder with a config.json that is not a run or checkpoint of Terrarium."""
    return not (path / "run.json").exists() and not (path / "state.json").exists() and (path / "config.json").exists()


def _find(path: Path) -> tuple[Path, Path]:
    """Return the checkpoint folder, and the path of its tokenizer, which may be missing."""
    if (path / "run.json").exists():
        run = RunFolder.open(path)
        checkpoint = run.latest_checkpoint()
        if checkpoint is None:
            raise ValueError(f"The run in {path} has no checkpoint yet: train it for some steps first.")
        return checkpoint, run.tokenizer_file
    if (path / "state.json").exists():
        above = path.absolute().parents
        files = [folder / "tokenizer.json" for folder in (path, above[0], above[1])]  # a copy, a base, a checkpoint
        return path, next((file for file in files if file.is_file()), files[-1])
    choices = "a run, a checkpoint or a Hugging Face model, or a .gguf file"
    if not path.exists():
        raise ValueError(f"{path} does not exist: give the folder of {choices}.")
    if path.is_dir() and any(path.glob("*.safetensors")):
        raise ValueError(f"{path} has weights but no config.json, which describes the model: download it beside them.")
    inner = [file.parent for file in path.glob("*/config.json")] if path.is_dir() else []
    if len(inner) == 1:
        raise ValueError(f"{path} holds no model itself, but its folder “{inner[0].name}” does: choose that one.")
    raise ValueError(f"{path} holds no model: give the folder of {choices}.")
