"""The log of an alignment's replies, rollouts.jsonl: evenly spread steps only, so that it stays small. No torch
import.

A row is {"step", "n_prompts", "prompts": [{"row", "replies": [{"ids", "ended", "reward", "gold"?, "kl", "advantage",
"log_ratio": [of each id], "token_advantages"?, "values"?}, …]}, …]}: `n_prompts` prompts were answered, of which the
first ones are logged; "row" is the dataset's row.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from terrarium.models.files.jsonl import Row, parse_row

ROLLOUTS = "rollouts"
"""The name of the log in the run folder."""
_MOST_STEPS = 100
_MOST_TOKENS = 8_000
"""The maximum number of logged tokens of a step: with 20 bytes a token, at most 16 MB for a whole run."""
_DIGITS = 4
_OF_TOKENS = ("token_advantages", "values")
_STEP = re.compile(rb'\{"step": (\d+),')


@dataclass(frozen=True, kw_only=True)
class KeptReply:
    """A drawn reply.

    gold: whether it fulfils the intended goal, None if unknown. kl: to the parent, in nats, summed over its tokens.
    advantage: the weight of its tokens in the update. log_ratio: of each id, log π/ref in nats: how much likelier the
    model made it than the parent. token_advantages, values: of each id, its advantage and the critic's value; () if
    all tokens have the same advantage and there is no critic.
    """

    ids: tuple[int, ...]
    ended: bool
    reward: float
    gold: bool | None
    kl: float
    advantage: float
    log_ratio: tuple[float, ...]
    token_advantages: tuple[float, ...] = ()
    values: tuple[float, ...] = ()

    def to_row(self) -> Row:
        """Return the JSON-able row."""
        row: Row = {
            "ids": self.ids,
            "ended": self.ended,
            "reward": round(self.reward, _DIGITS),
            "kl": round(self.kl, _DIGITS),
            "advantage": round(self.advantage, _DIGITS),
            "log_ratio": [round(value, _DIGITS) for value in self.log_ratio],
        }
        for name in _OF_TOKENS:
            if of_tokens := getattr(self, name):
                row[name] = [round(value, _DIGITS) for value in of_tokens]
        return row if self.gold is None else row | {"gold": self.gold}


@dataclass(frozen=True, kw_only=True)
class KeptGroup:
    """A row of a prompt dataset, its last user message, and the replies to it."""

    row: Row
    prompt: str
    replies: tuple[KeptReply, ...]


@dataclass(frozen=True, kw_only=True)
class KeptStep:
    """The logged part of a step, in which `n_prompts` prompts were answered."""

    step: int
    n_prompts: int
    groups: tuple[KeptGroup, ...]


def is_kept(step: int, total_steps: int) -> bool:
    """Whether the replies of a step (from 1) are logged: evenly spread steps, the first and the last."""
    return step % math.ceil(total_steps / _MOST_STEPS) == 0 or step in (1, total_steps)


def step_row(step: int, prompts: Sequence[Row], replies: Sequence[Sequence[KeptReply]]) -> Row:
    """Make the row of a step: as many of the first prompts with their replies as fit.

    prompts: rows of their dataset, as many as groups of replies.
    """
    kept: list[Row] = []
    room = _MOST_TOKENS
    for prompt, group in zip(prompts, replies, strict=True):
        room -= sum(len(reply.ids) for reply in group)
        if room < 0 and kept:
            break
        kept.append({"row": prompt, "replies": [reply.to_row() for reply in group]})
    return {"step": step, "n_prompts": len(prompts), "prompts": kept}


class RolloutLog:
    """Reads a growing rollouts.jsonl: lists its steps, and reads any of them."""

    def __init__(self, run_folder: Path) -> None:
        self.path = run_folder / f"{ROLLOUTS}.jsonl"
        self._file, self._end = 0, 0
        self._places: dict[int, tuple[int, int]] = {}

    @property
    def steps(self) -> tuple[int, ...]:
        """The steps found so far, ascending."""
        return tuple(sorted(self._places))

    def find_new(self) -> bool:
        """Look for more steps; returns whether the steps changed. A replaced log is scanned from its beginning."""
        before = self.steps
        try:
            with self.path.open("rb") as file:
                found = os.fstat(file.fileno())
                if found.st_ino != self._file or found.st_size < self._end:
                    self._file, self._end = found.st_ino, 0
                    self._places.clear()
                file.seek(self._end)
                for line in file:
                    if not line.endswith(b"\n"):
                        break  # it is being written
                    known = _STEP.match(line)
                    if known is not None:
                        self._places[int(known[1])] = self._end, len(line)
                    self._end += len(line)
        except OSError:
            self._places.clear()
        return self.steps != before

    def read(self, step: int) -> KeptStep:
        """Read the logged part of a step that was found; ValueError if it is damaged or no longer exists."""
        start, length = self._places[step]
        try:
            with self.path.open("rb") as file:
                file.seek(start)
                row = parse_row(file.read(length))
            if row is not None:
                return _parse(row)
        except OSError as error:
            raise ValueError(f"{self.path} cannot be read: {error.strerror}.") from error
        except (LookupError, TypeError, ValueError):
            pass
        raise ValueError(f"{self.path} is damaged: the replies of step {step:,} cannot be read.")


def _parse(row: Row) -> KeptStep:
    groups = tuple(
        KeptGroup(
            row=group["row"],
            prompt=str(group["row"]["messages"][-1]["content"]),
            replies=tuple(map(_parse_reply, group["replies"])),
        )
        for group in row["prompts"]
    )
    return KeptStep(step=int(row["step"]), n_prompts=int(row["n_prompts"]), groups=groups)


def _parse_reply(row: dict[str, Any]) -> KeptReply:
    ids = tuple(int(id) for id in row["ids"])
    of_tokens = {name: tuple(map(_number, row.get(name) or ())) for name in ("log_ratio", *_OF_TOKENS)}
    if any(len(values) not in (len(ids), 0) for values in of_tokens.values()) or not of_tokens["log_ratio"]:
        raise ValueError("as many numbers as tokens")
    return KeptReply(
        ids=ids,
        ended=bool(row["ended"]),
        reward=_number(row["reward"]),
        gold=row.get("gold"),
        kl=_number(row["kl"]),
        advantage=_number(row["advantage"]),
        **of_tokens,
    )


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)
