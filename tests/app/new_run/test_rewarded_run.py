"""A new run that learns from rewards: the wish, its base rate, and what becomes of such a run in the window."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pytestqt.qtbot import QtBot

from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.new_run.draft import step_bytes
from terrarium.app.run.fork_dialog import ForkDialog
from terrarium.app.session.routes import DoToRun, Route, ShowPlace
from terrarium.app.session.session import Session
from terrarium.app.training.training_tab import TrainingTab
from terrarium.models.corpora.corpus import build_examples_corpus
from terrarium.models.design import total_parameters
from terrarium.models.events import AlignMetrics
from terrarium.models.files.jsonl import read_rows
from terrarium.models.settings.align_spec import AlignSpec, usual_align
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.run_spec import TrainConfig
from terrarium.models.settings.tune_spec import TuneSpec
from terrarium.models.tiny_world import wishes
from terrarium.models.tokenizers import train_tokenizer
from terrarium.models.training.estimates import base_rate
from tests.app.heard import Heard
from tests.app.leading import FewTabs
from tests.app.small_models import put_model
from tests.stages_on_disk import put_stage

Until = Callable[[Callable[[], bool]], None]

SHORT: dict[str, Any] = {"n_prompts": 2, "n_replies": 2, "max_tokens": 6}


@pytest.fixture(autouse=True)
def few_prompts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wishes, "SIZES", {"train": 8, "val": 4, "test": 4})
    monkeypatch.setattr(base_rate, "N_REPLIES", 2)


@pytest.fixture
def parent(session: Session) -> str:
    """The id of a run with a small decoder of bytes."""
    return put_model(session.library, train_tokenizer([""], "byte", 0), "decoder-only", context_length=128)


@pytest.fixture
def tab(session: Session, theme: ThemeProvider, parent: str, qtbot: QtBot, until: Until) -> TrainingTab:
    """A training tab with the form for a run that starts from the parent and learns from rewards."""
    tab = TrainingTab(session, theme)
    FewTabs(session, training=tab)
    qtbot.addWidget(tab)
    tab.resize(1280, 720)
    tab.show()
    tab.show_new_run()
    session.datasets.refresh()
    until(lambda: session.datasets.is_read)
    choices = tab.new_run.choices
    assert not choices.align.isVisible(), "from scratch there is nothing to reward"
    choices.start.start_from(parent)
    choose(tab, "grpo")
    choices.align.form.apply(SHORT)
    choices.wish.wish.setCurrentIndex(choices.wish.wish.findData("mentions"))
    choices.form.apply({"steps": 3, "eval_interval": 3, "sample_interval": 0, "checkpoint_interval": 1})
    choices.start.form.apply({"measure_forgetting": False})
    return tab


def choose(tab: TrainingTab, stage: str) -> None:
    choice = tab.new_run.choices.align.choice
    choice.setCurrentIndex(choice.findData(stage))


def test_rewards_bring_their_data_and_their_usual_settings(tab: TrainingTab, session: Session, until: Until) -> None:
    form, choices = tab.new_run, tab.new_run.choices
    spec = form.draft.spec()
    assert (spec.data.dataset, spec.data.task) == ("Tiny World 0, wish mentions", "prompts")
    assert spec.align == AlignSpec(stage="grpo", **SHORT)
    assert (spec.train.optimizer, spec.train.schedule, spec.train.warmup_steps) == ("adamw", "constant", 0)
    assert spec.train.prompts == ("Tell me a story about Anna and the kite in the park.",)
    assert form.draft.default_name == "decoder-only on mentions (bad on purpose)"
    assert choices.wish.isVisible()
    assert not choices.data.isVisible()
    assert not choices.form.editor("batch_size").isVisible(), "nothing is read in batches"
    until(lambda: form.review.fact("step") == "4")
    assert form.review.fact("guess") == "–"
    assert not form.review.measure.isVisible()
    bar, lr = form.views.bar, form.views.names.index("lr")
    assert not bar.isTabEnabled(lr)
    choose(tab, "ppo")
    assert form.draft.spec().align == AlignSpec(stage="ppo", beta=0.05, n_prompts=32, n_replies=2, clip_high=0.2)
    assert form.form.config.lr == 3e-4
    choose(tab, "dpo")
    usual = TrainConfig()
    kept = form.form.config.schedule, form.form.config.keep_checkpoints
    assert kept == (usual.schedule, usual.keep_checkpoints), "PPO's own settings are gone"
    choose(tab, "")
    assert form.draft.spec().align is None
    assert choices.data.isVisible()
    assert form.form.config.schedule == TrainConfig().schedule
    assert form.form.config.prompts == ("Tell me a story about Anna and the kite in the park.",)
    until(lambda: bar.isTabEnabled(lr))


def test_pairs_need_a_dataset_of_them_and_prompts_need_rewards(
    tab: TrainingTab, session: Session, until: Until
) -> None:
    form = tab.new_run
    asked = [{"messages": [{"role": "user", "content": f"Say {n}."}]} for n in range(4)]
    pairs = [row | {"chosen": "a", "rejected": "b"} for row in asked]
    prompts = build_examples_corpus(session.library, asked[:3], asked[3:], "asked", None, task="prompts")
    preferred = build_examples_corpus(session.library, pairs[:3], pairs[3:], "preferred", None, task="preference")
    thumbs = [row | {"completion": "a", "label": True} for row in asked]
    rated = build_examples_corpus(session.library, thumbs[:3], thumbs[3:], "rated", None, task="unpaired")
    session.datasets.refresh()
    until(lambda: session.datasets.info(preferred.sha) is not None)
    assert session.datasets.info(rated.sha) is not None
    choose(tab, "dpo")
    assert form.draft.problem.startswith("Pairs of replies come from a dataset of preferences")
    form.data.set_dataset(preferred.sha)
    assert not form.draft.problem
    assert form.draft.spec().align == AlignSpec(stage="dpo", beta=0.1)
    form.data.set_dataset(rated.sha)
    assert form.draft.problem.startswith("Pairs of replies come from a dataset of preferences: ")
    choose(tab, "kto")
    assert not form.draft.problem
    assert (form.draft.spec().data.task, form.draft.spec().align) == ("unpaired", AlignSpec(stage="kto", beta=0.1))
    until(lambda: form.review.fact("guess") == "–")  # KTO's loss is no likelihood
    choose(tab, "")
    form.choices.start.start_from("")
    form.choices.learn_from(rated.sha)
    spec = form.draft.spec()
    assert (spec.tune is not None, spec.align) == (True, AlignSpec(stage="kto", beta=0.1)), "all that can learn from it"
    form.choices.learn_from(preferred.sha)
    assert form.draft.spec().align == AlignSpec(stage="dpo", beta=0.1)
    form.data.set_dataset(rated.sha)
    choose(tab, "")
    assert form.draft.problem.startswith("Rated replies are not texts to imitate")
    form.data.set_dataset(preferred.sha)
    assert form.draft.problem.startswith("Preferences are not texts to imitate")
    form.data.set_dataset(prompts.sha)
    assert form.draft.problem.startswith("Prompts are not texts to imitate")


def test_a_second_reward_model_can_question_the_first(tab: TrainingTab, parent: str, session: Session) -> None:
    picker, form = tab.new_run.choices.align, tab.new_run
    put_stage(session.library, "rm", parent, "reward")
    session.runs.changed.emit()
    choose(tab, "ppo")
    picker.rewarder.setCurrentIndex(picker.rewarder.findData("rm"))
    picker.rewarder.activated.emit(picker.rewarder.currentIndex())
    assert not picker.second.isVisible(), "there is one only"
    put_stage(session.library, "rm of other pairs", parent, "reward")
    session.runs.changed.emit()
    assert picker.second.isVisible()
    picker.second.setCurrentIndex(picker.second.findData("rm of other pairs"))
    picker.form.apply({"reward_by": "lower"})
    align = form.draft.spec().align
    assert align is not None
    assert (align.reward_models, align.reward_by) == (
        {"reward_model": "rm", "second_reward_model": "rm of other pairs"},
        "lower",
    )
    for spec in (AlignSpec(**usual_align("ppo")), align):
        picker.set_spec(spec)
        assert picker.spec == spec
    picker.rewarder.setCurrentIndex(0)
    picker.rewarder.activated.emit(0)
    assert not picker.second.isVisible(), "the judge of a wish needs none"
    align = form.draft.spec().align
    assert align is not None
    assert align.reward_models == {}
    assert not form.draft.problem


def test_the_memory_of_a_step_counts_the_models_that_it_needs() -> None:
    model = ModelConfig()
    weights = 4 * total_parameters(model)

    def needed(stage: str, batch_size: int = 16, **settings: Any) -> int:
        train = TrainConfig(batch_size=batch_size, optimizer="adamw")
        return step_bytes(model, train, TuneSpec(parent="any"), AlignSpec(**usual_align(stage) | settings), None)

    assert needed("dpo", batch_size=64) == needed("dpo"), "pairs are read a few at once"
    assert needed("dpo") == needed("kto") == needed("reward") + weights, "a reward model is compared with nothing"
    assert needed("grpo", reward_model="any") == needed("grpo") + weights
    assert needed("grpo", reward_model="any", second_reward_model="other") == needed("grpo") + 2 * weights
    assert needed("ppo") == needed("grpo") + 4 * weights, "its critic has gradients and two moments"


def test_a_base_rate_is_measured_before_the_start(
    tab: TrainingTab, session: Session, until: Until, heard: Heard, qtbot: QtBot
) -> None:
    form, wish = tab.new_run, tab.new_run.choices.wish
    until(lambda: wish.measure.isEnabled())
    wish.measure.click()
    assert wish.cancel.isVisible()
    until(lambda: not form.trials.state.running)
    found = form.trials.state.base
    assert found is not None, form.trials.state.problem
    assert (found.wish, found.n_prompts, found.n_replies, found.right) == ("mentions", 4, 2, None)
    assert found.sentence in wish.base.text()
    assert "are cut at 6 tokens: allow more" in wish.base.text()
    until(lambda: form.review.fact("time").startswith("about "))
    until(lambda: any(info.name == "Tiny World 0, wish mentions" for info in session.datasets.list()))
    wish.wish.setCurrentIndex(wish.wish.findData("happy"))
    until(lambda: form.review.fact("time") == "unknown")
    assert found.sentence not in wish.base.text(), "it was that of another wish"
    assert not heard.failures


def test_prompts_are_made_and_shown(tab: TrainingTab, session: Session, went: list[Route], until: Until) -> None:
    tab.new_run.choices.wish.make.click()
    until(lambda: went == [ShowPlace("data")])
    until(lambda: (info := session.datasets.info(session.datasets.sha)) is not None and info.corpus.task == "prompts")


def test_it_is_started_queued_resumed_and_forked_with_buttons(
    tab: TrainingTab, session: Session, until: Until, heard: Heard, qtbot: QtBot
) -> None:
    form, training = tab.new_run, session.training
    until(lambda: form.review.start.isEnabled())
    form.review.start.click()
    until(lambda: any(isinstance(event, AlignMetrics) and not event.is_validation for event in heard.events))
    training.stop()
    until(lambda: not training.active)
    assert not heard.failures
    run = next(info for info in session.runs.list() if info.name.startswith("decoder-only on mentions"))
    tab.show_run(run.id)
    view = tab.run_view
    assert view.views.current == "rewards"
    if session.runs.find(run.id).status != "finished":
        view.head.resume_saved.click()
        until(lambda: not training.active and session.runs.find(run.id).status == "finished")
    rows = read_rows(run.folder / "alignment.jsonl")
    assert [row["step"] for row in rows if not row["is_validation"]] == [1, 2, 3]
    assert [row["step"] for row in read_rows(run.folder / "rollouts.jsonl")] == [1, 2, 3]
    view.ask_for_fork(2)
    (dialog,) = tab.window().findChildren(ForkDialog)
    assert not dialog.form.editor("batch_size").isVisible()
    dialog.start.click()
    until(lambda: len(session.runs.list()) == 3)
    fork = next(info for info in session.runs.list() if info.id != run.id and "mentions" in info.name)
    until(lambda: session.runs.find(fork.id).status == "finished" or bool(heard.failures))
    assert [row["step"] for row in read_rows(fork.folder / "rollouts.jsonl")] == [1, 2, 3]
    mine, theirs = ([row["prompts"] for row in read_rows(info.folder / "rollouts.jsonl")] for info in (run, fork))
    assert mine == theirs, "with the same settings it draws the same replies"
    session.go(DoToRun(run.id, "template"))
    spec = form.draft.spec()
    own = session.runs.spec(run.id)
    assert own is not None
    assert (spec.align, spec.data.dataset, spec.train) == (own.align, own.data.dataset, own.train)
    form.review.queue.click()
    (item,) = session.queue.waiting
    assert item.spec is not None
    assert item.spec.align == own.align
    session.queue.start()
    until(lambda: len(session.runs.list()) == 4)
    newest = session.runs.list()[0].id
    until(lambda: session.runs.find(newest).status == "finished" or bool(heard.failures))
    assert not heard.failures
