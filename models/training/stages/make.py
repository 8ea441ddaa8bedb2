"""Makes the training stage of a run."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, TypeVar

import torch

from terrarium.models.alignment.judges import Judge, ModelJudge, WishJudge
from terrarium.models.alignment.pairs import Pairs, RatedReplies
from terrarium.models.alignment.reward_model import RewardModel
from terrarium.models.alignment.rollouts import Prompts, longest_prompt
from terrarium.models.architecture.transformer import AnyModel
from terrarium.models.corpora.corpus import Corpus, open_run_corpus
from terrarium.models.events import Event, Notice, Phase
from terrarium.models.extensions.entries import CRITIC, REFERENCE
from terrarium.models.interop.loading import load_model_events
from terrarium.models.library.library import Library
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.align_spec import REWARD_MODELS, AlignSpec
from terrarium.models.settings.stage_kinds import load_objective
from terrarium.models.training.evaluator import Evaluator
from terrarium.models.training.setup import TrainingContext
from terrarium.models.training.stages.critic import Critic
from terrarium.models.training.stages.preference import PreferenceStage, unbalanced
from terrarium.models.training.stages.replies import HeldOutReplies, ReplyDrawer
from terrarium.models.training.stages.stage import TextStage, TrainingStage
from terrarium.models.training.tuning import build_from_base

JUDGE_SCALES = {"reward_model": "judge.scale", "second_reward_model": "judge.scale-2"}
"""The names in a checkpoint of a reward model's initial mean and standard deviation of scores, by setting."""
_SCALE_STEP = 1 << 41
"""A step number that no training reaches, so that the draws for that scale are always the same."""
_SCALE_PROMPTS, _SCALE_REPLIES = 128, 2
_HELD_OUT_PROMPTS = 128

Rows = TypeVar("Rows", Pairs, RatedReplies)


def make_stage(
    run: RunFolder, library: Library, context: TrainingContext, evaluator: Evaluator
) -> Generator[Event, None, TrainingStage]:
    """Make the stage of a run that was set up. Yields Phase, Progress, MicroStep and Notice.

    Raises:
        ValueError: if its data, its reward model or the stage's tensors in its checkpoint do not suffice.
    """
    align = run.spec.align
    if align is None:
        return TextStage(context, run.spec.train, evaluator)
    builder = _StageBuilder(run=run, align=align, context=context, evaluator=evaluator)
    corpus = open_run_corpus(library, run)
    if align.kind.draws:
        return (yield from builder.from_prompts(corpus))
    if run.spec.data.task == "unpaired":
        return (yield from builder.from_rows(corpus, RatedReplies))
    return (yield from builder.from_rows(corpus, Pairs))


@dataclass(frozen=True, kw_only=True)
class _StageBuilder:
    run: RunFolder
    align: AlignSpec
    context: TrainingContext
    evaluator: Evaluator

    @cached_property
    def reference(self) -> AnyModel:
        """The model before the first step."""
        return build_from_base(self.run).to(self.context.device.device).requires_grad_(False).eval()

    def from_rows(self, corpus: Corpus, rows: type[Rows]) -> Generator[Event, None, TrainingStage]:
        """Build a stage that learns from pairs, or from replies that were rated one by one."""
        align, config = self.align, self.run.spec.train
        train, held_out = yield from self._read(corpus, rows)
        if isinstance(train, RatedReplies) and (sentence := unbalanced(train.n_good, len(train) - train.n_good, align)):
            yield Notice(sentence=sentence)
        yield Phase(name="Training")
        reference = self.reference if REFERENCE in align.kind.needs else None
        objective = self._load_objective()(self.context, align, reference)
        writes = align.kind.head == "language"
        replies = self._wished(corpus) if held_out is not None and writes else None
        return PreferenceStage(self.context, config, objective, train, held_out, replies, self.evaluator)

    def _load_objective(self) -> Any:
        """Import what learns in the stage from the run's data."""
        return load_objective(self.align.kind, self.run.spec.data.task)

    def _read(self, corpus: Corpus, kind: type[Rows]) -> Generator[Event, None, tuple[Rows, Rows | None]]:
        """Read the rows to learn from, and those to validate on; None for the latter if the run never validates."""
        config, tokenizer = self.run.spec.train, self.context.tokenizer
        yield Phase(name=f"Reading the {kind.nouns}")
        found: list[Rows] = []
        for split in ("train", "val"):
            if split == "val" and not (config.eval_interval and len(corpus.rows(split))):
                break
            used = self.align.pairs_used if split == "train" else "all"
            rows = kind(corpus, split, tokenizer, config.seed, judges=split == "val", used=used)
            yield from rows.read(self.context.model.config.context_length)
            if rows.n_left_out:
                sentence = (
                    f"{rows.n_left_out:,} of {rows.n_left_out + len(rows):,} {kind.nouns} ({split}) are longer than "
                    "the context, and are left out."
                )
                yield Notice(sentence=sentence)
            found.append(rows)
        return found[0], found[1] if len(found) > 1 else None

    def from_prompts(self, corpus: Corpus) -> Generator[Event, None, TrainingStage]:
        """Build a stage that draws replies to prompts and learns from their rewards."""
        align, context, config = self.align, self.context, self.run.spec.train
        prompts = Prompts(corpus, "train", context.tokenizer, self._longest, config.seed)
        held_out = Prompts(corpus, "val", context.tokenizer, self._longest)
        judge: Judge
        models: dict[str, RewardModel] = {}
        for setting in align.reward_models:
            models[setting] = yield from self._scaled_model(setting, prompts)
        reward_model = models.get("reward_model")
        if reward_model is not None:
            judge = ModelJudge(reward_model, models.get("second_reward_model"), lower=align.reward_by == "lower")
        else:
            judge = WishJudge([*prompts.rows, *held_out.rows], corpus.label)
        judge_tensors = {
            JUDGE_SCALES[setting]: torch.tensor([model.mean, model.std], dtype=torch.float64)
            for setting, model in models.items()
        }
        replies = self._held_out(held_out, judge)
        make = partial(self._load_objective(), context, config, align, prompts, replies)
        if CRITIC not in align.kind.needs:
            stage: TrainingStage = make(judge_tensors=judge_tensors)
            return stage
        critic = Critic(context.model, config, align.critic_lr, reward_model)
        if context.resumed and context.state.step:
            critic.restore(context.stage_tensors)
        stage = make(critic=critic, judge_tensors=judge_tensors)
        return stage

    @property
    def _longest(self) -> int:
        return longest_prompt(self.context.model.config.context_length, self.align.max_tokens)

    def _held_out(self, prompts: Prompts, judge: Judge) -> HeldOutReplies:
        drawer = ReplyDrawer(self.context, self.align, judge, self.reference, self.run.spec.train.steps)
        return HeldOutReplies(drawer=drawer, prompts=prompts.rows, evaluator=self.evaluator)

    def _wished(self, corpus: Corpus) -> HeldOutReplies | None:
        """Return the replies drawn at validations of a stage that learns from pairs, to held-out prompts with a wish.

        None if no prompt has a wish, or they are too long.
        """
        try:
            prompts = Prompts(corpus, "val", self.context.tokenizer, self._longest, at_most=_HELD_OUT_PROMPTS)
            judge = WishJudge(prompts.rows, corpus.label)
        except ValueError:
            return None
        return self._held_out(prompts, judge)

    def _scaled_model(self, setting: str, prompts: Prompts) -> Generator[Event, None, RewardModel]:
        """Load the run's reward model of a setting, in standard deviations of its scores of the parent's replies."""
        yield Phase(name="Loading the reward model")
        context = self.context
        folder = self.run.folder / REWARD_MODELS[setting]
        if not folder.is_dir():
            raise ValueError(f"{folder} is missing, which holds the run's reward model: put it back.")
        loaded, _ = yield from load_model_events(folder, context.device.device)
        model = RewardModel(model=loaded)
        scale = context.stage_tensors.get(JUDGE_SCALES[setting])
        if scale is not None:
            mean, std = scale.tolist()
            return RewardModel(model=loaded, mean=mean, std=std)
        if context.resumed and context.state.step:
            raise ValueError("The checkpoint does not hold the scale of the rewards: resume from an earlier one.")
        yield Phase(name="Scoring what the parent replies")
        drawer = ReplyDrawer(context, self.align, ModelJudge(model), self.reference, self.run.spec.train.steps)
        some = prompts.rows[:_SCALE_PROMPTS]
        rollouts = yield from drawer.draw(some, _SCALE_STEP, _SCALE_REPLIES, self.run.spec.train.seed)
        yield Phase(name="Training")
        return model.standardised(rollouts.earned.flatten().tolist())
