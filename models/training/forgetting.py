"""Measures forgetting in fine-tuning: results on the parent's corpus before the first step and at the end."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass

from terrarium.models.architecture.transformer import AnyModel, Decoder
from terrarium.models.corpora.corpus import Corpus
from terrarium.models.evaluation.held_out_questions import answer_in_rounds
from terrarium.models.evaluation.record import Forgetting, read_forgetting, write_forgetting
from terrarium.models.events import Event, KnowledgeMeasured, KnownFigure, MicroStep, Phase
from terrarium.models.library.library import Library
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.run_spec import RunSpec
from terrarium.models.tiny_world.corpus import world_of
from terrarium.models.training.batches import make_batches, open_parent_corpus
from terrarium.models.training.evaluator import gather_full_model
from terrarium.models.training.objective import validate, validation_slice, validation_sums
from terrarium.models.training.setup import TrainingContext

SECONDS = 8.0
"""The time limit of the first measurement; the second asks as many questions as the first."""

N_PER_KIND, N_PER_ROUND = 120, 20
_BATCHES = 8


@dataclass(frozen=True)
class ForgettingMeter:
    """Measures a fine-tuned run and writes the result to its folder; does nothing for other runs.

    is_stopping: whether training is about to stop; if so, nothing is measured.
    """

    run: RunFolder
    library: Library
    is_stopping: Callable[[], bool]

    def measure(self, context: TrainingContext, step: int, *, is_end: bool) -> Generator[Event, None, None]:
        """Measure before the first step, and at the end if it was measured then. Yields KnowledgeMeasured."""
        spec = self.run.spec
        known = read_forgetting(self.run.folder) if spec.tune is not None else None
        is_due = known is None and step == 0
        if is_end:
            is_due = known is not None and (known.after is None or known.after.step != step)
        if spec.tune is None or not spec.tune.measure_forgetting or not is_due or self.is_stopping():
            return
        corpus = open_parent_corpus(self.library, self.run.lineage)
        if corpus is None:
            return
        yield Phase(name="Measuring what it knows")
        began, limit = time.perf_counter(), known.before.figures[0].n if known else None
        figures: tuple[KnownFigure, ...] = ()
        for i, figures in enumerate(_measurements(gather_full_model(context), context, spec, corpus)):
            enough = time.perf_counter() - began > SECONDS if limit is None else figures[0].n >= limit
            if enough:
                break
            yield MicroStep(step=step, micro_step=i)
            if self.is_stopping():
                return
        if figures:  # else the model has another head than its parent, for example
            seconds = time.perf_counter() - began
            measured = KnowledgeMeasured(step=step, corpus=corpus.label, figures=figures, seconds=seconds)
            whole = Forgetting(before=known.before, after=measured) if known else Forgetting(before=measured)
            write_forgetting(self.run.folder, whole)
            yield measured
        if not is_end:
            yield Phase(name="Training")


def _measurements(
    model: AnyModel, context: TrainingContext, spec: RunSpec, corpus: Corpus
) -> Iterator[tuple[KnownFigure, ...]]:
    """Yield ever better measurements: accuracy by kind of question of Tiny World, else the loss on the validation
    split.

    Yields nothing if the model has another head than its parent, or the text is too short.
    """
    if model.config.head != "language" or corpus.source == "pronouns":
        return
    world = world_of(corpus)
    if world is not None and isinstance(model, Decoder):
        rounds = answer_in_rounds(model, context.tokenizer, world, N_PER_KIND, N_PER_ROUND)
        for i, shares in enumerate(rounds, start=1):
            yield tuple(KnownFigure(kind=kind, value=value, n=i * N_PER_ROUND) for kind, value in shares.items())
        return
    try:
        batches = make_batches(corpus, context.tokenizer, model.config, spec.train, "val", template=context.template)
    except ValueError:  # a text that is shorter than the context
        return
    n = 0
    chosen = validation_slice(batches, _BATCHES)
    for batch, estimate in zip(chosen, validate(validation_sums(model, batch) for batch in chosen), strict=True):
        n += int((batch.weights > 0).sum())
        if math.isfinite(estimate.loss):
            yield (KnownFigure(kind="loss", value=estimate.loss, n=n),)
