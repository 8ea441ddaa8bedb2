import dataclasses
import json
from collections.abc import Callable

import pytest

from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.presets import PRESETS
from terrarium.models.settings.run_spec import DataSpec, RunSpec, TokenizerSpec, TrainConfig
from terrarium.models.settings.tune_spec import TuneSpec


def test_a_spec_survives_json() -> None:
    spec = RunSpec(
        name="Anna's run",
        model=PRESETS["llama-tiny"],
        tokenizer=TokenizerSpec(kind="char"),
        data=DataSpec(source="files", files=("a.txt", "b.txt")),
        train=TrainConfig(prompts=("Once", "Zwölf")),
    )
    assert RunSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec


@pytest.mark.parametrize("cls", [TrainConfig, DataSpec, TokenizerSpec, TuneSpec])
def test_every_setting_has_what_a_form_needs(cls: type) -> None:
    for field in dataclasses.fields(cls):
        assert field.metadata["label"]
        assert field.metadata["help"].endswith(".")
        assert field.metadata["group"]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"steps": 0}, "steps is 0"),
        ({"steps": 1.5}, "steps must be a whole number"),
        ({"lr": float("nan")}, "lr is nan"),
        ({"optimizer": "sgd"}, "choose one of muon, adamw"),
        ({"prompts": ("a", 1)}, "prompts must be texts"),
        ({"prompts": "a"}, "prompts must be texts"),
        ({"stepz": 3}, "'stepz'"),
    ],
)
def test_a_wrong_setting_is_named(settings: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        RunSpec.from_dict({"name": "x", "train": settings}, where="the file")


def test_a_record_from_before_objectives_keeps_the_one_it_had() -> None:
    for topology, objective in (("encoder-decoder", "span-corruption"), ("decoder-only", "auto")):
        old = {"name": "x", "model": {"topology": topology}, "train": {"steps": 5}}
        assert RunSpec.from_dict(old).train.objective == objective
    new = {"name": "x", "model": {"topology": "encoder-decoder"}, "train": {"objective": "auto"}}
    assert RunSpec.from_dict(new).train.objective == "auto"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({}, "the file: The run has no name"),
        ({"name": " "}, "the file: The run has no name"),
        ({"name": "x", "model": []}, "the file: model must be an object"),
        ({"name": "x", "trian": {}}, "the file has no key 'trian'"),
        ([], "the file must be an object"),
    ],
)
def test_a_spec_that_is_none_is_named(data: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        RunSpec.from_dict(data, where="the file")


def test_a_fine_tuning_is_kept_and_old_specs_stay_as_they_are() -> None:
    scratch = RunSpec(name="a", model=ModelConfig(), tokenizer=TokenizerSpec(), data=DataSpec(), train=TrainConfig())
    assert "tune" not in scratch.to_dict()
    assert "task" not in scratch.to_dict()["data"]
    data = DataSpec(source="dataset", dataset="mails", task="classification", labels=("ham", "spam"))
    tuned = dataclasses.replace(scratch, data=data, tune=TuneSpec(parent="Tiny World", mode="lora", lora_r=4))
    assert RunSpec.from_dict(json.loads(json.dumps(tuned.to_dict()))) == tuned
    assert RunSpec.from_dict(json.loads(json.dumps(scratch.to_dict()))).tune is None


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: TuneSpec(), "names no model"),
        (lambda: TuneSpec(parent="a", mode="some"), "mode cannot be"),
        (lambda: DataSpec(source="dataset"), "No dataset is chosen"),
        (lambda: DataSpec(source="dataset", dataset="a", task="guessing"), "task cannot be"),
    ],
)
def test_a_fine_tuning_that_cannot_be_is_refused(build: Callable[[], object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        build()
