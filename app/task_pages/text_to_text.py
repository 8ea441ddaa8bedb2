"""The text-to-text page: a source text, and an encoder-decoder's target text by beam search or sampling."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QEvent, Qt, Slot
from PySide6.QtWidgets import QWidget

from terrarium.app.glass.examiner import Examiner
from terrarium.app.glass.focus import Focus
from terrarium.app.glass.names import token_names
from terrarium.app.glass.partial_reply import most_surprising, special_ids
from terrarium.app.glass.read_text import ReadText
from terrarium.app.glass.tokens.token_box import TokenBox, TokenStats
from terrarium.app.kit.basics import button, column, frame, group, label, row, scrolling, set_enabled, stacked
from terrarium.app.kit.forms.editors import FloatBox, IntBox
from terrarium.app.kit.inputs import caption, named
from terrarium.app.kit.layout.relayout import AdaptiveSplitter
from terrarium.app.kit.layout.segments import Segments
from terrarium.app.kit.text.text_box import TextBox
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.session.chat_model import ChatModel
from terrarium.app.session.session import Session
from terrarium.app.task_pages.alignment import AlignmentCard
from terrarium.app.task_pages.hypotheses import HypothesisList, ScoredText
from terrarium.app.task_pages.mask_colours import MASKS, MaskColours
from terrarium.app.task_pages.mode_page import ErrorLabel, ModePage
from terrarium.app.task_pages.one_reply import OneReply
from terrarium.app.worker.failures import Failure
from terrarium.models.events import Progress
from terrarium.models.settings.sampling_config import SamplingConfig

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from terrarium.models.architecture.transformer import AnyModel


_GAPS = re.compile(rf"<\|extra_\d+\|>|<extra_id_\d+>|{MASKS.pattern}")
_MAX_BEAMS = 16
_WAYS = {"beam": "Beam search", "draw": "Sample"}
_WAYS_TIP = (
    "Beam search finds the most likely whole texts, and always the same ones. Sampling draws token by token with the "
    "sampling settings"
)
_HINTS = {
    "beam": "The score is the sum of the tokens' log-probabilities, divided by their number to the length penalty.",
    "draw": "Uses the sampling settings and their seed.",
}
_NOTHING = "Nothing written yet."


class TextToText(ModePage):
    """The source text at the left, the target text at the right."""

    def __init__(self, session: Session, theme: ThemeProvider, focus: Focus, parent: QWidget | None = None) -> None:
        super().__init__(session, theme, focus, parent)
        self.draw: Callable[[], SamplingConfig] = SamplingConfig
        """Returns the sampling settings of each text, including its seed."""
        self._examiner, self.reply = Examiner(session.worker, session.chat, self), OneReply(session, self)
        self.searched: _BeamSearchResult | None = None
        self._source_text = self._prefix = ""
        self.source = named(TextBox(), "Source text")
        self.setFocusProxy(self.source)
        self.source.setPlaceholderText("Write a source text for the model to answer.")
        self._colours = MaskColours(self.source.document(), theme, _GAPS)
        self.insert = button("Insert gap", theme, self._insert_gap, icon="plus", tip="Insert a gap at the cursor")
        self.way = Segments("Decoding", _WAYS, _WAYS_TIP)
        self.n_beam = named(IntBox(1, _MAX_BEAMS, 1), "Beams", "Number of beams, and of texts shown")
        tip = "Above 0 favours longer texts; 0 compares the plain sums of log-probabilities"
        self.length_penalty = named(FloatBox(-4.0, 4.0, 0.1), "Length penalty", tip)
        self.n_beam.setValue(4)
        self.length_penalty.setValue(1.0)
        self.write = button(
            "Write", theme, self._on_write, icon="play", role="primary", tip="Write the target (Ctrl+Enter)"
        )
        self.write.setShortcut("Ctrl+Return")
        self.stop = button("Stop", theme, self._on_stop, icon="stop", tip="Stop here (Esc)")
        self.stop.setShortcut("Esc")
        self.problem = ErrorLabel()
        self.hypotheses = HypothesisList(self.length_penalty)
        self.target = label("", wrap=True, selectable=True)
        self.drawn_tokens, self.found_tokens = TokenBox(theme, focus), TokenBox(theme, focus)
        self.alignment = AlignmentCard(session, theme)
        self._about = label("", "caption", wrap=True)
        self._build()
        self._connect()
        self.on_model_changed()

    def _build(self) -> None:
        names = caption("Beams", self.n_beam), caption("Length penalty", self.length_penalty)
        self.beams = group(row(names[0], self.n_beam, names[1], self.length_penalty, None))
        policy = self.beams.sizePolicy()
        policy.setRetainSizeWhenHidden(True)  # so that the height of the editor does not change
        self.beams.setSizePolicy(policy)
        self._titles = (_title("Source", self.insert), _title("Target"))
        controls = row(self.way, None, self.stop, self.write)
        left = group(self._titles[0], self.source, controls, self.beams, self.problem, grows=self.source)
        self._nothing = label(_NOTHING, "muted", wrap=True)
        self._nothing.setAlignment(Qt.AlignmentFlag.AlignTop)
        found = group(self.hypotheses, self.found_tokens, None)
        drawn = group(frame("card", self.target, margin=SPACE), self.drawn_tokens, None)
        self._targets = stacked(self._nothing, found, drawn)
        below = scrolling(group(self._targets, self.alignment, None))
        right = group(self._titles[1], self._about, below, grows=below)
        self.body.setLayout(column(AdaptiveSplitter(left, right, sizes=(420, 420), grows=1)))

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.StyleChange:  # the style sheet sets the height of buttons
            for title in self._titles:
                title.setFixedHeight(self.insert.sizeHint().height())

    def _connect(self) -> None:
        self.source.text_changed.connect(self._show_state)
        self.way.changed.connect(self._show_state)
        self.hypotheses.picked.connect(self._inspect_hypothesis)
        self._examiner.done.connect(self._on_searched)
        self._examiner.failed.connect(self._on_failed)
        self._examiner.changed.connect(self._show_state)
        self.reply.started.connect(self._on_started)
        self.reply.appended.connect(self._on_appended)
        self.reply.ended.connect(self._on_drawn)
        self._session.chat.changed.connect(self._show_state)
        self.focus.branch_requested.connect(self._on_branch)

    def refusal(self, model: ChatModel) -> tuple[str, str] | None:
        if model.config.topology != "encoder-decoder":
            sentence = "Only encoder-decoders such as T5 or BART turn one text into another: choose one above."
            return "Not with this model", sentence
        return None

    @Slot()
    def on_model_changed(self) -> None:
        super().on_model_changed()
        self._examiner.forget()
        self.alignment.show_text(None)
        self.searched = None
        self._targets.setCurrentIndex(0)
        self.problem.say("")
        self._show_state()

    def show_example(self, row: Mapping[str, Any]) -> None:
        """Fill in the source of a dataset's row, and let the model write the target."""
        self.source.set_text(str(row["source"]))
        if self.write.isEnabled():
            self._on_write()

    # -- Source --------------------------------------------------------------------------------------------------------

    def _gap(self) -> str:
        """Return the spelling of the next gap; "" if the model has no gaps."""
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
        no_source = "" if self.source.text.strip() else "Write a source text first."
        set_enabled(self.write, "It is writing." if busy else no_source if free else "No model can write now.")
        self.stop.setVisible(busy)
        self.insert.setVisible(bool(self._gap()))
        self.beams.setVisible(self.way.value == "beam")
        self._about.setText("Searching…" if self._examiner.busy else _HINTS[self.way.value])

    # -- Target --------------------------------------------------------------------------------------------------------

    def _on_write(self) -> None:
        text, sampling = self.source.text, self.draw()
        self.problem.say("")
        self.alignment.show_text(None)
        self._source_text = text
        if self.way.value == "draw":
            self._draw_target(text, sampling)
        else:
            n_beam, penalty = self.n_beam.value(), self.length_penalty.value()
            self._examiner.ask(
                lambda model, tokenizer: _run_beam_search(model, tokenizer, text, n_beam, penalty, sampling.max_tokens)
            )
        self._show_state()

    def _draw_target(self, text: str, sampling: SamplingConfig, prefix_ids: Sequence[int] = ()) -> None:
        """Sample a target that begins with the tokens `prefix_ids`."""
        self.target.setText("")
        self._prefix = ""
        if self.reply.ask(text, sampling, prefix_ids):
            self.drawn_tokens.show_text(None)
            self._targets.setCurrentIndex(2)

    @Slot(int, int)
    def _on_branch(self, position: int, id: int) -> None:
        """Sample again for the same source, with another token at a position of the target."""
        read = self._read
        if read is None or self.focus.text is not read or self._session.chat.state != "ready":
            return
        self.way.choose("draw")
        self._draw_target(self._source_text, self.draw(), (*read.ids[read.n_prompt : position], id))
        self._show_state()

    @Slot(str)
    def _on_started(self, prefix: str) -> None:
        self._prefix = prefix
        self.target.setText(prefix)

    def _on_stop(self) -> None:
        self.reply.stop()
        if self._examiner.busy:
            self._examiner.forget()

    @Slot(object)
    def _on_appended(self, tokens: object) -> None:
        assert self.reply.written is not None
        self.target.setText(self._prefix + self.reply.written.text)

    @Slot()
    def _on_drawn(self) -> None:
        written, tokenizer = self.reply.written, self._session.chat.tokenizer
        read = written.read(tokenizer) if written is not None and tokenizer is not None else None
        if written is not None and read is not None:
            self.inspect(read)
            self.news.say(f"Target: {written.text}")
            self.alignment.show_text(read)
            self.drawn_tokens.show_text(read)
            made = [(t.probability, t.entropy, t.rank) for t in written.tokens]
            self.drawn_tokens.colour(made, len(read.ids) - len(made))
        self._show_state()

    @Slot(object)
    def _on_searched(self, searched: _BeamSearchResult) -> None:
        self.searched = searched
        self.hypotheses.show_texts(searched.found)
        self._targets.setCurrentIndex(1)
        self._inspect_hypothesis(0)
        self.news.say(f"Target: {searched.found[0].text}")
        self._show_state()

    @Slot(int)
    def _inspect_hypothesis(self, number: int) -> None:
        """Show a hypothesis in the glass box."""
        searched = self.searched
        assert searched is not None
        ids = (searched.start_id, *searched.found[number].ids)
        shares = [probability for probability, _, _ in searched.found[number].given]
        n_before = len(ids) - len(shares)
        start = most_surprising(ids[n_before:], shares, special_ids(self._session.chat.tokenizer))
        read = ReadText(
            ids=ids,
            words=tuple(searched.words[id] for id in ids),
            n_prompt=1,
            source_ids=searched.source_ids,
            source_words=tuple(searched.words[id] for id in searched.source_ids),
            sampling=SamplingConfig(temperature=1.0),  # beam search uses the unmodified distribution
            step=self._examiner.step,
            start=None if start is None else n_before + start,
        )
        self.inspect(read)
        self.alignment.show_text(read)
        self.found_tokens.show_text(read)
        given = searched.found[number].given
        self.found_tokens.colour(given, len(ids) - len(given))

    @Slot(object)
    def _on_failed(self, failure: Failure) -> None:
        self.problem.say(failure.sentence)
        self._show_state()


def _title(title: str, *trailing: QWidget) -> QWidget:
    """Return a heading with widgets at its right."""
    return group(row(label(title, "subheading"), None, *trailing))


def _next_gap(tokenizer: Tokenizer, text: str) -> str:
    """Return the first sentinel that is not in the text, or the mask token; "" if there is neither."""
    from terrarium.models.tokenizers.special_tokens import mask_id, sentinel_ids

    spelled = [tokenizer.id_to_token(id) or "" for id in sentinel_ids(tokenizer)]
    mask = mask_id(tokenizer)
    unused = next((gap for gap in spelled if gap not in text), "")
    return unused or (tokenizer.id_to_token(mask) or "" if mask is not None else "")


@dataclass(frozen=True, eq=False)
class _BeamSearchResult:
    """The result of a beam search for a source text."""

    source_ids: tuple[int, ...]
    start_id: int
    found: tuple[ScoredText, ...]
    words: dict[int, str]


def _run_beam_search(
    model: AnyModel, tokenizer: Tokenizer, text: str, n_beam: int, length_penalty: float, max_tokens: int
) -> Generator[Progress, None, _BeamSearchResult]:
    """Find the best target texts for a source text.

    Raises:
        ValueError: as in `beam_search`.
    """
    from terrarium.models.inference.beam import beam_events
    from terrarium.models.inference.generate import decoder_start_id
    from terrarium.models.inference.prompts import encode_for
    from terrarium.models.tokenizers import decode
    from terrarium.models.tokenizers.special_tokens import end_id

    ids, start, end = (
        encode_for(model.config, tokenizer, text),
        decoder_start_id(model, tokenizer),
        end_id(tokenizer, model.config),
    )
    hypotheses = yield from beam_events(
        model,
        ids,
        n_beam=n_beam,
        max_tokens=max_tokens,
        start_id=start,
        end_id=end,
        length_penalty=length_penalty,
    )
    found = tuple(
        ScoredText(
            one.ids,
            decode(tokenizer, [id for id in one.ids if id != end]).strip(),
            one.score,
            end in one.ids,
            _given(model, ids, (start, *one.ids)),
        )
        for one in hypotheses
    )
    words = token_names(tokenizer, {*ids, start, *(id for one in found for id in one.ids)})
    return _BeamSearchResult(tuple(ids), start, found, words)


def _given(model: AnyModel, source_ids: Sequence[int], ids: Sequence[int]) -> tuple[TokenStats, ...]:
    """Return probability, entropy and rank of the target's tokens; for a very long target, only of the last tokens."""
    from terrarium.models.inspect.next_tokens import read_logits

    given = read_logits(model, ids, source_ids=source_ids)
    return tuple(zip(given.probabilities, given.entropies, given.ranks, strict=True))
