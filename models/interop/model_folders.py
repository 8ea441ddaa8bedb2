"""Reads a Hugging Face folder: config.json, weights and tokenizer."""

from __future__ import annotations

import dataclasses
from collections.abc import Generator
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer

from terrarium.models.architecture.transformer import AnyModel
from terrarium.models.custom_blocks.carried import repair_texts
from terrarium.models.events import Event, Notice, Phase
from terrarium.models.files.atomic import read_json
from terrarium.models.interop.building import build_model_from
from terrarium.models.interop.families import FAMILIES
from terrarium.models.interop.family import Family
from terrarium.models.interop.stored import read_headers
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.tokenizers.foreign.foreign_files import find_tokenizer_file
from terrarium.models.tokenizers.foreign.isolated_reading import read_isolated
from terrarium.models.tokenizers.foreign.patterns import PatternUnknownError


def read_folder(
    folder: Path, device: torch.device, dtype: torch.dtype, matrices: str
) -> Generator[Event, None, tuple[AnyModel, Tokenizer | None]]:
    """Read the model and tokenizer of a Hugging Face folder. Yields Phase, Progress (bytes) and Notice.

    Args:
        matrices: their format, one of weight_kinds.KINDS.

    Raises:
        ValueError: if the model is not supported or a file is damaged; the message names the file.
    """
    config, family = _read_config(folder)
    stored = read_headers(folder)
    config = family.refine_config(config, stored)
    yield Phase(name="Reading the tokenizer")
    tokenizer, notice = yield from _read_tokenizer(folder, config.vocab_size)
    if notice:
        yield Notice(sentence=notice)
    model = yield from build_model_from(
        config,
        family.weights(config),
        stored,
        where=str(folder),
        prefix=family.PREFIX,
        ignored=family.IGNORED,
        device=device,
        dtype=dtype,
        matrices=matrices,
    )
    return model, tokenizer


def read_folder_config(folder: Path) -> ModelConfig:
    """Return the config of the model in a Hugging Face folder; only the names of its weights are read.

    Raises:
        ValueError: as `read_folder`.
    """
    config, family = _read_config(folder)
    return family.refine_config(config, read_headers(folder))


def _read_config(folder: Path) -> tuple[ModelConfig, Family]:
    """Return the model config for config.json, and the family file of its class. Texts of custom blocks that the
    library lacks are put there from the folder.

    Raises:
        ValueError: if config.json is missing or damaged, or has an unsupported option.
    """
    file = folder / "config.json"
    raw = read_json(file)
    classes = raw.get("architectures")
    name = classes[0] if isinstance(classes, list) and classes else None
    heads = ("Classification", "Answering")
    main = [known for known in FAMILIES if not known.endswith(heads) and not known.startswith("Terrarium")]
    known = f"{', '.join(main)}, or one of these with another head"
    if not isinstance(name, str):
        raise ValueError(f'{file} does not name the model\'s class: add "architectures", with one of {known}.')
    if name not in FAMILIES:
        raise ValueError(f"{file}: the class {name} is not supported: it can be {known}.")
    family = FAMILIES[name]
    try:
        config = family.read_config(raw)
    except ValueError as error:
        raise ValueError(f"{file} ({name}): {error}") from error
    repair_texts(config, folder)
    start, end = _start_and_end(folder, raw, config)
    return dataclasses.replace(config, start_id=start, end_id=end), family


def _start_and_end(folder: Path, raw: dict[str, Any], config: ModelConfig) -> tuple[int, int]:
    """Return start_id and end_id, from generation_config.json or config.json; -1 if they name no token of the model."""
    file = folder / "generation_config.json"
    sources = [read_json(file), raw] if file.is_file() else [raw]

    def token(key: str) -> int:
        value = next((source[key] for source in sources if source.get(key) is not None), None)
        value = value[0] if isinstance(value, list) and value else value
        return value if type(value) is int and 0 <= value < config.vocab_size else -1

    start = token("decoder_start_token_id") if config.topology == "encoder-decoder" else -1
    return start, token("eos_token_id")


def _read_tokenizer(folder: Path, vocab_size: int) -> Generator[Event, None, tuple[Tokenizer | None, str | None]]:
    """Read the tokenizer in `folder`, or None; with a message if it exists in an unsupported format.

    Raises:
        ValueError: if a file of it is damaged, or it has token ids from `vocab_size` on.
    """
    file = find_tokenizer_file(folder)
    if file is None:
        return None, None
    try:
        tokenizer = (yield from read_isolated(file)).tokenizer
    except PatternUnknownError as error:
        return None, str(error)  # the model works without it
    except ValueError as error:
        if file.suffix != ".model":
            raise
        return None, str(error)  # not all of SentencePiece is supported; the model works without it
    largest = max(tokenizer.get_vocab(with_added_tokens=True).values(), default=-1)
    if largest >= vocab_size:
        raise ValueError(
            f"{file} has tokens up to id {largest}, but the model has only {vocab_size}: it belongs to another model."
        )
    return tokenizer, None
