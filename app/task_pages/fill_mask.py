"""The fill-mask page: candidates for each mask of a text, and the pseudo-perplexity of a complete text."""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from PySide6.QtCore import QTimer, Slot
from PySide6.QtGui import QShowEvent, QTextCursor
from PySide6.QtWidgets import QPushButton, QWidget

from terrarium.app.glass.examiner import Examiner
from terrarium.app.glass.focus import Focus
from terrarium.app.glass.names import token_names
from terrarium.app.glass.read_text import ReadText
from terrarium.app.glass.tokens.token_box import TokenBox
from terrarium.app.kit.basics import button, column, group, label, row, scrolling, set_enabled
from terrarium.app.kit.help_mark import HelpMark
from terrarium.app.kit.inputs import named
from terrarium.app.kit.layout.relayout import AdaptiveSplitter
from terrarium.app.kit.text.text_box import TextBox
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.session.chat_model import ChatModel
from terrarium.app.session.session import Session
from terrarium.app.task_pages.mask_colours import MASKS, MaskColours
from terrarium.app.task_pages.mask_list import MaskList
from terrarium.app.task_pages.mode_page import ErrorLabel, ModePage
from terrarium.app.worker.failures import Failure
from terrarium.models.events import Progress

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from terrarium.models.architecture.transformer import AnyModel
    from terrarium.models.inference.fill_mask import MaskCandidate, TokenFit


_PATIENCE_MS = 200
_LINES = 6
_HINT = "Write a text with a mask where a word is missing."
_ABOUT = (
    "exp of the mean surprisal of each token when only it is masked; 1 means certain. It compares texts under one "
    "model, not models, and is not the perplexity of a model that writes."
)
N_BEST = 8


class FillMask(ModePage):
    """At the left a text with masks, at the right each mask's candidates; below the text its pseudo-perplexity."""

    def __init__(self, session: Session, theme: ThemeProvider, focus: Focus, parent: QWidget | None = None) -> None:
        super().__init__(session, theme, focus, parent)
        self._mask = ""
        self.filled: _FilledMasks | None = None
        self._examiner = Examiner(session.worker, session.chat, self)
        self._measurer = Examiner(session.worker, session.chat, self)
        self.editor = named(TextBox(), "Text with masks")
        self.setFocusProxy(self.editor)
        self.editor.setPlaceholderText(_HINT)
        self.editor.setTabChangesFocus(True)
        self.editor.setMinimumHeight(self.editor.fontMetrics().lineSpacing() * _LINES + 2 * SPACE)
        self._colours = MaskColours(self.editor.document(), theme)
        self.insert = button(
            "Insert mask", theme, self._insert_mask, icon="plus", tip="Insert a mask at the cursor (Ctrl+M)"
        )
        self.insert.setShortcut("Ctrl+M")
        self.fill_all = button(
            "Fill in most likely",
            theme,
            self._fill_all,
            icon="magic-wand",
            tip="Fill each mask with its best candidate",
        )
        self.measure = button(
            "Measure",
            theme,
            self._on_measure,
            icon="gauge",
            tip="Mask each token in turn to see how likely the model finds it: one forward pass per token",
        )
        self.problem = ErrorLabel()
        self.masks = MaskList(theme)
        self.fits = FitsView(theme, focus, self.measure)
        self._patience = QTimer(self, singleShot=True, interval=_PATIENCE_MS)
        self._build()
        self.editor.text_changed.connect(self._on_edited)
        self.masks.chosen.connect(self._on_chosen)
        self._patience.timeout.connect(self._ask)
        self._examiner.done.connect(self._show)
        self._examiner.failed.connect(self._on_failed)
        self._measurer.done.connect(self._on_measured)
        self._measurer.failed.connect(self._on_failed)
        self._measurer.changed.connect(self._show_state)
        self.on_model_changed()

    def _build(self) -> None:
        left = group(self.editor, row(self.insert, self.fill_all, None), self.problem, SPACE, self.fits, None)
        self.body.setLayout(column(AdaptiveSplitter(left, scrolling(self.masks), sizes=(520, 300), grows=0)))

    def refusal(self, model: ChatModel) -> tuple[str, str] | None:
        if model.config.head not in ("language", "none"):
            sentence = "Its head gives labels instead of tokens. Choose an encoder that was trained on masked tokens."
            return "This model predicts labels", sentence
        if model.config.topology != "encoder-only":
            return "This model cannot fill masks", "Only encoders such as BERT can: choose one above."
        if model.config.head != "language":
            sentence = (
                "It turns texts into vectors and has no head that predicts tokens. Choose an encoder that was trained "
                "on masked tokens."
            )
            return "This encoder cannot fill masks", sentence
        return None

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        if self.filled is None and self._n_masks:
            self._patience.start()

    @Slot()
    def on_model_changed(self) -> None:
        super().on_model_changed()
        self._examiner.forget()
        self._measurer.forget()
        tokenizer = self._session.chat.tokenizer
        self._mask = "" if tokenizer is None or self.words else _mask_token(tokenizer)
        self._on_edited()

    # -- Text ----------------------------------------------------------------------------------------------------------

    @property
    def text(self) -> str:
        """The text with its masks."""
        return self.editor.text

    def set_text(self, text: str) -> None:
        """Replace the text; undoable."""
        cursor = QTextCursor(self.editor.document())
        cursor.select(QTextCursor.SelectionType.Document)
        cursor.insertText(text)

    def _insert_mask(self) -> None:
        self.editor.insertPlainText(self._mask)
        self.editor.setFocus()

    @Slot()
    def _on_edited(self) -> None:
        self.filled = None
        self.fits.clear()
        self._measurer.forget()
        self.problem.say("")
        if self.words:
            return
        if self._n_masks:
            self._patience.start()
        else:
            self._patience.stop()
            self._examiner.forget()
            self.masks.say("No masks yet: put one where a word is missing." if self.text.strip() else _HINT)
        self._show_state()

    @property
    def _n_masks(self) -> int:
        return len(MASKS.findall(self.text)) if self._mask else 0

    @Slot()
    def _show_state(self) -> None:
        set_enabled(self.insert, "" if self._mask else "No model with masks is open.")
        set_enabled(self.fill_all, "" if self.filled is not None else "There is no mask that the model has filled.")
        busy, empty = self._measurer.busy, "" if self.text.strip() else "Write a text first."
        masked = "Fill the masks first." if self._n_masks else ""
        set_enabled(self.measure, "The text is being measured." if busy else empty or masked)
        self.fits.set_hint(
            "Fill the masks first: only a complete text can be measured." if self._n_masks else "",
            busy=self._measurer.busy,
        )

    # -- Masks ---------------------------------------------------------------------------------------------------------

    @Slot()
    def _ask(self) -> None:
        text = self.text
        if self.words or not self.isVisible():  # asked again when the page is shown
            return
        self._examiner.ask(lambda model, tokenizer: _find_candidates(model, tokenizer, text))

    @Slot(object)
    def _show(self, filled: _FilledMasks) -> None:
        if filled.text != self.text:
            return
        self.filled = filled
        self.masks.show_masks(filled.candidates, _around(filled.text))
        best = ", ".join(f"“{candidates[0].text.strip()}”" for candidates in filled.candidates)
        self.news.say(f"Most likely: {best}", instead=True)
        masks = [i for i, id in enumerate(filled.ids) if id == self._mask_id]
        read = ReadText(
            ids=filled.ids,
            words=filled.words,
            n_prompt=len(filled.ids),
            step=self._examiner.step,
            start=masks[0] if masks else None,
        )
        self.inspect(read)
        self.fits.show_text(read)
        self._show_state()

    @Slot(int, int)
    def _on_chosen(self, mask: int, candidate: int) -> None:
        """Replace a mask by a candidate."""
        if self.filled is not None:
            self._put({mask: self.filled.candidates[mask][candidate].text})

    def _fill_all(self) -> None:
        if self.filled is not None:
            self._put({mask: candidates[0].text for mask, candidates in enumerate(self.filled.candidates)})

    def _put(self, words: dict[int, str]) -> None:
        """Replace masks by words, as one undoable step."""
        parts, spelled = MASKS.split(self.text), MASKS.findall(self.text)
        text = parts[0]
        for i, part in enumerate(parts[1:]):
            text = (_joined(text, words[i]) if i in words else text + spelled[i]) + part
        self.set_text(text)

    @property
    def _mask_id(self) -> int | None:
        from terrarium.models.tokenizers.special_tokens import mask_id

        tokenizer = self._session.chat.tokenizer
        return mask_id(tokenizer) if tokenizer is not None else None

    # -- Whole text ----------------------------------------------------------------------------------------------------

    def _on_measure(self) -> None:
        text = self.text
        self._measurer.ask(lambda model, tokenizer: _measure_fit(model, tokenizer, text))

    @Slot(object)
    def _on_measured(self, fits: _TextFit) -> None:
        if fits.text == self.text:
            least = min(fits.fits, key=lambda fit: fit.log_probability, default=None)
            read = ReadText(
                ids=fits.ids,
                words=fits.words,
                n_prompt=len(fits.ids),
                step=self._measurer.step,
                start=None if least is None else least.position,
            )
            self.inspect(read)
            self.fits.show_fits(read, fits.fits, fits.perplexity)
        self._show_state()

    @Slot(object)
    def _on_failed(self, failure: Failure) -> None:
        self.problem.say(failure.sentence)
        self._show_state()


def _mask_token(tokenizer: Tokenizer) -> str:
    from terrarium.models.tokenizers.special_tokens import mask_id

    id = mask_id(tokenizer)
    return "" if id is None else tokenizer.id_to_token(id) or ""


def _joined(before: str, word: str) -> str:
    """Append a word to a text: “##” pieces without a space, and never two spaces."""
    if word.startswith("##"):
        return before.rstrip() + word[2:]
    return before + (word.lstrip() if not before or before[-1].isspace() else word)


def _around(text: str) -> list[str]:
    """Return the words around each mask."""
    parts = MASKS.split(text)
    found = []
    for before, after in pairwise(parts):
        left, right = before.split()[-3:], after.split()[:3]
        found.append(" ".join([*left, "▁▁▁", *right]))
    return found


class FitsView(QWidget):
    """The probability of each token when only it is masked, and the pseudo-perplexity of the text."""

    def __init__(self, theme: ThemeProvider, focus: Focus, measure: QPushButton, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.number = named(label("–", "number"), "Pseudo-perplexity")
        self._hint = label("", "caption", wrap=True)
        self.box = TokenBox(theme, focus)
        head = row(label("Pseudo-perplexity", "subheading"), HelpMark("Perplexity"), self.number, None, measure)
        self.setLayout(column(head, self._hint, self.box, spacing=6))
        self.clear()

    def clear(self) -> None:
        """Show no text."""
        self.number.setText("–")
        self.box.show_text(None)

    def show_text(self, text: ReadText) -> None:
        """Show the tokens of a text that has not been measured yet."""
        self.number.setText("–")
        self.box.show_text(text, with_prompt=True)

    def set_hint(self, sentence: str, *, busy: bool) -> None:
        """Show what the user must do before the text can be measured; "" if it can be measured."""
        self._hint.setText("Measuring…" if busy else sentence or _ABOUT)

    def show_fits(self, text: ReadText, fits: Sequence[TokenFit], perplexity: float) -> None:
        """Show the measurements of the tokens of `text` and of the whole text."""
        self.number.setText(f"{perplexity:,.2f}")
        self.box.show_text(text, with_prompt=True)
        for fit in fits:
            self.box.colour([(math.exp(fit.log_probability), fit.entropy, fit.rank)], fit.position)


@dataclass(frozen=True, eq=False)
class _FilledMasks:
    """The candidates for each mask of a text."""

    text: str
    ids: tuple[int, ...]
    words: tuple[str, ...]
    candidates: tuple[tuple[MaskCandidate, ...], ...]


@dataclass(frozen=True, eq=False)
class _TextFit:
    """The fit of each token of a text when only it is masked, and the text's pseudo-perplexity."""

    text: str
    ids: tuple[int, ...]
    words: tuple[str, ...]
    fits: tuple[TokenFit, ...]
    perplexity: float


def _read(model: AnyModel, tokenizer: Tokenizer, text: str) -> tuple[tuple[int, ...], tuple[str, ...]]:
    from terrarium.models.inference.prompts import encode_for

    ids = tuple(encode_for(model.config, tokenizer, text))
    names = token_names(tokenizer, ids)
    return ids, tuple(names[id] for id in ids)


def _find_candidates(model: AnyModel, tokenizer: Tokenizer, text: str) -> _FilledMasks:
    """Predict the candidates for each mask of a text.

    Raises:
        ValueError: as in `fill_mask`.
    """
    from terrarium.models.inference.fill_mask import fill_mask
    from terrarium.models.tokenizers.special_tokens import mask_id

    ids, words = _read(model, tokenizer, text)
    mask = mask_id(tokenizer)
    assert mask is not None
    found = fill_mask(model, tokenizer, ids, mask, N_BEST)
    return _FilledMasks(text, ids, words, tuple(map(tuple, found)))


def _measure_fit(model: AnyModel, tokenizer: Tokenizer, text: str) -> Generator[Progress, None, _TextFit]:
    """Measure how likely each token of a text is when only it is masked.

    Raises:
        ValueError: as in `fill_mask`, and if the text has only special tokens.
    """
    from terrarium.models.inference.fill_mask import pseudo_perplexity, token_fits
    from terrarium.models.tokenizers import special_ids
    from terrarium.models.tokenizers.special_tokens import mask_id

    ids, words = _read(model, tokenizer, text)
    mask = mask_id(tokenizer)
    assert mask is not None
    fits: Sequence[TokenFit] = yield from token_fits(model, ids, mask, skip=special_ids(tokenizer))
    if not fits:
        raise ValueError("There is nothing to measure: the text has only special tokens. Write some words.")
    return _TextFit(text, ids, words, tuple(fits), pseudo_perplexity(fits))
