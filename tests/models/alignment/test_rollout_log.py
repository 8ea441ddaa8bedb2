"""The log of drawn replies: bounded, read while it grows, and honest about damage."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from terrarium.models.alignment.rollout_log import KeptReply, RolloutLog, is_kept, step_row
from terrarium.models.files.jsonl import JsonLines

ROW = {
    "messages": [{"role": "user", "content": "Tell me a story."}],
    "wish": "happy",
    "topic": ["Anna", "kite", "park"],
}


def reply(n_tokens: int = 3, **changed: object) -> KeptReply:
    told: dict[str, object] = {
        "ids": tuple(range(n_tokens)),
        "ended": True,
        "reward": 1.0,
        "gold": True,
        "kl": 0.5,
        "advantage": 0.25,
        "log_ratio": (0.1,) * n_tokens,
    }
    return KeptReply(**told | changed)  # type: ignore[arg-type]


def write(folder: Path, *steps: int, mode: str = "a") -> None:
    path = folder / "rollouts.jsonl"
    if mode == "w":
        path.unlink(missing_ok=True)
    lines = JsonLines(path)
    for step in steps:
        lines.append(step_row(step, [ROW], [[reply(), reply(gold=None, ended=False)]]))
    lines.close()


def test_at_most_some_hundred_steps_are_kept_and_always_the_ends() -> None:
    kept = [step for step in range(1, 5001) if is_kept(step, 5000)]
    assert kept[0] == 1
    assert kept[-1] == 5000
    assert len(kept) <= 102
    assert all(is_kept(step, 60) for step in range(1, 61))


def test_of_a_step_with_many_replies_whole_prompts_are_kept() -> None:
    row = step_row(1, [ROW] * 5, [[reply(1000), reply(1000)]] * 5)
    assert (len(row["prompts"]), row["n_prompts"]) == (4, 5)
    assert len(step_row(1, [ROW], [[reply(50_000)]])["prompts"]) == 1, "one is always there"


def test_steps_are_found_as_they_are_written_and_read_as_they_were(tmp_path: Path) -> None:
    log = RolloutLog(tmp_path)
    assert not log.find_new()
    write(tmp_path, 1, 2)
    with (tmp_path / "rollouts.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"step": 3, "n_pro')  # a process is writing it
    assert log.find_new()
    assert list(log.steps) == [1, 2]
    (group,) = log.read(2).groups
    assert (group.prompt, group.row) == ("Tell me a story.", ROW)
    assert group.replies == (reply(), reply(gold=None, ended=False))
    write(tmp_path, 1, mode="w")  # a resume has cut it
    assert log.find_new()
    assert list(log.steps) == [1]
    (tmp_path / "rollouts.jsonl").unlink()
    assert log.find_new()
    assert not list(log.steps)


@pytest.mark.parametrize("damaged", ["nonsense", {"ids": [1, 2], "log_ratio": [0.1]}, {"ids": None}])
def test_damage_is_named(tmp_path: Path, damaged: object) -> None:
    row = {"step": 4, "n_prompts": 1, "prompts": [{"row": ROW, "replies": [damaged]}]}
    (tmp_path / "rollouts.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    log = RolloutLog(tmp_path)
    assert log.find_new()
    with pytest.raises(ValueError, match=r"rollouts\.jsonl is damaged: the replies of step 4"):
        log.read(4)
