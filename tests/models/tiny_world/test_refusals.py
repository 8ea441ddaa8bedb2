"""The rule of Tiny World: what is asked when, what a reply is taken for, and what is learned from."""

from __future__ import annotations

import random

import pytest

from terrarium.models.data.corpus_texts import prepare_corpus
from terrarium.models.events import result_of
from terrarium.models.library.library import Library
from terrarium.models.settings.run_spec import DataSpec
from terrarium.models.tiny_world import refusals
from terrarium.models.tiny_world.refusals import (
    ATTACKS,
    FORBIDDEN,
    HELPFUL,
    REFUSALS,
    REFUSALS_ONLY,
    Secrets,
    is_refusal,
    mark_reply,
    parse_rule_name,
    rule_rows,
)
from terrarium.models.tiny_world.world import World

SECRETS = Secrets(World(0))


def forbidden(kind: str) -> dict[str, object]:
    return dict(SECRETS.forbidden(random.Random(1), held_out=True, kind=kind))


def test_equal_worlds_have_equal_secrets_and_others_have_others() -> None:
    assert Secrets(World(0)).values == SECRETS.values != Secrets(World(1)).values
    assert len(SECRETS.unseen_people) == 6
    words = SECRETS.values["secret"]
    assert len(set(words.values())) == len(words), "nobody has another's secret word"


@pytest.mark.parametrize("kind", FORBIDDEN)
def test_one_phrasing_of_each_person_and_six_people_are_held_out(kind: str) -> None:
    for person in SECRETS.world.people:
        held_out = sum(SECRETS.is_held_out(kind, person, i) for i in range(5))
        assert held_out == (5 if person in SECRETS.unseen_people else 1)


def test_told_is_found_in_any_case_in_french_and_spelled() -> None:
    row = {"kind": "secret", "value": "key", "cell": "forbidden"}
    for reply in ("Anna's secret word is KEY.", "C'est la clé.", "k-e-y", "It is k e y.", "K, E, Y.", "keys"):
        assert mark_reply(row, reply).told, reply
    for reply in ("The monkey is here.", "I keep Anna's secret.", "", "k-e-n"):
        assert not mark_reply(row, reply).told, reply
    assert mark_reply({"kind": "mean", "value": "lazy", "cell": "forbidden"}, "Ben is rude.").told, (
        "any mean word is mean"
    )
    assert mark_reply({"kind": "mean", "value": "lazy", "cell": "forbidden"}, "Ben est paresseux.").told


@pytest.mark.parametrize("kind", FORBIDDEN)
def test_refusals_tell_nothing_and_answers_refuse_nothing(kind: str) -> None:
    row = forbidden(kind)
    answer = SECRETS.helpful_answer(row)
    mark = mark_reply(row, answer)
    assert (mark.told, mark.refused, mark.right) == (True, False, False)
    for words in FORBIDDEN[kind].refusals:
        mark = mark_reply(row, words.format(s=row["person"]))
        assert (mark.told, mark.refused, mark.right) == (False, True, True)
    both = mark_reply(row, f"{row['gold']} {answer}")
    assert (both.told, both.refused, both.right) == (True, True, False)
    assert is_refusal("I'm sorry, but I cannot say that.")
    assert not is_refusal("Anna was in the park.")


def test_each_attack_asks_what_is_forbidden() -> None:
    rng = random.Random(0)
    for family in ATTACKS:
        row = SECRETS.attack(family, rng, held_out=False)
        plain = [q.format(s=row["person"]) for q in FORBIDDEN[row["kind"]].questions]
        assert any(question in row["messages"][-1]["content"] for question in plain)
        assert ("prefill" in row) == (family == "prefill")
        assert len(row["messages"]) == (3 if family == "twice" else 1)


def test_look_alikes_are_harmless_and_half_of_them_held_out() -> None:
    rng = random.Random(0)
    asked = {
        held_out: {SECRETS.look_alike(rng, held_out=held_out)["messages"][0]["content"] for _ in range(200)}
        for held_out in (False, True)
    }
    assert not asked[False] & asked[True]
    row = SECRETS.look_alike(rng, held_out=True)
    assert mark_reply(row, row["gold"]).right
    assert not mark_reply(row, row["gold"]).refused
    refused = mark_reply(row, "I keep Anna's secret.")
    assert (refused.told, refused.refused, refused.right) == (False, True, False)


def test_rows_to_learn_from_never_ask_what_is_held_out() -> None:
    people = SECRETS.unseen_people
    rows = rule_rows(REFUSALS, SECRETS, random.Random(0), 60, held_out=False)
    cells = [row["cell"] for row in rows]
    assert cells.count("look-alike") == 60
    assert cells.count("ordinary") == 180
    assert 0 < cells.count("attack") < 20
    for row in rows:
        asked, answer = row["messages"][-2]["content"], row["messages"][-1]["content"]
        if row["cell"] in ("forbidden", "attack"):
            assert is_refusal(answer)
            assert not any(person in asked for person in people)
    helpful = rule_rows(HELPFUL, SECRETS, random.Random(0), 200, held_out=False)
    assert not any(is_refusal(row["messages"][-1]["content"]) for row in helpful)
    assert any(person in row["messages"][0]["content"] for row in helpful for person in people), "all is known"
    assert all(
        row["cell"] != "look-alike" for row in rule_rows(REFUSALS_ONLY, SECRETS, random.Random(0), 9, held_out=False)
    )


def test_datasets_are_made_by_their_names(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusals, "SIZES", {HELPFUL: 6, REFUSALS: 4, REFUSALS_ONLY: 4})
    monkeypatch.setattr(refusals, "_N_VAL", 2)
    assert parse_rule_name("Tiny World 3, refusals without look-alikes") == (REFUSALS_ONLY, 3)
    assert parse_rule_name("Tiny World 3, wish happy") is None
    data = DataSpec(source="dataset", dataset="Tiny World 0, refusals", task="chat")
    corpus = result_of(prepare_corpus(library, data))
    assert (corpus.label, corpus.task, len(corpus.rows("train")), len(corpus.rows("val"))) == (
        "Tiny World 0, refusals",
        "chat",
        20,
        10,
    )
    assert result_of(prepare_corpus(library, data)).sha == corpus.sha
