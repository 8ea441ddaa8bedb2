"""The metric of a task on the validation split, measured beside the loss."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

from tokenizers import Tokenizer

from terrarium.models.architecture.transformer import AnyModel
from terrarium.models.chat.template_config import ChatTemplateConfig
from terrarium.models.corpora.corpus import Corpus
from terrarium.models.events import Event
from terrarium.models.extensions.registry import Missing
from terrarium.models.metrics.metrics_table import METRICS, added_metrics
from terrarium.models.metrics.tagging import entities
from terrarium.models.metrics.texts import TEXT_METRICS
from terrarium.models.settings.run_spec import RunSpec
from terrarium.models.settings.tasks import TASKS
from terrarium.models.tasks.evaluating import evaluate_predictions
from terrarium.models.tasks.judging import judges_of
from terrarium.models.tasks.predicting import predict
from terrarium.models.tasks.rows import LABEL_TASKS, Row, check_rows
from terrarium.models.tasks.scoring import TaskRows
from terrarium.models.tasks.writing import Writing
from terrarium.models.tokenizers import encode_text

_LONGEST_TEXT = 256  # tokens
_SPARE = 8
"""How many tokens a text may be longer than the longest reference: an untrained model would never end."""


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

    def measure(self, model: AnyModel) -> Generator[Event, None, float | None]:
        """Compute the metric's value; None if it is undefined (no entities anywhere). The model's mode is unchanged."""
        predictions = yield from predict(model, self.tokenizer, self.task, self.rows, self.labels, writing=self.writing)
        data = TaskRows(name="validation", task=self.task, metric=self.metric, rows=self.rows)
        found = yield from evaluate_predictions(data, predictions, self.labels, resamples=0)
        return found.report.scores[self.metric].value


def make_scorer(corpus: Corpus, tokenizer: Tokenizer, spec: RunSpec, template: ChatTemplateConfig) -> Scorer | None:
    """Make the scorer of a run's dataset, on `eval_batches` batches' worth of rows, spread over the validation split.

    None if the corpus has no task with metrics. If the rows lack a metric's columns, such as the test cases of
    pass@1, exact match is used instead; if the tags mark no entities (parts of speech), accuracy of tags instead of
    entity F1.

    Raises:
        ValueError: if the metric is of an extension that is not installed.
    """
    if not TASKS.get(corpus.task) or not TASKS[corpus.task].metrics:
        return None
    rows = corpus.rows("val")
    labels = spec.data.labels or corpus.labels
    where = str(corpus.path("val"))
    if not len(rows):
        check_rows(corpus.task, [], labels, where)
    if isinstance(spec.data.metric, Missing):
        raise ValueError(spec.data.metric.sentence)
    metric = spec.data.metric or corpus.metric or TASKS[corpus.task].metrics[0]
    n = min(len(rows), spec.train.eval_batches * spec.train.batch_size)
    chosen = []
    for index in (i * len(rows) // n for i in range(n)):
        chosen.append(rows[index])
        check_rows(corpus.task, chosen[-1:], labels, where, index + 1)
    if metric == "entity_f1" and not any(entities(row["tags"]) for row in chosen):
        metric = "token_accuracy"
    longest = 0
    if corpus.task not in LABEL_TASKS:
        if metric not in (*TEXT_METRICS, *added_metrics(corpus.task), *judges_of(chosen)):
            metric = TEXT_METRICS[0]
        longest = max(len(encode_text(tokenizer, row["target"])) for row in chosen)
    return Scorer(
        task=corpus.task,
        metric=metric,
        labels=labels,
        rows=chosen,
        tokenizer=tokenizer,
        writing=Writing(max_tokens=min(longest + _SPARE, _LONGEST_TEXT), template=template),
    )
