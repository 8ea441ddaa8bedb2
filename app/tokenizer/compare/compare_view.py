"""The Compare view: aligned tokens of several tokenizers, their metrics, and their cost for the design."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QCheckBox, QSizePolicy, QWidget
from tokenizers import Tokenizer

from terrarium.app.kit.basics import EmptyState, column, frame, label, row, set_role, splitter, stacked, titled_card
from terrarium.app.kit.inputs import choice, fill_choice
from terrarium.app.kit.labels import ElidedLabel
from terrarium.app.kit.setting_names.value_words import words
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.kit.tokens.glyphs import Glyphs
from terrarium.app.session.session import Session
from terrarium.app.tokenizer.compare.aligned_view import AlignedView
from terrarium.app.tokenizer.compare.figures_table import Compared, FiguresTable
from terrarium.app.tokenizer.compare.group_bars import BarSeries
from terrarium.app.tokenizer.compare.measured_texts import TEXT_LABEL, MeasuredTexts
from terrarium.app.tokenizer.compare.spot import AlignedRow, Spot, describe_spot
from terrarium.app.tokenizer.compare.text_grid import TextGrid
from terrarium.app.tokenizer.compare.text_work import MAX_DRAWN, ComparedText, TokenizerCache, text_work
from terrarium.app.worker.background import LatestTask
from terrarium.app.worker.failures import Failure
from terrarium.models.library.library import TokenizerInfo
from terrarium.models.tokenizers.text.compare import Figures, model_cost

_SLOW = 20_000
"""Texts of more characters show “Encoding…”."""


class TokenizerCompareView(QWidget):
    """Compares tokenizers of the library on the text of the tab, and on corpora and languages.

    The current tokenizer is included until it is unchecked.

    Signals:
        compared(): the tokens of the text have changed.
    """

    compared = Signal()

    def __init__(self, session: Session, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._cache = TokenizerCache(session.library)
        self._glyphs = Glyphs(theme.mono_font())
        self._selection, self._text = Selection(), ""
        self._infos: dict[str, TokenizerInfo] = {}
        self._stamps: dict[str, object] = {}
        self._shown = ComparedText(grid=TextGrid(""), n_characters=0)
        self._task = LatestTask(self)
        self.aligned = AlignedView(theme)
        self.table = FiguresTable(theme)
        self.texts = MeasuredTexts(session, theme, self._cache)
        self.of = choice("Texts that the figures are measured on", "Texts that the figures are measured on")
        self.show_ids = QCheckBox("Ids")
        self.hint = label("", wrap=True)
        self._banner = frame("banner", self.hint, margin=SPACE)
        self._note, self._description, self._costs = ElidedLabel(), ElidedLabel(), ElidedLabel()
        self._build()
        self._task.done.connect(self._on_done)
        self._task.failed.connect(self._on_failed)
        self._task.busy_changed.connect(self._show_note)
        self.aligned.pointed.connect(self._on_pointed)
        self.table.ticked.connect(self._on_ticked)
        self.texts.changed.connect(self._on_texts_changed)
        self.of.currentIndexChanged.connect(self._fill)
        session.tokenizers.list_changed.connect(self._on_library_changed)
        session.designs.changed.connect(self._fill)
        self._on_library_changed()

    def _build(self) -> None:
        for caption in (self._note, self._description, self._costs):
            set_role(caption, "caption")
        self.show_ids.setToolTip("Show each token’s id below it, where it is wide enough")
        self.show_ids.toggled.connect(self.aligned.set_show_ids)
        self._costs.setMinimumWidth(200)
        head = row(label("Aligned by character", "subheading"), self._note, self.show_ids)
        pills = titled_card("", head, self.aligned, self._description, margin=SPACE, grows=self.aligned)
        head = row(label("Figures for", "subheading"), self.of, self._costs)
        figures = titled_card("", head, self.table, margin=SPACE)
        figures.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)  # others get the spare height
        bars = titled_card("", self.texts, margin=SPACE)
        self._pages = stacked(
            EmptyState("No tokenizer yet", "Train or import one, then compare it with others on any text."),
            splitter(pills, figures, bars, sizes=(285, 240, 235), grows=(3, 1, 2), vertical=True),
        )
        self.setLayout(column(self._banner, self._pages, grows=self._pages))

    # -- Compared tokenizers -------------------------------------------------------------------------------------------

    @property
    def names(self) -> list[str]:
        """The names of the compared tokenizers, the current one first."""
        return [each.name for each in self._all() if each.name in self._selection and not each.problem]

    @property
    def shown(self) -> ComparedText:
        """The result for the text of the tab."""
        return self._shown

    @property
    def description(self) -> str:
        """The description of the current spot."""
        return self._description.text()

    def set_tokenizer(self, tokenizer: Tokenizer | None, name: str) -> None:
        """Set the current tokenizer, which is compared unless the user unchecks it."""
        self._selection.set_current(name if tokenizer is not None else "")
        self._encode()

    def set_text(self, text: str) -> None:
        """Compare on another text."""
        if text != self._text:
            self._text = text
            self._encode()

    def _all(self) -> list[Compared]:
        """Return all tokenizers of the library, compared ones first."""
        problems = self._shown.problems
        return [
            Compared(
                name=info.name,
                kind=info.kind,
                vocab_size=self._shown.sizes.get(info.name, info.vocab_size),
                problem=info.problem or problems.get(info.name, ""),
            )
            for info in map(self._infos.__getitem__, self._selection.order(list(self._infos)))
        ]

    @Slot(str, bool)
    def _on_ticked(self, name: str, is_in: bool) -> None:
        self._selection.tick(name, is_in)
        self._encode()

    @Slot()
    def _on_library_changed(self) -> None:
        self._infos = {info.name: info for info in self._session.tokenizers.list()}  # reads the files of each
        for name in {*self._infos, *self._stamps}:
            stamp = self._cache.stamp(name)
            if self._stamps.get(name, stamp) != stamp:
                self.texts.forget(name)
            self._stamps[name] = stamp
        self._selection.keep(list(self._infos))
        self._encode()

    # -- The text of the tab -------------------------------------------------------------------------------------------

    def _encode(self) -> None:
        names = self.names
        self._selection.assign_colours(names)
        self._pages.setCurrentIndex(1 if self._infos else 0)
        self._show_hint()
        self._fill()
        missing = self._glyphs.missing(self._text[:MAX_DRAWN])
        self._task.drive(text_work(self._cache, names, self._text, missing))

    @Slot(object)
    def _on_done(self, result: ComparedText) -> None:
        self._shown = result
        rows = [AlignedRow(name, self._selection.colour(name), tokens) for name, tokens in result.tokens.items()]
        self.aligned.set_rows(result.grid, rows)
        self._show_hint()
        self._show_note()
        self._fill()
        self.compared.emit()

    @Slot(object)
    def _on_failed(self, failure: Failure) -> None:
        self.hint.setText(failure.sentence)
        self._banner.show()

    @Slot(object)
    def _on_pointed(self, spot: Spot | None) -> None:
        description = "" if spot is None else "   ·   ".join(describe_spot(self._shown.grid, self.aligned.rows, spot))
        self._description.setText(description or "Point at a token to see what the others make of the same characters.")

    def _show_hint(self) -> None:
        others = len(self._infos) - 1
        n = len(self.names)
        if n > 1 or others < 0:
            sentence = ""
        elif not others:
            sentence = "The library has no other tokenizer yet: train or import one to compare it with this one."
        elif n:
            sentence = "Check another tokenizer in the table to compare it with this one."
        else:
            sentence = "Check the tokenizers in the table that you want to compare."
        self.hint.setText(sentence)
        self._banner.setVisible(bool(sentence))

    @Slot()
    def _show_note(self) -> None:
        parts = []
        if self._task.busy and len(self._text) > _SLOW:
            parts.append("Encoding…")
        if self._shown.n_characters > MAX_DRAWN:
            parts.append(
                f"Showing the first {MAX_DRAWN:,} characters; figures are for all {self._shown.n_characters:,}."
            )
        if self._shown.has_specials:
            parts.append("Special tokens are encoded as plain text.")
        self._note.setText(" ".join(parts))

    # -- Figures and costs ---------------------------------------------------------------------------------------------

    @Slot()
    def _on_texts_changed(self) -> None:
        labels = self.texts.labels
        entries = [TEXT_LABEL, *labels]
        if len(labels) > 1:
            entries.append("All measured texts")
        fill_choice(self.of, dict(zip(entries, entries, strict=True)), self.of.currentText())
        self._fill()

    def _figures(self) -> Mapping[str, Figures]:
        """Return the figures on the chosen texts, by tokenizer."""
        i = self.of.currentIndex() - 1
        if i < 0:
            return self._shown.figures
        n = len(self.texts.labels)
        if i < n:
            return self.texts.figures(i)
        parts = [self.texts.figures(part) for part in range(n)]
        names = [name for name in parts[0] if all(name in part for part in parts)]
        return {name: sum((part[name] for part in parts), Figures()) for name in names}

    @Slot()
    def _fill(self) -> None:
        if not self.of.count():
            self._on_texts_changed()
            return
        figures, design = self._figures(), self._session.designs.current
        rows = []
        for each in self._all():
            if each.problem or each.name not in self._selection:
                rows.append(each)
                continue
            known = figures.get(each.name)
            rows.append(
                Compared(
                    name=each.name,
                    kind=each.kind,
                    vocab_size=each.vocab_size,
                    colour=self._selection.colour(each.name),
                    figures=known,
                    cost=model_cost(design, each.vocab_size, known or Figures()),
                )
            )
        self.table.show_compared(rows)
        series = [BarSeries(each.name, each.colour) for each in rows if each.colour is not None]
        self.texts.show_tokenizers(series, self._shown.figures)
        name = words(self._session.designs.name) if self._session.designs.name else "the current design"
        tied = "tied" if design.tied_embeddings else "not tied"
        self._costs.setText(
            f"Costs for {name}: {design.d_model:,} wide, embeddings {tied}, {design.context_length:,} tokens of context"
        )


class Selection:
    """The compared tokenizers: the current one unless the user removes it, and those that the user adds."""

    def __init__(self) -> None:
        self._current = ""
        self._added: list[str] = []
        self._is_taken_out = False
        self._colours: dict[str, int] = {}

    @property
    def current(self) -> str:
        """The current tokenizer, "" for none."""
        return self._current

    def set_current(self, name: str) -> None:
        """Set the current tokenizer, "" for none."""
        if name != self._current:
            self._current, self._is_taken_out = name, False

    def tick(self, name: str, is_in: bool) -> None:
        """Add or remove a tokenizer."""
        self._added = [each for each in self._added if each != name] + [name] * is_in
        if name == self._current:
            self._is_taken_out = not is_in

    def keep(self, names: Sequence[str]) -> None:
        """Remove the added tokenizers that are not in `names`."""
        self._added = [name for name in self._added if name in names]

    def __contains__(self, name: str) -> bool:
        return name in self._added or (name == self._current and not self._is_taken_out)

    def order(self, names: Sequence[str]) -> list[str]:
        """Return the names sorted: the current one, those added in order, then the rest."""
        first = [self._current, *self._added]
        return sorted(names, key=lambda name: first.index(name) if name in self else len(first))

    def assign_colours(self, names: Sequence[str]) -> None:
        """Assign colour indices to these names; a compared tokenizer keeps its index."""
        self._colours = {name: number for name, number in self._colours.items() if name in names}
        for name in names:
            taken = self._colours.values()
            if name not in self._colours:
                self._colours[name] = next(n for n in range(len(names)) if n not in taken)

    def colour(self, name: str) -> int:
        """Return the colour index of a tokenizer."""
        return self._colours.get(name, 0)
