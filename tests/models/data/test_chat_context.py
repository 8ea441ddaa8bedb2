"""A conversation that outgrows the context loses its oldest messages, never the system message nor the newest."""

import pytest
from tokenizers import Tokenizer

from models.data.chat import encode_messages, encode_newest
from models.tokenizers import SMALLEST, train_tokenizer

SYSTEM = {"role": "system", "content": "Be kind."}
TURNS = [{"role": role, "content": f"{role} {i}"} for i in range(4) for role in ("user", "assistant")]
TURNS.append({"role": "user", "content": "last"})


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_tokenizer((), "byte", SMALLEST)


def test_what_fits_is_kept_whole(tokenizer: Tokenizer) -> None:
    whole, _ = encode_messages(tokenizer, [SYSTEM, *TURNS], add_generation_prompt=True)
    assert encode_newest(tokenizer, [SYSTEM, *TURNS], 1000) == (whole, 0)


@pytest.mark.parametrize("first", [[], [SYSTEM]])
def test_the_oldest_turns_go_first(tokenizer: Tokenizer, first: list[dict[str, str]]) -> None:
    ids, left_out = encode_newest(tokenizer, first + TURNS, 100)
    assert 0 < left_out < len(TURNS)
    assert left_out % 2 == 0
    assert len(ids) <= 75
    assert ids == encode_messages(tokenizer, first + TURNS[left_out:], add_generation_prompt=True)[0]


def test_the_newest_message_always_stays(tokenizer: Tokenizer) -> None:
    ids, left_out = encode_newest(tokenizer, [SYSTEM, *TURNS], 8)
    assert ids == encode_messages(tokenizer, [SYSTEM, TURNS[-1]], add_generation_prompt=True)[0]
    assert left_out == len(TURNS) - 1


def test_bad_messages_are_named(tokenizer: Tokenizer) -> None:
    with pytest.raises(ValueError, match="A message needs a role"):
        encode_newest(tokenizer, [{"content": "x"}], 100)
