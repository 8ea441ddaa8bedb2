"""`terrarium tokenizer encode`: conversations as the model gets them."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from terrarium.app.cli import main
from terrarium.models.chat.own_template import encode_messages
from terrarium.models.library.library import Library
from terrarium.models.tokenizers import train_tokenizer, write_tokenizer

CHAT = [{"role": "user", "content": "Hi <|end|>"}, {"role": "assistant", "content": "Yes"}]


def test_a_conversation_is_encoded_with_its_markers(
    library: Library, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, tokenizer = tmp_path / "bytes", train_tokenizer([], "byte", 261)
    write_tokenizer(tokenizer, folder, {})
    command = ["tokenizer", "encode", str(folder), "--chat"]
    assert main([*command, json.dumps(CHAT)]) == 0
    ids, is_reply = encode_messages(tokenizer, CHAT)
    assert capsys.readouterr().out.split() == [str(id) for id in ids]
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps({"messages": CHAT})))
    assert main([*command, "-", "--reply", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["ids"], told["is_reply"]) == ([*ids, 3], [*is_reply, False])
    assert told["tokens"][0] == "⟨user⟩"
    for wrong, sentence in (
        ("{", "is not valid JSON"),
        ("3", "must be a list"),
        ("[3]", "must be a list"),
        ('[{"role": "cat"}]', "needs a role"),
    ):
        assert main([*command, wrong]) == 1
        assert sentence in capsys.readouterr().err
