"""One prompt asked of every stage: replies, what each made likelier than its parent, and scores of reward models."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot
from tokenizers import Tokenizer

from terrarium.app.lineage import ask_view
from terrarium.app.lineage.asking import StageAsker, StageReplied
from terrarium.app.lineage.lineage_view import LineageView
from terrarium.models.alignment.reward_model import RewardModel
from terrarium.models.alignment.rollouts import reply_end
from terrarium.models.events import Event, TokenMade, result_of
from terrarium.models.files.atomic import atomic_write_json, read_json
from terrarium.models.inference.reply import ReplyStarted
from terrarium.models.inspect.judging import judge
from terrarium.models.interop.loading import load_model
from terrarium.models.library.library import Library
from terrarium.models.tokenizers import train_tokenizer
from tests.app.heard import Until
from tests.stages_on_disk import put_stage

Shown = Callable[[str], LineageView]
Said = tuple[Sequence[int], list[int]]
"""The ids of a prompt, and of the tokens of the reply to it."""
PROMPT = "Say it again."


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ask_view, "_MAX_TOKENS", 6)


@pytest.fixture
def said() -> dict[str, Said]:
    """What each stage has replied, by its name."""
    return {}


def without_end(tokenizer: Tokenizer, said: Said) -> Said:
    """What is compared of a reply: all but a special token at its end."""
    prompt, ids = said
    return prompt, ids[:-1] if ids[-1] in tokenizer.get_added_tokens_decoder() else ids


@pytest.fixture
def ask(lineage: Shown, said: dict[str, Said], until: Until, qtbot: QtBot) -> Callable[..., LineageView]:
    """Asks stages the prompt by the button, and waits for all replies and scores."""
    heard: list[StageAsker] = []

    def hear(events: tuple[Event, ...]) -> None:
        for event in events:
            if isinstance(event, StageReplied) and isinstance(event.event, ReplyStarted):
                said[event.stage] = (event.event.prompt_ids, [])
            elif isinstance(event, StageReplied) and isinstance(event.event, TokenMade):
                said[event.stage][1].append(event.event.id)

    def ask(*stages: str) -> LineageView:
        view = lineage(next(name for name in stages if name not in ("rm", "stranger")))
        view.show_part("ask")
        view.choice.choose(stages)
        view.asked.prompt.setPlainText(PROMPT)
        view.asked.seed.setValue(7)
        said.clear()
        if view.asked.asker not in heard:
            heard.append(view.asked.asker)
            view.asked.asker.events_received.connect(hear)
        qtbot.mouseClick(view.asked.ask_button, Qt.MouseButton.LeftButton)
        until(lambda: not view.asked.busy)
        return view

    return ask


def test_each_reply_is_compared_with_what_the_parent_would_have_said(
    ask: Callable[..., LineageView], said: dict[str, Said], family: Library
) -> None:
    view = ask("base", "sft", "dpo")
    cards = view.asked.cards
    assert list(cards) == ["base", "sft", "dpo"]
    texts = {name: card.text.written for name, card in cards.items()}
    assert len(set(texts.values())) == 3, "other weights say other things with the same seed"
    assert "nothing to compare it with" in cards["base"].verdict.text()
    assert not cards["base"].spans
    for name, parent in (("sft", "base"), ("dpo", "sft")):
        own, tokenizer = load_model(family.runs / name)
        theirs, _ = load_model(family.runs / parent)
        assert tokenizer is not None
        spans = cards[name].spans
        assert spans
        assert f"under {parent}" in cards[name].verdict.text()
        asked, ids = without_end(tokenizer, said[name])
        expected = [judge(model, tokenizer, asked, ids).total for model in (own, theirs)]
        assert sum(span.ours for span in spans) == pytest.approx(expected[0], abs=1e-3)
        assert sum(span.theirs for span in spans) == pytest.approx(expected[1], abs=1e-3)
    again = ask("base", "sft", "dpo")
    assert {name: card.text.written for name, card in again.asked.cards.items()} == texts


def test_the_reward_model_shows_its_score_of_every_reply(
    ask: Callable[..., LineageView], said: dict[str, Said], family: Library
) -> None:
    view = ask("sft", "ppo", "rm")
    bars = view.asked.score_cards["rm"].bars.bars
    assert {bar.name for bar in bars} == {"sft", "ppo"}
    assert [bar.share for bar in bars] == [1.0, 0.0], "the highest first"
    for bar in bars:
        assert view.asked.cards[bar.name].scores.text() == f"rm {bar.text}"
    model, tokenizer = load_model(family.runs / "rm")
    assert tokenizer is not None
    for name, card in view.asked.cards.items():
        end = [] if "cut off" in card.verdict.text() else [reply_end(tokenizer)]
        asked, ids = without_end(tokenizer, said[name])
        [score] = result_of(RewardModel(model=model).scores([[*asked, *ids, *end]]))
        shown = next(bar.text for bar in bars if bar.name == name).replace("\u2212", "-")
        assert float(shown) == pytest.approx(score, abs=6e-3)


def test_the_weights_of_a_deleted_parent_are_kept(ask: Callable[..., LineageView], family: Library) -> None:
    before = ask("dpo", "ppo").asked.cards["ppo"].spans
    shutil.rmtree(family.runs / "sft")
    view = ask("ppo", "dpo")
    assert view.asked.cards["ppo"].spans == before


def test_a_fork_is_compared_with_the_run_that_it_continues(
    ask: Callable[..., LineageView], said: dict[str, Said], family: Library
) -> None:
    make_fork(family, "dpo", of="ppo")  # what it keeps are the weights that DPO started from
    spans = ask("dpo").asked.cards["dpo"].spans
    own, parent, start = (load_model(family.runs / name)[0] for name in ("dpo", "ppo", "sft"))
    _, tokenizer = load_model(family.runs / "dpo")
    assert tokenizer is not None
    asked, ids = without_end(tokenizer, said["dpo"])
    of_own, parent_curves, of_start = (judge(model, tokenizer, asked, ids).total for model in (own, parent, start))
    assert sum(span.ours for span in spans) == pytest.approx(of_own, abs=1e-3)
    assert sum(span.theirs for span in spans) == pytest.approx(parent_curves, abs=1e-3)
    assert parent_curves != pytest.approx(of_start, abs=1e-2)


def make_fork(library: Library, name: str, of: str) -> None:
    """Let a run be a fork of another one."""
    record = read_json(library.runs / name / "run.json")
    record["lineage"]["parent"] = {"run": of, "name": of, "step": 40}
    atomic_write_json(library.runs / name / "run.json", record)


def test_a_fork_whose_parent_is_gone_says_so(ask: Callable[..., LineageView], family: Library) -> None:
    put_stage(family, "fork")
    make_fork(family, "fork", of="nobody")
    view = ask("fork")
    card = view.asked.cards["fork"]
    assert card.text.written
    assert not card.spans
    assert "Its parent is no longer in the library, so what became likelier is unknown." in card.verdict.text()


def test_a_stage_that_cannot_reply_says_why_and_the_others_reply(
    ask: Callable[..., LineageView], lineage: Shown, family: Library
) -> None:
    lineage("dpo")
    (family.runs / "sft" / "checkpoints" / "step-00000040" / "model.safetensors").write_bytes(b"broken")
    view = ask("dpo", "sft", "rm")
    assert "model.safetensors" in view.asked.cards["sft"].hint.text()
    assert view.asked.cards["dpo"].text.written
    assert [bar.name for bar in view.asked.score_cards["rm"].bars.bars] == ["dpo"]


def test_a_reward_model_of_another_tokenizer_scores_nothing(ask: Callable[..., LineageView], family: Library) -> None:
    words = ["many words are said here, and many more are said there"] * 9
    put_stage(family, "stranger", "sft", "reward", tokenizer=train_tokenizer(words, "bpe", 300), created="2026-02-01")
    view = ask("sft", "dpo", "rm", "stranger")
    assert "has another tokenizer" in view.asked.score_cards["stranger"].hint.text()
    assert view.asked.score_cards["rm"].bars.bars


def test_an_empty_prompt_is_refused_in_a_sentence(lineage: Shown) -> None:
    view = lineage("ppo")
    view.show_part("ask")
    view.asked.prompt.setPlainText("  ")
    view.asked.ask()
    assert view.asked.status.text().startswith("The prompt is empty")
    assert not view.asked.busy
    view.choice.choose(())
    view.asked.prompt.setPlainText("Say")
    view.asked.ask()
    assert view.asked.status.text().startswith("No stage is chosen")
