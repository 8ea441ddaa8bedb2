import dataclasses
from pathlib import Path

import pytest

from models.config import ModelConfig
from models.presets import PRESETS
from models.training.spec import DataSpec, TrainConfig
from models.training.spec_file import load_spec


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


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", PRESETS["terrarium-tiny"]),
        ("[model]\nn_layer = 3", ModelConfig(n_layer=3)),
        ("[model]\nbias = false", ModelConfig(bias="none")),  # as the first version wrote it
    ],
)
def test_toml_without_a_preset(tmp_path: Path, text: str, expected: ModelConfig) -> None:
    file = tmp_path / "SPEC.toml"
    file.write_text(text)
    assert load_spec(file).model == expected


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
        ("[data]\nfiles = 'one.txt'", "files must be texts"),
    ],
)
def test_toml_problems_are_sentences(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "SPEC.toml"
    file.write_text(text)
    with pytest.raises(ValueError, match=words) as raised:
        load_spec(file)
    assert str(file) in str(raised.value)


def test_a_missing_spec_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"nowhere\.toml cannot be read"):
        load_spec(tmp_path / "nowhere.toml")
