"""What an architecture costs: parameters by component, memory, and work per token."""

from __future__ import annotations

from PySide6.QtCore import Slot
from PySide6.QtWidgets import QVBoxLayout, QWidget

from app.theme import SPACE, ThemeProvider
from app.widgets.bar_list import Bar, BarList
from app.widgets.basics import label, row
from app.widgets.editors import IntBox
from app.widgets.words import short_count, size_words
from models import cost
from models.config import ModelConfig

DEFAULT_BATCH = 24


class CostPanel(QWidget):
    """Numbers of one `ModelConfig`; the memory is for training on batches of a size that can be chosen."""

    def __init__(self, config: ModelConfig, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._config = config
        self.total = label("", "big-number")
        self.flops, self.cache = label("", "mono"), label("", "mono")
        self.parameters, self.memory = BarList(theme), BarList(theme)
        self.parameters.setAccessibleName("Parameters by component")
        self.memory.setAccessibleName("Memory in training")
        self.batch = IntBox(1, 65_536, 1)
        self.batch.setValue(DEFAULT_BATCH)
        self.batch.setFixedWidth(76)
        self.batch.setAccessibleName("Batch size")
        self.batch.valueChanged.connect(self._refresh)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(SPACE)
        batch_tip = "How many texts are trained on side by side, each as long as the context"
        self.batch.setToolTip(batch_tip)
        batch_label = label("Batch size", "muted")
        batch_label.setBuddy(self.batch)
        batch_label.setToolTip(batch_tip)
        work = label("Work per token", "subheading")
        work_tip = "Floating-point operations for one token at full context: to read it, and to learn from it"
        cache = label("KV cache", "muted")
        for widget in (cache, self.cache):
            widget.setToolTip("What the model keeps in memory while it writes, for one text as long as the context")
        for widget in (work, self.flops):
            widget.setToolTip(work_tip)
        for part in (
            label("Parameters", "subheading"),
            self.total,
            self.parameters,
            None,
            row(label("Memory to train", "subheading"), None, label("estimated", "caption")),
            row(batch_label, None, self.batch),
            self.memory,
            row(cache, None, self.cache),
            None,
            row(work, None, label("estimated", "caption")),
            self.flops,
        ):
            if isinstance(part, QWidget):
                layout.addWidget(part)
            elif part is None:
                layout.addSpacing(SPACE)
            else:
                layout.addLayout(part)
        layout.addStretch(1)
        self.set_config(config)

    def set_config(self, config: ModelConfig) -> None:
        """Show what `config` costs."""
        self._config = config
        total = cost.total_parameters(config)
        self.total.setText(f"{total:,}")
        self.parameters.set_bars(
            [
                Bar(name, n, f"{n:,}", f"{name}: {n:,} parameters, {n / total:.1%} of all")
                for name, n in cost.parameters(config).items()
                if n
            ]
        )
        flops = cost.flops_per_token(config)
        training = cost.training_flops_per_token(config)
        self.flops.setText(f"{short_count(flops)}FLOP\n{short_count(training)}FLOP to train")
        self._refresh()

    @Slot()
    def _refresh(self) -> None:
        length = self._config.context_length
        memory = cost.memory(self._config, self.batch.value(), length)
        self.memory.set_bars([Bar(name, n, size_words(n), f"{name}: {n:,} bytes") for name, n in memory.items() if n])
        self.cache.setText(size_words(cost.kv_cache_bytes(self._config, length)))
