"""The builder tab over a real session: presets, edits, problems, and what reaches the views and the session."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from PySide6.QtCore import QEvent, QObject, QPoint, Qt
from PySide6.QtWidgets import QApplication, QComboBox, QLabel, QPushButton, QWidget
from pytestqt.qtbot import QtBot

import terrarium.app.kit.forms.config_form
from terrarium.app.builder.builder_tab import BuilderTab
from terrarium.app.kit.forms.editors import IntBox
from terrarium.app.kit.layout.pages import Pages
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.session.routes import ShowPlace
from terrarium.app.session.session import Session
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.presets import PRESETS

Until = Callable[[Callable[[], bool]], None]


@pytest.fixture
def tab(qtbot: QtBot, session: Session, theme: ThemeProvider) -> BuilderTab:
    tab = BuilderTab(session, theme)
    qtbot.addWidget(tab)
    tab.resize(1280, 650)
    tab.show()
    return tab


def box(tab: BuilderTab, name: str) -> IntBox:
    editor = tab.form.editor(name)
    assert isinstance(editor, IntBox)
    return editor


def click_design(qtbot: QtBot, tab: BuilderTab, name: str) -> None:
    item = tab.list.item_of(name)
    assert item is not None
    if item.parent() is not None:
        item.parent().setExpanded(True)
    tab.list.scrollToItem(item)
    place = tab.list.visualItemRect(item).center()
    qtbot.mouseClick(tab.list.viewport(), Qt.MouseButton.LeftButton, pos=place)


def click_button(qtbot: QtBot, tab: BuilderTab, slot: str, text: str) -> None:
    (found,) = [b for b in tab.form.row(slot).findChildren(QPushButton) if b.text() == text]
    qtbot.mouseClick(found, Qt.MouseButton.LeftButton)


def drawn(tab: BuilderTab) -> ModelConfig:
    return tab.views.diagram.config


def test_every_preset_can_be_chosen_and_fills_everything(qtbot: QtBot, tab: BuilderTab, session: Session) -> None:
    for name, preset in PRESETS.items():
        click_design(qtbot, tab, name)
        assert session.designs.current == preset == tab.form.config == drawn(tab), name
        assert tab.form.problem == "", name
        assert tab.bar.train.isEnabled(), name
        assert tab.list.current_key == name


def test_presets_stand_by_family_with_the_tiny_one_first(tab: BuilderTab) -> None:
    tree = tab.list
    titles = [tree.topLevelItem(i).text(0) for i in range(tree.topLevelItemCount())]
    assert titles[:8] == [
        "Terrarium",
        "Transformer 2017",
        "GPT-2",
        "LLaMA",
        "Mixture of experts",
        "BERT",
        "T5",
        "BART",
    ]
    gpt2 = tree.item_of("gpt2-tiny")
    assert gpt2 is not None
    below = [gpt2.child(i).text(0) for i in range(gpt2.childCount())]
    assert below == ["GPT-2 small", "GPT-2 medium", "GPT-2 large", "GPT-2 XL"]
    assert sorted(tree.keys) == sorted(PRESETS)


def test_arrow_keys_walk_the_families_and_open_their_sizes(qtbot: QtBot, tab: BuilderTab, session: Session) -> None:
    click_design(qtbot, tab, "gpt2-tiny")
    tab.list.setFocus()
    qtbot.keyClick(tab.list, Qt.Key.Key_Right)
    qtbot.keyClick(tab.list, Qt.Key.Key_Down)
    assert session.designs.name == "gpt2-124m"


def test_a_preset_marks_the_slots_it_changes_and_counts_them(qtbot: QtBot, tab: BuilderTab) -> None:
    click_design(qtbot, tab, "gpt2-tiny")
    click_design(qtbot, tab, "llama-tiny")
    glowing = {name for name in tab.form.rows if tab.form.row(name).glow > 0}
    assert glowing == {"position", "norm", "n_kv_head", "activation", "tied_embeddings", "bias"}
    assert tab.bar.line.text().startswith("6 settings changed from GPT-2, tiny: Positions, Normalisation, Key")


def test_marks_fade_or_last_where_movement_is_not_wanted(
    qtbot: QtBot, tab: BuilderTab, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    click_design(qtbot, tab, "gpt2-tiny")
    until(lambda: tab.form.row("position").glow == 0)
    monkeypatch.setattr(terrarium.app.kit.forms.config_form, "prefers_reduced_motion", lambda: True)
    click_design(qtbot, tab, "llama-tiny")
    assert tab.form.fading.state() == tab.form.fading.State.Stopped
    assert tab.form.row("position").glow == 1
    box(tab, "n_layer").setValue(5)
    assert tab.form.row("position").glow == 0, "until the next change"


def test_an_edit_is_drawn_at_once_and_reaches_the_session(tab: BuilderTab, session: Session, until: Until) -> None:
    box(tab, "n_layer").setValue(7)
    assert drawn(tab).n_layer == 7
    assert tab.bar.line.text() == "1 setting differs from Terrarium, tiny: Layers"
    until(lambda: session.designs.current.n_layer == 7)
    assert session.designs.name == ""
    box(tab, "n_layer").setValue(4)
    until(lambda: session.designs.name == "terrarium-tiny")
    assert tab.bar.line.text() == ""


def test_what_is_typed_counts_after_a_pause(qtbot: QtBot, tab: BuilderTab, until: Until) -> None:
    layers = box(tab, "n_layer")
    layers.selectAll()
    qtbot.keyClicks(layers, "12")
    until(lambda: drawn(tab).n_layer == 12)


def test_undo_all_changes_goes_back_to_what_was_opened(tab: BuilderTab, session: Session) -> None:
    box(tab, "n_layer").setValue(7)
    tab.bar.action("revert").trigger()
    assert (session.designs.name, drawn(tab).n_layer, tab.bar.line.text()) == ("terrarium-tiny", 4, "")


def test_leaving_the_tab_hands_the_edit_over(tab: BuilderTab, session: Session) -> None:
    box(tab, "n_layer").setValue(7)
    tab.hide()
    assert session.designs.current.n_layer == 7


def test_a_problem_stops_training_and_keeps_the_last_legal_design(
    qtbot: QtBot, tab: BuilderTab, session: Session
) -> None:
    box(tab, "d_model").setValue(384)
    box(tab, "n_head").setValue(5)
    assert box(tab, "n_head").value() == 5, "what was typed stays"
    assert not tab.bar.train.isEnabled()
    assert not tab.bar.save.isEnabled()
    assert tab.bar.train.toolTip() == "Heads 5 does not divide Width 384: use 4 or 6."
    assert "last legal design" in tab.bar.line.text()
    assert tab.views.stale.isVisible()
    assert tab.stale.isVisible()
    assert (drawn(tab).n_head, drawn(tab).d_model) == (4, 384)
    click_button(qtbot, tab, "n_head", "Use 6")
    assert drawn(tab).n_head == 6
    assert tab.bar.train.isEnabled()
    assert not tab.views.stale.isVisible()
    assert not tab.stale.isVisible()


def test_every_problem_has_its_own_slot(tab: BuilderTab) -> None:
    box(tab, "n_head").setValue(5)
    box(tab, "n_expert").setValue(4)
    box(tab, "n_expert_used").setValue(9)
    assert tab.form.row("n_head").sentence == "Heads 5 does not divide Width 128: use 4 or 8."
    assert tab.form.row("n_expert_used").sentence == "Experts used 9 must lie between 1 and Experts 4: use 2."
    assert tab.form.row("d_model").sentence == ""
    box(tab, "n_head").setValue(4)
    assert tab.form.row("n_head").sentence == ""
    assert not tab.bar.train.isEnabled(), "one problem is left"


def test_a_head_that_a_topology_cannot_have_is_a_problem(qtbot: QtBot, tab: BuilderTab) -> None:
    click_design(qtbot, tab, "bert-tiny")
    for name, value in (("head", "none"), ("topology", "decoder-only")):
        editor = tab.form.editor(name)
        assert isinstance(editor, QComboBox)
        editor.setCurrentIndex(editor.findData(value))
    assert tab.form.editor("head").isVisible()
    click_button(qtbot, tab, "head", "Use Language")
    assert drawn(tab).topology == "decoder-only"


def test_another_design_ends_a_problem(qtbot: QtBot, tab: BuilderTab) -> None:
    box(tab, "n_head").setValue(5)
    click_design(qtbot, tab, "gpt2-tiny")
    assert tab.form.problem == ""
    assert tab.bar.train.isEnabled()
    assert not tab.stale.isVisible()


def test_train_asks_for_the_training_tab_with_what_is_on_screen(
    qtbot: QtBot, tab: BuilderTab, session: Session
) -> None:
    layers = box(tab, "n_layer")
    layers.selectAll()
    qtbot.keyClicks(layers, "3")
    with qtbot.waitSignal(session.routed) as requested:
        qtbot.mouseClick(tab.bar.train, Qt.MouseButton.LeftButton)
    assert requested.args == [ShowPlace("training")]
    assert session.designs.current.n_layer == 3


def test_a_change_on_the_diagram_is_an_edit_like_any_other(tab: BuilderTab) -> None:
    tab.views.edited.emit({"n_layer": 9, "d_model": 192})
    assert (drawn(tab).n_layer, drawn(tab).d_model) == (9, 192)
    assert box(tab, "n_layer").value() == 9
    tab.views.edited.emit({"n_head": 5})
    assert tab.form.row("n_head").sentence


def test_a_part_of_the_diagram_leads_to_its_slot(tab: BuilderTab, until: Until) -> None:
    tab.views.slot_focused.emit("init_std")  # in a folded group, behind a fold of it
    editor = tab.form.editor("init_std")
    assert editor.isVisible()
    assert editor.hasFocus()
    until(lambda: tab.form.parentWidget().rect().contains(editor.mapTo(tab.form.parentWidget(), QPoint(5, 5))))


def test_the_vocabulary_is_said_to_be_the_tokenizers(tab: BuilderTab) -> None:
    words = [label.text() for label in tab.form.row("vocab_size").findChildren(QLabel)]
    assert any("tokenizer" in text for text in words)


def test_the_length_is_the_context_until_it_is_chosen(qtbot: QtBot, tab: BuilderTab) -> None:
    click_design(qtbot, tab, "gpt2-124m")
    assert tab.work.values == (24, 1024)
    tab.work.length.setValue(512)
    box(tab, "context_length").setValue(2048)
    assert tab.work.values == (24, 512)
    box(tab, "context_length").setValue(128)
    assert tab.work.values == (24, 128)


def test_views_are_made_when_first_shown(qtbot: QtBot, tab: BuilderTab) -> None:
    assert set(tab.views.pages.made) == {"diagram"}
    tab.views.bar.setFocus()
    while tab.views.current != "compare":
        qtbot.keyClick(tab.views.bar, Qt.Key.Key_Right)
    assert "compare" in tab.views.pages.made
    box(tab, "n_layer").setValue(9)
    assert tab.views.pages.made["compare"].designs[0].config.n_layer == 9  # type: ignore[attr-defined]
    tab.views.show_view("diagram")
    assert drawn(tab).n_layer == 9, "a view that was away is brought up to date"


def test_nothing_of_it_is_a_window_for_a_moment(qtbot: QtBot, session: Session, theme: ThemeProvider) -> None:
    windows: list[QObject] = []

    class Watch(QObject):
        def eventFilter(self, watched: QObject, event: QEvent) -> bool:
            if event.type() == QEvent.Type.Show and isinstance(watched, QWidget) and watched.isWindow():
                windows.append(watched)
            return False

    watch, application = Watch(), QApplication.instance()
    assert application is not None
    application.installEventFilter(watch)
    tab = BuilderTab(session, theme)
    qtbot.addWidget(tab)
    for name in tab.views.names:
        tab.views.view(name)
    application.removeEventFilter(watch)
    assert windows == []


@pytest.mark.parametrize("name", ["diagram", "positions", "mask", "compare", "code"])
def test_tab_goes_from_the_views_into_the_view_and_on_to_the_costs(qtbot: QtBot, tab: BuilderTab, name: str) -> None:
    tab.views.show_view("code")  # made before, so that it stands between
    tab.views.show_view(name)
    page = tab.views.view(name)
    tab.views.bar.setFocus()
    n_inside = 0
    while True:
        focused = QApplication.focusWidget()
        assert focused is not None
        qtbot.keyClick(focused, Qt.Key.Key_Tab)
        focused = QApplication.focusWidget()
        if focused is tab.work.batch:
            break
        assert page.isAncestorOf(focused)
        n_inside += 1
    assert n_inside >= 2


def test_views_keep_their_names_where_there_is_little_room(tab: BuilderTab, theme: ThemeProvider, until: Until) -> None:
    theme.apply_theme(tab)
    bar = tab.views.bar
    for width in (960, 1280, 960):
        tab.resize(width, 600)
        compact = width == 960
        until(lambda: bool(bar.property("compact")) == compact and bar.sizeHint().width() <= bar.width())  # noqa: B023


def test_in_a_narrow_window_the_costs_are_one_of_the_views(tab: BuilderTab, qtbot: QtBot) -> None:
    pages, views = Pages({"builder": lambda: tab}), tab.views
    qtbot.addWidget(pages)
    pages.show_page("builder")
    pages.resize(1280, 650)
    pages.show()
    index = views.names.index("costs")
    assert not views.bar.isTabVisible(index)
    pages.resize(700, 500)
    qtbot.waitUntil(lambda: views.bar.isTabVisible(index))
    views.show_view("costs")
    assert tab.costs.isVisible()
    assert tab.work.batch.isVisible()
    pages.resize(1280, 650)
    qtbot.waitUntil(lambda: not views.bar.isTabVisible(index))
    assert views.current != "costs"
    assert tab.costs.isVisible()
