"""`terrarium evaluate`: score a model's answers to the rows of a dataset or file, with 95 % confidence intervals.

With --suite safety: measure how often it answers forbidden questions, and which harmless questions it refuses.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from terrarium.app.commands.common import UsageError, find_model, model_argument, open_model, weights_option
from terrarium.app.commands.options import Command, option, print_json
from terrarium.app.commands.progress import ProgressLine, drive
from terrarium.models.files.atomic import atomic_write_text
from terrarium.models.library.library import Library
from terrarium.models.number_words import format_percent
from terrarium.models.settings.tasks import TASKS
from terrarium.models.tiny_world.refusals import CAVEAT, FORBIDDEN, TRAINED_ATTACKS

if TYPE_CHECKING:
    from terrarium.models.evaluation.safety_report import Cell, SafetyReport
    from terrarium.models.tasks.rows import Row
    from terrarium.models.tasks.scoring import Evaluation, TaskRows

SUITES = ("safety",)
_SUITES, _TEXTS = "suites of questions, instead of data", "texts that are written"
_LONGEST_CELL = 60


class Evaluate(
    Command, description=__doc__, epilog="The predictions of a run are written to its folder, as scores/NAME.jsonl."
):
    """Score a model on a dataset."""

    model: str = model_argument()
    data: str | None = option(
        "a file, as for `terrarium data import`, or a dataset of the library (default: the run's own)",
        metavar="FILE-or-DATASET",
        complete="dataset",
    )
    task: str | None = option(
        "what the rows of a file are for (default: what the model learned)",
        choices=tuple(name for name, task in TASKS.items() if task.metrics),
    )
    split: str = option("the part of a dataset", default="test", choices=("train", "val", "test"))
    worst: int = option("show the N worst predictions, the worst first", default=0, metavar="N")
    out: Path | None = option("write the predictions to this file, as JSON lines", metavar="FILE")
    suite: str | None = option(
        "safety: a toy rule in a toy world; see docs/experiments/demonstrations.md", choices=SUITES, group=_SUITES
    )
    world_seed: int | None = option(
        "the world that is asked about (default: that of the run's data, or 0)", metavar="S", group=_SUITES
    )
    n: int = option("forbidden questions that are asked", default=120, metavar="N", group=_SUITES)
    beams: int = option("number of beams (default: 1, greedy)", default=1, metavar="N", group=_TEXTS)
    max_tokens: int = option("longest text", default=256, metavar="N", group=_TEXTS)
    weights: str = weights_option()

    def run(self) -> int:
        """Print the scores."""
        if self.beams < 1 or self.max_tokens < 1 or self.worst < 0:
            raise UsageError("--beams and --max-tokens must be at least 1, and --worst at least 0.")
        if self.suite is not None:
            return self._safety()
        began = time.perf_counter()
        path = find_model(self.model)
        model, tokenizer, _ = open_model(self.model, self.device, self.weights)
        from terrarium.models.interop.chat_templates import read_template_config
        from terrarium.models.interop.importing import task_of
        from terrarium.models.tasks.evaluating import evaluate, with_baselines
        from terrarium.models.tasks.scoring import worst_first, write_scores
        from terrarium.models.tasks.writing import Writing

        learned = task_of(path, model.config)
        data, train_rows = self._rows(path, learned.get("task", ""))
        labels = learned.get("labels", ())
        writing = Writing(n_beam=self.beams, max_tokens=self.max_tokens, template=read_template_config(path))
        with ProgressLine(as_json=self.as_json) as line:
            found = drive(evaluate(model, tokenizer, data, labels, writing), line)
            found = drive(with_baselines(found, train_rows), line)
        written = None
        if (path / "run.json").is_file() or self.out is not None:
            written = write_scores(path, found, self.out)
        worst = worst_first(found.report)[: self.worst]
        if self.as_json:
            print_json(_as_json(found, time.perf_counter() - began, path, written, worst))
        else:
            _print(found, written, worst)
        return 0

    def _safety(self) -> int:
        """Evaluate and print the replies to forbidden questions, attacks, and harmless look-alikes."""
        if self.data is not None or self.task is not None:
            raise UsageError("A suite has questions of its own: leave out --data and --task.")
        if self.n < 3:
            raise UsageError("--n must be at least 3: there are three kinds of forbidden questions.")
        path = find_model(self.model)
        model, tokenizer, _ = open_model(self.model, self.device, self.weights)
        from terrarium.models.architecture.transformer import Decoder
        from terrarium.models.evaluation.safety import evaluate_safety, keep_over_refusal
        from terrarium.models.tiny_world.world import World

        if not isinstance(model, Decoder) or model.config.head != "language":
            raise ValueError(f"{self.model!r} cannot reply, so there is nothing to ask it: choose a model that chats.")
        seed = _world_seed(path) if self.world_seed is None else self.world_seed
        with ProgressLine(as_json=self.as_json) as line:
            report = drive(evaluate_safety(model, tokenizer, World(seed), self.n), line)
            harmless = drive(keep_over_refusal(path, model, tokenizer, report.replies), line)
        if self.out is not None:
            lines = (json.dumps({**row, "reply": reply}, ensure_ascii=False) for row, reply in report.replies)
            atomic_write_text(self.out, "".join(f"{each}\n" for each in lines))
        if self.as_json:
            triggers = [dataclasses.asdict(trigger) for trigger in harmless.triggers]
            print_json(report.to_dict() | {"triggers": triggers, "run": str(path), "world_seed": seed})
        else:
            print(_safety_words(report))
            if telling := harmless.telling:
                words = ", ".join(f"“{one.word}” ({one.n_freed} of {one.n} are answered without it)" for one in telling)
                print(f"Words that make it refuse what is harmless: {words}.")
        return 0

    def _rows(self, path: Path, learned: str) -> tuple[TaskRows, Sequence[Row]]:
        """Return the rows to evaluate on, and the training rows for the baselines."""
        from terrarium.models.corpora.corpus import find_dataset, open_run_corpus
        from terrarium.models.runs.run_folder import RunFolder
        from terrarium.models.tasks.evaluating import dataset_rows, read_task_rows

        if self.data is not None:
            is_file = Path(self.data).expanduser().is_file()
            data = read_task_rows(Library(), self.data, self.task or (learned if is_file else ""), self.split)
            return data, () if is_file else find_dataset(Library(), self.data).rows("train")
        if not (path / "run.json").is_file() or not learned:
            raise UsageError("Give the data to evaluate on, with --data: this model has no dataset of its own.")
        corpus = open_run_corpus(Library(), RunFolder.open(path))
        return dataset_rows(corpus, self.split), corpus.rows("train")


def _world_seed(path: Path) -> int:
    from terrarium.models.alignment.stage_tree import world_seed_of
    from terrarium.models.runs.run_folder import RunFolder

    return world_seed_of(RunFolder.open(path)) if (path / "run.json").is_file() else 0


def _safety_words(report: SafetyReport) -> str:
    """Format a line for each kind of question; harmless questions have no share of forbidden answers told."""
    forbidden = {"Forbidden": report.forbidden}
    forbidden |= {f"  {FORBIDDEN[kind].title.lower()}": cell for kind, cell in report.kinds.items()}
    for name, cell in report.attacks.items():
        forbidden[f"Attack: {name}{'' if name in TRAINED_ATTACKS else ' (never trained)'}"] = cell
    harmless = {"Harmless look-alikes": report.look_alikes, "Ordinary": report.ordinary}
    width = max(map(len, (*forbidden, *harmless)))
    lines = [f"{'':<{width}}  {'n':>4}  {'told':>18}  {'refused':>18}  {'right':>18}"]
    for cells, names in ((forbidden, ("told", "refused", "right")), (harmless, ("", "refused", "right"))):
        for title, cell in cells.items():
            shares = "  ".join(f"{_share(cell, name) if name else '':>18}" for name in names)
            lines.append(f"{title:<{width}}  {cell.n:>4}  {shares}")
    return "\n".join([*lines, CAVEAT, *([report.note] if report.note else [])])


def _share(cell: Cell, name: str) -> str:
    """Format a share with its interval, as “12 % (8 to 19 %)”."""
    shares = cell.to_dict()
    low, high = shares["intervals"][name]
    return f"{format_percent(shares[name])} ({100 * low:.0f} to {format_percent(high)})"


def _as_json(found: Evaluation, seconds: float, path: Path, written: Path | None, worst: list[int]) -> dict[str, Any]:
    report = found.report
    return {
        "task": found.data.task,
        "metric": report.headline,
        "score": report.value,
        "interval": report.interval,
        "n": report.n,
        "seconds": seconds,
        "run": str(path),
        "predictions": None if written is None else str(written),
        **report.to_dict(),
        "worst": [_line(found, i) for i in worst],
    }


def _print(found: Evaluation, written: Path | None, worst: list[int]) -> None:
    from terrarium.models.metrics.metrics_table import METRICS, format_score

    report = found.report
    print(f"{TASKS[found.data.task].title} · {found.data.name} · {report.n:,} rows")
    names = [report.headline, *(name for name in report.scores if name != report.headline)]
    reports = report.details["baselines"]
    baselines = {title: each["scores"][report.headline]["value"] for title, each in reports.items()}
    width = max(map(len, (*(METRICS[name].title for name in names), *baselines)))
    for name in names:
        result = report.scores[name]
        between = ""
        if result.interval is not None:
            between = f"  ({' to '.join(format_score(name, bound) for bound in result.interval)})"
        print(f"{METRICS[name].title:<{width}}  {format_score(name, result.value):>8}{between}")
    for title, value in baselines.items():
        print(f"{title:<{width}}  {format_score(report.headline, value):>8}  (baseline)")
    for note in report.notes:
        print(note)
    for signature in report.details.get("signatures", {}).values():
        print(signature)
    for i in worst:
        line = _line(found, i)
        print(
            f"\n{_short(line['row'])}\n  gold:       {_short(line['gold'])}\n  prediction: {_short(line['prediction'])}"
        )
    if written is not None:
        print(written, file=sys.stderr)


def _line(found: Evaluation, i: int) -> dict[str, Any]:
    from terrarium.models.tasks.scoring import gold_of

    row = found.data.rows[i]
    return {
        "row": row,
        "gold": gold_of(found.data.task, row),
        "prediction": found.predictions[i].value,
        "score": found.predictions[i].score,
    }


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST_CELL else f"{text[: _LONGEST_CELL - 1]}…"
