"""`terrarium settings`, and the proof that each setting of the window can be set by a command."""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import json
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import terrarium.models
from terrarium.app.cli import main
from terrarium.app.commands.common import UsageError, settings_from
from terrarium.app.commands.generate import Generate
from terrarium.app.commands.options import Command, add_options, read_options
from terrarium.app.commands.preference_data import Simulate
from terrarium.app.commands.settings import SECTIONS
from terrarium.app.commands.tokenizer.train import Train as TrainTokenizer
from terrarium.app.commands.train import Train
from terrarium.models.library.library import Library
from terrarium.models.settings.align_spec import STAGES, AlignSpec, usual_align
from terrarium.models.settings.block_references import BLOCK_SLOTS
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.spec_changes import TABLES, value_of

SCRATCH = '[model]\npreset = "terrarium-tiny"\n'
ALIGNED = """
[tune]
parent = "chat"
[align]
stage = "{stage}"
[data]
source = "dataset"
dataset = "mine"
task = "{task}"
"""
BLOCK = f"mine@{'0' * 64}"
SPECIAL: dict[str, tuple[Any, tuple[str, ...]]] = {
    **{f"model.{slot}": (BLOCK, ()) for slot in BLOCK_SLOTS.values()},
    "model.position_block": (f"scores:{BLOCK}", ("model.position=none",)),
    "model.lookback": (4, ("model.norm=rmsnorm", "model.qk_norm=true")),
    "model.block_options": (("attention.decay=0.5",), (f"model.attention_block={BLOCK}",)),
    "data.files": (("/a.txt",), ("data.source=files",)),
    "align.second_reward_model": ("other", ("align.reward_model=first",)),
}
"""Settings whose values have a form of their own, or that need another one."""
OF_OPTIONS: dict[str, tuple[type[Command], str, tuple[str, ...]]] = {
    "sampling": (Generate, "sampling", ("tiny", "--prompt", "x")),
    "vocabulary": (TrainTokenizer, "options", ("--data", "text.txt", "--out", "folder")),
    "annotator": (Simulate, "annotator", ("mine", "chat")),
}
"""The section of each settings class that has an option for each slot: the command, its field, and what it needs."""


def slots_of(cls: type) -> dict[str, dataclasses.Field[Any]]:
    return {f.name: f for f in dataclasses.fields(cls) if "label" in f.metadata}


def other_values(slot: dataclasses.Field[Any]) -> Iterator[Any]:
    """Yield values that differ from the default, some of them legal."""
    default, hints = slot.default, slot.metadata
    if isinstance(default, bool):
        yield not default
    elif "choices" in hints:
        yield from (choice for choice in hints["choices"] if choice != default)
    elif isinstance(default, tuple):
        yield (hints.get("items", str)((3, 0.5)) if "items" in hints else "a",)
    elif isinstance(default, str):
        yield "Clara"
    else:
        low, high = hints["range"]
        kind = type(default)
        tried = (kind(default * 2), kind(default / 2), kind(default + 1), low, high, kind((low + high) / 2))
        yield from (value for value in tried if value != default and low <= value <= high)


@pytest.fixture(scope="module")
def specs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A SPEC.toml of a run from scratch, and one of each stage of alignment."""
    folder = tmp_path_factory.mktemp("specs")
    texts = {"scratch": SCRATCH}
    texts |= {stage: ALIGNED.format(stage=stage, task=AlignSpec(**usual_align(stage)).task) for stage in STAGES}
    for name, text in texts.items():
        (folder / f"{name}.toml").write_text(text)
    return [folder / f"{name}.toml" for name in texts]


def parsed(command: type[Command], *words: str) -> Any:
    parser = argparse.ArgumentParser()
    add_options(parser, command)
    return read_options(command, parser.parse_args(words))


def can_be_set(name: str, value: Any, more: tuple[str, ...], spec: Path) -> bool:
    """Whether `terrarium train SPEC.toml --set NAME=VALUE` makes a run with this value."""
    text = json.dumps(list(value) if isinstance(value, tuple) else value)
    words = [word for change in (*more, f"{name}={text}") for word in ("--set", change)]
    try:
        found: object = value_of(parsed(Train, str(spec), *words).spec.to_spec(), name)
    except UsageError:
        return False
    return found == value


@pytest.mark.parametrize("name", [f"{table}.{name}" for table, cls in TABLES.items() for name in slots_of(cls)])
def test_every_setting_of_a_run_can_be_set(name: str, specs: list[Path]) -> None:
    table, _, setting = name.partition(".")
    value, more = SPECIAL.get(name, (None, ()))
    values = [value] if name in SPECIAL else list(other_values(slots_of(TABLES[table])[setting]))
    assert any(can_be_set(name, each, more, spec) for each in values for spec in specs)


@pytest.mark.parametrize(
    ("section", "name"), [(section, name) for section in OF_OPTIONS for name in slots_of(SECTIONS[section].cls)]
)
def test_every_other_setting_is_an_option(section: str, name: str) -> None:
    command, field, needed = OF_OPTIONS[section]
    value = next(other_values(slots_of(SECTIONS[section].cls)[name]))
    flag = f"--{name.replace('_', '-')}"
    words = [flag, str(value)]
    if isinstance(value, bool):
        words = [flag if value else flag.replace("--", "--no-", 1)]
    elif isinstance(value, tuple):
        words = [flag, "3=0.5"] if name == "logit_bias" else [flag.removesuffix("s"), *value]
    given = getattr(parsed(command, *needed, *words), field)
    assert given == {name: value}
    assert getattr(settings_from(SECTIONS[section].cls, given), name) == value


def test_every_class_of_settings_has_a_section() -> None:
    """No class with slots anywhere in models is missing from the table."""
    assert set(SECTIONS) == {*TABLES, *OF_OPTIONS}
    found = set()
    for module in pkgutil.walk_packages(terrarium.models.__path__, "terrarium.models."):
        if ".code_view.reference" not in module.name:  # which is read as text
            kinds = [each for each in vars(importlib.import_module(module.name)).values() if isinstance(each, type)]
            found |= {each for each in kinds if dataclasses.is_dataclass(each) and slots_of(each)}
    bases = {each for each in found for other in found if other is not each and issubclass(other, each)}
    assert found - bases == {section.cls for section in SECTIONS.values()}


def test_the_list_names_all_and_a_name_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["settings", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["settings"]
    assert {each["name"] for each in found} == {
        f"{name}.{slot}" for name, section in SECTIONS.items() for slot in slots_of(section.cls)
    }
    assert main(["settings", "train.schedule"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert 'train.schedule "linear" cosine, linear, wsd, constant' in text
    assert "How the learning rate decays after the warm-up" in text
    assert "train.lr" not in text
    assert main(["settings", "train.nothing"]) == 1
    assert "no setting or section called 'train.nothing'" in capsys.readouterr().err


def test_a_run_of_a_saved_design(library: Library, tmp_path: Path) -> None:
    design = ModelConfig(n_layer=3)
    file = library.save_design("deep one", design)
    for text, name in (("deep one", "deep one"), (str(file), "deep one")):
        spec = parsed(Train, "--preset", text).spec.to_spec()
        assert (spec.model, spec.name) == (design, name)
    with pytest.raises(UsageError, match="no design called 'gpt9'"):
        parsed(Train, "--preset", "gpt9").spec.to_spec()
