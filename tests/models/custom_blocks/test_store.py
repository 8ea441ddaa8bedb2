"""The library's texts: under their names, which can be changed, and under their hashes, which cannot."""

from __future__ import annotations

import dataclasses
import os
import sys
from pathlib import Path

import pytest

from terrarium.models.custom_blocks import store
from terrarium.models.custom_blocks.manifest import CustomBlock, read_block
from terrarium.models.library.library import Library
from terrarium.models.settings.block_references import BlockReference
from terrarium.models.settings.model_config import ModelConfig
from tests.models.own_blocks import put_block, start_source, with_block

NO_PIPES = pytest.mark.skipif(sys.platform == "win32", reason="links and pipes are of other systems")


@pytest.fixture
def block(library: Library) -> CustomBlock:
    return put_block(start_source("experts"), allowed=False)


def kept(block: CustomBlock) -> Path:
    return store.blocks_folder() / "texts" / f"{block.sha256}.py"


def plant(path: Path, source: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(source, encoding="utf-8", newline="")


def test_there_and_back(library: Library, block: CustomBlock) -> None:
    (listed,) = store.list_blocks()
    assert (listed.name, listed.block, listed.problem) == ("two_experts", block, "")
    assert store.find_block(block.reference) == block
    changed = put_block(block.source + "# changed\n", allowed=False)
    assert [file.block for file in store.list_blocks()] == [changed]
    assert store.find_block(block.reference) == block, "designs have the text that they name"
    store.delete_block("two_experts")
    store.delete_block("two_experts")
    assert store.list_blocks() == []
    assert store.find_block(changed.reference) == changed


def test_an_empty_library_has_none(library: Library) -> None:
    assert store.list_blocks() == []
    with pytest.raises(ValueError, match=r"“a” \(000000000000…\) is not in this library"):
        store.find_block(BlockReference("a", "0" * 64))


def test_line_ends_of_windows_are_the_same_text(library: Library, block: CustomBlock) -> None:
    path = store.blocks_folder() / "windows.py"
    plant(path, block.source.replace("\n", "\r\n"))
    assert store.inspect_file(path).block == block


@NO_PIPES
def test_what_is_no_text_is_left_out(library: Library, block: CustomBlock, tmp_path: Path) -> None:
    folder = store.blocks_folder()
    plant(tmp_path / "outside.py", block.source)
    (folder / "link.py").symlink_to(tmp_path / "outside.py")
    (folder / "dangling.py").symlink_to(tmp_path / "nothing")
    (folder / "folder.py").mkdir()
    os.mkfifo(folder / "pipe.py")
    for name in (".hidden.py", "My Block.py", "..py", "a\u202eb.py", "UPPER.py", "a.b.py"):
        plant(folder / name, block.source)
    assert [file.name for file in store.list_blocks()] == ["two_experts"]


@NO_PIPES
def test_a_file_that_cannot_be_read_is_a_problem_with_a_sentence(library: Library, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.py")
    plant(tmp_path / "huge.py", "#" * 200_000)
    (tmp_path / "latin.py").write_bytes(b"# \xe9")
    plant(tmp_path / "broken.py", "BLOCK = ")
    for name, words in {
        "pipe.py": "not a file",
        "huge.py": "at most 100,000",
        "latin.py": "not UTF-8",
        "broken.py": "Line 1: ",
        "nothing.py": "is missing",
    }.items():
        found = store.inspect_file(tmp_path / name)
        assert found.block is None
        assert words in found.problem


@NO_PIPES
def test_a_device_without_end_is_not_read(library: Library, block: CustomBlock) -> None:
    kept(block).unlink()
    kept(block).symlink_to("/dev/zero")
    assert not store.has_text(block.reference)


@NO_PIPES
def test_saving_writes_through_no_link(library: Library, block: CustomBlock, tmp_path: Path) -> None:
    outside, path = tmp_path / "outside.py", store.blocks_folder() / "two_experts.py"
    for link in (os.symlink, os.link):
        plant(outside, "mine")
        path.unlink()
        link(outside, path)
        store.save_block(block.source)
        assert outside.read_text(encoding="utf-8") == "mine"
        assert not path.is_symlink()


@pytest.mark.parametrize("name", ["con", "nul", "com1"])
def test_names_that_windows_reserves(library: Library, block: CustomBlock, name: str) -> None:
    with pytest.raises(ValueError, match="reserved by Windows"):
        store.save_block(block.source.replace('"two_experts"', f'"{name}"'))
    assert len(store.list_blocks()) == 1


def test_a_text_that_is_not_its_hash_is_not_found_and_can_be_repaired(library: Library, block: CustomBlock) -> None:
    for source in (block.source + "# more", "", "\0", block.source[:-1]):
        plant(kept(block), source)
        assert not store.has_text(block.reference)
        with pytest.raises(ValueError, match="is not in this library"):
            store.find_block(block.reference)
    store.keep_text(block)
    assert store.find_block(block.reference) == block


def test_a_text_that_comes_back_with_the_same_time_is_found(library: Library, block: CustomBlock) -> None:
    """What fails is not remembered by the time of the file, which copies have, too."""
    store.find_block(block.reference)
    stamp = kept(block).stat().st_mtime_ns
    plant(kept(block), block.source.replace("B", "C"))
    os.utime(kept(block), ns=(stamp + 1, stamp + 1))
    assert not store.has_text(block.reference)
    plant(kept(block), block.source)
    os.utime(kept(block), ns=(stamp + 1, stamp + 1))
    assert store.find_block(block.reference) == block


def test_a_design_must_say_what_the_text_says(library: Library, block: CustomBlock, tiny_config: ModelConfig) -> None:
    scores = put_block(
        'from torch import nn\nBLOCK = {"name": "bias", "slot": "position", "title": "Bias", "applied_to": "scores"}\n'
        "class Block(nn.Module):\n    def forward(self, distance):\n        return 0.0 * distance[None, None]\n",
        allowed=False,
    )
    for reference in (
        BlockReference("other", block.sha256),
        BlockReference("bias", scores.sha256),
        BlockReference("bias", scores.sha256, "queries"),
    ):
        with pytest.raises(ValueError, match="says of the block"):
            store.find_block(reference)
    design = dataclasses.replace(tiny_config, norm_block=str(block.reference))
    with pytest.raises(ValueError, match="is for feed_forward, not for norm"):
        store.find_in(design, "norm")
    assert [problem.slot for problem in store.block_problems(design)] == ["norm_block"]
    assert store.find_in(tiny_config, "norm") is None


def test_problems_of_a_design(library: Library, block: CustomBlock, tiny_config: ModelConfig) -> None:
    design = with_block(tiny_config, block)
    assert store.block_problems(tiny_config) == []
    (problem,) = store.block_problems(design)
    assert (problem.slot, store.is_allowed(block)) == ("feed_forward_block", False)
    assert f"--trust-block {block.sha256}" in problem.sentence
    with pytest.raises(store.NotAllowedError):
        store.check_blocks(design)
    store.allow(block)
    assert store.block_problems(design) == []
    store.check_blocks(design)
    for option, words in (("share=2", "must lie between"), ("share=nan", "a number"), ("shares=1", "no option")):
        wrong = dataclasses.replace(design, block_options=(f"feed_forward.{option}",))
        assert words in store.block_problems(wrong)[0].sentence
    kept(block).unlink()
    assert "is not in this library" in store.block_problems(design)[0].sentence


@pytest.mark.parametrize(
    "reference",
    [
        "two_experts@" + "A" * 64,
        "two_experts@" + "a" * 63,
        "two_experts@" + "a" * 65,
        "two_experts@" + "a" * 64 + "\n",
        "../two_experts@" + "a" * 64,
        "/two_experts@" + "a" * 64,
        "tw\u043e_experts@" + "a" * 64,
        "@" + "a" * 64,
        "two_experts@../../" + "a" * 58,
        "two_experts@" + "\uff11" * 64,
        "elsewhere:two_experts@" + "a" * 64,
        "scores:two_experts@" + "a" * 64,
    ],
)
def test_references_that_are_malformed(tiny_config: ModelConfig, reference: str) -> None:
    with pytest.raises(ValueError, match="feed_forward_block"):
        dataclasses.replace(tiny_config, feed_forward_block=reference)


@pytest.mark.parametrize(
    "option",
    [
        "feed_forward.share=1\nnorm.x=2",
        "feed_forward.share=\u202e1",
        "feed_forward.share=1\r",
        "feed_forward.share=" + "1" * 101,
        "feed_forward.share",
        "feed_forward.__class__=1",
        "feed_forward.share.x=1",
        "norm.share=1",
    ],
)
def test_options_that_are_malformed(tiny_config: ModelConfig, option: str) -> None:
    with pytest.raises(ValueError, match="block_options"):
        dataclasses.replace(tiny_config, feed_forward_block="a@" + "0" * 64, block_options=(option,))


def test_a_block_is_what_its_text_says() -> None:
    source = start_source("experts")
    assert read_block(source) == read_block(source)
    assert len({read_block(source), read_block(source), read_block(source + "#\n")}) == 2
