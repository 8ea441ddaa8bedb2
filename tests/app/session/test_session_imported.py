"""A model from elsewhere in the window: listed as imported, opened, and made to write."""

from __future__ import annotations

from pathlib import Path

from app.session.session import Session
from models.events import ReplyFinished
from models.interop.importing import import_model
from models.library.library import Library
from models.settings.sampling_config import SamplingConfig
from models.tokenizers import train_tokenizer
from tests.app.heard import Heard, Until
from tests.models.interop.support import drive, save_theirs
from tests.models.interop.test_decoders import llama


def test_an_imported_model_writes(
    session: Session, heard: Heard, library: Library, until: Until, tmp_path: Path
) -> None:
    source = save_theirs(llama(0, vocab_size=261), tmp_path / "llama")
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
