"""Evaluation between two steps: the validation loss, samples of the pinned prompts, and held-out questions."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass

import torch
from tokenizers import Tokenizer

from terrarium.models.architecture.lora import merged
from terrarium.models.architecture.trace import Trace
from terrarium.models.architecture.transformer import AnyModel, Decoder, EncoderDecoder
from terrarium.models.chat.template_config import ChatTemplateConfig
from terrarium.models.evaluation.held_out_questions import headline
from terrarium.models.events import AccuracyMeasured, AttentionSeen, Event, MicroStep, SampleMade, ValMetrics
from terrarium.models.inference.continuation import evaluating
from terrarium.models.runs.checkpoint_state import TrainState
from terrarium.models.settings.model_config import objective_of
from terrarium.models.settings.run_spec import TrainConfig
from terrarium.models.training.clock import Clock
from terrarium.models.training.failures import divergence_sentence
from terrarium.models.training.metric import Scorer
from terrarium.models.training.objective import Estimate, validate, validation_sums
from terrarium.models.training.parallel.process_group import Command
from terrarium.models.training.record import Recorder, bits_per_byte
from terrarium.models.training.samples import prompt_input_ids, write_sample
from terrarium.models.training.saving import Saver
from terrarium.models.training.setup import TrainingContext

MAX_PROMPT_TOKENS = 32
"""Attention is recorded for the last tokens of a prompt only, so that the log stays small and the map legible."""

EARLY_DIVISORS = (40, 16, 8, 4)
"""Divisors of the first interval, in which the model changes most: with an interval of 400 steps, questions are asked
after 10, 25, 50 and 100.
"""
_ATTENTION_DIGITS = 4


@dataclass(frozen=True)
class Evaluator:
    """Validates, samples and asks held-out questions at the intervals of `config`.

    is_stopping: whether training is about to stop; if so, evaluation is skipped, so that it does not delay the stop.
    """

    config: TrainConfig
    record: Recorder
    clock: Clock
    saver: Saver
    is_stopping: Callable[[], bool]

    def validate(self, context: TrainingContext, state: TrainState) -> Generator[Event, None, bool]:
        """Compute the validation loss and a task's metric if due. Returns whether it did; a stop interrupts it."""
        if not context.val_batches or not self.is_validation_due(state):
            return False
        self._check(context, state)
        estimate = Estimate(math.nan, math.nan)
        sums = (reduced_validation_sums(context, i) for i in range(len(context.val_batches)))
        for i, so_far in enumerate(validate(sums), start=1):
            estimate = so_far
            if i < len(context.val_batches):
                yield MicroStep(step=state.step, micro_step=i)
                if self.is_stopping():
                    return False
        scorer, score = context.scorer, None
        if scorer is not None:
            measuring = scorer.measure(gather_full_model(context))
            try:
                while True:
                    next(measuring)
                    yield MicroStep(step=state.step, micro_step=len(context.val_batches))
                    if self.is_stopping():
                        return False
            except StopIteration as end:
                score = end.value
        metrics = ValMetrics(
            step=state.step,
            tokens=state.tokens,
            elapsed_s=self.clock.seconds,
            loss=estimate.loss,
            bits_per_byte=bits_per_byte(estimate.loss, context.val_bytes_per_token),
            loss_error=estimate.error,
            metric=None if scorer is None else scorer.metric,
            metric_value=score,
        )
        yield from self.record.validation(metrics)
        merit = score if score is None or scorer is None or scorer.higher_is_better else -score
        state.record_validation(estimate.loss, merit)
        yield metrics
        return True

    def is_validation_due(self, state: TrainState) -> bool:
        """Whether validation is due at the step of `state`, and no stop is requested."""
        return self._is_due(self.config.eval_interval, state.validated_step, state.step)

    def is_enough(self, state: TrainState) -> bool:
        """Whether to stop early: the loss (on a task, the metric) has not improved for `patience` validations."""
        return 0 < self.config.patience <= state.n_since_lowest and state.step < self.config.steps

    def sample_pinned(
        self, context: TrainingContext, state: TrainState, *, saving: bool = False
    ) -> Generator[Event, None, None]:
        """Sample the pinned prompts if due. The state counts the finished ones, so that a resume continues there.

        They are also due at every checkpoint, so that each has its samples. `saving`: a checkpoint is saved at this
        step.
        """
        prompts, config = self.config.prompts, self.config
        resumes = state.n_sampled > 0
        at_checkpoint = resumes or saving or (state.step > 0 and state.step % config.checkpoint_interval == 0)
        if not prompts or not self._is_due(config.sample_interval, state.sampled_step, state.step, at_checkpoint):
            return
        while state.n_sampled < len(prompts):
            prompt = prompts[state.n_sampled]
            sample, seen = self.sample(context, state, prompt), self._attention(context, state, prompt)
            if seen is not None:
                yield from self.record.attention(seen)
            yield from self.record.sample(sample)
            state.n_sampled += 1
            if seen is not None:
                yield seen
            yield sample
            if self.is_stopping():
                return
        state.sampled_step, state.n_sampled = state.step, 0

    def ask_held_out(self, context: TrainingContext, state: TrainState) -> Generator[Event, None, None]:
        """Ask the current model some held-out questions of its world, if due; a stop interrupts it.

        In the first interval, in which the model changes most, questions are also due after the fractions
        `EARLY_DIVISORS`.
        """
        sample, interval = context.questions, self.config.accuracy_interval
        early = state.step in [interval // divisor for divisor in EARLY_DIVISORS]
        if sample is None or not self._is_due(interval, state.asked_step, state.step, early):
            return
        self._check(context, state)
        model, began = gather_full_model(context), self.clock.seconds
        assert isinstance(model, Decoder)
        asking = sample.ask(model)
        while True:
            try:
                next(asking)
            except StopIteration as end:
                kinds, answers = end.value
                break
            yield MicroStep(step=state.step, micro_step=0)
            if self.is_stopping():
                return
        now = self.clock.seconds
        measured = AccuracyMeasured(
            step=state.step,
            tokens=state.tokens,
            elapsed_s=now,
            accuracy=headline(kinds),
            kinds=tuple(kinds),
            answers=tuple(answers),
            seconds=now - began,
        )
        yield from self.record.accuracy(measured)
        state.asked_step = state.step
        yield measured

    def sample(self, context: TrainingContext, state: TrainState, prompt: str) -> SampleMade:
        """Sample a reply to `prompt` from the current model, always with the run's seed."""
        self._check(context, state)
        seed, length = self.config.seed, self.config.sample_tokens
        model = gather_full_model(context)
        with merged(model):
            text, top = write_sample(
                model,
                context.tokenizer,
                prompt,
                as_chat=context.prompts_are_chat,
                seed=seed,
                max_tokens=length,
                denoises=self._denoises(context),
                resolves_pronouns=context.resolves_pronouns,
                rewrites=context.rewrites,
                template=context.template,
                scorer=context.scorer,
            )
        return SampleMade(step=state.step, prompt=prompt, seed=seed, text=text, top=top)

    def _attention(self, context: TrainingContext, state: TrainState, prompt: str) -> AttentionSeen | None:
        model = gather_full_model(context)
        with merged(model):
            return capture_attention(
                model,
                context.tokenizer,
                prompt,
                step=state.step,
                layer=self.config.watched_layer,
                as_chat=context.prompts_are_chat,
                denoises=self._denoises(context),
                resolves_pronouns=context.resolves_pronouns,
                rewrites=context.rewrites,
                template=context.template,
                scorer=context.scorer,
            )

    def _denoises(self, context: TrainingContext) -> bool:
        return objective_of(context.model.config, self.config.objective) == "denoising"

    def _is_due(self, interval: int, last_done: int, step: int, wanted: bool = False) -> bool:
        """Whether an evaluation is due at `step`. If a stop skips it, the resumed run makes up for it.

        wanted: it is due for another reason than the interval. An interval of 0 means never.
        """
        if not interval or self.is_stopping() or last_done == step:
            return False
        return wanted or step % interval == 0 or step == self.config.steps

    def _check(self, context: TrainingContext, state: TrainState) -> None:
        check_weights(context, self.config, state.step, self.saver.step)
        if context.model.training:  # Once for all evaluations at this step: the next update sets training mode again.
            context.model.eval()


def check_weights(context: TrainingContext, config: TrainConfig, step: int, saved_step: int) -> None:
    """Check the weights before they are used: an update may have broken them although its loss was finite.

    Raises:
        ValueError: if a weight is not finite; the message says what to do.
    """
    if not weights_are_finite(context):
        raise ValueError(divergence_sentence(f"model after step {step}", config, saved_step))


# Collective operations: all processes take part


def reduced_validation_sums(context: TrainingContext, i: int) -> Sequence[float]:
    """Return the `validation_sums` of validation batch `i`, summed over all processes."""
    with context.process_group.together(Command.VALIDATE, i):
        share = context.process_group.shard(context.val_batches[i])
        return context.process_group.all_reduce_numbers(context.layout.evaluate(validation_sums, share))


def gather_full_model(context: TrainingContext) -> AnyModel:
    """Gather the full model with the current weights, for the main process to evaluate."""
    with context.process_group.together(Command.SHOW):
        return context.layout.full_model()


def weights_are_finite(context: TrainingContext) -> bool:
    """Whether all weights are finite. Collective."""
    with context.process_group.together(Command.CHECK):
        return bool(context.layout.norm([parameter.detach() for parameter in context.parameters]).isfinite())


def capture_attention(
    model: AnyModel,
    tokenizer: Tokenizer,
    prompt: str,
    *,
    step: int,
    layer: int,
    as_chat: bool,
    denoises: bool = False,
    resolves_pronouns: bool = False,
    rewrites: bool = False,
    template: ChatTemplateConfig | None = None,
    scorer: Scorer | None = None,
) -> AttentionSeen | None:
    """Return the attention weights of layer `layer` (counted from 1, at most the last one) for `prompt`.

    None if it is a custom block that has none. For an encoder-decoder, these are the encoder's. Only the last
    MAX_PROMPT_TOKENS tokens of the prompt are read. The model's train or eval mode is unchanged.
    """
    ids = prompt_input_ids(
        model,
        tokenizer,
        prompt,
        as_chat,
        denoises=denoises,
        resolves_pronouns=resolves_pronouns,
        rewrites=rewrites,
        template=template,
        scorer=scorer,
    )[-MAX_PROMPT_TOKENS:]
    stack = "encoder." if isinstance(model, EncoderDecoder) else ""
    n_layer = (model.config.n_encoder_layer if stack else 0) or model.config.n_layer
    site = f"{stack}blocks.{min(layer, n_layer) - 1}.attention"
    trace = Trace(wanted=frozenset({"attention"}))
    with evaluating(model):
        read = torch.tensor([ids], device=model.embedding.weight.device)
        if isinstance(model, EncoderDecoder):
            model.encode(read, trace=trace)
        else:
            model.hidden(read, trace=trace)
    if site not in trace.attention:
        return None
    weights = trace.attention[site][0].tolist()  # (H, T, S)
    rounded = tuple(tuple(tuple(round(value, _ATTENTION_DIGITS) for value in row) for row in head) for head in weights)
    return AttentionSeen(step=step, prompt=prompt, site=site, ids=tuple(ids), weights=rounded)
