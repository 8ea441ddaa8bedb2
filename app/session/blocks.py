"""Custom blocks: those of the library, the user's consent to their texts, and what designs with them cost."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

from PySide6.QtCore import QObject, Signal, Slot

from terrarium.app.worker.background import LatestTask
from terrarium.app.worker.failures import Failure
from terrarium.app.worker.notices import Notices
from terrarium.models.custom_blocks import store
from terrarium.models.custom_blocks.manifest import BlockOption, CustomBlock
from terrarium.models.design.known import is_known, measure_apart, stop_measuring
from terrarium.models.settings.block_references import blocks_of
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.slots import slot

MEASURING = "Measuring…"
_ALLOW = "read and allow it under “Custom blocks”."
_Work = tuple[ModelConfig, int, int]


def find_here(config: ModelConfig, place: str) -> CustomBlock | None:
    """Return the custom block in a place of a design; None if it is built in, or its text is not in the library."""
    try:
        return store.find_in(config, place)
    except ValueError:  # store.block_problems says why
        return None


def option_field(name: str, option: BlockOption) -> dataclasses.Field[Any]:
    """Return an option as the field of a settings dataclass, for what shows and edits those."""
    hints: dict[str, Any] = {"choices": option.choices} if option.choices else {}
    if option.range is not None:
        hints["range"] = tuple(map(type(option.default), option.range))
    elif isinstance(option.default, int | float):
        hints["range"] = (-(10**9), 10**9)
    field: dataclasses.Field[Any] = slot(option.default, option.label, option.help, group="", **hints)
    field.name = name
    return field


class Blocks(QObject):
    """Lists, saves and allows custom blocks, and measures designs that have some, in the background.

    Signals:
        changed(): a text was saved, or the consent to one given or taken back.
        measured(): the measurement of a design has ended.
    """

    changed = Signal()
    measured = Signal()

    def __init__(self, notices: Notices, parent: QObject) -> None:
        super().__init__(parent)
        self._notices = notices
        self._asked: _Work | None = None
        self._listed: Sequence[ModelConfig] = ()
        self._failures: dict[_Work, str] = {}
        self._task = LatestTask(self)
        self._task.done.connect(self._on_measured)
        self._task.failed.connect(self._on_failed)

    def list(self) -> Sequence[CustomBlock]:
        """Return the blocks of the library whose texts are proper blocks, by name."""
        return [file.block for file in store.list_blocks() if file.block is not None]

    def save(self, source: str, *, allow: bool) -> CustomBlock | None:
        """Save a text, and allow it to run on this computer; None, with a notice, if that fails."""
        found: list[CustomBlock] = []

        def save() -> None:
            block = store.save_block(source)
            if allow:
                store.allow(block)
            found.append(block)

        done = self._notices.attempt(save)
        self._forget_failures()
        return found[0] if done else None

    def allow(self, block: CustomBlock) -> bool:
        """Allow a text, which was shown to the user, to run on this computer; return whether it succeeded."""
        done = self._notices.attempt(lambda: store.allow(block))
        self._forget_failures()
        return done

    def withdraw(self, sha256: str) -> bool:
        """Take the consent to a text back; return whether it succeeded."""
        done = self._notices.attempt(lambda: store.withdraw(sha256))
        self._forget_failures()
        return done

    def obstacle(self, config: ModelConfig, batch: int, length: int) -> str:
        """Return why the costs of a design are not known: MEASURING, which this starts, or a sentence; "" if they are.

        batch, length: the costs are those for `batch` texts of `length` tokens.
        """
        if not config.has_custom_blocks:
            return ""
        for place in blocks_of(config):
            block = find_here(config, place)
            if block is not None and not store.is_allowed(block):
                return f"“{block.title}” is a program that was not allowed on this computer yet: {_ALLOW}"
        problems = store.block_problems(config)
        if problems:
            return problems[0].sentence
        work = (config, batch, length)
        if work in self._failures:
            return self._failures[work]
        try:
            if is_known(*work):
                return ""
        except ValueError as error:
            return str(error)
        if self._asked != work or not self._task.busy:
            self._asked = work
            self._task.drive(lambda: measure_apart(*work))
        return MEASURING

    def measure_listed(self, designs: Iterable[ModelConfig]) -> None:
        """Measure the designs of a list, one at a time, where nothing else is measured; `measured` follows each."""
        self._listed = [design for design in designs if design.has_custom_blocks]
        self._measure_next()

    def _measure_next(self) -> None:
        for design in self._listed:
            if self._task.busy or self.obstacle(design, 1, design.context_length) == MEASURING:
                return

    @Slot()
    def close(self) -> None:
        """Stop measuring."""
        self._task.cancel()
        self._task.wait()
        stop_measuring()

    def _forget_failures(self) -> None:
        self._failures.clear()
        self.changed.emit()
        self._measure_next()

    @Slot()
    def _on_measured(self) -> None:
        assert self._asked is not None
        if not is_known(*self._asked):
            self._failures[self._asked] = "The custom blocks cost something else each time they are measured."
        self.measured.emit()
        self._measure_next()

    @Slot(object)
    def _on_failed(self, failure: Failure) -> None:
        assert self._asked is not None
        self._failures[self._asked] = failure.sentence
        self.measured.emit()
        self._measure_next()
