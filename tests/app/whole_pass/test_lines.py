"""The lines of a deep model's layers, and what the whole pass says in words."""

from __future__ import annotations

import copy

import pytest
from tokenizers import Tokenizer

from terrarium.app.glass.names import format_rough
from terrarium.app.glass.target_token import TargetToken
from terrarium.app.whole_pass.answer import PassAnswer, read_answer
from terrarium.app.whole_pass.lines import lines_of, telling_layer
from terrarium.app.whole_pass.wording import (
    describe_all,
    describe_pass,
    describe_start,
    format_share_added,
    lead_layer,
    shown_heads,
    strongest_head,
)
from terrarium.models.events import result_of
from terrarium.models.inspect.whole_pass import PassCache
from terrarium.models.tokenizers.special_tokens import add_missing_special_tokens
from tests.app.glass.opened import text_of
from tests.models.inspect.designs import make


def answer_of(tokenizer: Tokenizer, design: str = "llama-tiny", at: int = 6, **changes: object) -> PassAnswer:
    """The pass of a token of “the cat sat” through a random model."""
    model, tokenizer = make(design, vocab_size=380, **changes).float(), copy.deepcopy(tokenizer)
    add_missing_special_tokens(tokenizer, model.config.topology)
    source = "a source" if model.config.topology == "encoder-decoder" else ""
    target = TargetToken(text_of(tokenizer, "the cat sat", 4, source), at)
    return result_of(read_answer(model, tokenizer, target, PassCache()))


def test_a_deep_model_is_folded_around_the_layer_that_tells_most(byte_tokenizer: Tokenizer) -> None:
    answer = answer_of(byte_tokenizer, n_layer=12)

    def layers(chosen: int) -> list[tuple[int, int]]:
        lines = lines_of(answer, chosen, 1, is_unfolded=False)
        return [(line.number, line.n_folded) for line in lines if line.part is None]

    assert layers(6) == [(1, 0), (2, 4), (6, 0), (7, 5), (12, 0)]
    assert layers(3) == [(1, 0), (2, 0), (3, 0), (4, 8), (12, 0)], "one layer alone is not folded"
    assert layers(1) == layers(12) == [(1, 0), (2, 10), (12, 0)]
    every = [line for line in lines_of(answer, 6, 2, is_unfolded=True) if line.part is None]
    assert [line.number for line in every if line.layer is not None] == list(range(1, 13))
    assert (every[-1].layer, every[-1].n_folded, every[-1].door) == (None, 0, "")
    assert "12" not in [line.describe(answer) for line in every]
    assert all(line.describe(answer) for line in lines_of(answer, 6, 2, is_unfolded=False))


def test_few_layers_are_all_shown_with_as_many_heads_as_asked_for(byte_tokenizer: Tokenizer) -> None:
    answer = answer_of(byte_tokenizer)
    lines = lines_of(answer, 1, 3, is_unfolded=False)
    assert [line.n_folded for line in lines] == [0] * len(lines)
    first = [line for line in lines if line.number == 1]
    assert [(line.part is not None, line.head is not None) for line in first] == [
        (False, False),
        (True, False),
        *[(True, True)] * 3,
        (True, False),
    ]
    part = first[1].part
    assert part is not None
    assert [line.head for line in first if line.head is not None] == shown_heads(answer, part)[:3]
    assert sorted(shown_heads(answer, part)) == [0, 1, 2, 3]


@pytest.mark.parametrize("position", range(2, 11))
def test_the_sentence_has_the_numbers_of_the_pass(byte_tokenizer: Tokenizer, position: int) -> None:
    answer = answer_of(byte_tokenizer, at=position)
    given, sentence = answer.given, describe_pass(answer)
    assert sentence.startswith("It read " if position < 4 else ("“", "A space came out"))
    assert format_rough(given.layers[-1].own) in sentence
    effects = {
        (i, number): head.effect or 0.0
        for i, layer in enumerate(given.layers[1:], start=1)
        for part in layer.parts
        for number, head in enumerate(part.heads, start=1)
    }
    (layer, head), effect = max(effects.items(), key=lambda item: item[1])
    assert effect > 0
    assert f"head {head} of layer {layer}, looking most at" in sentence
    strong = strongest_head(answer)
    assert strong is not None
    assert format_rough(float(strong.part.heads[strong.head].weights.max())) in sentence
    assert telling_layer(answer) == layer
    leads = given.layers[-1].best[0][0] == given.token
    assert (lead_layer(answer) is not None) == leads
    assert (", but " in sentence) == (not leads)


def test_nothing_is_said_of_a_head_where_its_effect_is_not_exact(byte_tokenizer: Tokenizer) -> None:
    answer = answer_of(byte_tokenizer, "bert-tiny")
    assert strongest_head(answer) is None
    assert "head" not in describe_pass(answer)
    assert any("Its own vector" in line for line in describe_all(answer)), "heads are shown all the same"


@pytest.mark.parametrize(
    ("design", "changes", "expected"),
    [
        ("gpt2-tiny", {}, "The sum of token and position: 32 numbers."),
        ("llama-tiny", {}, "in attention (RoPE)"),
        ("llama-tiny", {"position": "alibi"}, "in attention (ALiBi)"),
        ("llama-tiny", {"position": "none"}, "Nothing says where it stands."),
        ("llama-tiny", {"max_ngram": 3, "ngram_rows": 64}, "The sum of token and its n-grams"),
        ("bert-tiny", {}, "The sum of token, segment and position, normalised"),
        ("terrarium-tiny", {}, "Each part also mixes in the"),
    ],
)
def test_the_first_vector_is_described_as_the_design_makes_it(
    byte_tokenizer: Tokenizer, design: str, changes: dict[str, object], expected: str
) -> None:
    assert expected in describe_start(answer_of(byte_tokenizer, design, **changes))


def test_long_vectors_are_said_to_be_so_many_times_as_long() -> None:
    assert [format_share_added(x).replace("\N{NO-BREAK SPACE}", " ") for x in (0.384, 1.1, 6.06, 174.01)] == [
        "×0.38",
        "×1.1",
        "×6.1",
        "×174",
    ]
