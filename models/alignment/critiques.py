"""A model's own critique of replies by rules in natural language, and its revision of those that break a rule.

The model has been taught both as tasks (models.tiny_world.constitution). No gold answer is used here.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

import torch
from tokenizers import Tokenizer

from terrarium.models.alignment.rollouts import reply_batch, reply_end
from terrarium.models.architecture.transformer import Decoder
from terrarium.models.chat.own_template import Message, encode_messages, encode_reply
from terrarium.models.events import Event, Progress
from terrarium.models.inference.continuation import evaluating
from terrarium.models.inference.many_replies import generate_in_batches
from terrarium.models.tasks.forward import batch_states
from terrarium.models.tiny_world.constitution import NO, YES, critique_prompt, revision_prompt

_AT_ONCE = 64
_MAX_TOKENS = 40


@dataclass(frozen=True, kw_only=True)
class Critique:
    """A model's judgement of a reply.

    rule: the rule that it breaks most likely. log_odds: of “Yes” over “No” to whether it breaks it; minus infinity if
    the reply does not fit the model's context.
    """

    rule: str
    log_odds: float

    @property
    def is_broken(self) -> bool:
        """Whether “Yes” is likelier."""
        return self.log_odds > 0


@dataclass(frozen=True, kw_only=True)
class Critic:
    """A model that judges replies by its rules, and rewrites them."""

    model: Decoder
    tokenizer: Tokenizer
    rules: Sequence[str]

    def critiques(self, asked: Sequence[tuple[str, str]]) -> Generator[Event, None, list[Critique]]:
        """Judge each question and its reply by the rule that it breaks most likely. Yields Progress."""
        found = [Critique(rule=self.rules[0], log_odds=-torch.inf) for _ in asked]
        prompts = [(i, rule, critique_prompt(rule, *each)) for rule in self.rules for i, each in enumerate(asked)]
        encoded = [(i, rule, self._encode(prompt)) for i, rule, prompt in prompts]
        fitting = sorted((each for each in encoded if self._fits(each[2])), key=lambda each: len(each[2]))
        for first in range(0, len(fitting), _AT_ONCE):
            yield Progress(done=first, total=len(fitting))
            some = fitting[first : first + _AT_ONCE]
            for (i, rule, _), odds in zip(some, self._log_odds([ids for *_, ids in some]), strict=True):
                if odds > found[i].log_odds:
                    found[i] = Critique(rule=rule, log_odds=odds)
        return found

    def _log_odds(self, prompts: Sequence[Sequence[int]]) -> list[float]:
        """Return the log-odds of a reply like YES over one like NO, at the first token where they differ."""
        yes, no = (encode_reply(self.tokenizer, critique_prompt("", "", ""), words)[1] for words in (YES, NO))
        n_same = next(i for i, (a, b) in enumerate(zip(yes, no, strict=False)) if a != b)
        batch = reply_batch([(*prompt, *yes[:n_same]) for prompt in prompts], [yes[n_same : n_same + 1]] * len(prompts))
        with evaluating(self.model), torch.inference_mode():
            logits = self.model.logits(batch_states(self.model, batch, counted=batch.counted)).float()
        return (logits[:, yes[n_same]] - logits[:, no[n_same]]).tolist()

    def words(self, asked: Sequence[tuple[str, str]], rules: Sequence[str]) -> Generator[Event, None, list[str]]:
        """Generate the full critique of each question and its reply by its rule. Yields Progress."""
        prompts = [critique_prompt(rule, *each) for each, rule in zip(asked, rules, strict=True)]
        return (yield from self._say(prompts))

    def revisions(self, asked: Sequence[tuple[str, str]], rules: Sequence[str]) -> Generator[Event, None, list[str]]:
        """Rewrite each reply to its question by a rule; "" if it does not fit. Yields Progress."""
        prompts = [revision_prompt(rule, *each) for each, rule in zip(asked, rules, strict=True)]
        return (yield from self._say(prompts))

    def _say(self, prompts: Sequence[list[Message]]) -> Generator[Event, None, list[str]]:
        """Generate the model's reply to each prompt with greedy decoding; "" if it does not fit."""
        said = [""] * len(prompts)
        encoded = [self._encode(prompt) for prompt in prompts]
        fitting = sorted((i for i, ids in enumerate(encoded) if self._fits(ids)), key=lambda i: len(encoded[i]))
        prompted = [encoded[i] for i in fitting]
        replies = yield from generate_in_batches(self.model, prompted, _MAX_TOKENS, reply_end(self.tokenizer))
        for i, ids in zip(fitting, replies, strict=True):
            said[i] = self.tokenizer.decode(ids, skip_special_tokens=False).strip()
        return said

    def _encode(self, prompt: list[Message]) -> list[int]:
        return encode_messages(self.tokenizer, prompt, add_generation_prompt=True)[0]

    def _fits(self, ids: Sequence[int]) -> bool:
        return len(ids) < self.model.config.context_length
