"""Pairs for the tests of preferences."""

from __future__ import annotations

from typing import Any

from terrarium.models.preferences.store import Pair, Reply, Thumb


def make_thumb(i: int = 0, *, is_good: bool = True, **changes: Any) -> Thumb:
    """A thumb on a reply to prompt `i`."""
    prompt = ({"role": "user", "content": f"Tell me about number {i}."},)
    reply = Reply(content=f"It is {i}.", run="r1", model="quick start", step=40, seed=1)
    return Thumb(**{"prompt": prompt, "reply": reply, "is_good": is_good, "message": f"m{i}", **changes})


def make_pair(i: int = 0, choice: str = "a", **changes: Any) -> Pair:
    """A pair of replies to prompt `i`."""
    prompt = ({"role": "user", "content": f"Tell me about number {i}."},)
    a = Reply(content=f"It is {i}.", run="r1", model="quick start", step=40, seed=1)
    b = Reply(content="I do not know.", run="r2", model="tuned", step=20, seed=2)
    return Pair(**{"prompt": prompt, "a": a, "b": b, "choice": choice, **changes})
