"""Every format, read from a good file and from damaged ones, of which the sentence names the file and the line."""

from __future__ import annotations

import gzip
import json
import re
import struct
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from terrarium.models.importing.formats.registry import open_source
from terrarium.models.importing.formats.rows import ReadOptions, Row, flatten


def read(path: Path | list[Path], **options: Any) -> list[Row]:
    """All rows of a source."""
    paths = path if isinstance(path, list) else [path]
    return [record.values for record in open_source(paths, ReadOptions(**options)).records()]


def lines_of(path: Path, **options: Any) -> list[int]:
    return [record.line for record in open_source([path], ReadOptions(**options)).records()]


def write(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


SQUAD = {
    "data": [
        {
            "title": "Mill",
            "paragraphs": [
                {
                    "context": "Ann is in the mill.",
                    "qas": [
                        {"question": "Where is Ann?", "answers": [{"text": "mill", "answer_start": 14}] * 2},
                        {
                            "question": "Where is Ben?",
                            "answers": [],
                            "is_impossible": True,
                            "plausible_answers": [{"text": "mill", "answer_start": 14}],
                        },
                    ],
                }
            ],
        }
    ],
    "version": "v2.0",
}
TMX = """<?xml version="1.0"?><!DOCTYPE tmx SYSTEM "tmx14.dtd">
<tmx version="1.4"><header/><body>
<tu><tuv xml:lang="en-GB"><seg>The <bpt i="1">&lt;b&gt;</bpt>key</seg></tuv>
<tuv xml:lang="FR"><seg>La clé</seg></tuv></tu></body></tmx>"""
PO = r"""# head
msgid ""
msgstr "Content-Type: text/plain; charset=UTF-8\n"

#: a.py:1
msgctxt "menu"
msgid "Open %s"
msgstr "Ouvrir"
" %s"

#, fuzzy
msgid "Bad"
msgstr "Mauvais"

msgid "%d file"
msgid_plural "%d files"
msgstr[0] "%d fichier"
msgstr[1] "%d fichiers"

msgid "None"
msgstr ""

#~ msgid "Old"
#~ msgstr "Vieux"
"""


def mo(pairs: list[tuple[str, str]], order: str = "<") -> bytes:
    """A compiled catalogue."""
    n = len(pairs)
    head = struct.pack(f"{order}7I", 0x950412DE, 0, n, 28, 28 + 8 * n, 0, 0)
    texts, tables = bytearray(), bytearray()  # bytes would be copied for each entry
    for side in (0, 1):
        for pair in pairs:
            data = pair[side].encode()
            tables += struct.pack(f"{order}2I", len(data), 28 + 16 * n + len(texts))
            texts += data + b"\0"
    return bytes(head + tables + texts)


def qm(messages: list[tuple[str, str, str]]) -> bytes:
    """A compiled catalogue of Qt: context, source, translation."""
    items = bytearray()
    for context, source, target in messages:
        for tag, data in ((3, target.encode("utf-16-be")), (5, None), (6, source.encode()), (7, context.encode())):
            items += bytes([tag]) + (bytes(4) if data is None else struct.pack(">I", len(data)) + data)
        items += b"\1"
    magic = bytes.fromhex("3cb86418caef9c95cd211cbf60a1bddd")
    return magic + b"\x42" + struct.pack(">I", 4) + bytes(4) + b"\x69" + struct.pack(">I", len(items)) + items


GOOD: dict[str, tuple[str | bytes, str, list[Row]]] = {
    "comma.csv": ('text,label\n"Hello, ""you""\nthere",ham\nok,spam\n', "csv", [{"text": 'Hello, "you"\nthere'}]),
    "crlf.csv": ("text,label\r\na,x\r\nb,y\r\n", "csv", [{"text": "a", "label": "x"}, {"text": "b", "label": "y"}]),
    "mac.csv": ("text,label\ra,x\rb,y\r", "csv", [{"text": "a", "label": "x"}, {"text": "b", "label": "y"}]),
    "bom.csv": ("\ufefftext,label\na,x\n", "csv", [{"text": "a", "label": "x"}]),
    "semicolon.csv": ("text;label\na, b;x\nc, d;y\n", "csv", [{"text": "a, b", "label": "x"}]),
    "wide.csv": ("text,label\näh,x\n".encode("utf-16"), "csv", [{"text": "äh", "label": "x"}]),
    "headerless.csv": ("1,0.5,a film\n2,-1.5,so bad\n", "csv", [{"column1": "1", "column3": "a film"}]),
    "one_column.csv": ("text\nhello there\nand you\n", "csv", [{"text": "hello there"}, {"text": "and you"}]),
    "tabs.txt": ('1\t2.5\tHe said "no\n2\t-1\tfine\n', "csv", [{"column2": "2.5", "column3": 'He said "no'}]),
    "empty_cells.tsv": ("text\tlabel\na\t\n\tx\n", "csv", [{"text": "a", "label": None}, {"text": None, "label": "x"}]),
    "rows.jsonl": (
        '{"a": {"b": 1, "c": ["x"]}}\n\n{"a": {"b": null}}',
        "jsonl",
        [{"a.b": 1, "a.c": ["x"]}, {"a.b": None}],
    ),
    "lines.json": ('{"a": 1}\n{"a": 2}\n', "jsonl", [{"a": 1}, {"a": 2}]),
    "array.json": ('[{"a": "x"},\n {"a": "é"}]', "json", [{"a": "x"}, {"a": "é"}]),
    "outer.json": ('{"version": [1], "data": [{"a": 1}, {"a": 2}], "x": 3}', "json", [{"a": 1}, {"a": 2}]),
    "empty.json": ("[]", "json", []),
    "squad.json": (
        json.dumps(SQUAD),
        "squad",
        [{"title": "Mill", "answers": [{"text": "mill", "start": 14}]}, {"question": "Where is Ben?", "answers": []}],
    ),
    "names.conll": (
        "-DOCSTART- -X- -X- O\n\nAnn NNP B-NP I-PER\nran VBD B-VP O\n\nBen NNP B-NP I-PER\n",
        "conll",
        [{"words": ["Ann", "ran"], "pos": ["NNP", "VBD"], "ner": ["I-PER", "O"]}, {"words": ["Ben"]}],
    ),
    "names.txt": (
        "Ann\tB-PER\nran\tO\n\nBen\tB-PER\n",
        "conll",
        [{"words": ["Ann", "ran"], "tags": ["B-PER", "O"]}, {}],
    ),
    "tree.conllu": (
        "# text = Du pain\n1-2\tDu\t_\t_\t_\t_\t_\t_\t_\t_\n1\tDe\tde\tADP\tP\t_\t3\tcase\t_\t_\n"
        "2\tle\tle\tDET\tD\t_\t3\tdet\t_\t_\n2.1\t_\t_\t_\t_\t_\t_\t_\t_\t_\n3\tpain\tpain\tNOUN\tN\t_\t0\troot\t_\t_\n",
        "conllu",
        [{"words": ["De", "le", "pain"], "upos": ["ADP", "DET", "NOUN"], "lemma": ["de", "le", "pain"]}],
    ),
    "brown.txt": (
        "the/DT dog/NN\nran/VBD 1/2/CD\n",
        "word-tags",
        [{"words": ["the", "dog"]}, {"words": ["ran", "1/2"]}],
    ),
    "memory.tmx": (TMX, "tmx", [{"en": "The key", "fr": "La clé"}]),
    "menu.po": (
        PO,
        "po",
        [
            {"source": "Open %s", "target": "Ouvrir %s", "context": "menu", "skeleton": "open"},
            {"source": "%d file", "target": "%d fichier"},
            {"source": "%d files", "target": "%d fichiers"},
        ],
    ),
    "menu.mo": (
        mo([("", "head"), ("menu\4Open", "Ouvrir"), ("a file\0files", "un\0des")], ">"),
        "mo",
        [
            {"source": "Open", "context": "menu"},
            {"source": "a file", "target": "un"},
            {"source": "files", "target": "des"},
        ],
    ),
    "qt_fr.qm": (
        qm([("QMenu", "&Open %1", "&Ouvrir %1"), ("QMenu", "OK", "OK")]),
        "qm",
        [{"source": "Open %1", "target": "Ouvrir %1", "context": "QMenu", "skeleton": "open"}],
    ),
    "story.txt": (
        "One line.\nAnd another.\n\n\nLast.\n",
        "text",
        [{"text": "One line.\nAnd another."}, {"text": "Last."}],
    ),
}


@pytest.mark.parametrize("name", GOOD)
def test_each_format_is_recognised_and_read(name: str, tmp_path: Path) -> None:
    content, known, expected = GOOD[name]
    path = write(tmp_path / name, content)
    assert open_source([path]).format == known
    rows = read(path)
    assert len(rows) >= len(expected)
    for row, wanted in zip(rows, expected, strict=False):
        assert {key: row.get(key) for key in wanted} == wanted


@pytest.mark.parametrize("name", [name for name in GOOD if name != "wide.csv"])
def test_packed_files_are_read_as_unpacked_ones(name: str, tmp_path: Path) -> None:
    content = GOOD[name][0]
    data = content if isinstance(content, bytes) else content.encode()
    plain, packed = write(tmp_path / name, data), write(tmp_path / f"{name}.gz", gzip.compress(data))
    assert read(packed) == read(plain)


def test_lines_are_counted_through_quoted_line_breaks(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", 'text,label\n"a\nb\nc",x\n\nd,y\n')
    assert lines_of(path) == [2, 6]
    assert lines_of(write(tmp_path / "a.json", '[\n{"a":\n1},\n\n{"a": 2}]')) == [2, 5]


BAD: dict[str, tuple[str | bytes, str]] = {
    "empty.csv": ("", "empty"),
    "blank.csv": ("\n\n\n", "empty"),
    "ragged.csv": (
        "text,label\na,x\nb\n",
        'line 3: it has one value ("b"), but there are two columns: text, label. Add the label, or',
    ),
    "unclosed.csv": ('text,label\na,x\n"b,y\nc,z\n', "line 3: a quotation mark is opened"),
    "after_quote.csv": (
        'text,label\n"a"b,x\n',
        "line 2: a quotation mark is opened here and not closed, or text follows",
    ),
    "wrong.json": ('[{"text": "a"},\n{"text": x\n', "line 2: it is no valid JSON here: Expecting value."),
    "nul.csv": (b"text,label\na,x\nb\0,y\n", "line 3: it has a NUL"),
    "latin.csv": ("text,label\na,x\nné,y\n".encode("latin-1"), "line 3: byte 0xe9 is not UTF-8"),
    "wide_without_mark.csv": ("text,label\na,x\n".encode("utf-16-le"), "line 1: it has a NUL"),
    "cut_wide.csv": ("text,label\na,x\nb,y".encode("utf-16")[:-1], "utf-16"),
    "bad.jsonl": ('{"a": 1}\n{"a": 2\n', "line 2: it is no valid JSON"),
    "list.jsonl": ('{"a": 1}\n[1]\n', "line 2: it is not an object"),
    "deep.jsonl": ("[" * 100_000 + "\n", "line 1"),
    "deep_object.jsonl": ('{"a":' * 20 + "1" + "}" * 20 + "\n", "line 1: its objects are nested"),
    "cut.json": ('[{"a": 1},\n{"a": 2', "line 2: it is no valid JSON"),
    "comma.json": ('[{"a": 1}\n{"a": 2}]', "line 2: it is no valid JSON here: ',' or ']'"),
    "last_comma.json": ('[{"a": 1},\n]', "line 2: it is no valid JSON"),
    "number.json": ("12", "line 1: it is no JSON"),
    "nothing.json": ('{"a": 1}', "one object without an array"),
    "latin.json": ('[\n\n{"a": "né"}]'.encode("latin-1"), "line 3: it is not UTF-8"),
    "squad.json": ('{"data": [\n{"paragraphs": [{"qas": [{}]}]}]}', "line 2: the article"),
    "bad.conll": ("Ann B-PER\nran\n", "line 2: it has 1 column, but the first line has 2"),
    "words.conll": ("Ann\nran\n", "line 1: 'Ann' has no tag"),
    "bad.conllu": ("1\tDe\tde\n", "line 1: it has 3 columns between tabs"),
    "bad.tagged": ("the/DT dog\n", "line 1: 'dog' has no tag"),
    "cut.tmx": (TMX[:-20], "line 4: it is no valid XML"),
    "entities.tmx": ('<!DOCTYPE tmx [\n<!ENTITY a "aaaa">]><tmx>&a;</tmx>', "line 2: it defines an XML entity"),
    "outside.tmx": ('<!DOCTYPE tmx [<!ENTITY a SYSTEM "file:///etc/passwd">]>\n<tmx>&a;</tmx>', "line 1: it defines"),
    "other.tmx": ("<html></html>", "begins with <html>"),
    "deep.tmx": ("<tmx>" * 100, "nested too deep"),
    "no_language.tmx": ("<tmx><tu>\n<tuv><seg>a</seg></tuv></tu></tmx>", "line 2: a <tuv> does not say"),
    "bad.po": ('msgid "a"\nmsgstr "b\n', "line 2: 'msgstr \"b' is no line"),
    "bad.mo": (b"hello, this is text", "no .mo file"),
    "cut.mo": (mo([("a", "b")])[:-3], "damaged or cut off"),
    "huge.mo": (struct.pack("<7I", 0x950412DE, 0, 1 << 31, 28, 28, 0, 0), "damaged or cut off"),
    "bad.qm": (b"hello, this is text", "no .qm file"),
    "cut.qm": (qm([("a", "b", "c")])[:-6], "damaged or cut off"),
    "hashes.qm": (qm([]), "without their source texts"),
    "bad.parquet": (b"PAR1 hello", "no Parquet file, or damaged"),
    "bad.csv.gz": (b"hello", "not a .gz file"),
    "cut.csv.gz": (gzip.compress(b"text,label\n" + b"a,x\n" * 10_000)[:-20], "damaged or cut off"),
    "binary.txt": (bytes(range(256)), "line"),
    "table.xlsx": (b"PK", "save it as CSV"),
    "rows.arrow": (b"ARROW1", "ds.to_parquet()"),
    "rows.pkl": (b"\x80", "could run code"),
    "rows.tar.gz": (b"\x1f\x8b", "unpack it"),
    "rows.xyz": (b"\x00\x01", "NUL"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_damaged_file_is_refused_in_one_sentence(name: str, tmp_path: Path) -> None:
    content, sentence = BAD[name]
    path = write(tmp_path / name, content)
    with pytest.raises(ValueError, match=re.escape(sentence)) as caught:
        read(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_encoding_can_be_said(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "text,label\nné,y\n".encode("latin-1"))
    assert read(path, encoding="latin-1") == [{"text": "né", "label": "y"}]
    with pytest.raises(ValueError, match="no encoding called 'klingon'"):
        read(path, encoding="klingon")
    path = write(tmp_path / "b.csv", "text,label\nné,y\n".encode("utf-16-le"))
    assert read(path, encoding="utf-16-le") == [{"text": "né", "label": "y"}]


def test_a_header_and_a_delimiter_can_be_said(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "yes:no\nno:yes\n")
    assert read(path, delimiter=":", header=True) == [{"yes": "no", "no": "yes"}]
    assert len(read(path, delimiter=":", header=False)) == 2
    with pytest.raises(ValueError, match=r"a\.csv, line 1: two columns are called 'yes'"):
        read(write(path, "yes,yes\n1,2\n"), header=True)
    with pytest.raises(ValueError, match="use one character"):
        read(path, delimiter="::")


def test_a_table_that_only_names_columns_has_no_rows(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "text,label\n")
    for header in (None, True):
        with pytest.raises(ValueError, match=r"a\.csv, line 1: it names columns, but no rows follow"):
            read(path, header=header)
    assert read(path, header=False) == [{"column1": "text", "column2": "label"}]
    assert read(write(path, "1,a film\n")) == [{"column1": "1", "column2": "a film"}]


@pytest.mark.parametrize(("unit", "n"), [("line", 3), ("paragraph", 2), ("file", 1)])
def test_a_text_is_cut_into_units(unit: str, n: int, tmp_path: Path) -> None:
    path = write(tmp_path / "story.txt", "a\nb\n\nc\n")
    assert len(read(path, unit=unit)) == n


def test_parquet_is_read_with_the_names_of_its_labels(tmp_path: Path) -> None:
    path = tmp_path / "[odd] name.parquet"
    features = {
        "label": {"names": ["ham", "spam"], "_type": "ClassLabel"},
        "tags": {"feature": {"names": ["O", "B-X"], "_type": "ClassLabel"}, "_type": "Sequence"},
    }
    about = json.dumps({"info": {"features": features}})
    with duckdb.connect(":memory:") as connection:
        connection.execute(
            "COPY (SELECT 'text ' || i AS text, i % 2 AS label, [0, 1] AS tags, {'x': i, 'y': DATE '2020-01-01'} AS s, "
            f"'a'::BLOB AS b FROM range(2500) t(i)) TO '{tmp_path}/plain.parquet' "
            f"(FORMAT parquet, KV_METADATA {{huggingface: '{about}'}})"
        )
    (tmp_path / "plain.parquet").rename(path)
    rows = read(path)
    assert len(rows) == 2500
    assert rows[1] == {
        "text": "text 1",
        "label": "spam",
        "tags": ["O", "B-X"],
        "s.x": 1,
        "s.y": "2020-01-01",
        "b": None,
    }
    write(tmp_path / "cut.parquet", path.read_bytes()[:-10])
    with pytest.raises(
        ValueError, match=r"cut\.parquet: it is no Parquet file, or damaged .*: save it again\."
    ) as error:
        read(tmp_path / "cut.parquet")
    assert str(error.value).count("cut.parquet") == 1


def test_files_in_two_languages_belong_together_line_by_line(tmp_path: Path) -> None:
    english = write(tmp_path / "x.en", "the key\n\nthe mill\n")
    french = write(tmp_path / "x.fr", "la clé\n\nle moulin\n")
    assert read([english, french]) == [{"en": "the key", "fr": "la clé"}, {"en": "the mill", "fr": "le moulin"}]
    assert read(tmp_path) == read([english, french])
    write(french, "la clé\n\n")
    with pytest.raises(ValueError, match=r"x\.fr, line 3: it ends after 2 lines, but .*x\.en goes on"):
        read([english, french])


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.text(st.characters(exclude_characters="\0\r", exclude_categories=["Cs"])), st.sampled_from("ab")),
        min_size=1,
        max_size=8,
    )
)
def test_what_csv_writes_is_read(tmp_path_factory: pytest.TempPathFactory, cells: list[tuple[str, str]]) -> None:
    import csv

    path = tmp_path_factory.mktemp("csv") / "a.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL)
        writer.writerow(["some text", "label"])
        writer.writerows(cells)
    rows = read(path, header=True, delimiter=",")
    assert [(row["some text"] or "", row["label"]) for row in rows] == cells


@settings(max_examples=30, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    )
)
def test_any_json_is_read_or_refused_in_a_sentence(tmp_path_factory: pytest.TempPathFactory, value: Any) -> None:
    path = tmp_path_factory.mktemp("json") / "a.json"
    path.write_text(json.dumps([value]), encoding="utf-8")
    if isinstance(value, dict):
        assert len(read(path)) == 1
    else:
        with pytest.raises(ValueError, match="line 1: it is not an object"):
            read(path)


def test_nested_objects_become_dotted_columns() -> None:
    assert flatten({"a": {"b": {"c": 1}}, "d": []}) == {"a.b.c": 1, "d": []}
    answers = {"text": ["x"], "answer_start": [0]}
    assert flatten({"answers": answers}) == {"answers": answers}
    with pytest.raises(ValueError, match="more than 500 columns"):
        flatten({str(index): index for index in range(501)})


@settings(max_examples=50, deadline=None)
@given(st.sampled_from(sorted(GOOD)), st.integers(0, 2000), st.integers(0, 40), st.binary(max_size=12))
def test_any_damage_gives_rows_or_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, name: str, start: int, length: int, put: bytes
) -> None:
    content = GOOD[name][0]
    data = content if isinstance(content, bytes) else content.encode()
    start %= len(data)
    path = write(
        tmp_path_factory.getbasetemp() / "damaged" / name, data[:start] + put + data[start + length :] or b"\n"
    )
    try:
        read(path)
    except ValueError as error:
        sentence = str(error)
    else:
        sentence = str(path)  # many damaged files can be read all the same
    assert str(path) in sentence
    assert "\n" not in sentence
