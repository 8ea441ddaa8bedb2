"""A source text, and what an encoder-decoder makes of it: by beam search, or drawn."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Slot
from PySide6.QtWidgets import QStackedWidget, QVBoxLayout, QWidget

from app.chat.modes.beam_question import Searched, search
from app.chat.modes.hypotheses import HypothesisList
from app.chat.modes.mask_colours import MASKS, MaskColours
from app.chat.modes.mode_page import ModePage, Problem
from app.chat.modes.one_reply import OneReply
from app.glass.examiner import Examiner
from app.glass.focus import Focus
from app.glass.read_text import ReadText
from app.glass.tokens.token_box import TokenBox
from app.kit.basics import button, column, frame, label, row, scrolling
from app.kit.forms.editors import FloatBox, IntBox
from app.kit.layout.segments import Segments
from app.kit.layout.turning_splitter import TurningSplitter
from app.kit.text.text_box import TextBox
from app.kit.theme import SPACE, ThemeProvider
from app.session.chat_model import ChatModel
from app.session.session import Session
from app.worker.failures import Failure
from models.settings.sampling_config import SamplingConfig

if TYPE_CHECKING:
    from tokenizers import Tokenizer


_GAPS = re.compile(rf"<\|extra_\d+\|>|<extra_id_\d+>|{MASKS.pattern}")
_MOST_BEAMS = 16
_WAYS = {"beam": "Beam search", "draw": "Draw"}
_WAYS_TIP = (
    "Beam search looks for the likeliest whole texts, and is always the same. Drawing takes token after token by "
    "chance, as the sampling settings say"
)
_HINTS = {
    "beam": "The score is the sum of the tokens' log-probabilities, divided by their number to the length penalty.",
    "draw": "Drawn as the sampling settings say, with their seed.",
}
_NOTHING = "Nothing is written yet."


class TextToText(ModePage):
    """At the left the source, at the right what the model writes."""

    def __init__(self, session: Session, theme: ThemeProvider, focus: Focus, parent: QWidget | None = None) -> None:
        super().__init__(session, theme, focus, parent)
        self.draw: Callable[[], SamplingConfig] = SamplingConfig
        """Asked for the settings of each text, its seed among them."""
        self._examiner, self.reply = Examiner(session.worker, session.chat, self), OneReply(session, self)
        self.searched: Searched | None = None
        self._asked = self._begun = ""
        self.source = TextBox()
        self.source.setAccessibleName("Source text")
        self.source.setPlaceholderText("Write a source text: the model writes a text of its own in answer to it.")
        self._colours = MaskColours(self.source.document(), theme, _GAPS)
        self.insert = button(
            "Insert gap", theme, self._insert_gap, icon="plus", tip="Put a gap where the cursor stands"
        )
        self.way = Segments("How it is written", _WAYS, _WAYS_TIP)
        self.n_beam, self.length_penalty = IntBox(1, _MOST_BEAMS, 1), FloatBox(-4.0, 4.0, 0.1)
        self.n_beam.setValue(4)
        self.length_penalty.setValue(1.0)
        self.write = button("Write", theme, self._on_write, icon="play", role="primary", tip="Write it (Ctrl+Enter)")
        self.write.setShortcut("Ctrl+Return")
        self.stop = button("Stop", theme, self._on_stop, icon="stop", tip="End it here (Esc)")
        self.stop.setShortcut("Esc")
        self.problem = Problem()
        self.hypotheses = HypothesisList(theme)
        self.target = label("", wrap=True, selectable=True)
        self.drawn_tokens, self.found_tokens = TokenBox(theme, focus), TokenBox(theme, focus)
        self._about = label("", "caption", wrap=True)
        self.beams = QWidget()
        self._targets = QStackedWidget()
        self._build()
        self._connect()
        self.model_is_new()

    def _build(self) -> None:
        self.beams.setLayout(row(*_named("Beams", self.n_beam), *_named("Length penalty", self.length_penalty), None))
        self.n_beam.setToolTip("How many texts are followed side by side, and how many are shown")
        self.length_penalty.setToolTip("Above 0, longer texts are favoured; at 0 the sum of log-probabilities decides")
        policy = self.beams.sizePolicy()
        policy.setRetainSizeWhenHidden(True)  # the editor keeps its height
        self.beams.setSizePolicy(policy)
        left, right = QWidget(), QWidget()
        height = self.insert.sizeHint().height()
        lines = column(_title("Source", height, self.insert))
        lines.addWidget(self.source, 1)
        lines.addLayout(row(self.way, None, self.stop, self.write))
        lines.addWidget(self.beams)
        lines.addWidget(self.problem)
        left.setLayout(lines)
        self._nothing = label(_NOTHING, "muted", wrap=True)
        self._nothing.setAlignment(Qt.AlignmentFlag.AlignTop)
        drawn, found = QWidget(), QWidget()
        box = frame("card", margin=SPACE)
        inside = box.layout()
        assert inside is not None
        inside.addWidget(self.target)
        for page, shown, tokens in ((drawn, box, self.drawn_tokens), (found, self.hypotheses, self.found_tokens)):
            below = column(shown, tokens)
            below.addStretch(1)
            page.setLayout(below)
        for page in (self._nothing, scrolling(found), scrolling(drawn)):
            self._targets.addWidget(page)
        beside = column(_title("Target", height), self._about)
        beside.addWidget(self._targets, 1)
        right.setLayout(beside)
        whole = QVBoxLayout(self.body)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.addWidget(TurningSplitter(left, right, sizes=(420, 420), grows=1))

    def _connect(self) -> None:
        self.source.text_changed.connect(self._show_state)
        self.way.changed.connect(self._show_state)
        self.hypotheses.picked.connect(self._look_into)
        self._examiner.done.connect(self._on_searched)
        self._examiner.failed.connect(self._on_failed)
        self._examiner.changed.connect(self._show_state)
        self.reply.began.connect(self._on_began)
        self.reply.grew.connect(self._on_grew)
        self.reply.ended.connect(self._on_drawn)
        self._session.chat.changed.connect(self._show_state)
        self.focus.branch_asked.connect(self._on_branch)

    def refusal(self, model: ChatModel) -> tuple[str, str] | None:
        if model.config.topology != "encoder-decoder":
            sentence = "A text is made of another by encoder-decoders, such as T5 or BART: choose one above."
            return "Not with this model", sentence
        return None

    @Slot()
    def model_is_new(self) -> None:
        super().model_is_new()
        self._examiner.forget()
        self.searched = None
        self._targets.setCurrentIndex(0)
        self.problem.say("")
        self._show_state()

    # -- the source ----------------------------------------------------------------------------------------------------

    def _gap(self) -> str:
        """What the next gap is written as; "" where the model knows of none."""
        tokenizer = self._session.chat.tokenizer
        if tokenizer is None or self.words:
            return ""
        return _next_gap(tokenizer, self.source.text)

    def _insert_gap(self) -> None:
        self.source.insertPlainText(self._gap())
        self.source.setFocus()

    @Slot()
    def _show_state(self) -> None:
        busy = self.reply.busy or self._examiner.busy
        free = self._session.chat.state == "ready"
        self.write.setEnabled(bool(self.source.text.strip()) and not busy and free)
        self.stop.setVisible(busy)
        self.insert.setVisible(bool(self._gap()))
        self.beams.setVisible(self.way.value == "beam")
        self._about.setText("Searching …" if self._examiner.busy else _HINTS[self.way.value])

    # -- the target ----------------------------------------------------------------------------------------------------

    def _on_write(self) -> None:
        text, sampling = self.source.text, self.draw()
        self.problem.say("")
        self._asked = text
        if self.way.value == "draw":
            self._draw_target(text, sampling)
        else:
            n_beam, penalty = self.n_beam.value(), self.length_penalty.value()
            self._examiner.ask(
                lambda model, tokenizer: search(model, tokenizer, text, n_beam, penalty, sampling.max_tokens)
            )
        self._show_state()

    def _draw_target(self, text: str, sampling: SamplingConfig, begun: Sequence[int] = ()) -> None:
        """Let the model draw a text, which begins with the tokens `begun`."""
        self.target.setText("")
        self._begun = ""
        if self.reply.ask(text, sampling, begun):
            self.drawn_tokens.show_text(None)
            self._targets.setCurrentIndex(2)

    @Slot(int, int)
    def _on_branch(self, place: int, id: int) -> None:
        """Go on from another token in the place of one that was written, for the same source."""
        read = self._read
        if read is None or self.focus.text is not read or self._session.chat.state != "ready":
            return
        self.way.choose("draw")
        self._draw_target(self._asked, self.draw(), (*read.ids[read.n_prompt : place], id))
        self._show_state()

    @Slot(str)
    def _on_began(self, begun: str) -> None:
        self._begun = begun
        self.target.setText(begun)

    def _on_stop(self) -> None:
        self.reply.stop()
        if self._examiner.busy:
            self._examiner.forget()

    @Slot(object)
    def _on_grew(self, tokens: object) -> None:
        assert self.reply.written is not None
        self.target.setText(self._begun + self.reply.written.text)

    @Slot()
    def _on_drawn(self) -> None:
        written, tokenizer = self.reply.written, self._session.chat.tokenizer
        read = written.read(tokenizer) if written is not None and tokenizer is not None else None
        if written is not None and read is not None:
            self.look_into(read)
            self.drawn_tokens.show_text(read)
            made = [(t.probability, t.entropy, t.rank) for t in written.tokens]
            self.drawn_tokens.colour(made, len(read.ids) - len(made))
        self._show_state()

    @Slot(object)
    def _on_searched(self, searched: Searched) -> None:
        self.searched = searched
        self.hypotheses.show_found(searched.found)
        self._targets.setCurrentIndex(1)
        self._look_into(0)
        self._show_state()

    @Slot(int)
    def _look_into(self, number: int) -> None:
        """Show one of the texts to the glass box."""
        searched = self.searched
        assert searched is not None
        ids = (searched.start_id, *searched.found[number].ids)
        read = ReadText(
            ids=ids,
            words=tuple(searched.words[id] for id in ids),
            n_prompt=1,
            source_ids=searched.source_ids,
            source_words=tuple(searched.words[id] for id in searched.source_ids),
            sampling=SamplingConfig(temperature=1.0),  # a beam search looks at what the model itself says
            step=self._examiner.step,
        )
        self.look_into(read)
        self.found_tokens.show_text(read)
        given = searched.found[number].given
        self.found_tokens.colour(given, len(ids) - len(given))

    @Slot(object)
    def _on_failed(self, failure: Failure) -> None:
        self.problem.say(failure.sentence)
        self._show_state()


def _named(name: str, editor: QWidget) -> tuple[QWidget, QWidget]:
    words = label(name)
    words.setBuddy(editor)
    editor.setAccessibleName(name)
    return words, editor


def _title(title: str, height: int, *trailing: QWidget) -> QWidget:
    """A heading with something at its right; as high with and without it."""
    line = QWidget()
    line.setLayout(row(label(title, "subheading"), None, *trailing))
    line.setFixedHeight(height)
    return line


def _next_gap(tokenizer: Tokenizer, text: str) -> str:
    """The first sentinel that the text has not, or the mask; "" where there is neither."""
    from models.tokenizers.special_tokens import mask_id, sentinel_ids

    spelled = [tokenizer.id_to_token(id) or "" for id in sentinel_ids(tokenizer)]
    mask = mask_id(tokenizer)
    unused = next((gap for gap in spelled if gap not in text), "")
    return unused or (tokenizer.id_to_token(mask) or "" if mask is not None else "")
