"""Small files that would take much time or memory: each is read, or refused in a sentence, before it does."""

from __future__ import annotations

import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from terrarium.models.files import limits
from terrarium.models.importing.formats.registry import Source, open_source
from terrarium.models.importing.formats.rows import MAX_COLUMNS, TICK_LINES, ReadOptions, Record
from tests.models.importing.formats.test_readers import mo, qm, read, write


def peak_of(action: Callable[[], object]) -> int:
    """The most memory, in bytes, that Python took meanwhile."""
    tracemalloc.start()
    try:
        action()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", ["menu.po", "menu.mo", "menu.qm"])
def test_placeholders_that_are_never_closed_take_linear_time(name: str, tmp_path: Path) -> None:
    text = "%(" * 300_000
    content = {
        "menu.po": f'msgid "{text}"\nmsgstr "x"\n'.encode(),
        "menu.mo": mo([(text, "x")]),
        "menu.qm": qm([("menu", text, "x")]),
    }
    (row,) = read(write(tmp_path / name, content[name]))
    assert row["skeleton"] == " ".join("(" * 300_000)


def test_a_long_line_of_a_catalogue_takes_little_memory(tmp_path: Path) -> None:
    text = "a\\n" * 300_000
    path = write(tmp_path / "menu.po", f'msgid "{text}"\nmsgstr "x"\n')
    assert peak_of(lambda: read(path)) < 20 * len(text)


def test_an_entry_of_a_catalogue_has_an_end(tmp_path: Path) -> None:
    path = write(tmp_path / "menu.po", 'msgid "a"\nmsgstr ""\n' + ('"' + "a" * 99_990 + '"\n') * 170)
    with pytest.raises(ValueError, match=r"menu\.po, line 1: this entry is longer than 16"):
        read(path)


def test_rows_of_parquet_that_share_a_text_are_never_many_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, n_characters = tmp_path / "shared.parquet", 200_000
    duckdb.sql(f"COPY (SELECT repeat('a', {n_characters}) AS text FROM range(200)) TO '{path}' (COMPRESSION zstd)")
    assert path.stat().st_size < 10_000
    items = iter(open_source([path]).items())
    assert peak_of(lambda: [next(items) and None for _ in range(100)]) < 30 * n_characters
    monkeypatch.setattr(limits, "FREE_BYTES", 1 << 23)
    with pytest.raises(ValueError, match=r"shared\.parquet, line 42: up to here its rows have more than 8\.00 MiB"):
        read(path)


def test_entries_of_a_catalogue_that_share_a_text_have_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "FREE_BYTES", 1 << 20)
    n, size = 100, 20_000
    entries = struct.pack("<2I", size, 28 + 16 * n) * n
    path = write(tmp_path / "shared.mo", struct.pack("<7I", 0x950412DE, 0, n, 28, 28, 0, 0) + 2 * entries + b"a" * size)
    with pytest.raises(ValueError, match=r"shared\.mo, line 27: .* many share one text"):
        read(path)


def test_a_compiled_catalogue_has_two_forms_at_most(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mo", mo([("one\0two\0three", "un\0deux")]))
    with pytest.raises(ValueError, match="line 1: this entry has more than a singular and a plural"):
        read(path)


def test_all_rows_together_have_a_limit_of_columns(tmp_path: Path) -> None:
    rows = "".join(f'{{"text": "a", "key{index}": 1}}\n' for index in range(MAX_COLUMNS))
    with pytest.raises(ValueError, match=rf"line {MAX_COLUMNS}: up to here the rows have more than 500 columns"):
        read(write(tmp_path / "keys.jsonl", rows))
    units = "".join(f'<tu><tuv xml:lang="x{index}"><seg>a</seg></tuv></tu>' for index in range(MAX_COLUMNS + 1))
    with pytest.raises(ValueError, match="up to here the rows have more than 500 columns together"):
        read(write(tmp_path / "languages.tmx", f'<tmx version="1.4"><body>{units}</body></tmx>'))


def test_a_line_of_tags_has_a_limit_of_columns(tmp_path: Path) -> None:
    path = write(tmp_path / "a.conll", "a " * (MAX_COLUMNS + 1) + "\n")
    with pytest.raises(ValueError, match=r"a\.conll, line 1: it has more than 500 columns"):
        read(path)


def test_an_object_of_many_keys_is_no_list_of_rows(tmp_path: Path) -> None:
    keys = ", ".join(f'"k{index}": 0' for index in range(MAX_COLUMNS + 1))
    with pytest.raises(ValueError, match="an object with more than 500 keys is no list of rows"):
        read(write(tmp_path / "a.json", "{" + keys + "}"))


BLANK = "\n" * (3 * TICK_LINES)
WITHOUT_ROWS = {
    "lines.txt": f"a\n{BLANK}b\n",
    "one.txt": "a\n" * (3 * TICK_LINES),
    "table.csv": f"text,label\na,x\n{BLANK}b,y\n",
    "rows.jsonl": f'{{"text": "a"}}\n{BLANK}{{"text": "b"}}\n',
    "words.conll": f"a O\n{BLANK}b O\n",
    "words.conllu": f"# a\n{BLANK}",
    "words.tagged": f"a/X\n{BLANK}b/Y\n",
    "menu.po": f'msgid "a"\nmsgstr "b"\n{BLANK}',
    "empty.mo": mo([("a", "b")] + [("", "")] * (3 * TICK_LINES)),
    "memory.tmx": '<tmx version="1.4"><body><tu><tuv xml:lang="en"><seg>a</seg></tuv></tu>'
    + " " * (5 << 16)
    + "</body></tmx>",
}


@pytest.mark.parametrize("name", WITHOUT_ROWS)
def test_what_has_no_rows_for_long_still_tells_that_it_is_read(name: str, tmp_path: Path) -> None:
    path = write(tmp_path / name, WITHOUT_ROWS[name])
    items = list(open_source([path], ReadOptions()).items())
    assert items.count(None) >= 3
    assert all(item is None or isinstance(item, Record) for item in items)


def test_files_line_by_line_tell_it_too(tmp_path: Path) -> None:
    for language in ("en", "fr"):
        write(tmp_path / f"x.{language}", f"a\n{BLANK}b\n")
    items = list(open_source([tmp_path]).items())
    assert items.count(None) >= 3
    assert len(items) - items.count(None) == 2


def shares_of(source: Source) -> list[float]:
    """After each row, how much of a source is read."""
    return [source.meter.done / source.meter.total for _ in source.records()]


@pytest.mark.parametrize("name", ["menu.mo", "menu.qm"])
def test_the_progress_of_compiled_catalogues_is_that_of_their_rows(name: str, tmp_path: Path) -> None:
    texts = [(f"text {index}", f"texte {index}") for index in range(1000)]
    content = mo(texts) if name == "menu.mo" else qm([("menu", *pair) for pair in texts])
    shares = shares_of(open_source([write(tmp_path / name, content)]))
    assert len(shares) == 1000
    assert shares[0] < 0.2  # a hundred rows are compared at once
    assert 0.4 < shares[500] < 0.6
    assert 0.99 < shares[-1] <= 1


def test_a_picture_that_is_called_a_table_is_called_a_picture(tmp_path: Path) -> None:
    picture = tmp_path / "pic.csv"
    picture.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)))
    with pytest.raises(ValueError, match=r"pic.csv: this is a picture \(PNG\), not a table or a text"):
        read(picture)
