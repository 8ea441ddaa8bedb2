from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

from terrarium.models.files.atomic import atomic_write_json, atomic_write_text, read_json, replace_path
from terrarium.models.library.library import Library, choose_location, find_location, safe_name
from terrarium.models.library.run_record import is_locked, lock_of
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.presets import PRESETS
from tests.models.training.support import make_run


def test_nothing_here_imports_torch() -> None:
    modules = ("library.library", "settings.spec_file", "runs.run_folder", "corpora.corpus")
    code = f"import sys, {', '.join(f'terrarium.models.{each}' for each in modules)}; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_home_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TERRARIUM_HOME", str(tmp_path / "here"))
    assert Library().runs == tmp_path / "here" / "runs"
    assert Library(tmp_path).runs == tmp_path / "runs"
    monkeypatch.delenv("TERRARIUM_HOME")
    assert Library().home.name == "Terrarium"


@pytest.mark.parametrize("name", ["tiny world", "Überlauf 2.0", "a-b_c", "日本"])
def test_good_names(name: str) -> None:
    assert safe_name(f" {name} ") == name


@pytest.mark.parametrize("name", ["", " ", "..", ".hidden", "a/b", "a\\b", "a:b", "con", "NUL.txt", "a\nb", "x" * 101])
def test_names_that_could_leave_the_library_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        safe_name(name)


def test_free_names_count_up(library: Library) -> None:
    assert library.free_name(library.runs, "a/b: c") == "a-b-c"
    (library.runs / "a-b-c").mkdir(parents=True)
    assert library.free_name(library.runs, "A/b: c") == "A-b-c-2"
    assert library.free_name(library.runs, "../..") == "unnamed"
    assert library.free_name(library.runs, "con") == "con-2"
    assert library.free_name(library.tokenizers, " Tiny \n World. ", has_spaces=True) == "Tiny World"
    assert library.free_name(library.tokenizers, "a/b: c", has_spaces=True) == "a-b- c"
    assert library.free_name(library.tokenizers, " . ", has_spaces=True) == "unnamed"


@pytest.mark.parametrize("wished", ["日" * 60, "x" * 59 + ".y", "con", "con.txt", "a. .", "\ud800", "é" * 200])
@pytest.mark.parametrize("first", [True, False])
def test_any_text_becomes_a_free_name(library: Library, wished: str, first: bool) -> None:
    if not first:
        library.runs.mkdir(parents=True)
    name = library.free_name(library.runs, wished)
    assert safe_name(name) == name
    (library.runs / name).mkdir(parents=True)
    other = library.free_name(library.runs, wished)
    assert safe_name(other) == other != name


def test_json_takes_finite_numbers_only(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        atomic_write_json(tmp_path / "a.json", {"loss": float("nan")})
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a.json"
    atomic_write_text(file, "old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        atomic_write_text(file, "new")
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_designs_are_saved_by_name(library: Library) -> None:
    library.save_design("my llama", PRESETS["llama-tiny"])
    assert library.list_designs() == ["my llama"]
    assert library.load_design("my llama") == PRESETS["llama-tiny"]
    (library.designs / "my llama.json").write_text('{"n_layer": 0}')
    with pytest.raises(ValueError, match=r"my llama\.json.*n_layer is 0"):
        library.load_design("my llama")
    with pytest.raises(ValueError, match="is missing"):
        library.load_design("other")


def test_a_damaged_run_does_not_break_the_list(library: Library, tiny_config) -> None:
    good = make_run(library, tiny_config)
    for name, content in {"a": "", "b": '{"format": 1', "c": "[]", "d": '{"format": 99}', "e": "\xff"}.items():
        (library.runs / name).mkdir()
        (library.runs / name / "run.json").write_text(content, encoding="latin-1")
    (library.runs / "f").mkdir()
    infos = {info.id: info for info in library.list_runs()}
    assert infos[good.id].problem is None
    assert infos[good.id].status == "queued"
    for name in "abcdef":
        assert infos[name].status == "damaged"
        assert str(library.runs / name / "run.json") in (infos[name].problem or "")
    assert (library.runs / "b" / "run.json").read_text() == '{"format": 1'


def test_runs_are_found_by_path_id_and_name(library: Library, tiny_config) -> None:
    first, second = make_run(library, tiny_config), make_run(library, tiny_config)
    assert first.id != second.id
    assert library.find_run(str(first.folder)) == first.folder
    assert library.find_run(first.id) == first.folder
    assert library.find_run("small") == second.folder  # the newest of that name
    with pytest.raises(ValueError, match=r"no run called 'tall'.*'small'"):
        library.find_run("tall")


def test_deletions_can_be_undone(library: Library, tiny_config) -> None:
    run = make_run(library, tiny_config)
    token = library.move_to_trash(run.folder)
    assert library.list_runs() == []
    assert library.restore(token) == run.folder
    assert [info.id for info in library.list_runs()] == [run.id]
    with pytest.raises(ValueError, match="restored already"):
        library.restore(token)
    with pytest.raises(ValueError, match="does not belong"):
        library.move_to_trash(library.home.parent)
    with pytest.raises(ValueError, match="does not belong"):
        library.move_to_trash(library.runs)


def test_a_run_in_training_is_not_deleted(library: Library, tiny_config) -> None:
    run = make_run(library, tiny_config)
    run.acquire()
    with pytest.raises(ValueError, match="being trained"):
        library.move_to_trash(run.folder)
    run.release()
    library.move_to_trash(run.folder)


def test_nobody_begins_to_train_a_run_while_it_is_deleted(
    library: Library, tiny_config: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(library, tiny_config)

    def move(source: Path, target: Path) -> None:
        with pytest.raises(ValueError, match="is being trained by another"):
            RunFolder.open(source).acquire()
        replace_path(source, target)

    with monkeypatch.context() as patch:
        patch.setattr("terrarium.models.library.library.replace_path", move)
        token = library.move_to_trash(run.folder)
    assert not run.folder.exists()
    assert library.restore(token) == run.folder
    run.acquire()
    run.release()


def test_looking_at_a_run_that_was_just_deleted_does_not_bring_its_folder_back(
    library: Library, tiny_config: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(library, tiny_config)
    run.acquire()
    run.release()

    def deleted_first(folder: Path) -> FileLock:
        monkeypatch.undo()
        library.move_to_trash(folder)
        return lock_of(folder)

    monkeypatch.setattr("terrarium.models.library.run_record.lock_of", deleted_first)
    assert not is_locked(run.folder)
    assert not run.folder.exists()
    assert library.list_runs() == []


def test_tokenizers_are_listed_with_their_problems(library: Library, tiny_config) -> None:
    make_run(library, tiny_config)
    (library.tokenizers / "broken").mkdir()
    (library.tokenizers / "wrong").mkdir()
    (library.tokenizers / "wrong" / "tokenizer.json").write_text("{}")
    (library.tokenizers / "wrong" / "about.json").write_text('{"vocab_size": "many"}')
    broken, byte, wrong = library.list_tokenizers()
    assert wrong.problem == f"{library.tokenizers / 'wrong' / 'about.json'} is damaged: vocab_size is 'many'."
    assert (byte.name, byte.kind, byte.vocab_size, byte.problem) == ("byte", "byte", 261, None)
    assert broken.problem == f"{library.tokenizers / 'broken' / 'tokenizer.json'} is missing."
    assert read_json(byte.folder / "about.json")["kind"] == "byte"


@pytest.fixture
def platform_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The platform's folders are in `tmp_path`, and the variable is not set."""
    monkeypatch.delenv("TERRARIUM_HOME", raising=False)
    for name in ("config", "data"):
        monkeypatch.setattr(
            f"terrarium.models.library.library.user_{name}_dir", lambda *_, n=name, **__: str(tmp_path / n)
        )


@pytest.mark.usefixtures("platform_folders")
def test_a_chosen_folder_is_used_unless_the_variable_is_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Library().home == tmp_path / "data"
    (tmp_path / "big disk").mkdir()
    assert choose_location(tmp_path / "big disk") == tmp_path / "big disk"
    assert Library().home == tmp_path / "big disk"
    assert not find_location().is_fixed
    monkeypatch.setenv("TERRARIUM_HOME", str(tmp_path / "here"))
    assert find_location().is_fixed
    assert Library().home == tmp_path / "here"
    assert Library(tmp_path).home == tmp_path


@pytest.mark.usefixtures("platform_folders")
def test_among_other_things_it_gets_a_folder_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "letter.txt").write_text("Dear", "utf-8")
    assert choose_location(tmp_path / "documents") == tmp_path / "documents" / "Terrarium"
    (tmp_path / "old" / "runs").mkdir(parents=True)
    assert choose_location(tmp_path / "old") == tmp_path / "old"  # a library already


@pytest.mark.usefixtures("platform_folders")
def test_a_folder_that_is_gone_is_said(tmp_path: Path) -> None:
    chosen = tmp_path / "stick"
    chosen.mkdir()
    choose_location(chosen)
    chosen.rmdir()
    location = find_location()
    assert location.home == tmp_path / "data"
    assert str(chosen) in location.problem
    (tmp_path / "config" / "library.json").write_text("{", "utf-8")
    assert "damaged" in find_location().problem
