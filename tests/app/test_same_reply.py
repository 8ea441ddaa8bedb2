"""One seed and the same settings: the window and the command line write the same reply."""

from __future__ import annotations

import dataclasses
import json

import pytest

from terrarium.app.cli import main
from terrarium.app.session.session import Session
from terrarium.models.events import TokenMade
from terrarium.models.library.library import Library
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.sampling_config import SamplingConfig
from tests.app.heard import Heard, Until
from tests.models.training.support import make_run, train

SETTINGS = SamplingConfig(
    temperature=1.2,
    top_k=90,
    top_p=0.95,
    min_p=0.001,
    typical_p=0.98,
    top_n_sigma=4.0,
    mirostat_tau=5.0,
    mirostat_eta=0.3,
    repetition_penalty=1.1,
    frequency_penalty=0.2,
    presence_penalty=-0.1,
    logit_bias=((70, 1.5), (71, -100.0)),
    seed=11,
    max_tokens=16,
    stop=("zzz", "\n\n"),
)


def options(config: SamplingConfig) -> list[str]:
    """The words that ask the command line for these settings."""
    words: list[str] = []
    for name, value in dataclasses.asdict(config).items():
        option = f"--{name.replace('_', '-')}"
        if name == "logit_bias":
            words += [f"{option}={id}={bias}" for id, bias in value]
        else:
            words += [f"{option}={each}" for each in (value if name == "stop" else [value])]
    return words


def test_window_and_command_line_agree(
    session: Session,
    library: Library,
    heard: Heard,
    tiny_config: ModelConfig,
    until: Until,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = make_run(library, tiny_config, steps=2, sample_interval=0)
    train(run, library)
    assert session.chat.open(run.id)
    until(lambda: session.chat.state == "ready")
    assert session.chat.send("The cat", SETTINGS)
    until(lambda: session.chat.state == "ready")
    made = [event.id for event in heard.chat if isinstance(event, TokenMade)]
    assert main(["generate", run.id, "--prompt", "The cat", "--device=cpu", "--json", *options(SETTINGS)]) == 0
    assert json.loads(capsys.readouterr().out)["ids"] == made
    assert len(made) >= 4, "long enough to differ, wherever the model ends it"
