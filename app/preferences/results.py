"""Statistics of the current preference set: how many pairs, the win rate, and how consistent the annotator is."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from PySide6.QtCore import QSignalBlocker, Signal, Slot
from PySide6.QtWidgets import QFrame, QInputDialog, QWidget

from terrarium.app.kit.basics import (
    add_menu,
    button,
    column,
    label,
    plain_tip,
    row,
    separator,
    set_enabled,
    show_if,
    show_words,
)
from terrarium.app.kit.inputs import choice
from terrarium.app.kit.stat_strip import StatStrip
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.plots.interval_bars import Bar, IntervalBars
from terrarium.app.preferences.pair_sampler import REPEAT_EVERY
from terrarium.app.session.session import Session
from terrarium.app.worker.background import LatestTask
from terrarium.models.number_words import format_count, format_percent
from terrarium.models.preferences.measures import Match, Share, left_share, makers, matches, self_agreement
from terrarium.models.preferences.store import GOLD, PERSON, SIMULATED, Pair

_STATS = {
    "by you": "Pairs that you judged, not counting repeats and skipped ones",
    "simulated": "Pairs that the simulated annotator judged. They are never counted as yours.",
    "s per choice": "The median time that a choice took you",
}
_AGREE_TIP = (
    f"One pair in {REPEAT_EVERY} comes back later with its sides swapped. This is how often you chose the same reply "
    "again: a reward model cannot be expected to agree with you more often than you do yourself."
)
_SIDE_TIP = "Sides are random: unless you favour one of them, half of the better replies are on the left."
_WIN_TIP = "The share of its pairs that this model won; about equal and both bad count as half. With its 95 % interval."
_EXPECT = (
    "What so few pairs can do: in Tiny World, a reward model put 93 % of held-out pairs in the right order after 300 "
    "pairs, and 95 % after 1,000. Each was measured once; “terrarium align taught” measures both again."
)
_THUMBS_TIP = "Each rates a single reply as good or bad. KTO learns from them, and needs some of both."
_MAX_MATCHES = 3
_NEW = "New set…"


class Results(QFrame):
    """The current preference set: choose it, show its statistics, and make a dataset of it.

    Signals:
        dataset_made(): the dataset is in the library, and chosen in the data tab.
    """

    dataset_made = Signal()

    def __init__(self, session: Session, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("role", "card")
        self._session = session
        self._made = ""
        self.sets = choice("Set of pairs", "The set that your choices are added to", width=10)
        self.more = button("", theme, icon="dots-three", role="quiet-icon", tip="Rename or delete this set")
        delete = "Move it to the trash; that can be undone. Datasets made from it are kept."
        add_menu(
            self.more,
            theme,
            [
                ("Rename…", "pencil-simple", "Give this set another name", self.rename_set),
                ("Delete", "trash", delete, session.preferences.delete),
            ],
        )
        self.stats = StatStrip(_STATS, theme, widest="8,888")
        self.matches = label("", "caption", wrap=True)
        self.matches.setToolTip(plain_tip(_WIN_TIP))
        self.bars = IntervalBars("What the pairs say", theme)
        self.expect = label(_EXPECT, "caption", wrap=True)
        self.make = button(
            "Make a dataset",
            theme,
            self.make_dataset,
            icon="database",
            tip="A dataset that a reward model or DPO can learn from, split by prompt. The set stays as it is.",
        )
        self.thumbs = label("", "caption", wrap=True)
        self.thumbs.setToolTip(plain_tip(_THUMBS_TIP))
        self.make_rated = button(
            "Make a dataset of the thumbs",
            theme,
            lambda: self.make_dataset(rated=True),
            icon="database",
            tip="A dataset of single replies, good or bad, from which KTO learns; split by prompt",
        )
        self._task = LatestTask(self)
        self._task.done.connect(self._on_made)
        self._task.failed.connect(session.notices.fail)
        self._line = separator()
        self.setLayout(
            column(
                row(label("Set", "muted"), self.sets, self.more, grows=self.sets),
                self.stats,
                separator(),
                self.bars,
                self.matches,
                separator(),
                self.expect,
                self.make,
                self._line,
                self.thumbs,
                self.make_rated,
                margin=SPACE + SPACE // 2,
            )
        )
        self.sets.activated.connect(self._on_set)
        session.preferences.changed.connect(self.refresh)
        session.datasets.added.connect(self._on_added)
        self.refresh()

    @property
    def busy(self) -> bool:
        """Whether a dataset is being made."""
        return self._task.busy

    @Slot()
    def refresh(self) -> None:
        """Show the current set."""
        preferences = self._session.preferences
        names, pairs = preferences.names(), preferences.pairs
        with QSignalBlocker(self.sets):
            self.sets.clear()
            self.sets.addItems([*names, _NEW])
            self.sets.setCurrentIndex(names.index(preferences.name))
        by = makers(pairs)
        self.stats.set_number("by you", f"{by.get(PERSON, 0):,}")
        self.stats.set_number("simulated", f"{by.get(SIMULATED, 0) + by.get(GOLD, 0):,}")
        seconds = [pair.seconds for pair in pairs if pair.by == PERSON and pair.seconds]
        self.stats.set_number("s per choice", _format_seconds(statistics.median(seconds)) if seconds else "–")
        self.bars.show_bars(result_bars(pairs))
        show_words(self.matches, "\n".join(_result(match) for match in matches(pairs)[:_MAX_MATCHES]))
        set_enabled(self.make, "" if by else "Nobody has judged a pair of this set yet.")
        thumbs = preferences.thumbs
        n_good = sum(thumb.is_good for thumb in thumbs)
        self.thumbs.setText(f"Thumbs on replies in your chats: {n_good:,} up, {len(thumbs) - n_good:,} down.")
        show_if(thumbs, self._line, self.thumbs, self.make_rated)
        set_enabled(self.more, "" if preferences.is_stored() else "This set is empty, so it is not kept yet.")

    @Slot(int)
    def _on_set(self, index: int) -> None:
        name = self.sets.itemText(index)
        if index == self.sets.count() - 1:
            name, agreed = QInputDialog.getText(self, "New set of pairs", "Name")
            if not agreed:
                name = self._session.preferences.name
        if not self._session.preferences.choose(name):
            self.refresh()

    def rename_set(self) -> None:
        """Ask for a new name of the set."""
        preferences = self._session.preferences
        name, agreed = QInputDialog.getText(self, "Rename the set", "Name", text=preferences.name)
        if agreed and name.strip() != preferences.name:
            preferences.rename(name)

    def make_dataset(self, *, rated: bool = False) -> None:
        """Make a dataset of the set's pairs, or of its thumbs (`rated`), in the background; the data tab shows it."""
        name, library = self._session.preferences.name, self._session.library

        def work() -> tuple[str, str, dict[str, int]]:
            from terrarium.models.preferences.dataset import build_set_corpus

            corpus, left_behind = build_set_corpus(library, name, rated=rated)
            return corpus.sha, corpus.label, left_behind

        self._task.ask(work)

    @Slot(object)
    def _on_made(self, made: tuple[str, str, dict[str, int]]) -> None:
        self._made, name, left = made
        more = "".join(f" {_left_out(n, reason)}" for reason, n in left.items())
        self._session.datasets.add(self._made)
        self._session.notices.say(f"“{name}” is a dataset now.{more}")

    @Slot(str)
    def _on_added(self, sha: str) -> None:
        if sha == self._made:
            self._made = ""
            self.dataset_made.emit()


def _format_seconds(n: float) -> str:
    return f"{n:.0f}" if n >= 1 else "<1"


_REASONS = {
    "skipped": "you skipped {it}",
    "both bad": "you found both replies bad",
    "shown again": "{it_was} shown again, to see whether you agree with yourself",
    "with an empty reply": "a reply is empty",
    "with two replies that are the same": "both replies are the same",
}
"""The reasons from models.preferences.dataset why pairs are not in a dataset, in words."""


def _left_out(n: int, reason: str) -> str:
    """Describe omitted pairs, as “One was left out: you found both replies bad.”"""
    it, it_was = ("it", "it was") if n == 1 else ("them", "they were")
    why = _REASONS[reason].format(it=it, it_was=it_was)
    return f"{'One was' if n == 1 else f'{n:,} were'} left out: {why}."


def result_bars(pairs: Sequence[Pair]) -> list[Bar]:
    """Return bars of the win rate of the two models compared most often, the self-agreement, and the left choices."""
    met = matches(pairs)[:1]
    return [
        *(_bar("Win rate", match.win_rate, tip=f"{_result(match)} {_WIN_TIP}") for match in met),
        _bar("Self-agreement", self_agreement(pairs), tip=_AGREE_TIP, none="none yet"),
        _bar("Left chosen", left_share(pairs), tip=_SIDE_TIP, none="none yet"),
    ]


def _result(match: Match) -> str:
    share = match.win_rate
    assert share.value is not None
    return f"{match.first} won {format_percent(share.value)} of {format_count(share.n, 'pair')} against {match.second}."


def _bar(name: str, share: Share, *, tip: str, none: str = "") -> Bar:
    if share.value is None:
        return Bar(name=name, share=None, text=none, tip=tip)
    tip = f"{share.n_yes:g} of {format_count(share.n, 'pair')}. {tip}"
    return Bar(name=name, share=share.value, text=format_percent(share.value), interval=share.interval, tip=tip)
