import dataclasses
import json
from pathlib import Path

import pytest

from models.config import PRESETS
from models.training.spec import DataSpec, RunSpec, TokenizerSpec, TrainConfig, load_spec


def test_a_spec_survives_json() -> None:
    spec = RunSpec(
        name="Anna's run",
        model=PRESETS["llama-tiny"],
        tokenizer=TokenizerSpec(kind="char"),
        data=DataSpec(source="files", files=("a.txt", "b.txt")),
        train=TrainConfig(prompts=("Once", "Zwölf")),
    )
    assert RunSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec


@pytest.mark.parametrize("cls", [TrainConfig, DataSpec, TokenizerSpec])
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


def test_toml_takes_paths_from_its_own_folder(tmp_path: Path) -> None:
    (tmp_path / "tok").mkdir()
    file = tmp_path / "SPEC.toml"
    file.write_text(
        """
        [model]
        preset = "gpt2-tiny"
        n_layer = 3
        [tokenizer]
        path = "tok"
        [data]
        files = ["one.txt", "/two.txt"]
        val_fraction = 0.2
        [train]
        steps = 7
        prompts = ["Hello"]
        [run]
        name = "seven"
        """
    )
    spec = load_spec(file)
    assert spec.name == "seven"
    assert spec.model == dataclasses.replace(PRESETS["gpt2-tiny"], n_layer=3)
    assert spec.tokenizer.path == str(tmp_path / "tok")
    assert spec.data == DataSpec(source="files", files=(str(tmp_path / "one.txt"), "/two.txt"), val_fraction=0.2)
    assert spec.train == TrainConfig(steps=7, prompts=("Hello",))


def test_toml_keeps_the_name_of_a_tokenizer_in_the_library(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('[tokenizer]\npath = "english"')
    spec = load_spec(file)
    assert spec.tokenizer.path == "english"
    assert spec.name == "mine"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[train]\nstep = 3", "step"),
        ("[trian]\nsteps = 3", "trian"),
        ("train = 3", "table"),
        ('[model]\npreset = "gpt9"', "gpt9"),
        ("[model]\npreset = [1]", "preset"),
        ('[run]\ntitle = "x"', "title"),
        ("[run]\nname = 3", "name"),
        ("[train", "TOML"),
        ('[data]\nsource = "files"', "No file"),
    ],
)
def test_toml_problems_are_sentences(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "SPEC.toml"
    file.write_text(text)
    with pytest.raises(ValueError, match=words):
        load_spec(file)


def test_a_missing_spec_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"nowhere\.toml cannot be read"):
        load_spec(tmp_path / "nowhere.toml")
