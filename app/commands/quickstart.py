"""`terrarium quickstart`: the whole loop from data to evaluation, ending with held-out accuracy and a few answers."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Any

from terrarium.app.commands.common import UsageError
from terrarium.app.commands.options import Command, option, print_json
from terrarium.app.commands.progress import ProgressLine, drive, stop_on_interrupt
from terrarium.app.commands.queue import queue_option, queue_recipe
from terrarium.models.corpora.text_corpora import check_text_files
from terrarium.models.evaluation.text_verdict import TRIGRAM, sentence_of, table_words
from terrarium.models.events import Evaluated, Event, SampleMade, TextCompared, ValMetrics
from terrarium.models.library.library import Library
from terrarium.models.recipes.recipe_specs import quick_start_spec

if TYPE_CHECKING:
    from terrarium.models.evaluation.held_out_questions import AnsweredQuestion
    from terrarium.models.events import KindAccuracy
    from terrarium.models.recipes.job import RunJob

DONE, INTERRUPTED = 0, 130
_COLUMNS = ("kind", "questions", "model", "most frequent", "last mentioned", "without story")


class Quickstart(
    Command,
    description="Make a tiny world, a tokenizer and a small GPT, train it, and ask it held-out questions.",
):
    """Grow a small model from scratch in minutes, and test it."""

    minutes: float | None = option(
        "train only as long as fits into M minutes, and know less (default: all steps). A text: as many steps as two "
        "quiet cores take in M minutes (default: 3)",
        metavar="M",
    )
    data: tuple[str, ...] = option(
        "train on these UTF-8 texts instead of Tiny World", many=True, metavar="FILE", complete="file"
    )
    seed: int = option("random seed, also of the world (default: 0)", default=0)
    portable: bool = option(
        "a design that llama.cpp computes, so that the model also runs in Ollama: about six times as long"
    )
    queue: bool = queue_option()

    def run(self) -> int:
        """Train a model; return 130 if Ctrl-C stopped and saved the run."""
        if self.minutes is not None and (not math.isfinite(self.minutes) or self.minutes <= 0):
            raise UsageError(f"--minutes {self.minutes:g} is not valid: use a number above 0.")
        if self.queue:
            check_text_files(self.data, is_all=True)
            recipe = quick_start_spec(self.seed, self.data, self.minutes, portable=self.portable)
            queue_recipe(Library(), recipe, as_json=self.as_json)
            return DONE
        from terrarium.models.recipes.job import RunJob
        from terrarium.models.recipes.quickstart import QuickStart

        quickstart = QuickStart(self.minutes, self.seed, self.data, portable=self.portable)
        job = RunJob(Library(), quickstart, device=self.device)
        last = _LastEvents()
        with ProgressLine(as_json=self.as_json) as line, stop_on_interrupt(job.request_stop) as interrupt:
            drive(last.record(job.events()), line)
        if self.as_json:
            print_json(_as_json(job, last))
        else:
            _print_result(job, last)
        return INTERRUPTED if interrupt.happened else DONE


class _LastEvents:
    """The last event of each kind that the result contains."""

    def __init__(self) -> None:
        self.evaluated: Evaluated | None = None
        self.validation: ValMetrics | None = None
        self.sample: SampleMade | None = None
        self.compared: TextCompared | None = None

    def record(self, events: Generator[Event, None, None]) -> Generator[Event, None, None]:
        """Pass the events on, and record the last of each kind."""
        for event in events:
            match event:
                case Evaluated():
                    self.evaluated = event
                case ValMetrics():
                    self.validation = event
                case SampleMade():
                    self.sample = event
                case TextCompared():
                    self.compared = event
            yield event


def _as_json(job: RunJob, last: _LastEvents) -> dict[str, Any]:
    kinds = last.evaluated.kinds if last.evaluated else ()
    return {
        "run": str(job.run.folder) if job.run else None,
        "accuracy": last.evaluated.accuracy if last.evaluated else None,
        "accuracy_by_kind": {kind.kind: kind.accuracy for kind in kinds},
        "baselines": {
            kind.kind: {
                "most_frequent": kind.most_frequent,
                "last_mentioned": kind.last_mentioned,
                "without_story": kind.without_story,
            }
            for kind in kinds
        },
        "questions": {kind.kind: kind.n for kind in kinds},
        "val_loss": last.validation.loss if last.validation else None,
        "perplexity": math.exp(last.validation.loss) if last.validation else None,
        "bits_per_byte": last.validation.bits_per_byte if last.validation else None,
        "compared": dataclasses.asdict(last.compared) if last.compared else None,
        "sample": last.sample.prompt + last.sample.text if last.sample else None,
        "seconds": job.seconds,
    }


def _print_result(job: RunJob, last: _LastEvents) -> None:
    is_text = job.run is not None and job.run.spec.data.source == "files"
    if last.evaluated:
        _print_table(last.evaluated.kinds)
        _print_chat([answers[0] for answers in (job.result or {}).values()])
    elif last.sample and is_text:
        print(f"{last.sample.prompt}{last.sample.text}\n")
    if last.validation and is_text:
        loss = last.validation.loss
        bits = last.validation.bits_per_byte
        also = "" if bits is None else f", {bits:.3f} bits/byte"
        print(f"validation: {loss:.3f} nats/token, perplexity {math.exp(loss):.2f}{also}")
    if last.compared is not None and last.compared.model is not None:
        _print_comparison(last.compared)
    print(f"took {job.seconds:.0f} s")
    if job.run:
        print(job.run.folder)
    if last.evaluated:
        print(f"held-out accuracy: {100 * last.evaluated.accuracy:.1f} %")


def _print_comparison(compared: TextCompared) -> None:
    print(f"{sentence_of(compared)} Bits per byte of {compared.n_held_out:,} held-out bytes:")
    for name, bits in (
        ("this model", compared.model),
        (table_words(compared.table_order), compared.table),
        ("gzip", compared.gzip),
        (TRIGRAM, compared.trigram),
    ):
        print(f"  {name}: {bits:.3f}")


def _print_table(kinds: Sequence[KindAccuracy]) -> None:
    rows = [
        (
            kind.kind,
            str(kind.n),
            *map(_percent, (kind.accuracy, kind.most_frequent, kind.last_mentioned, kind.without_story)),
        )
        for kind in kinds
    ]
    widths = [max(len(row[i]) for row in (_COLUMNS, *rows)) for i in range(len(_COLUMNS))]
    for row in (_COLUMNS, *rows):
        print(
            "  ".join([row[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True))])
        )
    print()


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f} %"


def _print_chat(answers: Sequence[AnsweredQuestion]) -> None:
    for answer in answers:
        print(f"You:   {answer.question.text}")
        print(f"Model: {answer.reply}")
        print("       ✓ right\n" if answer.right else f"       ✗ right would be: {answer.question.gold}\n")
