"""The whole pass in words: the sentence on top, and a description of each stage. No widgets."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from terrarium.app.glass.names import format_rough, quoted, spoken
from terrarium.app.glass.token_sentence import named_settings
from terrarium.app.kit.setting_names.value_words import part_of_layer
from terrarium.app.whole_pass.answer import PassAnswer
from terrarium.models.number_words import capitalized, format_count, format_percent
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.norms import NORMS
from terrarium.models.settings.positions import POSITIONS

if TYPE_CHECKING:
    from terrarium.models.inspect.whole_pass import HeadPass, LayerPass, PartPass

_MANY = 10.0
"""The factor from which decimals are left out."""
_MAX_BACK = 12
"""The number of words shown from the end of a text that does not fit."""

STARTS = {"token": "token", "ngrams": "its n-grams", "segment": "segment", "position": "position"}
"""The names of the components of the first vector."""


class StrongHead(NamedTuple):
    """The head that raised the token most, by its layer (from 0) and its part."""

    layer: int
    part: PartPass
    head: int


def describe_pass(answer: PassAnswer) -> str:
    """Describe the path of the token through the model in one sentence with its numbers."""
    word, share = spoken(answer.word), format_rough(answer.probability)
    settings = named_settings(answer.xray)
    before = f" before {settings}" if settings else ""
    opening = {
        "read": f"It read {word}, to which it had given {share}",
        "seen": f"It sees {word}, and gives it {share}",
        "masked": f"Behind the mask it expects {word}, with {share}",
    }.get(answer.how, f"{word} {'comes out now' if answer.learned else 'came out'} at {share}{before}")
    strong = strongest_head(answer)
    clauses = [] if strong is None else [_describe_strong(answer, strong)]
    led = lead_layer(answer) is not None
    clauses.append(_describe_lead(answer))
    return f"{capitalized(opening)}: {(', and ' if led else ', but ').join(clauses)}."


def strongest_head(answer: PassAnswer) -> StrongHead | None:
    """Return the head that raised the token most over its rival; None if none did, or there is no exact split."""
    best: tuple[float, StrongHead] | None = None
    for i, layer in enumerate(answer.given.layers[1:]):
        for part in layer.parts:
            for number, head in enumerate(part.heads):
                if head.effect is not None and head.effect > 0.0 and (best is None or head.effect > best[0]):
                    best = head.effect, StrongHead(i, part, number)
    return None if best is None else best[1]


def shown_heads(answer: PassAnswer, part: PartPass) -> list[int]:
    """Return the heads of an attention part in display order: the strongest head first, if it is in this part, then by
    the length of the vectors they add."""
    strong = strongest_head(answer)
    first = strong.head if strong is not None and strong.part is part else None
    return sorted(range(len(part.heads)), key=lambda i: (i != first, -part.heads[i].length))


def reads_of(answer: PassAnswer, part: PartPass, head: HeadPass, n: int) -> list[tuple[str, float]]:
    """Return the `n` tokens that a head reads most, as displayed, with their attention weights."""
    words = answer.words_seen(part)
    order = np.argsort(-head.weights, kind="stable")[:n]
    return [(words[i], float(head.weights[i])) for i in order.tolist() if head.weights[i] > 0]


def _describe_strong(answer: PassAnswer, strong: StrongHead) -> str:
    weights = strong.part.heads[strong.head].weights
    at, words = int(weights.argmax()), answer.words_seen(strong.part)
    where = spoken(words[at])
    if strong.part.site.endswith("cross_attention"):
        where = f"{where} in the source"
    elif at == answer.given.at:
        where = f"{where} itself" if answer.how in ("seen", "masked") else f"the newest token, {where}"
    elif at == 0:
        where = f"the very first token, {where}"
    head = part_of_layer(strong.part.site, strong.head)
    rival = spoken(answer.names[answer.given.rival])
    return f"{head}, looking most at {where} ({format_rough(float(weights[at]))}), did most for it against {rival}"


def lead_layer(answer: PassAnswer) -> int | None:
    """Return the layer from which the token leads to the end: 0 before any layer; None if it loses."""
    tops = [layer.best[0][0] for layer in answer.given.layers]
    if tops[-1] != answer.given.token:
        return None
    return next(i for i in range(len(tops)) if all(top == answer.given.token for top in tops[i:]))


def _describe_lead(answer: PassAnswer) -> str:
    since, layers = lead_layer(answer), answer.given.layers
    if since is None:
        id, share = layers[-1].best[0]
        return f"{spoken(answer.names[id])} leads in the end, with {format_rough(share)}"
    if since == 0:
        return "it leads from the start, before any layer"
    if since == len(layers) - 1:
        return "it takes the lead only in the last layer"
    return f"it leads from layer {since} on"


# -- The stages --------------------------------------------------------------------------------------------------------


def describe_text(answer: PassAnswer) -> str:
    """Describe the text that was read, and its last token."""
    text, at = answer.target.text, answer.given.at
    read = f"{quoted(text.words[at])} (id {text.ids[at]:,}, {format_count(answer.read_bytes, 'byte')})"
    target = f"{quoted(answer.word)} (id {answer.given.token:,} of {len(answer.given.logits):,})"
    if answer.how in ("seen", "masked"):
        all_at_once = f"It reads all {format_count(len(text.ids), 'token')} at once"
        if answer.how == "seen":
            return f"{all_at_once}. This is what it makes of number {at + 1:,}, {read}."
        return f"{all_at_once}. At number {at + 1:,}, {read}, it expects {target}."
    n = format_count(at + 1, "token")
    source = f" and {format_count(len(text.source_ids), 'token')} of the source" if text.source_ids else ""
    return f"It has read {n}{source}; the newest is {read}. Next comes {target}."


def tail_of(answer: PassAnswer) -> str:
    """Return the last words that were read as one text."""
    words = answer.target.text.words[: answer.given.at + 1]
    tail = "".join(words[-_MAX_BACK:]).replace("·", " ").replace("▁", " ").replace("Ġ", " ")
    return f"…{tail}" if len(words) > _MAX_BACK else tail


def describe_start(answer: PassAnswer) -> str:
    """Describe the components of the first vector and the position scheme."""
    config, n = answer.config, f"{len(answer.given.layers[0].stream):,}"
    names = [STARTS[name] for name in answer.given.start]
    made = f"The sum of {_listed(names)}" if len(names) > 1 else "The token's row of a table"
    norm = ", normalised" if config.embedding_norm else ""
    notes = [] if "position" in answer.given.start else [describe_position(config)]
    if config.conv_width:
        back = format_count(config.conv_width - 1, "token")
        notes.append(f"Each part also mixes in the {back} before (short convolution).")
    return " ".join((f"{made}{norm}: {n} numbers.", *notes))


def describe_position(config: ModelConfig) -> str:
    """Describe how a design without position embeddings encodes positions."""
    scheme = POSITIONS[config.position]
    if not scheme.applied_to:
        return "Nothing says where it stands."
    return f"Where it stands comes in later, in attention ({scheme.title})."


def describe_layers(answer: PassAnswer) -> str:
    """Explain peculiarities of this design's layers; "" if there are none."""
    text, config, notes = answer.target.text, answer.config, []
    if config.topology == "encoder-decoder":
        n = format_count(config.n_encoder_layer or config.n_layer, "layer")
        read = format_count(len(text.source_ids), "token")
        notes.append(f"Encoder: {n} made vectors of the {read} of the source; each cross-attention below reads them.")
    if config.norm_place == "post":
        notes.append("Post-norm: each sum is normalised, so that a vector is not the plain sum of what was added.")
    return " ".join(notes)


def describe_end(answer: PassAnswer) -> str:
    """Describe how the last vector becomes token probabilities."""
    config, n = answer.config, f"{len(answer.given.logits):,}"
    norm = f"It is normalised once more ({NORMS[config.norm].title}) and " if config.norm_place == "pre" else "It is "
    more = "put through one more layer and " if config.has_head_transform else ""
    scores = "a score each (logits), of which softmax makes probabilities"
    return f"{norm}{more}compared with all {n} tokens of the vocabulary: {scores}."


def title_of(layer: LayerPass) -> str:
    """“Layer 3”."""
    return f"Layer {int(layer.site.rpartition('.')[2]) + 1}"


def describe_part(part: PartPass, answer: PassAnswer) -> str:
    """Describe a part of a layer: how much it adds, and its experts."""
    experts = ""
    if part.experts:
        used = _listed([f"{i + 1} ({format_percent(share)})" for i, share in part.experts])
        experts = f", made by its experts {used} of {answer.config.n_expert}"
    name = capitalized(part_of_layer(part.site))
    return f"{name} adds a vector {_as_long(part.share)} as long as the one before{experts}."


def describe_head(answer: PassAnswer, part: PartPass, head: int) -> str:
    """Describe what a head reads and how much it adds."""
    reads = reads_of(answer, part, part.heads[head], 4)
    seen = _listed([f"{spoken(word)} ({format_rough(share)})" for word, share in reads])
    name, added = capitalized(part_of_layer(part.site, head)), _as_long(head_share(part, head))
    return f"{name}, one of {len(part.heads)}, reads {seen}. Its own vector is {added} as long as the one before."


def head_share(part: PartPass, head: int) -> float:
    """Return the norm of a head's output relative to that of the residual stream before its attention."""
    whole = float(np.linalg.norm(part.added))
    return part.share * part.heads[head].length / whole if whole else 0.0


def format_share_added(share: float) -> str:
    """Format the norm of an added vector relative to the stream: “×0.38”, “×1.1”, “×174”."""
    return f"×{_times(share)}"


def describe_layer(answer: PassAnswer, layer: LayerPass) -> str:
    """Describe what the model would predict if it ended after a layer."""
    (id, share), (second, less), *_ = layer.best
    would = f"{spoken(answer.names[id])} ({format_rough(share)}), then {spoken(answer.names[second])}"
    own = "" if answer.given.token in (id, second) else f"; {spoken(answer.word)} has {format_rough(layer.own)}"
    return f"If the model ended after {title_of(layer).lower()}, it would say {would} ({format_rough(less)}){own}."


def describe_all(answer: PassAnswer) -> list[str]:
    """Describe all stages, one line each."""
    lines = [describe_pass(answer), describe_text(answer), describe_start(answer), describe_layers(answer)]
    for layer in answer.given.layers[1:]:
        for part in layer.parts:
            heads = shown_heads(answer, part)[:1]
            lines += [describe_part(part, answer), *(describe_head(answer, part, head) for head in heads)]
        lines.append(describe_layer(answer, layer))
    return [line for line in (*lines, describe_end(answer), answer.draw_sentence()) if line]


def _as_long(share: float) -> str:
    return f"{_times(share)} times"


def _times(share: float) -> str:
    return f"{share:,.0f}" if share >= _MANY else f"{share:.1f}" if share >= 1 else f"{share:.2f}"


def _listed(names: list[str]) -> str:
    """“token, n-grams and position”."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
