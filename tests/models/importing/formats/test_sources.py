"""Folders, archives and several files as one source; what is too large, leads out of an archive, or contradicts."""

from __future__ import annotations

import gzip
import stat
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import pytest

from terrarium.models.files import limits
from terrarium.models.importing.formats.files import MAX_LINE_BYTES
from terrarium.models.importing.formats.registry import open_source
from terrarium.models.importing.formats.rows import ReadOptions, Record


def records(*paths: Path, **options: Any) -> list[Record]:
    return list(open_source(paths, ReadOptions(**options)).records())


def write(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def archive(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in members.items():
            file.writestr(name, data)
    return path


def test_folders_are_labels_and_names_are_splits(tmp_path: Path) -> None:
    for split in ("train", "test"):
        for label in ("neg", "pos"):
            write(tmp_path / split / label / "0.txt", f"{split} {label}")
    write(tmp_path / "README", "about")
    source = open_source([tmp_path])
    rows = list(source.records())
    assert {(row.split, row.values["folder"], row.values["text"]) for row in rows if row.values["folder"]} == {
        (split, label, f"{split} {label}") for split in ("train", "test") for label in ("neg", "pos")
    }


def test_code_is_found_below_a_folder_and_hidden_files_are_not(tmp_path: Path) -> None:
    write(tmp_path / "a.py", "x = 1\n")
    write(tmp_path / "deep" / "b.py", "y = 2\n")
    write(tmp_path / ".git" / "c.py", "z = 3\n")
    write(tmp_path / "__pycache__" / "d.py", "z = 4\n")
    write(tmp_path / "picture.png", b"\x89PNG")
    (tmp_path / "link.py").symlink_to("/etc/hostname")
    source = open_source([tmp_path])
    assert [record.values["text"] for record in source.records()] == ["x = 1\n", "y = 2\n"]
    assert [Path(name).name for name in source.left_out] == ["picture.png"]


def test_the_data_of_a_folder_are_read_and_not_what_is_said_about_them(tmp_path: Path) -> None:
    write(tmp_path / "README.md", "# Mails\n\nof people")
    write(tmp_path / "data.csv", "text,label\na,x\n")
    source = open_source([tmp_path])
    assert source.format == "csv"
    assert [Path(name).name for name in source.left_out] == ["README.md"]


def test_a_zip_is_read_as_its_folder(tmp_path: Path) -> None:
    members = {"a/train.csv": b"text,label\na,x\n", "a/test.csv": b"text,label\nb,y\n", "__MACOSX/a/._train.csv": b"\0"}
    path = archive(tmp_path / "all.zip", members)
    assert [(row.values["text"], row.split) for row in records(path)] == [("b", "test"), ("a", "train")]
    assert records(path)[0].where == f"{path}/a/test.csv, line 2"


def test_parquet_in_a_zip_is_read(tmp_path: Path) -> None:
    import duckdb

    with duckdb.connect(":memory:") as connection:
        connection.execute(f"COPY (SELECT 'a' AS text) TO '{tmp_path}/a.parquet' (FORMAT parquet)")
    path = archive(tmp_path / "all.zip", {"a.parquet": (tmp_path / "a.parquet").read_bytes()})
    assert [row.values for row in records(path)] == [{"text": "a"}]


@pytest.mark.parametrize("name", ["../out.csv", "/etc/out.csv", "a/../../out.csv", "C:\\out.csv", "..\\out.csv"])
def test_an_archive_that_leads_out_is_refused(name: str, tmp_path: Path) -> None:
    path = archive(tmp_path / "all.zip", {"good.csv": b"text,label\na,x\n", name: b"text,label\na,x\n"})
    with pytest.raises(ValueError, match="leads out of the archive"):
        records(path)


def test_a_link_in_an_archive_is_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("link.csv")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as file:
        file.writestr(link, "/etc/passwd")
    with pytest.raises(ValueError, match="leads out of the archive"):
        records(tmp_path / "all.zip")


def test_bombs_are_refused_before_they_grow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "FREE_BYTES", 1 << 20)
    zeros = bytes(1 << 23)
    path = archive(tmp_path / "bomb.zip", {"a.txt": zeros})
    with pytest.raises(ValueError, match=r"unpacks from .* to 8\.00 MiB, which no data set does"):
        records(path)
    packed = write(tmp_path / "bomb.csv.gz", gzip.compress(b"text,label\n" + (b"a" * (1 << 20) + b",b\n") * 8))
    with pytest.raises(ValueError, match=r"bomb\.csv\.gz: it unpacks to more than "):
        for _ in open_source([packed]).records():
            pass


def test_many_small_bombs_are_refused_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "FREE_BYTES", 1 << 20)
    rows = gzip.compress(b"text,label\n" + b"aaaaaaaa,b\n" * 50_000)
    path = archive(tmp_path / "bombs.zip", {f"{i}.csv.gz": rows for i in range(4)})
    with pytest.raises(ValueError, match=r"bombs\.zip/1\.csv\.gz: with the files before it, it unpacks to more than"):
        records(path)
    monkeypatch.setattr(limits, "FREE_BYTES", 1 << 26)
    monkeypatch.setattr(limits, "MAX_UNPACKED_BYTES", 1 << 19)
    with pytest.raises(ValueError, match=r"it unpacks to more than 512 KiB"):
        records(path)


def test_an_archive_that_lies_about_its_size_is_refused(tmp_path: Path) -> None:
    data = archive(tmp_path / "a.zip", {"a.csv": b"text,label\n" + b"aaaa,b\n" * 1000}).read_bytes()
    size = (7011).to_bytes(4, "little")
    assert data.count(size) == 2
    path = write(tmp_path / "lie.zip", data.replace(size, (10).to_bytes(4, "little")))
    with pytest.raises(ValueError, match=r"lie\.zip"):
        records(path)


def test_other_archives_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no \.zip file, or damaged"):
        records(write(tmp_path / "a.zip", b"hello"))
    data = bytearray(archive(tmp_path / "b.zip", {"a.csv": b"text,label\na,x\n"}).read_bytes())
    data[data.index(b"PK\1\2") + 8] |= 1
    with pytest.raises(ValueError, match="encrypted"):
        records(write(tmp_path / "c.zip", bytes(data)))


@pytest.mark.parametrize(
    ("first", "second", "sentence"),
    [
        ("text,label\na,x\n", "text,score\nb,1\n", "b.csv, line 2: it lacks the column 'label', which .*a.csv has"),
        ("text\na b\n", "text,label\nb,y\n", "b.csv, line 2: it has a column 'label', which .*a.csv lacks"),
    ],
)
def test_files_with_other_columns_are_refused(first: str, second: str, sentence: str, tmp_path: Path) -> None:
    write(tmp_path / "a.csv", first)
    write(tmp_path / "b.csv", second)
    with pytest.raises(ValueError, match=sentence):
        records(tmp_path)


def test_files_whose_columns_contradict_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", '{"text": "a", "label": "x", "note": 1}\n{"text": "a", "label": "x"}\n')
    write(tmp_path / "b.jsonl", '\n{"text": "b", "label": ["x"]}\n')
    with pytest.raises(ValueError, match=r"b.jsonl, line 2: its column 'label' holds a list, but in .*a.jsonl a text"):
        records(tmp_path)
    write(tmp_path / "b.jsonl", '{"text": "b", "label": "y"}\n')
    assert len(records(tmp_path)) == 3


def test_files_of_two_formats_are_not_mixed(tmp_path: Path) -> None:
    table, rows = write(tmp_path / "a.csv", "text,label\na,x\n"), write(tmp_path / "b.jsonl", '{"text": "a"}\n')
    with pytest.raises(ValueError, match="choose files of one format"):
        records(table, rows)


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.txt"])
def test_an_endless_line_is_refused_without_being_held(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    with path.open("wb") as file:
        file.write(b"text,label\n" if name == "a.csv" else b"")
        for _ in range(40):
            file.write(b"a" * (1 << 20))
    tracemalloc.start()
    with pytest.raises(ValueError, match=rf"{name}, line [12]: it is longer than 16\.0 MiB"):
        records(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * MAX_LINE_BYTES


HUB = """---
configs:
- config_name: en
  data_files:
  - split: train
    path: "data/en/train-*.csv"
  - split: validation
    path:
    - data/en/dev.csv
- config_name: fr
  data_files: data/fr/*.csv
dataset_info:
- config_name: en
  features:
  - name: text
    dtype: string
  - name: label
    dtype:
      class_label:
        names:
          '0': ham
          '1': spam
---
# A data set
"""


def test_a_folder_of_the_hub_says_its_splits_and_labels(tmp_path: Path) -> None:
    write(tmp_path / "README.md", HUB)
    write(tmp_path / "data/en/train-0.csv", "text,label\na b,0\nc d,1\n")
    write(tmp_path / "data/en/dev.csv", "text,label\ne f,1\n")
    write(tmp_path / "data/fr/x.csv", "text,label\nle g,1\n")
    source = open_source([tmp_path])
    assert source.configs == ("en", "fr")
    rows = [(row.values["text"], row.values["label"], row.split) for row in source.records()]
    assert rows == [("a b", "ham", "train"), ("c d", "spam", "train"), ("e f", "spam", "val")]
    assert [row.values["text"] for row in records(tmp_path, config="fr")] == ["le g"]
    with pytest.raises(ValueError, match="no configuration 'de': it has en, fr"):
        records(tmp_path, config="de")


def test_a_folder_of_the_hub_without_its_files_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "README.md", HUB)
    write(tmp_path / "data/other.csv", "text,label\na b,0\n")
    with pytest.raises(ValueError, match="names files of the configuration 'en' that are not in the folder"):
        records(tmp_path)
    write(tmp_path / "README.md", "---\nconfigs: [\n---\n")
    with pytest.raises(ValueError, match=r"README\.md: its head is no valid YAML"):
        records(tmp_path)
    write(tmp_path / "README.md", "---\nconfigs:\n- config_name: x\n  data_files: ../*.csv\n---\n")
    with pytest.raises(ValueError, match="not in the folder"):
        records(tmp_path)


def test_what_save_to_disk_wrote_is_refused_with_the_remedy(tmp_path: Path) -> None:
    write(tmp_path / "state.json", "{}")
    write(tmp_path / "data-00000-of-00001.arrow", b"ARROW1")
    with pytest.raises(ValueError, match=r'save_to_disk.*ds\.to_parquet\("train\.parquet"\)'):
        records(tmp_path)


def test_a_missing_or_empty_source_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="does not exist"):
        records(tmp_path / "a.csv")
    with pytest.raises(ValueError, match="has no files"):
        records(tmp_path)
    with pytest.raises(ValueError, match="No file chosen"):
        records()


def test_progress_ends_at_the_total(tmp_path: Path) -> None:
    write(tmp_path / "a.csv", "text,label\n" + "a,x\n" * 500)
    archive(tmp_path / "b.zip", {"c.csv": b"text,label\n" + b"b,y\n" * 500})
    source = open_source([tmp_path / "a.csv", tmp_path / "b.zip"])
    assert len(list(source.records())) == 1000
    assert source.meter.done == source.meter.total == 2 * (11 + 2000)
