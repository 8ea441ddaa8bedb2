"""The window: builds top bar, screens, menus and status bar, and wires them together. No logic of its own."""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from PySide6.QtCore import QTimer, Signal, Slot
from PySide6.QtGui import QCloseEvent, QGuiApplication, QPaintEvent
from PySide6.QtWidgets import QApplication, QMainWindow, QMessageBox, QVBoxLayout, QWidget

from app.failures import describe
from app.menus import MenuActions, build_menus
from app.page_factories import page_factories, remember_splitters, restore_splitters
from app.session import Session
from app.system import diagnostics, log_file, reveal
from app.theme import MODES, ThemeProvider
from app.widgets.pages import Pages
from app.widgets.status_bar import StatusBar
from app.widgets.toasts import Toasts
from app.widgets.top_bar import TABS, TopBar, program_icon
from app.widgets.welcome import Welcome
from models.library import Library

if TYPE_CHECKING:
    from app.tabs.training_tab import TrainingTab

log = logging.getLogger(__name__)

ABOUT = (
    "<h3>Terrarium</h3><p>Grow a small language model behind glass: tokenizer, architecture, training and chat in one "
    "window, on your own computer.</p><p>Every number on screen is measured, or derived from the model's own weights, "
    "or labelled as an estimate.</p>"
)


class MainWindow(QMainWindow):
    """Everything that is seen. The pages are made when they are first shown, or by `make_pages`.

    Signals:
        painted(): the window was drawn for the first time.
    """

    painted = Signal()

    def __init__(self, session: Session, theme: ThemeProvider) -> None:
        super().__init__()
        self.session, self.theme = session, theme
        self.setWindowTitle("Terrarium")
        self.setWindowIcon(program_icon())
        self.setMinimumSize(960, 600)
        self.resize(1440, 900)
        self._was_painted = False
        self.top_bar = TopBar(theme)
        self.pages = Pages(page_factories(session, theme))
        body = QWidget()
        layout = QVBoxLayout(body)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.top_bar)
        layout.addWidget(self.pages, 1)
        layout.addWidget(StatusBar(session))
        self.setCentralWidget(body)
        self.toasts = Toasts(theme, self.pages)
        self._build_menus()
        self._connect()
        self.show_welcome()

    def _build_menus(self) -> None:
        session = self.session
        actions = MenuActions(
            new_run=self.show_new_run,
            open_text=self.open_text,
            quickstart=self.start_quickstart,
            reveal_library=lambda: self.reveal(session.library.home),
            show_tab=self.show_tab,
            show_welcome=self.show_welcome,
            set_mode=self.set_mode,
            set_text_scale=self.set_text_scale,
            open_log=lambda: self.reveal(log_file(session.library)),
            copy_diagnostics=self.copy_diagnostics,
            about=lambda: QMessageBox.about(self, "About Terrarium", ABOUT),
        )
        build_menus(self, self.theme, actions)

    def _connect(self) -> None:
        session = self.session
        self.pages.page_made.connect(self._on_page_made)
        self.top_bar.tab_chosen.connect(self.show_tab)
        self.top_bar.quickstart_asked.connect(self.show_quickstart)
        session.tab_requested.connect(self.show_tab)
        session.notice.connect(self.toasts.notice)
        session.job_failed.connect(self.toasts.failure)
        session.deleted.connect(self._on_deleted)

    @Slot(str, QWidget)
    def _on_page_made(self, name: str, page: QWidget) -> None:
        restore_splitters(self.session, name, page)
        if isinstance(page, Welcome):
            page.quickstart_asked.connect(self.start_quickstart)
            page.file_asked.connect(self.open_text)
            page.tokenizer_asked.connect(lambda: self.show_tab("tokenizer"))
            page.design_asked.connect(lambda: self.show_tab("builder"))
            page.runs_asked.connect(lambda: self.show_tab("training"))
        elif name == "quickstart":
            page.chat_asked.connect(self._on_chat_asked)  # type: ignore[attr-defined]
            page.closed.connect(self.show_welcome)  # type: ignore[attr-defined]

    # -- Screens ----------------------------------------------------------------------------------------

    @Slot(str)
    def show_tab(self, name: str) -> None:
        """Show a tab by its name in `top_bar.TABS`."""
        self.pages.show_page(name).setFocus()
        self.top_bar.show_current(name)
        self.session.remember("tab", name)

    @Slot()
    def show_welcome(self) -> None:
        """Show the first screen."""
        welcome = self.pages.show_page("welcome")
        assert isinstance(welcome, Welcome)
        welcome.quickstart.setFocus()
        self.top_bar.show_current("")

    @Slot()
    def show_quickstart(self) -> None:
        """Show the quick start that is going on or has just ended, or the first screen, where one can begin."""
        state = self.session.training
        if state is not None and state.quickstart and (self.session.training_active or state.evaluated):
            self.pages.show_page("quickstart").setFocus()
            self.top_bar.show_current("")
        else:
            self.show_welcome()

    @Slot()
    def start_quickstart(self) -> None:
        """Begin the quick start and show it."""
        if self.session.start_quickstart():
            self.show_quickstart()

    @property
    def training(self) -> TrainingTab:
        """The training tab, made now where it does not exist yet."""
        from app.tabs.training_tab import TrainingTab

        tab = self.pages.page("training")
        assert isinstance(tab, TrainingTab)
        return tab

    def show_new_run(self) -> None:
        """Show the form for a new run."""
        self.show_tab("training")
        self.training.show_new_run()

    @Slot()
    def open_text(self) -> None:
        """Choose text files and show the form for a run on them."""
        self.show_new_run()
        self.training.new_run.data.choose_files()

    def show_last_tab(self) -> None:
        """Show the tab that was shown at the end of the last launch, where there is something in the library."""
        tab = self.session.settings.get("tab", "")
        if tab in {name for name, *_ in TABS} and self.session.list_runs():
            self.show_tab(tab)

    # -- What the menus do ------------------------------------------------------------------------------

    def set_mode(self, mode: str) -> None:
        """Show a theme mode and remember it."""
        self.theme.set_mode(mode)
        self.session.remember("theme", mode)

    def set_text_scale(self, scale: float) -> None:
        """Show a text size and remember it."""
        self.theme.set_text_scale(scale)
        self.session.remember("text scale", self.theme.text_scale)

    def reveal(self, path: Path) -> None:
        """Show a folder or file of ours in the system's file manager."""
        if not reveal(path):
            self.toasts.notice(f"Nothing could be opened here. The place is {path}.")

    def copy_diagnostics(self) -> None:
        """Put what a report should say on the clipboard."""
        QGuiApplication.clipboard().setText(diagnostics(self.session.library, self.session.device_label))
        self.toasts.notice("Copied: paste it into your report.")

    @Slot(str)
    def _on_chat_asked(self, which: str) -> None:
        if self.session.open_chat_model(which):
            self.show_tab("chat")

    @Slot(str, str)
    def _on_deleted(self, words: str, token: str) -> None:
        self.toasts.undo(words, lambda: self.session.undo_delete(token))

    def offer_interrupted(self) -> None:
        """At launch: offer to go on with the run that was interrupted last."""
        interrupted = self.session.check_library()
        if interrupted:
            run = interrupted[0]
            self.toasts.offer(
                f"«{run.name}» was interrupted at step {run.step:,} of {run.total_steps:,}. It can go on from its last "
                "checkpoint.",
                "Go on",
                lambda: self.session.resume_run(run.id) and self.show_tab("training"),
            )

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        if not self._was_painted:
            self._was_painted = True
            QTimer.singleShot(0, self.painted.emit)

    def closeEvent(self, event: QCloseEvent) -> None:
        remember_splitters(self.session, self.pages)
        self.session.close()
        event.accept()


def run(argv: Sequence[str] | None = None) -> int:
    """Open the window and return the exit code when it is closed."""
    app = QApplication.instance() or QApplication(list(argv or sys.argv[:1]))
    assert isinstance(app, QApplication)
    app.setApplicationName("Terrarium")
    app.setDesktopFileName("terrarium")
    session = Session(Library())
    mode = session.settings.get("theme", "system")
    theme = ThemeProvider(app, mode if mode in MODES else "system", session.settings.get("text scale", 1.0))
    window = MainWindow(session, theme)

    def report(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        failure = describe(error)
        log.critical("In the window: %s", failure.details)
        session.job_failed.emit(failure.sentence, failure.details)

    sys.excepthook = report

    def after_first_paint() -> None:
        session.start()
        window.show_last_tab()
        window.offer_interrupted()
        window.pages.make_all()

    window.painted.connect(after_first_paint)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: window.close())
    window.show()
    return app.exec()
