"""Checks the text of a custom block as it is typed: the manifest at once, the rest in a child process after a pause."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from terrarium.app.worker.background import LatestTask
from terrarium.app.worker.failures import Failure
from terrarium.models.custom_blocks.manifest import CustomBlock, read_block
from terrarium.models.events import Event, Phase
from terrarium.models.settings.model_config import ModelConfig

if TYPE_CHECKING:  # torch comes with it
    from terrarium.models.architecture.block_checks import BlockReport

PAUSE_MS, PATIENCE_MS = 700, 2000
"""Milliseconds without typing after which a text is checked, and for which a check of an older text may go on."""
_LINE = re.compile(r"\bline (\d+)", re.IGNORECASE)


class BlockChecker(QObject):
    """Follows a text. Its checks run only while `may_run`.

    Those of an older text end before those of the newest begin, as ending their process costs more. Only if they take
    longer than PATIENCE_MS, their process is ended.

    Args:
        design: returns the design as a part of which the block is checked.

    Signals:
        changed(): what is known of the text has changed.
    """

    changed = Signal()

    def __init__(self, design: Callable[[], ModelConfig], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._design = design
        self._source = self._checked = ""  # the newest text, and that of the check which runs or was the last
        self._is_slow = False
        self.may_run = False
        self.block: CustomBlock | None = None
        """The block that the text is, None while its manifest does not read."""
        self.problem = ""
        self.report: BlockReport | None = None
        self._task = LatestTask(self)
        self._pause = QTimer(self, singleShot=True, interval=PAUSE_MS)
        self._pause.timeout.connect(self._run)
        self._patience = QTimer(self, singleShot=True, interval=PATIENCE_MS)
        self._patience.timeout.connect(self._on_slow)
        self._task.events_received.connect(self._on_events)
        self._task.done.connect(self._on_done)
        self._task.failed.connect(self._on_failed)

    @property
    def line(self) -> int:
        """The line that is to blame, from 1; 0 if nothing is wrong or no line is named."""
        failed = [] if self.report is None else [c.sentence for c in self.report.checks if not c.passed]
        found = _LINE.search(self.problem or " ".join(failed))
        return int(found[1]) if found else 0

    @property
    def is_busy(self) -> bool:
        """Whether checks run, or soon will."""
        return self._pause.isActive() or self._task.busy

    def follow(self, source: str, *, may_run: bool, at_once: bool = False) -> None:
        """Read the manifest of a text, and check the rest after a pause if it may run; at once: without the pause."""
        is_same = source == self._source and may_run == self.may_run
        if is_same and (self.report is not None or self.is_busy):
            return
        self._source, self.may_run = source, may_run
        self._pause.stop()
        if self._is_slow or not may_run:
            self._task.cancel()
        self.report, self.problem, self.block = None, "", None
        try:
            self.block = read_block(source)
        except ValueError as error:
            self.problem = str(error)
        if self.block is not None and may_run:
            self._pause.start(0 if at_once else PAUSE_MS)
        self.changed.emit()

    def stop(self) -> None:
        """Stop the checks that run or would soon, and let nothing of the text run any more."""
        self.may_run = False
        self._pause.stop()
        self._task.cancel()

    @Slot()
    def _run(self) -> None:
        """Check the newest text, once the check that runs has ended."""
        if not self._task.busy:
            self._checked, self._is_slow = self._source, False
            self._patience.stop()
            source, design = self._source, self._design()
            self._task.drive(lambda: _check(source, design))
        self.changed.emit()

    @Slot(object)
    def _on_events(self, events: tuple[Event, ...]) -> None:
        if any(isinstance(event, Phase) for event in events):  # its process has started
            self._patience.start()

    @Slot()
    def _on_slow(self) -> None:
        self._is_slow = True
        if self._checked != self._source:
            self._task.cancel()
            self._go_on()

    @Slot(object)
    def _on_done(self, report: BlockReport) -> None:
        if self._checked == self._source:
            self.report = report
        self._go_on()

    @Slot(object)
    def _on_failed(self, failure: Failure) -> None:
        if self._checked == self._source:
            self.problem = failure.sentence
        self._go_on()

    def _go_on(self) -> None:
        """After a check: tell of its outcome, or check the newest text if it was that of an older one."""
        if self._checked == self._source:
            self._pause.stop()
            self.changed.emit()
        elif self.block is not None and self.may_run and not self._pause.isActive():
            self._run()


def _check(source: str, design: ModelConfig) -> Generator[Event, None, BlockReport]:
    from terrarium.models.architecture.block_checks import check_block

    return (yield from check_block(source, design, {}))
