"""`terrarium extension`, and the options that sampling steps of extensions cannot have."""

from __future__ import annotations

import argparse
import json

import pytest

from terrarium.app.cli import main
from terrarium.app.commands.chat import Chat
from terrarium.app.commands.generate import Generate
from terrarium.app.commands.inspect import Inspect
from terrarium.app.commands.options import add_options
from terrarium.app.serve.endpoint.schemas import ChatRequest, CompletionRequest
from terrarium.models.library.library import Library
from terrarium.models.settings.sampling_config import RESERVED, SamplingConfig


def test_without_any_the_list_says_how_to_begin_one(
    library: Library, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["extension", "list"]) == 0
    assert capsys.readouterr().out == "No extensions are installed. To begin one: terrarium extension new NAME\n"
    monkeypatch.setenv("TERRARIUM_NO_EXTENSIONS", "1")
    assert main(["extension", "list"]) == 0
    assert capsys.readouterr().out == "Extensions are switched off: TERRARIUM_NO_EXTENSIONS is set.\n"
    assert main(["extension", "list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"extensions": [], "switched_off": True}


def test_no_sampling_step_can_have_the_name_of_an_option_or_of_a_field_of_a_request() -> None:
    taken = set(SamplingConfig.__dataclass_fields__)
    for command in (Chat, Generate, Inspect):
        parser = argparse.ArgumentParser()
        add_options(parser, command)
        words = parser.format_help().split()
        options = {word.strip("[],").removeprefix("--").replace("-", "_") for word in words if "--" in word}
        assert {name for name in options if "_" in name} <= taken | RESERVED
    for request in (ChatRequest, CompletionRequest):
        names = {name for name in dir(request) if not name.startswith("_")} | set(request.model_fields)
        assert {name for name in names if "_" in name and not name.startswith("model_")} <= taken | RESERVED
