"""Runs keep the texts of their custom blocks, and bring them along without consent; nothing of them runs."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
import zipfile
from pathlib import Path

import pytest

from terrarium.models.custom_blocks import store
from terrarium.models.custom_blocks.carried import file_name
from terrarium.models.custom_blocks.manifest import CustomBlock
from terrarium.models.events import result_of
from terrarium.models.interop.importing import import_model
from terrarium.models.interop.loading import load_model
from terrarium.models.library.library import Library
from terrarium.models.runs.fork import fork_run
from terrarium.models.runs.run_file import contents
from terrarium.models.runs.run_file.packing import pack_run
from terrarium.models.runs.run_file.unpacking import unpack_run
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.tune_spec import TuneSpec
from terrarium.models.training.trainer import prepare_run
from tests.models.own_blocks import WRITES, put_block, with_block
from tests.models.training.support import make_run, train


@pytest.fixture
def ran(tmp_path: Path) -> Path:
    """The file that the block's text writes when it runs."""
    return tmp_path / "it ran"


@pytest.fixture
def block(library: Library, ran: Path) -> CustomBlock:
    """A block that may run."""
    return put_block(WRITES % str(ran))


@pytest.fixture
def run(library: Library, tiny_config: ModelConfig, block: CustomBlock, ran: Path) -> RunFolder:
    """A trained run with the block, on a computer where it may not run any longer."""
    run = make_run(library, with_block(tiny_config, block), steps=3, sample_interval=0)
    train(run, library)
    store.withdraw(block.sha256)
    ran.unlink()
    return RunFolder.open(run.folder)


def text_in(folder: Path, block: CustomBlock) -> Path:
    """The text that a run's folder carries."""
    return folder / "blocks" / file_name(block.reference)


def forget_texts() -> None:
    """The library loses all texts."""
    shutil.rmtree(store.blocks_folder())


def test_a_run_keeps_the_texts_of_its_design(run: RunFolder, block: CustomBlock) -> None:
    assert text_in(run.folder, block).read_text(encoding="utf-8") == block.source
    assert [path.name for path in (run.folder / "blocks").iterdir()] == [f"writer-{block.sha256[:12]}.py"]


def test_a_run_whose_text_is_gone_is_repaired_from_its_folder(run: RunFolder, block: CustomBlock, ran: Path) -> None:
    forget_texts()
    RunFolder.open(run.folder)
    assert store.find_block(block.reference) == block
    assert not store.is_allowed(block)
    assert not ran.exists()


def test_a_damaged_text_is_replaced_in_the_library_and_never_taken_from_a_run(
    run: RunFolder, block: CustomBlock
) -> None:
    kept = store.blocks_folder() / "texts" / f"{block.sha256}.py"
    kept.write_text("damaged", encoding="utf-8")
    RunFolder.open(run.folder)
    assert kept.read_text(encoding="utf-8") == block.source
    text_in(run.folder, block).write_text(block.source + "# more\n", encoding="utf-8")
    forget_texts()
    RunFolder.open(run.folder)
    with pytest.raises(ValueError, match="is not in this library"):
        store.find_block(block.reference)


def test_forks_and_fine_tuned_runs_keep_the_texts(library: Library, run: RunFolder, block: CustomBlock) -> None:
    forget_texts()
    fork = fork_run(library, RunFolder.open(run.folder), train=dataclasses.replace(run.spec.train, steps=9))
    assert text_in(fork.folder, block).read_text(encoding="utf-8") == block.source
    store.allow(block)
    tuned = result_of(
        prepare_run(library, dataclasses.replace(run.spec, name="tuned", tune=TuneSpec(parent=f"{run.id}@3")))
    )
    assert text_in(tuned.folder, block).read_text(encoding="utf-8") == block.source


def test_a_packed_run_brings_its_texts_without_consent(
    library: Library, run: RunFolder, block: CustomBlock, ran: Path, tmp_path: Path
) -> None:
    (run.folder / "blocks" / f"other-{'0' * 12}.py").write_text("not of this design", encoding="utf-8")
    packed = result_of(pack_run(run, tmp_path / "run", library))
    forget_texts()
    unpacked = result_of(unpack_run(packed, library))
    assert text_in(unpacked.folder, block).read_text(encoding="utf-8") == block.source
    assert store.find_block(block.reference) == block
    with pytest.raises(store.NotAllowedError, match="--trust-block"):
        load_model(unpacked.folder)
    assert not ran.exists()
    store.allow(block)
    assert load_model(unpacked.folder)[0].config == run.spec.model


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda name, source: (name, source + b"# more\n"), "not the block that the design names"),
        (lambda name, source: (name, source + b"#" * 100_000), "blocks/writer"),
        (lambda name, source: (name.replace("writer", "another"), source), "no block of this model's design"),
        (lambda name, source: (name.removesuffix(".py") + ".txt", source), "is no file of a run"),
        (lambda name, source: ("blocks/deeper/" + name.partition("/")[2], source), "is no file of a run"),
        (lambda name, source: ("checkpoints/" + name.partition("/")[2], source), "is no file of a run"),
        (lambda name, source: (name, b"import os\n" + source), "not the block that the design names"),
        (lambda name, source: (name, b"import terrarium\n" + source), "not a proper block"),
        (lambda name, source: (name, b"\xff" + source), "not UTF-8"),
    ],
)
def test_a_packed_run_with_another_text_is_refused(
    library: Library, run: RunFolder, tmp_path: Path, ran: Path, change: object, words: str
) -> None:
    assert callable(change)
    packed = result_of(pack_run(run, tmp_path / "run", library))
    hostile = tmp_path / "hostile.terrarium"
    with zipfile.ZipFile(packed) as source, zipfile.ZipFile(hostile, "w") as into:
        sums = {}
        for info in source.infolist():
            name, data = info.filename, source.read(info)
            if name == contents.MANIFEST:
                continue
            if name.startswith("blocks/"):
                name, data = change(name, data)
            into.writestr(name, data)
            sums[name] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
        into.writestr(contents.MANIFEST, json.dumps(json.loads(source.read(contents.MANIFEST)) | {"files": sums}))
    forget_texts()
    before = sorted(library.runs.iterdir())
    with pytest.raises(ValueError, match=words):
        result_of(unpack_run(hostile, library))
    assert sorted(library.runs.iterdir()) == before
    assert not store.list_blocks()
    assert not (store.blocks_folder() / "texts").exists()
    assert not ran.exists()


def test_a_run_folder_from_elsewhere_brings_its_text_and_needs_consent(
    library: Library, run: RunFolder, block: CustomBlock, ran: Path, tmp_path: Path
) -> None:
    elsewhere = shutil.copytree(run.folder, tmp_path / "elsewhere")
    forget_texts()
    with pytest.raises(store.NotAllowedError):
        result_of(import_model(elsewhere, library))
    assert not ran.exists()
    store.allow(store.find_block(block.reference))
    imported = result_of(import_model(elsewhere, library))
    assert text_in(imported.folder, block).read_text(encoding="utf-8") == block.source
