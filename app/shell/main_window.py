"""The main window: builds the top bar, pages, menus and status bar, and connects them. It has no other logic."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, Qt, QTimer, Signal, Slot
from PySide6.QtGui import QCloseEvent, QDragEnterEvent, QDropEvent, QPaintEvent
from PySide6.QtWidgets import QMainWindow, QPlainTextEdit, QWidget

from terrarium.app.help.palette import Palette, PaletteSource
from terrarium.app.home.home import SEEN, TIME_MACHINE_SEEN, Home
from terrarium.app.home.quickstart_notice import QuickStartNotice
from terrarium.app.kit.basics import column, splitter
from terrarium.app.kit.export_button import Exporter
from terrarium.app.kit.file_dialogs import dropped_models, dropped_texts
from terrarium.app.kit.help_mark import HelpRequested
from terrarium.app.kit.layout.pages import Pages
from terrarium.app.kit.layout.tab_order import InTabOrder
from terrarium.app.kit.logo import program_icon
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.session.routes import ShowPlace, ShowRun
from terrarium.app.session.session import Session
from terrarium.app.shell.closing import ClosingQuestion, remember_training
from terrarium.app.shell.guide.desk import GuideDesk
from terrarium.app.shell.help_desk import HelpDesk
from terrarium.app.shell.import_dialog import ImportDialog
from terrarium.app.shell.keys import key_groups
from terrarium.app.shell.links import Links
from terrarium.app.shell.menus import FIND_ANYTHING, MenuActions, ViewAndHelp, build_menus
from terrarium.app.shell.navigator import Navigator
from terrarium.app.shell.palette_sources import LibrarySource, MenuSource, PlaceSource, RunSource, TermSource
from terrarium.app.shell.preferences import Preferences
from terrarium.app.shell.preferences_window import PreferencesWindow
from terrarium.app.shell.relaunch import Relaunch
from terrarium.app.shell.screens import page_factories
from terrarium.app.shell.status_bar import StatusBar
from terrarium.app.shell.text_files import TextFiles
from terrarium.app.shell.toasts import Toasts
from terrarium.app.shell.top_bar import HOME, TopBar
from terrarium.app.shell.trash_window import TrashWindow
from terrarium.app.shell.undo_actions import UndoActions
from terrarium.app.shell.window_place import MIN_SIZE, SIZE, remember_place, remember_splitters, restore_splitters
from terrarium.app.worker.failures import DISK_FULL
from terrarium.models.corpora.text_corpora import check_text_files
from terrarium.models.recipes.recipe_specs import title_of

if TYPE_CHECKING:
    from terrarium.app.training.training_tab import TrainingTab

_RECENT = "palette"
"""The setting that remembers the palette's most recently used entries."""


class MainWindow(QMainWindow):
    """The main window. Pages are created when they are first shown, or by `Pages.make_all`.

    Signals:
        painted(): the window was drawn for the first time.
    """

    painted = Signal()

    def __init__(self, session: Session, theme: ThemeProvider) -> None:
        super().__init__()
        self.session, self.theme = session, theme
        self.setWindowTitle("Terrarium")
        self.setWindowIcon(program_icon())
        self.setMinimumSize(MIN_SIZE)
        self.resize(SIZE)
        self.setAcceptDrops(True)
        self.preferences = Preferences(session, theme, self)
        self._was_painted = self._may_close = False
        self.closing = ClosingQuestion(session, self.preferences, self)
        self.closing.agreed.connect(self.quit)
        self.top_bar: TopBar = TopBar(session.go, theme)
        self.pages = Pages(page_factories(session, theme))
        body = InTabOrder()
        status = StatusBar(session, self.preferences, body)  # the first in it, for Tab to come to it after all pages
        self.beside = splitter(self.pages, grows=0)
        body.setLayout(column(self.top_bar, self.beside, status, spacing=0, grows=self.beside))
        self.setCentralWidget(body)
        self.toasts = Toasts(theme, self.pages)
        self.trash = TrashWindow(session.trash, theme, self)
        self._blocked = ""
        self._preferences_window: PreferencesWindow | None = None
        self._palette: Palette | None = None
        self.help = HelpDesk(self.beside, self.pages, session.go, theme)
        self.installEventFilter(Exporter(session.notices, theme, self))  # for the menus of charts
        self.guide = GuideDesk(self, self.beside, theme)
        self.navigator = Navigator(self, self)
        self.links = Links(self.navigator, session.notices, self.show_in_front)
        self.relaunch, self.texts = Relaunch(self), TextFiles(self, self)
        self.grown_notice = QuickStartNotice(self)
        self._build_menus()
        self._connect()
        theme.apply_theme(self)
        self.show_home()

    def _build_menus(self) -> None:
        self.imports = ImportDialog(self.session, self.toasts, self)
        self.imports.importer.imported.connect(self.texts.offer_tuning)
        self.session.downloads.downloaded.connect(self.texts.offer_tuning)
        others = ViewAndHelp(self.session, self.toasts)
        self.toasts.report_requested.connect(lambda failure: others.show_report(self, self.theme, failure))
        actions = MenuActions(
            go=self.session.go,
            open_run=self.imports.ask_for_run,
            import_folder=self.imports.ask_for_folder,
            import_file=self.imports.ask_for_file,
            reveal_library=others.reveal_library,
            guide=self.guide.toggle,
            help_here=self.help.open_here,
            find_anything=self.show_palette,
            copy_link=self.links.copy,
            open_log=others.open_log,
            report=lambda: others.show_report(self, self.theme),
            extensions=lambda: others.show_extensions(self, self.theme),
            about=lambda: others.show_about(self, self.theme),
            licences=lambda: others.show_licences(self, self.theme),
        )
        self.undo_actions = UndoActions(self.session.undo, self._text_in_view, self)
        build_menus(self, self.preferences, self.undo_actions, actions)
        self.palette_sources: list[PaletteSource] = [
            MenuSource(self.menuBar, but=FIND_ANYTHING),
            RunSource(self),
            PlaceSource(self.session.go),
            LibrarySource(self.session),
            TermSource(self.help, self.session.go),
            self.guide,
        ]

    def _connect(self) -> None:
        session = self.session
        self.pages.page_made.connect(self._on_page_made)
        self.pages.currentChanged.connect(lambda: session.undo.show_stack(self.pages.current))
        self.top_bar.tab_chosen.connect(lambda name: session.go(ShowPlace(name)))
        self.top_bar.guide_requested.connect(self.guide.toggle)
        self.help.opened.connect(self.guide.hide_for_help)
        self.help.closed.connect(self.guide.show_again)
        self.imports.run_opened.connect(lambda run_id: session.go(ShowRun(run_id)))
        session.notices.notified.connect(self.toasts.notice)
        session.notices.failed.connect(self._on_failed)
        session.training.changed.connect(self._show_growing)
        session.training.changed.connect(self._show_blocked)
        session.notices.deleted.connect(self.toasts.undo)
        session.notices.undone.connect(self.toasts.withdraw)
        session.notices.outdated.connect(self.toasts.withdraw)

    @Slot(str, QWidget)
    def _on_page_made(self, name: str, page: QWidget) -> None:
        restore_splitters(self.session, page)
        if isinstance(page, Home):
            page.remove_requested.connect(lambda item_id: self.training.queue.remove(item_id))
        elif name == "training":
            page.run_view.views.view_changed.connect(self._on_run_view)  # type: ignore[attr-defined]
        elif name == "chat" and self.relaunch.reopens_chat:
            page.conversation.open_last()  # type: ignore[attr-defined]
        elif name == "models":
            self.imports.connect_page(page)

    # -- Screens ----------------------------------------------------------------------------------------

    @Slot(str)
    def show_tab(self, name: str) -> None:
        """Show a tab by its name in `top_bar.TABS`, or HOME."""
        if name == HOME:
            self.show_home()
            return
        self.pages.show_page(name).setFocus()
        self.top_bar.show_current(name)
        self.session.remembered.set("tab", name)

    @Slot()
    def show_home(self) -> None:
        """Show the home page."""
        self.pages.show_page(HOME)
        self.home.focus_first()
        self.top_bar.show_current(HOME)
        if self._was_painted:  # at launch, `Relaunch` reads the library first
            self.home.refresh()

    @Slot()
    def show_quickstart(self) -> None:
        """Show the quick start that is running or has just ended; if there is none, its button on the home page."""
        state = self.session.training.state
        if state is not None and state.quickstart and (self.session.training.active or state.has_result):
            self.pages.show_page("quickstart").setFocus()
            self.top_bar.show_current("")
        else:
            self.show_home()
            self.home.focus_quickstart()

    @Slot()
    def start_quickstart(self) -> None:
        """Start the quick start and show it; add it to the queue if another run is training."""
        self.start_quickstart_on(())

    def start_quickstart_on(self, files: tuple[str, ...]) -> None:
        """Start or queue a quick start on text files; () = on Tiny World."""
        session = self.session
        if session.training.active and not (self._grows and not files):
            if not session.notices.attempt(lambda: check_text_files(files, is_all=True)):
                return
            recipe = session.training.next_quickstart(files=files)
            session.queue.add_recipe(recipe, title_of(recipe))
        elif self._grows or session.training.start_quickstart(files=files):
            self.show_quickstart()

    @property
    def _grows(self) -> bool:
        """Whether a quick start is running."""
        state = self.session.training.state
        return self.session.training.active and state is not None and state.quickstart

    @Slot()
    def _show_growing(self) -> None:
        state = self.session.training.state
        share, is_paused = (state.share, state.status == "paused") if state is not None else (0.0, False)
        self.top_bar.show_quickstart(runs=self._grows, share=share, is_paused=is_paused)

    @property
    def home(self) -> Home:
        """The home page, created on first access."""
        page = self.pages.page(HOME)
        assert isinstance(page, Home)
        return page

    @property
    def training(self) -> TrainingTab:
        """The training tab, created on first access."""
        from terrarium.app.training.training_tab import TrainingTab

        tab = self.pages.page("training")
        assert isinstance(tab, TrainingTab)
        return tab

    def _text_in_view(self) -> QPlainTextEdit | None:
        """Return the notebook's text while it is in view, else None."""
        if self.pages.current != "chat":
            return None
        return self.pages.page("chat").text_in_view  # type: ignore[attr-defined, no-any-return]

    @Slot()
    def show_models(self) -> None:
        """Show the published models that can be downloaded, and those on this computer."""
        self.pages.show_page("models").setFocus()
        self.top_bar.show_current("")

    @Slot()
    def show_running(self) -> None:
        """Show the quick start that is running, or the training tab with the run and the queue."""
        if self._grows:
            self.show_quickstart()
            return
        self.show_tab("training")
        state = self.session.training.state
        if self.session.training.active and state is not None and state.run_id:
            self.training.show_run(state.run_id)

    @Slot(str)
    def _on_run_view(self, name: str) -> None:
        if name == "machine":
            self.session.remembered.set_entry(SEEN, TIME_MACHINE_SEEN, True)

    @Slot()
    def show_trash(self) -> None:
        """Show the trash."""
        self.trash.show()
        self.trash.activateWindow()

    def show_preferences(self, query: str = "") -> None:
        """Show the preferences that match `query`, or all."""
        if self._preferences_window is None:
            keys = key_groups(self.menuBar())
            self._preferences_window = PreferencesWindow(self.preferences, keys, self.session, self.theme, self)
        self._preferences_window.search.setText(query)
        self._preferences_window.show()
        self._preferences_window.activateWindow()

    def show_palette(self) -> Palette:
        """Open the command palette, and return it."""
        if self._palette is None:
            remembered = self.session.remembered
            self._palette = Palette(
                self.palette_sources, self.theme, self, remembered.get(_RECENT, []), link=self.links.entry
            )
            self._palette.used.connect(lambda keys: remembered.set(_RECENT, keys))
        self._palette.open()
        return self._palette

    # -- Event handlers ---------------------------------------------------------------------------------

    @Slot(str, str)
    def _on_failed(self, sentence: str, details: str) -> None:
        """Show a failure, unless the page in view already shows it as that of its quick start or recipe."""
        state, current = self.session.training.state, self.pages.current
        if state is not None and state.status == "failed" and state.problem == sentence:
            if state.quickstart and current == "quickstart":
                return
            if state.recipe and current == "training" and self.training.shows_recipes:
                return
        remedies = [("Open the trash", self.show_trash)] if sentence.startswith(DISK_FULL) else []
        self.toasts.failure(sentence, details, *remedies)

    @Slot()
    def _show_blocked(self) -> None:
        state = self.session.training.state
        problem = state.problem if state is not None and state.status == "blocked" else ""
        if problem and not self._blocked:
            self.toasts.offer(problem, "Open the trash", self.show_trash)
        self._blocked = problem

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if dropped_models(event) or dropped_texts(event):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        event.acceptProposedAction()
        if models := dropped_models(event):
            self.imports.open_files(models)
        else:
            self.texts.offer(dropped_texts(event))

    def customEvent(self, event: QEvent) -> None:
        if isinstance(event, HelpRequested):
            event.accept()
            self.help.explain(event.term, event.window)

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        if not self._was_painted:
            self._was_painted = True
            QTimer.singleShot(0, self, self.painted.emit)

    def show_in_front(self) -> None:
        """Show the window in front of those of other programs."""
        self.setWindowState(self.windowState() & ~Qt.WindowState.WindowMinimized)
        self.raise_()
        self.activateWindow()

    def quit(self) -> None:
        """Close without asking; a run in training is saved."""
        self._may_close = True
        self.close()

    def closeEvent(self, event: QCloseEvent) -> None:
        if self.session.training.active and not self._may_close and self.preferences.asks_on_quit:
            event.ignore()
            self.closing.ask()
            return
        self.guide.end()
        remember_splitters(self.session, self.pages)
        remember_place(self, self.session.remembered)
        remember_training(self.session)
        self.session.close()
        event.accept()
