"""The queries of the ablation panel: the answer and a continuation, without and with an intervention."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from terrarium.app.glass.names import text_of
from terrarium.app.glass.target_token import TargetToken
from terrarium.models.settings.sampling_config import SamplingConfig

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from terrarium.models.architecture.transformer import AnyModel
    from terrarium.models.inspect.ablation import AnswerChange, Donor, ModelPart
    from terrarium.models.inspect.read_text import Text

MAX_AUTO_SURVEY_FLOPS = 2e10
"""A survey of at most this many FLOPs is short enough to run automatically for every token in focus."""


@dataclass(frozen=True, kw_only=True)
class Intervention:
    """An intervention in a forward pass.

    parts: parts of the model that are ablated or, if `other` is given, patched with activations from that text.
    masked, masked_source: positions in the text and in the source that are hidden from attention; in an encoder, the
    mask token replaces them.
    """

    parts: tuple[ModelPart, ...] = ()
    other: str | None = None
    masked: frozenset[int] = frozenset()
    masked_source: frozenset[int] = frozenset()

    @property
    def is_empty(self) -> bool:
        """Whether the intervention changes nothing."""
        return not (self.parts or self.masked or self.masked_source)


@dataclass(frozen=True, kw_only=True)
class AblationAnswer:
    """The effect of an intervention.

    token: the id of the target token, or the index of the label. change: the probabilities before and after.
    read: the text up to the answer (the source, if there is one), as a template for the other text.
    blocks: all parts of the model by the sites of their blocks.
    n_read, n_other: the number of tokens of `read` and of the other text (0 for none).
    survey_flops: the FLOPs of ablating each part alone. target_is_visible: as in TargetToken.
    """

    target: TargetToken
    token: int
    change: AnswerChange
    names: dict[int, str]
    read: str
    blocks: list[tuple[str, list[ModelPart]]]
    n_read: int
    n_other: int
    survey_flops: float
    target_is_visible: bool


def compare_at(model: AnyModel, tokenizer: Tokenizer, target: TargetToken, how: Intervention) -> AblationAnswer:
    """Compute the answer at the target's position without and with an intervention. Runs on the worker thread."""
    from terrarium.models.inspect.ablation import ablated_logits, compare_answers, parts_of, record_donor
    from terrarium.models.inspect.read_text import n_weights

    readout, plain = target.readout(model), target.to_text()
    other = other_text(model, tokenizer, target, how.other)
    donor: Donor | None = record_donor(model, other) if other is not None and how.parts else None
    before = ablated_logits(model, plain, readout, [()])[0]
    after = ablated_logits(model, masked_text(model, tokenizer, target, how), readout, [how.parts], donor)[0]
    token = target.outcome(model, tokenizer)
    token = int(before.argmax()) if token < 0 else token
    change = compare_answers(before, after, token)
    blocks, has_source = parts_of(model), bool(plain.source_ids)
    end = readout.at + 1 if model.config.is_causal else len(plain.ids)
    n_tokens = max(end, len(plain.source_ids))
    weights = n_weights(model) - model.embedding.weight.numel()
    return AblationAnswer(
        target=target,
        token=token,
        change=change,
        names=target.names(tokenizer, [id for id, _, _ in change.tokens]),
        read=text_of(tokenizer, plain.source_ids if has_source else plain.ids[:end]),
        blocks=blocks,
        n_read=len(plain.source_ids) if has_source else end,
        n_other=0 if other is None else len(other.source_ids if has_source else other.ids),
        survey_flops=2.0 * weights * n_tokens * sum(len(parts) for _, parts in blocks),
        target_is_visible=target.target_is_visible(model, tokenizer),
    )


def masked_text(model: AnyModel, tokenizer: Tokenizer, target: TargetToken, how: Intervention) -> Text:
    """Return the text with its masked tokens hidden from attention, or replaced by the mask token in an encoder."""
    from terrarium.models.inspect.leave_one_out import repeats_source
    from terrarium.models.tokenizers.special_tokens import mask_id

    text, mask = target.to_text(), mask_id(tokenizer)
    if model.config.topology == "encoder-only" and mask is not None:
        return replace(text, ids=tuple(mask if i in how.masked else id for i, id in enumerate(text.ids)))
    hidden = how.masked
    if repeats_source(model):
        hidden |= {i + 1 for i in how.masked_source if i + 1 < len(text.ids)}
    return replace(text, hidden=hidden, hidden_source=how.masked_source)


def other_text(model: AnyModel, tokenizer: Tokenizer, target: TargetToken, words: str | None) -> Text | None:
    """Return the text to patch from, in which special tokens are recognised; None if `words` is None.

    For an encoder-decoder, the words are the source; the target is that of the first text, up to the same position.

    Raises:
        ValueError: if the text has no tokens.
    """
    from terrarium.models.inspect.read_text import Text
    from terrarium.models.tokenizers import encode_prompt

    if words is None:
        return None
    ids = tuple(encode_prompt(tokenizer, words))
    if not ids:
        raise ValueError("The other text is empty: write one, for example this one with one word changed.")
    if model.config.topology == "encoder-decoder":
        return Text(ids=target.text.ids[: target.at(model) + 1], source_ids=ids)  # the same part of the target
    return Text(ids=ids)


def generate_both(
    model: AnyModel,
    tokenizer: Tokenizer,
    target: TargetToken,
    how: Intervention,
    n_tokens: int,
    sampling: SamplingConfig,
) -> tuple[str, str]:
    """Continue the text before the target token, without and with the intervention. Runs on the worker thread.

    Sampling uses the random numbers of the text itself, as far as they are known.

    Raises:
        ValueError: for an encoder, and for the first token of a text.
    """
    from terrarium.models.inspect.ablation import generate_with_ablation, record_donor
    from terrarium.models.inspect.read_text import read_up_to
    from terrarium.models.tokenizers.special_tokens import end_id

    at, other = target.at(model), other_text(model, tokenizer, target, how.other)
    donor = record_donor(model, other) if other is not None and how.parts else None
    end, nothing = end_id(tokenizer, model.config), Intervention()
    n_prompt = min(target.text.n_prompt, at + 1)
    draws = target.text.draws[at + 1 - n_prompt :]
    rows: list[Sequence[int]] = []
    for this in (nothing, how) if how.masked or how.masked_source else (how,):
        text = read_up_to(model.config, masked_text(model, tokenizer, target, this), at)
        rows += generate_with_ablation(
            model, text, this.parts, donor, n_tokens, sampling, end, draws=draws, n_prompt=n_prompt
        )
    before, after = rows[0], rows[-1]
    return text_of(tokenizer, before), text_of(tokenizer, after)
