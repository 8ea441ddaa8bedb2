"""What the model wrote at one step: what is new since the kept step before stands out; earlier ones stand below."""

from __future__ import annotations

from PySide6.QtCore import Qt, Slot
from PySide6.QtWidgets import QFrame, QLabel, QScrollArea, QVBoxLayout, QWidget

from app.kit.basics import separator
from app.kit.theme import SPACE, ThemeProvider
from app.training.curves.sample_words import as_rich_text, parts, with_changes_marked
from app.training.time_machine.snapshots import Snapshot


class Written(QScrollArea):
    """A prompt and what followed, as texts that can be selected."""

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._snapshot: Snapshot | None = None
        self._now, self._earlier = _text("What it writes"), _text("What it wrote before")
        self._line = separator()
        body = QWidget()
        body.setProperty("role", "scrolled")
        lines = QVBoxLayout(body)
        lines.setContentsMargins(0, 0, SPACE, 0)
        lines.setSpacing(SPACE)
        for widget in (self._now, self._line, self._earlier):
            lines.addWidget(widget)
        lines.addStretch(1)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setWidget(body)
        theme.theme_changed.connect(self._show)

    @property
    def text(self) -> str:
        """What the model wrote, as recorded; '' while nothing is shown."""
        return self._snapshot.sample.text if self._snapshot is not None else ""

    def show_snapshot(self, snapshot: Snapshot) -> None:
        """Show another one."""
        self._snapshot = snapshot
        self._show()

    @Slot()
    def _show(self) -> None:
        if self._snapshot is None:
            return
        colors, (now, _, earlier) = self._theme.theme, self._snapshot
        (asked, answer), (_, old) = parts(now), parts(earlier[0] if earlier else now)
        marked = with_changes_marked(old.strip(), answer.strip(), colors.accent_soft)
        marked = marked or _muted("Nothing: it ended at once.", colors.muted)
        self._now.setText(f'<p style="margin-bottom:6px">{_muted(asked, colors.muted)}</p>{marked}')
        self._line.setVisible(bool(earlier))
        self._earlier.setVisible(bool(earlier))
        lines = (f"Step {sample.step:,}: {parts(sample)[1].strip() or 'nothing'}" for sample in earlier)
        self._earlier.setText("".join(f'<p style="color:{colors.muted}">{as_rich_text(line)}</p>' for line in lines))


def _muted(text: str, colour: str) -> str:
    return f'<span style="color:{colour}">{as_rich_text(text)}</span>'


def _text(name: str) -> QLabel:
    text = QLabel()
    text.setWordWrap(True)
    text.setTextFormat(Qt.TextFormat.RichText)
    text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    text.setAccessibleName(name)
    return text
