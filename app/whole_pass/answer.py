"""The question of the whole pass: how one token was predicted, from the text to the draw. No widgets."""

from __future__ import annotations

import dataclasses
from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from terrarium.app.glass.names import token_names
from terrarium.app.glass.target_token import TargetToken
from terrarium.app.glass.token_sentence import describe_token, how_chosen
from terrarium.app.glass.xray import Xray, x_ray
from terrarium.models.inference.sampling_steps import SamplingState, state_at
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.sampling_config import SamplingConfig

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from terrarium.models.architecture.transformer import AnyModel
    from terrarium.models.events import Event
    from terrarium.models.inference.sampling_steps import Floats
    from terrarium.models.inspect.whole_pass import PartPass, PassCache, WholePass


@dataclass(frozen=True, kw_only=True, eq=False)
class PassAnswer:
    """The pass that predicted the target token.

    given: its stages. xray: how the token was drawn, with the settings of the reply. names: the displayed text of each
    token in it. config: the design. how: one of `token_sentence.HOW`. read_bytes: how many bytes the last token read
    stands for. target_is_visible: as in TargetToken. learned: whether the model was trained further since the text was
    made.
    """

    target: TargetToken
    given: WholePass
    xray: Xray
    names: dict[int, str]
    config: ModelConfig
    how: str
    read_bytes: int
    target_is_visible: bool
    learned: bool = False

    @property
    def word(self) -> str:
        """The displayed text of the target token; for a mask, the most likely token."""
        return self.names[self.given.token]

    @property
    def probability(self) -> float:
        """The target token's probability in the model's own distribution."""
        return self.given.layers[-1].own

    def draw_sentence(self) -> str:
        """A sentence about how the token was drawn."""
        text, position = self.target.text, self.target.position
        mark = text.mark_at(position)
        told = mark.sentence(text.words[position]) if mark is not None else ""
        return describe_token(self.xray, self.names.__getitem__, self.how, learned=self.learned, told=told)

    def words_seen(self, part: PartPass) -> tuple[str, ...]:
        """Return the displayed tokens that an attention part can attend to."""
        text = self.target.text
        return text.source_words if part.site.endswith("cross_attention") else text.words


def read_answer(
    model: AnyModel, tokenizer: Tokenizer, target: TargetToken, cache: PassCache
) -> Generator[Event, None, PassAnswer]:
    """Read the text again, up to the token. Runs on the worker's thread.

    Raises:
        ValueError: for the first token of a text, and as `models.inspect.whole_pass.read_pass`.
    """
    from terrarium.models.inspect.read_text import ids_read
    from terrarium.models.inspect.whole_pass import read_pass_in_chunks
    from terrarium.models.tokenizers import pieces_of
    from terrarium.models.tokenizers.special_tokens import mask_id

    text, at = target.text, target.at(model)
    whole = target.to_text()
    whole = dataclasses.replace(whole, ids=ids_read(model.config, whole.ids))
    token = target.token(model, tokenizer)
    given = yield from read_pass_in_chunks(model, whole, at, token, cache)
    is_encoder = model.config.topology == "encoder-only"
    config = SamplingConfig(temperature=1.0) if is_encoder else text.sampling
    state = yield from _sampling_state(model, target, config)
    index = target.position - text.n_prompt
    draw = text.draws[index] if text.draws and index >= 0 and not is_encoder else None
    xray = x_ray(given.logits, config, text.ids[: target.position], text.n_prompt, given.token, draw, state)
    best = [id for layer in given.layers for id, _ in layer.best]
    names = token_names(tokenizer, {*best, given.token, given.rival, *xray.order, *(row.id for row in xray.rows)})
    is_known = tokenizer.id_to_token(text.ids[at]) is not None  # a model may have a larger vocabulary
    return PassAnswer(
        target=target,
        given=given,
        xray=xray,
        names=names,
        config=model.config,
        how=how_chosen(text, target.position, xray, mask_id(tokenizer), is_encoder=is_encoder),
        read_bytes=len(pieces_of(tokenizer, [text.ids[at]])[0].bytes) if is_known else 0,
        target_is_visible=target.target_is_visible(model, tokenizer),
    )


def _sampling_state(
    model: AnyModel, target: TargetToken, config: SamplingConfig
) -> Generator[Event, None, SamplingState]:
    """The sampling state before the token; where the settings keep one, the earlier tokens of the reply are read too.

    Raises:
        ValueError: if it depends on logits that are not kept.
    """
    from terrarium.models.inspect.next_tokens import read_logits_in_chunks

    text, state = target.text, SamplingState(config)
    if not state.remembers or target.position <= text.n_prompt:
        return state
    kept = yield from read_logits_in_chunks(model, text.ids, source_ids=text.source_ids)

    def before(position: int) -> Floats:
        logits = kept.at(position)
        if logits is None:
            raise ValueError(
                "These settings depend on all tokens of the reply, but only the last "
                f"{len(kept.logits):,} distributions are kept."
            )
        return logits

    return state_at(target.position, config, text.ids, text.n_prompt, before)
