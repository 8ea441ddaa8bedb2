"""The mask view: which tokens attend to which in each stack of a design."""

from __future__ import annotations

from PySide6.QtCore import QSignalBlocker, Qt, Slot
from PySide6.QtWidgets import QBoxLayout, QCheckBox, QSlider, QWidget

from terrarium.app.builder.positions.mask_grid import MaskGrid
from terrarium.app.builder.positions.masks import MAX_BLOCKS, describe_mask, grids
from terrarium.app.builder.positions.schemes import display_of
from terrarium.app.kit.basics import column, group, label, plain_tip, row
from terrarium.app.kit.forms.editors import IntBox, keep_wheel_for_scrolling
from terrarium.app.kit.inputs import caption, choice, fill_choice, named
from terrarium.app.kit.layout.flow_layout import wrapping
from terrarium.app.kit.layout.relayout_on_resize import RelayoutOnResize
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.models.architecture.mask_tables import MaskedText
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.positions import scheme_of

_FEW = 16
"""The initial number of tokens; each cell is then large enough to point at."""
_WIDE_LINES = 36
"""The width, in line heights, from which the sentence fits beside a grid."""
_HINT = "A filled cell: the query in its row attends to the key in its column. Point at a cell, or use the arrow keys."


class MaskView(QWidget):
    """The attention masks of a design as grids, with controls for length, padding and packing."""

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._config: ModelConfig | None = None
        self._offered: tuple[int, ...] = ()
        self.words = label("", "muted", wrap=True)
        self.length = choice("Length", f"Tokens of the text. More than {MAX_BLOCKS} are drawn as {MAX_BLOCKS} blocks")
        tip = "Padding tokens at the end: all texts of a batch have the same length"
        self.padding = named(QSlider(Qt.Orientation.Horizontal), "Padding", tip)
        self.padding.setMinimumWidth(72)
        keep_wheel_for_scrolling(self.padding)
        self.padding_words = label("")
        self.packed = QCheckBox("Two documents")
        self.shaded = QCheckBox()
        self.shaded.setToolTip("Show how much of the weight the penalty leaves")
        self.head = named(IntBox(1, 1, 1), "Head")
        self.grids = tuple(MaskGrid(theme) for _ in range(3))
        self.sentence = label(_HINT, wrap=True)
        self._build()
        self._connect()

    def set_design(self, config: ModelConfig, length: int) -> None:
        """Show the masks of `config` and offer `length`, that of the user's texts, among the lengths."""
        self._config = config
        self.words.setText(describe_mask(config))
        self._offer_lengths(config, length)
        may_pack = config.topology != "encoder-decoder" and not config.n_segment
        self.packed.setEnabled(may_pack)
        self.packed.setToolTip(
            plain_tip(
                "Two texts packed into one row, masked from each other"
                if may_pack
                else "Only models with a single stack and no segment embeddings can have packed texts"
            )
        )
        self.alibi.setVisible(display_of(config).log_decay is not None)
        self.shaded.setText(f"Shade by {scheme_of(config).title}, head")
        with QSignalBlocker(self.head):
            self.head.setMaximum(config.n_head)
        self._draw()

    # -- Layout --------------------------------------------------------------------------------------------------------

    def _build(self) -> None:
        self.alibi = group(row(self.shaded, self.head))
        self.alibi.hide()
        length = group(row(caption("Length", self.length, "muted"), self.length))
        padding = group(row(label("Padding", "muted"), self.padding, self.padding_words))
        figures = row(*self.grids)
        self._body = row(figures, self.sentence, spacing=2 * SPACE, grows=(figures, self.sentence))
        bar = wrapping(length, padding, self.packed)
        self.setLayout(column(self.words, bar, row(self.alibi, None), self._body, grows=self._body))
        RelayoutOnResize(self, self._arrange)
        self.sentence.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.padding_words.setMinimumWidth(self.fontMetrics().horizontalAdvance("88,888"))

    def _connect(self) -> None:
        self.length.activated.connect(self._on_length)
        self.padding.valueChanged.connect(self._draw)
        self.packed.toggled.connect(self._draw)
        self.shaded.toggled.connect(self._draw)
        self.head.valueChanged.connect(self._on_head)
        for grid in self.grids:
            grid.read.connect(self._say)

    # -- Choosing ------------------------------------------------------------------------------------------------------

    def _offer_lengths(self, config: ModelConfig, length: int) -> None:
        """Offer powers of two up to the context, the context and the user's length; keep the choice if possible."""
        context = config.context_length
        powers = [2**i for i in range(3, 7)] + [2**i for i in range(8, 24, 2)]
        offered = tuple(sorted({min(max(length, 1), context), context, *(n for n in powers if n < context)}))
        if offered == self._offered:
            return
        before = self.length.currentData()
        few = min(context, _FEW)
        # A sliding window is visible only if the text is longer than the window.
        at_first = next((n for n in offered if n >= max(few, 2 * config.sliding_window)), context)
        words = {n: f"{n:,}" if n <= MAX_BLOCKS else f"{n:,} in blocks" for n in offered}
        fill_choice(self.length, words, before if before in offered else at_first)
        self._offered = offered
        self._limit_padding()

    def _limit_padding(self) -> None:
        length: int = self.length.currentData()
        share = self.padding.value() / self.padding.maximum() if self.padding.maximum() else 0
        with QSignalBlocker(self.padding):
            self.padding.setRange(0, length // 2)
            self.padding.setPageStep(max(1, length // 8))
            self.padding.setValue(round(share * (length // 2)))

    @Slot()
    def _on_length(self) -> None:
        self._limit_padding()
        self._draw()

    @Slot()
    def _on_head(self) -> None:
        self.shaded.setChecked(True)
        self._draw()

    # -- Drawing -------------------------------------------------------------------------------------------------------

    @property
    def text(self) -> MaskedText:
        """The text whose masks are shown."""
        length: int = self.length.currentData()
        is_packed = self.packed.isChecked() and self.packed.isEnabled()
        return MaskedText(
            length=length, n_padding=self.padding.value(), second_start=length * 2 // 5 if is_packed else 0
        )

    @Slot()
    def _arrange(self) -> None:
        """Place the sentence beside the grid if there is a single one and the view is wide enough, else below."""
        has_room = self.width() >= _WIDE_LINES * self.fontMetrics().height()
        is_beside = has_room and sum(not grid.isHidden() for grid in self.grids) == 1
        down, right = QBoxLayout.Direction.TopToBottom, QBoxLayout.Direction.LeftToRight
        self._body.setDirection(right if is_beside else down)
        self._body.setStretch(0, 2 if is_beside else 0)
        self._body.setStretch(1, 1)

    @Slot()
    def _draw(self) -> None:
        config = self._config
        if config is None:
            return
        self.padding_words.setText(f"{self.padding.value():,}")
        is_shaded = display_of(config).log_decay is not None and self.shaded.isChecked()
        head = self.head.value() - 1 if is_shaded else None
        shown = grids(config, self.text, head)
        four_lines = 4 * self.sentence.fontMetrics().height() + 4
        self.sentence.setMinimumHeight(four_lines)  # so that the layout stays in place when the sentence gets longer
        for i, widget in enumerate(self.grids):
            widget.setVisible(i < len(shown))
            if i < len(shown):
                widget.set_grid(shown[i])
        self._arrange()
        self._say("")

    @Slot(str)
    def _say(self, words: str) -> None:
        if not words:
            shown = [widget.grid for widget in self.grids if not widget.isHidden() and widget.grid is not None]
            words = "\n".join([*(f"{grid.title}: {grid.summary}" for grid in shown), "", _HINT][-5:])
        self.sentence.setText(words)
