"""Simple and Everything: what is hidden is said and is one click away, and nothing of it is lost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot
from tokenizers import Tokenizer

from terrarium.app.kit.forms.config_form import ConfigForm
from terrarium.app.kit.layout.advanced_settings import MoreLink
from terrarium.app.kit.layout.views import Views
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.session.remembered import EVERYTHING, SIMPLE
from terrarium.app.session.routes import ShowPlace
from terrarium.app.session.session import Session
from terrarium.app.shell.launch import choose_detail
from terrarium.app.shell.main_window import MainWindow
from tests.app.small_models import put_model

_TABS = {
    "tokenizer": ("explore", "steps", "vocabulary", "about"),
    "data": ("dataset", "import"),
    "builder": ("diagram", "mask"),
    "training": ("curves", "machine", "scores", "doctor"),
    "new run": ("choices",),
    "chat": ("chat", "embeddings"),
}
"""The views that Simple offers, of a model that chats or writes."""


@pytest.fixture
def window(session: Session, theme: ThemeProvider, byte_tokenizer: Tokenizer, qtbot: QtBot) -> Iterator[MainWindow]:
    """The shown window over a library with one run."""
    run_id = put_model(session.library, byte_tokenizer, "decoder-only")
    window = MainWindow(session, theme)
    qtbot.addWidget(window)
    window.show()
    qtbot.waitExposed(window)
    window.show_tab("training")
    window.training.show_run(run_id)
    qtbot.waitUntil(lambda: window.training.run_view.views.current == "curves")
    yield window
    window.close()


def views_of(window: MainWindow, name: str) -> Views:
    """The views of a tab, which is shown."""
    if name == "new run":
        window.session.go(ShowPlace("training/new"))
        return window.training.new_run.views
    window.show_tab(name)
    if name == "training":
        window.training.pages.setCurrentWidget(window.training.run_view)
        return window.training.run_view.views
    page: Any = window.pages.page(name)
    views: Views = page.modes if name == "chat" else page.views
    return views


def form_of(window: MainWindow, name: str) -> ConfigForm:
    """A form with settings, which is shown."""
    if name == "builder":
        window.show_tab("builder")
        builder: Any = window.pages.page("builder")
        form: ConfigForm = builder.form
        return form
    window.session.go(ShowPlace("training/new"))
    choices = window.training.new_run.choices
    if name in ("fine-tuning", "alignment"):
        choices.start.start_from(window.session.runs.list()[0].id)
        choices.align.choice.setCurrentIndex(choices.align.choice.findData("grpo" if name == "alignment" else ""))
        return choices.align.form if name == "alignment" else choices.start.form
    return window.training.new_run.form


def tabs(views: Views) -> list[str]:
    return [name for i, name in enumerate(views.names) if views.bar.isTabVisible(i)]


def rows(form: ConfigForm) -> set[str]:
    return {name for name, row in form.rows.items() if not row.isHidden() and not form.group(_group(row)).isHidden()}


def _group(row: Any) -> str:
    return str(row.field.metadata.get("group", ""))


def test_a_session_in_which_nobody_has_chosen_shows_everything(session: Session) -> None:
    assert session.detail.level == EVERYTHING
    assert not session.detail.is_chosen


def test_the_first_launch_is_simple_and_later_ones_as_they_were(session: Session) -> None:
    choose_detail(session)
    assert session.detail.is_simple
    session.detail.choose(EVERYTHING)
    choose_detail(session)
    assert session.detail.level == EVERYTHING


def test_who_has_runs_already_keeps_everything(session: Session, byte_tokenizer: Tokenizer) -> None:
    put_model(session.library, byte_tokenizer, "decoder-only")
    choose_detail(session)
    assert session.detail.level == EVERYTHING
    assert session.detail.is_chosen


@pytest.mark.parametrize("name", _TABS)
def test_simple_hides_views_and_says_how_many(window: MainWindow, name: str) -> None:
    views, detail = views_of(window, name), window.session.detail
    before = tabs(views)
    assert views.more.isHidden()
    detail.choose(SIMPLE)
    kept = tabs(views)
    assert tuple(kept) == _TABS[name]
    assert not views.more.isHidden()
    assert views.n_hidden == len(before) - len(kept)
    assert views.more.text().startswith(f"{len(before) - len(kept)} more view")
    views.more.click()  # unfolds just here
    assert tabs(views) == before
    assert detail.is_simple
    views.more.click()
    assert tabs(views) == kept
    detail.choose(EVERYTHING)
    assert tabs(views) == before
    assert views.more.isHidden()


@pytest.mark.parametrize(
    ("name", "view"),
    [
        ("tokenizer", "decode"),
        ("data", "hub"),
        ("builder", "code"),
        ("training", "lineage"),
        ("chat", "pairs"),
        ("new run", "lr"),
    ],
)
def test_a_hidden_view_that_is_asked_for_is_shown(window: MainWindow, name: str, view: str) -> None:
    window.session.detail.choose(SIMPLE)
    views = views_of(window, name)
    n = views.n_hidden
    assert view not in tabs(views)
    views.show_view(view)
    assert views.current == view
    assert view in tabs(views)
    assert views.n_hidden == n - 1


def test_the_view_in_which_one_is_stays_when_simple_is_chosen(window: MainWindow) -> None:
    views = views_of(window, "tokenizer")
    views.show_view("decode")
    window.session.detail.choose(SIMPLE)
    assert views.current == "decode"
    assert "decode" in tabs(views)


@pytest.mark.parametrize(("name", "most"), [("builder", 10), ("new run", 1), ("fine-tuning", 1), ("alignment", 2)])
def test_simple_hides_settings_and_says_how_many(window: MainWindow, name: str, most: int) -> None:
    form, detail = form_of(window, name), window.session.detail
    before = rows(form)
    detail.choose(SIMPLE)
    kept = rows(form)
    assert 1 <= len(kept) <= most
    assert kept < before
    assert form.more.isVisible()
    assert form.more.text() == f"{len(before - kept)} more settings"
    form.more.click()
    assert rows(form) == before
    form.more.click()
    assert rows(form) == kept
    detail.choose(EVERYTHING)
    assert rows(form) == before
    assert form.more.isHidden()


def test_an_import_shows_its_name_and_one_share(window: MainWindow, qtbot: QtBot, tmp_path: Path) -> None:
    window.session.detail.choose(SIMPLE)
    window.show_tab("data")
    tab: Any = window.pages.page("data")
    table = tmp_path / "moods.csv"
    table.write_text("text,label\n" + "\n".join(f"Text {i},{'up' if i % 2 else 'down'}" for i in range(20)), "utf-8")
    tab.draft.open([str(table)])
    page = tab.views.importing
    qtbot.waitUntil(lambda: page.val_share.isVisible())
    [link] = [link for link in page.findChildren(MoreLink) if link.isVisible()]
    assert link.text() == "2 more settings"
    assert not page.test_share.isVisible()
    tab.draft.set_split(0.1, 0.2, 1)
    assert link.text() == "2 more settings (1 changed)"
    link.click()
    assert page.test_share.isVisible()
    assert page.test_share.value() == 20
    window.session.detail.choose(EVERYTHING)
    assert page.seed.isVisible()
    assert not link.isVisible()
    qtbot.waitUntil(lambda: not tab.busy and not tab.draft.doing)
    tab.draft.close()


def test_a_hidden_setting_keeps_its_value_and_its_change_is_said(window: MainWindow) -> None:
    form, detail = form_of(window, "new run"), window.session.detail
    form.apply({"weight_decay": 0.25})
    detail.choose(SIMPLE)
    assert form.more.text().endswith("(1 changed)")
    assert form.config.weight_decay == 0.25
    form.show_slot("weight_decay")
    assert form.row("weight_decay").isVisible()
    assert "changed" not in form.more.text()


def test_a_hidden_setting_with_a_problem_is_shown(window: MainWindow) -> None:
    window.session.detail.choose(SIMPLE)
    form = form_of(window, "builder")
    assert form.row("n_kv_head").isHidden()
    form.apply({"n_kv_head": 3})
    assert form.problem
    assert form.row(form.problem_slot).isVisible()


def test_a_design_hides_what_it_sets_without_calling_it_changed(window: MainWindow) -> None:
    window.session.detail.choose(SIMPLE)
    form = form_of(window, "builder")
    window.session.designs.choose("llama-tiny")
    assert "changed" not in form.more.text()
    form.apply({"dropout": 0.3})
    assert form.more.text().endswith("(1 changed)")


def test_the_chat_shows_temperature_and_length(window: MainWindow, qtbot: QtBot) -> None:
    views_of(window, "chat")
    tab: Any = window.pages.page("chat")
    settings = [*tab.sampling.sliders.values(), tab.sampling.presets, tab.sampling.seed, tab.prompting, tab.weights]
    window.session.go(ShowPlace("chat/settings/temperature"))
    tab.sampling.more.set_folded(False)

    def shown() -> list[QWidget]:
        return [each for each in settings if each.isVisible()]

    before = shown()
    assert tab.prompting in before
    window.session.detail.choose(SIMPLE)
    assert shown() == [tab.sampling.sliders["temperature"], tab.sampling.sliders["max_tokens"]]
    links = [link for link in tab.side.findChildren(MoreLink) if link.isVisible()]
    assert [link.text() for link in links] == ["13 more settings", "5 more groups of settings"]
    tab.sampling.slider("top_p").changed.emit(0.5)  # as when it is dragged
    config = tab.sampling.config
    tab.sampling.use(type(config)(temperature=config.temperature, top_p=0.5, seed=config.seed))
    assert links[0].text() == "13 more settings (1 changed)"
    assert tab.sampling.config.top_p == 0.5
    tab.prompting.system.setPlainText("Be brief.")
    qtbot.waitUntil(lambda: links[1].text() == "5 more groups of settings (1 changed)")
    window.session.go(ShowPlace("chat/settings/min_p"))
    assert tab.sampling.slider("min_p").isVisible()
    window.session.detail.choose(EVERYTHING)
    assert shown() == before


def test_the_menu_and_the_preferences_choose_it(window: MainWindow) -> None:
    detail = window.preferences.detail
    assert [words for _, words in detail.choices()] == ["Simple", "Everything"]
    detail.choose(SIMPLE)
    assert window.session.detail.is_simple
    assert window.session.remembered.get("detail", "") == SIMPLE
    [view] = [action.menu() for action in window.menuBar().actions() if action.text() == "&View"]
    [choices] = [action.menu() for action in view.actions() if action.text() == "Deta&il"]  # type: ignore[attr-defined]
    assert [action.text() for action in choices.actions() if action.isChecked()] == ["Simple"]  # type: ignore[attr-defined]
