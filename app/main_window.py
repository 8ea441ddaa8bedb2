"""The window: builds top bar, screens, menus and status bar, and wires them together. No logic of its own."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from types import TracebackType

from PySide6.QtCore import QTimer, Slot
from PySide6.QtGui import QCloseEvent, QGuiApplication
from PySide6.QtWidgets import QApplication, QMainWindow, QMessageBox, QSplitter, QStackedWidget, QVBoxLayout, QWidget

from app.failures import describe
from app.menus import MenuActions, build_menus
from app.session import Session
from app.system import diagnostics, log_file, reveal
from app.tabs.builder_tab import BuilderTab
from app.tabs.chat_tab import ChatTab
from app.tabs.tokenizer_tab import TokenizerTab
from app.tabs.training_tab import TrainingTab
from app.theme import MODES, ThemeProvider
from app.widgets.quickstart_view import QuickStartView
from app.widgets.status_bar import StatusBar
from app.widgets.toasts import Toasts
from app.widgets.top_bar import TopBar, program_icon
from app.widgets.welcome import Welcome
from models.library import Library

log = logging.getLogger(__name__)

ABOUT = (
    "<h3>Terrarium</h3><p>Grow a small language model behind glass: tokenizer, architecture, training and chat in one "
    "window, on your own computer.</p><p>Every number on screen is measured, or derived from the model's own weights, "
    "or labelled as an estimate.</p>"
)


class MainWindow(QMainWindow):
    """Everything that is seen."""

    def __init__(self, session: Session, theme: ThemeProvider) -> None:
        super().__init__()
        self.session, self.theme = session, theme
        self.setWindowTitle("Terrarium")
        self.setWindowIcon(program_icon())
        self.setMinimumSize(960, 600)
        self.resize(1440, 900)
        self.top_bar = TopBar(theme)
        self.welcome = Welcome(session, theme)
        self.quickstart = QuickStartView(session, theme)
        self.training = TrainingTab(session, theme)
        self.tabs: dict[str, QWidget] = {
            "tokenizer": TokenizerTab(session, theme),
            "builder": BuilderTab(session, theme),
            "training": self.training,
            "chat": ChatTab(session, theme),
        }
        self.pages = QStackedWidget()
        for page in (self.welcome, self.quickstart, *self.tabs.values()):
            self.pages.addWidget(page)
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
        self._restore()

    def _build_menus(self) -> None:
        session = self.session
        actions = MenuActions(
            new_run=self.show_new_run,
            open_text=self.open_text,
            quickstart=self.start_quickstart,
            reveal_library=lambda: reveal(session.library.home),
            show_tab=self.show_tab,
            show_welcome=self.show_welcome,
            set_mode=self.set_mode,
            set_text_scale=self.set_text_scale,
            open_log=lambda: reveal(log_file(session.library)),
            copy_diagnostics=self.copy_diagnostics,
            about=lambda: QMessageBox.about(self, "About Terrarium", ABOUT),
        )
        build_menus(self, self.theme, actions)

    def _connect(self) -> None:
        session = self.session
        self.top_bar.tab_chosen.connect(self.show_tab)
        self.top_bar.quickstart_asked.connect(self.show_quickstart)
        self.welcome.quickstart_asked.connect(self.start_quickstart)
        self.welcome.file_asked.connect(self.open_text)
        self.welcome.tokenizer_asked.connect(lambda: self.show_tab("tokenizer"))
        self.welcome.design_asked.connect(lambda: self.show_tab("builder"))
        self.welcome.runs_asked.connect(lambda: self.show_tab("training"))
        self.quickstart.chat_asked.connect(self._on_chat_asked)
        self.quickstart.closed.connect(self.show_welcome)
        session.tab_requested.connect(self.show_tab)
        session.notice.connect(self.toasts.notice)
        session.job_failed.connect(self.toasts.failure)
        session.deleted.connect(self._on_deleted)

    def _restore(self) -> None:
        settings = self.session.settings
        for name, splitter in self._splitters().items():
            sizes = settings.get(f"splitter {name}", [])
            if len(sizes) == splitter.count() and all(isinstance(size, int) for size in sizes):
                splitter.setSizes(sizes)
        tab = settings.get("tab", "")
        if tab in self.tabs and self.session.list_runs():
            self.show_tab(tab)
        else:
            self.show_welcome()

    def _splitters(self) -> dict[str, QSplitter]:
        found = dict(self.training.splitters)
        for name, tab in self.tabs.items():
            if name != "training":
                found |= {f"{name} {i}": splitter for i, splitter in enumerate(tab.findChildren(QSplitter))}
        return found

    # -- Screens ----------------------------------------------------------------------------------------

    @Slot(str)
    def show_tab(self, name: str) -> None:
        """Show a tab by its name in `top_bar.TABS`."""
        self.pages.setCurrentWidget(self.tabs[name])
        self.tabs[name].setFocus()
        self.top_bar.show_current(name)
        self.session.remember("tab", name)

    @Slot()
    def show_welcome(self) -> None:
        """Show the first screen."""
        self.pages.setCurrentWidget(self.welcome)
        self.welcome.quickstart.setFocus()
        self.top_bar.show_current("")

    @Slot()
    def show_quickstart(self) -> None:
        """Show the quick start that is going on or has just ended, or the first screen, where one can begin."""
        state = self.session.training
        if state is not None and state.quickstart and (self.session.training_active or state.evaluated):
            self.pages.setCurrentWidget(self.quickstart)
            self.top_bar.show_current("")
        else:
            self.show_welcome()

    @Slot()
    def start_quickstart(self) -> None:
        """Begin the quick start and show it."""
        if self.session.start_quickstart():
            self.show_quickstart()

    def show_new_run(self) -> None:
        """Show the form for a new run."""
        self.training.show_new_run()
        self.show_tab("training")

    @Slot()
    def open_text(self) -> None:
        """Choose text files and show the form for a run on them."""
        self.show_new_run()
        self.training.new_run.data.choose_files()

    # -- What the menus do ------------------------------------------------------------------------------

    def set_mode(self, mode: str) -> None:
        """Show a theme mode and remember it."""
        self.theme.set_mode(mode)
        self.session.remember("theme", mode)

    def set_text_scale(self, scale: float) -> None:
        """Show a text size and remember it."""
        self.theme.set_text_scale(scale)
        self.session.remember("text scale", self.theme.text_scale)

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

    def closeEvent(self, event: QCloseEvent) -> None:
        for name, splitter in self._splitters().items():
            self.session.remember(f"splitter {name}", splitter.sizes())
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
    window.show()

    # After the first paint: the threads, torch on the worker, and a look at what was left behind.
    QTimer.singleShot(0, session.start)
    QTimer.singleShot(0, window.offer_interrupted)
    return app.exec()
