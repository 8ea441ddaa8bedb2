"""The samples for a run's pinned prompts, at the latest or at an earlier step."""

from __future__ import annotations

import html
import re

from PySide6.QtCore import QSignalBlocker, Qt, Slot
from PySide6.QtWidgets import QLabel, QSlider, QWidget

from terrarium.app.kit.basics import column, label, row, scrolling, stacked
from terrarium.app.kit.help_mark import help_marks
from terrarium.app.kit.inputs import named
from terrarium.app.kit.text.word_difference import marked_words
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.session.run_history import RunHistory
from terrarium.models.events import ARROW, SampleMade
from terrarium.models.settings.model_config import objective_of
from terrarium.models.settings.run_spec import RunSpec

_EMPTY = "None yet. The outputs for the pinned prompts appear here as the model learns."
_EMPTY_LABELS = "None yet. What the model predicts for the pinned texts appears here as it learns."
_NO_PROMPTS = "This run has no pinned prompts, so nothing is sampled while it learns."
_NO_TEXTS = (
    "This model predicts labels and writes no text. This run has no pinned texts whose labels are shown here as it "
    "learns; Scores has its predictions for rows of data."
)
_ANSWERS = {
    "masked-tokens": "filled in",
    "span-corruption": "in the gaps",
    "denoising": "restored",
    "text-to-text": "written",
    "pronouns": "“it” is",
    "labels": "predicted",
}
"""Label before the outputs of models that do not continue a prompt, by objective."""
_SPECIAL = re.compile(r"<\|(\w+)\|>")


class SampleFeed(QWidget):
    """Samples of one run."""

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._history = RunHistory()
        self._answer, self._nothing_yet = "", _EMPTY
        self._n_known = 0
        self._steps: list[int] = []
        self.texts: list[QLabel] = []
        self._slider = named(
            QSlider(Qt.Orientation.Horizontal), "Step of the samples", "Show the samples of an earlier step"
        )
        self._slider.setMaximumWidth(320)
        self._step = label("", "mono-small")
        head = row(
            row(label("Samples", "subheading"), *help_marks("Samples", self), spacing=SPACE // 2),
            SPACE,
            self._slider,
            self._step,
            None,
            grows=self._slider,
        )
        self._body = QWidget()
        self._lines = column(None, spacing=SPACE + SPACE // 2, margin=(0, 0, SPACE, 0))
        self._body.setLayout(self._lines)
        self.empty = label(_EMPTY, "muted", wrap=True)
        self.empty.setAlignment(Qt.AlignmentFlag.AlignTop)
        self._pages = stacked(self.empty, named(scrolling(self._body), "Samples"))
        self._pages.setMinimumHeight(7 * SPACE)
        self.setLayout(column(head, self._pages, grows=self._pages))
        self._slider.valueChanged.connect(self._show)
        theme.theme_changed.connect(self._show)

    def show_history(self, history: RunHistory, spec: RunSpec | None) -> None:
        """Show another run's samples; its spec, if readable, determines the label before the outputs."""
        self._history, self._n_known, self._steps = history, 0, []
        objective = "" if spec is None else objective_of(spec.model, spec.train.objective)
        if spec is not None and spec.data.task == "text-to-text" and spec.model.topology == "encoder-decoder":
            objective = "text-to-text"
        if spec is not None and spec.data.source == "pronouns":
            objective = "pronouns"
        elif spec is not None and spec.model.head not in ("language", "none"):
            objective = "labels"
        self._answer = _ANSWERS.get(objective, "")
        has_prompts = spec is None or (bool(spec.train.prompts) and spec.train.sample_interval > 0)
        if objective == "labels":
            self._nothing_yet = _EMPTY_LABELS if has_prompts else _NO_TEXTS
        else:
            self._nothing_yet = _EMPTY if has_prompts else _NO_PROMPTS
        with QSignalBlocker(self._slider):
            self._slider.setRange(0, 0)
        self.refresh()

    def refresh(self) -> None:
        """Show new samples; the slider follows the latest step if it was there."""
        if len(self._history.samples) == self._n_known and self._n_known:
            return
        self._n_known = len(self._history.samples)
        followed = self._slider.value() >= self._slider.maximum()
        self._steps = sorted({sample.step for sample in self._history.samples})
        with QSignalBlocker(self._slider):
            self._slider.setRange(0, max(0, len(self._steps) - 1))
            if followed:
                self._slider.setValue(self._slider.maximum())
        self._slider.setEnabled(len(self._steps) > 1)
        self.empty.setText(self._history.empty_reason or self._nothing_yet)
        self._pages.setCurrentIndex(1 if self._steps else 0)
        self._show()

    @Slot()
    def _show(self) -> None:
        self._slider.setVisible(bool(self._steps))
        if not self._steps:
            self._step.setText("")
            return
        step = self._steps[min(self._slider.value(), len(self._steps) - 1)]
        last = " · latest" if step == self._steps[-1] else ""
        self._step.setText(f"step {step:,}{last}")
        newest: dict[str, SampleMade] = {}
        before: dict[str, SampleMade] = {}
        for sample in self._history.samples:
            if sample.step <= step:
                before[sample.prompt] = newest.get(sample.prompt, sample)
                newest[sample.prompt] = sample
        for i, sample in enumerate(newest.values()):
            if i == len(self.texts):
                self._add_text()
            self.texts[i].setText(self._as_html(sample, before[sample.prompt]))
            self.texts[i].show()
        for extra in self.texts[len(newest) :]:
            extra.hide()

    def _add_text(self) -> None:
        text = QLabel()
        text.setWordWrap(True)
        text.setTextFormat(Qt.TextFormat.RichText)
        text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.texts.append(text)
        self._lines.insertWidget(self._lines.count() - 1, text)

    def _as_html(self, sample: SampleMade, before: SampleMade) -> str:
        colors = self._theme.theme
        (prompt, text), (_, old) = prompt_and_output(sample), prompt_and_output(before)
        words = f' <span style="color:{colors.muted}"><i>{self._answer}:</i></span>' if self._answer else ""
        marked = highlight_changes(old, text, colors.accent_soft)
        return f'<span style="color:{colors.muted}">{as_rich_text(prompt)}</span>{words} {marked}'


def changes(old: str, new: str) -> list[tuple[str, bool]]:
    """Split `new` into parts, each with whether it differs from `old`, word by word; white space never differs."""
    return [(part, is_new and not part.isspace()) for part, is_new in marked_words(new, old)]


def highlight_changes(old: str, new: str, colour: str) -> str:
    """Return `new` as rich text, with the background `colour` behind the parts that differ from `old`."""
    return "".join(
        f'<span style="background-color:{colour}">{as_rich_text(part)}</span>' if is_new else as_rich_text(part)
        for part, is_new in changes(old, new)
    )


def as_rich_text(text: str) -> str:
    """Convert plain text to rich text; special tokens are written ⟨end⟩, as in token pills."""
    return html.escape(_SPECIAL.sub(r"⟨\1⟩", text)).replace("\n", "<br>")


def prompt_and_output(sample: SampleMade) -> tuple[str, str]:
    """Return the prompt (if recorded, as the model read it, with gaps) and the output."""
    if not sample.text.startswith(ARROW):
        return sample.prompt, sample.text
    read, arrow, answer = sample.text.removeprefix(ARROW).partition(ARROW)
    return (read, answer) if arrow else (sample.prompt, read)
