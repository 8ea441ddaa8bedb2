"""The attribution panel: how much each input token contributes to the token in focus, by gradient × input."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PySide6.QtCore import Slot
from PySide6.QtWidgets import QWidget

from app.glass.answer_panel import AnswerPanel
from app.glass.causes.signed_bars import Amount, SignedBars
from app.glass.colour_scale import ColourScale
from app.glass.focus import Focus
from app.glass.names import digits_for, quoted, token_names
from app.glass.panel_head import About
from app.glass.target_token import TargetToken
from app.glass.tokens.token_strip import TokenStrip
from app.kit.basics import column, label, row
from app.kit.chart_export import Columns
from app.kit.figures.attention_pictures import short_names
from app.kit.layout.segments import Segments
from app.kit.theme import SPACE, ThemeProvider
from app.session.session import Session
from models.number_words import format_signed

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from models.architecture.transformer import AnyModel
    from models.events import Event
    from models.inspect.input_attribution import Attribution

ABOUT = About(
    title="Input attribution",
    term="Attribution",
    shows="How much each input token contributes to this one: ochre raises it, blue lowers it.",
    source=(
        "Gradient × input: the gradient of the token's logit, or log-probability, by each input embedding, times "
        "that embedding; one forward and one backward pass, before temperature and truncation."
    ),
    limits=(
        "It is a slope at one point, not what would happen without a token: for that, hide the token under “Switch "
        "off”. The sum equals the logit only in a linear model; norms remove the scale of their input, so it is often "
        "far from it."
    ),
)

_N_ROWS = 10


@dataclass(frozen=True, kw_only=True)
class _Answer:
    target: TargetToken
    of: str
    name: str
    found: Attribution
    sees_itself: bool


class AttributionPanel(AnswerPanel):
    """The attributions for the token in focus."""

    def __init__(self, session: Session, theme: ThemeProvider, focus: Focus, parent: QWidget | None = None) -> None:
        super().__init__(session, theme, focus, ABOUT, self.numbers, parent)
        self._answer: _Answer | None = None
        self.of = Segments("Of the", {"logit": "Logit", "log-probability": "Log-probability"})
        self.of.setToolTip("The log-probability also falls if a token favours other tokens")
        self.scale = ColourScale(theme, "diverging")
        self.source_title = label("Source", "caption")
        self.source = TokenStrip("Source tokens", theme, max_rows=6)
        self.tokens_title = label("Target so far", "caption")
        self.tokens = TokenStrip("Input tokens", theme, max_rows=8)
        self.total = label("", "caption", wrap=True)
        self.bars = SignedBars("Largest attributions", theme)
        self.lines.addLayout(row(label("Of the", "caption"), self.of, None))
        self.lines.addLayout(column(self.source_title, self.source, spacing=SPACE // 2))
        self.lines.addLayout(column(self.tokens_title, self.tokens, spacing=SPACE // 2))
        self.lines.addLayout(row(None, self.scale))
        self.lines.addWidget(self.total)
        self.lines.addWidget(label("Largest attributions", "subheading"))
        self.lines.addWidget(self.bars)
        self.lines.addStretch(1)
        self.examiner.done.connect(self._on_answer)
        self.of.changed.connect(self._on_of)

    def forget(self) -> None:
        self._answer = None

    def ask(self, target: TargetToken) -> None:
        of = self.of.value
        self.examiner.ask(lambda model, tokenizer: _attribute(model, tokenizer, target, of))

    @Slot()
    def _on_of(self) -> None:
        if self.target is not None:
            self.ask(self.target)

    @Slot(object)
    def _on_answer(self, answer: _Answer) -> None:
        if self.target is None or answer.target != self.target:
            return
        self._answer = answer
        found, text = answer.found, answer.target.text
        reach = max((abs(value) for value in (*found.tokens, *found.source)), default=0.0)
        n, digits = len(found.tokens), digits_for(reach)
        for strip, ids, words, values in (
            (self.tokens, text.ids[:n], text.words[:n], found.tokens),
            (self.source, text.source_ids, text.source_words, found.source),
        ):
            strip.show_tokens(ids, words)
            tips = [
                f"{quoted(word)}: {format_signed(value, digits)}" for word, value in zip(words, values, strict=True)
            ]
            strip.show_amounts(values, reach, tips)
        for widget in (self.source, self.source_title, self.tokens_title):
            widget.setVisible(bool(found.source))
        self.scale.show_ends(format_signed(-reach, digits), format_signed(reach, digits))
        self.total.setText(
            f"Sum over all tokens {format_signed(found.total, digits)}; the {answer.of} of {quoted(answer.name)} is "
            f"{format_signed(found.value)}. The two need not agree."
        )
        self._show_top(answer)
        self.show_body(sees_itself=answer.sees_itself)

    def _show_top(self, answer: _Answer) -> None:
        found, text = answer.found, answer.target.text
        source, tokens = short_names(text.source_words), short_names(text.words[: len(found.tokens)])
        rows = [(source[i], value, "source, ", i) for i, value in enumerate(found.source)]
        rows += [(tokens[i], value, "", i) for i, value in enumerate(found.tokens)]
        rows.sort(key=lambda row: -abs(row[1]))
        self.bars.show_amounts([Amount(word, value, f"{side}token {i + 1}") for word, value, side, i in rows[:_N_ROWS]])

    def numbers(self) -> Callable[[], Columns]:
        """Every token with its attribution."""
        answer = self._answer

        def make() -> Columns:
            if answer is None:
                return {"side": [], "position": [], "token": [], "amount": []}
            text, found = answer.target.text, answer.found
            n, m = len(found.source), len(found.tokens)
            return {
                "side": ["source"] * n + ["text"] * m,
                "position": [*range(1, n + 1), *range(1, m + 1)],
                "token": [*text.source_words[:n], *text.words[:m]],
                "amount": [*found.source, *found.tokens],
            }

        return make


def _attribute(model: AnyModel, tokenizer: Tokenizer, target: TargetToken, of: str) -> Generator[Event, None, _Answer]:
    """Answer the panel's question. Runs on the worker's thread."""
    from models.inspect.ablation import ablated_logits
    from models.inspect.input_attribution import attribute_in_steps

    text, at, token = target.to_text(), target.at(model), target.token(model, tokenizer)
    if token < 0:
        token = int(ablated_logits(model, text, at, [()])[0].argmax())
    found = yield from attribute_in_steps(model, text, at, token, of)
    return _Answer(
        target=target,
        of=of,
        name=token_names(tokenizer, [token])[token],
        found=found,
        sees_itself=target.sees_itself(model, tokenizer),
    )
