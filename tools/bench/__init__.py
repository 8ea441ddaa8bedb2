"""`terrarium bench`: speed measurements, each with a reference measured in the same run."""

from __future__ import annotations

import contextlib
import dataclasses
import platform
import tempfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from terrarium.app.commands.common import UsageError, find_model, open_model
from terrarium.app.commands.options import Command, argument, option
from terrarium.app.commands.progress import ProgressLine, drive
from terrarium.app.commands.replying import DraftOptions
from terrarium.models.computer_load import ComputerLoad
from terrarium.models.library.library import Library
from tools.bench.results_table import check_machine, markdown, read_results, write_results

if TYPE_CHECKING:
    import torch

    from terrarium.models.corpora.corpus import Corpus
    from terrarium.models.settings.run_spec import DataSpec
    from tools.bench.result import Result

PARTS = ("train", "overhead", "throughput", "decode", "generate", "tokenizer", "gui", "window", "builder")
OF_FILES = ("weights", "draft", "llama.cpp", "table")
SEEDS = 3
TOO_BUSY = 0.1
"""Share of the computer from which on other programs make a measurement uncertain."""
GUI_SECONDS = 20.0
GIGABYTES = 2.0


class Bench(
    Command,
    description="train: seconds to the loss of a plain GPT-2 after 2,000 steps, against the seconds that took; "
    "overhead: percent that the trainer adds to a bare PyTorch loop; throughput: training tokens/s against Hugging "
    "Face's GPT-2 at three sizes; decode: tokens/s with and without the KV cache; generate: milliseconds to the "
    "first token and tokens/s against Hugging Face's generate with the same weights, at three sizes; tokenizer: "
    "training and encoding against plain calls of the tokenizers library, and milliseconds from a key press to the "
    "token pills; gui: late timer ticks of the window while a model trains; window: how long it takes to open, its "
    "memory, and what a library of 1,000 runs and a run of a million steps cost; builder: milliseconds until a "
    "changed setting is drawn. Not part of all: weights MODEL: speed and perplexity of each format of weights; "
    "draft MODEL --draft SMALL: tokens/s with a draft model against MODEL alone, and what it accepts; "
    "data: importing generated JSONL and beginning a training on it: peak memory at a quarter of the size and at "
    "the whole, MB/s, and the longest time between two events; llama.cpp FILE.gguf: tokens/s and perplexity of "
    "int4 and int8 weights against llama.cpp, where llama-cpp-python is installed; table FILE: what --out has "
    "written, as a table in Markdown.",
):
    """Measure speed against references."""

    part: str = argument("", "what to measure", default="all", choices=(*PARTS, *OF_FILES, "data", "all"))
    model: str | None = argument(
        "MODEL",
        "for weights and draft: a path, or a run's id or name; for llama.cpp and table: a file",
        complete="model",
    )
    draft: DraftOptions
    texts_of: str = option(
        "for weights: predict the held-out texts of this run, such as the one that an imported file was made of "
        "(default: MODEL's own, or stories of Tiny World where it has none)",
        default="",
        metavar="RUN",
        complete="run",
    )
    data: tuple[Path, ...] = option("text to use instead of Python's docstrings", many=True, metavar="FILE")
    seeds: int = option("training runs of each", default=SEEDS, metavar="N")
    gb: float = option("for data: its size", default=GIGABYTES, metavar="GB")
    quick: bool = option("one seed: a third of the time, less precise")
    out: Path | None = option("also put the results into this JSON file", metavar="FILE")

    def run(self) -> None:
        """Measure; print the results or one JSON object to stdout."""
        if self.seeds < 1:
            raise UsageError(f"--seeds {self.seeds} trains nothing: use at least 1.")
        if (self.part in OF_FILES) is not (self.model is not None):
            raise UsageError(
                f"The parts {', '.join(OF_FILES[:-1])} and {OF_FILES[-1]} need a MODEL; no other part takes one."
            )
        self.draft.check()
        if (self.part == "draft") is not (self.draft.name is not None):
            raise UsageError("The part draft needs --draft, the model that drafts; no other part takes one.")
        if self.texts_of and self.part != "weights":
            raise UsageError("--texts-of is for the part weights only: omit it.")
        model = self.model or ""
        if self.part == "weights":
            self._run_weights(model)
            return
        if self.part == "table":
            print(markdown(read_results(Path(model)), TOO_BUSY), end="")
            return
        if self.gb <= 0:
            raise UsageError(f"--gb {self.gb:g} is not a size: use a number above 0.")
        parts = PARTS if self.part == "all" else (self.part,)
        machine = _machine()
        if self.out is not None:
            check_machine(self.out, machine)
        with ProgressLine(as_json=self.as_json) as line:
            if self.part == "draft":
                results = _watched(lambda: self._run_draft(model, line))
            elif self.part == "llama.cpp":
                results = _watched(lambda: _run_llama_cpp(model, line))
            elif self.part == "data":
                results = _watched(lambda: _run_data(self.gb, line))
            else:
                results = measure(parts, self.device, self.data, 1 if self.quick else self.seeds, line)
        if self.out is not None:
            write_results(self.out, machine, results)
        self.show({"results": [result.to_dict() for result in results]}, "\n".join(map(format_result, results)))

    def _run_weights(self, model: str) -> None:
        from tools.bench.weights import bench_weights, format_table

        with ProgressLine(as_json=self.as_json) as line:
            measured = bench_weights(model, self.device, line, self.texts_of)
        self.show(dataclasses.asdict(measured), format_table(measured))

    def _run_draft(self, name: str, line: ProgressLine) -> list[Result]:
        from terrarium.models.inference.held_out import held_out_texts
        from tools.bench.speculation import bench_speculation

        model, tokenizer, _ = open_model(name, self.device)
        draft = self.draft.load(model, tokenizer, name, self.device)
        assert draft is not None
        held_out = held_out_texts(find_model(name), tokenizer, Library())
        line.say(f"Continuing {held_out.label}…")
        return drive(bench_speculation(model, tokenizer, draft, held_out), line)


def _run_llama_cpp(model: str, line: ProgressLine) -> list[Result]:
    from tools.bench.llama_cpp import bench_llama_cpp

    return drive(bench_llama_cpp(find_model(model), Library()), line)


def _run_data(gigabytes: float, line: ProgressLine) -> list[Result]:
    from tools.bench.big_data import bench_data

    with tempfile.TemporaryDirectory(prefix="terrarium-bench-") as folder:
        return drive(bench_data(Path(folder), gigabytes), line)


def measure(
    parts: Sequence[str], device_name: str, files: Sequence[Path], seeds: int, line: ProgressLine
) -> list[Result]:
    """The results of the parts, in order."""
    results = []
    for part in parts:
        results += _watched(partial(_measure, part, device_name, files, seeds, line))
    return results


def _watched(measure: Callable[[], Sequence[Result]]) -> list[Result]:
    """What `measure` finds, with the share of the computer that other programs used meanwhile."""
    load = ComputerLoad()
    found = measure()
    others = load.measure()
    return [dataclasses.replace(result, others=others) for result in found]


def _measure(part: str, device_name: str, files: Sequence[Path], seeds: int, line: ProgressLine) -> Sequence[Result]:
    if part == "gui":
        from tools.bench.window import bench_window

        return [bench_window(device_name, files, GUI_SECONDS, line)]
    if part == "window":
        from tools.bench.opening import bench_opening

        return bench_opening(line)
    if part == "builder":
        from tools.bench.builder import bench_builder

        return [bench_builder(line)]
    with tempfile.TemporaryDirectory(prefix="terrarium-bench-") as home:
        return _measure_models(part, device_name, files, seeds, Library(Path(home)), line)


def _measure_models(
    part: str, device_name: str, files: Sequence[Path], seeds: int, library: Library, line: ProgressLine
) -> list[Result]:
    if part == "decode":
        from tools.bench.decoding import bench_decoding

        return [drive(bench_decoding(_device(device_name, line)), line)]
    if part == "generate":
        from tools.bench.generation import bench_generation

        return drive(bench_generation(_device(device_name, line)), line)
    if part == "throughput":
        from tools.bench.throughput import bench_throughput

        return drive(bench_throughput(_device(device_name, line)), line)
    if part == "overhead":
        from tools.bench.overhead import bench_overhead

        return [drive(bench_overhead(library, device_name, _data(files)), line)]
    corpus = _read(library, files, line)
    if part == "tokenizer":
        from tools.bench.encoding import bench_encoding
        from tools.bench.keystrokes import bench_keystrokes
        from tools.bench.tokenizer_training import bench_tokenizer_training

        text = corpus.read_text("train")
        rates = [drive(bench_tokenizer_training(text), line), drive(bench_encoding(text), line)]
        return [*rates, *bench_keystrokes(text, line)]
    from tools.bench.text import CharText
    from tools.bench.training import bench_training

    characters = CharText(corpus.read_text("train"), corpus.read_text("val"))
    return [drive(bench_training(characters, _device(device_name, line), range(seeds)), line)]


def _device(name: str, line: ProgressLine) -> torch.device:
    from terrarium.models.device import choose_device

    choice = choose_device(name)
    line.say(choice.sentence or f"on {choice.label}")
    return choice.device


def _data(files: Sequence[Path]) -> DataSpec:
    from terrarium.models.settings.run_spec import DataSpec

    return DataSpec(source="files", files=tuple(map(str, files))) if files else DataSpec(source="stdlib")


def _read(library: Library, files: Sequence[Path], line: ProgressLine) -> Corpus:
    from terrarium.models.corpora.text_corpora import build_stdlib_corpus, build_text_corpus

    line.say("Reading the text…")
    return build_text_corpus(library, files, val_fraction=0.1) if files else build_stdlib_corpus(library)


def format_result(result: Result) -> str:
    """One result as one line."""
    if result.skipped:
        return f"{result.name}: skipped: {result.skipped}"
    text = f"{result.name}: "
    text += "not reached" if result.ours is None else f"{result.ours:.4g} {result.unit}"
    if result.reference is not None:
        text += f", reference {result.reference:.4g}"
    if result.ratio is not None:
        rounds = "" if result.spread is None else "{:.2f} to {:.2f} in the rounds; ".format(*result.spread)
        text += f", ratio {result.ratio:.2f} ({rounds}higher is better)"
    if result.target is not None:
        text += f"; target {result.target:g}: {'met' if result.met else 'missed'}"
    if result.others is not None and result.others >= TOO_BUSY:
        text += f"; too busy to judge: other programs used {result.others:.0%} of this computer"
    return text


def _machine() -> dict[str, Any]:
    import torch

    from terrarium.models.device import core_count

    return {
        "processor": _processor(),
        "cores": core_count(),
        "system": platform.system(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _processor() -> str:
    """The processor, and its widest vector instructions that torch uses: “AMD EPYC, AVX2”. Speeds depend on both."""
    import torch

    name = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):  # Linux names it there alone
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), name)
    return f"{name}, {torch.backends.cpu.get_cpu_capability()}"
