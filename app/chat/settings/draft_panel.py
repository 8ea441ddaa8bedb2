"""The settings of speculative decoding: the draft model for the open model, and the tokens drafted per pass."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtWidgets import QWidget

from terrarium.app.chat.settings.second_model_panel import PanelWords, SecondModelPanel
from terrarium.app.kit.forms.slider_row import SliderRow
from terrarium.app.session.chat_model import ChatModel
from terrarium.app.session.second_models import Drafting, SecondModel, draft_models
from terrarium.app.session.session import Session
from terrarium.models.settings.sampling_config import MAX_DRAFTED, N_DRAFTED

_N_TIP = (
    "This many tokens are drafted before the open model checks them in one pass; fewer while the draft is often "
    "wrong. It changes only the speed, not the reply."
)
_WORDS = PanelWords(
    name="Draft model",
    tip="Which of your models with the same tokenizer drafts: the smaller, the faster",
    off="No draft model (off)",
    about=(
        "A small model drafts the next tokens, and the open model checks several of them in one pass. The replies are "
        "the open model’s own: the same at temperature 0, and equally likely otherwise."
    ),
    none=(
        "No other model here has this model’s tokenizer: train a smaller one with the same tokenizer (Training, New "
        "run)."
    ),
    wanted="Choose a draft model first.",
)
_LARGER = "This one is not smaller than the open model, so replies will not be faster."
_NOT_THIS = "Only for decoders: what this model writes cannot be drafted."
_DYNAMIC = "This model’s RoPE scaling is dynamic, so it cannot read several drafted tokens in one pass."
_BEST_OF = "Not used while the best of several replies is drawn: those are written all at once."


class DraftPanel(SecondModelPanel):
    """Edits a `Drafting` for the open model."""

    _is_idle = False

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        number = SliderRow("Tokens drafted at once", _N_TIP, 1, MAX_DRAFTED)
        number.set_value(N_DRAFTED)
        super().__init__(
            session,
            _WORDS,
            number,
            check=lambda: _why_not(session.chat.model),
            find=lambda: _finder(session),
            advise=self._advice,
            release=session.chat.release_draft,
            parent=parent,
        )

    @property
    def drafting(self) -> Drafting | None:
        """The chosen settings; None for no draft model, or if the open model does not support speculative decoding."""
        used = self.used
        return None if used is None else Drafting(used.run_id, used.name, int(self.number.value))

    def set_idle(self, is_idle: bool) -> None:
        """Set whether the draft model is unused because of best-of-n."""
        self._is_idle = is_idle
        self.show_state()

    def _advice(self, chosen: SecondModel | None) -> str:
        model = self._session.chat.model
        if chosen is None or model is None:
            return ""
        return _LARGER if chosen.n_parameters >= model.n_parameters else _BEST_OF if self._is_idle else ""


def _why_not(model: ChatModel | None) -> str:
    """Return why the open model does not support speculative decoding; "" if it does."""
    if model is None or model.config.topology != "decoder-only" or not model.writes:
        return _NOT_THIS
    return _DYNAMIC if model.config.rope_scaling == "dynamic" else ""


def _finder(session: Session) -> Callable[[], list[SecondModel]]:
    model, tokenizer, runs = session.chat.model, session.chat.tokenizer, session.runs.list()
    assert model is not None
    assert tokenizer is not None
    return lambda: draft_models(runs, model.run_id, model.config, tokenizer)
