"""Design files: what is written comes back, and each way to be wrong is one sentence that names the file."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest

from terrarium.models.library.library import Library
from terrarium.models.settings.design_files import MAX_BYTES, read_design, write_design
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.presets import PRESETS


@pytest.mark.parametrize("name", list(PRESETS))
def test_presets_come_back(tmp_path: Path, name: str) -> None:
    write_design(tmp_path / "a.json", PRESETS[name])
    assert read_design(tmp_path / "a.json") == PRESETS[name]


def test_the_first_versions_bias_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"bias": false}')
    assert read_design(tmp_path / "a.json").bias == "none"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "is empty"),
        ("  \n", "is empty"),
        ('{"n_layer": 4,', "not valid JSON (line 1, column 15)"),
        ('{\n"n_layer": 4\n"d_model": 8}', "not valid JSON (line 3, column 1)"),
        ("[1, 2]", "a JSON object of settings"),
        ("null", "a JSON object of settings"),
        ('"text"', "a JSON object of settings"),
        ("[" * 200_000, "too deep"),
        ('{"n_layer": ' + "9" * 5000 + "}", "too long to read"),
        ('{"n_layer": ' + "9" * 4000 + "}", "n_layer is 999"),
        ('{"n_heads": 4}', "did you mean 'n_head'?"),
        ('{"colour": "red", "size": 3}', "(and 1 more like it): delete it"),
        ('{"' + "x" * 5000 + '": 1}', "x…"),
        ('{"model_type": "gpt2", "n_layer": 12}', "Hugging Face"),
        ('{"n_layer": "four"}', "n_layer must be a whole number, not 'four'"),
        ('{"n_layer": "' + "four" * 5000 + '"}', "n_layer must be a whole number, not 'four"),
        ('{"n_layer": 4.5}', "n_layer must be a whole number"),
        ('{"n_layer": true}', "n_layer must be a whole number"),
        ('{"n_layer": null}', "n_layer must be a whole number"),
        ('{"n_layer": [4]}', "n_layer must be a whole number"),
        ('{"n_layer": {"a": 4}}', "n_layer must be a whole number"),
        ('{"position": ["rope"]}', "position must be a word"),
        ('{"position": "ropes"}', "choose one of"),
        ('{"dropout": NaN}', "dropout is nan, but must lie between"),
        ('{"d_model": 1e400}', "d_model must be a whole number"),
        ('{"d_model": 1000000000000}', "d_model is 1000000000000, but must lie between"),
        ('{"n_layer": -3}', "n_layer is -3"),
        ('{"n_layer": 2, "n_head": 4, "n_layer": 3}', "the setting 'n_layer' twice: delete one of them"),
        ('{"n_head": 5, "d_model": 384}', "use 4 or 6"),
        ('{"topology": "encoder-decoder", "head": "token"}', "use language or sequence or span"),
    ],
)
def test_a_wrong_file_is_one_sentence(tmp_path: Path, content: str, words: str) -> None:
    path = tmp_path / "my design.json"
    path.write_text(content, "utf-8")
    with pytest.raises(ValueError, match="design") as caught:
        read_design(path)
    sentence = str(caught.value)
    assert str(path) in sentence
    assert words in sentence
    assert len(sentence) < 500
    assert "\n" not in sentence


def test_what_is_no_text_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b'{"n_layer": "\xff"}')
    with pytest.raises(ValueError, match=r"a\.json is not UTF-8 text"):
        read_design(tmp_path / "a.json")
    (tmp_path / "b.json").write_bytes(b" " * (MAX_BYTES + 1))
    with pytest.raises(ValueError, match=r"b\.json is not a design: it has 1,000,001 bytes"):
        read_design(tmp_path / "b.json")
    (tmp_path / "c.json").mkdir()
    with pytest.raises(ValueError, match=r"c\.json is a folder"):
        read_design(tmp_path / "c.json")
    with pytest.raises(ValueError, match=r"d\.json is missing"):
        read_design(tmp_path / "d.json")


@pytest.mark.skipif(os.name == "nt" or os.getuid() == 0, reason="permissions do not bind here")
def test_a_file_that_may_not_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{}")
    (tmp_path / "a.json").chmod(0)
    with pytest.raises(ValueError, match="check its permissions"):
        read_design(tmp_path / "a.json")


def test_a_damaged_file_leaves_the_list_whole(library: Library) -> None:
    library.save_design("good", PRESETS["t5-tiny"])
    for name, content in {"a": "", "b": "{", "c": "[" * 100_000, "d": '{"n_heads": 1}'}.items():
        (library.designs / f"{name}.json").write_text(content)
    (library.designs / "e.json").mkdir()
    infos = {info.name: info for info in library.inspect_designs()}
    assert list(infos) == ["a", "b", "c", "d", "e", "good"]
    assert infos.pop("good").config == PRESETS["t5-tiny"]
    for info in infos.values():
        assert info.config is None
        assert str(info.path) in (info.problem or "")


def test_renaming_never_replaces_another_design(library: Library) -> None:
    library.save_design("one", PRESETS["t5-tiny"])
    library.save_design("two", PRESETS["gpt2-tiny"])
    with pytest.raises(ValueError, match="'two' already"):
        library.rename_design("one", "two")
    with pytest.raises(ValueError, match="is missing"):
        library.rename_design("three", "four")
    assert library.rename_design("one", " ONE ") == "ONE"
    assert library.load_design("ONE") == PRESETS["t5-tiny"]


def test_slots_that_came_later_leave_older_designs_as_they_are() -> None:
    later = {f.name: f.default for f in dataclasses.fields(ModelConfig) if f.metadata.get("omit_default")}
    assert later
    for name, config in PRESETS.items():
        unset = {slot for slot, default in later.items() if getattr(config, slot) == default}
        assert not unset & config.to_dict().keys(), name
        assert ModelConfig.from_dict(config.to_dict()) == config
    rope = dataclasses.replace(PRESETS["llama-tiny"], nope_interval=4, rope_fraction=0.75)
    assert rope.to_dict()["nope_interval"] == 4
    assert ModelConfig.from_dict(rope.to_dict()) == rope
