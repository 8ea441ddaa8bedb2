"""Corpora that are written and read in blocks, and never whole."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from terrarium.models.corpora import blocks, text_corpora
from terrarium.models.corpora import corpus as corpus_module
from terrarium.models.corpora.corpus import Corpus, CorpusWriter, build_examples_corpus, list_corpora, open_corpus
from terrarium.models.corpora.text_corpora import build_text_corpus, build_text_corpus_events
from terrarium.models.events import Progress, result_of
from terrarium.models.library.library import Library

BLOCK = 1000


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What exceeds a thousand bytes is a large corpus."""
    monkeypatch.setattr(blocks, "BLOCK_BYTES", BLOCK)
    monkeypatch.setattr(blocks, "CHUNK_BYTES", 300)
    return


def rows(n: int) -> list[dict[str, str]]:
    return [{"text": f"Zeile {i} über\u2028{'Wörter ' * (i % 7)}"} for i in range(n)]


def write(library: Library, n: int = 100, label: str = "rows") -> Corpus:
    with CorpusWriter(library) as writer:
        for i, row in enumerate(rows(n)):
            writer.add("val" if i % 10 == 9 else "train", row)
        return writer.finish(label)


def test_a_small_corpus_is_the_same_however_it_is_written(library: Library) -> None:
    train, val = rows(20), rows(5)
    whole = build_examples_corpus(library, train, val, "rows", 7)
    before = {path.name: path.read_bytes() for path in whole.folder.iterdir()}
    assert set(before) == {"about.json", "train.jsonl", "val.jsonl"}
    shutil.rmtree(whole.folder)
    with CorpusWriter(library, seed=7) as writer:
        for row in val:
            writer.add("val", row)
        for row in train:
            writer.add("train", row)
        assert writer.n_rows == {"train": 20, "val": 5, "test": 0}
        assert writer.finish("rows") == whole
    assert {path.name: path.read_bytes() for path in whole.folder.iterdir()} == before
    assert not whole.is_large
    assert list(whole.rows("train")) == whole.read_examples("train") == train


@pytest.mark.usefixtures("small_blocks")
def test_a_large_corpus_comes_back_row_by_row(library: Library) -> None:
    corpus = write(library)
    assert corpus.is_large
    assert open_corpus(library, corpus.sha) == corpus
    train = [row for i, row in enumerate(rows(100)) if i % 10 != 9]
    lazy = corpus.rows("train")
    assert len(lazy) == 90
    assert [lazy[i] for i in range(90)] == list(lazy) == lazy[:] == train
    assert (lazy[-1], lazy[3:50:7]) == (train[-1], train[3:50:7])
    with pytest.raises(IndexError):
        lazy[90]
    assert [len(digests) for digests in corpus.blocks.values()] == [
        -(-corpus.path(split).stat().st_size // BLOCK) for split in ("train", "val")
    ]
    (corpus.folder / "train.offsets").unlink()  # it can be made again
    assert corpus.rows("train")[41] == train[41]


@pytest.mark.parametrize(
    "row",
    [
        {"text": 'Zeile "1"\\\n\u2028\x00\x7fé'},
        {'te"xt': "", "label": "x"},
        {},
        {"text": "a", "n": 1.5},
        {"a": [{"b": "c"}]},
    ],
)
def test_a_row_is_stored_as_json_writes_it(library: Library, row: dict[str, Any]) -> None:
    with CorpusWriter(library) as writer:
        writer.add("train", row)
        corpus = writer.finish("one")
    assert corpus.path("train").read_bytes() == (json.dumps(row, ensure_ascii=False) + "\n").encode()


@pytest.mark.usefixtures("small_blocks")
def test_a_dataset_of_any_size_has_a_task_and_a_test_split(library: Library) -> None:
    with CorpusWriter(library) as writer:
        for i in range(300):
            writer.add(("train", "val", "test")[i % 3], {"text": "x" * 20, "label": "ab"[i % 2]})
        made = writer.finish("letters", task="classification", labels=["a", "b"], metric="accuracy")
    corpus = open_corpus(library, made.sha)
    assert (corpus.task, corpus.labels, corpus.metric) == ("classification", ("a", "b"), "accuracy")
    assert corpus.splits == ("train", "val", "test")
    assert [len(corpus.rows(split)) for split in corpus.splits] == [100, 100, 100]


@pytest.mark.usefixtures("small_blocks")
def test_a_damaged_block_is_named_when_it_is_read_and_not_before(library: Library) -> None:
    corpus = write(library)
    path = corpus.path("train")
    data = bytearray(path.read_bytes())
    data[2 * BLOCK + 100] ^= 1
    path.write_bytes(data)
    lazy = open_corpus(library, corpus.sha).rows("train")
    assert lazy[0]["text"].startswith("Zeile 0")
    with pytest.raises(ValueError, match=r"train\.jsonl was changed between byte 2,000 and 3,000.*: choose"):
        list(lazy)
    last = len(lazy) - 1
    assert lazy[last] == rows(99)[last + 9]


@pytest.mark.usefixtures("small_blocks")
def test_nothing_is_left_of_what_was_not_finished(library: Library) -> None:
    with CorpusWriter(library) as writer:
        for row in rows(200):
            writer.add("train", row)
        assert writer.bytes_written > 5 * BLOCK
        assert len(list(library.corpora.iterdir())) == 1
    assert list(library.corpora.iterdir()) == []


def test_what_a_killed_writer_left_is_cleared_but_not_what_is_being_written(library: Library) -> None:
    killed = library.corpora / ".tmp-corpus-00000000"
    killed.mkdir(parents=True)
    (killed / "lock").touch()
    (killed / "train.jsonl").write_text(json.dumps(rows(1)[0]))
    assert list_corpora(library) == []
    os.utime(killed, (0, 0))
    with CorpusWriter(library) as first:
        assert not killed.exists()
        first.add("train", rows(1)[0])
        for begun in library.corpora.iterdir():
            os.utime(begun, (0, 0))
        other = write(library, 30)
        assert first.finish("one").rows("train")[0] == rows(1)[0]
    assert {corpus.label for corpus in list_corpora(library)} == {"one", other.label}


def test_a_disk_without_room_is_a_sentence_before_anything_is_written(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=5 << 30))
    CorpusWriter(library, n_bytes=4 << 30)
    with pytest.raises(ValueError, match=r"needs 5\.50 GiB on the disk of .*, which has 5\.00 GiB left: delete"):
        CorpusWriter(library, n_bytes=5 << 30)
    assert not library.corpora.exists()


def test_rows_of_no_one_are_no_rows(library: Library) -> None:
    corpus = build_examples_corpus(library, rows(2), [], "half", None)
    assert (len(corpus.rows("val")), list(corpus.rows("val"))) == (0, [])


def test_a_file_in_blocks_reads_any_part(tmp_path: Path, small_blocks: None) -> None:
    data = bytes(range(256)) * 17
    writer = blocks.BlockWriter(tmp_path / "file")
    for start in range(0, len(data), 37):
        writer.write(data[start : start + 37])
    writer.close()
    file = blocks.BlockFile(tmp_path / "file", writer.block_digests, writer.block_bytes)
    for start, stop in ((0, 1), (0, BLOCK), (BLOCK - 1, BLOCK + 1), (500, 4000), (4000, 9000), (4352, 4400)):
        assert file.read(start, stop) == data[start:stop]
    assert b"".join(file.chunks(17)) == data[17:]


def text_files(folder: Path) -> list[Path]:
    """Two files with a mark, line ends of two kinds, and characters of several bytes; and what is left of them."""
    one, two = folder / "one.txt", folder / "two.txt"
    one.write_bytes(b"\xef\xbb\xbf" + "".join(f"Zeile {i}: Grüße 👋\r\n" for i in range(60)).encode())
    two.write_bytes("".join(f"Zeile {i}: öäü\n" for i in range(60, 120)).encode())
    return [one, two]


@pytest.mark.usefixtures("small_blocks")
def test_large_text_files_are_split_at_a_line(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_corpora, "_CHUNK_BYTES", 101)  # within characters and line ends
    files = text_files(tmp_path)
    corpus = build_text_corpus(library, files, 0.2)
    assert corpus.is_large
    assert (corpus.kind, corpus.source, corpus.label) == ("text", "files", "one.txt and 1 more")
    train, val = ("".join(corpus.text_blocks(split)) for split in ("train", "val"))
    assert train + val == "\n".join(file.read_text("utf-8-sig") for file in files)
    assert train.endswith("\n")
    assert len(val.encode()) / corpus.n_bytes == pytest.approx(0.2, abs=0.03)
    assert corpus.read_text("val") == val
    assert build_text_corpus(library, files, 0.2) == corpus
    assert len(list(library.corpora.iterdir())) == 1


@pytest.mark.usefixtures("small_blocks")
def test_a_large_text_that_is_bad_or_cancelled_leaves_nothing(library: Library, tmp_path: Path) -> None:
    files = text_files(tmp_path)
    work = build_text_corpus_events(library, files, 0.2)
    assert isinstance(next(work), Progress)
    assert len(list(library.corpora.iterdir())) == 1
    work.close()
    assert list(library.corpora.iterdir()) == []
    data = files[1].read_bytes()
    files[1].write_bytes(data[:500] + b"\xff" + data[500:])
    with pytest.raises(ValueError, match=r"two\.txt is not UTF-8 text \(invalid byte at offset 500\)"):
        build_text_corpus(library, files, 0.2)
    files[1].write_bytes(data + b"\x00")
    with pytest.raises(ValueError, match="binary data"):
        build_text_corpus(library, files, 0.2)
    assert list(library.corpora.iterdir()) == []


@pytest.mark.usefixtures("small_blocks")
def test_a_sample_has_whole_lines_of_all_parts(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corpus_module, "SAMPLE_BYTES", 64 * 130)
    corpus = write(library, 2000)
    sample = result_of(corpus.sample_events("train"))
    assert sample.stat().st_size < 64 * 130 < corpus.path("train").stat().st_size
    lines = sample.read_text("utf-8").split("\n")[:-1]
    assert set(lines) <= set(corpus.path("train").read_text("utf-8").split("\n"))
    assert len({json.loads(line)["text"].split()[1][:2] for line in lines}) > 20
    text = build_text_corpus(library, text_files(tmp_path), 0.2)
    assert result_of(text.sample_events("val")) == text.path("val")  # it is smaller than a sample
    assert set(text.sample_text("train", 64 * 50).split("\n")) <= set(text.read_text("train").split("\n"))
