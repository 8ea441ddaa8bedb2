"""A run in one file: the round trip, and files that are damaged, or made to do harm."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import stat
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from terrarium.models.events import Progress, result_of
from terrarium.models.files import limits
from terrarium.models.files.atomic import atomic_write_json, read_json
from terrarium.models.interop.loading import load_model
from terrarium.models.library.library import Library
from terrarium.models.library.run_notes import NOTES_FILE as NOTES
from terrarium.models.library.run_record import checkpoint_step, lock_of
from terrarium.models.runs.fork import fork_run
from terrarium.models.runs.run_file import contents, unpacking
from terrarium.models.runs.run_file.packing import pack_run
from terrarium.models.runs.run_file.unpacking import unpack_run
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.align_spec import REWARD_MODELS
from terrarium.models.settings.model_config import ModelConfig
from tests.models.training.support import final_weights, make_run, numbers, train


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run of ten steps, with checkpoints of 3, 6, 9 and 10, in a library with notes and a conversation."""
    library = Library(tmp_path_factory.mktemp("trained"))
    small = ModelConfig(vocab_size=261, context_length=32, n_layer=2, n_head=2, d_model=32, conv_width=4)
    run = make_run(library, small, keep_checkpoints=9)
    train(run, library)
    atomic_write_json(run.folder / NOTES, {"notes": "mine alone", "tags": []})
    for chat, run_id in (("with-it", run.id), ("with-another", "another")):
        atomic_write_json(library.chats / f"{chat}.json", {"format": 2, "id": chat, "run_id": run_id, "messages": []})
    return RunFolder.open(run.folder)


@pytest.fixture
def home(trained: RunFolder) -> Library:
    """The library where the run was trained; the other one, `library`, is empty."""
    return Library(trained.folder.parents[1])


@pytest.fixture
def packed(trained: RunFolder, home: Library, tmp_path: Path) -> Path:
    """The file of the run."""
    return result_of(pack_run(trained, tmp_path / "a run", home))


def rewritten(packed: Path, **changes: Callable[[zipfile.ZipInfo, bytes], tuple[Any, bytes] | None]) -> Path:
    """A copy in which some members are others, or missing; its manifest has the right sums of what is there."""
    target = packed.with_name("changed.terrarium")
    names = {name.replace(".", "_").replace("/", "_"): name for name in zipfile.ZipFile(packed).namelist()}
    by_name = {names[key]: change for key, change in changes.items()}
    with zipfile.ZipFile(packed) as source, zipfile.ZipFile(target, "w") as into:
        sums = {}
        for info in source.infolist():
            if info.filename == contents.MANIFEST:
                continue
            data: bytes = source.read(info)
            if info.filename in by_name:
                changed = by_name[info.filename](info, data)
                if changed is None:
                    continue
                info, data = changed
            into.writestr(info, data)
            sums[info.filename] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
        about = json.loads(source.read(contents.MANIFEST)) | {"files": sums}
        into.writestr(contents.MANIFEST, json.dumps(about))
    return target


def assert_refused(file: Path, library: Library, words: str) -> str:
    """It is refused in one sentence that names the file, and nothing of it is left."""
    with pytest.raises(ValueError, match=words) as caught:
        result_of(unpack_run(file, library))
    sentence = str(caught.value)
    assert str(file) in sentence
    assert sentence.endswith(".")
    assert ".tmp-" not in sentence
    assert "\n" not in sentence
    assert not library.runs.exists() or list(library.runs.iterdir()) == []
    assert not library.chats.exists()
    return sentence


def test_a_run_comes_back_with_all_that_one_sees_of_it(packed: Path, trained: RunFolder, library: Library) -> None:
    assert packed.name == "a run.terrarium"
    events = list(unpack_run(packed, library))
    assert any(isinstance(event, Progress) and event.done == event.total for event in events)
    (info,) = library.list_runs()
    assert (info.name, info.status, info.step, info.problem) == (trained.name, trained.status, 10, None)
    assert info.has_model
    run = RunFolder.open(info.folder)
    assert run.spec.model == trained.spec.model
    assert numbers(run) == numbers(trained)
    assert run.read_samples() == trained.read_samples()
    assert run.read_attention() == trained.read_attention()
    assert run.read_layers() == trained.read_layers()
    assert run.tokenizer_file.read_bytes() == trained.tokenizer_file.read_bytes()
    assert [checkpoint_step(path) for path in run.checkpoints()] == [10]
    expected = final_weights(trained)
    assert all(torch.equal(weight, expected[name]) for name, weight in final_weights(run).items())
    (model, tokenizer), (own, _) = load_model(run.folder), load_model(trained.folder)
    ids = torch.tensor([[5, 80, 90]])
    assert torch.equal(model(ids), own(ids))
    assert tokenizer is not None
    source = run.lineage["source"]
    assert (source["path"], source["format"], source["run"]) == (str(packed), "terrarium", trained.id)


def test_what_is_nobody_elses_business_stays(packed: Path, trained: RunFolder, library: Library) -> None:
    assert any(Path(file).is_absolute() for file in trained.spec.data.files)
    with zipfile.ZipFile(packed) as file:
        assert not [name for name in file.namelist() if name.startswith(("notes", "chats", "lock", "curve"))]
        record = json.loads(file.read("run.json"))
    assert record["spec"]["data"]["files"] == [Path(file).name for file in trained.spec.data.files]
    assert record["spec"]["train"]["prompts"] == list(trained.spec.train.prompts)
    result_of(unpack_run(packed, library))
    assert not library.chats.exists()


def test_all_checkpoints_and_conversations_on_request(
    trained: RunFolder, home: Library, library: Library, tmp_path: Path
) -> None:
    file = result_of(pack_run(trained, tmp_path / "all.terrarium", home, all_checkpoints=True, chats=True))
    run = result_of(unpack_run(file, library, "another name"))
    assert run.name == "another name"
    assert [checkpoint_step(path) for path in run.checkpoints()] == [3, 6, 9, 10]
    (chat,) = library.chats.iterdir()
    about = read_json(chat)
    assert about["id"] == chat.stem
    assert about["run_id"] == run.id
    assert not (run.folder / "chats").exists()
    fork = fork_run(library, run, 6, ends=True)
    assert fork.status == "finished"


def test_a_second_copy_gets_a_name_and_an_id_of_its_own(packed: Path, trained: RunFolder, library: Library) -> None:
    first, second = (result_of(unpack_run(packed, library)) for _ in range(2))
    assert (first.name, second.name) == (trained.name, f"{trained.name} 2")
    assert first.id != second.id


def test_a_copy_of_a_copy_remembers_where_it_began(packed: Path, library: Library, tmp_path: Path) -> None:
    first = result_of(unpack_run(packed, library))
    again = result_of(unpack_run(result_of(pack_run(first, tmp_path / "again", library)), library))
    source = again.lineage["source"]
    assert source["run"] == first.id
    assert source["before"]["path"] == packed.name, "without the folder"


def test_an_interrupted_run_is_a_stopped_one_elsewhere(
    trained: RunFolder, home: Library, library: Library, tmp_path: Path
) -> None:
    copy = library.runs / "copy"
    shutil.copytree(trained.folder, copy)
    atomic_write_json(copy / "run.json", read_json(copy / "run.json") | {"status": "running", "id": "copy"})
    run = RunFolder.open(copy)
    assert run.status == "interrupted"
    assert result_of(unpack_run(result_of(pack_run(run, tmp_path / "x", home)), library)).status == "stopped"


def test_a_file_that_is_there_stays_unless_it_is_replaced(trained: RunFolder, home: Library, packed: Path) -> None:
    before = packed.read_bytes()
    with pytest.raises(ValueError, match="exists already: delete it, or choose another name"):
        result_of(pack_run(trained, packed, home))
    assert packed.read_bytes() == before
    result_of(pack_run(trained, packed, home, all_checkpoints=True, replaces=True))
    assert packed.stat().st_size > len(before)


def test_a_run_in_training_and_one_without_weights_are_refused(
    trained: RunFolder, home: Library, library: Library, tmp_path: Path, tiny_config: ModelConfig
) -> None:
    with lock_of(trained.folder), pytest.raises(ValueError, match="is being trained"):
        result_of(pack_run(trained, tmp_path / "x", home))
    with pytest.raises(ValueError, match="no checkpoint yet"):
        result_of(pack_run(make_run(library, tiny_config), tmp_path / "x", library))
    assert not list(tmp_path.glob("*x*"))


def test_a_full_disk_while_packing_leaves_nothing(
    trained: RunFolder, home: Library, packed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = packed.read_bytes()

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(zipfile.ZipFile, "_writecheck", full)
    with pytest.raises(OSError, match="No space left"):
        result_of(pack_run(trained, packed, home, replaces=True))
    assert packed.read_bytes() == before
    assert [path.name for path in packed.parent.iterdir() if path.is_file()] == [packed.name]


def test_cancelling_leaves_nothing(trained: RunFolder, home: Library, library: Library, packed: Path) -> None:
    packing = pack_run(trained, packed.with_name("b.terrarium"), home)
    while not isinstance(next(packing), Progress):
        pass
    packing.close()
    unpacking_it = unpack_run(packed, library)
    while not isinstance(next(unpacking_it), Progress):
        pass
    unpacking_it.close()
    assert [path.name for path in packed.parent.iterdir() if path.is_file()] == [packed.name]
    assert list(library.runs.iterdir()) == []


def test_a_full_disk_while_unpacking_leaves_nothing(
    packed: Path, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unpacking.shutil, "disk_usage", lambda folder: SimpleNamespace(free=1000))
    with pytest.raises(OSError, match="No space left"):
        result_of(unpack_run(packed, library))
    assert list(library.runs.iterdir()) == []


@pytest.mark.parametrize("name", ["run.json", "metrics.jsonl", "model.safetensors", contents.MANIFEST])
def test_a_changed_byte_is_noticed(packed: Path, library: Library, name: str) -> None:
    data = bytearray(packed.read_bytes())
    with zipfile.ZipFile(packed) as file:
        info = next(info for info in file.infolist() if info.filename.endswith(name))
    data[info.header_offset + 30 + len(info.filename) + info.compress_size // 2] ^= 1
    packed.write_bytes(bytes(data))
    assert_refused(packed, library, "is damaged")


def test_a_sum_that_is_another_is_noticed_where_the_zip_itself_agrees(packed: Path, library: Library) -> None:
    target = packed.with_name("forged.terrarium")
    with zipfile.ZipFile(packed) as source, zipfile.ZipFile(target, "w") as into:
        for info in source.infolist():
            data = source.read(info)
            into.writestr(info, data.replace(b"loss", b"lass") if info.filename == "metrics.jsonl" else data)
    assert_refused(target, library, "“metrics.jsonl” in it has changed")


def test_half_a_file_and_no_file(packed: Path, library: Library) -> None:
    packed.write_bytes(packed.read_bytes()[: packed.stat().st_size // 2])
    assert_refused(packed, library, "no Terrarium file, or not all of it is there")
    packed.write_bytes(b"GGUF" + bytes(1000))
    assert_refused(packed, library, "no Terrarium file")
    packed.write_bytes(b"")
    assert_refused(packed, library, "no Terrarium file")
    packed.unlink()
    assert_refused(packed, library, "is missing")
    packed.mkdir()
    assert_refused(packed, library, "is missing")


def test_another_zip_is_no_run(tmp_path: Path, library: Library) -> None:
    file = tmp_path / "holiday.terrarium"
    with zipfile.ZipFile(file, "w") as into:
        into.writestr("photo.jpg", b"\xff\xd8")
    assert_refused(file, library, "no Terrarium file: it has no manifest.json")


@pytest.mark.parametrize(
    "name",
    [
        "../evil.json",
        "../../home/settings.json",
        "/etc/evil.json",
        "C:/evil.json",
        "checkpoints/../../evil.json",
        "checkpoints\\..\\evil.json",
        "scores/../run.json",
        "scores//x.json",
        "evil.pkl",
        "evil.py",
        "checkpoints/step-00000010/model.bin",
        "checkpoints/step-00000010/deeper/x.json",
        "scores/.hidden.json",
        "con.json",
        "a\nb.json",
        "notes.json",
        "corrections.jsonl",
        "lock",
        "scores/",
    ],
)
def test_names_that_no_run_has_are_refused(packed: Path, library: Library, name: str) -> None:
    with zipfile.ZipFile(packed, "a") as file:
        info = zipfile.ZipInfo("x")
        info.filename = name  # as it is: ZipInfo's own constructor would mend some of them
        file.writestr(info, b"{}")
    assert_refused(packed, library, "is no file of a run")
    assert not list(packed.parent.rglob("*evil*"))


def test_links_passwords_and_other_compression_are_refused(packed: Path, library: Library) -> None:
    def link(info: zipfile.ZipInfo, _: bytes) -> tuple[zipfile.ZipInfo, bytes]:
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        return info, b"/etc/passwd"

    assert_refused(rewritten(packed, samples_jsonl=link), library, "is a link")

    def slow(info: zipfile.ZipInfo, data: bytes) -> tuple[zipfile.ZipInfo, bytes]:
        info.compress_type = zipfile.ZIP_LZMA
        return info, data

    assert_refused(rewritten(packed, samples_jsonl=slow), library, "compressed in a way")
    with zipfile.ZipFile(packed, "a") as file:
        next(info for info in file.infolist() if info.filename == "samples.jsonl").flag_bits |= 1
        file.writestr("scores/x.json", b"{}")
    assert_refused(packed, library, "is encrypted")


def test_bombs_are_refused_before_they_go_off(packed: Path, library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    def bomb(info: zipfile.ZipInfo, _: bytes) -> tuple[zipfile.ZipInfo, bytes]:
        info.compress_type = zipfile.ZIP_DEFLATED
        return info, bytes(1 << 24)

    assert_refused(rewritten(packed, samples_jsonl=bomb), library, "“samples.jsonl” in it would grow from 15")
    weights = "checkpoints_step-00000010_model_safetensors"
    assert_refused(rewritten(packed, **{weights: bomb}), library, "would grow")
    monkeypatch.setattr(contents, "MAX_TEXT_BYTES", 1000)
    assert_refused(packed, library, "would have")
    monkeypatch.setattr(unpacking, "MAX_FILES", 3)
    assert_refused(packed, library, "a run has at most 3")


def test_many_small_texts_that_grow_are_a_bomb_too(
    packed: Path, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "FREE_BYTES", 1 << 20)
    with zipfile.ZipFile(packed, "a", zipfile.ZIP_DEFLATED) as file:
        for index in range(3):
            file.writestr(f"replies/{index}.jsonl", bytes(1 << 20))
    assert_refused(packed, library, "its texts would grow from")


@pytest.mark.parametrize("data", [b"\x80\x04cos\nsystem\n", b"x" * 5000, (1 << 62).to_bytes(8, "little") + bytes(99)])
@pytest.mark.parametrize("name", ["model_safetensors", "optimizer_safetensors"])
def test_weights_that_are_none_are_refused(packed: Path, library: Library, name: str, data: bytes) -> None:
    file = rewritten(packed, **{f"checkpoints_step-00000010_{name}": lambda info, _: (info, data)})
    place = f"checkpoints/step-00000010/{name.replace('_', '.')}"
    assert_refused(file, library, f"cannot be opened: {place} is damaged")


def test_a_gguf_file_that_is_none_is_refused(packed: Path, library: Library) -> None:
    with zipfile.ZipFile(packed, "a") as file:
        file.writestr("base/model.gguf", b"x" * 5000)
    assert_refused(rewritten(packed), library, r"cannot be opened: base/model.gguf is not a GGUF file")


@pytest.mark.parametrize("folder", REWARD_MODELS.values())
def test_both_reward_models_are_of_a_run(folder: str) -> None:
    assert contents.is_known(f"{folder}/model.safetensors")
    assert contents.is_known(f"{folder}/state.json")


def test_what_the_manifest_says_is_what_there_is(packed: Path, library: Library) -> None:
    with zipfile.ZipFile(packed, "a") as file:
        file.writestr("scores/more.json", b"{}")
    assert_refused(packed, library, "other files are in it than its manifest.json says")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_files_of_one_name_are_refused(packed: Path, library: Library) -> None:
    with zipfile.ZipFile(packed, "a") as file:
        file.writestr("Run.json", b"{}")
    assert_refused(packed, library, "two files of one name")


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"format": 1, "files": []}', '{"format": 1, "files": {"a": 1}}', "[" * 99_999]
)
def test_a_manifest_that_is_none(packed: Path, library: Library, text: str) -> None:
    target = packed.with_name("other.terrarium")
    with zipfile.ZipFile(packed) as source, zipfile.ZipFile(target, "w") as into:
        for info in source.infolist():
            into.writestr(info, text if info.filename == contents.MANIFEST else source.read(info))
    assert_refused(target, library, r"its manifest\.json cannot be read")


def test_a_newer_format_says_so(packed: Path, library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacking, "FORMAT", 0)
    assert_refused(packed, library, r"from a newer Terrarium \(format 1\): update this one")


def test_runs_that_lack_something_or_make_no_sense(packed: Path, library: Library) -> None:
    assert_refused(rewritten(packed, run_json=lambda *_: None), library, r"it has no run\.json")
    assert_refused(rewritten(packed, tokenizer_json=lambda *_: None), library, r"it has no tokenizer\.json")
    state = "checkpoints_step-00000010_state_json"
    assert_refused(rewritten(packed, **{state: lambda info, _: (info, b"{}")}), library, "it has no format")
    assert_refused(rewritten(packed, tokenizer_json=lambda info, _: (info, b"{}")), library, "tokenizer")

    # A run.json with a setting that is none, or an id that would be a path, changes nothing outside.
    def climbs(info: zipfile.ZipInfo, data: bytes) -> tuple[zipfile.ZipInfo, bytes]:
        return info, json.dumps(json.loads(data) | {"id": "../../evil", "name": "../../evil"}).encode()

    run = result_of(unpack_run(rewritten(packed, run_json=climbs), library))
    assert run.folder.parent == library.runs
    assert not Path(run.id).parts[1:]


def test_unpacking_deletes_what_killed_ones_left(packed: Path, library: Library) -> None:
    old, young = (library.runs / f".tmp-unpacked-{n}" for n in (1, 2))
    for folder in (old, young):
        folder.mkdir(parents=True)
        (folder / "run.json").write_text("{}")
    os.utime(old, (time.time() - 90_000,) * 2)
    result_of(unpack_run(packed, library))
    assert not old.exists()
    assert young.exists()
