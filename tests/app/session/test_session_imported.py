"""A model from elsewhere in the window: listed as imported, opened, and made to write."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from terrarium.app.session.session import Session
from terrarium.models.architecture.transformer import build_model
from terrarium.models.events import ReplyFinished
from terrarium.models.interop.export import export_hf
from terrarium.models.interop.importing import import_model
from terrarium.models.library.library import Library
from terrarium.models.settings.presets import PRESETS
from terrarium.models.settings.sampling_config import SamplingConfig
from terrarium.models.tokenizers import train_tokenizer
from tests.app.heard import Heard, Until
from tests.models.interop.support import drive


def test_an_imported_model_writes(
    session: Session, heard: Heard, library: Library, until: Until, tmp_path: Path
) -> None:
    config = dataclasses.replace(
        PRESETS["llama-tiny"], vocab_size=261, context_length=24, n_layer=2, d_model=32, n_head=4, n_kv_head=4
    )
    _, source = drive(export_hf(build_model(config), None, tmp_path / "llama"))
    train_tokenizer((), "byte", 0).save(str(source / "tokenizer.json"))
    _, run = drive(import_model(source, library))
    [info] = session.runs.list()
    assert (info.id, info.status) == (run.id, "imported")
    assert session.chat.open(run.id)
    until(lambda: session.chat.state == "ready")
    assert session.chat.model is not None
    assert (session.chat.model.name, session.chat.model.is_chat_model) == ("llama", False)
    session.chat.send("The cat", SamplingConfig(max_tokens=5))
    until(lambda: any(isinstance(event, ReplyFinished) for event in heard.chat))
    assert not heard.failures
