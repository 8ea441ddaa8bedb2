"""A run that is being set up: what is chosen for it as a whole, and its trials before it starts."""

from __future__ import annotations

import dataclasses

from app.session.session import Session
from app.training.new_run.choices import RunChoices
from app.training.trials.trials import Trials
from models.settings.model_config import ModelConfig
from models.settings.run_spec import RunSpec
from models.training.trials.findings import RunCost


class RunDraft:
    """The choices put together, and what was tried of them. `like`: whose settings they are, '' for nobody's."""

    def __init__(self, session: Session, choices: RunChoices, trials: Trials) -> None:
        self.session, self.choices, self.trials = session, choices, trials
        self.name = self.like = ""

    def set_name(self, name: str) -> None:
        """Call the run so; '' for `default_name`."""
        self.name = name.strip()

    @property
    def default_name(self) -> str:
        """A name that no run has, after the design or after whose settings these are."""
        return self.session.runs.free_name(self.like or self.session.designs.name or "my-design")

    @property
    def model(self) -> ModelConfig:
        """The design, with the vocabulary that the tokenizer will have."""
        return dataclasses.replace(self.session.designs.current, vocab_size=self.choices.tokenizer.vocab_size)

    def spec(self) -> RunSpec:
        """Everything as it is chosen now; ValueError says what is missing."""
        self.choices.form.commit()
        if self.choices.problem:
            raise ValueError(self.choices.problem)
        return self._chosen(self.name or self.default_name)

    def _chosen(self, name: str) -> RunSpec:
        """What is chosen, without what is only half typed."""
        of = self.choices
        return RunSpec(
            name=name, model=self.model, tokenizer=of.tokenizer.spec, data=of.data.spec, train=of.form.config
        )

    @property
    def problem(self) -> str:
        """Why nothing can start now, in a sentence; '' where something can."""
        if self.choices.problem:
            return self.choices.problem
        if self.session.training.active:
            return "A training is going on. Stop it first, wait until it ends, or queue this one."
        return ""

    def try_out(self, kind: str, *, below: int | None = None) -> bool:
        """Start a trial of what is chosen; whether it began."""
        try:
            spec = self.spec()
        except ValueError as error:
            self.session.notices.say(str(error))
            return False
        return self.trials.start(kind, spec, below=below)

    def measured(self) -> RunCost | None:
        """The cost of exactly what is chosen now, None where that was not measured."""
        trial = self.trials.state
        return trial.cost if trial.cost_of is not None and self.is_like(trial.cost_of) else None

    def is_like(self, spec: RunSpec) -> bool:
        """Whether `spec` is what is chosen now, whatever its name."""
        return not self.choices.problem and self._chosen(spec.name) == spec

    def is_tried_alike(self, spec: RunSpec) -> bool:
        """Whether a finder's trial of `spec` holds for what is chosen now: the same model reads the same data."""
        if self.choices.problem:
            return False
        now = self._chosen(spec.name)
        return (now.model, now.tokenizer, now.data) == (spec.model, spec.tokenizer, spec.data)
