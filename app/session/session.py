"""The services that all tabs share. State lives in them, never in a widget."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal

from terrarium.app.session.blocks import Blocks
from terrarium.app.session.chat import ChatSession
from terrarium.app.session.chat_model import LIVE, PRONOUNS
from terrarium.app.session.datasets import Datasets
from terrarium.app.session.designs import Designs
from terrarium.app.session.device import Device
from terrarium.app.session.examples import Examples
from terrarium.app.session.model_importer import ModelDownloads
from terrarium.app.session.models_in_memory import ModelsInMemory
from terrarium.app.session.preference_sets import PreferenceSets
from terrarium.app.session.queue import TrainingQueue
from terrarium.app.session.remembered import Detail, Remembered
from terrarium.app.session.routes import Route, ShowPlace, TryPronouns
from terrarium.app.session.runs import Runs
from terrarium.app.session.status import Status
from terrarium.app.session.tokenizers import Tokenizers
from terrarium.app.session.training import Training
from terrarium.app.session.trash import Trash
from terrarium.app.session.undo import Undo
from terrarium.app.worker.garbage import MainThreadCollector
from terrarium.app.worker.notices import Notices
from terrarium.app.worker.worker import Worker
from terrarium.models.library.library import Library
from terrarium.models.library.run_index import RunIndex


class Session(QObject):
    """Creates the services with their dependencies, connects them, and closes them in the right order.

    Signals:
        routed(route): go where a Route leads (see `go`).
        closing(): the worker is about to stop: end all work that uses it or runs in parallel.
    """

    routed = Signal(object)
    closing = Signal()

    def __init__(self, library: Library, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._collector = MainThreadCollector(self)
        self.library = library
        self.notices = notices = Notices(self)
        self.remembered = remembered = Remembered(library.home, notices, self)
        self.detail = Detail(remembered, self)
        self.undo = undo = Undo(self)
        self.trash = trash = Trash(library, notices, undo, self)
        self.worker = worker = Worker(self, name="worker")
        self.tokenizers = Tokenizers(library, remembered, trash, notices, self)
        self.designs = Designs(library, remembered, trash, notices, self)
        self.blocks = Blocks(notices, self)
        self.datasets = Datasets(library, remembered, trash, notices, self)
        self.preferences = PreferenceSets(library, remembered, trash, notices, self)
        self.device = device = Device(worker, remembered, notices, self)
        index = RunIndex(library.runs)
        self.training = training = Training(worker, library, index, device, remembered, notices, self)
        self.runs = runs = Runs(library, index, training, trash, notices, self)
        self.downloads = ModelDownloads(library, runs, notices, self)
        self.queue = TrainingQueue(library, runs, training, notices, self)
        self.models = models = ModelsInMemory(worker, self)
        self.chat = ChatSession(worker, library, runs, training, models, device, remembered, notices, self)
        self.examples = Examples(self.chat, self)
        self.status = Status(training, self.chat, device, self)
        self.status.add(self.downloads)
        self.closing.connect(self.blocks.close)
        self.closing.connect(self.downloads.close)
        # In this order: the chat leaves the live model before its run may be deleted, and the next run starts last.
        training.ended.connect(self.chat.on_training_ended)
        training.events_received.connect(self.chat.on_training_events)
        training.events_received.connect(self.tokenizers.on_training_events)
        training.ended.connect(self.tokenizers.reread)  # it may have trained one
        training.ended.connect(runs.on_training_ended)
        training.ended.connect(self.queue.on_training_ended)
        training.ended.connect(device.changed)  # its memory is free again
        training.ended.connect(models.return_free_memory)
        training.free_requested.connect(models.free)

    def start(self, *, warm_up: bool = True) -> None:
        """Start the worker, choose the last tokenizer, and load torch (`warm_up`): call after the first paint."""
        self.worker.start()
        self.tokenizers.choose_last()
        if warm_up:
            self.device.warm_up()

    def go(self, route: Route) -> None:
        """Go where a route leads: the window shows its page (app.shell.navigator)."""
        self.routed.emit(route)

    def use_model(self, which: str, step: int | None = None) -> bool:
        """Show a run's model, or the live model (LIVE), in the view for its kind; return whether it can be opened.

        This is the view of the chat tab for the model's mode, with a new conversation if the current one uses another
        model, or the page of the pronoun models.

        Args:
            step: the checkpoint's step. None: the best checkpoint of a run trained on a task, since its scores are
                those of the best, and the last checkpoint of other runs.
        """
        state = self.training.state
        run_id = state.run_id if which == LIVE and state is not None else which
        spec = self.runs.spec(run_id)
        if spec is not None and spec.data.source == PRONOUNS:
            self.go(TryPronouns())
            return True
        if not self.chat.request(which, self.runs.best_of_task(which) if step is None else step):
            return False
        self.go(ShowPlace("chat"))
        return True

    def close(self) -> None:
        """Save and stop all running work, and wait until it has ended."""
        self.closing.emit()
        self.queue.close()
        self.worker.close()
        self.undo.close()
        self.remembered.flush()
        self._collector.close()
