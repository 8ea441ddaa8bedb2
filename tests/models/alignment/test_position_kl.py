"""Where KL lies: means by position, and how much of it is at the beginning."""

from __future__ import annotations

import pytest

from terrarium.models.alignment.position_kl import PositionKl, ReadReply, about_depth


def reply(*kl: float) -> ReadReply:
    return ReadReply(prompt="Hi", ids=tuple(range(len(kl))), ended=True, kl=kl, log_ratio=(0.0,) * len(kl))


def test_means_count_the_replies_that_are_so_long() -> None:
    measured = PositionKl(step=1, replies=(reply(1.0, 2.0), reply(3.0, 4.0, 5.0)))
    assert measured.by_position == ([2.0, 3.0, 5.0], [2, 2, 1])
    assert measured.per_reply == 7.5
    assert measured.mean_length == 2.5
    assert measured.share_of_first(2) == pytest.approx(10 / 15)


def test_what_is_shallow_is_said() -> None:
    deep = PositionKl(step=1, replies=(reply(*[0.1] * 20),))
    assert about_depth(deep) == (
        "25 % of its KL to the parent lies in the first 5 tokens of a reply, which are 25 % of the tokens."
    )
    assert "is shallow" in about_depth(PositionKl(step=1, replies=(reply(*[1.0] * 5, *[0.01] * 30),)))
    assert about_depth(PositionKl(step=1, replies=(reply(0.0, 0.0),))) == "It says what its parent says."
