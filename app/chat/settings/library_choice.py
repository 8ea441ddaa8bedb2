"""A combo box of models of the library, kept up to date."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from PySide6.QtCore import Signal, Slot
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QComboBox

from terrarium.app.kit.inputs import named
from terrarium.app.kit.labels import ElidedCombo
from terrarium.app.session.session import Session
from terrarium.app.worker.background import LatestTask

NO_MODEL, LISTING = "No model is open.", "The models are being listed."
"""Why nothing can be chosen yet."""


class LibraryChoice(ElidedCombo):
    """Searches the library for models when it is first shown, and again whenever the runs change; its owner fills it.

    find: returns a function that finds the models, which is called in a background thread and whose result is emitted
    as `listed`; or None if there is nothing to find now. is_used: whether to search again while the widget is hidden.

    Signals:
        listed(models): the models that were found.
    """

    listed = Signal(object)

    def __init__(
        self,
        session: Session,
        name: str,
        tip: str,
        find: Callable[[], Callable[[], Sequence[Any]] | None],
        is_used: Callable[[], bool],
    ) -> None:
        super().__init__()
        self._find, self._is_used, self._is_stale = find, is_used, True
        self._task = LatestTask(self)
        self._task.done.connect(self.listed)
        self._task.failed.connect(session.notices.fail)
        named(self, name, tip)
        self.setMinimumContentsLength(12)
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        session.runs.changed.connect(self.list_again)

    @property
    def busy(self) -> bool:
        """Whether the search is running."""
        return self._task.busy

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        if self._is_stale:
            self._list()

    @Slot()
    def list_again(self) -> None:
        """Search again, now or when the widget is next shown."""
        self._is_stale = True
        if self.isVisible() or self._is_used():
            self._list()

    def _list(self) -> None:
        finding = self._find()
        if finding is not None:
            self._is_stale = False
            self._task.ask(finding)
