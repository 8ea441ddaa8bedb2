"""A read-only view of the settings of a run: design, tokenizer, data, training, fine-tuning and alignment."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QGridLayout, QLabel, QWidget

from terrarium.app.kit.basics import Content, column, label, plain_tip, row
from terrarium.app.kit.setting_names.slot_words import UNUSED, format_slot
from terrarium.app.kit.setting_names.value_words import words
from terrarium.app.kit.theme import SPACE
from terrarium.models.design import total_parameters, trained_parameters
from terrarium.models.design.custom import if_known
from terrarium.models.extensions.registry import Missing
from terrarium.models.number_words import format_count
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.run_spec import RunSpec
from terrarium.models.settings.slots import is_used
from terrarium.models.settings.spec_changes import inactive_fields
from terrarium.models.settings.tasks import TASKS


def describe_source(spec: RunSpec, dataset: str = "") -> str:
    """Return a short name of the data. dataset: the name of its dataset, if known."""
    data = spec.data
    if data.source == "dataset":
        return f"{dataset or data.dataset} ({TASKS[data.task].title if data.task in TASKS else 'dataset'})"
    if data.source == "tiny-world":
        return f"Tiny World {data.seed}"
    if data.source in ("stdlib", "pronouns"):
        return words(data.source)
    first = data.files[0].replace("\\", "/").rpartition("/")[2] if data.files else "files"
    return first if len(data.files) < 2 else f"{first} and {len(data.files) - 1} more"


def summary(spec: RunSpec, dataset: str = "", *, imported: bool = False) -> str:
    """Summarise a run in one line, without training settings for an imported model. dataset: the dataset's name."""
    model = spec.model
    size = f"{format_count(model.n_layer, 'layer')} × {model.d_model}"
    if imported:
        return f"{size} · {model.vocab_size:,} tokens · from {describe_source(spec)}"
    tokenizer = spec.tokenizer.path or words(spec.tokenizer.kind)
    trained = f"{words(spec.train.optimizer)} · seed {spec.train.seed}"
    return f"{size} · {tokenizer}, {model.vocab_size:,} tokens · {describe_source(spec, dataset)} · {trained}"


class SpecView(QWidget):
    """The settings in use, in columns; values that differ from the defaults are highlighted."""

    def __init__(self, spec: RunSpec, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        rest: list[Content] = [_column("Tokenizer", spec.tokenizer), 2 * SPACE, _column("Data", spec.data)]
        if spec.tune is not None:
            facts = {"Trained parameters": _trained_share(spec)}
            rest += [2 * SPACE, _column("Fine-tuning", spec.tune, facts=facts)]
        left_out = inactive_fields(spec.model, spec.align)
        columns = [
            _column("Design", spec.model),
            _column("Training", spec.train, left_out=left_out),
            column(*rest, None, spacing=4 * SPACE),
        ]
        if spec.align is not None:
            columns.append(_column("Alignment", spec.align))
        self.setLayout(row(*columns, None, spacing=4 * SPACE))


def _column(
    title: str, settings: Any, left_out: Collection[str] = (), facts: Mapping[str, str] | None = None
) -> QGridLayout:
    """Lay out the settings in use except `left_out`, with `facts` (name -> text) below them."""
    grid = QGridLayout()
    grid.setHorizontalSpacing(2 * SPACE)
    grid.setVerticalSpacing(SPACE // 2)
    grid.addWidget(label(title, "subheading"), 0, 0, 1, 2)
    fields = [f for f in dataclasses.fields(settings) if is_used(settings, f) and f.name not in left_out]
    for field in fields:
        value = getattr(settings, field.name)
        text = format_slot(settings, field) if isinstance(settings, ModelConfig) else _format_value(value)
        shown = label(text, "mono" if value == field.default else "accent", selectable=True)
        if isinstance(value, tuple):
            shown.setWordWrap(True)  # no maximum width: the layout computes heights for the width of the column
        else:
            shown.setMaximumWidth(260)
        _add_row(grid, field.metadata.get("label", field.name), shown, field.metadata.get("help", ""))
    for name, text in (facts or {}).items():
        _add_row(grid, name, label(text, "mono", selectable=True))
    grid.setRowStretch(grid.rowCount(), 1)
    return grid


def _add_row(grid: QGridLayout, title: str, shown: QLabel, tip: str = "") -> None:
    name, row = label(title, "muted"), grid.rowCount()
    name.setToolTip(plain_tip(tip))
    grid.addWidget(name, row, 0)
    grid.addWidget(shown, row, 1, Qt.AlignmentFlag.AlignLeft)


def _format_value(value: Any) -> str:
    if isinstance(value, Missing):
        return f"{value} (of {value.package}, which is not installed)"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, tuple):
        return "\n".join(str(item) for item in value) or "–"
    return words(str(value)) or "–"


def _trained_share(spec: RunSpec) -> str:
    """Format how many of the parameters are trained; "–" if a custom block hides it."""
    trained = if_known(lambda: trained_parameters(spec.model, spec.tune))
    if trained is None:
        return UNUSED
    return f"{trained.total:,} of {total_parameters(spec.model) + trained.added:,}"
