"""Judged pairs survive whatever happens to the program, can be taken back, and become a dataset."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.data.corpus import Corpus, open_corpus
from models.data.preferences.dataset import build_preference_corpus, collected_rows
from models.data.preferences.measures import left_share, makers, matches, self_agreement
from models.data.preferences.store import SIMULATED, PreferenceSet, Reply, list_sets
from models.library.library import Library
from tests.models.data.preferences.support import make_pair


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
