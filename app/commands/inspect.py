"""`terrarium inspect`: one token's way through a model, from the text to the sampling, in words or as numbers.

The model replies to the prompt, and one token of the reply is inspected; for an encoder, a masked token.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from terrarium.app.commands.common import (
    UsageError,
    find_model,
    model_argument,
    open_model,
    read_argument,
    weights_option,
)
from terrarium.app.commands.options import Command, option
from terrarium.app.commands.replying import sampling_from, sampling_options

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from terrarium.app.glass.read_text import ReadText
    from terrarium.app.whole_pass.answer import PassAnswer
    from terrarium.models.architecture.transformer import AnyModel
    from terrarium.models.chat.template_config import ChatTemplateConfig
    from terrarium.models.settings.sampling_config import SamplingConfig

_N_READ = 5
"""The number of tokens to list in JSON that a head attends to most."""


class Inspect(Command, description=__doc__):
    """How one token of a reply came about, stage by stage."""

    model: str = model_argument()
    prompt: str = option(
        "the text to continue, or the message; an encoder's text has a [MASK]; - reads stdin", metavar="TEXT"
    )
    chat: bool = option("reply to a message, as in `terrarium chat`, instead of continuing the text")
    token: int | None = option(
        "which token of the reply, or which mask, from 1 (default: the most surprising token, the first mask)",
        metavar="N",
    )
    sampling: Mapping[str, Any] = sampling_options()
    weights: str = weights_option()

    def run(self) -> None:
        """Print the stages, or one JSON object."""
        sampling_from(self.sampling)  # report wrong options before loading a model
        prompt = read_argument(self.prompt)
        model, tokenizer, _ = open_model(self.model, self.device, self.weights)
        from terrarium.app.glass.target_token import TargetToken
        from terrarium.app.whole_pass.answer import read_answer
        from terrarium.app.whole_pass.wording import describe_all
        from terrarium.models.events import result_of
        from terrarium.models.inspect.whole_pass import PassCache
        from terrarium.models.interop.chat_templates import read_template_config

        form = read_template_config(find_model(self.model))
        sampling = sampling_from(self.sampling, form.sampling)
        text, choices = _text_of(model, tokenizer, prompt, sampling, form if self.chat else None)
        target = TargetToken(text, _position(self.token, text, choices))
        answer = result_of(read_answer(model, tokenizer, target, PassCache()))
        self.show(to_json(answer), "\n".join(describe_all(answer)))


def _position(number: int | None, text: ReadText, choices: list[int]) -> int:
    """Return the position of token `number` (from 1) of `choices`; the default token if it is None."""
    if not choices:
        raise ValueError("There is no token to look into: write a longer prompt, or one with a [MASK] for an encoder.")
    if number is None:
        return choices[0] if text.start is None else text.start
    if not 1 <= number <= len(choices):
        raise UsageError(f"--token is {number}, but there are {len(choices):,} to choose from, counted from 1.")
    return choices[number - 1]


def _text_of(
    model: AnyModel, tokenizer: Tokenizer, prompt: str, sampling: SamplingConfig, form: ChatTemplateConfig | None
) -> tuple[ReadText, list[int]]:
    """Return the text with the reply, and the positions of the reply's tokens; for an encoder, those of its masks.

    form: the chat format if the prompt is a message; None for a text to continue.
    """
    from terrarium.app.glass.names import token_names
    from terrarium.app.glass.partial_reply import PartialReply
    from terrarium.app.glass.read_text import ReadText
    from terrarium.models.chat.template_config import ChatTemplateConfig
    from terrarium.models.events import TokenMade
    from terrarium.models.inference.prompts import encode_for
    from terrarium.models.inference.reply import ReplyRequest, ReplyStarted, reply_events
    from terrarium.models.inference.summarising import SummaryCache
    from terrarium.models.tokenizers.special_tokens import mask_id

    if model.config.topology == "encoder-only":
        ids = tuple(encode_for(model.config, tokenizer, prompt))
        names = token_names(tokenizer, ids)
        masks = [i for i, id in enumerate(ids) if id == mask_id(tokenizer)]
        return ReadText(ids=ids, words=tuple(names[id] for id in ids), n_prompt=len(ids)), masks
    messages = [{"role": "user", "content": prompt}] if form is not None else prompt
    reply = PartialReply(messages, sampling)
    request = ReplyRequest(messages=messages, sampling=sampling)
    for event in reply_events(model, tokenizer, 0, form or ChatTemplateConfig(), request, SummaryCache()):
        if isinstance(event, ReplyStarted):
            reply.started = event
        elif isinstance(event, TokenMade):
            reply.tokens.append(event)
    text = reply.read(tokenizer)
    if text is None:
        raise ValueError("The model wrote nothing: try another prompt.")
    return text, list(range(len(text.ids) - len(reply.tokens), len(text.ids)))


def to_json(answer: PassAnswer) -> dict[str, Any]:
    """Return all stages as numbers, ready for JSON."""
    import numpy as np

    from terrarium.app.whole_pass.wording import describe_pass, reads_of

    given, xray, names = answer.given, answer.xray, answer.names
    layers = [
        {
            "site": layer.site,
            "parts": [
                {
                    "site": part.site,
                    "added_share": part.share,
                    "heads": [
                        {
                            "length": head.length,
                            "effect": head.effect,
                            "reads": [{"token": w, "share": s} for w, s in reads_of(answer, part, head, _N_READ)],
                        }
                        for head in part.heads
                    ],
                    "experts": [{"expert": i, "share": share} for i, share in part.experts],
                }
                for part in layer.parts
            ],
            "would_say": [{"id": id, "token": names[id], "probability": p} for id, p in layer.best],
            "probability": layer.own,
        }
        for layer in given.layers
    ]
    rows = [
        {
            "id": row.id,
            "token": names[row.id],
            "rank": row.rank,
            "logit": float(given.logits[row.id]),
            "probability": row.own,
            "after_temperature": row.tempered,
            "final": row.final,
            "cut_by": row.cut,
        }
        for row in xray.rows
    ]
    return {
        "sentence": describe_pass(answer),
        "text": answer.target.text.words,
        "position": answer.target.position,
        "read_at": given.at,
        "token": {"id": given.token, "token": answer.word, "probability": answer.probability},
        "rival": {"id": given.rival, "token": names[given.rival]},
        "start": {name: float(np.linalg.norm(vector)) for name, vector in given.start.items()},
        "layers": layers,
        "tokens": rows,
        "draw": {
            "how": answer.how,
            "temperature": xray.config.temperature,
            "number": xray.draw,
            "lands_on": xray.lands,
            "n_left": xray.n_left,
            "cut_off": xray.removed,
        },
    }
