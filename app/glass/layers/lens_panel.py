"""The layers panel, a logit lens: top tokens by layer, tracked tokens, and the contributions of the parts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from PySide6.QtCore import Slot
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QLineEdit, QWidget

from terrarium.app.glass.answer_panel import AnswerPanel
from terrarium.app.glass.colour_scale import ColourScale
from terrarium.app.glass.examiner import Examiner
from terrarium.app.glass.focus import Focus
from terrarium.app.glass.layers.layer_charts import ContributionBars, TrackedLines, line_color
from terrarium.app.glass.layers.lens_answer import LensAnswer, LensColumn, first_token, read_lens_at
from terrarium.app.glass.layers.lens_grid import LensGrid, LensTable
from terrarium.app.glass.names import format_rough, quoted, spoken
from terrarium.app.glass.panel_head import About
from terrarium.app.glass.target_token import TargetToken
from terrarium.app.glass.tokens.token_chips import Chip, TokenChips
from terrarium.app.kit.basics import label, row
from terrarium.app.kit.chart_export import Columns
from terrarium.app.kit.labels import ElidedLabel
from terrarium.app.kit.layout.segments import Segments
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.session.session import Session
from terrarium.models.number_words import format_prob, format_signed

if TYPE_CHECKING:
    from terrarium.models.inspect.read_text import Reader

ABOUT = About(
    title="Layers",
    term="Logit lens",
    shows="What the model would predict if it ended after each layer (the logit lens).",
    source=(
        "The open model reads the text again. The output of each layer goes through the final norm, if the design has "
        "one, and the head; probabilities are over the whole vocabulary, before temperature and truncation. The last "
        "row is the model's own prediction."
    ),
    limits=(
        "Layers are not trained to be read this way: an early layer may know much and show nothing legible. What a "
        "part adds is its direct effect on the logit; effects through later layers are counted as theirs."
    ),
)

_N_TRACKED, _MAX_TRACKED = 4, 7


class LensPanel(AnswerPanel):
    """The layers panel: a grid over the positions up to the token in focus, tracked tokens, and contributions."""

    def __init__(self, session: Session, theme: ThemeProvider, focus: Focus, parent: QWidget | None = None) -> None:
        super().__init__(session, theme, focus, ABOUT, self._numbers, parent)
        self._columns: dict[int, LensColumn] = {}
        self._shown: dict[int, LensColumn] = {}  # the grid's columns, by position
        self._names: dict[int, str] = {}
        self.answer: LensAnswer | None = None
        self._reader: Reader | None = None
        self._tracked_ids: list[int] = []
        self._chosen: list[int] = []  # tracked by the user: kept for other tokens in focus
        self._step = -1
        self.grid = LensGrid(theme)
        self.no_norm = label(
            "This design is post-norm: without a final norm, the head reads the output of each layer directly.",
            "caption",
            wrap=True,
        )
        self.scale = Segments("Height", {"share": "Probability", "rank": "Rank"})
        self.chips = TokenChips("Tracked tokens", theme, mono=True)
        self.tracked = TrackedLines(theme)
        self.track = QLineEdit()
        self.track.setPlaceholderText("Track a word…")
        self.track.setAccessibleName("Track a word's first token")
        self.track.setToolTip("Track a word's first token")
        self.track.setMaximumWidth(220)
        self._finder = Examiner(session.worker, session.chat, self)
        self.of = Segments("Contributions to", {"logit": "Logit", "lead": "Lead"})
        self.of.setToolTip("The token's logit, or its logit difference to the strongest rival")
        self.split_title = ElidedLabel("What each part adds")
        self.split_title.setProperty("role", "subheading")
        self.bars = ContributionBars(theme)
        self.no_split = label("", "caption", wrap=True)
        self.total = label("", "caption", wrap=True)
        self.lines.addWidget(self.grid)
        scale = ColourScale(theme, "probability", "Probability", "0 %", "100 %")
        self.lines.addLayout(row(label("Click a cell to track it.", "caption", wrap=True), scale))
        self.lines.addWidget(self.no_norm)
        self.lines.addLayout(row(label("Tracked", "subheading"), self.track, None, self.scale, spacing=SPACE // 2))
        self.lines.addWidget(self.chips)
        self.lines.addWidget(self.tracked, 1)
        self.lines.addLayout(row(self.split_title, self.of))
        self.lines.addWidget(self.bars, 1)
        self.lines.addWidget(self.total)
        self.lines.addWidget(self.no_split)
        self.lines.addStretch()
        self.examiner.done.connect(self._on_answer)
        self.grid.chosen.connect(self._on_cell)
        self.chips.removed.connect(self._on_removed)
        self.track.returnPressed.connect(self._on_track)
        self._finder.done.connect(self._on_track_found)
        self.scale.changed.connect(lambda which: self.tracked.show_ranks(which == "rank"))
        self.of.changed.connect(self._show_split)
        theme.theme_changed.connect(self._show_tracked)

    # -- Asking --------------------------------------------------------------------------------------------------------

    def forget(self) -> None:
        self._columns.clear()
        self._chosen.clear()
        self.answer = self._reader = None
        self._finder.forget()

    def ask(self, target: TargetToken) -> None:
        wanted = self._positions(target.position)
        missing = [position for position in wanted if position not in self._columns and position != target.position]
        if self._reader is None:
            from terrarium.models.inspect.read_text import Reader

            self._reader = Reader()
        reader = self._reader
        self.examiner.ask(lambda model, tokenizer: read_lens_at(model, tokenizer, target, missing, reader))

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        target = self.target
        if target is not None and self.answer is not None and self.isVisible():
            if any(position not in self._columns for position in self._positions(target.position)):
                self.ask(target)
            else:
                self._show_grid()

    def _positions(self, position: int) -> list[int]:
        """Return the positions in the grid: as many as fit, up to `position`."""
        first = 0 if self._is_encoder else 1
        n = self.grid.columns_for(self.width())
        return list(range(max(first, position - n + 1), position + 1))

    # -- Showing -------------------------------------------------------------------------------------------------------

    @Slot(object)
    def _on_answer(self, answer: LensAnswer) -> None:
        target = self.target
        if target is None or target != answer.target:
            return
        if self._step != self.examiner.step:  # the model was trained further: older results are outdated
            self._step = self.examiner.step
            self._columns.clear()
        self.answer = answer
        self._names |= answer.names
        self._columns |= answer.columns()
        if any(position not in self._columns for position in self._positions(target.position)):
            self._columns.clear()  # read all in one question, so that they are from one step of a training run
            self.ask(target)
            return
        self._tracked_ids = list(dict.fromkeys([answer.token, *self._chosen, *answer.lens.top_tokens(_N_TRACKED)]))
        self._tracked_ids = self._tracked_ids[: max(_N_TRACKED, 1 + len(self._chosen))][:_MAX_TRACKED]
        self.no_norm.setVisible(not answer.has_final_norm)
        column = self._columns[target.position]
        share = float(answer.lens.track([answer.token])[0][-1, 0])
        self.say(describe_lead([best[0] for best in column.best], answer.token, share, self._names.__getitem__))
        self.show_body(target_is_visible=answer.target_is_visible)
        self._show_grid()
        self._show_tracked()
        self._show_split()

    def _show_grid(self) -> None:
        answer = self.answer
        assert answer is not None
        text, positions = answer.target.text, self._positions(answer.target.position)
        columns = [self._columns[position] for position in positions]
        self._shown = dict(zip(positions, columns, strict=True))
        n_rows = len(columns[0].best)
        layers = ["Embedding", *(f"Layer {i}" for i in range(1, n_rows))]
        back = 0 if self._is_encoder else 1

        def describe(row: int, column: int) -> str:
            lens = columns[column]
            lines = [f"{self._names[id]}  {format_prob(p)}" for id, p in lens.best[row]]
            own = f"{quoted(text.words[positions[column]])}: {format_prob(lens.own[row])}, rank {lens.ranks[row]:,}"
            return "\n".join((layers[row], *lines, own))

        self.grid.show_table(
            LensTable(
                layers=layers,
                read_words=[text.words[position - back] for position in positions],
                next_words=[text.words[position] if back else "" for position in positions],
                words=[[self._names[column.best[i][0][0]] for column in columns] for i in range(n_rows)],
                values=np.array([[column.best[i][0][1] for column in columns] for i in range(n_rows)], np.float32),
                describe=describe,
            ),
            len(positions) - 1,
        )

    @Slot()
    def _show_tracked(self) -> None:
        if self.answer is None:
            return
        names = [self._names[id] for id in self._tracked_ids]
        values, ranks = self.answer.lens.track(self._tracked_ids)
        slots = ["emb", *(str(i) for i in range(1, len(values)))]
        self.tracked.show_lines(slots, names, values, ranks)
        shares = values[-1].tolist()
        self.chips.show_chips(
            [
                Chip(f"{name} {format_prob(p)}", "Click to stop tracking", line_color(self._theme, i), i)
                for i, (name, p) in enumerate(zip(names, shares, strict=True))
            ]
        )

    @Slot()
    def _show_split(self) -> None:
        answer = self.answer
        if answer is None:
            return
        leads = self.of.value == "lead"
        split = answer.lead if leads else answer.split
        for widget in (self.bars, self.total, self.of):
            widget.setVisible(split is not None)
        self.no_split.setVisible(split is None)
        self.no_split.setText(answer.no_split)
        token, rival = quoted(self._names[answer.token]), quoted(self._names[answer.rival])
        if split is None:
            self.split_title.setText("What each part adds")
            return
        self.split_title.setText(f"Contributions to {token}" + (f", over {rival}" if leads else ""))
        self.bars.show_parts(split.parts, split.constant)
        names = ("attention", "cross_attention", "feed_forward")
        sums = {name: sum(v for site, v in split.parts if site.endswith(f".{name}")) for name in names}
        words = [f"attention {format_signed(sums['attention'])}"]
        words += [f"cross-attention {format_signed(sums['cross_attention'])}"] if sums["cross_attention"] else []
        words += [
            f"feed-forward {format_signed(sums['feed_forward'])}",
            f"embedding {format_signed(split.parts[0][1])}",
        ]
        what = f"The lead of {token} over {rival}" if leads else f"The logit of {token}"
        self.total.setText(
            f"{what} is {format_signed(split.total)}: {', '.join(words)}, biases {format_signed(split.constant)}."
        )

    # -- Tracking ------------------------------------------------------------------------------------------------------

    @Slot(int, int)
    def _on_cell(self, row: int, column: int) -> None:
        if self.answer is not None:
            self._track([*self._shown.values()][column].best[row][0][0])

    def _track(self, id: int) -> None:
        if id not in self._tracked_ids:
            self._tracked_ids = [*self._tracked_ids[: _MAX_TRACKED - 1], id]
            self._chosen.append(id)
            self._show_tracked()

    @Slot()
    def _on_track(self) -> None:
        word = self.track.text()
        if word and self.answer is not None:
            self._finder.ask(lambda model, tokenizer: first_token(tokenizer, word))

    @Slot(object)
    def _on_track_found(self, found: tuple[int, str]) -> None:
        id, name = found
        if self.answer is not None and id < self.answer.lens.logs.size(-1):
            self._names[id] = name
            self.track.clear()
            self._track(id)

    @Slot(int)
    def _on_removed(self, i: int) -> None:
        if len(self._tracked_ids) > 1:
            id = self._tracked_ids.pop(i)
            if id in self._chosen:
                self._chosen.remove(id)
            self._show_tracked()

    # -- Export --------------------------------------------------------------------------------------------------------

    def _numbers(self) -> Callable[[], Columns]:
        """Return a function that creates the export columns.

        They are the top tokens of every cell of the grid, then the contributions to the logit of the token in focus.
        """
        answer, shown, names = self.answer, self._shown, dict(self._names)

        def make() -> Columns:
            keys = ("what", "position", "token_there", "layer", "part", "rank", "token", "amount")
            if answer is None:
                return {key: [] for key in keys}
            words, at = answer.target.text.words, answer.target.position
            rows: list[tuple[str | float | None, ...]] = [
                ("probability", position + 1, words[position], layer, None, rank, names[id], p)
                for position, column in shown.items()
                for layer, best in enumerate(column.best)
                for rank, (id, p) in enumerate(best, start=1)
            ]
            split = [*answer.split.parts, ("biases", answer.split.constant)] if answer.split is not None else []
            rows += [("logit", at + 1, words[at], None, part, None, names[answer.token], v) for part, v in split]
            return dict(zip(keys, map(list, zip(*rows, strict=True)), strict=True))

        return make


def describe_lead(leaders: Sequence[tuple[int, float]], token: int, share: float, name: Callable[[int], str]) -> str:
    """Describe from which layer on a token is the most likely one.

    Args:
        leaders: the most likely token and its probability, after the embedding and after each layer.
        token: the id of the token to describe. share: its probability after the last layer.
        name: returns the displayed text of a token.
    """
    tops, word, n_layers = [id for id, _ in leaders], spoken(name(token)), len(leaders) - 1
    if tops[-1] != token:
        best, its_share = leaders[-1]
        end = f"in the end {spoken(name(best))} has {format_rough(its_share)}, {word} {format_rough(share)}"
        led = [layer for layer, top in enumerate(tops) if top == token]
        if not led:
            return f"{word} never leads: {end}."
        return f"{word} led {_after(led[-1])}, but {end}."
    since = next(layer for layer in range(len(tops)) if all(top == token for top in tops[layer:]))
    if since == 0:
        return f"{word} leads from the start, before any layer ({format_rough(share)} in the end)."
    before = f"before that, {spoken(name(tops[since - 1]))} did"
    if since == n_layers:
        return f"{word} takes the lead only in the last layer, with {format_rough(share)}; {before}."
    return f"{word} leads from layer {since} on, and ends with {format_rough(share)}; {before}."


def _after(layer: int) -> str:
    return f"after layer {layer}" if layer else "before any layer"
