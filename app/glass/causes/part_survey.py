"""Single-part ablations: the effect of each part of the model on a token, shown as a table."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QProgressBar, QVBoxLayout, QWidget

from app.glass.causes.ablation_answer import MAX_AUTO_SURVEY_FLOPS, AblationAnswer, other_text
from app.glass.causes.part_grid import PartGrid
from app.glass.colour_scale import ColourScale
from app.glass.examiner import Examiner, Question
from app.glass.names import quoted
from app.kit.basics import button, label, row
from app.kit.theme import SPACE, ThemeProvider
from app.kit.words.site_words import format_site
from app.session.session import Session
from app.worker.failures import Failure
from models.number_words import format_signed

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from models.architecture.transformer import AnyModel
    from models.inspect.ablation import ModelPart, Survey


class PartSurvey(QWidget):
    """A grid of all parts, measured automatically if that is quick, else on request.

    It asks one short question after another, so that replies and training can run in between.

    Signals:
        chosen(part): the user clicked a part.
    """

    chosen = Signal(object)

    def __init__(self, session: Session, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._examiner = Examiner(session.worker, session.chat, self)
        self._answer: AblationAnswer | None = None
        self._other: str | None = None
        self._marked: Collection[ModelPart] = ()
        self._question: Question | None = None
        """The repeated question while measuring; None otherwise."""
        self._found: dict[ModelPart, float] = {}
        self._total = 0
        self.grid = PartGrid(theme)
        self.scale = ColourScale(theme, "diverging")
        self.title = label("", "caption", wrap=True)
        self.measure = button("Measure all parts", theme, self.start, icon="chart-bar")
        self.stop = button("Stop", theme, self.cancel, icon="stop")
        self.progress = QProgressBar()
        self.progress.setTextVisible(False)
        self.progress.setFixedHeight(6)
        self.progress.setMinimumWidth(24)
        for widget in (self.measure, self.stop, self.progress):
            widget.hide()  # until there is something to measure
        lines = QVBoxLayout(self)
        lines.setContentsMargins(0, 0, 0, 0)
        lines.setSpacing(SPACE // 2)
        lines.addWidget(self.title)
        lines.addWidget(self.grid)
        lines.addLayout(row(self.measure, self.stop, self.progress, None, self.scale))
        self.grid.chosen.connect(self.chosen)
        self._examiner.done.connect(self._on_found)
        self._examiner.failed.connect(self._on_failed)

    @property
    def found(self) -> dict[ModelPart, float]:
        """The changes in log-probability (nats) measured so far."""
        return self._found

    @property
    def busy(self) -> bool:
        """Whether a measurement is running."""
        return self._question is not None

    def show_answer(self, answer: AblationAnswer, other: str | None, marked: Collection[ModelPart]) -> None:
        """Show another answer, or another text to patch from; `marked` parts are outlined."""
        before, was_other = self._answer, self._other
        self._answer, self._other, self._marked = answer, other, marked
        if before is None or [site for site, _ in before.blocks] != [site for site, _ in answer.blocks]:
            self.grid.show_blocks(answer.blocks)
        if before is None or (before.target, before.token, was_other) != (answer.target, answer.token, other):
            self.cancel()
            self._found = {}
            if answer.survey_flops <= MAX_AUTO_SURVEY_FLOPS:
                self.start()
        self._show()

    def start(self) -> None:
        """Start measuring, from the last layer to the first."""
        from models.inspect.ablation import Survey

        answer, words = self._answer, self._other
        if answer is None:
            return
        target, token = answer.target, answer.token
        self._found, self._total = {}, sum(len(parts) for _, parts in answer.blocks)
        made: list[Survey] = []

        def measure_next(model: AnyModel, tokenizer: Tokenizer) -> list[tuple[ModelPart, float]]:
            if not made:
                other = other_text(model, tokenizer, target, words)
                made.append(Survey(target.to_text(), target.at(model), token, other))
            return made[0].measure_next(model)

        self._question = measure_next
        self._examiner.ask(measure_next)
        self._show()

    def cancel(self) -> None:
        """Stop measuring; keep what has been measured."""
        self._examiner.forget()
        self._question = None
        self._show()

    @Slot(object)
    def _on_found(self, found: list[tuple[ModelPart, float]]) -> None:
        self._found.update(found)
        if found and len(self._found) < self._total:
            assert self._question is not None
            self._examiner.ask(self._question)
        else:
            self._question = None
        self._show()

    @Slot(object)
    def _on_failed(self, failure: Failure) -> None:
        self._question = None
        self._show()
        self.title.setText(failure.sentence)

    def _show(self) -> None:
        answer = self._answer
        if answer is None:
            return
        name = quoted(answer.names[answer.token])
        does = "is off" if self._other is None else "is patched"
        self.title.setText(f"Change in log-probability of {name} when a single part {does}, in nats.")
        reach = self.grid.show_amounts(self._found, self._marked, self._describe)
        self.scale.show_ends(format_signed(-reach), format_signed(reach))
        self.scale.setToolTip("Square-root scale: a quarter of the change has half of the colour")
        self.scale.setVisible(bool(self._found))
        self.measure.setVisible(not self.busy and len(self._found) < sum(len(p) for _, p in answer.blocks))
        self.stop.setVisible(self.busy)
        self.progress.setVisible(self.busy)
        self.progress.setRange(0, max(self._total, 1))
        self.progress.setValue(len(self._found))

    def _describe(self, part: ModelPart) -> str:
        words = format_site(part.site, part.head)
        change = self._found.get(part)
        return f"{words}\nnot measured yet" if change is None else f"{words}\n{format_signed(change, 3)} nats"
