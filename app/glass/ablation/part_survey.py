"""Single-part ablations: the effect of each part of the model on a token, shown as a table."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QVBoxLayout, QWidget

from terrarium.app.glass.ablation.ablation_answer import MAX_AUTO_SURVEY_FLOPS, AblationAnswer, other_text
from terrarium.app.glass.ablation.inputs_sentence import format_effect
from terrarium.app.glass.ablation.measuring import Measuring
from terrarium.app.glass.ablation.part_grid import PartGrid
from terrarium.app.glass.colour_scale import ColourScale
from terrarium.app.glass.names import quoted
from terrarium.app.kit.basics import label
from terrarium.app.kit.setting_names.site_words import format_site
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.session.session import Session
from terrarium.app.worker.failures import Failure
from terrarium.models.number_words import format_signed

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from terrarium.models.architecture.transformer import AnyModel
    from terrarium.models.inspect.ablation import ModelPart, Survey


class PartSurvey(QWidget):
    """A grid of all parts, measured automatically if that is quick, else on request.

    Signals:
        chosen(part): the user clicked a part.
        measured(): `found` or `busy` has changed.
    """

    chosen = Signal(object)
    measured = Signal()

    def __init__(self, session: Session, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._detail = session.detail
        self._answer: AblationAnswer | None = None
        self._other: str | None = None
        self._marked: Collection[ModelPart] = ()
        self.found: dict[ModelPart, float] = {}
        """The changes in log-probability (nats) measured so far."""
        self.grid = PartGrid(theme)
        self.scale = ColourScale(theme, "diverging")
        self.title = label("", "caption", wrap=True)
        self.measuring = Measuring(session, theme, "Measure all parts", self.start, self.scale)
        self.measure, self.stop = self.measuring.button, self.measuring.stop
        lines = QVBoxLayout(self)
        lines.setContentsMargins(0, 0, 0, 0)
        lines.setSpacing(SPACE // 2)
        lines.addWidget(self.title)
        lines.addWidget(self.grid)
        lines.addWidget(self.measuring)
        self.grid.chosen.connect(self.chosen)
        self.measuring.found.connect(self._on_found)
        self.measuring.failed.connect(self._on_failed)
        self.measuring.changed.connect(self._show)
        self._detail.changed.connect(self._show)

    @property
    def busy(self) -> bool:
        """Whether a measurement is running."""
        return self.measuring.busy

    @property
    def is_complete(self) -> bool:
        """Whether all parts have been measured."""
        return self._answer is not None and self.measuring.is_complete

    def show_answer(self, answer: AblationAnswer, other: str | None, marked: Collection[ModelPart]) -> None:
        """Show another answer, or another text to patch from (None: ablate instead); `marked` parts are outlined."""
        before, was_other = self._answer, self._other
        self._answer, self._other, self._marked = answer, other, marked
        if before is None or [site for site, _ in before.blocks] != [site for site, _ in answer.blocks]:
            self.grid.show_blocks(answer.blocks)
        if before is None or (before.target, before.token, was_other) != (answer.target, answer.token, other):
            self.found = {}
            self.measuring.expect(sum(len(parts) for _, parts in answer.blocks))
            if answer.survey_flops <= MAX_AUTO_SURVEY_FLOPS:
                self.start()
        self._show()

    def start(self) -> None:
        """Start the measurement, from the last layer to the first."""
        from terrarium.models.inspect.ablation import Survey

        answer, words = self._answer, self._other
        if answer is None:
            return
        target, token = answer.target, answer.token
        self.found = {}
        made: list[Survey] = []

        def measure_next(model: AnyModel, tokenizer: Tokenizer) -> list[tuple[ModelPart, float]]:
            if not made:
                other = other_text(model, tokenizer, target, words)
                made.append(Survey(target.to_text(), target.readout(model), token, other))
            return made[0].measure_next(model)

        self.measuring.start(measure_next)

    def cancel(self) -> None:
        """Stop measuring; keep the results so far."""
        self.measuring.cancel()

    @Slot(object)
    def _on_found(self, found: list[tuple[ModelPart, float]]) -> None:
        self.found.update(found)

    @Slot(object)
    def _on_failed(self, failure: Failure) -> None:
        self.title.setText(failure.sentence)

    @Slot()
    def _show(self) -> None:
        answer = self._answer
        if answer is None:
            return
        name = quoted(answer.names[answer.token])
        does = "is off" if self._other is None else "is patched"
        speaks_for = {part: -change for part, change in self.found.items()}  # coloured as in the inputs panel
        reach = self.grid.show_amounts(speaks_for, self._marked, self._describe)
        if self._detail.is_simple:
            self.title.setText(f"How much likelier or less likely {name} gets when a single part {does}.")
            self.scale.show_values("The part speaks", "against it", "for it")
        else:
            self.title.setText(f"Change in log-probability of {name} when a single part {does}, in nats.")
            self.scale.show_values("Change in nats", format_signed(reach), format_signed(-reach))
        self.scale.setToolTip("Square-root scale: a quarter of the change has half of the colour")
        self.scale.setVisible(bool(self.found))
        self.measured.emit()

    def _describe(self, part: ModelPart) -> str:
        words = format_site(part.site, part.head)
        change = self.found.get(part)
        if change is None:
            return f"{words}\nnot measured yet"
        return f"{words}\n{format_effect(change) if self._detail.is_simple else f'{format_signed(change, 3)} nats'}"
