"""The metric of a task on validation, measured beside the loss."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

from tokenizers import Tokenizer

from models.architecture.transformer import AnyModel
from models.chat.template_config import ChatTemplateConfig
from models.data.corpus import Corpus
from models.events import Progress
from models.metrics.table import METRICS
from models.metrics.texts import TEXT_METRICS
from models.settings.run_spec import RunSpec
from models.settings.tasks import TASKS
from models.tasks.predicting import predict
from models.tasks.rows import LABEL_TASKS, Row, check_rows
from models.tasks.scoring import score
from models.tasks.writing import Writing
from models.tokenizers import encode_text

_LONGEST_TEXT = 256  # tokens
_SPARE = 8
"""Tokens that a text may be longer than the longest right one: a model that knows little would never end."""


@dataclass(frozen=True, kw_only=True)
class Scorer:
    """Measures `metric` of the task on the same rows at each validation."""

    task: str
    metric: str
    labels: tuple[str, ...]
    rows: Sequence[Row]
    tokenizer: Tokenizer
    writing: Writing

    @property
    def higher_is_better(self) -> bool:
        """Whether a larger value is a better one."""
        return METRICS[self.metric].higher_is_better is not False

    def measure(self, model: AnyModel) -> Generator[Progress, None, float | None]:
        """The metric's value; None where it is undefined (no entities anywhere). Leaves the model's mode as it is."""
        predictions = yield from predict(model, self.tokenizer, self.task, self.rows, self.labels, writing=self.writing)
        report = score(self.task, predictions, self.rows, self.labels, self.metric, resamples=0)
        return report.value


def make_scorer(corpus: Corpus, tokenizer: Tokenizer, spec: RunSpec, template: ChatTemplateConfig) -> Scorer | None:
    """The scorer of a run's dataset, on `eval_batches` batches' worth of rows, spread over the validation split.

    None where it has no task that is scored. pass@1, which needs code to be run, is measured as exact match.
    """
    if not TASKS.get(corpus.task) or not TASKS[corpus.task].metrics:
        return None
    rows = corpus.rows("val")
    labels = spec.data.labels or corpus.labels
    where = str(corpus.path("val"))
    if not len(rows):
        check_rows(corpus.task, [], labels, where)
    metric = spec.data.metric or corpus.metric or TASKS[corpus.task].metrics[0]
    if corpus.task not in LABEL_TASKS and metric not in TEXT_METRICS:
        metric = TEXT_METRICS[0]
    n = min(len(rows), spec.train.eval_batches * spec.train.batch_size)
    chosen = []
    for index in (i * len(rows) // n for i in range(n)):
        chosen.append(rows[index])
        check_rows(corpus.task, chosen[-1:], labels, where, index + 1)
    longest = 0
    if corpus.task not in LABEL_TASKS:
        longest = max(len(encode_text(tokenizer, row["target"])) for row in chosen)
    return Scorer(
        task=corpus.task,
        metric=metric,
        labels=labels,
        rows=chosen,
        tokenizer=tokenizer,
        writing=Writing(max_tokens=min(longest + _SPARE, _LONGEST_TEXT), template=template),
    )
