"""The card of a Hugging Face folder (README.md), from a run's own records alone."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from terrarium.models.design import total_parameters
from terrarium.models.evaluation.record import read_evaluation
from terrarium.models.events import Evaluated, KindAccuracy
from terrarium.models.interop.families import family_for_export
from terrarium.models.interop.terrarium import CODE
from terrarium.models.metrics.metrics_table import METRICS, format_score
from terrarium.models.number_words import format_count, format_duration, format_percent
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.tune_spec import TuneSpec
from terrarium.models.tasks.stored_scores import StoredScores, list_scores, read_scores

_PIPELINES = {
    ("decoder-only", "language"): "text-generation",
    ("encoder-only", "language"): "fill-mask",
    ("encoder-only", "none"): "feature-extraction",
    ("encoder-decoder", "language"): "text2text-generation",
}
_LABELLED = {"sequence": "text-classification", "token": "token-classification", "span": "question-answering"}
_AUTO_CLASSES = {
    "text-generation": "AutoModelForCausalLM",
    "fill-mask": "AutoModelForMaskedLM",
    "feature-extraction": "AutoModel",
    "text2text-generation": "AutoModelForSeq2SeqLM",
    "text-classification": "AutoModelForSequenceClassification",
    "token-classification": "AutoModelForTokenClassification",
    "question-answering": "AutoModelForQuestionAnswering",
}
_N_SAMPLES = 3
_BASELINES = {
    "most_frequent": "always the most frequent answer",
    "last_mentioned": "always what was mentioned last",
    "without_story": "without the story",
}


def model_card(run: RunFolder, config: ModelConfig, *, licence: str = "", address: str = "") -> str:
    """Return the README.md of a run's model, in English, with the front matter that the hub reads.

    Args:
        licence: its id on the hub, such as “mit”; "" leaves it open.
        address: the name to load it by: OWNER/NAME on the hub, or a folder; by default the run's name.

    Raises:
        ValueError: if a record of the run is damaged.
    """
    evaluated = read_evaluation(run.folder)
    lines = [
        *_front_matter(run, config, licence, evaluated),
        f"# {run.spec.name}",
        "",
        _summary(run, config),
        "",
        "## How it was made",
        "",
        *(f"- {line}" for line in _making(run)),
        "",
    ]
    if evaluated is not None:
        lines += ["## Held-out questions", "", *_accuracy(evaluated), ""]
    stored = [read_scores(path) for path in list_scores(run.folder)]
    if stored:
        lines += ["## Held-out scores", "", *_scores(stored), ""]
    samples = [row for row in run.read_samples() if row.get("text")][-_N_SAMPLES:]
    if samples:
        lines += ["## Samples", "", "The last ones of its training, as they came, unedited.", ""]
        for row in samples:
            given, step = str(row.get("prompt", "")), f"At step {row['step']:,}"
            lines += [f"{step}, given", "", *_fenced(given), "", "it wrote", ""] if given else [f"{step} it wrote", ""]
            lines += [*_fenced(row["text"]), ""]
    lines += ["## How to run it", "", *_usage(config, address or run.spec.name), ""]
    lines += ["## Limits", "", _limits(run), ""]
    return "\n".join(lines)


def _front_matter(run: RunFolder, config: ModelConfig, licence: str, evaluated: Evaluated | None) -> Iterator[str]:
    yield "---"
    if licence:
        yield f"license: {json.dumps(licence)}"
    yield "library_name: transformers"
    yield f"pipeline_tag: {pipeline_of(config)}"
    yield "tags:"
    yield "- terrarium"
    if evaluated is not None:
        yield "model-index:"
        yield f"- name: {json.dumps(run.spec.name, ensure_ascii=False)}"
        yield "  results:"
        yield "  - task:"
        yield f"      type: {pipeline_of(config)}"
        yield "    dataset:"
        yield f"      name: {json.dumps(_made_of(run, 'corpus'), ensure_ascii=False)}"
        yield "      type: terrarium"
        yield "    metrics:"
        yield "    - type: accuracy"
        yield "      name: held-out accuracy, mean of the headline kinds"
        yield f"      value: {evaluated.accuracy:.4f}"
    yield "---"
    yield ""


def pipeline_of(config: ModelConfig) -> str:
    """Return the hub's name for the model's task."""
    return _PIPELINES.get((config.topology, config.head)) or _LABELLED[config.head]


def _made_of(run: RunFolder, what: str) -> str:
    """Return the name of the run's corpus or tokenizer."""
    made = run.lineage.get(what)
    return str(made.get("name", "")) if isinstance(made, dict) else ""


def _summary(run: RunFolder, config: ModelConfig) -> str:
    article = "An" if config.topology.startswith("e") else "A"
    words = f"{article} {config.topology} transformer with {total_parameters(config):,} parameters"
    if run.status == "imported":
        return f"{words}, imported into Terrarium and exported again."
    return f"{words}, trained in Terrarium."


def _making(run: RunFolder) -> Iterator[str]:
    train, lineage = run.spec.train, run.lineage
    parent = lineage.get("parent")
    if isinstance(parent, dict):
        at = f" at step {parent['step']:,}" if isinstance(parent.get("step"), int) else ""
        yield f"Started from the weights of “{parent.get('name', 'another run')}”{at}."
    else:
        source = lineage.get("source")
        if isinstance(source, dict):
            yield f"Imported, as {source.get('format', 'a file')}."
            return
        yield "Trained from scratch."
    if run.spec.tune is not None:
        yield _trained_weights(run.spec.tune)
    for what, words in (("corpus", "Data"), ("tokenizer", "Tokenizer")):
        made = lineage.get(what)
        if isinstance(made, dict):
            yield f"{words}: {made.get('name')} (SHA-256 {str(made.get('sha256'))[:12]}…)."
    checkpoint = run.latest_checkpoint()  # the exported checkpoint; a terminated run may have logged later steps
    last = int(checkpoint.name.rpartition("-")[2]) if checkpoint is not None else None
    rows = [row for row in run.each_metric() if last is None or row.get("step", 0) <= last]
    done = next((row for row in reversed(rows) if row.get("kind") == "train"), {})
    steps = int(done.get("step", 0))
    took = f" in {format_duration(done['elapsed_s'])}" if done.get("elapsed_s") else ""
    yield (
        f"{steps:,} steps of {train.batch_size} texts of up to {run.spec.batch_model.context_length:,} tokens{took}, "
        f"{int(done.get('tokens', 0)):,} tokens in all."
    )
    yield f"Optimiser {train.optimizer}, learning rate {train.lr:g}, seed {train.seed}."
    losses = [row for row in rows if row.get("kind") == "val" and isinstance(row.get("loss"), float)]
    if losses:
        best = min(losses, key=lambda row: float(row["loss"]))
        yield f"Lowest validation loss {best['loss']:.4f} nats per token, at step {best['step']:,}."
    yield f"Made on {run.created[:10]}."


def _trained_weights(tune: TuneSpec) -> str:
    """Describe the weights that a fine-tuning has trained."""
    if tune.mode == "all":
        return "Trained: all weights."
    parts = {
        "lora": f"LoRA of rank {tune.lora_r} (alpha {tune.lora_alpha:g}), merged into the weights here",
        "last": f"the last {format_count(tune.n_last, 'layer')}, with the final norm and the head",
        "head": "the head alone",
    }
    return f"Trained: {parts[tune.mode]}{'; and the embedding table' if tune.train_embeddings else ''}."


def _accuracy(evaluated: Evaluated) -> Iterator[str]:
    yield (
        f"**{format_percent(evaluated.accuracy)}** right, as the mean of the headline kinds, of questions that were in "
        "none of its training data. Beside it, what simple rules get right."
    )
    yield ""
    named = [name for name in _BASELINES if any(getattr(kind, name) is not None for kind in evaluated.kinds)]
    yield _row(["kind", "questions", "this model", *(_BASELINES[name] for name in named)])
    yield _row(["---", *["---:"] * (2 + len(named))])
    for kind in evaluated.kinds:
        yield _row([kind.kind, str(kind.n), format_percent(kind.accuracy), *(_share(kind, name) for name in named)])
    if evaluated.answers:
        yield ""
        yield "The first question of each kind, with its reply as it came:"
        yield ""
        for answer in evaluated.answers:
            yield f"- {answer.question} → “{answer.reply}” ({'right' if answer.right else f'wrong: {answer.gold}'})"


def _scores(stored: Sequence[StoredScores]) -> Iterator[str]:
    yield "Beside each, what simple rules reach on the same rows."
    yield ""
    yield _row(["data", "rows", "metric", "this model", "simple rules"])
    yield _row(["---", "---:", "---", "---:", "---"])
    for each in stored:
        name, report = each.report.headline, each.report
        rules = (f"{title} {format_score(name, other.value)}" for title, other in each.baselines.items())
        value = format_score(name, report.value)
        yield _row([each.name, f"{report.n:,}", METRICS[name].title, value, ", ".join(rules) or "–"])


def _share(kind: KindAccuracy, name: str) -> str:
    value = getattr(kind, name)
    return "–" if value is None else format_percent(value)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _fenced(text: str) -> list[str]:
    """Return the text in a code block whose fence does not occur in it."""
    fence = "```"
    while fence in text:
        fence += "`"
    return [fence, *text.splitlines(), fence]


def _usage(config: ModelConfig, address: str) -> list[str]:
    quoted = json.dumps(address, ensure_ascii=False)
    auto_class = _AUTO_CLASSES[pipeline_of(config)]
    brings_code = "auto_map" in family_for_export(config).write_config(config)
    trust = ", trust_remote_code=True" if brings_code else ""
    lines = [
        "```python",
        f"from transformers import AutoTokenizer, {auto_class}",
        "",
        f"tokenizer = AutoTokenizer.from_pretrained({quoted}{trust})",
        f"model = {auto_class}.from_pretrained({quoted}{trust})",
        "```",
    ]
    if brings_code:
        lines += ["", f"The transformers library does not know this design, so the folder contains its code: `{CODE}`."]
    return lines


def _limits(run: RunFolder) -> str:
    if run.spec.data.source == "tiny-world" and run.status != "imported":
        return "It was trained on a small invented world, and knows nothing else. What it says of our own is made up."
    return "A small model: it makes things up, and knows at most what was in its training data."
