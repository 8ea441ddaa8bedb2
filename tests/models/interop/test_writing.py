"""Where a model may be written to."""

from __future__ import annotations

from pathlib import Path

import pytest

from terrarium.models.interop.writing import file_path, new_folder


def test_a_file_gets_its_ending_and_an_absolute_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert file_path(Path("a/b.v1"), ".gguf") == tmp_path / "a" / "b.v1.gguf"
    assert file_path(Path("b.GGUF"), ".gguf") == tmp_path / "b.GGUF"


@pytest.mark.parametrize("name", ["", ".", "..", "/", "here", "here/..", "here/"])
def test_a_folder_is_no_name_of_a_file(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="is a folder: give the name of a file in it"):
        file_path(Path(name), ".gguf")


@pytest.mark.parametrize("name", ["a\0b", "CON", "new\nline", "n" * 300])
def test_a_name_has_to_be_one_on_every_system(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="The name "):
        file_path(tmp_path / name, ".onnx")
    with pytest.raises(ValueError, match="The name "), new_folder(tmp_path / name):
        pass
    assert not list(tmp_path.iterdir())
