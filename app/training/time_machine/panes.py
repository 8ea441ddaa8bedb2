"""One snapshot side by side: what was written, what was expected, where the watched layer looked."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QHBoxLayout, QSplitter, QVBoxLayout, QWidget

from app.kit.basics import button, frame, label, prefers_reduced_motion, row
from app.kit.theme import SPACE, ThemeProvider
from app.training.time_machine.attention_pane import AttentionPane
from app.training.time_machine.snapshots import Snapshot
from app.training.time_machine.token_bars import TokenBars
from app.training.time_machine.token_names import TokenNames
from app.training.time_machine.written import Written
from models.number_words import percent
from models.settings.model_config import ModelConfig
from models.settings.run_spec import RunSpec

_TITLES = {
    "decoder-only": ("What it writes", "Next token"),
    "encoder-only": ("How it fills the gaps", "In the first gap"),
    "encoder-decoder": ("How it fills the gaps", "Begins the first gap"),
    "pronouns": ("What “it” is", "Nouns to choose from"),
}
"""By topology, or by what else is learned."""
_WHY = {
    "decoder-only": "What the model expects right after the prompt",
    "encoder-only": "What the model expects in the first masked place",
    "encoder-decoder": "What the model expects as the first token of the first gap",
    "pronouns": "How probable each noun before “it” is",
}


class Panes(QSplitter):
    """The three panes, which can be dragged wider."""

    def __init__(self, theme: ThemeProvider, names: TokenNames, parent: QWidget | None = None) -> None:
        super().__init__(Qt.Orientation.Horizontal, parent)
        self._names = names
        self._config: ModelConfig | None = None
        self.written, self.bars, self.attention = Written(theme), TokenBars(theme), AttentionPane(theme)
        self.fork = button("Fork from here", theme, icon="git-fork")
        self.chat = button("Chat with it", theme, icon="chat-circle")
        self._texts_title, self._top_title = label("", "subheading"), label("", "subheading")
        self._sum = label("", "caption")
        self._sum.setToolTip("The rest of the probability lies with all other tokens of the vocabulary")
        self.setChildrenCollapsible(False)
        self.addWidget(_pane(row(self._texts_title, None), self.written, row(self.fork, self.chat, None)))
        self.addWidget(_pane(row(self._top_title, None), self.bars, row(self._sum, None)))
        self.addWidget(_pane(None, self.attention, None))
        self.setSizes([300, 250, 450])
        for i in (0, 2):
            self.setStretchFactor(i, 1)

    def set_spec(self, spec: RunSpec | None) -> None:
        """Snapshots are of a model of this run from now on; None where that is not known."""
        self._config = spec.model if spec is not None else None
        learned = spec.model.topology if spec is not None else "decoder-only"
        if spec is not None and spec.data.source == "pronouns":
            learned = "pronouns"
        texts, top = _TITLES[learned]
        self._texts_title.setText(texts)
        self._top_title.setText(top)
        self._top_title.setToolTip(_WHY[learned])

    def show_snapshot(self, snapshot: Snapshot, *, moves: bool) -> None:
        """Show another one. `moves`: the bars grow and shrink on the way, where motion is welcome."""
        top, seen = snapshot.sample.top, snapshot.attention
        pieces = self._names.pieces(token for token, _ in top)
        rows = [(piece, p) for piece, (_, p) in zip(pieces, top, strict=True)]
        before = snapshot.earlier[0].top if snapshot.earlier else None
        self.written.show_snapshot(snapshot)
        self.bars.show_top(rows, before, moves=moves and not prefers_reduced_motion())
        self._sum.setText(f"These {len(top)} together: {percent(sum(p for _, p in top), 1)}" if top else "")
        tokens = [piece.display for piece in self._names.pieces(seen.ids)] if seen is not None else []
        self.attention.show_attention(seen, tokens, self._config)

    def offer_checkpoint(self, is_kept: bool) -> None:
        """Whether the checkpoint of what is shown is on disk."""
        missing = "The checkpoint of this step is not on disk: go to a step with ◆ in the time line"
        for offer, tip in (
            (self.fork, "Start a new run that goes on from this checkpoint"),
            (self.chat, "Talk to the model as it was at this step"),
        ):
            offer.setEnabled(is_kept)
            offer.setToolTip(tip if is_kept else missing)


def _pane(head: QHBoxLayout | None, content: QWidget, foot: QHBoxLayout | None) -> QFrame:
    card = frame("card", margin=SPACE + SPACE // 2, spacing=SPACE // 2)
    lines = card.layout()
    assert isinstance(lines, QVBoxLayout)
    if head is not None:
        lines.addLayout(head)
    lines.addWidget(content, 1)
    if foot is not None:
        lines.addLayout(foot)
    return card
