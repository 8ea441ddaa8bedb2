"""A model's own critiques: log-odds of “Yes” over “No”, by the rule that is broken most likely; and its revisions."""

from __future__ import annotations

import math

import pytest
import torch
from tokenizers import Tokenizer

from terrarium.models.alignment.critiques import Critic
from terrarium.models.architecture.transformer import Decoder
from terrarium.models.chat.own_template import encode_messages
from terrarium.models.events import result_of
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.tiny_world.constitution import RULES, critique_prompt
from terrarium.models.tokenizers import train_tokenizer
from terrarium.models.tokenizers.special_tokens import add_missing_special_tokens

ASKED = [("Where is Ben?", "Ben is in the barn."), ("What is it?", "A kite."), ("Say it.", "x" * 400)]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    made = train_tokenizer([""], "byte", 0)
    add_missing_special_tokens(made, "decoder-only")
    return made


@pytest.fixture(scope="module")
def critic(tokenizer: Tokenizer) -> Critic:
    torch.manual_seed(0)
    config = ModelConfig(
        vocab_size=tokenizer.get_vocab_size(), context_length=300, n_layer=1, n_head=2, d_model=16, position="rope"
    )
    return Critic(model=Decoder(config), tokenizer=tokenizer, rules=RULES)


def test_log_odds_are_those_of_the_first_letter_by_the_rule_that_is_likeliest_broken(
    critic: Critic,
) -> None:
    found = result_of(critic.critiques(ASKED))
    yes, no = (critic.tokenizer.token_to_id(letter) for letter in "YN")
    for each, (question, reply) in zip(found[:2], ASKED[:2], strict=True):
        odds = {}
        for rule in RULES:
            prompt = critique_prompt(rule, question, reply)
            ids, _ = encode_messages(critic.tokenizer, prompt, add_generation_prompt=True)
            ids += critic.tokenizer.encode(" ").ids  # both replies begin with it
            with torch.inference_mode():
                logs = critic.model(torch.tensor([ids]))[0, -1].log_softmax(-1)
            odds[rule] = float(logs[yes] - logs[no])
        assert each.rule == max(odds, key=lambda rule: odds[rule])
        assert each.log_odds == pytest.approx(odds[each.rule], abs=1e-4)
        assert each.is_broken == (each.log_odds > 0)


def test_what_does_not_fit_the_context_is_neither_judged_nor_revised(critic: Critic) -> None:
    *_, long = result_of(critic.critiques(ASKED))
    assert (long.log_odds, long.is_broken) == (-math.inf, False)
    revised = result_of(critic.revisions(ASKED, [RULES[0]] * 3))
    assert revised[-1] == ""


def test_words_and_revisions_are_the_likeliest_and_in_their_order(critic: Critic) -> None:
    words = result_of(critic.words(ASKED[:2], RULES[:2]))
    alone = [result_of(critic.words([each], [rule]))[0] for each, rule in zip(ASKED[:2], RULES[:2], strict=True)]
    assert words == alone
