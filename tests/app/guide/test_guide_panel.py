"""The guide as one meets it: from Home, the top bar, the palette; bets, hints, the card; and what closing leaves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QRect, Qt
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QFileDialog, QLabel, QPushButton, QWidget
from pytestqt.qtbot import QtBot

from terrarium.app.chat.archive.message_tree import Message
from terrarium.app.guide.actions import NewChat
from terrarium.app.guide.guide_panel import GuidePanel
from terrarium.app.guide.home_card import GuideCard
from terrarium.app.guide.progress import read_progress
from terrarium.app.kit.layout.tab_order import stops_in
from terrarium.app.session.remembered import EVERYTHING
from terrarium.app.session.routes import ShowPlace, ShowRun
from terrarium.app.shell.main_window import MainWindow
from terrarium.models.library.library import Library
from tests.app.heard import Heard, Until


def click(widget: QWidget, qtbot: QtBot) -> None:
    assert widget.isVisible()
    assert widget.isEnabled()
    qtbot.mouseClick(widget, Qt.MouseButton.LeftButton)


def opened(window: MainWindow, qtbot: QtBot) -> GuidePanel:
    click(window.top_bar.guide_button, qtbot)
    panel = window.guide.panel
    assert panel is not None
    assert panel.isVisible()
    return panel


def test_the_keyboard_goes_to_the_panel_and_through_it_in_order(window: MainWindow, qtbot: QtBot) -> None:
    panel, guide = opened(window, qtbot), window.guide.guide
    assert window.focusWidget() is panel.list.rows["01-what-is-a-language-model"]
    guide.open("04-encoder-decoder-positions", 3)
    stops = stops_in(panel.step)
    options = panel.step.prediction.options
    first = stops.index(options[0])
    assert stops[first : first + len(options)] == options
    assert first < stops.index(panel.step.set_up)
    assert stops.index(panel.step.prose) < first


def test_beside_a_training_a_step_points_at_what_queues_it(
    window: MainWindow, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    panel, guide = opened(window, qtbot), window.guide.guide
    monkeypatch.setattr(type(window.session.training), "active", True)
    card = window.training.recipes.cards["code"]
    card.show_state()
    guide.open("09-code", 0)
    click(panel.step.set_up, qtbot)
    assert guide.stage.ring.target is card.start  # type: ignore[attr-defined]
    assert card.start.text() == "Add to the queue"
    assert not panel.step.problem.text()


def test_a_step_about_a_result_points_at_its_place_until_there_is_one(
    window: MainWindow, qtbot: QtBot, until: Until
) -> None:
    panel, guide, card = opened(window, qtbot), window.guide.guide, window.training.recipes.cards["mood"]
    ring = guide.stage.ring  # type: ignore[attr-defined]
    guide.open("07-fine-tuning", 1)
    click(panel.step.set_up, qtbot)
    until(lambda: ring.isVisible() and ring.target is card)
    click(card.start, qtbot)
    window.session.training.pause()  # before its end, however seldom the guide looks
    until(lambda: ring.target is card.going)
    window.session.training.resume()
    until(lambda: not window.session.training.active and card.result.isVisible())
    click(panel.step.set_up, qtbot)
    until(lambda: ring.isVisible() and ring.target is card.outcome.scores)


def test_the_ring_around_the_settings_lies_outside_their_scroll_bar(
    window: MainWindow, qtbot: QtBot, until: Until
) -> None:
    panel, guide = opened(window, qtbot), window.guide.guide
    ring = guide.stage.ring  # type: ignore[attr-defined]
    guide.open("05-families")
    click(panel.step.set_up, qtbot)
    until(ring.isVisible)
    bar = window.pages.page("builder").settings.verticalScrollBar()  # type: ignore[attr-defined]
    assert bar.isVisible()
    place = QRect(bar.mapTo(window, bar.rect().topLeft()), bar.size())
    line = 4
    assert ring.geometry().adjusted(line, line, -line, -line).contains(place)
    (title,) = (each for each in ring.target.findChildren(QLabel) if each.text() == "Settings")
    assert ring.geometry().contains(QRect(title.mapTo(window, title.rect().topLeft()), title.size()))


def test_the_ring_lies_around_the_tab_that_a_step_asks_for(window: MainWindow, until: Until) -> None:
    guide, views = window.guide.guide, window.pages.page("builder").views  # type: ignore[attr-defined]
    ring = guide.stage.ring  # type: ignore[attr-defined]
    guide.open("13-sharing", 2)
    guide.set_up()
    until(lambda: ring.isVisible() and ring.target is views.more)  # which shows the tab, at first
    window.session.detail.choose(EVERYTHING)
    until(lambda: ring.isVisible() and ring.target is views.bar)
    tabs = {name: views.bar.tabRect(index).center() for index, name in enumerate(views.names)}
    seen = [name for name, at in tabs.items() if ring.geometry().contains(views.bar.mapTo(window, at))]
    assert seen == ["code"]


def test_a_step_that_makes_a_tokenizer_asks_for_another_than_the_one_there(window: MainWindow) -> None:
    guide, views = window.guide.guide, window.pages.page("tokenizer").views  # type: ignore[attr-defined]
    guide.open("02-tokens", 3)
    guide.set_up()
    assert (views.trainer.vocab.value(), views.trainer.name.text()) == (512, "tiny-world-bpe-512")
    guide.put_back()
    assert views.trainer.vocab.value() == 1024


def test_a_new_chat_takes_the_place_of_one_that_is_still_being_read(window: MainWindow, until: Until) -> None:
    stage, conversation = window.guide.guide.stage, window.pages.page("chat").conversation  # type: ignore[attr-defined]
    window.show_tab("chat")
    window.session.chat.open(window.session.runs.list()[0].id)
    until(lambda: window.session.chat.state == "ready")
    conversation.say(Message(content="Tell me a story."))
    until(lambda: not conversation.writing)
    said = conversation.chat.id
    stage.perform(NewChat())
    conversation.open_saved(said)
    stage.perform(NewChat())
    until(lambda: not conversation.chat_library.busy)
    assert not conversation.chat.messages


def test_the_ring_goes_with_what_it_lies_around(window: MainWindow, qtbot: QtBot, until: Until) -> None:
    guide = window.guide.guide
    conversation = window.pages.page("chat").conversation  # type: ignore[attr-defined]
    window.show_tab("chat")
    window.session.chat.open(window.session.runs.list()[0].id)
    until(lambda: window.session.chat.state == "ready")
    conversation.say(Message(content="Tell me a story."))
    until(lambda: not conversation.writing)
    guide.open("01-what-is-a-language-model", 1)
    guide.set_up()
    ring = guide.stage.ring  # type: ignore[attr-defined]
    until(ring.isVisible)
    guide.stage.perform(NewChat())
    until(lambda: not ring.isVisible() and ring.target is None)


def test_a_step_is_done_with_the_mouse(window: MainWindow, qtbot: QtBot, until: Until) -> None:
    lab = window.pages.page("tokenizer").views.explore.lab  # type: ignore[attr-defined]
    before = lab.editor.text
    panel, guide = opened(window, qtbot), window.guide.guide
    click(panel.list.rows["02-tokens"], qtbot)
    step = panel.step
    assert step.title.text() == "What a model reads"
    assert step.next.text() == "Skip"
    assert not step.prediction.verdict.isVisible()
    click(step.prediction.options[2], qtbot)
    click(step.set_up, qtbot)
    assert window.pages.current == "tokenizer"
    assert step.put_back.isVisible()
    assert lab.editor.text == "", "there is room for the word alone"
    lab.editor.set_text("unbelievable")
    until(lambda: guide.is_done)
    assert step.next.text() == "Next"
    assert step.result.text().startswith("“unbelievable” is 12 characters")
    assert step.prediction.verdict.text().startswith("Measured: ")
    assert not step.prediction.options[0].isEnabled()
    click(step.put_back, qtbot)
    assert lab.editor.text == before
    assert not step.put_back.isVisible()
    click(step.next, qtbot)
    assert step.title.text() == "A word that does not exist"
    click(step.back, qtbot)
    assert step.title.text() == "What a model reads"
    click(panel.all, qtbot)
    assert "step 1 of 4" in panel.list.rows["02-tokens"].toolTip()


def test_hint_and_why_are_folded_at_each_step(window: MainWindow, qtbot: QtBot) -> None:
    panel = opened(window, qtbot)
    window.guide.guide.open("01-what-is-a-language-model")
    step = panel.step
    assert step.hint.folded
    assert step.why.folded
    step.hint.set_folded(False)
    window.guide.guide.next()
    assert step.hint.folded


def test_the_card_is_saved_as_a_picture(
    window: MainWindow, qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, heard: Heard
) -> None:
    panel, guide = opened(window, qtbot), window.guide.guide
    guide.open("13-sharing", 2)
    window.session.go(ShowPlace("builder/code"))
    guide.look()
    guide.next()
    assert panel.result.isVisible()
    card = panel.result.card
    assert next(line.text() for line in card.lines if line.isVisible()).startswith("✓  The design as code")
    assert card.note.text() == "2 of 3 steps were skipped."
    picture = tmp_path / "card.png"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(picture), ""))
    click(card.export, qtbot)
    assert QImage(str(picture)).width() > card.width()
    assert heard.notices[-1].startswith("card.png was saved")
    assert panel.result.next.text() == "Next: What it cannot do"
    click(panel.result.next, qtbot)
    assert guide.chapter is not None
    assert guide.chapter.name == "14-what-it-cannot-do"


def test_home_begins_it_and_goes_on_with_it(window: MainWindow, qtbot: QtBot, until: Until) -> None:
    window.guide.add_to(window.home)
    window.show_home()
    card = window.home.findChild(GuideCard)
    assert isinstance(card, GuideCard)
    assert card.go_on.text() == "Start: What is a language model?"
    until(card.go_on.isVisible)
    click(card.go_on, qtbot)
    panel = window.guide.panel
    assert panel is not None
    assert panel.step.isVisible()
    window.guide.guide.next()
    window.guide.guide.close()
    assert card.go_on.text() == "Continue: What is a language model?"
    click(card.missions.rows["creative"], qtbot)
    assert window.pages.current == "chat"
    assert window.pages.page("chat").side.current == "settings"  # type: ignore[attr-defined]


def test_a_mission_is_ticked_when_it_is_done(window: MainWindow, until: Until, heard: Heard) -> None:
    window.guide.add_to(window.home)
    guide = window.guide.guide
    tab = window.pages.page("chat")
    guide.look()
    window.session.chat.open(window.session.runs.list()[0].id)
    until(lambda: window.session.chat.state == "ready")
    tab.sampling.slider("temperature").changed.emit(1.5)  # type: ignore[attr-defined]
    guide.stage.perform(guide_temperature(1.5))
    tab.conversation.say(Message(content="Tell me a story."))  # type: ignore[attr-defined]
    until(lambda: "creative" in guide.progress.missions)
    assert heard.notices[-1].startswith("Mission done: Make it creative. At temperature 1.5 its tokens were")
    card = window.home.findChild(GuideCard)
    assert isinstance(card, GuideCard)
    assert card.count.text() == "1 of 6 done"


def test_a_whole_layer_that_is_switched_off_is_no_head(window: MainWindow, until: Until) -> None:
    guide = window.guide.guide
    tab: Any = window.pages.page("chat")
    guide.look()
    window.show_tab("chat")
    window.session.chat.open(window.session.runs.list()[0].id)
    until(lambda: window.session.chat.state == "ready")
    tab.conversation.say(Message(content="Tell me a story."))
    until(lambda: window.session.chat.state == "ready")
    tab.side.show_view("ablation")
    panel = tab.side.view("ablation")
    until(lambda: panel.answer is not None and not panel.survey.busy)
    parts = [part for _, parts in panel.answer.blocks for part in parts]
    layer = next(part for part in parts if part.site.endswith("blocks.0"))
    head = next(part for part in parts if part.head is not None)
    panel.survey.chosen.emit(layer)
    until(lambda: guide.stage.facts().switched_off is not None)
    guide.look()
    assert "head" not in guide.progress.missions
    panel.survey.chosen.emit(head)  # beside the layer
    until(lambda: len(guide.stage.facts().switched_off.parts) == 2)
    guide.look()
    assert "head" not in guide.progress.missions
    panel.survey.chosen.emit(layer)  # which restores it
    until(lambda: "head" in guide.progress.missions)


def guide_temperature(value: float) -> object:
    from terrarium.app.guide.actions import SetTemperature

    return SetTemperature(value=value)


def test_the_palette_finds_chapters_and_missions(window: MainWindow) -> None:
    titles = {entry.title: entry for entry in window.guide.entries()}
    assert "Attention" in titles
    titles["Watch “it” flip"].do()
    assert window.pages.current == "chat"
    titles["Attention"].do()
    assert window.guide.is_shown
    assert window.guide.guide.chapter is not None
    assert window.guide.guide.chapter.title == "Attention"


def test_while_a_run_trains_a_chapter_opens_and_says_what_waits(window: MainWindow, qtbot: QtBot, until: Until) -> None:
    panel = opened(window, qtbot)
    window.session.training.start_quickstart(0.05)
    guide = window.guide.guide
    guide.open("06-pretraining")
    guide.set_up()
    assert panel.step.isVisible()
    assert not window.training.new_run.start.isEnabled() or window.session.training.active
    window.session.training.stop(keep=False)
    until(lambda: not window.session.training.active)


def test_closing_the_window_in_the_middle_of_a_step_puts_back(
    window: MainWindow, qtbot: QtBot, library: Library
) -> None:
    tokenizer = window.pages.page("tokenizer")
    before = tokenizer.views.explore.text  # type: ignore[attr-defined]
    guide = window.guide.guide
    guide.open("02-tokens", 2)
    guide.set_up()
    assert tokenizer.views.explore.text != before  # type: ignore[attr-defined]
    window.close()
    assert tokenizer.views.explore.text == before  # type: ignore[attr-defined]
    assert read_progress(library.home).of("02-tokens").step == 2


def test_putting_back_leaves_the_user_where_they_have_gone(window: MainWindow) -> None:
    guide = window.guide.guide
    window.show_tab("training")
    for goes_to, ends_at in (("", "training"), ("data", "data")):
        guide.open("02-tokens", 0)
        guide.set_up()
        assert window.pages.current == "tokenizer"
        if goes_to:
            window.top_bar.tab_chosen.emit(goes_to)
        guide.close()
        assert window.pages.current == ends_at


def test_a_chapter_asks_in_a_chat_of_its_own_and_leaves_the_one_before(
    window: MainWindow, qtbot: QtBot, until: Until
) -> None:
    panel, guide = opened(window, qtbot), window.guide.guide
    conversation = window.pages.page("chat").conversation  # type: ignore[attr-defined]
    window.session.chat.open(window.session.runs.list()[0].id)
    until(lambda: window.session.chat.state == "ready")
    conversation.say(Message(content="Mine."))
    until(lambda: not conversation.writing)
    mine = conversation.chat.id
    guide.open("01-what-is-a-language-model", 0)
    click(panel.step.set_up, qtbot)
    assert not conversation.chat.messages
    click(panel.step.set_up, qtbot)  # an empty one is new enough
    assert not conversation.chat.messages
    guide.close()
    until(lambda: conversation.chat.id == mine)
    assert conversation.chat.messages[0].content == "Mine."


def test_the_glossary_takes_its_place_where_there_is_too_little_for_both(window: MainWindow, qtbot: QtBot) -> None:
    window.resize(1280, 720)
    panel = opened(window, qtbot)
    window.help.show_term("Attention")
    assert panel.isHidden()
    window.help.close()
    assert panel.isVisible()
    window.guide.close()
    window.help.show_term("Attention")
    window.help.close()
    assert panel.isHidden(), "it was closed before"


def test_scores_are_there_to_be_read_once_a_run_has_finished(window: MainWindow, until: Until) -> None:
    stage, runs = window.guide.guide.stage, window.session.runs
    run, place = runs.list()[0], "training/run/scores/tiny-world"
    window.session.go(ShowRun(run.id))
    window.training.run_view.views.show_view("scores")
    until(lambda: place in stage.facts().places)
    record = run.folder / "run.json"
    record.write_text(record.read_text(encoding="utf-8").replace('"finished"', '"stopped"'), encoding="utf-8")
    runs.list()
    until(lambda: place not in stage.facts().places)


def test_every_row_can_be_read(window: MainWindow, qtbot: QtBot) -> None:
    panel = opened(window, qtbot)
    rows = [*panel.list.rows.values(), *panel.list.missions.rows.values()]
    for each in rows:
        assert isinstance(each, QPushButton)
        assert each.width() >= each.sizeHint().width(), each.text()
