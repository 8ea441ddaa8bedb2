"""Runs with small models of random weights and a tokenizer of bytes: opened in milliseconds, without any training."""

from __future__ import annotations

import dataclasses
from typing import Any

from tokenizers import Tokenizer

from terrarium.models.chat.template_config import ChatTemplateConfig, write_template_config
from terrarium.models.files.atomic import atomic_write_json
from terrarium.models.library.library import Library
from terrarium.models.runs.checkpoint_state import FORMAT, TrainState
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.tokenizers.special_tokens import add_missing_special_tokens
from tests.models.runs_on_disk import put_run


def put_model(
    library: Library,
    tokenizer: Tokenizer,
    topology: str,
    *,
    form: ChatTemplateConfig | None = None,
    context_length: int = 64,
    name: str = "",
    **settings: Any,
) -> str:
    """A run with one checkpoint, called as its topology or `name`; returns its id. settings: of ModelConfig."""
    tokenizer = Tokenizer.from_str(tokenizer.to_str())
    add_missing_special_tokens(tokenizer, topology)
    config = ModelConfig(
        topology=topology,
        vocab_size=tokenizer.get_vocab_size(),
        context_length=context_length,
        n_layer=1,
        n_head=2,
        d_model=16,
        position="rope" if topology != "encoder-decoder" else "learned",
        **settings,
    )
    folder = put_run(library, name or topology, config)
    tokenizer.save(str(folder / "tokenizer.json"))
    [checkpoint] = (folder / "checkpoints").iterdir()
    about = {"format": FORMAT, **dataclasses.asdict(TrainState()), "optimizer": {}, "model": config.to_dict()}
    atomic_write_json(checkpoint / "state.json", about)
    if form is not None:
        write_template_config(folder, form)
    return folder.name
