"""What can be done with a run."""

from __future__ import annotations

import dataclasses

import pytest

from terrarium.app.runs.run_actions import run_actions
from terrarium.app.session.session import Session
from terrarium.models.extensions.registry import Missing
from terrarium.models.library.library import Library
from terrarium.models.library.run_record import inspect_run
from terrarium.models.settings.model_config import ModelConfig
from tests.runs_on_disk import make_run


def test_without_its_extension_a_run_is_not_trained_on_but_used(
    session: Session, library: Library, tiny_config: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = inspect_run(make_run(library, tiny_config, "tiny", status="stopped"))
    assert info.spec is not None
    name = Missing("sign_sgd", "terrarium-sign-sgd")
    train = dataclasses.replace(info.spec.train, optimizer=name)
    info = dataclasses.replace(info, step=3, spec=dataclasses.replace(info.spec, train=train))
    monkeypatch.setattr(session.runs, "find", lambda run_id: info)
    problems = {action.name: action.problem for group in run_actions(session, info.id) for action in group.actions}
    of_training = {"resume", "longer", "fork", "template", "sweep"}
    assert {action for action, problem in problems.items() if problem == name.sentence} == of_training
    assert not problems["chat"]
    assert not problems["toml"]
