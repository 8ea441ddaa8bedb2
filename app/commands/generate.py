"""`terrarium generate`: complete a text with a model.

A decoder continues the text, an encoder-decoder writes a target for it, an encoder fills its masks ([MASK]).
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from terrarium.app.commands.common import UsageError, model_argument, open_model, read_argument, weights_option
from terrarium.app.commands.options import Command, option, print_json
from terrarium.app.commands.replying import DraftOptions, sampling_from, sampling_options, write_reply, write_statistics

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from terrarium.models.architecture.transformer import AnyModel
    from terrarium.models.inference.speculative import Draft
    from terrarium.models.settings.sampling_config import SamplingConfig

_BEAMS = "beam search, instead of sampling"


class Generate(Command, description=__doc__, epilog="Only the completion goes to stdout."):
    """Complete a text."""

    model: str = model_argument()
    prompt: str = option("the text to continue; - reads stdin", metavar="TEXT")
    sampling: Mapping[str, Any] = sampling_options()
    beams: int = option("number of beams (default: 0, sample)", default=0, metavar="N", group=_BEAMS)
    length_penalty: float = option("above 0 favours longer texts", default=1.0, metavar="P", group=_BEAMS)
    draft: DraftOptions
    weights: str = weights_option()

    def run(self) -> int:
        """Print the completion as it is generated."""
        config = sampling_from(self.sampling)
        if self.beams < 0:
            raise UsageError(f"--beams is {self.beams}, but must be at least 1; 0 samples.")
        self.draft.check()
        if self.beams and self.draft.name is not None:
            raise UsageError("A beam search reads several texts at once, so nothing is drafted: leave out --draft.")
        prompt = read_argument(self.prompt)
        model, tokenizer, _ = open_model(self.model, self.device, self.weights)
        from terrarium.models.inference.prompts import encode_for

        ids = encode_for(model.config, tokenizer, prompt)
        if model.config.topology == "encoder-only" and self.draft.name is None:
            return _fill(model, tokenizer, ids, as_json=self.as_json)
        if self.beams:
            return self._search(model, tokenizer, ids, config)
        draft = self.draft.load(model, tokenizer, self.model, self.device)
        return _sample(model, tokenizer, ids, config, draft, as_json=self.as_json)

    def _search(self, model: AnyModel, tokenizer: Tokenizer, ids: list[int], config: SamplingConfig) -> int:
        """Print the best text of a beam search, and all hypotheses with their scores on stderr."""
        from terrarium.models.inference.beam import beam_search
        from terrarium.models.inference.generate import decoder_start_id
        from terrarium.models.tokenizers import decode
        from terrarium.models.tokenizers.special_tokens import end_id

        end = end_id(tokenizer, model.config)
        found = beam_search(
            model,
            ids,
            n_beam=self.beams,
            max_tokens=config.max_tokens,
            start_id=decoder_start_id(model, tokenizer),
            end_id=end,
            length_penalty=self.length_penalty,
        )
        texts = [decode(tokenizer, [id for id in hypothesis.ids if id != end]) for hypothesis in found]
        if self.as_json:
            rows = [{"text": text, "ids": list(h.ids), "score": h.score} for text, h in zip(texts, found, strict=True)]
            print_json({"text": texts[0], "hypotheses": rows, "n_prompt": len(ids)})
            return 0
        print(texts[0])
        for text, hypothesis in zip(texts, found, strict=True):
            print(f"{hypothesis.score:9.4f}  {text!r}", file=sys.stderr)
        return 0


def _sample(
    model: AnyModel, tokenizer: Tokenizer, ids: list[int], config: SamplingConfig, draft: Draft | None, *, as_json: bool
) -> int:
    from terrarium.models.inference.generate import generate

    text, made, end = write_reply(generate(model, tokenizer, ids, config, draft=draft), quiet=as_json)
    if as_json:
        found = {
            "text": text,
            "ids": made,
            "reason": end.reason,
            "n_prompt": end.n_prompt,
            "n_tokens": end.n_tokens,
            "prefill_s": end.prefill_s,
            "tokens_per_s": end.tokens_per_s,
        }
        if draft is not None:
            found |= {"n_drafted": end.n_drafted, "n_accepted": end.n_accepted, "n_passes": end.n_passes}
        print_json(found)
    else:
        write_statistics(end)
    return 0


def _fill(model: AnyModel, tokenizer: Tokenizer, ids: list[int], *, as_json: bool) -> int:
    """Print the text with its masks filled, and the candidates of each mask on stderr."""
    from terrarium.models.inference.fill_mask import fill_mask, filled_text
    from terrarium.models.tokenizers.special_tokens import mask_id

    mask = mask_id(tokenizer)
    if mask is None:
        raise ValueError("This tokenizer has no mask token, so its model cannot fill masks.")
    found = fill_mask(model, tokenizer, ids, mask)
    text = filled_text(tokenizer, ids, mask, found)
    if as_json:
        masks = [
            [{"id": c.id, "text": c.text, "probability": c.probability} for c in candidates] for candidates in found
        ]
        print_json({"text": text, "masks": masks, "n_prompt": len(ids)})
        return 0
    print(text)
    for i, candidates in enumerate(found, start=1):
        words = ", ".join(
            f"{candidate.text.strip() or candidate.text!r} {candidate.probability:.1%}" for candidate in candidates
        )
        print(f"mask {i}: {words}", file=sys.stderr)
    return 0
