"""Measures tokenizers on whole corpora and languages: the choice of texts, and a chart of the results."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from functools import partial

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QSizePolicy, QWidget

from terrarium.app.kit.basics import button, column, label, row, show_only, show_words
from terrarium.app.kit.forms.editors import keep_wheel_for_scrolling
from terrarium.app.kit.inputs import fill_choice, named, progress_bar, show_progress
from terrarium.app.kit.labels import ElidedCombo
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.session.session import Session
from terrarium.app.tokenizer.compare.group_bars import BarSeries, Group, GroupBars
from terrarium.app.tokenizer.compare.metrics import RATIOS
from terrarium.app.tokenizer.compare.text_work import TokenizerCache
from terrarium.app.tokenizer.corpus_picker import CorpusPicker
from terrarium.app.worker.background import LatestTask, latest_progress
from terrarium.app.worker.failures import Failure
from terrarium.models.data.corpus_texts import CorpusChoice, corpus_texts, language_texts
from terrarium.models.events import Event, Phase, Progress
from terrarium.models.tiny_world.stories import LANGUAGE_NAMES
from terrarium.models.tokenizers.text.compare import Figures, MeasuredPart, TextLoader, compare

_Part = str | CorpusChoice
"""A language, or a corpus."""

_LANGUAGES, _CORPUS = "languages", "corpus"
TEXT_LABEL = "Your text"


class MeasuredTexts(QWidget):
    """Measurements of tokenizers by text; they accumulate until cleared, and always include the text of the tab.

    Signals:
        changed(): `labels` and `figures` have changed.
    """

    changed = Signal()

    def __init__(
        self, session: Session, theme: ThemeProvider, cache: TokenizerCache, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._session, self._cache = session, cache
        self._series: Sequence[BarSeries] = ()
        self._text_figures: Mapping[str, Figures] = {}
        self._parts: dict[_Part, tuple[str, dict[str, Figures]]] = {}
        self._pending: list[_Part] = []
        self._task = LatestTask(self)
        self.figure = named(ElidedCombo(), "Figure", "What the bars show")
        self.source = named(ElidedCombo(), "Texts to measure on", "What to measure on")
        self.corpus = CorpusPicker(session)
        self.measure = button("Measure", theme, self.start, icon="play", tip="Encode all these texts and measure")
        self.clear = button(
            "Clear", theme, self.forget_all, role="quiet", tip="Remove all measured texts from the chart"
        )
        self.cancel = button("Cancel", theme, self._task.cancel, icon="x", tip="Stop; keeps what is measured")
        self._bar = progress_bar("Progress of the measurement")
        self._phase, self._direction = label("", "caption"), label("", "caption")
        self._note = label("", "caption", wrap=True)
        self._problem = label("", "error", wrap=True)
        self.bars = GroupBars(theme)
        self._build()
        self._task.events_received.connect(self._on_events)
        self._task.failed.connect(self._on_failed)
        self._task.busy_changed.connect(self._show_busy)
        self.figure.currentIndexChanged.connect(self._draw)
        self.source.currentIndexChanged.connect(self._on_source)
        self.corpus.changed.connect(self._draw)
        self._show_problem("")
        self._show_busy(False)
        self._on_source()

    def _build(self) -> None:
        titles = {metric.title: metric.title for metric in RATIOS}
        fill_choice(self.figure, titles, tips={metric.title: metric.tip for metric in RATIOS})
        sources = {_LANGUAGES: "Tiny World in four languages", _CORPUS: "A corpus"}
        fill_choice(self.source, sources, tips={_LANGUAGES: f"The same stories in {', '.join(LANGUAGE_NAMES)}"})
        for box in (self.figure, self.source):
            box.setMinimumWidth(110)  # may be elided with large text
            keep_wheel_for_scrolling(box)
        self._bar.setMinimumWidth(90)
        self.corpus.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.corpus.setMaximumWidth(260)
        work = self._phase, self._bar, self.source, self.corpus, self.measure, self.cancel, self.clear
        head = row(self.figure, self._direction, None, *work)
        self.setLayout(column(head, self._problem, self._note, self.bars, spacing=SPACE // 2, grows=self.bars))

    # -- Measurements --------------------------------------------------------------------------------------------------

    @property
    def labels(self) -> list[str]:
        """The labels of the measured parts."""
        return [label for label, _ in self._parts.values()]

    def figures(self, part: int) -> Mapping[str, Figures]:
        """Return the figures of measured part number `part`, by tokenizer."""
        return list(self._parts.values())[part][1]

    @property
    def problem(self) -> str:
        """Why the last measurement failed, "" if it did not."""
        return self._problem.text()

    @property
    def busy(self) -> bool:
        """Whether a measurement is running."""
        return self._task.busy

    def show_tokenizers(self, series: Sequence[BarSeries], of_text: Mapping[str, Figures]) -> None:
        """Compare these tokenizers; `of_text`: their figures on the text of the tab."""
        self._series, self._text_figures = series, of_text
        self._draw()

    def forget(self, name: str) -> None:
        """Drop the results of a tokenizer that was changed or removed."""
        for _, figures in self._parts.values():
            figures.pop(name, None)
        self._draw()

    @Slot()
    def forget_all(self) -> None:
        """Drop all measured parts."""
        self._task.cancel()
        self._parts.clear()
        self._draw()
        self.changed.emit()

    def start(self) -> None:
        """Measure the chosen texts with the tokenizers that lack results for them, or with all if none lacks any."""
        chosen = [series.name for series in self._series]
        parts = self._chosen_parts()
        names = [name for name in chosen if self._lacks(name, parts)] or chosen
        if not names:
            return
        library, cache = self._session.library, self._cache
        sources: list[TextLoader] = [
            partial(language_texts, part) if isinstance(part, str) else partial(corpus_texts, library, part)
            for part in parts
        ]

        def work() -> Generator[Event, None, object]:
            yield Phase(name="Loading the tokenizers")
            return (yield from compare({name: cache.load(name) for name in names}, sources))

        self._pending = list(parts)
        self._show_problem("")
        self._task.drive(work)

    def _chosen_parts(self) -> list[_Part]:
        return list(LANGUAGE_NAMES) if self.source.currentData() == _LANGUAGES else [self.corpus.choice]

    def _lacks(self, name: str, parts: Sequence[_Part]) -> bool:
        return any(part not in self._parts or name not in self._parts[part][1] for part in parts)

    @Slot(object)
    def _on_events(self, events: tuple[Event, ...]) -> None:
        for event in latest_progress(events):
            if isinstance(event, Phase):
                self._phase.setText(event.name)
                show_progress(self._bar)
            elif isinstance(event, Progress) and event.total > 0:
                show_progress(self._bar, event.done, event.total)
            elif isinstance(event, MeasuredPart):
                _, known = self._parts.get(part := self._pending.pop(0), ("", {}))
                self._parts[part] = event.label, {**known, **event.figures}
                self._draw()
                self.changed.emit()

    @Slot(object)
    def _on_failed(self, failure: Failure) -> None:
        self._show_problem(failure.sentence)

    def _show_problem(self, sentence: str) -> None:
        show_words(self._problem, sentence)

    # -- Display -------------------------------------------------------------------------------------------------------

    @Slot(bool)
    def _show_busy(self, busy: bool) -> None:
        show_only(
            {self._phase: busy, self._bar: busy, self.cancel: busy, self.source: not busy, self.measure: not busy}
        )
        self._on_source()

    @Slot()
    def _on_source(self) -> None:
        self.corpus.setVisible(self.source.currentData() == _CORPUS and not self.busy)
        self._draw()

    @Slot()
    def _draw(self) -> None:
        names = [series.name for series in self._series]
        all_parts = [(TEXT_LABEL, self._text_figures), *self._parts.values()]
        groups = [Group(label, [figures.get(name) for name in names]) for label, figures in all_parts]
        metric = RATIOS[self.figure.currentIndex()]
        self._direction.setText(metric.direction)
        self.bars.show_groups(metric, self._series, groups)
        self.measure.setEnabled(bool(names))
        self.clear.setVisible(bool(self._parts) and not self.busy)
        missing = [name for name in names if self._parts and self._lacks(name, list(self._parts))]
        lacking = f"Not yet measured on all of these texts: {', '.join(missing)}. Click Measure to add what is missing."
        show_words(self._note, lacking if missing and not self.busy else "")
