"""An import in preparation: source, roles, checks, split and name. The importing page is a view of it."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from terrarium.app.session.datasets import Datasets
from terrarium.app.session.status import StatusLine
from terrarium.app.worker.background import LatestTask
from terrarium.app.worker.failures import Failure
from terrarium.models.events import Event, Phase, Progress
from terrarium.models.importing.formats.rows import ReadOptions
from terrarium.models.importing.plan import DEFAULT_FIXES, GROUP, OPTIONAL_ROLES, ROLES, ImportPlan, source_name
from terrarium.models.library.library import Library
from terrarium.models.number_words import format_count

if TYPE_CHECKING:
    from terrarium.models.corpora.corpus import Corpus
    from terrarium.models.importing.checks import Checks
    from terrarium.models.importing.inspection import SourceInfo

_SHARE, _SEED = 0.1, 1
"""The default fraction of validation and of test rows, and the default seed of the split."""
_REST_MS = 300
"""The debounce time in milliseconds before the rows are checked again."""


class ImportDraft(QObject):
    """The model of the importing page. Files are read in the background, one task at a time.

    paths: the source files. info: their contents, None until known. task, roles (role -> column), fixes, shares,
    seed, name, read: as in ImportPlan. checks: the result of the checks, None while unknown. doing: "reading",
    "checking", "importing" or "". problem: why the source cannot be read or imported, in a sentence, else "".

    Signals:
        source_changed(): `paths`, `info` or `problem` of the source is new.
        changed(): anything else has changed.
    """

    source_changed = Signal()
    changed = Signal()

    def __init__(self, library: Library, datasets: Datasets, parent: QObject) -> None:
        super().__init__(parent)
        self._library, self._datasets = library, datasets
        self.paths: tuple[str, ...] = ()
        self.info: SourceInfo | None = None
        self.checks: Checks | None = None
        self.doing = self.phase = self.problem = ""
        self.done = self.total = 0
        self.task = self.name = self.tokenizer = ""
        self.roles: dict[str, str] = {}
        self.fixes = frozenset(DEFAULT_FIXES)
        self.val_share, self.test_share, self.seed, self.context = _SHARE, _SHARE, _SEED, 0
        self.read = ReadOptions()
        self._temporary: Path | None = None
        self._task = LatestTask(self)
        self._task.events_received.connect(self._on_events)
        self._task.done.connect(self._on_done)
        self._task.failed.connect(self._on_failed)
        self._rest = QTimer(self, singleShot=True, interval=_REST_MS)
        self._rest.timeout.connect(self._check)

    # -- The source ----------------------------------------------------------------------------------------------------

    def open(self, paths: Sequence[str], name: str = "", *, temporary: Path | None = None) -> None:
        """Read files, folders or archives as the new source.

        Args:
            name: of the dataset, "" to take it from the files. temporary: a folder that is deleted once the dataset is
                in the library.
        """
        self.close()
        self.paths, self._temporary = tuple(paths), temporary
        self.name = self.free_name(name or source_name(self.paths))
        self._begin("reading", self._inspect())
        self.source_changed.emit()

    def set_read(self, options: ReadOptions) -> None:
        """Read the source with other options; the decisions about its columns are discarded."""
        if not self.paths or options == self.read:
            return
        self._rest.stop()
        self.read, self.info, self.checks = options, None, None
        self._begin("reading", self._inspect())
        self.source_changed.emit()

    @Slot()
    def close(self) -> None:
        """Cancel background work and discard the source."""
        self._rest.stop()
        self._task.cancel()
        self.paths, self.read, self.info, self.checks = (), ReadOptions(), None, None
        self.doing = self.phase = self.problem = ""
        self.task, self.roles, self.fixes = "", {}, frozenset(DEFAULT_FIXES)
        self.source_changed.emit()

    def free_name(self, wanted: str) -> str:
        """Return `wanted`, changed if necessary so that no dataset has the name."""
        taken = {info.name for info in self._datasets.list()}
        names = (wanted if n == 1 else f"{wanted} {n}" for n in range(1, len(taken) + 2))
        return next(name for name in names if name not in taken)

    # -- Decisions -----------------------------------------------------------------------------------------------------

    @property
    def plan(self) -> ImportPlan:
        """The plan with all decisions; it may be incomplete, see `obstacle`."""
        return ImportPlan(
            paths=self.paths,
            task=self.task,
            columns=dict(self.roles),
            name=self.name.strip(),
            read=self.read,
            val_fraction=self.val_share,
            test_fraction=self.test_share,
            seed=self.seed,
            fixes=self.fixes,
            tokenizer=self.tokenizer,
            context=self.context,
        )

    @property
    def obstacle(self) -> str:
        """A sentence about the first missing decision, or ''."""
        if not self.task:
            return "Choose what the rows are for."
        try:
            self.plan.check()
        except ValueError as error:
            return str(error)
        return "" if self.name.strip() else "Give the dataset a name."

    @property
    def damage(self) -> str:
        """A sentence about the decision on unreadable rows, or '' if there is none to make."""
        n = len(self.checks.scan.damaged) if self.checks is not None and "damaged" not in self.fixes else 0
        rows = format_count(n, "row")
        return f"{rows} cannot be read: tick “Leave out {rows}” under Checks, or correct the file." if n else ""

    @property
    def can_import(self) -> bool:
        """Whether all decisions are made, the rows are checked, and at least one training row would be imported."""
        checked = self.checks is not None and bool(self.checks.splits.get("train"))
        is_decided = not self.problem and not self.obstacle and not self.damage
        return checked and is_decided and not self.doing and not self._rest.isActive()

    def roles_of_task(self) -> tuple[str, ...]:
        """Return the roles that a column can have, named as in ImportPlan, the required ones first."""
        if not self.task:
            return ()
        needed = dict.fromkeys(role for way in ROLES[self.task] for role in way)
        return (*needed, *OPTIONAL_ROLES.get(self.task, ()), GROUP)

    def set_task(self, task: str) -> None:
        """Set the task of the rows, with its guessed roles or, without a guess, those that the last task shares."""
        if task == self.task:
            return
        self.task = task
        known = self.roles_of_task()
        guessed: Mapping[str, str] = self.info.roles if self.info is not None and self.info.task == task else {}
        self.roles = {role: column for role, column in (guessed or self.roles).items() if role in known}
        self._decided()

    def set_role(self, column: str, role: str) -> None:
        """Assign a role to a column, taking it from any other column; '' for no role."""
        self.roles = {known: of for known, of in self.roles.items() if of != column and known != role}
        if role:
            self.roles[role] = column
        self._decided()

    def set_fixed(self, name: str, *, fixed: bool) -> None:
        """Set whether a finding (a key of FIXES) is fixed."""
        self.fixes = self.fixes | {name} if fixed else self.fixes - {name}
        self._decided()

    def n_changed_of_split(self) -> int:
        """Return how many of the test fraction and the seed differ from their defaults."""
        return (self.test_share != _SHARE) + (self.seed != _SEED)

    def set_split(self, val_share: float, test_share: float, seed: int) -> None:
        """Set how the rows are split, if the source has no split of its own."""
        if (val_share, test_share, seed) != (self.val_share, self.test_share, self.seed):
            self.val_share, self.test_share, self.seed = val_share, test_share, seed
            self._decided()

    def set_tokenizer(self, name: str) -> None:
        """Set the tokenizer whose tokens are counted; '' to count none."""
        if name != self.tokenizer:
            self.tokenizer = name
            self._decided()

    def set_context(self, n_tokens: int) -> None:
        """Set the context length above which rows are counted as too long; 0 to count none."""
        if n_tokens != self.context:
            self.context = n_tokens
            self._decided()

    def set_name(self, name: str) -> None:
        """Set the name of the dataset; the checks stay valid."""
        if name != self.name:
            self.name = name
            self.changed.emit()

    def _decided(self) -> None:
        """React to a change that affects the rows."""
        if self.info is None:
            return
        if self.doing == "checking":
            self._task.cancel()
            self.doing = ""
        self.checks, self.problem = None, ""
        self._rest.start()
        self.changed.emit()

    # -- Importing ----------------------------------------------------------------------------------------------------

    def start_import(self) -> None:
        """Start the import; the dataset is selected when it ends."""
        if self.can_import:
            self._begin("importing", self._import())

    @Slot()
    def cancel(self) -> None:
        """Cancel the import, which leaves nothing behind, the reading of the source, or the checks."""
        was, self.doing = self.doing, ""
        self._task.cancel()
        if was == "reading":
            self.close()
        elif was == "checking":
            self.problem = "The checks were stopped: change something, or check again."
        self.changed.emit()

    def check_again(self) -> None:
        """Check the rows now."""
        self._decided()

    @property
    def status(self) -> StatusLine | None:
        """The line of the status bar; None while nothing is being imported."""
        if self.doing != "importing":
            return None
        return StatusLine(words=f"Importing {self.name}: {self.phase}", done=self.done, total=self.total)

    @Slot()
    def _check(self) -> None:
        if self.info is None or self.doing == "importing":
            return
        if self.obstacle:
            self.changed.emit()
            return
        plan, library = self.plan, self._library

        def work() -> Generator[Event, None, Checks]:
            from terrarium.models.importing.checks import check_events

            return (yield from check_events(library, plan))

        self._begin("checking", work)

    def _inspect(self) -> Any:
        paths, options = self.paths, self.read

        def work() -> Generator[Event, None, SourceInfo]:
            from terrarium.models.importing.inspection import inspect_events

            return (yield from inspect_events(paths, options))

        return work

    def _import(self) -> Any:
        plan, library, checks, temporary = self.plan, self._library, self.checks, self._temporary

        def work() -> Generator[Event, None, Corpus]:
            from terrarium.models.files.atomic import remove_folder
            from terrarium.models.importing.importer import import_events

            corpus = yield from import_events(library, plan, checks)
            if temporary is not None:
                remove_folder(temporary)
            return corpus

        return work

    def _begin(self, doing: str, work: Any) -> None:
        self.doing, self.phase, self.problem = doing, "", ""
        self.done = self.total = 0
        self._task.drive(work)
        self.changed.emit()

    @Slot(object)
    def _on_events(self, events: tuple[Event, ...]) -> None:
        for event in events:
            if isinstance(event, Phase):
                self.phase = event.name
            elif isinstance(event, Progress):
                self.done, self.total = event.done, event.total
        self.changed.emit()

    @Slot(object)
    def _on_done(self, result: Any) -> None:
        doing, self.doing = self.doing, ""
        if doing == "reading":
            self.info = result
            self.task, self.roles = result.task, dict(result.roles)
            self.source_changed.emit()
            self._check()
        elif doing == "checking":
            self.checks = result
        elif doing == "importing":
            self.close()
            self._datasets.add(result.sha)
        self.changed.emit()

    @Slot(object)
    def _on_failed(self, failure: Failure) -> None:
        was, self.doing, self.problem = self.doing, "", failure.sentence
        if was == "reading":
            self.source_changed.emit()
        self.changed.emit()
