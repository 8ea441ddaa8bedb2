import dataclasses
from pathlib import Path

import pytest

from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.presets import PRESETS
from terrarium.models.settings.run_spec import DataSpec, RunSpec, TokenizerSpec, TrainConfig
from terrarium.models.settings.spec_file import load_spec, spec_to_toml, write_spec


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
    ("text", "words"),
    [
        ("[" * 100_000, "not valid TOML|nested too deep"),
        ("a = " + "[" * 100_000, "nested too deep"),
        ("a" + ".a" * 100_000 + " = 1", "a key of more than 100 parts"),
        ("[" + "a . " * 100_000 + "a]", "a key of more than 100 parts"),
        ('"a"' + ".'a'" * 100_000 + " = 1", "a key of more than 100 parts"),
        ("# " + "a" * (1 << 20), "more than 1 MiB"),
    ],
    ids=["tables", "lists", "dots", "a table of dots", "quoted", "long"],
)
def test_toml_that_would_take_long_is_refused(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "SPEC.toml"
    file.write_text(text)
    with pytest.raises(ValueError, match=words) as caught:
        load_spec(file)
    assert str(file) in str(caught.value)


def test_toml_with_many_dots_that_are_no_key_is_read(tmp_path: Path) -> None:
    file = tmp_path / "SPEC.toml"
    names = ", ".join(f'"texts.{index}.txt"' for index in range(300))
    file.write_text(f'[data]\nfiles = [{names}]\n[train]\nprompts = ["Wait{"." * 300} what?"]\n')
    assert len(load_spec(file).data.files) == 300


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
        ('[data]\nsource = "files"', "No training file"),
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


def run_spec(folder: Path, preset: str = "bart-tiny") -> RunSpec:
    (folder / "tok").mkdir(exist_ok=True)
    return RunSpec(
        name='A "run" → with \\ signs\nand lines',
        model=PRESETS[preset],
        tokenizer=TokenizerSpec(path=str(folder / "tok")),
        data=DataSpec(source="files", files=(str(folder / "texts" / "one.txt"), "/elsewhere/two.txt")),
        train=TrainConfig(lr=1e-9, weight_decay=0, prompts=("Say “so”", "two\nlines")),
    )


@pytest.mark.parametrize("preset", ["terrarium-tiny", "bert-tiny", "bart-tiny", "mixtral-8x7b"])
def test_what_is_written_reads_back_the_same(tmp_path: Path, preset: str) -> None:
    spec = run_spec(tmp_path, preset)
    write_spec(tmp_path / "SPEC.toml", spec)
    assert load_spec(tmp_path / "SPEC.toml") == spec
    write_spec(tmp_path / "elsewhere" / "SPEC.toml", spec)
    assert load_spec(tmp_path / "elsewhere" / "SPEC.toml") == spec


def test_files_beside_the_toml_go_along_with_it(tmp_path: Path) -> None:
    text = spec_to_toml(run_spec(tmp_path), tmp_path)
    assert str(tmp_path) not in text
    moved = tmp_path / "moved"
    (moved / "tok").mkdir(parents=True)
    (moved / "SPEC.toml").write_text(text, encoding="utf-8")
    spec = load_spec(moved / "SPEC.toml")
    assert spec.data.files == (str(moved / "texts" / "one.txt"), "/elsewhere/two.txt")
    assert spec.tokenizer.path == str(moved / "tok")


def test_a_tokenizer_to_train_or_of_the_library_keeps_its_name(tmp_path: Path) -> None:
    for tokenizer in (TokenizerSpec(path="english"), TokenizerSpec(kind="unigram", vocab_size=512)):
        spec = RunSpec(
            name="x", model=PRESETS["gpt2-tiny"], tokenizer=tokenizer, data=DataSpec(seed=7), train=TrainConfig()
        )
        write_spec(tmp_path / "SPEC.toml", spec)
        assert load_spec(tmp_path / "SPEC.toml") == spec
