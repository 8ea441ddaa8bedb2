"""`terrarium align compare`: stages reply, are judged, and what they replied is kept."""

from __future__ import annotations

import json
import shutil
from typing import Any

import pytest

from terrarium.app.cli import main
from terrarium.models.events import Phase, result_of
from terrarium.models.library.library import Library
from terrarium.models.recipes.demonstrations import comparison
from terrarium.models.recipes.demonstrations.comparison import compare_stages
from terrarium.models.tiny_world import wishes
from terrarium.models.tokenizers import train_tokenizer
from tests.models.interop.support import drive
from tests.stages_on_disk import put_family, put_stage


@pytest.fixture(autouse=True)
def little(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wishes, "SIZES", {"train": 4, "val": 3, "test": 6})
    monkeypatch.setattr(comparison, "MAX_REPLY_TOKENS", 4)


@pytest.fixture
def family(library: Library) -> Library:
    put_family(library)
    return library


def compare(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    assert main(["align", "compare", *words, "--device", "cpu", "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_every_stage_meets_every_other_one(family: Library, capsys: pytest.CaptureFixture[str]) -> None:
    found = compare(capsys, "sft", "dpo", "ppo@40", "--reward", "rm", "--wish", "mentions", "--n", "4")
    assert [(stage["run"], stage["step"]) for stage in found["stages"]] == [("sft", 40), ("dpo", 40), ("ppo", 40)]
    assert (found["wish"], found["n"], found["world_seed"], found["reward_model"]) == ("mentions", 4, 0, "rm")
    for judge in ("gold", "proxy"):
        grid = found["judges"][judge]
        for i in range(3):
            assert grid[i][i] is None
            for j in range(3):
                if i != j:
                    ours, theirs = grid[i][j], grid[j][i]
                    assert ours["won"] + ours["tied"] + ours["lost"] == ours["n"] == 4
                    assert (ours["won"], ours["tied"], ours["lost"]) == (theirs["lost"], theirs["tied"], theirs["won"])
                    assert ours["win_rate"] == pytest.approx(1 - theirs["win_rate"])
    assert any(cell["won"] for row in found["judges"]["proxy"] for cell in row if cell is not None)
    assert found["judges"]["you"] == [[None] * 3] * 3


def test_what_was_replied_is_not_drawn_again(family: Library) -> None:
    def measured(*stages: str, **more: Any) -> tuple[list[str], dict[str, Any]]:
        seen, found = drive(compare_stages(family, stages, "happy", n=3, device="cpu", **more))
        return [event.name for event in seen if isinstance(event, Phase)], found.to_dict() | {"seconds": 0}

    first = measured("sft", "dpo", reward_model="rm")
    assert first[0] == ["Preparing the prompts", "sft is replying", "dpo is replying", "rm is scoring the replies"]
    again = measured("sft", "dpo", reward_model="rm")
    assert again == (["Preparing the prompts"], first[1])
    more = measured("dpo", "kto", "sft", reward_model="rm")
    assert more[0] == ["Preparing the prompts", "kto is replying", "rm is scoring the replies"]
    assert more[1]["judges"]["proxy"][2][0] == first[1]["judges"]["proxy"][0][1]


def test_a_comparison_that_is_stopped_keeps_what_was_replied(family: Library) -> None:
    work = compare_stages(family, ["sft", "dpo", "kto"], "happy", n=3, device="cpu")
    for event in work:
        if isinstance(event, Phase) and event.name == "kto is replying":
            break
    work.close()
    kept = {path.parent.parent.name for path in family.runs.glob("*/replies/*.json")}
    assert kept == {"sft", "dpo"}
    assert not list(family.runs.glob("*/replies/.*")), "nothing is half written"


@pytest.mark.parametrize(
    ("stages", "options", "sentence"),
    [
        (["sft", "gone"], {}, "There is no run called 'gone'"),
        (["sft", "rm"], {}, "'rm' cannot reply, since it is a reward model"),
        (["sft"], {}, "name two at least"),
        (["sft", "sft@40"], {}, "'sft' is named twice"),
        (["sft", "dpo@7"], {}, "'dpo' has no checkpoint of step 7"),
        (["sft", "dpo"], {"reward_model": "kto"}, "'kto' is no reward model"),
        (["sft", "dpo"], {"n": 513}, "513 prompts cannot be asked"),
        (["sft", "dpo"], {"wish": "gold"}, "There is no wish 'gold'"),
        (["sft", "foreign"], {"reward_model": "rm"}, "foreign: The reward model 'rm' has another tokenizer"),
    ],
)
def test_bad_input_is_refused_in_a_sentence(
    family: Library, stages: list[str], options: dict[str, Any], sentence: str
) -> None:
    if "foreign" in stages:
        words = ["many words are said here, and many more are said there"] * 9
        put_stage(family, "foreign", tokenizer=train_tokenizer(words, "bpe", 300))
    asked: dict[str, Any] = {"wish": "happy", "n": 3, "device": "cpu"} | options
    with pytest.raises(ValueError, match=sentence):
        result_of(compare_stages(family, stages, **asked))
    assert not list(family.runs.glob("*/replies")), "nothing was drawn"


def test_a_deleted_parent_and_another_tokenizer_do_not_matter_to_the_judge_of_the_wish(family: Library) -> None:
    words = ["many words are said here, and many more are said there"] * 9
    put_stage(family, "foreign", tokenizer=train_tokenizer(words, "bpe", 300))
    shutil.rmtree(family.runs / "sft")
    found = result_of(compare_stages(family, ["dpo", "foreign"], "happy", n=3, device="cpu"))
    assert sum(own is not None for own in found.texts) == 2


def test_words_say_who_wins(family: Library, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["align", "compare", "sft", "dpo", "--reward", "rm", "--n", "3", "--device", "cpu"]) == 0
    words = capsys.readouterr().out
    for part in (
        "1 sft, step 40",
        "By the judge of the wish (gold)",
        "By the reward model rm (proxy)",
        "Judge replies",
    ):
        assert part in words
    assert main(["align", "compare", "sft", "--n", "3"]) == 1
    assert main(["align", "compare", "sft", "dpo", "--n", "0"]) == 2
