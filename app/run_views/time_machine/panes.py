"""One snapshot in three panes: the output, the predicted tokens, and the attention of the recorded layer."""

from __future__ import annotations

from PySide6.QtCore import Qt, Slot
from PySide6.QtWidgets import QFrame, QLabel, QSplitter, QWidget

from terrarium.app.kit.basics import (
    button,
    column,
    frame,
    group,
    label,
    plain_tip,
    prefers_reduced_motion,
    scrolling,
    separator,
    set_enabled,
    show_if,
)
from terrarium.app.kit.inputs import named
from terrarium.app.kit.layout.flow_layout import wrapping
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.run_views.curves.sample_text import as_rich_text, highlight_changes, prompt_and_output
from terrarium.app.run_views.time_machine.attention_pane import AttentionPane
from terrarium.app.run_views.time_machine.snapshots import Snapshot
from terrarium.app.run_views.time_machine.token_bars import TokenBars
from terrarium.app.run_views.token_names import TokenNames
from terrarium.models.number_words import format_percent
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.run_spec import RunSpec
from terrarium.models.settings.sampling_config import PINNED, format_step

_TITLES = {
    "decoder-only": ("What it writes", "Next token"),
    "encoder-only": ("How it fills the gaps", "In the first gap"),
    "encoder-decoder": ("How it fills the gaps", "Start of the first gap"),
    "pronouns": ("What “it” is", "Nouns to choose from"),
    "labels": ("What it predicts", "Next token"),
}
"""Titles by topology or task."""
_DRAWN = (
    f"Drawn at random ({' and '.join(format_step(PINNED, step).lower() for step in ('temperature', 'top_k'))}) with "
    "one seed for all steps, so it need not begin with the likeliest token"
)
_WHY = {
    "decoder-only": "The model's prediction right after the prompt, before the sample's temperature and top-k",
    "encoder-only": "The model's prediction at the first masked position",
    "encoder-decoder": "The model's prediction for the first token of the first gap",
    "pronouns": "The probability of each noun before “it”",
    "labels": "This model predicts labels and no tokens",
}


class Panes(QSplitter):
    """The three panes, in a splitter."""

    def __init__(self, theme: ThemeProvider, names: TokenNames, parent: QWidget | None = None) -> None:
        super().__init__(Qt.Orientation.Horizontal, parent)
        self._names = names
        self._config: ModelConfig | None = None
        self.written, self.bars, self.attention = WrittenText(theme), TokenBars(theme), AttentionPane(theme)
        self.fork = button("Fork from here", theme, icon="git-fork", tip="Start a new run from this checkpoint")
        self.chat = button("Chat with it", theme, icon="chat-circle", tip="Chat with the model as it was at this step")
        self._texts_title, self._top_title = label("", "subheading"), label("", "subheading")
        self._sum = label("", "caption")
        self._sum.setToolTip("The rest of the probability is spread over all other tokens")
        self.setChildrenCollapsible(False)
        self.addWidget(_pane(self._texts_title, self.written, wrapping(self.fork, self.chat)))
        self.addWidget(_pane(self._top_title, self.bars, self._sum))
        self.addWidget(_pane(None, self.attention))
        self.setSizes([310, 200, 490])  # wide enough for two buttons in a row, and for a map with token names
        for i, stretch in enumerate((2, 1, 4)):
            self.setStretchFactor(i, stretch)

    def set_spec(self, spec: RunSpec | None) -> None:
        """Set the spec of the run whose snapshots are shown; None if unknown."""
        self._config = spec.model if spec is not None else None
        learned = spec.model.topology if spec is not None else "decoder-only"
        if spec is not None and spec.data.source == "pronouns":
            learned = "pronouns"
        elif spec is not None and spec.model.head not in ("language", "none"):
            learned = "labels"
        texts, top = _TITLES[learned]
        self._texts_title.setText(texts)
        self._top_title.setText(top)
        drawn = learned in ("decoder-only", "encoder-decoder")
        self._texts_title.setToolTip(plain_tip(_DRAWN if drawn else ""))
        self._top_title.setToolTip(plain_tip(_WHY[learned]))

    def show_snapshot(self, snapshot: Snapshot, *, moves: bool) -> None:
        """Show a snapshot. `moves`: animate the bars, unless the user prefers reduced motion."""
        top, seen = snapshot.sample.top, snapshot.attention
        pieces = self._names.pieces(token for token, _ in top)
        rows = [(piece, p) for piece, (_, p) in zip(pieces, top, strict=True)]
        before = snapshot.earlier[0].top if snapshot.earlier else None
        self.written.show_snapshot(snapshot)
        self.bars.show_top(rows, before, moves=moves and not prefers_reduced_motion())
        self._sum.setText(f"These {len(top)} together: {format_percent(sum(p for _, p in top), 1)}" if top else "")
        tokens = [piece.display for piece in self._names.pieces(seen.ids)] if seen is not None else []
        self.attention.show_attention(seen, tokens, self._config)

    def offer_checkpoint(self, is_kept: bool) -> None:
        """Enable the checkpoint actions if the checkpoint of this step is on disk."""
        missing = "" if is_kept else "No checkpoint of this step is kept: go to a step with ◆ in the timeline."
        for offer in (self.fork, self.chat):
            set_enabled(offer, missing)


def _pane(head: QWidget | None, content: QWidget, *feet: QWidget) -> QFrame:
    heads = [head] if head is not None else []
    return frame("card", *heads, content, *feet, margin=SPACE + SPACE // 2, spacing=SPACE // 2, grows=content)


class WrittenText(QWidget):
    """The output at one step, with changes since the previous output highlighted; below it, earlier outputs."""

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._snapshot: Snapshot | None = None
        self._now, self._earlier = _text("What it writes"), _text("What it wrote before")
        self._line = separator()
        body = group(self._now, self._line, self._earlier, None, margin=(0, 0, SPACE, 0))
        self.setLayout(column(scrolling(body)))
        theme.theme_changed.connect(self._show)

    @property
    def text(self) -> str:
        """The recorded output; '' while nothing is shown."""
        return self._snapshot.sample.text if self._snapshot is not None else ""

    def show_snapshot(self, snapshot: Snapshot) -> None:
        """Show a snapshot."""
        self._snapshot = snapshot
        self._show()

    @Slot()
    def _show(self) -> None:
        if self._snapshot is None:
            return
        colors, (now, _, earlier) = self._theme.theme, self._snapshot
        (asked, answer), (_, old) = prompt_and_output(now), prompt_and_output(earlier[0] if earlier else now)
        marked = highlight_changes(old.strip(), answer.strip(), colors.accent_soft)
        marked = marked or _muted("Nothing: it stopped at once.", colors.muted)
        self._now.setText(f'<p style="margin-bottom:6px">{_muted(asked, colors.muted)}</p>{marked}')
        show_if(earlier, self._line, self._earlier)
        lines = (f"Step {sample.step:,}: {prompt_and_output(sample)[1].strip() or 'nothing'}" for sample in earlier)
        self._earlier.setText("".join(f'<p style="color:{colors.muted}">{as_rich_text(line)}</p>' for line in lines))


def _muted(text: str, colour: str) -> str:
    return f'<span style="color:{colour}">{as_rich_text(text)}</span>'


def _text(name: str) -> QLabel:
    text = named(QLabel(), name)
    text.setWordWrap(True)
    text.setTextFormat(Qt.TextFormat.RichText)
    text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    return text
