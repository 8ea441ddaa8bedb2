"""Judged pairs survive whatever happens to the program, can be taken back, and become a dataset."""

from __future__ import annotations

import json
import os
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from terrarium.models.corpora.corpus import Corpus, open_corpus
from terrarium.models.library.library import Library
from terrarium.models.preferences.dataset import (
    build_preference_corpus,
    build_set_corpus,
    collected_rows,
    rated_rows,
    writers_of,
)
from terrarium.models.preferences.measures import left_share, makers, matches, self_agreement
from terrarium.models.preferences.store import SIMULATED, PreferenceSet, Reply, list_sets, rename_set
from tests.models.preferences.support import make_pair, make_thumb


def test_pairs_are_read_as_they_were_added(library: Library) -> None:
    collected = PreferenceSet(library, "happy")
    assert (collected.read().pairs, list_sets(library)) == ((), [])
    pairs = [make_pair(i, choice, seconds=1.5) for i, choice in enumerate(("a", "b", "tie", "bad", "skip"))]
    pairs.append(make_pair(about={"wish": "happy", "topic": ["Anna", "kite", "park"]}, left="b", by=SIMULATED))
    collected.add(pairs[:2])
    collected.add(pairs[2:])
    assert collected.read().pairs == tuple(pairs)
    assert list_sets(library) == ["happy"]


def test_what_was_taken_back_is_gone_and_comes_back(library: Library) -> None:
    collected, pairs = PreferenceSet(library, "happy"), [make_pair(i) for i in range(3)]
    collected.add(pairs)
    collected.retract([pairs[0].id, pairs[2].id])
    assert collected.read().pairs == (pairs[1],)
    collected.add([pairs[0]])
    assert collected.read().pairs == (pairs[1], pairs[0])
    assert len(collected.path.read_text().splitlines()) == 6, "nothing is ever overwritten"


@given(n_bytes=st.integers(0, 500))
def test_a_kill_within_a_line_loses_that_line_only(tmp_path_factory: pytest.TempPathFactory, n_bytes: int) -> None:
    library = Library(tmp_path_factory.mktemp("home"))
    collected, pairs = PreferenceSet(library, "happy"), [make_pair(i) for i in range(3)]
    collected.add(pairs[:2])
    whole = collected.path.read_bytes()
    cut = whole[: max(0, len(whole) - n_bytes)]
    collected.path.write_bytes(cut)
    collected.add(pairs[2:])
    n_whole = sum(cut.startswith(whole[: whole.index(b"\n", at) + 1]) for at in (0, whole.index(b"\n") + 1))
    stays = n_whole + (cut.count(b"\n") < 2 and cut in (whole[:-1], whole.split(b"\n")[0]))
    assert collected.read().pairs == (*pairs[:stays], pairs[2])


def test_lines_that_are_no_pairs_are_counted_not_fatal(library: Library) -> None:
    collected, pair = PreferenceSet(library, "happy"), make_pair()
    collected.add([pair])
    row = json.loads(collected.path.read_text())
    damaged = [{**row, "choice": "c"}, {**row, "a": {}}, {**row, "prompt": []}, {**row, "left": 1}, [1], {"id": 1}]
    newer = {**row, "id": "newer", "mood": "good", "a": {**row["a"], "tone": "kind"}}
    with collected.path.open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(each) + "\n" for each in (*damaged, newer))
    stored = collected.read()
    assert [each.id for each in stored.pairs] == [pair.id, "newer"]
    assert stored.n_damaged == len(damaged)


def test_a_name_that_no_folder_can_have_is_refused(library: Library) -> None:
    with pytest.raises(ValueError, match="may not contain '/'"):
        PreferenceSet(library, "a/b")


def test_rows_of_a_set(library: Library) -> None:
    first = make_pair(0, "a")
    pairs = [
        first,
        make_pair(1, "b", by=SIMULATED),
        make_pair(2, "tie"),
        make_pair(3, "bad"),
        make_pair(4, "skip"),
        make_pair(5, "a", b=Reply(content=" ")),
        make_pair(6, "b", a=Reply(content="same"), b=Reply(content="same")),
        make_pair(0, "a", repeats=first.id),
    ]
    found = collected_rows(pairs)
    assert [(row["chosen"], row["source"], row.get("choice")) for row in found.rows] == [
        ("It is 0.", "person", None),
        ("I do not know.", "simulated", None),
        ("It is 2.", "person", "tie"),
    ]
    assert found.left_behind == {
        "both bad": 1,
        "skipped": 1,
        "with an empty reply": 1,
        "with two replies that are the same": 1,
        "shown again": 1,
    }
    again = collected_rows([first, make_pair(0, "b", repeats=first.id)]).rows
    assert [row["chosen"] for row in again] == ["It is 0.", "I do not know."], "both together weigh as a tie"


def test_a_set_becomes_a_dataset_split_by_prompt(library: Library) -> None:
    collected = PreferenceSet(library, "happy")

    def build() -> Corpus:
        return build_preference_corpus(library, collected.name, collected_rows(collected.read().pairs).rows)

    collected.add([make_pair(i // 2, "ab"[i % 2]) for i in range(2)])
    with pytest.raises(ValueError, match="“happy” has 1 prompt with a better reply: compare replies to two at least"):
        build()
    collected.add([make_pair(i // 2, "ab"[i % 2]) for i in range(40)])
    corpus = build()
    assert (corpus.task, corpus.label) == ("preference", "happy, 42 pairs")
    asked = {split: {row["messages"][0]["content"] for row in corpus.rows(split)} for split in corpus.splits}
    assert (len(asked["val"]), asked["train"] & asked["val"]) == (2, set())
    assert build().sha == corpus.sha
    collected.retract([collected.read().pairs[-1].id])
    collected.add([make_pair(7, "tie")])
    other = build()
    assert other.label == "happy, 42 pairs (2)"
    assert open_corpus(library, corpus.sha) == corpus


def test_writers_are_those_of_the_set_that_the_dataset_is_of(library: Library) -> None:
    PreferenceSet(library, "Mine").add([make_pair(i) for i in range(2)])
    late = [make_pair(i, a=Reply(content="x", run="r9"), b=Reply(content="y", run="r9")) for i in range(2)]
    PreferenceSet(library, "Mine, late").add(late)
    corpus, _ = build_set_corpus(library, "Mine, late")
    assert writers_of(library, corpus.label) == ["r9"]


def test_agreement_and_side_bias_are_of_the_person_alone() -> None:
    first, second, third = make_pair(0, "a"), make_pair(1, "b", left="b"), make_pair(2, "tie", by=SIMULATED)
    again = [
        make_pair(0, "a", repeats=first.id, left="b"),
        make_pair(1, "a", repeats=second.id),
        make_pair(1, "skip", repeats=second.id),
        make_pair(2, "a", repeats=third.id, by=SIMULATED),
    ]
    pairs = [first, second, third, *again]
    agreement = self_agreement(pairs)
    assert (agreement.n_yes, agreement.n) == (1, 2)
    assert left_share(pairs).n_yes == 3, "first, second, and the second one again"
    assert left_share(pairs).n == 4
    assert left_share([]).value is None
    assert left_share([]).interval is None
    assert makers(pairs) == {"person": 2, "simulated": 1}


def test_win_rates_of_different_models() -> None:
    first = make_pair(0, "a")
    turned = make_pair(3, "a", a=first.b, b=first.a)
    pairs = [first, make_pair(1, "b"), make_pair(2, "tie"), make_pair(4, "bad"), turned, make_pair(5, "skip")]
    pairs += [
        make_pair(0, "b", repeats=first.id),
        make_pair(6, "a", b=first.a),
        make_pair(7, "a", a=Reply(content="x", edited=True)),
    ]
    [match] = matches(pairs)
    assert (match.first, match.second) == ("quick start at step 40", "tuned at step 20")
    assert (match.n_won, match.n_tied, match.n_lost) == (1, 2, 2)
    assert match.win_rate.value == pytest.approx(0.4)


def test_swapped_pairs_keep_what_is_compared() -> None:
    pair = make_pair(left="b", choice="b")
    again = pair.swapped()
    assert (again.a, again.b, again.left, again.repeats) == (pair.a, pair.b, "a", pair.id)
    assert pair.chosen_side == "left"
    assert (pair.at("left"), pair.at("right")) == ("b", "a")
    assert again.id != pair.id


def test_thumbs_stand_beside_the_pairs(library: Library) -> None:
    collected = PreferenceSet(library, "happy")
    thumbs = [make_thumb(i, is_good=i % 2 == 0) for i in range(3)]
    collected.add_thumbs(thumbs)
    assert (collected.read().pairs, list_sets(library)) == ((), ["happy"])
    collected.add([make_pair()])
    collected.retract_thumbs([thumbs[1].id])
    assert collected.read_thumbs().thumbs == (thumbs[0], thumbs[2])
    collected.add_thumbs([thumbs[1]])
    assert [thumb.is_good for thumb in collected.read_thumbs().thumbs] == [True, True, False]
    with collected.thumbs_path.open("a", encoding="utf-8") as file:
        file.write('{"id": "x", "prompt": [], "reply": {"content": "a"}, "is_good": true}\n{"id": "y"}\nno JSON')
    assert collected.read_thumbs().n_damaged == 3
    assert len(collected.read().pairs) == 1
    assert not PreferenceSet(library, "gone").retract_thumbs(["a"])
    assert not collected.retract_thumbs([thumbs[0].id, "of another set"])
    assert collected.read_thumbs().thumbs[0] == thumbs[0]
    assert list_sets(library) == ["happy"], "nothing is made by taking back"


def test_thumbs_become_a_dataset_of_lone_replies(library: Library) -> None:
    thumbs = [make_thumb(i % 5, is_good=i < 5, reply=Reply(content=f"Reply {i}.")) for i in range(10)]
    found = rated_rows([*thumbs, make_thumb(reply=Reply(content=" "))])
    assert found.left_behind == {"with an empty reply": 1}
    corpus = build_preference_corpus(library, "happy", found.rows, "unpaired")
    assert (corpus.label, corpus.task) == ("happy, 10 thumbs", "unpaired")
    rows = [*corpus.rows("train"), *corpus.rows("val")]
    assert {(row["completion"], row["label"], row["source"]) for row in rows} == {
        (f"Reply {i}.", i < 5, "person") for i in range(10)
    }
    asked = [{row["messages"][0]["content"] for row in corpus.rows(split)} for split in ("train", "val")]
    assert not asked[0] & asked[1]
    with pytest.raises(ValueError, match="1 prompt with a rated reply: rate replies to two at least"):
        build_preference_corpus(library, "one", rated_rows(thumbs[:1]).rows, "unpaired")


def test_a_set_is_renamed_with_all_that_is_in_it(library: Library) -> None:
    PreferenceSet(library, "happy").add([make_pair()])
    PreferenceSet(library, "happy").add_thumbs([make_thumb()])
    PreferenceSet(library, "sad").add([make_pair()])
    assert rename_set(library, "happy", " merry ") == "merry"
    assert list_sets(library) == ["merry", "sad"]
    assert len(PreferenceSet(library, "merry").read_thumbs().thumbs) == 1
    for name, new, sentence in (
        ("happy", "x", "is missing: it may have been moved or deleted"),
        ("merry", "sad", "There is a preference set called 'sad' already"),
        ("merry", "a/b", "may not contain '/'"),
    ):
        with pytest.raises(ValueError, match=sentence):
            rename_set(library, name, new)


def test_a_deleted_set_comes_back_beside_a_new_one_of_its_name(library: Library) -> None:
    collected = PreferenceSet(library, "My preferences")
    collected.add([make_pair()])
    token = library.move_to_trash(collected.folder)
    assert list_sets(library) == []
    collected.add([make_pair(1), make_pair(2)])
    assert library.restore(token).name == "My preferences 2"
    assert [len(PreferenceSet(library, name).read().pairs) for name in list_sets(library)] == [2, 1]


@pytest.mark.skipif(os.name == "nt", reason="has no modes")
def test_only_the_owner_may_read_pairs(library: Library) -> None:
    def mode() -> int:
        return stat.S_IMODE(library.preferences.stat().st_mode)

    PreferenceSet(library, "happy").add([make_pair()])
    assert mode() == 0o700
    library.preferences.chmod(0o755)  # as older versions made it
    assert list_sets(library) == ["happy"]
    assert mode() == 0o700
