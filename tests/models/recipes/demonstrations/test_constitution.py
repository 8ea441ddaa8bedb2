"""The demonstration “by its own rules”: stages, rounds and guards, and the command, in as few steps as can be."""

from __future__ import annotations

import json
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import pytest

from terrarium.app.cli import main
from terrarium.app.commands.align import describe_constitution
from terrarium.models.alignment.critiques import Critic, Critique
from terrarium.models.corpora.corpus import open_run_corpus
from terrarium.models.events import Event, Progress, result_of
from terrarium.models.library.library import Library
from terrarium.models.recipes.demonstrations import constitution as recipe
from terrarium.models.recipes.demonstrations import refuse
from terrarium.models.recipes.demonstrations.constitution import distinct_2, is_whole_revision
from terrarium.models.recipes.demonstrations.results import ConstitutionResult, CriticFigures, Health
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.tiny_world.constitution import RULES
from terrarium.models.tokenizers import train_tokenizer
from tests.app.small_models import put_model
from tests.models.recipes.demonstrations.support import constitution_result, make_little_refusals, stages_of


@pytest.fixture(autouse=True)
def little(monkeypatch: pytest.MonkeyPatch) -> None:
    make_little_refusals(monkeypatch)
    monkeypatch.setattr(recipe, "LESSONS", refuse.LESSONS)
    monkeypatch.setattr(recipe, "STEPS", dict.fromkeys(recipe.STEPS, 1))
    monkeypatch.setattr(recipe, "N_TAUGHT", 8)
    monkeypatch.setattr(recipe, "N_ASKED", {"forbidden": 12, "look-alike": 6})
    monkeypatch.setattr(recipe, "N_OLD", 2)
    monkeypatch.setattr(recipe, "_N_HEALTH", 4)
    monkeypatch.setattr(recipe, "MAX_REPLY_TOKENS", 40)
    # Random letters may be no text at all.
    monkeypatch.setattr(Critic, "_say", _say)
    monkeypatch.setattr(recipe, "generate_in_batches", _replies)
    monkeypatch.setattr(Critic, "critiques", _critiques)


def _replies(model: object, prompts: Sequence[Any], *_: object) -> Generator[Event, None, list[list[int]]]:
    yield Progress(done=0, total=1)
    return [[70, 71, 72]] * len(prompts)


def _critiques(self: Critic, asked: Sequence[tuple[str, str]]) -> Generator[Event, None, list[Critique]]:
    """Every second reply is bad, and no revision."""
    yield Progress(done=0, total=1)
    bad = [i % 2 == 0 and reply != "I keep it." for i, (_, reply) in enumerate(asked)]
    return [Critique(rule=self.rules[0], log_odds=2.0 if each else -2.0) for each in bad]


def _say(self: Critic, prompts: Sequence[Any]) -> Generator[Event, None, list[str]]:
    yield Progress(done=0, total=1)
    return ["I keep it."] * len(prompts)


@pytest.fixture
def base(library: Library) -> str:
    return put_model(library, train_tokenizer([""], "byte", 0), "decoder-only", context_length=500)


def test_each_stage_is_a_run_and_what_it_learned_says_why(
    library: Library, base: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    rules = tmp_path / "rules.txt"
    rules.write_text("Keep every secret.\nNever be mean.\n")
    words = ["align", "constitution", "--base", base, "--n", "3", "--device", "cpu", "--json", "--rules", str(rules)]
    assert main(words) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["name"], found["rules"]) == ("constitution", ["Keep every secret.", "Never be mean."])
    assert list(found["stages"])[:4] == ["helpful", "critic", "revised", "preferred"]
    runs = [RunFolder.open(library.find_run(stage["run"])) for stage in found["stages"].values()]
    assert [run.lineage["parent"]["run"] for run in runs] == [base, *(run.id for run in runs[:-1])]
    for row in open_run_corpus(library, runs[2]).rows("train"):
        if row["cell"] == "ordinary":
            continue
        is_bad = row["critique"]["log_odds"] > 0
        assert row["critique"]["rule"] in found["rules"]
        assert row["messages"][-1] == {"role": "assistant", "content": row["revision" if is_bad else "reply"]}
    for row in open_run_corpus(library, runs[3]).rows("train"):
        assert row["source"] == "critique"
    assert 0 <= found["critic"]["accuracy"] <= 1
    assert found["cards"][0].keys() >= {"messages", "reply", "critique", "revision"}
    assert found["final"] == "critic", "a model of random letters does not end its replies: it has collapsed"
    assert [each["is_kept"] for each in found["rounds"]] == [False]


def test_rules_about_nothing_here_are_refused(
    library: Library, base: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    rules = tmp_path / "rules.txt"
    rules.write_text("Never sing.\n")
    assert main(["align", "constitution", "--base", base, "--rules", str(rules)]) == 1
    assert "“Never sing.” is about none of these" in capsys.readouterr().err
    assert main(["align", "constitution", "--base", base, "--rules", str(tmp_path / "none.txt")]) == 1
    assert "none.txt cannot be read" in capsys.readouterr().err


def test_where_nothing_can_be_learned_from_a_sentence_says_so(
    library: Library, base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unsure(self: Critic, asked: Sequence[tuple[str, str]]) -> Generator[Event, None, list[Critique]]:
        yield Progress(done=0, total=1)
        return [Critique(rule=self.rules[0], log_odds=0.5) for _ in asked]

    monkeypatch.setattr(Critic, "critiques", unsure)
    with pytest.raises(ValueError, match=r"Of \d\d replies hardly any can be learned from"):
        result_of(recipe.constitution(stages_of(library), base, n_each=3))
    assert len(library.list_runs()) == 3, "old rows alone are not learned from: it ends with the critic"


def test_collapse_is_fewer_pairs_of_words_or_fewer_ends() -> None:
    start = Health(distinct_2=0.5, ended=1.0)
    assert not Health(distinct_2=0.4, ended=0.95).has_collapsed(start)
    assert Health(distinct_2=0.39, ended=1.0).has_collapsed(start)
    assert Health(distinct_2=0.5, ended=0.94).has_collapsed(start)
    assert distinct_2(["a b a b", "a"]) == pytest.approx(2 / 3)
    assert distinct_2([]) == 0


@pytest.mark.parametrize("revision", ["", "To.", "No.", "Yes, it tells Anna's secret.", "No, I do not."])
def test_what_is_no_revision_is_not_learned_from(revision: str) -> None:
    assert not is_whole_revision(revision)
    assert is_whole_revision("I keep it.")


def test_right_critiques_are_counted_in_both_directions() -> None:
    figures = CriticFigures(n=100, n_broken=40, n_found=38, n_false=3)
    assert figures.accuracy == pytest.approx(0.95)
    assert figures.false_alarms == pytest.approx(0.05)


def test_bars_are_those_of_the_design() -> None:
    assert all(bar.is_met for bar in constitution_result(15, 10, 97, Health(distinct_2=0.41, ended=0.96)).bars)
    assert not any(bar.is_met for bar in constitution_result(16, 11, 90, Health(distinct_2=0.3, ended=0.9)).bars)


def test_what_no_rule_forbids_is_harmless() -> None:
    told, harmless, *_ = constitution_result(40, 10, 97, Health(distinct_2=0.5, ended=1.0), rules=RULES[:1]).bars
    assert told.value == pytest.approx(0.40)
    assert harmless.value == pytest.approx((10 + 60 + 60) / 300)


def test_a_result_is_read_as_it_was_written() -> None:
    found = json.loads(json.dumps(constitution_result(9, 2, 98, Health(distinct_2=0.5, ended=1.0)).to_dict()))
    assert json.loads(json.dumps(ConstitutionResult.from_dict(found).to_dict())) == found


def test_words_say_what_came_of_it() -> None:
    words = describe_constitution(constitution_result(9, 2, 98, Health(distinct_2=0.5, ended=1.0))).replace(
        "\u00a0", " "
    )
    for part in (
        RULES[0],
        "Its critiques of 240 replies: 99 % right, 2 % of the harmless ones called bad.",
        "Round 1: 390 of 1,400 replies called bad and revised, 700 pairs.",
        "Critique:  Yes, it tells where Anna is hiding. (log-odds 4.25)",
        "met   Forbidden told: 9 %",
        "a toy world",
    ):
        assert part in words
