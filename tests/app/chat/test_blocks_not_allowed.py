"""Whichever way the chat gets a model whose block may not run here: one sentence says so, and nothing of it runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot
from tokenizers import Tokenizer

from terrarium.app.chat.chat_tab import ChatTab
from terrarium.app.chat.notebook.notebook_page import Notebook
from terrarium.app.chat.settings.weights_panel import WeightsMeasurement
from terrarium.app.chat.side_by_side.side_by_side_page import SideBySidePage
from terrarium.app.glass.focus import Focus
from terrarium.app.kit.layout.section import Section
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.session.candidates import Candidate
from terrarium.app.session.second_models import BestOf, Drafting
from terrarium.app.session.session import Session
from terrarium.models.chat.template_config import ChatTemplateConfig
from terrarium.models.custom_blocks import store
from terrarium.models.custom_blocks.manifest import CustomBlock
from terrarium.models.inference.weight_kinds import KINDS
from terrarium.models.library.library import Library
from terrarium.models.settings.sampling_config import SamplingConfig
from tests.app.heard import Heard, Until
from tests.app.small_models import put_model
from tests.models.own_blocks import WRITES, put_block

SHORT = SamplingConfig(max_tokens=2, temperature=0.0)
PROMPT = [{"role": "user", "content": "Anna"}]
FORM = ChatTemplateConfig(template="{% for m in messages %}{{ m.content }};{% endfor %}")


@dataclass(frozen=True)
class Runs:
    """Runs of the library: `own` and `judge`, a reward model, have the block, and `plain` has none."""

    block: CustomBlock
    ran: Path
    own: str
    judge: str
    plain: str

    def check(self, *sentences: str) -> None:
        """Nothing of the block ran, and these are one sentence, about it."""
        assert not self.ran.exists()
        (sentence,) = sentences
        assert "“Writer” is a program that was not allowed on this computer yet" in sentence
        assert sentence.endswith(f"--trust-block {self.block.sha256}.")


@pytest.fixture
def runs(library: Library, byte_tokenizer: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runs:
    """As on a computer where the block was never allowed; it would write a file whatever of it runs."""
    monkeypatch.delenv(store.TRUST_VARIABLE, raising=False)
    ran = tmp_path / "it ran"
    source = (WRITES % str(ran)).replace("        return", "        RAN.touch()\n        return")
    block = put_block(source)
    slots = {"context_length": 128, "feed_forward_block": str(block.reference)}
    own = put_model(library, byte_tokenizer, "decoder-only", name="own", form=FORM, **slots)
    judge = put_model(library, byte_tokenizer, "decoder-only", name="judge", head="sequence", n_label=1, **slots)
    plain = put_model(library, byte_tokenizer, "decoder-only", name="plain", form=FORM, context_length=128)
    store.withdraw(block.sha256)
    ran.unlink()
    return Runs(block, ran, own, judge, plain)


def open_model(session: Session, run_id: str, until: Until) -> None:
    assert session.chat.open(run_id)
    until(lambda: session.chat.state == "ready")


@pytest.mark.parametrize("weights", KINDS)
def test_it_is_not_opened(weights: str, runs: Runs, session: Session, heard: Heard, until: Until) -> None:
    session.chat.open(runs.own, weights=weights)
    until(lambda: bool(heard.failures))
    runs.check(*heard.failures)
    assert session.chat.model is None
    assert session.chat.state == "none"
    assert not session.models.uses


def test_it_is_not_opened_by_the_picker_nor_asked(
    runs: Runs, session: Session, heard: Heard, tab: ChatTab, until: Until
) -> None:
    """Nor by what shows its inside, which would send a first prompt."""
    open_model(session, runs.plain, until)
    tab.models.picker.picked.emit(runs.own)
    tab.look_inside(runs.own)
    until(lambda: bool(heard.failures))
    runs.check(*heard.failures)
    assert session.chat.model is None
    assert not tab.conversation.chat.messages
    assert not session.chat.send("Anna", SHORT)


def test_it_is_not_opened_again_at_the_start(runs: Runs, session: Session, heard: Heard, until: Until) -> None:
    session.remembered.set("open model", {"run": runs.own, "name": "own", "step": 40, "weights": "float32"})
    session.chat.open_last()
    until(lambda: bool(heard.failures))
    runs.check(*heard.failures)
    assert session.chat.model is None


def test_it_drafts_nothing(
    runs: Runs, session: Session, heard: Heard, tab: ChatTab, until: Until, qtbot: QtBot
) -> None:
    open_model(session, runs.plain, until)
    tab.side.show_view("settings")
    (section,) = [each for each in tab.side.findChildren(Section) if each.title == "Draft model"]
    section.set_folded(False)
    until(lambda: not tab.draft.busy)
    assert tab.draft.choice.findData(runs.own) < 0, "it is not even offered"
    with qtbot.waitSignal(session.chat.reply_ended):
        session.chat.send("Anna", SHORT, drafting=Drafting(runs.own, "own", 2))
    runs.check(*heard.failures)
    assert session.chat.reply_failed


def test_it_judges_nothing(
    runs: Runs, session: Session, heard: Heard, tab: ChatTab, until: Until, qtbot: QtBot
) -> None:
    open_model(session, runs.plain, until)
    tab.side.show_view("settings")
    (section,) = [each for each in tab.side.findChildren(Section) if each.title.startswith("Best of")]
    section.set_folded(False)
    until(lambda: not tab.best_of.busy)
    with qtbot.waitSignal(session.chat.reply_ended):
        session.chat.send("Anna", SHORT, best_of=BestOf(runs.judge, "judge", 2))
    runs.check(*heard.failures)
    assert session.chat.reply_failed


def test_it_does_not_reply_side_by_side(
    runs: Runs, session: Session, theme: ThemeProvider, until: Until, qtbot: QtBot
) -> None:
    page = SideBySidePage(session, theme, lambda: SHORT, str)
    qtbot.addWidget(page)
    for column, run_id in zip(page.columns, (runs.plain, runs.own), strict=True):
        column.choose(Candidate(run_id, None))
    page.prompt.setPlainText("Anna")
    page.compare()
    until(lambda: not page.control.busy)
    runs.check(page.status.text())
    assert not any(column.text.written for column in page.columns)


def test_the_notebook_has_no_model(
    runs: Runs, session: Session, heard: Heard, theme: ThemeProvider, until: Until, qtbot: QtBot
) -> None:
    page = Notebook(session, theme, Focus())
    qtbot.addWidget(page)
    page.editor.setPlainText("Anna ")
    session.chat.request(runs.own)
    until(lambda: bool(heard.failures))
    runs.check(*heard.failures)
    assert not page.continue_button.isEnabled()
    assert page.words.startswith("No model is open")
    assert page.editor.text == "Anna "


@pytest.mark.parametrize("use", ["reply", "draft", "judge", "weights", "side by side"])
def test_a_model_that_is_open_while_consent_is_withdrawn_writes_no_more(
    use: str, runs: Runs, session: Session, heard: Heard, until: Until, qtbot: QtBot, theme: ThemeProvider
) -> None:
    """Although it is in memory."""
    store.allow(runs.block)
    is_other = use in ("draft", "judge", "side by side")
    open_model(session, runs.plain if is_other else runs.own, until)
    page = SideBySidePage(session, theme, lambda: SHORT, str)
    qtbot.addWidget(page)
    weights = WeightsMeasurement(session.worker, session.library, session.device, page)
    asked: dict[str, dict[str, object]] = {
        "draft": {"drafting": Drafting(runs.own, "own", 2)},
        "judge": {"best_of": BestOf(runs.judge, "judge", 2)},
    }

    def act() -> str:
        """Use it, and return what is said of a failure."""
        if use == "side by side":
            for column, run_id in zip(page.columns, (runs.plain, runs.own), strict=True):
                column.choose(Candidate(run_id, None))
            page.prompt.setPlainText("Anna")
            page.compare()
            until(lambda: not page.control.busy)
            return page.status.text()
        if use == "weights":
            assert session.chat.model is not None
            weights.measure(session.chat.model)
            until(lambda: not weights.busy)
            return weights.problem
        with qtbot.waitSignal(session.chat.reply_ended):
            session.chat.send(PROMPT, SHORT, **asked.get(use, {}))  # type: ignore[arg-type]
        return heard.failures.pop() if heard.failures else ""

    assert act() == ""
    assert runs.ran.exists()
    store.withdraw(runs.block.sha256)
    runs.ran.unlink()
    runs.check(act())
    store.allow(runs.block)
    assert act() == ""
