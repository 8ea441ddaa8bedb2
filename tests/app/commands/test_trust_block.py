"""--trust-block: a command lets the block run whose hash it is given, in its own processes only."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from terrarium.app.cli import main
from terrarium.app.commands.common import trusting
from terrarium.models.custom_blocks import store
from terrarium.models.custom_blocks.manifest import CustomBlock
from terrarium.models.library.library import Library
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.design_files import write_design
from terrarium.models.settings.model_config import ModelConfig
from tests.models.own_blocks import WRITES, put_block, start_source, with_block
from tests.models.training.support import TEXT

LITTLE = (
    "model.n_layer=1 model.n_head=2 model.d_model=16 model.context_length=32 train.steps=2 train.batch_size=2 "
    "train.sample_interval=0 train.eval_batches=1"
)


def train_words(tmp_path: Path, block: CustomBlock, *more: str) -> list[str]:
    """The command that trains a small model with a block for feed-forward."""
    (tmp_path / "text.txt").write_text(TEXT, encoding="utf-8")
    changes = [f"--set={change}" for change in (*LITTLE.split(), f"model.feed_forward_block={block.reference}")]
    return ["train", "--data", str(tmp_path / "text.txt"), "--tokenizer", "byte", "--name", "own", *changes, *more]


@pytest.fixture
def writer(library: Library, tmp_path: Path) -> CustomBlock:
    """A block that may not run, and would write a file."""
    return put_block(WRITES % str(tmp_path / "it ran"), allowed=False)


def test_training_needs_the_option_and_says_so_in_one_sentence(
    tmp_path: Path, writer: CustomBlock, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(train_words(tmp_path, writer)) in (1, 2)
    out, err = capsys.readouterr()
    (sentence,) = [line for line in err.splitlines() if line.startswith("terrarium: ")]
    assert sentence.endswith(f"--trust-block {writer.sha256}.")
    assert not out
    assert "Traceback" not in err
    assert not (tmp_path / "it ran").exists()


def test_what_reads_a_trained_model_needs_the_option_too(
    library: Library, tmp_path: Path, writer: CustomBlock, capsys: pytest.CaptureFixture[str]
) -> None:
    trusted = ("--trust-block", writer.sha256)
    assert main(train_words(tmp_path, writer, *trusted)) == 0
    assert not store.is_allowed(writer)
    (tmp_path / "it ran").unlink()
    for words in (
        ["generate", "own", "--prompt", "Anna"],
        ["evaluate", "own"],
        ["inspect", "own", "--prompt", "Anna"],
        ["serve", "own", "--port", "0"],
        ["export", "own", "--out", str(tmp_path / "out")],
        ["train", "--fork", "own", "--steps", "4"],
        ["train", "--from", "own", "--data", str(tmp_path / "text.txt"), "--steps", "2"],
        ["sweep", "--like", "own", "--values", "train.seed=1,2"],
    ):
        capsys.readouterr()
        assert main(words) in (1, 2), words
        err = capsys.readouterr().err
        assert f"--trust-block {writer.sha256}." in err, words
        assert "Traceback" not in err, words
        assert not (tmp_path / "it ran").exists(), words
    assert main(["generate", "own", "--prompt", "Anna", *trusted]) == 0
    assert RunFolder.open(library.find_run("own")).status == "finished"


def test_several_blocks_are_trusted_only_while_the_command_runs(
    library: Library, tiny_config: ModelConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    blocks = [put_block(start_source(start), allowed=False) for start in ("retention", "experts")]
    design = with_block(with_block(tiny_config, blocks[0], conv_width=0), blocks[1])
    write_design(tmp_path / "design.json", design)
    words = ["describe", str(tmp_path / "design.json"), "--json"]
    assert main([*words, "--trust-block", blocks[0].sha256]) == 1
    assert blocks[1].sha256 in capsys.readouterr().err
    assert main([*words, "--trust-block", blocks[0].sha256, "--trust-block", blocks[1].sha256.upper()]) == 0
    assert json.loads(capsys.readouterr().out)["parameters"]["total"] > 0
    assert store.TRUST_VARIABLE not in os.environ


def test_the_variable_is_as_before_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(store.TRUST_VARIABLE, "a" * 64)
    with trusting(["b" * 64]):
        assert os.environ[store.TRUST_VARIABLE] == f"{'a' * 64},{'b' * 64}"
    assert os.environ[store.TRUST_VARIABLE] == "a" * 64


def test_what_is_no_hash_is_bad_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["describe", "terrarium-tiny", "--trust-block", "retention"]) == 2
    assert "64 hexadecimal digits" in capsys.readouterr().err


def test_a_withdrawn_text_is_refused(library: Library, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    block = put_block(WRITES % str(tmp_path / "it ran"))
    assert main(["block", "list"]) == 0
    assert block.sha256[:8] in capsys.readouterr().out
    assert main(["block", "withdraw", "nothing"]) != 0
    assert store.is_allowed(block)
    assert main(["block", "withdraw", block.sha256[:8]]) == 0
    assert not store.is_allowed(block)
    store.allow(block)
    assert main(["block", "withdraw", "writer"]) == 0
    assert main(train_words(tmp_path, block)) != 0
    assert not (tmp_path / "it ran").exists()
