"""The monitor of a run that learns from rewards, and the browser of its replies, in the training tab."""

from __future__ import annotations

import json
import math

import pytest
from PySide6.QtCore import QPointF, Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.plots.chart import Chart
from terrarium.app.run.run_view import RunView
from terrarium.app.run_views.curves.curves_view import CurvesView
from terrarium.app.run_views.curves.run_axis import RunAxis
from terrarium.app.run_views.rewards.figure_chart import FigureChart, FigureMark, Series, plan_charts
from terrarium.app.run_views.rewards.replies import RepliesView
from terrarium.app.run_views.rewards.reply_list import about_group, about_reply
from terrarium.app.run_views.rewards.reply_tokens import shade_of
from terrarium.app.run_views.rewards.rewards_view import RewardsView
from terrarium.app.run_views.shown_run import ShownRun
from terrarium.app.session.remembered import EVERYTHING, SIMPLE
from terrarium.app.session.run_history import RunHistory
from terrarium.app.session.session import Session
from terrarium.models.alignment.rollout_log import KeptGroup, KeptReply
from terrarium.models.diagnosis import RunLog, examine
from terrarium.models.evaluation.record import Forgetting, write_forgetting
from terrarium.models.events import AlignMetrics, KnowledgeMeasured, KnownFigure
from terrarium.models.files.jsonl import read_rows
from terrarium.models.library.library import Library
from terrarium.models.number_words import with_minus
from terrarium.models.runs.run_folder import RunFolder
from tests.app.heard import Heard, Until
from tests.models.training.stages.support import make_pairs, run_of
from tests.models.training.support import train


def rewards_of(run_view: RunView, run_id: str, until: Until) -> RewardsView:
    run_view.show_run(run_id)
    until(lambda: run_view.follower.is_loaded)
    view = run_view.views.view("rewards")
    assert isinstance(view, RewardsView)
    return view


def replies_of(run_view: RunView, run_id: str, until: Until) -> RepliesView:
    rewards_of(run_view, run_id, until)
    run_view.views.show_view("replies")
    view = run_view.views.view("replies")
    assert isinstance(view, RepliesView)
    until(lambda: not view.busy and view.kept is not None)
    return view


def test_it_begins_with_the_rewards_and_other_runs_have_none(
    run_view: RunView, session: Session, run_id: str, until: Until
) -> None:
    views = run_view.views
    rewards_of(run_view, run_id, until)
    assert views.current == "rewards", "its loss says nothing"
    assert views.bar.isTabVisible(views.names.index("replies"))
    parent = next(info.id for info in session.runs.list() if info.name == "small")
    run_view.show_run(parent)
    assert isinstance(views.pages.page(views.current), CurvesView)
    assert not any(views.bar.isTabVisible(views.names.index(name)) for name in ("rewards", "replies"))


def test_the_scores_view_leads_to_the_rewards(run_view: RunView, run_id: str, until: Until) -> None:
    run_view.show_run(run_id)
    run_view.views.show_view("scores")
    view = run_view.views.view("scores")
    until(lambda: not view.busy)
    assert "How its replies are judged is in Rewards." in view.words


def test_figures_are_those_of_the_log_and_say_what_they_are(
    run_view: RunView, session: Session, run_id: str, until: Until
) -> None:
    view = rewards_of(run_view, run_id, until)
    charts = {series.name: chart for chart in view.charts for series in chart.series}
    tips = {
        series.name: caption.toolTip()
        for chart in view.charts
        for series, caption in zip(chart.series, chart.captions, strict=True)
    }
    log = read_rows(session.runs.find(run_id).folder / "alignment.jsonl")
    steps, held_out = ([row for row in log if row["is_validation"] is of] for of in (False, True))
    for name in (
        "reward",
        "gold",
        "kl",
        "entropy",
        "completions/mean_length",
        "frac_reward_zero_std",
        "rollouts_per_s",
    ):
        assert name in charts
        of_name = view.history.figures[name, False]["value"].tolist()
        assert of_name == [row["figures"][name] for row in steps]
        assert f"alignment.jsonl: {name}" in tips[name]
    assert view.history.figures["kl", True]["step"].tolist() == [row["step"] for row in held_out] == [0, 3, 6]
    assert charts["reward"] is not charts["gold"], "points without a limit beside shares: each has its own scale"
    assert "Healthy: " in tips["kl"]
    assert with_minus(f"{held_out[-1]['figures']['reward']:.3g}") in charts["reward"].read_out.text()
    columns = view.history.columns()
    assert columns["kl"].tolist()[1:] == [row["figures"]["kl"] for row in steps]


def test_the_last_chart_of_each_column_says_what_lies_below(run_view: RunView, run_id: str, until: Until) -> None:
    view = rewards_of(run_view, run_id, until)
    view.choices.axes.setCurrentIndex(view.choices.axes.findData("elapsed_s"))
    axes = [chart.chart.getPlotItem().getAxis("bottom") for chart in view.charts]
    titles = [axis.labelText if axis.label.isVisible() else "" for axis in axes]
    assert titles[0].startswith("Training time")
    assert titles[-1] == titles[0]
    assert "" in titles, "of others, the chart below says it"


def test_alerts_are_what_the_doctor_says(run_view: RunView, session: Session, run_id: str, until: Until) -> None:
    view = rewards_of(run_view, run_id, until)
    until(lambda: view.alert_words != "")
    found = examine(RunLog.read(RunFolder.open(session.runs.find(run_id).folder))).diagnoses
    assert view.alert_words.splitlines() == [f"{each.title}: {each.sentence}" for each in found]
    assert "Replies without an end" in {each.title for each in found}, "twelve bytes are too few for a story"
    chart = next(chart for chart in view.charts if chart.series[0].name == "completions/clipped_ratio")
    assert chart.alert.isVisibleTo(chart)
    assert "are cut at 12 tokens before they end" in " ".join(chart.alert.toolTip().split())
    assert view.alerts.isVisibleTo(view)


def test_a_click_on_a_chart_shows_the_replies_of_that_step(
    run_view: RunView, run_id: str, until: Until, qtbot: QtBot
) -> None:
    view = rewards_of(run_view, run_id, until)
    chart = view.charts[0]
    chart.chart.pointed.emit(QPointF(2.1, 0.0))
    assert view.position.text().startswith("Step 2")
    QTest.mouseClick(chart.chart.viewport(), Qt.MouseButton.LeftButton, pos=chart.chart.viewport().rect().center())
    views = run_view.views
    until(lambda: views.current == "replies")
    assert views.view("replies").step == 2, "that of the pointer"


def test_replies_are_grouped_and_the_best_come_first(
    run_view: RunView, session: Session, run_id: str, until: Until
) -> None:
    view = replies_of(run_view, run_id, until)
    log = read_rows(session.runs.find(run_id).folder / "rollouts.jsonl")
    assert [row["step"] for row in log] == [1, 2, 3, 4, 5, 6]
    assert view.step == 6, "the newest"
    lines = view.list.replies.lines
    assert [line.reply is None for line in lines] == [True, False, False, False] * 2
    for first in (0, 4):
        earned = [line.reply.advantage for line in lines[first + 1 : first + 4] if line.reply is not None]
        assert earned == sorted(earned, reverse=True)
        assert abs(sum(earned)) < 1e-3
    view.go_to_step(1)
    until(lambda: not view.busy)
    assert view.kept is not None
    assert view.kept.step == 1
    every = [value for group in view.kept.groups for reply in group.replies for value in reply.log_ratio]
    assert every == [0.0] * len(every), "at the first step the model is its parent"


def test_the_list_of_replies_ends_below_a_whole_one(
    run_view: RunView, session: Session, run_id: str, until: Until
) -> None:
    view = replies_of(run_view, run_id, until)
    replies = view.list
    last = replies.replies.index(replies.replies.rowCount() - 1)
    row = replies.visualRect(last).height()
    assert replies.visualRect(replies.replies.index(0)).height() == 2 * row
    for height in (100, 113, 127):
        replies.setFixedHeight(height)
        until(lambda height=height: replies.height() == height and replies.viewport().height() % row == 0)
        assert replies.verticalScrollBar().maximum() % row == 0, "nor is one cut at the top of the last page"


def test_a_reply_is_read_token_by_token(run_view: RunView, run_id: str, until: Until, qtbot: QtBot) -> None:
    view = replies_of(run_view, run_id, until)
    line = view.list.line
    assert line is not None
    reply = line.reply
    assert reply is not None
    assert [piece.id for piece in view.tokens.pieces] == list(reply.ids)
    assert list(view.tokens.values) == list(reply.log_ratio)
    assert view.facts.text().startswith(f"reward {with_minus(f'{reply.reward:.2f}')}")
    assert view.verdict.text().startswith("Not right: ")
    assert line.group.prompt in view.prompt.text()
    view.tokens.pick(0)
    assert with_minus(f"{reply.log_ratio[0]:+.2f} nats") in view.token.text()
    view.colours.buttons.button(1).click()
    assert set(view.tokens.values) == {reply.advantage}
    view.list.setFocus()
    QTest.keyClick(view.list, Qt.Key.Key_Down)
    assert view.list.line is not line
    for _ in range(8):
        QTest.keyClick(view.list, Qt.Key.Key_Down)
        assert view.list.line is not None, "the keys go over the headings"


def test_numbers_below_zero_have_a_minus_sign() -> None:
    reply = KeptReply(ids=(1, 2), ended=True, reward=-0.75, gold=None, kl=0.5, advantage=-0.25, log_ratio=(0.0, 0.0))
    assert about_reply(reply) == "reward −0.75 · advantage −0.25 · KL 0.50 nats · 2 tokens"
    assert "mean reward −0.75" in about_group(KeptGroup(row={}, prompt="Hi", replies=(reply,)))


def test_shades_are_symmetric() -> None:
    assert shade_of(0.0, 1.0) == shade_of(float("nan"), 1.0) == 32
    assert shade_of(5.0, 1.0) + shade_of(-5.0, 1.0) == 64


def test_damage_is_a_sentence_and_a_run_that_kept_none_says_so(
    run_view: RunView, session: Session, heard: Heard, run_id: str, until: Until
) -> None:
    log = session.runs.find(run_id).folder / "rollouts.jsonl"
    log.write_text(json.dumps({"step": 3, "n_prompts": 1, "prompts": [{}]}) + "\n", encoding="utf-8")
    rewards_of(run_view, run_id, until)
    run_view.views.show_view("replies")
    until(lambda: bool(heard.failures))
    assert "is damaged: the replies of step 3" in heard.failures[0]
    log.unlink()
    view = run_view.views.view("replies")
    assert not view.list.replies.lines
    assert not view.list.isVisible(), "a sentence stands there instead"


def test_with_a_critic_its_values_and_the_advantages_of_tokens_are_colours_too(
    run_view: RunView, session: Session, run_id: str, until: Until
) -> None:
    view = replies_of(run_view, run_id, until)
    value = view.colours.buttons.button(2)
    assert not value.isVisible(), "GRPO has no critic"
    log = session.runs.find(run_id).folder / "rollouts.jsonl"
    row = read_rows(log)[-1] | {"step": 7}
    for group in row["prompts"]:
        for reply in group["replies"]:
            n = len(reply["ids"])
            reply |= {"values": [0.5] * n, "token_advantages": [i / n for i in range(n)]}
    with log.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
    view.refresh()
    until(lambda: view.step == 7 and not view.busy)
    assert value.isVisible()
    value.click()
    assert set(view.tokens.values) == {0.5}
    view.colours.buttons.button(1).click()
    assert list(view.tokens.values) == sorted(set(view.tokens.values)), "each token has its own"
    assert "than the critic had foreseen" in view.about_colours.text()


def test_the_reward_model_is_read_at_every_token(
    run_view: RunView, library: Library, run_id: str, until: Until, qtbot: QtBot
) -> None:
    view = replies_of(run_view, run_id, until)
    assert not view.colours.buttons.button(3).isVisible(), "the judge reads whole replies"
    parent = RunFolder.open(library.find_run("small"))
    make_pairs(library)
    scorer = run_of(library, parent, {"stage": "reward"}, "pairs", steps=3)
    train(scorer, library)
    align = {"n_prompts": 2, "n_replies": 2, "end_penalty": 1.0, "reward_model": scorer.id}
    run = run_of(library, parent, align, steps=1)
    train(run, library)
    view = replies_of(run_view, run.id, until)
    line = view.list.line
    assert line is not None
    reply = line.reply
    assert reply is not None
    qtbot.mouseClick(view.colours.buttons.button(3), Qt.MouseButton.LeftButton)
    assert "is reading" in view.about_colours.text()
    until(lambda: not view.busy and "changes its mind" in view.about_colours.text())
    earned = reply.reward + (0.0 if reply.ended else 1.0)
    assert view.tokens.values[-1] == pytest.approx(earned, abs=1e-3), "of the whole reply"
    assert len(set(view.tokens.values)) > 1
    assert "reward model" in view.tokens.describe(0)


def test_what_was_unlearned_is_shown_by_kind(run_view: RunView, session: Session, run_id: str, until: Until) -> None:
    def known(step: int, **shares: float) -> KnowledgeMeasured:
        figures = tuple(KnownFigure(kind=kind, value=value, n=100) for kind, value in shares.items())
        return KnowledgeMeasured(step=step, corpus="Tiny World 0", figures=figures, seconds=1.0)

    folder = session.runs.find(run_id).folder
    before = known(0, reading=1.0, state=0.9)
    write_forgetting(folder, Forgetting(before=before, after=known(6, reading=0.99, state=0.7)))
    view = rewards_of(run_view, run_id, until)
    assert [bar.text for bar in view.unlearned.bars] == ["100 → 99\N{NO-BREAK SPACE}%", "90 → 70\N{NO-BREAK SPACE}%"]
    assert [bar.tone for bar in view.unlearned.bars] == ["accent", "warning"]
    assert view.unlearned.bars[1].interval == pytest.approx((0.604, 0.781), abs=1e-3)
    assert view.unlearned.isVisible()


def test_numbers_below_zero_are_written_at_the_axis(theme: ThemeProvider, qtbot: QtBot) -> None:
    chart = Chart(theme)
    qtbot.addWidget(chart)
    chart.resize(300, 200)
    chart.show_range((0.0, 10.0), (-2.0, 2.0))
    chart.show()
    axis = chart.getPlotItem().getAxis("left")
    [(spacing, values)] = axis.tickValues(-2.3, 2.2, 180.0)
    assert axis.tickStrings(values, 1.0, spacing) == ["−2", "−1", "0", "1", "2"]
    chart.show_range((0.0, 10.0), (0.0, 2.0))
    [(_, values)] = axis.tickValues(-0.4, 2.2, 180.0)
    assert min(values) == 0, "below what is drawn there is only space for the lowest number"


def test_in_simple_four_charts_and_a_sentence_are_shown(
    run_view: RunView, session: Session, run_id: str, until: Until, qtbot: QtBot
) -> None:
    session.detail.choose(SIMPLE)
    view = rewards_of(run_view, run_id, until)
    assert [chart.series[0].name for chart in view.charts] == ["reward", "gold", "completions/mean_length", "kl"]
    assert all(chart.plain.isVisibleTo(chart) for chart in view.charts), "each says what it is"
    assert "a stricter judge that does not train it" in view.charts[1].plain.text()
    marks = [mark for chart in view.charts for mark in chart.findChildren(FigureMark)]
    assert [mark.term for mark in marks] == ["RLHF", "Reward hacking", "RLHF", "KL divergence"]
    assert marks[1].toolTip().startswith("What was meant: The share of replies that are what was meant")
    assert view.verdict.text().startswith("The reward "), "what the numbers say comes first"
    assert view.more.text() == f"{view.more.n_hidden} more charts"
    view.grab()
    qtbot.mouseClick(view.more, Qt.MouseButton.LeftButton)
    assert len(view.charts) == 4 + view.more.n_hidden
    assert view.more.text() == "Fewer charts"
    assert view.verdict.isVisibleTo(view)
    session.detail.choose(EVERYTHING)
    assert not view.more.isVisible()
    assert len(view.charts) > 4
    assert all(chart.findChildren(FigureMark) for chart in view.charts), "each term has its explanation"


def test_the_loss_of_an_alignment_has_no_line_of_a_uniform_guess(
    run_view: RunView, session: Session, run_id: str, until: Until
) -> None:
    rewards_of(run_view, run_id, until)
    curves = run_view.views.view("curves")
    assert isinstance(curves, CurvesView)
    run_view.views.show_view("curves")
    assert not math.isfinite(curves.loss.uniform_guess.value)
    assert not math.isfinite(curves.loss.frequencies.value)
    parent = next(info.id for info in session.runs.list() if info.name == "small")
    run_view.show_run(parent)
    run_view.views.show_view("curves")
    until(lambda: math.isfinite(curves.loss.uniform_guess.value))


def test_a_reward_has_one_unit_whatever_the_run(theme: ThemeProvider, qtbot: QtBot) -> None:
    history = RunHistory()
    for step in (1, 2):
        for is_validation in (False, True):
            figures = (("reward", 0.234), ("gold", 0.5), ("pass@1", 0.2))
            said = AlignMetrics(step=step, tokens=step, elapsed_s=step, is_validation=is_validation, figures=figures)
            history.add(said)
    tall, _ = plan_charts({"reward", "gold", "pass@1"})
    words = []
    for plan in tall:
        chart = FigureChart(theme, plan.series, tall=True)
        qtbot.addWidget(chart)
        chart.draw(history, RunAxis())
        words.append(chart.read_out.text())
    assert words == ["0.234   validation 0.234", "50 %   validation 50 %"]


def test_the_theme_changes_after_a_run_without_figures(
    run_view: RunView, theme: ThemeProvider, run_id: str, until: Until
) -> None:
    view = rewards_of(run_view, run_id, until)
    view.show_run(ShownRun(id="", name="", folder=None, spec=None, history=RunHistory()))
    theme.theme_changed.emit()
    assert not view.charts


def test_a_number_that_is_nothing_has_no_sign(theme: ThemeProvider, qtbot: QtBot) -> None:
    chart = FigureChart(theme, [Series(name="objective/non_score_reward")])
    qtbot.addWidget(chart)
    history = RunHistory()
    for step in (1, 2):
        figures = (("objective/non_score_reward", -0.0),)
        history.add(AlignMetrics(step=step, tokens=step, elapsed_s=step, is_validation=False, figures=figures))
    chart.draw(history, RunAxis())
    assert chart.read_out.text() == "0"


def test_a_small_chart_whose_captions_say_it_all_takes_no_room_beside_them(theme: ThemeProvider, qtbot: QtBot) -> None:
    both = (Series(name="reward"), Series(name="gold", role="danger"))
    small, tall = FigureChart(theme, both), FigureChart(theme, both, tall=True)
    for chart in (small, tall):
        qtbot.addWidget(chart)
    assert small.head.minimumSize().width() < tall.head.minimumSize().width()
