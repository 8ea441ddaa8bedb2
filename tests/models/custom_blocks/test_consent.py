"""Nothing of a custom block runs without the user's consent to exactly this text, whatever files and names say."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import shutil
import stat
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import torch

from terrarium.models.architecture.transformer import build_model
from terrarium.models.custom_blocks import loading, store
from terrarium.models.custom_blocks.manifest import CustomBlock, read_block
from terrarium.models.custom_blocks.sizes import BlockConfig
from terrarium.models.design import total_parameters
from terrarium.models.design.tree import design_tree
from terrarium.models.events import result_of
from terrarium.models.interop.loading import load_config, load_model
from terrarium.models.library.library import Library
from terrarium.models.runs.run_queue import RunQueue
from terrarium.models.settings.design_files import read_design, write_design
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.training.trainer import prepare_run
from tests.models.custom_blocks.writers import NAMES, writer
from tests.models.own_blocks import put_block, with_block
from tests.models.training.support import make_spec

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="links and modes are of other systems")
HOSTILE = "at the top"


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    """The file that a text writes when it runs."""
    return tmp_path / "ran"


@pytest.fixture
def block(library: Library, marker: Path, monkeypatch: pytest.MonkeyPatch) -> CustomBlock:
    """A text in the library that would write the marker."""
    monkeypatch.delenv(store.TRUST_VARIABLE, raising=False)
    return put_block(writer(HOSTILE, marker), allowed=False)


def entries(*hashes: str) -> str:
    """The content of a file of consent."""
    return json.dumps({"allowed": {each: {"name": "writer", "when": "2026-01-01"} for each in hashes}})


def plant(path: Path, text: str, mode: int = 0o600) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return path


def refuse(block: CustomBlock, marker: Path) -> None:
    """It is not allowed, and nothing of it runs."""
    assert not store.is_allowed(block)
    with pytest.raises(store.NotAllowedError, match=f"--trust-block {block.sha256}"):
        loading.block_class(block)
    assert not marker.exists()


# -- Entry points, for every place of a text from which it could run ---------------------------------------------------


def _queue(design: ModelConfig, library: Library, folder: Path) -> None:
    queue = RunQueue(library)
    queue.add_new([make_spec(folder / "data", design)])
    (item,) = RunQueue(library).items()
    assert item.spec is not None
    result_of(prepare_run(library, item.spec))


def _checkpoint(design: ModelConfig, library: Library, folder: Path) -> None:
    where = plant(folder / "checkpoint" / "model.safetensors", "").parent
    (where / "state.json").write_text(json.dumps({"format": 2, "step": 1, "model": design.to_dict()}), encoding="utf-8")
    assert load_config(where) == design
    load_model(where)


def _hugging_face(design: ModelConfig, library: Library, folder: Path) -> None:
    config = {
        "architectures": ["TerrariumForCausalLM"],
        "model_type": "terrarium",
        "auto_map": {"AutoConfig": "modeling_terrarium.TerrariumConfig"},
        "design": design.to_dict(),
    }
    where = plant(folder / "hf" / "config.json", json.dumps(config)).parent
    shutil.copy(store.blocks_folder() / "writer.py", where / "modeling_terrarium.py")
    safetensors.torch.save_file({"x": torch.zeros(1)}, where / "model.safetensors")
    load_model(where)


def _design_file(design: ModelConfig, library: Library, folder: Path) -> None:
    write_design(folder / "design.json", design)
    build_model(read_design(folder / "design.json"))


def _measure(design: ModelConfig, library: Library, folder: Path) -> None:
    about = store.find_in(design, "feed_forward")
    assert about is not None
    loading.measure_block(about, BlockConfig.of(design), (), 1, 8)


def _listing(design: ModelConfig, library: Library, folder: Path) -> None:
    (file,) = store.list_blocks()
    assert file.block is not None
    store.keep_text(file.block)
    store.save_block(file.source)
    (problem,) = store.block_problems(design)
    raise store.NotAllowedError(problem.sentence)


ENTRIES: dict[str, Callable[[ModelConfig, Library, Path], object]] = {
    "build": lambda design, library, folder: build_model(design),
    "tree": lambda design, library, folder: design_tree(design),
    "costs": lambda design, library, folder: total_parameters(design),
    "measure": _measure,
    "checks": lambda design, library, folder: store.check_blocks(design),
    "library": _listing,
    "design file": _design_file,
    "queue": _queue,
    "checkpoint": _checkpoint,
    "Hugging Face": _hugging_face,
}


@pytest.mark.parametrize("entry", ENTRIES)
def test_no_entry_runs_a_text(
    entry: str, library: Library, tiny_config: ModelConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(store.TRUST_VARIABLE, raising=False)
    for i, name in enumerate(NAMES):
        marker = tmp_path / f"ran {i}"
        design = with_block(tiny_config, put_block(writer(name, marker), allowed=False))
        folder = tmp_path / str(i)
        folder.mkdir()
        for item in RunQueue(library).items():
            RunQueue(library).remove(item.id)
        with pytest.raises(store.NotAllowedError, match="--trust-block"):
            ENTRIES[entry](design, library, folder)
        assert not marker.exists(), name


# -- Ways to consent that is not the user's ----------------------------------------------------------------------------


def _in_library(block: CustomBlock, home: Path) -> None:
    for where in (".", "blocks", "blocks/texts", "Terrarium", "Terrarium consent", "config/Terrarium consent"):
        plant(home / where / "allowed-blocks.json", entries(block.sha256))


def _old_settings(block: CustomBlock, home: Path) -> None:
    """On Windows and macOS, this folder is the library's own."""
    plant(store.consent_file().parent.with_name("Terrarium") / "allowed-blocks.json", entries(block.sha256))


def _beside_text(block: CustomBlock, home: Path) -> None:
    plant(home / "blocks" / "texts" / f"{block.sha256}.json", entries(block.sha256))
    plant(home / "settings.json", json.dumps({"allowed": {block.sha256: {}}, store.TRUST_VARIABLE: block.sha256}))


CONTENTS: dict[str, Callable[[str], str]] = {
    "empty": lambda hash: "",
    "not JSON": lambda hash: entries(hash)[:-1],
    "two objects": lambda hash: entries(hash) * 2,
    "a list": lambda hash: json.dumps([hash]),
    "a list of hashes": lambda hash: json.dumps({"allowed": [hash]}),
    "a text": lambda hash: json.dumps({"allowed": hash}),
    "true": lambda hash: json.dumps({"allowed": True}),
    "every text": lambda hash: entries("*", "", "0" * 64),
    "a prefix": lambda hash: entries(hash[:16], hash[:63]),
    "more": lambda hash: entries(hash + "0", hash + "\n", f" {hash}"),
    "upper case": lambda hash: entries(hash.upper()),
    "no entry": lambda hash: json.dumps({"allowed": {hash: None}}),
    "withdrawn": lambda hash: json.dumps({"allowed": {hash: False}}),
    "another key": lambda hash: json.dumps({"Allowed": {hash: {}}, "trusted": {hash: {}}}),
    "the name": lambda hash: entries("writer", f"writer@{hash}"),
    "deeply nested": lambda hash: '{"allowed": ' + "[" * 100_000,
    "huge": lambda hash: entries(hash)[:-2] + ", " + ", ".join(f'"{i:064x}": {{}}' for i in range(20_000)) + "}}",
    "NUL": lambda hash: entries(hash).replace("}", "\0}"),
}


@pytest.mark.parametrize("name", CONTENTS)
def test_a_file_of_consent_that_is_damaged_allows_nothing(name: str, block: CustomBlock, marker: Path) -> None:
    """And is mended by the next consent."""
    plant(store.consent_file(), CONTENTS[name](block.sha256))
    refuse(block, marker)
    store.allow(block)
    assert store.is_allowed(block)


@pytest.mark.parametrize("attack", [_in_library, _old_settings, _beside_text])
def test_files_in_the_library_are_no_consent(
    attack: Callable[[CustomBlock, Path], None], block: CustomBlock, marker: Path, library: Library
) -> None:
    attack(block, library.home)
    refuse(block, marker)


@pytest.mark.parametrize("where", [".", "config", "blocks/texts"])
def test_settings_inside_of_the_library_are_not_read(
    where: str, block: CustomBlock, marker: Path, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(library.home / where))
    monkeypatch.setattr(store, "user_config_dir", lambda name, **_: str(library.home / where / name))
    plant(store.consent_file(), entries(block.sha256))
    refuse(block, marker)
    for change in (functools.partial(store.allow, block), functools.partial(store.withdraw, block.sha256)):
        with pytest.raises(ValueError, match="is in the library"):
            change()
    refuse(block, marker)


@POSIX
def test_a_link_into_the_library_or_elsewhere_is_no_consent(
    block: CustomBlock, marker: Path, library: Library, tmp_path: Path
) -> None:
    path = store.consent_file()
    path.parent.mkdir(parents=True)
    for target in (library.home / "allowed.json", tmp_path / "elsewhere" / "allowed.json"):
        path.symlink_to(plant(target, entries(block.sha256)))
        refuse(block, marker)
        path.unlink()
    path.parent.rmdir()
    plant(library.home / "settings" / path.name, entries(block.sha256))
    path.parent.symlink_to(library.home / "settings")
    refuse(block, marker)
    with pytest.raises(ValueError, match="is in the library"):
        store.allow(block)


@POSIX
@pytest.mark.parametrize("mode", [0o666, 0o620, 0o602])
def test_a_file_that_others_can_write_is_no_consent(mode: int, block: CustomBlock, marker: Path) -> None:
    plant(store.consent_file(), entries(block.sha256), mode)
    refuse(block, marker)


@POSIX
def test_a_file_of_another_user_is_no_consent(
    block: CustomBlock, marker: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.allow(block)
    monkeypatch.setattr(os, "getuid", lambda: 4711)
    refuse(block, marker)


@POSIX
def test_what_is_no_file_is_no_consent(block: CustomBlock, marker: Path) -> None:
    path = store.consent_file()
    path.mkdir(parents=True)
    refuse(block, marker)
    path.rmdir()
    os.mkfifo(path)
    refuse(block, marker)


@POSIX
def test_consent_is_private(block: CustomBlock) -> None:
    old = os.umask(0)
    try:
        store.allow(block)
    finally:
        os.umask(old)
    path = store.consent_file()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    "value",
    [
        "",
        ",",
        "*",
        "1",
        "true",
        "all",
        "{upper}",
        "{hash}0",
        "{prefix}",
        "writer",
        "writer@{hash}",
        "'{hash}'",
        "{hash};",
    ],
)
def test_the_variable_holds_hashes_only(
    value: str, block: CustomBlock, marker: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashes = {"hash": block.sha256, "upper": block.sha256.upper(), "prefix": block.sha256[:63]}
    monkeypatch.setenv(store.TRUST_VARIABLE, value.format(**hashes))
    refuse(block, marker)


@pytest.mark.parametrize("value", ["{}", " {} ", "0,{}", "0, {} ,1", "\t{}\n"])
def test_spaces_in_the_variable_do_not_matter(
    value: str, block: CustomBlock, marker: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(store.TRUST_VARIABLE, value.format(block.sha256))
    assert issubclass(loading.block_class(block), object)
    assert marker.exists()
    monkeypatch.delenv(store.TRUST_VARIABLE)
    assert not store.is_allowed(block)


CHANGES: dict[str, Callable[[str], str]] = {
    "a space": lambda source: source + " ",
    "a line end": lambda source: source + "\n",
    "a comment": lambda source: source + "# harmless\n",
    "a digit": lambda source: source.replace("Writer", "Write1"),
    "tabs": lambda source: source.replace("    ", "\t"),
    "composed letters": lambda source: source + "# e\u0301\n",
}


@pytest.mark.parametrize("name", CHANGES)
def test_consent_is_to_the_exact_text(name: str, block: CustomBlock, marker: Path) -> None:
    store.allow(block)
    refuse(read_block(CHANGES[name](block.source)), marker)


def test_a_block_that_only_says_it_is_another_is_refused(block: CustomBlock, marker: Path) -> None:
    """Name, title, slot and options are no part of consent; the text is."""
    harmless = put_block(block.source.replace("write()\n", "\n"), allowed=True)
    assert harmless.title == block.title
    refuse(block, marker)
    refuse(dataclasses.replace(harmless, source=block.source), marker)


def test_a_text_that_changes_on_disk_after_consent_does_not_run(
    library: Library, tiny_config: ModelConfig, block: CustomBlock, marker: Path
) -> None:
    harmless = put_block(block.source.replace("write()\n", "\n"), allowed=True)
    design = with_block(tiny_config, harmless)
    for name in ("writer", f"texts/{harmless.sha256}"):
        plant(store.blocks_folder() / f"{name}.py", block.source)
    with pytest.raises(ValueError, match="is not in this library"):
        build_model(design)
    assert not marker.exists()


def test_a_text_that_changes_between_check_and_run_does_not_run(
    library: Library,
    tiny_config: ModelConfig,
    block: CustomBlock,
    marker: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    harmless = put_block(block.source.replace("write()\n", "\n"), allowed=True)
    check = store.check_allowed

    def check_and_change(about: CustomBlock) -> None:
        check(about)
        for name in ("writer", f"texts/{harmless.sha256}"):
            plant(store.blocks_folder() / f"{name}.py", block.source)

    monkeypatch.setattr(loading, "check_allowed", check_and_change)
    loading.PlacedBlock(*loading.placing(with_block(tiny_config, harmless), "feed_forward"))
    assert not store.has_text(harmless.reference)
    assert not marker.exists()


def test_modules_beside_a_text_are_not_imported(
    library: Library, block: CustomBlock, marker: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in (store.blocks_folder(), tmp_path):
        plant(folder / "helper.py", f"open({str(marker)!r}, 'w').close()\n")
        plant(folder / "__init__.py", f"open({str(marker)!r}, 'w').close()\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    harmless = block.source.replace("write()\n", "\n")
    for line in ("import helper", "from helper import x", "from . import helper", "from .. import helper"):
        with pytest.raises(ValueError, match="imports"):
            read_block(f"{line}\n{harmless}")
    store.list_blocks()
    assert not marker.exists()


def test_looking_through_all_modules_runs_nothing(library: Library, marker: Path) -> None:
    """As some libraries do, also after consent was withdrawn."""
    block = put_block(writer("in __getattr__ of the module", marker))
    loading.block_class(block)
    store.withdraw(block.sha256)
    assert not [name for name in sys.modules if name.endswith(block.sha256)]


def test_consent_that_is_withdrawn(
    library: Library, tiny_config: ModelConfig, block: CustomBlock, marker: Path
) -> None:
    """Also after the text ran, and although its class and its measurements are kept."""
    design = with_block(tiny_config, block)
    store.allow(block)
    build_model(design)
    _measure(design, library, library.home)
    marker.unlink()
    store.withdraw(block.sha256)
    refuse(block, marker)
    with pytest.raises(store.NotAllowedError):
        build_model(design)
    with pytest.raises(store.NotAllowedError):
        _measure(design, library, library.home)
    assert not marker.exists()


def test_texts_of_other_places_of_the_design_need_consent_too(
    library: Library, tiny_config: ModelConfig, block: CustomBlock, marker: Path
) -> None:
    norm = put_block(
        block.source.replace('"feed_forward"', '"norm"').replace("d_model", "width").replace("write()\n", "\n")
    )
    with pytest.raises(store.NotAllowedError, match=block.sha256):
        build_model(with_block(with_block(tiny_config, norm), block))
    assert not marker.exists()


def test_consent_and_its_withdrawal_at_the_same_time(block: CustomBlock, library: Library) -> None:
    """No process writes back what another has withdrawn."""
    others = [read_block(f"{block.source}# {i}\n") for i in range(12)]
    store.allow(block)
    changes: list[Callable[[], None]] = [functools.partial(store.allow, each) for each in others]
    changes.insert(6, functools.partial(store.withdraw, block.sha256))
    threads = [threading.Thread(target=change) for change in changes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not store.is_allowed(block)
    assert all(map(store.is_allowed, others))


def test_saving_and_keeping_is_no_consent(block: CustomBlock, marker: Path) -> None:
    store.save_block(block.source)
    store.keep_text(block)
    assert store.find_block(block.reference) == block
    assert not store.consent_file().exists()
    refuse(block, marker)
