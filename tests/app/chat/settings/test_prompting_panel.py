"""Prompts in the window: settings, the exact tokens, the template's window, and how much of the context is used."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot
from tokenizers import AddedToken, Tokenizer

from terrarium.app.chat.conversation.composer import Composer
from terrarium.app.chat.conversation.context_bar import ContextBar
from terrarium.app.chat.conversation.next_prompt import NextPrompt
from terrarium.app.chat.settings.prompting_panel import PromptingPanel
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.session.session import Session
from terrarium.models.chat.prompting import PromptSettings, build_prompt
from terrarium.models.chat.template_config import ChatTemplateConfig
from terrarium.models.library.library import Library
from terrarium.models.number_words import format_percent
from terrarium.models.tokenizers import train_tokenizer
from tests.app.heard import Until
from tests.app.small_models import put_model
from tests.models.chat.test_chat_template import SMOLLM2

FORM = ChatTemplateConfig(template=SMOLLM2)
TALK = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hello you"}]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    made = train_tokenizer((), "byte", 0)
    made.add_special_tokens([AddedToken(text, special=True) for text in ("<|im_start|>", "<|im_end|>")])
    return made


@pytest.fixture
def next_prompt(session: Session, library: Library, tokenizer: Tokenizer, until: Until) -> NextPrompt:
    put_model(library, tokenizer, "decoder-only", form=FORM, context_length=400)
    found = NextPrompt(session, session)
    assert found.preview is None
    session.chat.open("decoder-only")
    until(lambda: session.chat.state == "ready")
    assert session.chat.model is not None
    assert session.chat.model.is_chat_model
    found.set_conversation(TALK)
    until(lambda: not found.busy)
    return found


@pytest.fixture
def settled(next_prompt: NextPrompt, until: Until) -> Callable[[], None]:
    """Wait until the next prompt is worked out."""
    return lambda: until(lambda: not next_prompt.busy)


@pytest.fixture
def panel(session: Session, theme: ThemeProvider, next_prompt: NextPrompt, qtbot: QtBot) -> PromptingPanel:
    panel = PromptingPanel(session, theme, next_prompt)
    qtbot.addWidget(panel)
    panel.resize(320, 560)
    panel.show()
    return panel


@pytest.fixture
def bar(theme: ThemeProvider, next_prompt: NextPrompt, qtbot: QtBot) -> ContextBar:
    bar = ContextBar(theme, next_prompt)
    qtbot.addWidget(bar)
    bar.resize(700, 40)
    bar.show()
    return bar


def test_the_preview_is_the_prompt_that_will_be_read(
    next_prompt: NextPrompt, tokenizer: Tokenizer, settled: Callable[[], None]
) -> None:
    next_prompt.set_draft("And then?")
    settled()
    messages = [*TALK, {"role": "user", "content": "And then?"}]
    expected = build_prompt(400, tokenizer, messages, PromptSettings(), FORM)
    assert next_prompt.preview is not None
    assert next_prompt.preview.fitted.ids.tolist() == expected.ids.tolist()
    assert next_prompt.preview.n_system == expected.count(-1, 0) > 0
    assert next_prompt.preview.n_draft == expected.count(2, 4)


def test_the_bar_grows_while_typing(bar: ContextBar, next_prompt: NextPrompt, settled: Callable[[], None]) -> None:
    def tokens() -> dict[str, int]:
        return {part.name: part.n_tokens for part in bar.segments}

    before = tokens()
    next_prompt.set_draft("Hello")
    settled()
    after = tokens()
    assert after["Your draft"] == before["Your draft"] + 5
    assert after["Conversation"] == before["Conversation"]
    assert sum(after.values()) == 400
    assert bar.words.text().endswith("free for the reply")
    bar.grab()


@pytest.mark.parametrize("n", [300, 500])
def test_the_mark_is_at_the_last_quarter_of_the_context(
    bar: ContextBar, next_prompt: NextPrompt, settled: Callable[[], None], n: int
) -> None:
    next_prompt.set_draft("x" * n)
    settled()
    length = sum(part.n_tokens for part in bar.segments)
    assert (length > 400) == (n > 400), "also if the prompt is too long"
    image = bar.bar.grab().toImage()
    drawn = [image.pixelColor(x, 4) for x in range(image.width())]
    first = sum(part.n_tokens for part in bar.segments[:2]) * len(drawn) // length + 2
    marks = [x for x in range(first, len(drawn) - 20) if drawn[x] != drawn[first]]
    assert marks
    assert 0.75 * 400 / length * len(drawn) == pytest.approx(marks[0], abs=2)


def test_it_says_that_a_system_prompt_is_used(
    bar: ContextBar, next_prompt: NextPrompt, settled: Callable[[], None]
) -> None:
    settled()
    assert "system prompt" not in bar.words.text()
    next_prompt.set_prompting(PromptSettings(system="Be brief."))
    settled()
    assert "by the system prompt)" in bar.words.text()


@pytest.mark.parametrize(
    ("when_full", "words"),
    [
        ("slide", "the oldest 2 messages are left out"),
        ("summarise", "the model first summarises the oldest 2 messages"),
        ("stop", "nothing can be sent"),
    ],
)
def test_it_says_what_happens_when_the_context_is_full(
    bar: ContextBar, next_prompt: NextPrompt, settled: Callable[[], None], when_full: str, words: str
) -> None:
    next_prompt.set_prompting(PromptSettings(when_full=when_full))
    next_prompt.set_draft("x" * 190)
    settled()
    assert words in bar.words.text()
    assert bar.words.property("tone") == "warning"
    next_prompt.set_draft("x" * 500)
    settled()
    assert "Shorten it" in bar.words.text()
    next_prompt.set_draft("")
    settled()
    assert bar.words.property("tone") == ""


def test_a_long_text_is_encoded_in_the_background(next_prompt: NextPrompt, until: Until) -> None:
    next_prompt.set_draft("x" * 25_000)
    assert next_prompt.patience.isActive()
    until(lambda: next_prompt.preview is not None and next_prompt.preview.too_long)


def test_changed_settings_are_reported(panel: PromptingPanel, next_prompt: NextPrompt, qtbot: QtBot) -> None:
    told: list[PromptSettings] = []
    panel.changed.connect(told.append)
    assert "template adds its own" in panel.system.placeholderText()
    qtbot.keyClicks(panel.system, "Be brief.")
    assert told[-1] == PromptSettings(system="Be brief.")
    panel.choices["stop"].click()
    assert told[-1] == PromptSettings(system="Be brief.", when_full="stop")
    assert next_prompt.prompting == told[-1]
    n = len(told)
    panel.set_prompting(PromptSettings(when_full="summarise"))
    assert len(told) == n
    assert panel.choices["summarise"].isChecked()
    assert panel.system.toPlainText() == ""
    panel.grab()


def test_the_template_is_edited_with_a_preview(panel: PromptingPanel, next_prompt: NextPrompt, until: Until) -> None:
    window = panel.template_window
    panel.edit.click()
    assert window.template == SMOLLM2
    until(lambda: window.preview.toPlainText().startswith("<|im_start|>system\nYou are"))
    window.editor.setPlainText("{% for m in messages %}\n{{ m.content }}\n{% endfor %}")
    until(lambda: window.preview.toPlainText() == "Hello\nHello you\n")
    assert panel.prompting.template == window.template
    assert not panel.own.isHidden()
    window.editor.setPlainText("fine\n{{ no.such.thing }}")
    until(lambda: window.problem.text() != "")
    until(lambda: not next_prompt.busy)
    assert window.problem.text() == panel.problem.text() == "Line 2 of the chat template fails: 'no' is undefined."
    [mark] = window.editor.extraSelections()
    assert mark.cursor.selectedText() == "{{ no.such.thing }}"  # type: ignore[attr-defined]
    assert window.preview.toPlainText() == "Hello\nHello you\n"
    window.grab()
    window.revert.click()
    assert panel.prompting.template == ""
    until(lambda: panel.problem.isHidden())
    window.editor.setPlainText("{# a\nb #}{{ 'one\ntwo' ~ \"x\" }}{% set a = 1 %}")
    panel.own.click()
    assert window.template == SMOLLM2
    panel.set_prompting(PromptSettings(template="of another chat"))
    assert window.template == "of another chat"
    window.close()


def test_the_exact_tokens(panel: PromptingPanel, next_prompt: NextPrompt, settled: Callable[[], None]) -> None:
    window = panel.tokens_window
    panel.show_tokens.click()
    next_prompt.set_draft("Why?")
    settled()
    preview = next_prompt.preview
    assert preview is not None
    fitted = preview.fitted
    assert (
        window.summary.text()
        == f"{len(fitted.ids)} tokens, {format_percent(len(fitted.ids) / 400)} of the context of 400"
    )
    assert len(window.view.pieces) == len(fitted.ids)
    assert "from the template itself" in window.describe(0)
    assert "of message 3: User" in window.describe(int((fitted.sources == 2).argmax()))
    assert "what follows is the model's" in window.describe(len(fitted.ids) - 1)
    window.grab()
    next_prompt.set_prompting(PromptSettings(template="{{ no.such }}"))
    settled()
    assert "fails" in window.nothing.words
    next_prompt.set_prompting(PromptSettings())
    next_prompt.set_draft("x" * 190)
    settled()
    assert window.left_out.text() == "The oldest 2 messages do not fit, and are left out."
    window.close()


def test_without_a_model_and_with_one_that_is_no_chat_model(
    panel: PromptingPanel, bar: ContextBar, session: Session, library: Library, tokenizer: Tokenizer, until: Until
) -> None:
    session.chat.close_model()
    assert not panel.system.isEnabled()
    assert bar.words.text() == "No model is open"
    put_model(library, tokenizer, "encoder-only")
    session.chat.open("encoder-only")
    until(lambda: session.chat.state == "ready")
    assert "not a chat model" in panel.template.text()
    assert not panel.edit.isEnabled()


def test_what_the_model_cannot_read_is_not_sent(
    next_prompt: NextPrompt, theme: ThemeProvider, settled: Callable[[], None], qtbot: QtBot
) -> None:
    composer, sent = Composer(theme, next_prompt.problem_of), list[str]()
    qtbot.addWidget(composer)
    composer.sent.connect(sent.append)
    next_prompt.changed.connect(composer.recheck)
    composer.set_state(can_send=True, replying=False)
    composer.show()
    for text in ("x" * 500, "And then?"):
        composer.field.setPlainText(text)
        qtbot.keyClick(composer.field, Qt.Key.Key_Return)
        settled()
        if not sent:
            assert len(text) == 500
            assert "too long" in composer.problem.text()
            assert composer.field.toPlainText() == text, "nothing is lost"
    assert sent == ["And then?"]
