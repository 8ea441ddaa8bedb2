"""The small buttons under a message: switch versions, retry, continue, edit, copy, rate, save as preference."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from PySide6.QtCore import QSize, Qt, Signal, Slot
from PySide6.QtWidgets import QPushButton, QSizePolicy, QWidget

from terrarium.app.chat.archive.message_tree import Message
from terrarium.app.kit.basics import add_menu, button, explain, label, row
from terrarium.app.kit.theme import ThemeProvider

_SIZE = QSize(28, 26)
"""The least size of a button with only an icon."""


class MessageActions(QWidget):
    """Arrows for messages with several versions, and buttons for the actions on the message.

    Signals:
        version_requested(message_id): show this version.
        rated(is_good): a thumb was clicked.
        keep_requested(message_ids): save this version as preferred to each of these.
        retry_requested(), continue_requested(), edit_requested(), copy_requested(), format_requested(),
            reveal_requested(), drawn_requested(), drafted_requested()
    """

    version_requested = Signal(str)
    rated = Signal(bool)
    keep_requested = Signal(object)
    retry_requested = Signal()
    continue_requested = Signal()
    edit_requested = Signal()
    copy_requested = Signal()
    format_requested = Signal()
    reveal_requested = Signal()
    drawn_requested = Signal()
    drafted_requested = Signal()

    def __init__(self, theme: ThemeProvider, *, of_reply: bool, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._icons: list[QPushButton] = []
        self._versions: tuple[str, ...] = ()
        self._shown = 0
        what = "reply" if of_reply else "message"
        self.older = self._small(
            "caret-left", f"Previous version of this {what} (Alt+Left for the last)", lambda: self._ask(-1)
        )
        self.newer = self._small(
            "caret-right", f"Next version of this {what} (Alt+Right for the last)", lambda: self._ask(1)
        )
        self.version = label("", "caption")
        self.retry = self._small(
            "arrow-clockwise", "Reply again; this reply is kept as another version (Ctrl+R for the last)"
        )
        tip = "Continue this reply in a new version (only with the model that wrote it)"
        self.continue_button = self._small("arrow-bend-down-right", tip)
        edit = "Edit the reply" if of_reply else "Edit your message and send it again"
        self.edit = self._small("pencil-simple", f"{edit}; this version is kept")
        self.copy = self._small("copy", f"Copy the {what}")
        self.good = self._small("thumbs-up", on_click=lambda: self.rated.emit(True))
        self.bad = self._small("thumbs-down", on_click=lambda: self.rated.emit(False))
        self.keep = self._small("scales", on_click=self._on_keep)
        self.format = self._small("text-t")
        self.reveal = button(
            "Show the right answer", theme, icon="eye", role="link", tip="Compare the reply with the known answer"
        )
        self.drawn = button("", theme, icon="list-numbers", role="link")
        tip = "Show which tokens of the draft model were accepted, and which were replaced"
        self.drafted = button("Token by token", theme, icon="fast-forward", role="link", tip=tip)
        if not of_reply:
            self.retry.setToolTip("Ask for a reply")
        pairs = (
            (self.retry, self.retry_requested),
            (self.continue_button, self.continue_requested),
            (self.edit, self.edit_requested),
            (self.copy, self.copy_requested),
            (self.format, self.format_requested),
            (self.drawn, self.drawn_requested),
            (self.drafted, self.drafted_requested),
            (self.reveal, self.reveal_requested),
        )
        layout = row(spacing=2)
        self.setLayout(layout)
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        for widget in (self.older, self.version, self.newer):
            layout.addWidget(widget, 0, Qt.AlignmentFlag.AlignVCenter)
        for widget, signal in pairs:
            widget.clicked.connect(signal)
            layout.addWidget(widget, 0, Qt.AlignmentFlag.AlignVCenter)
        for i, widget in enumerate((self.good, self.bad, self.keep), start=layout.indexOf(self.copy) + 1):
            layout.insertWidget(i, widget, 0, Qt.AlignmentFlag.AlignVCenter)
            widget.hide()
        self.drawn.hide()
        self.drafted.hide()
        theme.theme_changed.connect(self._fit)
        self._fit()

    @Slot()
    def _fit(self) -> None:
        side = self._theme.icon_room
        for each in self._icons:
            each.setFixedSize(_SIZE.expandedTo(QSize(side, side)))

    def _small(self, icon: str, tip: str = "", on_click: object = None) -> QPushButton:
        made = button("", self._theme, icon=icon, role="quiet-icon", tip=tip)
        self._icons.append(made)
        if callable(on_click):
            made.clicked.connect(lambda: on_click())
        return made

    @property
    def stops(self) -> tuple[QPushButton, ...]:
        """The tab stops, from left to right."""
        return (
            self.older,
            self.newer,
            self.retry,
            self.continue_button,
            self.edit,
            self.copy,
            self.good,
            self.bad,
            self.keep,
            self.format,
            self.drawn,
            self.drafted,
            self.reveal,
        )

    def show_versions(self, message: Message, versions: Sequence[Message]) -> None:
        """Show which version of the message this is."""
        self._versions = tuple(version.id for version in versions)
        self._shown = self._versions.index(message.id) if message.id in self._versions else len(self._versions)
        for widget in (self.older, self.version, self.newer):
            widget.setVisible(len(self._versions) > 1)
        self.version.setText(f"{self._shown + 1}/{len(self._versions)}")
        self.version.setAccessibleName(f"Version {self._shown + 1} of {len(self._versions)}")

    def offer_preference(self, *, is_edited: bool) -> None:
        """Offer to save this version of a reply as preferred to others, if there are others.

        is_edited: whether the user wrote or changed it.
        """
        others = [(i, id) for i, id in enumerate(self._versions) if i != self._shown]
        self.keep.setVisible(bool(others))
        what = "what you wrote" if is_edited else "this version"
        words = f"Keep as preference: {what} is better than {'the other one' if len(others) == 1 else 'another one'}"
        self.keep.setToolTip(words)
        self.keep.setAccessibleName(words)
        self.keep.setMenu(None)  # type: ignore[arg-type]
        if len(others) > 1:
            entries: list[tuple[str, tuple[str, ...]]] = [(f"Better than version {i + 1}", (id,)) for i, id in others]
            entries.append(("Better than all others", tuple(id for _, id in others)))
            add_menu(
                self.keep,
                self._theme,
                [(title, "scales", words, partial(self.keep_requested.emit, ids)) for title, ids in entries],
            )

    def offer_rating(self, rating: bool | None) -> None:
        """Offer to rate the reply. rating: the current rating (True for good), or None."""
        for widget, is_good, name in ((self.good, True, "thumbs-up"), (self.bad, False, "thumbs-down")):
            is_on = rating is is_good
            words = "Good reply" if is_good else "Bad reply"
            self._theme.set_icon(widget, f"{name}-fill" if is_on else name, "accent" if is_on else "text")
            widget.setToolTip(
                f"{words}: this is in your preferences. Click to take it back."
                if is_on
                else f"{words}: add this to your preferences"
            )
            widget.setAccessibleName(f"{words} (chosen)" if is_on else words)
            widget.setVisible(True)

    def offer_drawn(self, n: int) -> None:
        """Offer to show all n candidates of this reply; 0 if it was the only one."""
        self.drawn.setVisible(n > 0)
        self.drawn.setText(f"All {n}")
        words = f"See all {n} replies that were drawn, with their scores, and choose another one"
        self.drawn.setToolTip(words)
        self.drawn.setAccessibleName(words)

    def _on_keep(self) -> None:
        others = tuple(id for i, id in enumerate(self._versions) if i != self._shown)
        if len(others) == 1:  # otherwise its menu asks which
            self.keep_requested.emit(others)

    def show_format(self, *, is_formatted: bool, as_markdown: bool) -> None:
        """Offer to switch replies between plain text and Markdown, if that changes how this one looks."""
        self.format.setVisible(is_formatted)
        words = "Show replies as plain text" if as_markdown else "Show replies with their formatting (Markdown)"
        self._theme.set_icon(self.format, "text-t" if as_markdown else "text-aa")
        self.format.setToolTip(words)
        self.format.setAccessibleName(words)

    def set_enabled(self, *, can_show: bool, can_edit: bool, can_reply: bool, why_not_continue: str) -> None:
        """Enable the buttons: show other versions, edit, request a reply, continue this reply ("": it can be
        continued).
        """
        self.older.setEnabled(can_show and self._shown > 0)
        self.newer.setEnabled(can_show and self._shown < len(self._versions) - 1)
        for widget in (self.good, self.bad, self.keep):
            widget.setEnabled(can_show)
        self.edit.setEnabled(can_edit)
        self.retry.setEnabled(can_reply)
        explain(self.continue_button, why_not_continue)
        self.continue_button.setEnabled(can_reply and not why_not_continue)

    def _ask(self, step: int) -> None:
        self.version_requested.emit(self._versions[self._shown + step])
