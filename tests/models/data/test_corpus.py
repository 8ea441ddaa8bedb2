import os
import sysconfig
from pathlib import Path
from typing import Any

import pytest

from terrarium.models.corpora import blocks
from terrarium.models.corpora import corpus as corpora
from terrarium.models.corpora.corpus import CorpusWriter, build_examples_corpus, find_dataset, open_corpus
from terrarium.models.corpora.text_corpora import (
    build_stdlib_corpus,
    build_text_corpus,
    build_text_corpus_events,
    split_index,
)
from terrarium.models.events import Progress, result_of
from terrarium.models.files.atomic import atomic_write_json, read_json
from terrarium.models.library.library import Library

LINES = "".join(f"line {n}\n" for n in range(100))


def write(tmp_path: Path, data: bytes | str, name: str = "text.txt") -> Path:
    path = tmp_path / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def test_text_is_split_at_a_line(library: Library, tmp_path: Path) -> None:
    corpus = build_text_corpus(library, [write(tmp_path, LINES)], 0.25)
    train, val = corpus.read_text("train"), corpus.read_text("val")
    assert train + val == LINES
    assert train.endswith("\n")
    assert abs(len(val) / len(LINES) - 0.25) < 0.02
    assert open_corpus(library, corpus.sha) == corpus
    assert corpus.n_bytes == len(LINES)


def test_the_same_text_is_kept_once(library: Library, tmp_path: Path) -> None:
    first = build_text_corpus(library, [write(tmp_path, LINES)], 0.25)
    again = build_text_corpus(library, [write(tmp_path, LINES, "copy.txt")], 0.25)
    assert again == first
    assert len(list(library.corpora.iterdir())) == 1


def test_long_lines_are_split_within_them() -> None:
    assert split_index("a" * 100, 0.1) == 90
    assert split_index("Title\n" + "a" * 994, 0.1) == 900  # not after the title
    assert split_index("a" * 80 + "\n" + "b" * 100, 0.1) == 81
    assert split_index("a" * 40_000 + "\n" + "b" * 60_000, 0.5) == 40_001
    assert split_index("a" * 100 + "\n", 0.5) == 50


def test_line_ends_and_marks_are_made_plain(library: Library, tmp_path: Path) -> None:
    file = write(tmp_path, b"\xef\xbb\xbfone\r\ntwo\rthree\n")
    corpus = build_text_corpus(library, [file], 0.4)
    assert corpus.read_text("train") + corpus.read_text("val") == "one\ntwo\nthree\n"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is empty"),
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00", "binary"),
        (b"\x01\x02\x03\x04 hello", "binary"),
        ("Grüße\n".encode("utf-16"), "only 6 characters"),
        ("Grüße\n".encode("utf-16")[:-1], "not UTF-16 text"),
        ("\x01\x02\x03\x04 hello".encode("utf-16"), "binary"),
        (b"hello \xe9t\xe9\n", "offset 6"),
        (b"x", "only 1 character"),
        (b"\n\n\n\n", "only 4 characters"),
    ],
)
def test_bad_files_are_refused_in_a_sentence(library: Library, tmp_path: Path, data: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words) as raised:
        build_text_corpus(library, [write(tmp_path, data)], 0.1)
    assert "text.txt" in str(raised.value)
    assert ":" in str(raised.value)  # what is wrong: what to do
    assert not library.corpora.exists()


def test_missing_files_and_folders_are_refused(library: Library, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="does not exist"):
        build_text_corpus(library, [tmp_path / "none.txt"], 0.1)
    with pytest.raises(ValueError, match="is a folder"):
        build_text_corpus(library, [tmp_path], 0.1)
    with pytest.raises(ValueError, match="No file"):
        build_text_corpus(library, [], 0.1)


def test_examples_come_back_as_they_were(library: Library) -> None:
    plain = [{"text": "one\u2028two\r\n"}, {"text": "three"}]
    chat = [{"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello 👋"}]}]
    corpus = build_examples_corpus(library, plain + chat, plain, "little", 7)
    assert corpus.read_examples("train") == plain + chat
    assert corpus.read_examples("val") == plain
    assert (corpus.kind, corpus.label, corpus.seed, corpus.has_chats) == ("examples", "little", 7, True)
    assert not build_examples_corpus(library, plain, plain, "plain", None).has_chats


def test_damage_is_named_and_a_rebuild_mends_it(library: Library, tmp_path: Path) -> None:
    file = write(tmp_path, LINES)
    corpus = build_text_corpus(library, [file], 0.25)
    whole = corpus.path("train").read_bytes()

    corpus.path("train").write_bytes(whole[:-10])
    with pytest.raises(ValueError, match=f"{corpus.folder}.*truncated"):
        open_corpus(library, corpus.sha)
    corpus.path("train").write_bytes(whole[:-1] + b"x")
    with pytest.raises(ValueError, match=r"train\.txt was changed"):
        open_corpus(library, corpus.sha).read_text("train")
    corpus.path("train").unlink()
    with pytest.raises(ValueError, match=r"train\.txt cannot be read"):
        open_corpus(library, corpus.sha)
    (corpus.folder / "about.json").write_text("{")
    with pytest.raises(ValueError, match=r"about\.json is damaged"):
        open_corpus(library, corpus.sha)
    assert corpora.list_corpora(library) == []

    assert build_text_corpus(library, [file], 0.25) == corpus
    assert corpus.read_text("train").encode() == whole


@pytest.mark.parametrize(
    ("about", "words"),
    [
        ({"format": 99}, "newer Terrarium"),  # whatever else it says or leaves out
        ({"format": 1}, "'kind' is missing"),
        ({"digests": {"train": ""}}, "'val' is missing"),
        ({"digests": None}, "damaged"),
        ({"kind": "pictures"}, "'pictures' is missing or wrong"),
    ],
)
def test_a_description_that_does_not_fit_is_named(
    library: Library, tmp_path: Path, about: dict[str, object], words: str
) -> None:
    corpus = build_text_corpus(library, [write(tmp_path, LINES)], 0.25)
    path = corpus.folder / "about.json"
    known = {} if "format" in about else read_json(path)
    atomic_write_json(path, {**known, **about})
    with pytest.raises(ValueError, match=words) as raised:
        open_corpus(library, corpus.sha)
    assert str(path) in str(raised.value)


def test_a_sha_cannot_lead_out_of_the_library(library: Library) -> None:
    for sha in ("", "../..", "0" * 11, "/etc/passwd12"):
        with pytest.raises(ValueError, match="is not a corpus"):
            open_corpus(library, sha)


@pytest.mark.slow
def test_the_standard_library_is_a_corpus(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, some = Path(sysconfig.get_path("stdlib")), library.home / "some of it"
    for module in (*whole.glob("[a-c]*.py"), *whole.glob("asyncio/*.py")):
        link = some / module.relative_to(whole)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(module)
    much = "Return what is said of the rest, which takes seconds to parse.\n" * 14_000
    (some / "rest.py").write_text(f'"""{much}"""\n')
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(some))
    corpus = build_stdlib_corpus(library)
    assert corpus.n_bytes > 1_000_000
    assert corpus.source == "stdlib"
    assert "literal structures" in corpus.read_text("train")  # of ast.literal_eval
    assert "Return what is said" in corpus.read_text("val")
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(library.corpora))
    assert build_stdlib_corpus(library) == corpus  # not built again
    with pytest.raises(ValueError, match="not installed"):
        build_stdlib_corpus(Library(library.home / "other"))


def test_files_that_never_end_are_refused(library: Library) -> None:
    with pytest.raises(ValueError, match="may never end"):
        build_text_corpus(library, [Path(os.devnull)], 0.1)


def test_reading_a_long_file_can_be_cancelled(library: Library, tmp_path: Path) -> None:
    path = write(tmp_path, "Some text.\n" * 4_000_000)
    work = build_text_corpus_events(library, [path], 0.1)
    event = next(work)
    assert isinstance(event, Progress)
    assert 0 < event.done < event.total == path.stat().st_size
    work.close()
    assert not library.corpora.exists()


def test_a_dataset_keeps_its_task_labels_and_test_split(library: Library) -> None:
    rows = [{"text": f"mail {i}", "label": "spam" if i % 2 else "ham"} for i in range(6)]
    made = build_examples_corpus(
        library, rows[:3], rows[3:5], "mails", None, test=rows[5:], task="classification", labels=("ham", "spam")
    )
    found = find_dataset(library, "mails")
    assert found == made
    assert found.splits == ("train", "val", "test")
    assert (found.task, found.labels) == ("classification", ("ham", "spam"))
    assert found.read_examples("test") == rows[5:]
    with pytest.raises(ValueError, match="no dataset called 'letters' in the library: it has 'mails'"):
        find_dataset(library, "letters")


@pytest.mark.parametrize("at", ["open_corpus", "publish_folder"])
def test_two_that_write_the_same_corpus_at_once_both_get_it(
    library: Library, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    with CorpusWriter(library) as first, CorpusWriter(library) as second:
        for writer in (first, second):
            writer.add("train", {"text": "a"})
            writer.add("val", {"text": "b"})
        real = getattr(corpora, at)
        others = []

        def overtaken(*arguments: Any) -> Any:
            """The other one finishes just after the look for a copy, or just before this one is published."""
            monkeypatch.setattr(corpora, at, real)
            if at == "publish_folder":
                others.append(first.finish("same"))
            try:
                return real(*arguments)
            finally:
                if at == "open_corpus":
                    others.append(first.finish("same"))

        monkeypatch.setattr(corpora, at, overtaken)
        found = second.finish("same")
    assert others == [found]
    assert found.read_examples("train") == [{"text": "a"}]
    assert [path.name for path in library.corpora.iterdir()] == [found.folder.name]
    assert not library.trash.exists()


@pytest.mark.parametrize("block_bytes", [1 << 26, 64])
def test_of_files_at_most_so_many_bytes_are_read(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block_bytes: int
) -> None:
    monkeypatch.setattr(blocks, "BLOCK_BYTES", block_bytes)
    files = [tmp_path / name for name in ("a.txt", "b.txt", "c.txt")]
    for file in files:
        file.write_text("Zoë naïve\n" * 30, encoding="utf-8")
    whole = "".join(result_of(build_text_corpus_events(library, files, 0.1)).text_blocks("train"))
    for max_bytes in (330, 361, 362, 720):
        corpus = result_of(build_text_corpus_events(library, files, 0.1, max_bytes))
        text = "".join("".join(corpus.text_blocks(split)) for split in corpus.splits)
        assert whole.startswith(text[: len(whole)])
        assert max_bytes - 2 <= len(text.encode()) <= max_bytes + 2, "a newline between files is not of them"
    files[1].write_text("")
    with pytest.raises(ValueError, match="is empty"):
        result_of(build_text_corpus_events(library, files, 0.1))
