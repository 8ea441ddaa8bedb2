"""The next-token panel: the distribution at one position, the effect of each sampling setting, and the draw."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Generator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QRect, Slot
from PySide6.QtWidgets import QScrollArea, QWidget

from terrarium.app.glass.answer_panel import AnswerPanel
from terrarium.app.glass.focus import Focus
from terrarium.app.glass.names import quoted, token_names
from terrarium.app.glass.next_token.xray_table import XrayTable
from terrarium.app.glass.panel_head import About
from terrarium.app.glass.read_text import ReadText
from terrarium.app.glass.stage_bars import StageBars
from terrarium.app.glass.target_token import TargetToken
from terrarium.app.glass.token_sentence import describe_token, how_chosen
from terrarium.app.glass.xray import Xray, all_rows, x_ray
from terrarium.app.kit.basics import column, label, row
from terrarium.app.kit.chart_export import Columns
from terrarium.app.kit.forms.sampling_sliders import sampling_slider
from terrarium.app.kit.layout.section import Section
from terrarium.app.kit.layout.segments import Segments
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.session.session import Session
from terrarium.models.inference.sampling_steps import SamplingState, sampling_steps
from terrarium.models.number_words import format_prob
from terrarium.models.settings.sampling_config import STEP_OF, SamplingConfig, is_same_sampling

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from terrarium.models.architecture.transformer import AnyModel
    from terrarium.models.events import Event
    from terrarium.models.inspect.next_tokens import NextTokens

ABOUT = About(
    title="Next token",
    term="Sampling",
    shows="The probability of each token here, and how the settings changed it before one was drawn.",
    source=(
        "The open model reads the whole text again; all logits of the last 512 tokens are kept, as float32. The "
        "sampling steps are the same code that generates replies, over the whole vocabulary, so changing a setting "
        "needs no model. Bars show the top 40 tokens one by one and all others in grey; the draw is the random number "
        "used for the reply."
    ),
    limits=(
        "A probability says how expected a token is here, not how true the statement is. The draw is chance: nothing "
        "in the text caused that number."
    ),
)


@dataclass(frozen=True)
class _Read:
    """A text with its logits. mask: the id of the mask token, or None."""

    text: ReadText
    given: NextTokens
    mask: int | None


@dataclass(frozen=True)
class _Replayed:
    """The sampling states at the tokens of a reply with some settings, from the first token on."""

    text: ReadText
    config: SamplingConfig
    states: list[SamplingState]


_REPLAYED_HERE = 4
"""Up to how many sampling states are computed on the window's thread; each takes up to 5 ms."""

_TRIED = ("temperature", "top_k", "top_p", "min_p")
"""The settings with a slider in this panel; more would leave no space for the bars."""


class NextTokenPanel(AnswerPanel):
    """Bars and a table of the distribution that the token in focus was sampled from.

    It is computed with the settings of the reply or with those of the sampling panel. Sliders try other settings.
    """

    def __init__(self, session: Session, theme: ThemeProvider, focus: Focus, parent: QWidget | None = None) -> None:
        super().__init__(session, theme, focus, ABOUT, self.numbers, parent)
        self._read: _Read | None = None
        self._requested_text: ReadText | None = None
        self._sampling = SamplingConfig()
        self._tokenizer: Tokenizer | None = None
        self._words: dict[int, str] = {}
        self._state_of: tuple[ReadText, SamplingConfig] | None = None
        self._states: list[SamplingState] = []
        self.xray: Xray | None = None
        """The displayed X-ray, or None."""
        self.by = Segments(
            "Settings",
            {"drawn": "As drawn", "now": "Current"},
            "The settings of the reply, or those of the sampling panel",
        )
        self.summary = label("", "caption", wrap=True)
        self.bars = StageBars(theme)
        self.table = XrayTable(theme)
        self.others = label("", "caption", wrap=True)
        self.sliders = {name: sampling_slider(name, in_line=True) for name in _TRIED}
        widest = max(slider.label_width for slider in self.sliders.values())
        for name, slider in self.sliders.items():
            slider.set_label_width(widest)
            slider.changed.connect(partial(self._on_tried, name))
        tried = QWidget()
        lines = column(spacing=SPACE // 2)
        lines.addLayout(row(label("Settings", "caption"), self.by, None))
        lines.addLayout(column(*self.sliders.values(), spacing=2))
        tried.setLayout(lines)
        self.tried = Section("Try other settings", theme, folded=True)
        self.tried.set_body(tried)
        self.lines.addWidget(self.tried)
        for widget in (self.summary, self.bars, self.table, self.others):
            self.lines.addWidget(widget)
        self.lines.addStretch(1)
        self.examiner.done.connect(self._on_answer)
        self.by.changed.connect(self._update_xray)
        for view in (self.bars, self.table):
            view.chosen.connect(self._on_chosen)
        self.table.walked.connect(self._on_walked)

    def set_sampling(self, config: SamplingConfig) -> None:
        """Set the settings of the sampling panel; show their effect if they differ from those of the reply."""
        is_new, self._sampling = not is_same_sampling(config, self._sampling), config
        text = self.focus.text
        if is_new and text is not None and not self._is_encoder:
            is_same = is_same_sampling(config, text.sampling)
            self.by.choose("drawn" if is_same else "now")
            if not is_same:
                self.tried.set_folded(False)  # so that it is visible that these are not the reply's settings
            self._update_xray()

    def _on_tried(self, name: str, value: float) -> None:
        """Change one of the displayed settings; length, seed and stop texts are those of the sampling panel."""
        target = self.target
        shown = self._config(target.text) if target is not None else self._sampling
        drawn: dict[str, Any] = {each: getattr(shown, each) for each in STEP_OF}
        self._sampling = dataclasses.replace(self._sampling, **(drawn | {name: value}))
        self.by.choose("now")
        self._update_xray()
        self.sampling_changed.emit(self._sampling)

    # -- Asking --------------------------------------------------------------------------------------------------------

    def forget(self) -> None:
        self._read = self._requested_text = self.xray = self._state_of = None
        self.by.choose("drawn")
        self._tokenizer = self._session.chat.tokenizer
        self._words.clear()

    def ask(self, target: TargetToken) -> None:
        text = target.text
        if self._read is not None and self._read.text is text:
            self._update_xray()
        elif self._requested_text is not text:
            self._requested_text = text
            self.examiner.ask(lambda model, tokenizer: _read(model, tokenizer, text))

    @Slot(object)
    def _on_answer(self, answer: _Read | _Replayed) -> None:
        if answer.text is not self.focus.text:
            return
        if isinstance(answer, _Read):
            self._read, self._state_of = answer, None
        elif self._state_of == (answer.text, answer.config):
            self._states = answer.states
        self._update_xray()

    @Slot()
    def _update_xray(self) -> None:
        """Compute the X-ray of the token in focus: about 3 ms for a vocabulary of 49,152 tokens and all settings."""
        target, read = self.target, self._read
        if target is None or read is None or read.text is not target.text:
            return
        text, position = target.text, target.position
        logits = read.given.at(position)
        if logits is None:
            self._explain_missing(position)
            return
        draw = text.draws[position - text.n_prompt] if text.draws and position >= text.n_prompt else None
        config, before = self._config(text), text.ids[:position]
        try:
            state = self._state(text, position, config)
            if state is None:
                return
            xray = x_ray(logits, config, before, text.n_prompt, text.ids[position], draw, state)
        except ValueError as error:  # a bias for an unknown token, or an unknown state
            self.show_message("This cannot be inspected", str(error))
            return
        self.xray = dataclasses.replace(xray, bars=xray.bars[:1]) if self._is_encoder else xray
        self.show_body()
        self._draw()

    def _config(self, text: ReadText) -> SamplingConfig:
        if self._is_encoder:  # an encoder does not sample
            return SamplingConfig(temperature=1.0)
        return text.sampling if self.by.value == "drawn" else self._sampling

    def _state(self, text: ReadText, position: int, config: SamplingConfig) -> SamplingState | None:
        """Return the sampling state before a position; None while the worker computes it, since it takes many tokens.

        Raises:
            ValueError: if it depends on logits that are not kept.
        """
        if self._state_of != (text, config):
            self._state_of, self._states = (text, config), [SamplingState(config)]  # for the first tokens of the reply
        read, states, n = self._read, self._states, position - text.n_prompt + 1
        assert read is not None
        if states[0].remembers and n - len(states) > _REPLAYED_HERE:
            self.examiner.ask(lambda model, tokenizer: _Replayed(text, config, _replay(read, config, states, n)))
            return None
        if states[0].remembers and n > len(states):
            self._states = states = _replay(read, config, states, n)
        return states[max(0, min(n, len(states)) - 1)]

    def _explain_missing(self, position: int) -> None:
        if position == 0 and not self._is_encoder:
            self.show_message("Nothing predicts the first token", "Nothing comes before it: point at a later one.")
        else:
            n = len(self._read.given.logits) if self._read is not None else 0
            self.show_message(
                "Too far back", f"Only the distributions of the last {n:,} tokens are kept: point at one of those."
            )

    # -- Showing -------------------------------------------------------------------------------------------------------

    def _draw(self) -> None:
        target, xray = self.target, self.xray
        if target is None or xray is None:
            return
        can_choose = target.position >= target.text.n_prompt and not self._is_encoder
        ids = {*xray.order, *(each.id for each in xray.rows)}
        self._words |= token_names(self._tokenizer, ids - self._words.keys())
        self.table.set_drawn(not self._is_encoder)
        for view in (self.bars, self.table):
            view.show_xray(xray, self._words.__getitem__, can_choose=can_choose)
        self.tried.setVisible(not self._is_encoder)
        for name, slider in self.sliders.items():
            if slider.value != getattr(xray.config, name):  # else a slider would move while it is dragged
                slider.set_value(getattr(xray.config, name))
        mark = target.text.mark_at(target.position)
        told = mark.sentence(target.text.words[target.position]) if mark is not None else ""
        is_tried = not self._is_encoder and not is_same_sampling(xray.config, target.text.sampling)
        mask = self._read.mask if self._read is not None else None
        how = how_chosen(target.text, target.position, xray, mask, is_encoder=self._is_encoder)
        learned = target.text.step != self.examiner.step
        self.say(describe_token(xray, self._words.__getitem__, how, tried=is_tried, learned=learned, told=told))
        self.summary.setText(self._describe(target, xray))
        left = f"{xray.n_left:,} of {xray.n_tokens:,} tokens can be drawn"
        self.others.setText(f"{left}; {format_prob(xray.removed)} is cut off." if xray.removed > 0 else f"{left}.")
        self.others.setVisible(not self._is_encoder)

    def _describe(self, target: TargetToken, xray: Xray) -> str:
        """Summarise the draw in one or two sentences."""
        text, position = target.text, target.position
        own = xray.row_of(xray.chosen)
        word = quoted(text.words[position])
        given = f"{word}: {format_prob(own.own)} in the model, rank {own.rank:,} of {xray.n_tokens:,}"
        if self._is_encoder:
            if self._read is not None and text.ids[position] == self._read.mask:
                best = xray.rows[0]
                fits = f"{quoted(self._words[best.id])} is most likely, with {format_prob(best.own)}"
                return f"Masked: {fits}. Nothing is drawn."
            return f"{given}. The model sees this token: mask it to see what else would fit."
        if position < text.n_prompt:
            return f"{given}. It was read, not drawn."
        mark = text.mark_at(position)
        if mark is not None:
            return f"{given}; {format_prob(own.final)} after all settings. {mark.sentence(text.words[position])}"
        if xray.config.temperature == 0.0:
            taken = "It was taken" if xray.lands == xray.chosen else f"{self._hit(xray)} is taken"
            return f"{given}. {taken} as the most likely: nothing is drawn."
        final = (
            f"{given}; {format_prob(own.final)} after all settings."
            if not own.cut
            else f"{given}; cut off by these settings."
        )
        if xray.draw is None:
            by_hand = any(draw is not None for draw in text.draws)
            return f"{final} {'It was chosen by hand.' if by_hand else 'Its draw is unknown.'}"
        if xray.lands == xray.chosen:
            return (
                f"{final} The draw landed on it." if self.by.value == "drawn" else f"{final} The same draw lands on it."
            )
        return f"{final} With these settings the same draw lands on {self._hit(xray)}."

    def _hit(self, xray: Xray) -> str:
        return quoted(self._words[xray.lands]) if xray.lands is not None else ""

    @Slot(int)
    def _on_chosen(self, id: int) -> None:
        position = self.focus.position
        if position is not None:
            self.focus.branch_requested.emit(position, id)

    @Slot(QRect)
    def _on_walked(self, rect: QRect) -> None:
        area, at = self._pages.widget(0), self.table.mapTo(self.body, rect.center())
        assert isinstance(area, QScrollArea)
        area.ensureVisible(at.x(), at.y(), 0, rect.height())

    def numbers(self) -> Callable[[], Columns]:
        target, read, tokenizer = self.target, self._read, self._tokenizer
        logits = read.given.at(target.position) if target is not None and read is not None else None
        if target is None or logits is None:
            return dict
        text, config, is_encoder = target.text, self._config(target.text), self._is_encoder
        chosen = text.ids[target.position]
        try:
            state = self._state(text, target.position, config)
        except ValueError:  # shown by the panel
            return dict
        if state is None:
            return dict

        def columns() -> Columns:
            rows = all_rows(logits, config, text.ids[: target.position], text.n_prompt, state)
            names = token_names(tokenizer, (each.id for each in rows))
            own: Columns = {
                "rank": [each.rank for each in rows],
                "id": [each.id for each in rows],
                "token": [names[each.id] for each in rows],
                "stands_here": [each.id == chosen for each in rows],
                "own": [each.own for each in rows],
            }
            drawn: Columns = {
                "after_temperature": [each.tempered for each in rows],
                "cut_by": [each.cut for each in rows],
                "final": [each.final for each in rows],
            }
            return own if is_encoder else {**own, **drawn}

        return columns


def _read(model: AnyModel, tokenizer: Tokenizer, text: ReadText) -> Generator[Event, None, _Read]:
    """Compute the logits of the text. Runs on the worker thread."""
    from terrarium.models.inspect.next_tokens import read_logits_in_chunks
    from terrarium.models.tokenizers.special_tokens import mask_id

    given = yield from read_logits_in_chunks(model, text.ids, source_ids=text.source_ids)
    return _Read(text, given, mask_id(tokenizer))


def _replay(read: _Read, config: SamplingConfig, states: list[SamplingState], n: int) -> list[SamplingState]:
    """Return the first `n` sampling states of a reply, of which `states` are known.

    Raises:
        ValueError: if they depend on logits that are not kept.
    """
    text, states = read.text, list(states)
    for at in range(text.n_prompt + len(states) - 1, text.n_prompt + n - 1):
        logits = read.given.at(at)
        if logits is None:
            raise ValueError(
                "These settings depend on all tokens of the reply, but only the last "
                f"{len(read.given.logits):,} distributions are kept."
            )
        following = states[-1].copy()
        following.update(sampling_steps(logits, config, text.ids[:at], text.n_prompt, following), text.ids[at])
        states.append(following)
    return states
