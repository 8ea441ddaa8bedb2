"""Proposes how long to train a design beside its built-in twin. No torch import, unless the speed is measured."""

from __future__ import annotations

import dataclasses
from collections.abc import Generator
from dataclasses import dataclass

from terrarium.models.design import total_parameters
from terrarium.models.events import Event
from terrarium.models.library.library import Library
from terrarium.models.runs.twin import N_SEEDS, twin_of
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.run_spec import RunSpec
from terrarium.models.training.proposal.facts import DataFacts, read_facts, text_bytes
from terrarium.models.training.proposal.propose import propose, proposed_tokenizer, seconds_of
from terrarium.models.training.proposal.speed import Speed
from terrarium.models.training.proposal.step_shape import step_shape, update_flops
from terrarium.models.training.schedule import round_number

MOST_S = 1800.0
"""The approximate maximum duration of all runs of a proposed comparison."""


@dataclass(frozen=True, kw_only=True)
class TwinProposal(Event):
    """A run of the design, with the settings that its twin shares.

    sizes: the numbers of parameters of both. speeds: of both; None if not measured.
    """

    spec: RunSpec
    twin: ModelConfig
    sizes: tuple[int, int]
    facts: DataFacts | None
    speeds: tuple[Speed, Speed] | None
    free_bytes: int | None

    def with_steps(self, steps: int) -> TwinProposal:
        """Return this with another number of steps, which the intervals of validations and checkpoints follow."""
        spec = dataclasses.replace(self.spec, train=dataclasses.replace(self.spec.train, steps=steps))
        speed = None if self.speeds is None else self.speeds[0]
        changes = {**propose(spec, self.facts, speed, self.free_bytes, ("steps",)).train, "steps": steps}
        return dataclasses.replace(
            self, spec=dataclasses.replace(spec, train=dataclasses.replace(spec.train, **changes))
        )

    def seconds(self, n_seeds: int) -> float | None:
        """Estimate the seconds of all runs, None if the speed is unknown."""
        if self.speeds is None:
            return None
        both = self.spec, dataclasses.replace(self.spec, model=self.twin)
        return n_seeds * sum(seconds_of(spec, self.facts, speed) for spec, speed in zip(both, self.speeds, strict=True))


def propose_twins(
    library: Library, spec: RunSpec, place: str, free_bytes: int | None, device: str = ""
) -> Generator[Event, None, TwinProposal]:
    """Propose the settings of a design and its twin, as for a new run of the design, but no more steps than fit into
    about half an hour for all runs. Yields Phase and Progress.

    Args:
        place: of the block that the twin has built in.
        free_bytes: the memory available to a training; None if unknown.
        device: where to measure the speed of both; "" to measure nothing.

    Raises:
        ValueError: if the data cannot be read, memory does not suffice, or a block may not run.
    """
    if not spec.tokenizer.path:
        spec = dataclasses.replace(spec, tokenizer=proposed_tokenizer(spec.model, text_bytes(library, spec)))
        spec = dataclasses.replace(spec, model=dataclasses.replace(spec.model, vocab_size=spec.tokenizer.vocab_size))
    twin = twin_of(spec.model, place)
    facts = yield from read_facts(library, spec)
    steps = int(propose(spec, facts, None, free_bytes).train["steps"])
    sizes = total_parameters(spec.model), total_parameters(twin)
    found = TwinProposal(spec=spec, twin=twin, sizes=sizes, facts=facts, speeds=None, free_bytes=free_bytes)
    found = found.with_steps(steps)
    if not device:
        return found
    from terrarium.models.training.proposal.calibrate import measure_speed

    shape, speeds, each = step_shape(facts, found.spec.model, found.spec.train, None), list[Speed](), 0.0
    for model in (found.spec.model, twin):
        speeds.append((yield from measure_speed(dataclasses.replace(found.spec, model=model), shape, device)))
        each += speeds[-1].quiet_seconds(update_flops(shape, model, found.spec.train, None))
    fitting = round_number(MOST_S / N_SEEDS / each)
    return dataclasses.replace(found, speeds=(speeds[0], speeds[1])).with_steps(min(steps, fitting))
