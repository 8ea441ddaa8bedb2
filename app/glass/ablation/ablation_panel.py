"""The ablation panel: switch parts off, hide tokens or patch activations from another text, and see the effect."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PySide6.QtCore import QRectF, Qt, QTimer, Slot
from PySide6.QtGui import QFontMetrics, QPainter, QPaintEvent
from PySide6.QtWidgets import QPlainTextEdit, QWidget

from terrarium.app.glass.ablation.ablation_answer import AblationAnswer, Intervention, compare_at, generate_both
from terrarium.app.glass.ablation.part_survey import PartSurvey
from terrarium.app.glass.ablation.sentences import describe_change, describe_survey
from terrarium.app.glass.answer_panel import AnswerPanel
from terrarium.app.glass.examiner import Examiner
from terrarium.app.glass.focus import Focus
from terrarium.app.glass.names import quoted, spoken
from terrarium.app.glass.panel_head import About
from terrarium.app.glass.target_token import TargetToken
from terrarium.app.glass.tokens.token_chips import Chip, TokenChips
from terrarium.app.glass.tokens.token_strip import TokenStrip
from terrarium.app.kit.basics import button, column, label, plain_tip
from terrarium.app.kit.chart_export import Columns
from terrarium.app.kit.layout.flow_layout import wrapping
from terrarium.app.kit.layout.segments import Segments
from terrarium.app.kit.painted_rows import PaintedRows
from terrarium.app.kit.setting_names.value_words import format_site
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.session.session import Session
from terrarium.app.worker.failures import Failure
from terrarium.models.number_words import format_count, format_prob, format_signed
from terrarium.models.settings.sampling_config import SamplingConfig

if TYPE_CHECKING:
    from terrarium.models.inspect.ablation import ModelPart


ABOUT = About(
    title="Switch off",
    term="Ablation",
    shows="Switch off parts of the model, or hide tokens, and see what happens to the answer (ablation). Ochre parts "
    "speak for it: without them it is less likely. Blue ones speak against it.",
    source=(
        "The open model reads the text again, unchanged and changed, in one pass each. A head or part that is off adds "
        "nothing to the residual stream, at any position; norms and biases of other parts stay. With another text, a "
        "part outputs what it did there instead (activation patching), both texts aligned at the end. Probabilities "
        "are over the whole vocabulary, before temperature and truncation."
    ),
    limits=(
        "A part whose removal changes nothing may still matter, since others can compensate for it. One whose removal "
        "changes much may only have kept activations in the range that later layers expect."
    ),
)
_PAUSE_MS = 400  # debounce after the last keystroke
_N_TOKENS = 16
_BAR = 5  # pixels


class AblationPanel(AnswerPanel):
    """The ablation panel: interventions and their effect on the token in focus, or on the label of the text."""

    is_about_labels = True

    def __init__(self, session: Session, theme: ThemeProvider, focus: Focus, parent: QWidget | None = None) -> None:
        super().__init__(session, theme, focus, ABOUT, self.numbers, parent)
        self.answer: AblationAnswer | None = None
        self._parts: list[ModelPart] = []
        self._masked: set[int] = set()
        self._masked_source: set[int] = set()
        self._writer = Examiner(session.worker, session.chat, self)
        self.how = Segments("Chosen parts", {"off": "Off", "other": "From another text"})
        self.other = QPlainTextEdit()
        self.other.setAccessibleName("The other text")
        self.other.setFixedHeight(58)
        self.other_note = label("", "caption", wrap=True)
        self.typing = QTimer(self, singleShot=True, interval=_PAUSE_MS)
        self.survey = PartSurvey(session, theme)
        self.chips = TokenChips("What is changed", theme)
        self.source_title = label("Source: click a token to hide it", "caption")
        self.source = TokenStrip("Source tokens", theme, max_rows=3)
        self.tokens_title = label("Click a token to hide it", "caption")
        self.tokens = TokenStrip("Input tokens", theme, max_rows=6)
        self.result = label("", "subheading", wrap=True)
        self.facts = label("", "caption", wrap=True)
        self.pairs = _BeforeAfter(theme)
        self.continuation_title = label("Continuation", "subheading")
        self.draws = Segments("How tokens are chosen", {"greedy": "Greedy", "drawn": "As drawn"})
        self.draws.setToolTip(
            plain_tip("Always the most likely token, or sampled with the settings and random numbers of the reply")
        )
        self.generate_button = button("Continue", theme, self._on_generate, icon="play")
        self.before, self.after = (label("", "mono-small", wrap=True, selectable=True) for _ in range(2))
        self._build()
        self._connect()

    def _build(self) -> None:
        self.how_row = wrapping(label("Chosen parts are", "caption"), self.how)
        self.lines.addWidget(self.how_row)
        self.lines.addLayout(column(self.other, self.other_note, self.survey, spacing=SPACE // 2))
        self.lines.addLayout(column(self.source_title, self.source, spacing=SPACE // 2))
        self.lines.addLayout(column(self.tokens_title, self.tokens, self.chips, spacing=SPACE // 2))
        self.lines.addLayout(column(self.result, self.facts, self.pairs, spacing=SPACE // 2))
        self.lines.addWidget(self.continuation_title)
        self.lines.addWidget(wrapping(self.draws, self.generate_button))
        self.lines.addWidget(self.before)
        self.lines.addWidget(self.after)
        self.lines.addStretch(1)

    def _connect(self) -> None:
        self.examiner.done.connect(self._on_answer)
        self._writer.done.connect(self._on_written)
        self._writer.failed.connect(self._on_not_written)
        self.survey.chosen.connect(self._on_part)
        self.survey.measured.connect(self._say_what_matters)
        self.tokens.chosen.connect(lambda i: self._toggle(self._masked, i))
        self.source.chosen.connect(lambda i: self._toggle(self._masked_source, i))
        self.chips.removed.connect(self._on_removed)
        self.how.changed.connect(self._ask_again)
        self.other.textChanged.connect(self.typing.start)
        self.typing.timeout.connect(self._ask_again)

    @property
    def intervention(self) -> Intervention:
        """The current intervention."""
        return Intervention(
            parts=tuple(self._parts),
            other=self.other.toPlainText() if self.how.value == "other" and self.other.toPlainText() else None,
            masked=frozenset(self._masked),
            masked_source=frozenset(self._masked_source),
        )

    # -- Asking --------------------------------------------------------------------------------------------------------

    def forget(self) -> None:
        self.answer = None
        self._parts.clear()
        self._masked.clear()
        self._masked_source.clear()
        self.survey.cancel()
        self._writer.forget()
        if self.focus.text is not None and self.focus.text.question is not None:
            self.how.choose("off")
        self.other.blockSignals(True)
        self.other.clear()
        self.other.blockSignals(False)

    def ask(self, target: TargetToken) -> None:
        how = self.intervention
        self.examiner.ask(lambda model, tokenizer: compare_at(model, tokenizer, target, how))

    @Slot()
    def _ask_again(self) -> None:
        target = self.target
        if target is not None:
            self.ask(target)

    # -- Showing -------------------------------------------------------------------------------------------------------

    @Slot(object)
    def _on_answer(self, answer: AblationAnswer) -> None:
        target = self.target
        if target is None or target != answer.target:
            return
        if self.answer is None or self.answer.target != target:
            self._writer.forget()
            self.before.clear()
            self.after.clear()
        self.answer = answer
        patches = self.how.value == "other"
        if patches and not self.other.toPlainText():
            self.other.setPlainText(answer.read)  # the user changes a word in it
        self.other.setVisible(patches)
        self.other_note.setVisible(patches)
        self.other_note.setText(self._describe_other(answer))
        self.survey.show_answer(answer, self.intervention.other, self._parts)
        self._show_tokens(target)
        self._show_chips()
        self._show_change(answer)
        self._say_what_matters()
        self.show_body(target_is_visible=answer.target_is_visible)

    @Slot()
    def _say_what_matters(self) -> None:
        answer, how, survey = self.answer, self.intervention, self.survey
        if answer is None:
            return
        before, after = next((p, q) for id, p, q in answer.change.tokens if id == answer.token)
        word = spoken(answer.names[answer.token])
        if not how.is_empty:
            self.say(describe_change(word, before, after))
            return
        is_patched = how.other is not None
        self.say(
            describe_survey(
                word, before, survey.found, is_complete=survey.is_complete, busy=survey.busy, patched=is_patched
            )
        )

    def _describe_other(self, answer: AblationAnswer) -> str:
        here, there = format_count(answer.n_read, "token"), format_count(answer.n_other, "token")
        if not answer.n_other or answer.n_read == answer.n_other:
            return f"Change a word in it. Both texts have {here}." if answer.n_other else "Change a word in it."
        return f"The other text has {there}, this one {here}: they are aligned at the end."

    def _show_tokens(self, target: TargetToken) -> None:
        text = target.text
        end = len(text.ids) if self._is_encoder or text.question is not None else target.position
        self.tokens.show_tokens(text.ids[:end], text.words[:end])
        self.tokens.cross_out(self._masked)
        repeats = text.question is not None and bool(text.source_ids)  # the decoder's input is the source again
        for widget in (self.tokens, self.tokens_title):
            widget.setVisible(not repeats)
        self.source.show_tokens(text.source_ids, text.source_words)
        self.source.cross_out(self._masked_source)
        self.source.setVisible(bool(text.source_ids))
        self.source_title.setVisible(bool(text.source_ids))
        does = "mask" if self._is_encoder else "hide"
        self.tokens_title.setText(f"Click a token to {does} it")

    def _show_chips(self) -> None:
        text, target = self.focus.text, self.target
        assert text is not None
        assert target is not None
        chips = [Chip(format_site(part.site, part.head), "Click to restore it") for part in self._parts]
        does = "masked" if self._is_encoder else "hidden"
        chips += [Chip(f"{quoted(text.words[i])} {does}", "Click to show it again") for i in sorted(self._masked)]
        chips += [
            Chip(f"{quoted(text.source_words[i])} hidden", "Click to show it again")
            for i in sorted(self._masked_source)
        ]
        self.chips.show_chips(chips)
        self.chips.setVisible(bool(chips))

    def _show_change(self, answer: AblationAnswer) -> None:
        change, names = answer.change, answer.names
        how = self.intervention
        before, after = next((p, q) for id, p, q in change.tokens if id == answer.token)
        name = quoted(names[answer.token])
        if how.is_empty:
            self.result.setText(f"Probability of {name}: {format_prob(before)}")
            self.facts.setText("Click parts or tokens above to change something.")
        else:
            self.result.setText(f"{name}: {format_prob(before)} before, {format_prob(after)} after")
            self.facts.setText(
                f"Its log-probability changes by {format_signed(change.log_ratio, 3)} nats. KL divergence of the whole "
                f"answer: {change.divergence:.3f} nats."
            )
        self.facts.setVisible(how.is_empty or not self._session.detail.is_simple)
        self.pairs.show_pairs([_Pair(names[id], p, q, id == answer.token) for id, p, q in change.tokens])
        labels = answer.target.text.question is not None
        for widget in (self.continuation_title, self.generate_button, self.draws, self.before, self.after):
            widget.setVisible(not self._is_encoder and not labels)
        self.how_row.setVisible(not labels)  # patching needs a text formatted like a row of the task

    # -- Choosing ------------------------------------------------------------------------------------------------------

    @Slot(object)
    def _on_part(self, part: ModelPart) -> None:
        if part in self._parts:
            self._parts.remove(part)
        else:
            self._parts.append(part)
        self._ask_again()

    def _toggle(self, masked: set[int], i: int) -> None:
        masked ^= {i}
        self._ask_again()

    @Slot(int)
    def _on_removed(self, i: int) -> None:
        n, m = len(self._parts), len(self._masked)
        if i < n:
            del self._parts[i]
        elif i < n + m:
            self._masked.remove(sorted(self._masked)[i - n])
        else:
            self._masked_source.remove(sorted(self._masked_source)[i - n - m])
        self._ask_again()

    # -- Continuing ----------------------------------------------------------------------------------------------------

    def _on_generate(self) -> None:
        target, how = self.target, self.intervention
        if target is None:
            return
        sampling = target.text.sampling if self.draws.value == "drawn" else SamplingConfig(temperature=0.0)
        self.before.setText("Writing…")
        self.after.clear()
        self._writer.ask(lambda model, tokenizer: generate_both(model, tokenizer, target, how, _N_TOKENS, sampling))

    @Slot(object)
    def _on_written(self, texts: tuple[str, str]) -> None:
        self.before.setText(f"Before: {texts[0]}")
        self.after.setText(f"After:  {texts[1]}")

    @Slot(object)
    def _on_not_written(self, failure: Failure) -> None:
        self.before.setText(failure.sentence)

    # -- Export --------------------------------------------------------------------------------------------------------

    def numbers(self) -> Callable[[], Columns]:
        """Return a function that creates the export columns.

        They are the measured change without each single part, then the probabilities of the top tokens before and
        after the current intervention.
        """
        answer, found, changed = self.answer, dict(self.survey.found), [chip.words for chip in self.chips.chips]

        def make() -> Columns:
            keys = ("what", "part", "head", "token", "before", "after", "log_probability_change")
            if answer is None:
                return {key: [] for key in keys}
            name, what = answer.names[answer.token], "; ".join(changed) or "nothing changed"
            rows: list[tuple[str | float | None, ...]] = [
                ("one part alone", part.site, None if part.head is None else part.head + 1, name, None, None, change)
                for part, change in found.items()
            ]
            rows += [
                (what, None, None, answer.names[id], p, q, math.log(q / p) if p > 0 and q > 0 else None)
                for id, p, q in answer.change.tokens
            ]
            return dict(zip(keys, map(list, zip(*rows, strict=True)), strict=True))

        return make


@dataclass(frozen=True)
class _Pair:
    """A token, or a label, with its probability before and after an intervention."""

    name: str
    before: float
    after: float
    is_target: bool = False


class _BeforeAfter(PaintedRows):
    """The top tokens before and after an intervention.

    A row per token: a grey bar (before) above a coloured one (after), and both numbers. The target token is bold.
    """

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__("Before and after", theme, parent)
        self._pairs: Sequence[_Pair] = ()

    def show_pairs(self, pairs: Sequence[_Pair]) -> None:
        """Show other pairs."""
        self._pairs = pairs
        self.setAccessibleDescription(
            ", ".join(f"{p.name} {format_prob(p.before)} then {format_prob(p.after)}" for p in pairs)
        )
        self._restyle()

    @property
    def pairs(self) -> Sequence[_Pair]:
        """The displayed pairs."""
        return self._pairs

    @property
    def _n_rows(self) -> int:
        return len(self._pairs)

    def tip(self, row: int) -> str:
        if not 0 <= row < len(self._pairs):
            return ""
        pair = self._pairs[row]
        return f"{quoted(pair.name)}: {format_prob(pair.before)} before, {format_prob(pair.after)} after"

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        colors, font = self._theme.theme, self._theme.mono_font(0.9)
        metrics, height = QFontMetrics(font), self._row_height
        name_width = min(int(0.3 * self.width()), 130)
        numbers = [format_prob(p) for pair in self._pairs for p in (pair.before, pair.after)]
        number = max((metrics.horizontalAdvance(words) for words in numbers), default=0)
        arrow = metrics.horizontalAdvance(" → ")
        right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        for i, pair in enumerate(self._pairs):
            line = QRectF(0, i * height, self.width(), height)
            font.setBold(pair.is_target)
            painter.setFont(font)
            painter.setPen(colors.color("text"))
            name = metrics.elidedText(pair.name, Qt.TextElideMode.ElideRight, name_width - SPACE)
            painter.drawText(line, Qt.AlignmentFlag.AlignVCenter, name)
            font.setBold(False)
            painter.setFont(font)
            painter.drawText(line, right, format_prob(pair.after))
            painter.setPen(colors.color("muted"))
            painter.drawText(line.adjusted(0, 0, -number, 0), right, " → ")
            painter.drawText(line.adjusted(0, 0, -number - arrow, 0), right, format_prob(pair.before))
            track = QRectF(name_width, line.top(), self.width() - name_width - 2 * number - arrow - SPACE, height)
            self._draw_bar(painter, track, line.center().y() - _BAR - 0.5, pair.before, "faint")
            self._draw_bar(painter, track, line.center().y() + 0.5, pair.after, "accent")

    def _draw_bar(self, painter: QPainter, track: QRectF, top: float, p: float, role: str) -> None:
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(self._theme.theme.color(role))
        painter.drawRoundedRect(QRectF(track.left(), top, max(track.width() * p, 1.5), _BAR), 2, 2)
