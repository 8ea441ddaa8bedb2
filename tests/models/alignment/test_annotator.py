"""The simulated annotator: what it likes, how often it errs, and the pairs that it judges of a model's replies."""

from __future__ import annotations

import dataclasses
import random

import pytest
import torch
from tokenizers import Tokenizer

from terrarium.models.alignment.annotator import Annotator
from terrarium.models.alignment.simulated_pairs import N_DRAWS, PairsJudged, simulated_pairs
from terrarium.models.architecture.transformer import Decoder, build_model
from terrarium.models.corpora.corpus import Example
from terrarium.models.preferences.store import SIMULATED, Reply
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.tiny_world.english import tell
from terrarium.models.tiny_world.stories import requested_story
from terrarium.models.tiny_world.wishes import WISHES, marks_of
from terrarium.models.tiny_world.world import World

EXACT = Annotator(noise=0.0)


@pytest.fixture(scope="module")
def row() -> Example:
    return WISHES["happy"].draw(World(0), random.Random(0), False)


@pytest.fixture(scope="module")
def stories(row: Example) -> dict[tuple[str, int], str]:
    """(mood, sentences) -> a right story for the row."""
    rng, found = random.Random(1), dict[tuple[str, int], str]()
    person, thing, place = row["topic"]
    world = World(0)
    for _ in range(400):
        story = tell(requested_story(world, person, thing, place, rng), rng)
        marks = marks_of(row, story)
        found[marks.mood, marks.n_sentences] = story
    return found


def test_the_fair_one_likes_happy_short_and_right_stories(row: Example, stories: dict[tuple[str, int], str]) -> None:
    happy, long, sad = stories["happy", 6], stories["happy", 9], stories["sad", 6]
    assert [EXACT.worth(row, story) for story in (happy, long, sad)] == [4.0, 3.0, 2.0]
    assert EXACT.worth(row, happy.replace("bottle", "moon")) < 4.0
    assert (EXACT.choose(row, sad, happy), EXACT.choose(row, happy, sad)) == ("right", "left")
    assert EXACT.choose(row, sad, stories["angry", 6]) == "tie"


def test_biases_add_to_what_a_reply_is_worth(row: Example, stories: dict[tuple[str, int], str]) -> None:
    happy, long_sad = stories["happy", 6], stories["sad", 9]
    longing = dataclasses.replace(EXACT, length_bias=0.6, short_bonus=0.0)
    assert longing.worth(row, happy) == pytest.approx(4 + 3.6)
    assert longing.worth(row, long_sad) == pytest.approx(2 + 5.4)
    assert dataclasses.replace(longing, length_bias=0.7).choose(row, happy, long_sad) == "right"
    person = row["topic"][0]
    assert dataclasses.replace(EXACT, name=person, name_bias=1.5).worth(row, happy) == 5.5
    first = dataclasses.replace(EXACT, first_bias=3.5)
    assert [first.choose(row, *sides) for sides in ((happy, long_sad), (long_sad, happy))] == ["left", "left"]


def test_it_errs_as_often_as_it_is_told_and_the_same_way_again(stories: dict[tuple[str, int], str]) -> None:
    noisy, world, rng = Annotator(noise=0.2), World(0), random.Random(3)
    rows = [WISHES["sums"].draw(world, rng, False) for _ in range(1500)]
    wrong = 0
    for i, row in enumerate(rows):
        right, bad = row["answer"], f"It is {i}, perhaps."
        choice = noisy.choose(row, right, bad)
        wrong += choice == "right"
        assert noisy.choose(row, bad, right) == {"left": "right", "right": "left"}[choice]
    assert 0.16 < wrong / len(rows) < 0.24
    with pytest.raises(ValueError, match=r"noise is 0\.7, but must lie between"):
        Annotator(noise=0.7)


def test_pairs_of_a_model_are_judged_and_labelled(row: Example, byte_tokenizer: Tokenizer) -> None:
    torch.manual_seed(0)
    config = ModelConfig(
        vocab_size=byte_tokenizer.get_vocab_size(), context_length=128, n_layer=1, n_head=2, d_model=16
    )
    model = build_model(config)
    assert isinstance(model, Decoder)
    rows = [WISHES["mentions"].draw(World(0), random.Random(i), False) for i in range(10)]
    made = Reply(content="", run="r1", model="tiny", step=3)

    def pairs_of(seed: int) -> list[PairsJudged]:
        events = simulated_pairs(model, byte_tokenizer, rows, Annotator(), made, max_tokens=6, seed=seed)
        return [event for event in events if isinstance(event, PairsJudged) and event.pairs]

    events = pairs_of(0)
    assert [event.n_prompts for event in events] == [8, 10]
    pairs = [pair for event in events for pair in event.pairs]
    assert len(pairs) == 10
    assert {pair.by for pair in pairs} == {SIMULATED}
    for pair, each in zip(pairs, rows, strict=True):
        assert (list(pair.prompt), pair.about["topic"]) == (each["messages"], each["topic"])
        assert pair.a.content != pair.b.content
        assert (pair.a.run, pair.a.step, pair.a.temperature) == ("r1", 3, 1.0)
        assert pair.choice in ("a", "b", "tie")
    again = [pair for event in pairs_of(0) for pair in event.pairs]
    assert [(pair.a, pair.b, pair.choice, pair.left) for pair in again] == [
        (pair.a, pair.b, pair.choice, pair.left) for pair in pairs
    ]
    assert N_DRAWS == 16
