"""The chat tab with a small real model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from terrarium.app.chat.chat_tab import ChatTab
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.session.session import Session
from terrarium.models.library.library import Library
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.run_spec import DataSpec, RunSpec, TokenizerSpec, TrainConfig

Until = Callable[[Callable[[], bool]], None]


@pytest.fixture
def trained(library: Library, tmp_path: Path) -> str:
    """A run of a few real steps in the library; its id."""
    from terrarium.models.training.trainer import Trainer, prepare_run

    text = tmp_path / "story.txt"
    text.write_text("Anna gives the kite to Ben. Ben takes the kite. " * 300)
    spec = RunSpec(
        name="tiny run",
        model=ModelConfig(n_layer=1, d_model=32, n_head=2, context_length=32),
        tokenizer=TokenizerSpec(kind="byte"),
        data=DataSpec(source="files", files=(str(text),)),
        train=TrainConfig(steps=3, batch_size=2, eval_interval=0, sample_interval=0, precision="float32"),
    )
    preparing = prepare_run(library, spec)
    while True:
        try:
            next(preparing)
        except StopIteration as done:
            run = done.value
            break
    for _ in Trainer(run, library, device="cpu").events():
        pass
    return str(run.id)


def test_a_real_model_is_opened_and_continues_a_text(
    qtbot: QtBot, trained: str, session: Session, theme: ThemeProvider, until: Until
) -> None:
    tab = ChatTab(session, theme)
    qtbot.addWidget(tab)
    tab.resize(1280, 650)
    tab.show()
    assert tab.models.picker.newest[0] == trained
    qtbot.mouseClick(tab.page.pages.open, Qt.MouseButton.LeftButton)
    until(lambda: session.chat.state == "ready")
    assert session.chat.model is not None
    assert session.chat.model.run_id == trained
    assert tab.sampling.sliders["max_tokens"].value == 32, "no reply is longer than the context"
    tab.page.composer.field.setPlainText("Anna")
    qtbot.keyClick(tab.page.composer.field, Qt.Key.Key_Return)
    until(lambda: len(tab.conversation.chat.path) == 2 and not tab.conversation.writing)
    generation = tab.conversation.chat.path[-1].generation
    assert generation is not None
    assert len(generation.ids) == generation.n_tokens > 0
    assert generation.tokens_per_s > 0
    assert generation.first_token_s > 0
    assert generation.n_prompt == len(generation.prompt_ids) == 4
    assert all(token.rank is not None and token.draw is not None for token in generation.tokens)
    tab.conversation.chat_library.flush()
    assert tab.conversation.chat_library.store.load(tab.conversation.chat.id) == tab.conversation.chat
    with qtbot.waitSignal(session.notices.notified) as told:
        session.runs.delete([trained])
    assert "choose another model" in told.args[0]
    assert len(tab.page.view.messages) == 2, "what was said stays"
    assert not tab.page.composer.send.isEnabled()
    assert not tab.page.view.messages[-1].buttons.retry.isEnabled()
