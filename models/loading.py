"""load_model: from a folder on disk to a model that can be used."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer

from models.tokenizers import read_tokenizer
from models.training.checkpoint import read_model_config, read_tensors
from models.training.run_folder import RunFolder
from models.transformer import Decoder


def load_model(
    path: str | Path, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32
) -> tuple[Decoder, Tokenizer | None]:
    """The model in `path`, in eval mode, and its tokenizer, None where the folder has none.

    Args:
        path: a run folder (its latest checkpoint) or a checkpoint folder.

    Raises:
        ValueError: where there is no model, or a file of it is missing or damaged, naming it.
    """
    checkpoint, tokenizer_file = _find(Path(path))
    config = read_model_config(checkpoint)
    with torch.random.fork_rng(devices=[]):  # building draws random weights, and leaves the caller's numbers alone
        model = Decoder(config)
    try:
        model.load_state_dict(read_tensors(checkpoint / "model.safetensors"))
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{checkpoint / 'model.safetensors'} does not fit its state.json: {reason}") from error
    tokenizer = read_tokenizer(tokenizer_file) if tokenizer_file.is_file() else None
    return model.to(device=device, dtype=dtype).eval(), tokenizer


def _find(path: Path) -> tuple[Path, Path]:
    """The checkpoint folder, and where its tokenizer would be."""
    if (path / "run.json").exists():
        run = RunFolder.open(path)
        checkpoint = run.latest_checkpoint()
        if checkpoint is None:
            raise ValueError(f"The run in {path} has no checkpoint yet: train it for some steps first.")
        return checkpoint, run.tokenizer_file
    if (path / "state.json").exists():
        own = path / "tokenizer.json"
        return path, own if own.is_file() else path.absolute().parent.parent / "tokenizer.json"
    if not path.exists():
        raise ValueError(f"{path} does not exist: give the folder of a run or of a checkpoint.")
    raise ValueError(f"{path} holds no model: give the folder of a run (with run.json) or of a checkpoint.")
