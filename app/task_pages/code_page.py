"""The page for models that write functions: the function, and the outcomes of its test cases in the sandbox."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from PySide6.QtCore import QSize, Slot
from PySide6.QtWidgets import QHeaderView, QWidget

from terrarium.app.glass.focus import Focus
from terrarium.app.glass.partial_reply import Prompt
from terrarium.app.kit.basics import button, column, group, label, row, set_enabled, set_role, show_words
from terrarium.app.kit.layout.relayout import AdaptiveSplitter, RelayoutOnResize
from terrarium.app.kit.record_table import Column, RecordTable
from terrarium.app.kit.setting_names.value_words import OUTCOME_HELP, OUTCOME_TONES, SANDBOX
from terrarium.app.kit.text.code_editor import CodeColours
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.session.chat_model import ChatModel
from terrarium.app.session.session import Session
from terrarium.app.task_pages.mode_page import ErrorLabel, ModePage
from terrarium.app.task_pages.one_reply import OneReply
from terrarium.app.task_pages.task_page import text_box
from terrarium.app.worker.background import LatestTask
from terrarium.app.worker.failures import Failure
from terrarium.models.settings.sampling_config import SamplingConfig
from terrarium.models.tasks.code_judge import NOT_INSTALLED, CodeJudge, Judgement, Outcome, row_cases

_HINT = 'def double(n):\n    """Double the number."""'
_CASES = "One case per line, as JSON: the arguments, and the expected result\n[2] → 4"
_ARROW = "→"
_SHARES = (0.3, 0.25, 0.3)
"""Maximum shares of the width for the arguments, the expected value and the outcome; the last column has the rest."""
_GREEDY = SamplingConfig(temperature=0.0)
"""As in the evaluation of the model."""


@dataclass(frozen=True)
class JudgedCase:
    """A test case as written, and its outcome."""

    arguments: str
    expected: str
    judgement: Judgement


class CodePage(ModePage):
    """At the left the head of a function and its test cases, at the right the whole function and the outcomes.

    The function can be edited and run again.
    """

    def __init__(self, session: Session, theme: ThemeProvider, focus: Focus, parent: QWidget | None = None) -> None:
        super().__init__(session, theme, focus, parent)
        self.reply, self._judging = OneReply(session, self), LatestTask(self)
        self.judged: tuple[JudgedCase, ...] = ()
        """The outcomes of the cases, in order; empty until they have been run."""
        self._asked, self._prefix = "", ""
        self._prompt: Prompt = ""
        self.head = text_box("Head of the function", _HINT, 4)
        self.setFocusProxy(self.head)
        self.cases = text_box("Cases", _CASES, 4)
        self.function = text_box("Function", "The model writes its body here; you can change it.", 6)
        for box in (self.head, self.cases, self.function):
            box.setProperty("role", "mono")
        self._colours = [CodeColours(box.document(), theme) for box in (self.head, self.function)]
        self.write = button(
            "Write", theme, self._on_write, icon="play", role="primary", tip="Let the model write the body (Ctrl+Enter)"
        )
        self.write.setShortcut("Ctrl+Return")
        self.run = button("Run the cases", theme, self._on_run, icon="terminal-window", tip="Run the function as it is")
        self.stop = button("Stop", theme, self._on_stop, icon="stop", tip="Stop here (Esc)")
        self.stop.setShortcut("Esc")
        self.problem = ErrorLabel()
        self.verdict = label("", "pill")
        self.outcomes = OutcomeTable(theme)
        self._build()
        for box in (self.head, self.cases, self.function):
            box.text_changed.connect(self._on_edited)
        self.reply.started.connect(self._on_started)
        self.reply.appended.connect(self._on_appended)
        self.reply.ended.connect(self._on_written)
        focus.branch_requested.connect(self._on_branch)
        self._judging.done.connect(self._on_judged)
        self._judging.failed.connect(self._on_failed)
        self._judging.busy_changed.connect(self._show_state)
        session.chat.changed.connect(self._show_state)
        self.on_model_changed()

    def _build(self) -> None:
        given = label("Head and docstring", "subheading"), self.head, label("Cases", "subheading"), self.cases
        left = group(*given, row(None, self.stop, self.write), grows=(self.head, self.cases))
        right = group(
            label("Function", "subheading"),
            self.function,
            row(label("Outcomes of the cases", "subheading"), self.verdict, None, self.run),
            self.outcomes,
            label(f"{SANDBOX}.", "caption", wrap=True),
            grows=(self.function, self.outcomes),
        )
        both = AdaptiveSplitter(left, right, sizes=(380, 460), grows=1)
        self.body.setLayout(column(both, self.problem, grows=both))

    @property
    def busy(self) -> bool:
        """Whether the model is writing, or the cases are running."""
        return self.reply.busy or self._judging.busy

    def refusal(self, model: ChatModel) -> tuple[str, str] | None:
        if not model.writes_code:
            return "Not with this model", "This page is for models that learned to write functions: choose one above."
        return None

    @Slot()
    def on_model_changed(self) -> None:
        super().on_model_changed()
        self.reply.stop()
        self._show_state()

    def show_example(self, example: Mapping[str, Any]) -> None:
        """Fill in the head and the cases of a dataset's row, and let the model write the body."""
        self.head.set_text(str(example["source"]).rstrip("\n"))
        cases = [
            f"{json.dumps(case['arguments'], ensure_ascii=False)} {_ARROW} "
            f"{json.dumps(case['expected'], ensure_ascii=False)}"
            for case in example.get("cases", ())
        ]
        self.cases.set_text("\n".join(cases))
        self.function.set_text("")
        self._on_write()

    @Slot()
    def _on_edited(self) -> None:
        self.problem.say("")
        self._show_judged(())
        self._show_state()

    @Slot()
    def _show_state(self) -> None:
        is_free = not self.busy and not self.words
        busy = "" if is_free else "Something is being done: wait, or stop it."
        no_model = "" if self._session.chat.state == "ready" else "No model can write now."
        set_enabled(
            self.write, busy or no_model or ("" if self.head.text.strip() else "Write the head of a function first.")
        )
        set_enabled(self.run, busy or ("" if self.function.text.strip() else "There is no function yet."))
        self.stop.setVisible(self.busy)

    # -- Writing -------------------------------------------------------------------------------------------------------

    def _on_write(self) -> None:
        model, source = self._session.chat.model, self.head.text.rstrip("\n") + "\n"
        if model is None or not source.strip():
            return
        self.problem.say("")
        self.inspect(None)
        self._asked = source
        is_chat = model.config.topology == "decoder-only"
        self._prompt = [{"role": "user", "content": source}] if is_chat else source
        self.reply.ask(self._prompt, _GREEDY)
        self._show_state()

    @Slot(int, int)
    def _on_branch(self, position: int, id: int) -> None:
        """Rewrite the function from a position on, with another token there."""
        read = self._read
        if read is not None and self.focus.text is read and self._session.chat.state == "ready":
            self.reply.ask(self._prompt, _GREEDY, (*read.ids[read.n_prompt : position], id))
            self._show_state()

    @Slot(str)
    def _on_started(self, prefix: str) -> None:
        self._prefix = prefix
        self.function.set_text(self._asked)

    @Slot(object)
    def _on_appended(self, tokens: object) -> None:
        from terrarium.models.tasks.judging import as_body

        assert self.reply.written is not None
        body = as_body(self._prefix + self.reply.written.text)
        self.function.set_text(f"{self._asked}{body}".rstrip("\n"))

    @Slot()
    def _on_written(self) -> None:
        written, tokenizer = self.reply.written, self._session.chat.tokenizer
        read = written.read(tokenizer) if written is not None and tokenizer is not None else None
        if written is not None and read is not None:
            self.inspect(read)
            self.news.say(f"The model wrote: {written.text}")
            if written.finished is not None and self.cases.text.strip():
                self._on_run()
        self._show_state()

    def _on_stop(self) -> None:
        self.reply.stop()
        self._judging.cancel()
        self._show_state()

    # -- Running -------------------------------------------------------------------------------------------------------

    def _on_run(self) -> None:
        function, lines = self.function.text, [line for line in self.cases.text.split("\n") if line.strip()]
        if not lines:
            self.problem.say("There are no cases to run: write one per line, as “[2] → 4”." if function.strip() else "")
            return
        self.problem.say("")
        self._judging.ask(lambda: judge_cases(function, lines))
        self._show_state()

    @Slot(object)
    def _on_judged(self, judged: tuple[JudgedCase, ...]) -> None:
        self._show_judged(judged)
        self.news.say(f"Outcomes of the cases: {self.verdict.text()}")
        self._show_state()

    def _show_judged(self, judged: tuple[JudgedCase, ...]) -> None:
        self.judged = judged
        self.outcomes.show_cases(judged)
        right = sum(each.judgement.outcome is Outcome.RIGHT for each in judged)
        show_words(self.verdict, f"{right} of {len(judged)} right" if judged else "")
        set_role(self.verdict, "pill", tone="ok" if judged and right == len(judged) else "warning")

    @Slot(object)
    def _on_failed(self, failure: Failure) -> None:
        self.problem.say(failure.sentence)
        self._show_state()


def judge_cases(function: str, lines: Sequence[str]) -> tuple[JudgedCase, ...]:
    """Run a function on each of its test cases, written as JSON: “[arguments] → value”.

    Raises:
        ValueError: if a line is not a case, there is no function, or the sandbox is not installed.
    """
    cases = []
    for number, line in enumerate(lines, start=1):
        given, arrow, expected = line.replace("->", _ARROW).partition(_ARROW)
        try:
            arguments, value = json.loads(given), json.loads(expected)
        except (ValueError, RecursionError):
            arguments, value = None, None
        if not arrow or not isinstance(arguments, list):
            raise ValueError(
                f"Line {number} of the cases is not valid: write it as “[2] → 4”, with JSON on both sides."
            )
        cases.append({"arguments": arguments, "expected": value})
    name, judged = row_cases({"source": function, "cases": cases})
    try:
        with CodeJudge() as judge:
            judgements = [judge.judge(function, name, [case]) for case in judged]
    except (ModuleNotFoundError, FileNotFoundError) as error:
        raise ValueError(NOT_INSTALLED) from error
    return tuple(
        JudgedCase(json.dumps(case["arguments"]), json.dumps(case["expected"]), judgement)
        for case, judgement in zip(cases, judgements, strict=True)
    )


_COLUMNS = (
    Column(title="Arguments", value=attrgetter("arguments")),
    Column(title="Expected", value=attrgetter("expected")),
    Column(
        title="Outcome",
        value=lambda case: case.judgement.outcome.value,
        tip=lambda case: OUTCOME_HELP[case.judgement.outcome],
        tone=lambda case: OUTCOME_TONES[case.judgement.outcome],
    ),
    Column(title="Details", value=attrgetter("judgement.detail")),
)


class OutcomeTable(RecordTable):
    """A row for each case, each outcome with its own colour."""

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__("Outcomes of the cases", theme, _COLUMNS, has_many=True, is_framed=True, parent=parent)
        header = self.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        header.setSectionResizeMode(3, QHeaderView.ResizeMode.Stretch)
        RelayoutOnResize(self.viewport(), self._fit)

    def minimumSizeHint(self) -> QSize:
        return QSize(260, 5 * self.fontMetrics().height() + 4 * SPACE)

    def show_cases(self, judged: Sequence[JudgedCase]) -> None:
        """Show the outcomes."""
        self.show_records(judged)
        self._fit()

    def _fit(self) -> None:
        """Set the column widths.

        The expected value and the outcome fit their contents, within their shares and never narrower than their titles;
        the arguments get the rest, minus the title of the last column.
        """
        width, header = self.viewport().width(), self.horizontalHeader()
        shares = [int(share * width) for share in _SHARES]
        titles = [header.sectionSizeHint(j) for j in range(len(_COLUMNS))]
        wanted = [max(self.sizeHintForColumn(j), titles[j]) for j in range(len(shares))]
        for j in (1, 2):
            self.setColumnWidth(j, min(wanted[j], max(shares[j], titles[j])))
        left = width - self.columnWidth(1) - self.columnWidth(2) - titles[3]
        self.setColumnWidth(0, max(min(wanted[0] + SPACE, shares[0], left), header.minimumSectionSize()))
