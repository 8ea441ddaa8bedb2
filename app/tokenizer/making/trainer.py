"""The form to train a tokenizer, and its progress."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QWidget

from terrarium.app.kit.basics import button, column, frame, group, label, row, scrolled, show_words, stacked
from terrarium.app.kit.forms.config_form import ConfigForm
from terrarium.app.kit.forms.editors import IntBox
from terrarium.app.kit.forms.slot_row import ROW_MARGIN
from terrarium.app.kit.inputs import caption, choice, fill_choice, grid, line_edit, named, progress_bar, show_progress
from terrarium.app.kit.layout.tab_order import put_after, stops_in
from terrarium.app.kit.setting_names.value_words import words
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.session.session import Session
from terrarium.app.tokenizer.corpus_picker import CorpusPicker
from terrarium.app.tokenizer.making.growth_chart import GrowthChart
from terrarium.app.worker.background import latest_progress
from terrarium.models.events import Event, Notice, Phase, Progress, VocabularyGrowth
from terrarium.models.settings.tokenizer_options import KINDS, TokenizerOptions, pre_tokenizers_of, used_options
from terrarium.models.tokenizers import check_training

_KIND_TIPS = {
    "byte": "Each byte is a token: 256 tokens, nothing to train, long sequences",
    "char": "Each character is a token; rare ones are spelled in bytes",
    "bpe": "Frequent pairs are merged, as in GPT and Llama 3",
    "wordpiece": "Words, and continuations marked ##, longest match first, as in BERT",
    "unigram": "Pieces with probabilities; text is split the most probable way, as in T5 and SentencePiece",
    "word": "Whole words; all but the most frequent are unknown",
}
_TEXT_TIP = "The text whose frequent pieces become tokens"
_HINT = (
    "After the training of a byte-level BPE, a chart shows here how well smaller vocabularies would compress the same "
    "text: its merges are learned one after another, so a smaller one has just the first of them."
)


class TokenizerTrainer(QWidget):
    """The form, replaced by the progress during training, with the compression chart beside it.

    Args:
        free_name: makes a name unique in the library.

    Signals:
        train_requested(name, kind, vocab_size, data, options): a CorpusChoice and TokenizerOptions.
        cancel_requested(): the user wants to cancel.
    """

    train_requested = Signal(str, str, int, object, object)
    cancel_requested = Signal()

    def __init__(
        self, session: Session, theme: ThemeProvider, free_name: Callable[[str], str], parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._theme, self._free_name = theme, free_name
        self._name_is_automatic = True
        self._busy = False
        self.kind = choice("Kind", "What a token is", width=12)
        fill_choice(self.kind, {kind: words(kind) for kind in KINDS}, "bpe", _KIND_TIPS)
        self.source = named(CorpusPicker(session, _TEXT_TIP), "Text", _TEXT_TIP)
        self.vocab = named(IntBox(2, 1_000_000, 256), "Vocabulary", "Maximum number of distinct tokens")
        self.name = line_edit("Name", "Its name in the library")
        self.options: ConfigForm | None = None
        self._options_box = column()
        self._about_kind = label("", "caption", wrap=True)
        self.problem = label("", "error", wrap=True)
        self.progress_bar = progress_bar("Progress of the training")
        self._phase, self._notice = label("", wrap=True), label("", "caption", wrap=True)
        self._numbers = label("", "caption")
        self.growth = GrowthChart(theme, _HINT)
        self._build()
        self.vocab.setValue(1024)
        self._on_kind()
        self.kind.currentIndexChanged.connect(self._on_kind)
        self.vocab.valueChanged.connect(self._on_choice)
        self.source.changed.connect(self._on_choice)
        self.name.textEdited.connect(self._on_name_edited)

    def _build(self) -> None:
        editors = (self.source, self.kind, self._about_kind, self.vocab, self.name)
        captions = [caption(each.accessibleName(), each, tip=each.toolTip()) for each in editors]
        fields = grid(*zip(captions, editors, strict=True), grows=1, spacing=(SPACE, SPACE))
        fields.setContentsMargins(*ROW_MARGIN)
        tip = "Train it and add it to the library"
        self.start_button = button("Train", self._theme, self._on_train, icon="play", role="primary", tip=tip)
        cancel = button("Cancel", self._theme, self.cancel_requested.emit, icon="x", tip="Stop; nothing is kept")
        form = scrolled(fields, self._options_box, None)
        self._pages = stacked(
            group(form, self.problem, row(None, self.start_button), grows=form),
            group(self._phase, self.progress_bar, self._numbers, self._notice, row(None, cancel), None),
        )
        self.problem.hide()
        left = frame("card", label("Train a new tokenizer", "subheading"), self._pages, grows=self._pages)
        right = frame("card", self.growth)
        self.setLayout(row(left, right, grows={left: 5, right: 6}))

    # -- During the training -------------------------------------------------------------------------------------------

    def show_busy(self, busy: bool) -> None:
        """Switch between the progress and the form."""
        if busy and not self._busy:
            self.growth.set_points(())
            self._notice.setText("")
            self.show_events((Phase(name="Starting"),))
        self._busy = busy
        self._pages.setCurrentIndex(1 if busy else 0)
        if not busy:
            self._name_is_automatic = True
            self._on_choice()

    def show_events(self, events: tuple[Event, ...]) -> None:
        """Show the events of the training."""
        for event in latest_progress(events):
            if isinstance(event, Phase):
                self._phase.setText(event.name)
                show_progress(self.progress_bar)
                self._numbers.setText(" ")
            elif isinstance(event, Progress) and event.total > 0:
                show_progress(self.progress_bar, event.done, event.total)
                self._numbers.setText(f"{event.done:,} of {event.total:,}")
            elif isinstance(event, Notice):
                self._notice.setText(event.sentence)
            elif isinstance(event, VocabularyGrowth):
                self.growth.add_point(event)

    # -- The form ------------------------------------------------------------------------------------------------------

    def show_problem(self, sentence: str) -> None:
        """Show a problem below the form; "" clears it."""
        show_words(self.problem, sentence)

    def train(self) -> None:
        """Start the training, like the button."""
        self._on_train()

    def _on_kind(self) -> None:
        """Show the options that apply to the kind, retaining their values."""
        kind = self.kind.currentData()
        held = TokenizerOptions() if self.options is None else self.options.config
        choices = pre_tokenizers_of(kind)
        if held.pre_tokenizer not in choices:
            held = dataclasses.replace(held, pre_tokenizer=choices[0])
        if self.options is not None:
            self._options_box.removeWidget(self.options)
            self.options.deleteLater()
        used = used_options(kind)
        hidden = {field.name for field in dataclasses.fields(held)} - set(used)
        self.options = ConfigForm(held, self._theme, hidden=hidden)
        self.options.changed.connect(lambda _: self._on_choice())
        self.options.problem_changed.connect(lambda _: self._on_choice())
        self._options_box.addWidget(self.options)
        put_after(self.name, *stops_in(self.options))
        self._about_kind.setText(_KIND_TIPS[kind] + ".")
        self._on_choice()

    def _on_choice(self) -> None:
        kind = self.kind.currentData()
        self.vocab.setEnabled(kind != "byte")
        if self._name_is_automatic:
            size = "" if kind == "byte" else f"-{self.vocab.value()}"
            self.name.setText(self._free_name(kind if not size else f"{self.source.stem}-{kind}{size}"))
        self.show_problem(self._find_problem())
        self.start_button.setEnabled(not self.problem.text())

    def _find_problem(self) -> str:
        assert self.options is not None
        if self.options.problem:
            return self.options.problem
        try:
            check_training(self.kind.currentData(), self.vocab.value(), self.options.config)
        except ValueError as error:
            return str(error)
        return ""

    def _on_name_edited(self, text: str) -> None:
        self._name_is_automatic = not text
        self.show_problem("")

    def _on_train(self) -> None:
        assert self.options is not None
        self.vocab.interpretText()
        kind, size = self.kind.currentData(), self.vocab.value()
        self.train_requested.emit(self.name.text().strip(), kind, size, self.source.choice, self.options.config)
