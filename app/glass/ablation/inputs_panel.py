"""The inputs panel: attribution of the token in focus to input tokens, by leave-one-out or by gradient × input."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PySide6.QtCore import QPointF, QRectF, Qt, Slot
from PySide6.QtGui import QColor, QFontMetrics, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QWidget

from terrarium.app.glass.ablation.ablation_answer import MAX_AUTO_SURVEY_FLOPS
from terrarium.app.glass.ablation.inputs_answer import InputsAnswer, contributions, hiding_question, read_inputs
from terrarium.app.glass.ablation.measuring import Measuring
from terrarium.app.glass.ablation.sentences import describe_inputs, describe_move, describe_sum, format_effect, unit_of
from terrarium.app.glass.answer_panel import AnswerPanel
from terrarium.app.glass.colour_scale import ColourScale
from terrarium.app.glass.focus import Focus
from terrarium.app.glass.names import digits_for, quoted, spoken
from terrarium.app.glass.panel_head import About
from terrarium.app.glass.target_token import TargetToken
from terrarium.app.glass.tokens.token_strip import TokenStrip
from terrarium.app.kit.basics import column, label, plain_tip, row
from terrarium.app.kit.chart_export import Columns
from terrarium.app.kit.layout.segments import Segments
from terrarium.app.kit.painted_rows import PaintedRows
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.plots.attention_pictures import short_names
from terrarium.app.plots.heat_map import colour_table
from terrarium.app.session.session import Session
from terrarium.app.worker.failures import Failure
from terrarium.models.number_words import format_exponent, format_signed

if TYPE_CHECKING:
    from terrarium.models.inspect.leave_one_out import InputToken


ABOUT = About(
    title="Inputs",
    term="Attribution",
    shows="Which tokens the answer depends on (input attribution): ochre ones speak for it, blue ones against it.",
    source=(
        "Leave one out: the open model reads the text again while one token is hidden from all others, once for each; "
        "the number is how much the log-probability falls, in nats. An encoder reads a mask in its place. "
        "Gradient × input: the gradient of the token's logit, or log-probability, by each input embedding, times that "
        "embedding; one forward and one backward pass. Both before temperature and truncation."
    ),
    limits=(
        "The model has learned from texts without gaps, so a hidden token may confuse it; and the last token, in whose "
        "place the prediction is made, is hidden from attention only. "
        "Gradient × input is a slope at one point, not what would happen without a token; its sum equals the logit "
        "only in a linear model, and norms remove the scale of their input, so it is often far from it."
    ),
)
_N_ROWS = 10
_BAR = 8  # pixels
_SMALLEST = 1e-4
"""Smaller percentage points are written with an exponent."""


class InputsPanel(AnswerPanel):
    """The inputs panel: contributions of the input tokens to the token in focus, or to the label of the text."""

    is_about_labels = True
    other_words = "Click a token to ask about another word."

    def __init__(self, session: Session, theme: ThemeProvider, focus: Focus, parent: QWidget | None = None) -> None:
        super().__init__(session, theme, focus, ABOUT, self.numbers, parent)
        self._answer: InputsAnswer | None = None
        self.changes: dict[InputToken, float] = {}
        """The measured changes of the answer's log-probability (nats), by the first token of each hidden unit."""
        self.by = Segments("Measured by", {"without": "Leave one out", "gradient": "Gradient × input"})
        self.by.setToolTip(
            plain_tip("What happens without each token; or the slope of the answer by each token's embedding")
        )
        self.of = Segments("Of the", {"logit": "Logit", "log-probability": "Log-probability"})
        self.of.setToolTip("The log-probability also falls if a token favours other tokens")
        self._of_row = QWidget()
        self._of_row.setLayout(row(label("Of the", "caption"), self.of, None))
        self.scale = ColourScale(theme, "diverging")
        self.measuring = Measuring(session, theme, "Hide each token", self._measure, self.scale)
        self.source_title = label("Source", "caption")
        self.source = TokenStrip("Source tokens", theme, max_rows=8)
        self.tokens_title = label("Target so far", "caption")
        self.tokens = TokenStrip("Input tokens", theme, max_rows=12)
        self.total = label("", "caption", wrap=True)
        self.bars_title = label("Largest contributions", "subheading")
        self.bars = SignedBars("Largest contributions", theme)
        self._build()
        for strip in (self.tokens, self.source):
            strip.chosen.connect(self._on_token)
        self.examiner.done.connect(self._on_answer)
        self.measuring.found.connect(self._on_found)
        self.measuring.changed.connect(self._say_what_matters)
        self.measuring.failed.connect(self._on_not_measured)
        session.detail.changed.connect(self._show_amounts)
        for choice in (self.by, self.of):
            choice.changed.connect(self._on_choice)

    def _build(self) -> None:
        self.lines.addLayout(row(self.by, None))
        self.lines.addWidget(self._of_row)
        self.lines.addLayout(column(self.source_title, self.source, spacing=SPACE // 2))
        self.lines.addLayout(column(self.tokens_title, self.tokens, spacing=SPACE // 2))
        self.lines.addWidget(self.measuring)
        self.lines.addWidget(self.bars_title)
        self.lines.addWidget(self.bars)
        self.lines.addWidget(self.total)
        self.lines.addStretch(1)
        self._of_row.hide()

    # -- Asking --------------------------------------------------------------------------------------------------------

    def forget(self) -> None:
        self._answer, self.changes = None, {}
        self.measuring.expect(0)

    def ask(self, target: TargetToken) -> None:
        of = self.of.value if self.by.value == "gradient" else ""
        self.examiner.ask(lambda model, tokenizer: read_inputs(model, tokenizer, target, of))

    @Slot()
    def _on_choice(self) -> None:
        self._of_row.setVisible(self.by.value == "gradient")
        if self.target is not None:
            self.ask(self.target)

    @Slot(int)
    def _on_token(self, index: int) -> None:
        """Lock a clicked token if the model predicts tags, to explain the tag of its word."""
        if self.target is not None and self.target.word:
            self.focus.lock(index)

    def _measure(self) -> None:
        if self._answer is not None:
            self.changes = {}
            self.measuring.start(hiding_question(self._answer))

    # -- Showing -------------------------------------------------------------------------------------------------------

    @Slot(object)
    def _on_answer(self, answer: InputsAnswer) -> None:
        if self.target is None or answer.target != self.target:
            return
        before, self._answer = self._answer, answer
        if before is None or (before.target, before.id, before.own) != (answer.target, answer.id, answer.own):
            self.changes = {}
            self.measuring.expect(len(answer.units))
        if not self.changes and not self.measuring.busy and answer.flops <= MAX_AUTO_SURVEY_FLOPS:
            self._measure()
        text = answer.target.text
        self.measuring.button.setText(f"Hide each {unit_of(text)}")
        self.tokens.show_tokens(text.ids[: answer.n_tokens], text.words[: answer.n_tokens])
        self.source.show_tokens(text.source_ids, text.source_words)
        repeats = bool(answer.n_source) and text.question is not None  # the decoder's input is the source again
        for widget in (self.source, self.source_title):
            widget.setVisible(bool(answer.n_source))
        self.tokens.setVisible(not repeats)
        self.tokens_title.setVisible(bool(answer.n_source) and not repeats)
        self.measuring.setVisible(True)
        self._show_amounts()
        self._say_what_matters()
        self.show_body(target_is_visible=answer.target_is_visible)

    @Slot(object)
    def _on_found(self, found: list[tuple[InputToken, float]]) -> None:
        self.changes.update(found)
        self._show_amounts()

    @Slot(object)
    def _on_not_measured(self, failure: Failure) -> None:
        self.say(failure.sentence)

    @Slot()
    def _say_what_matters(self) -> None:
        answer, measuring = self._answer, self.measuring
        if answer is None:
            return
        self.say(
            describe_inputs(
                spoken(answer.name),
                math.exp(answer.own),
                self.changes,
                answer.named,
                is_complete=measuring.is_complete,
                busy=measuring.busy,
            )
        )

    @Slot()
    def _show_amounts(self) -> None:
        """Show the contributions by the chosen method: all in the strips, and the largest as bars."""
        answer = self._answer
        if answer is None:
            return
        tokens, source = self._amounts(answer)
        reach = max(map(abs, (*tokens, *source)), default=0.0)
        digits, text = digits_for(reach), answer.named
        percent = self._in_percent
        for strip, words, values, in_source in (
            (self.tokens, text.words, tokens, False),
            (self.source, text.source_words, source, True),
        ):
            tips = [
                f"{quoted(words[self._unit(i, in_source).position])}: {self._explain(i, in_source, value, digits)}"
                for i, value in enumerate(values)
            ]
            strip.show_amounts(values, reach, tips)
        is_logit = self.by.value == "gradient" and self.of.value == "logit"
        in_points = "Effect on the probability, in percentage points"
        shown = "Effect on the logit" if is_logit else in_points if percent else "Effect in nats"
        names, sources = short_names(text.words[: len(tokens)]), short_names(text.source_words)
        rows = [(sources[i], value, i, True) for i, value in enumerate(source) if self._has_bar(i, in_source=True)]
        rows += [(names[i], value, i, False) for i, value in enumerate(tokens) if self._has_bar(i, in_source=False)]
        rows.sort(key=lambda row: -abs(row[1]))
        rows = [row for row in rows if format_signed(row[1], digits).strip("+−0.")] or rows[:1]
        self.bars.show_amounts(
            [Amount(name, value, self._explain(i, side, value, digits)) for name, value, i, side in rows[:_N_ROWS]],
            are_points=percent,
        )
        self.scale.show_values(shown, self.bars.written(-reach), self.bars.written(reach))
        for widget in (self.bars_title, self.bars, self.scale):
            widget.setVisible(bool(rows))
        self.total.setText(self._describe_total(answer, sum(tokens) + sum(source), digits))

    @property
    def _in_percent(self) -> bool:
        """Whether amounts are changes of the probability in percentage points, not nats or logits."""
        return self.by.value == "without" and self._session.detail.is_simple

    def _unit(self, index: int, in_source: bool) -> InputToken:
        """Return the first token of the unit that a token is hidden with.

        It is the token itself if it is in no unit, and for gradient × input.
        """
        from terrarium.models.inspect.leave_one_out import InputToken

        token = InputToken(index, in_source)
        return token if self._answer is None or self.by.value == "gradient" else self._answer.unit_of.get(token, token)

    def _has_bar(self, index: int, *, in_source: bool) -> bool:
        """Return whether a token has a bar: its contribution is known, and it is the first token of its unit."""
        unit = self._unit(index, in_source)
        return unit.position == index and (self.by.value == "gradient" or unit in self.changes)

    def _amounts(self, answer: InputsAnswer) -> tuple[list[float], list[float]]:
        """Return the contributions of the tokens of the text, and of its source."""
        if self.by.value == "gradient":
            found = answer.gradient
            return (list(found.tokens), list(found.source)) if found is not None else ([], [])
        return contributions(answer, self.changes, in_percent=self._in_percent)

    def _explain(self, index: int, in_source: bool, value: float, digits: int) -> str:
        """Return the tooltip of a token, about it or its word."""
        where = f"{'source, ' if in_source else ''}token {index + 1}"
        if self.by.value == "gradient":
            return f"{format_signed(value, digits)} ({where})"
        change = self.changes.get(self._unit(index, in_source))
        if change is None:
            return f"not measured ({where})"
        assert self._answer is not None
        name, own = spoken(self._answer.name), math.exp(self._answer.own)
        if self._in_percent:
            return f"without it, {describe_move(name, own, own * math.exp(change), would=True)} ({where})"
        return f"without it, {name} would be {format_effect(change)} ({where})"

    def _describe_total(self, answer: InputsAnswer, total: float, digits: int) -> str:
        if self._in_percent:
            return ""
        if self.by.value == "without":
            return describe_sum(spoken(answer.name), answer.own, self.changes) if self.measuring.is_complete else ""
        if answer.gradient is None:
            return ""
        return (
            f"Sum over all tokens {format_signed(total, digits)}; the {answer.of} of {quoted(answer.name)} is "
            f"{format_signed(answer.gradient.value)}. The two need not agree."
        )

    # -- Export --------------------------------------------------------------------------------------------------------

    def numbers(self) -> Callable[[], Columns]:
        """Return a function that creates the export columns: every token with its contribution."""
        answer = self._answer
        tokens, source = self._amounts(answer) if answer is not None else ([], [])

        def make() -> Columns:
            if answer is None:
                return {"side": [], "position": [], "token": [], "amount": []}
            text, n, m = answer.target.text, len(source), len(tokens)
            return {
                "side": ["source"] * n + ["text"] * m,
                "position": [*range(1, n + 1), *range(1, m + 1)],
                "token": [*text.source_words[:n], *text.words[:m]],
                "amount": [*source, *tokens],
            }

        return make


@dataclass(frozen=True)
class Amount:
    """A row: the name of a token, its amount and its tooltip."""

    name: str
    value: float
    tip: str = ""


class SignedBars(PaintedRows):
    """Positive and negative amounts to the right and left of zero, with their numbers.

    A bar per amount, in the given order, scaled to the largest absolute amount.
    """

    def __init__(self, name: str, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(name, theme, parent)
        self._amounts: Sequence[Amount] = ()
        self._digits: int | None = 3

    def show_amounts(self, amounts: Sequence[Amount], *, are_points: bool = False) -> None:
        """Show other amounts. are_points: whether they are percentage points, shown with two significant digits."""
        self._amounts = amounts
        self._digits = None if are_points else digits_for(self._reach)
        unit = "Percentage points: " if are_points else ""
        self.setAccessibleDescription(unit + ", ".join(f"{a.name} {self.written(a.value)}" for a in amounts))
        self._restyle()

    @property
    def amounts(self) -> Sequence[Amount]:
        """The displayed amounts."""
        return self._amounts

    def written(self, value: float) -> str:
        """Format an amount as it is shown beside its bar."""
        if self._digits is not None:
            return format_signed(value, self._digits)
        size = abs(value)
        if 0.0 < size < _SMALLEST:
            return f"{'−' if value < 0 else '+'}{format_exponent(size)}"
        return format_signed(value, 0 if size >= 9.95 or not size else 1 - math.floor(math.log10(float(f"{size:.1e}"))))

    @property
    def _reach(self) -> float:
        """The largest absolute amount; 1.0 if all are 0."""
        return max((abs(amount.value) for amount in self._amounts), default=1.0) or 1.0

    @property
    def _n_rows(self) -> int:
        return len(self._amounts)

    def tip(self, row: int) -> str:
        return self._amounts[row].tip if 0 <= row < len(self._amounts) else ""

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        colors, font = self._theme.theme, self._theme.mono_font(0.9)
        metrics, height = QFontMetrics(font), self._row_height
        table = colour_table(self._theme, "diverging")
        ends = QColor.fromRgb(int(table[0])), QColor.fromRgb(int(table[-1]))
        numbers = [self.written(amount.value) for amount in self._amounts]
        longest = max((metrics.horizontalAdvance(amount.name) for amount in self._amounts), default=0)
        left = min(longest + 2 * SPACE, int(0.4 * self.width()))
        right = self.width() - SPACE - max(map(metrics.horizontalAdvance, ("+00.000", *numbers)))
        zero, per_amount = (left + right) / 2, (right - left) / 2 / self._reach
        painter.setFont(font)
        for i, (amount, number) in enumerate(zip(self._amounts, numbers, strict=True)):
            line = QRectF(0, i * height, self.width(), height)
            painter.setPen(colors.color("text"))
            name = metrics.elidedText(amount.name, Qt.TextElideMode.ElideRight, left - SPACE)
            painter.drawText(line, Qt.AlignmentFlag.AlignVCenter, name)
            painter.drawText(line, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, number)
            long = amount.value * per_amount
            bar = QRectF(zero, line.center().y() - _BAR / 2, long, _BAR).normalized()
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(ends[amount.value > 0])
            painter.drawRoundedRect(bar, 2, 2)
        painter.setPen(QPen(colors.color("border_strong"), 1))
        painter.drawLine(QPointF(zero, 0), QPointF(zero, self.height()))
