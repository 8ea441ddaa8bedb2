"""`terrarium chat`: talk to a model in the terminal."""

from __future__ import annotations

import contextlib
import dataclasses
import statistics
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from terrarium.app.commands.common import UsageError, find_model, model_argument, open_model, weights_option
from terrarium.app.commands.options import Command, option, print_json
from terrarium.app.commands.replying import DraftOptions, sampling_from, sampling_options, write_reply
from terrarium.models.chat.own_template import Message, ReplyStripper
from terrarium.models.chat.prompting import WHEN_FULL, PromptSettings
from terrarium.models.events import Event, Notice, Phase, TokenMade
from terrarium.models.inference.reply import ReplyRequest, ReplyStarted, reply_events
from terrarium.models.number_words import describe_speculation

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from terrarium.models.alignment.reward_model import RewardModel
    from terrarium.models.architecture.transformer import AnyModel
    from terrarium.models.chat.template_config import ChatTemplateConfig
    from terrarium.models.inference.speculative import Draft
    from terrarium.models.settings.sampling_config import SamplingConfig

HELP = (
    "Enter sends, /reset forgets the conversation, /tokens shows the exact prompt tokens of the last reply, "
    "Ctrl-C stops a reply, Ctrl-D ends."
)
_BEST = "best of several replies"
_CHOICES = "; ".join(f"{name}: {words[0].lower()}{words[1:]}" for name, words in WHEN_FULL.items())


class Chat(
    Command, description=__doc__, epilog=HELP + " If stdin is not a terminal, each of its lines is one message."
):
    """Talk to a model in the terminal."""

    model: str = model_argument()
    system: str = option("a system message that comes first", default="", metavar="TEXT")
    template: str | None = option(
        "a chat template (Jinja) instead of the model's own; - reads stdin", metavar="FILE", complete="file"
    )
    when_full: str = option(
        f"what happens when the context is full: {_CHOICES}",
        default=PromptSettings().when_full,
        choices=tuple(WHEN_FULL),
    )
    best_of: int = option(
        "draw N replies at temperature 1 from all tokens, whatever the settings below, and show the one that "
        "--reward-model likes best",
        default=1,
        metavar="N",
        group=_BEST,
    )
    reward_model: str | None = option(
        "the run of the stage reward that scores them", metavar="RUN", group=_BEST, complete="run"
    )
    sampling: Mapping[str, Any] = sampling_options()
    draft: DraftOptions
    weights: str = weights_option()

    def run(self) -> None:
        """Talk until the input ends."""
        sampling_from(self.sampling)  # report wrong options before loading a model
        if self.best_of < 1 or (self.best_of > 1) != (self.reward_model is not None):
            raise UsageError(
                "--best-of takes 2 replies or more, and --reward-model the run that scores them: give both."
            )
        self.draft.check()
        if self.draft.name is not None and self.best_of > 1:
            raise UsageError("The best of several replies is drawn from all at once: leave out --draft or --best-of.")
        prompting = PromptSettings(system=self.system, template=_template(self.template), when_full=self.when_full)
        model, tokenizer, _ = open_model(self.model, self.device, self.weights)
        if model.config.topology == "encoder-only":
            raise ValueError(
                "An encoder cannot chat: use it to fill masks (`terrarium generate`), or choose another model."
            )
        from terrarium.models.interop.chat_templates import read_template_config

        template_config = read_template_config(find_model(self.model))
        sampling = sampling_from(self.sampling, template_config.sampling)
        judge = None
        if self.reward_model is not None:
            if model.config.topology != "decoder-only":
                raise ValueError("The best of several replies is drawn from decoders only: leave out --best-of.")
            judge = _judge(self.reward_model, model, tokenizer, self.device)
        chat = _Chat(
            model,
            tokenizer,
            template_config,
            sampling,
            prompting,
            quiet=self.as_json,
            best_of=self.best_of,
            judge=judge,
            draft=self.draft.load(model, tokenizer, self.model, self.device),
        )
        is_terminal = sys.stdin.isatty()
        if is_terminal:
            with contextlib.suppress(ImportError):  # line editing and history, if available
                import readline  # noqa: F401
            print(HELP, file=sys.stderr)
        with contextlib.suppress(EOFError):
            while True:
                text = (input("› ") if is_terminal else input()).strip()
                if text == "/reset":
                    chat.reset()
                elif text == "/tokens":
                    chat.show_tokens()
                elif text:
                    chat.say(text)
        if self.as_json:
            print_json({"messages": chat.messages})


def _judge(name: str, model: AnyModel, tokenizer: Tokenizer, device: str) -> RewardModel:
    """Load a reward model. Raises ValueError if it cannot score the replies of this model."""
    from terrarium.models.alignment.reward_model import RewardModel, check_reward_model

    judge, own, _ = open_model(name, device)
    check_reward_model(judge.config, own, model.config, tokenizer, name)
    return RewardModel(model=judge)


def _template(file: str | None) -> str:
    """Read a template file, or stdin for “-”; return "" if no file is given."""
    if file is None:
        return ""
    try:
        return sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror or error}.") from error
    except UnicodeError as error:
        raise UsageError(f"{file} is not UTF-8, so it is not a chat template.") from error


class _Chat:
    """A conversation with a model."""

    def __init__(
        self,
        model: AnyModel,
        tokenizer: Tokenizer,
        template_config: ChatTemplateConfig,
        sampling: SamplingConfig,
        prompting: PromptSettings,
        *,
        quiet: bool,
        best_of: int = 1,
        judge: RewardModel | None = None,
        draft: Draft | None = None,
    ) -> None:
        from terrarium.models.inference.prefill import PrefixCache
        from terrarium.models.inference.summarising import SummaryCache

        self._model, self._tokenizer, self._template_config = model, tokenizer, template_config
        self._sampling, self._prompting, self._quiet = sampling, prompting, quiet
        self._summaries, self._prefix_cache = SummaryCache(), PrefixCache()
        self._best_of, self._judge, self._draft = best_of, judge, draft
        self._seed = sampling.seed
        self._prompt_ids: tuple[int, ...] = ()
        self.messages: list[Message] = []

    def reset(self) -> None:
        """Clear the conversation, except for the system message."""
        self.messages = []

    def show_tokens(self) -> None:
        """Print the id and text of each prompt token of the last reply."""
        import numpy as np

        from terrarium.models.tokenizers.text.encoded import TokenArrays

        if not self._prompt_ids:
            return
        for piece in TokenArrays(self._tokenizer, np.asarray(self._prompt_ids, dtype=np.int64)):
            print(f"{piece.id:>7}  {piece.display}")

    def say(self, text: str) -> None:
        """Send a message and print the reply; Ctrl-C stops the reply and keeps the text so far.

        A message that cannot be sent is dropped, with an error.
        """
        self.messages.append({"role": "user", "content": text})
        made: list[str] = []
        try:
            if self._judge is None:
                reply, _, end = write_reply(self._events(made), quiet=self._quiet, stripper=ReplyStripper())
                if end.n_passes:
                    said = describe_speculation(end.n_drafted, end.n_accepted, end.n_tokens, end.n_passes)
                    print(f"({said} {end.tokens_per_s:,.0f} tokens/s.)", file=sys.stderr)
            else:
                reply = self._best_reply(self._judge)
        except KeyboardInterrupt:
            reply = ReplyStripper().add("".join(made))
            print(" …", file=sys.stderr)
        except ValueError as error:
            if not sys.stdin.isatty():
                raise
            print(error, file=sys.stderr)
            del self.messages[-1]
            return
        self.messages.append({"role": "assistant", "content": reply})

    def _best_reply(self, judge: RewardModel) -> str:
        """Print the highest-scoring of several replies, and its cost on stderr."""
        from terrarium.models.alignment.best_of import RepliesRanked
        from terrarium.models.alignment.best_replies import best_reply_events

        ranked: RepliesRanked | None = None
        request = ReplyRequest(
            messages=self.messages,
            sampling=dataclasses.replace(self._sampling, seed=self._seed),
            prompting=self._prompting,
        )
        for event in best_reply_events(
            self._model, self._tokenizer, 0, self._template_config, request, self._summaries, judge, self._best_of
        ):
            if isinstance(event, RepliesRanked):
                ranked = event
            elif not isinstance(event, Phase):
                self._note(event)
        assert ranked is not None
        self._seed += 1  # otherwise the same question would get the same replies again
        best, scores = ranked.replies[0], [reply.score for reply in ranked.replies]
        if not self._quiet:
            print(best.text, flush=True)
        n_tokens = sum(len(reply.ids) for reply in ranked.replies)
        print(
            f"(The best of {len(scores)} replies, with a score of {best.score:.2f}; their mean is "
            f"{statistics.fmean(scores):.2f}, the lowest {scores[-1]:.2f}. Together they have {n_tokens:,} tokens and "
            f"took {ranked.draw_s + ranked.score_s:.1f} s.)",
            file=sys.stderr,
        )
        return best.text

    def _events(self, made: list[str]) -> Iterator[Event]:
        """Yield the events of the reply to all messages, with notes about the prompt on stderr.

        Its texts are also appended to `made`, so that an interrupted reply is not lost.
        """
        request = ReplyRequest(messages=self.messages, sampling=self._sampling, prompting=self._prompting)
        for event in reply_events(
            self._model,
            self._tokenizer,
            0,
            self._template_config,
            request,
            self._summaries,
            self._prefix_cache,
            self._draft,
        ):
            self._note(event)
            if isinstance(event, TokenMade):
                made.append(event.text)
            yield event

    def _note(self, event: Event) -> None:
        """Record the prompt tokens of a reply, and write the notices before the reply to stderr."""
        match event:
            case Phase(name=name):
                print(f"({name}…)", file=sys.stderr)
            case Notice(sentence=sentence):
                print(f"({sentence})", file=sys.stderr)
            case ReplyStarted(n_left_out=n, summary=summary):
                self._prompt_ids = event.source_ids or event.prompt_ids
                if n and not summary:
                    print(f"(The {n} oldest messages no longer fit the model's context.)", file=sys.stderr)
