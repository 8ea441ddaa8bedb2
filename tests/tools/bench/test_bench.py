"""The benchmarks compare like with like: the same text and loss for both sides; here with tiny budgets."""

from __future__ import annotations

import dataclasses
import json
import re
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any, TypeVar

import pytest
import torch
import torch.nn.functional as F

from terrarium.app.cli import main
from terrarium.models.architecture.transformer import Decoder, build_model
from terrarium.models.events import Notice, Phase, RunStarted, TrainMetrics
from terrarium.models.library.library import Library
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.presets import PRESETS
from terrarium.models.settings.run_spec import DataSpec
from terrarium.models.training.prepare import prepare_run
from terrarium.models.training.trainer import Trainer
from tests import ROOT
from tools import bench
from tools.bench import big_data, generation, llama_cpp, overhead, reference, training
from tools.bench.big_data import PEAK_MB, Measured, Watched, compare_sizes, measure_data
from tools.bench.decoding import PRESET, decode_greedily
from tools.bench.overhead import BareLoop, bench_overhead
from tools.bench.result import Result, compared
from tools.bench.results_table import markdown, read_results, write_results
from tools.bench.text import CONTEXT, N_CHARACTERS, CharText
from tools.bench.throughput import SKIPPED, ThroughputCase, bench_throughput
from tools.bench.tokenizer_training import bench_tokenizer_training
from tools.bench.window import late_and_due

T = TypeVar("T")
CPU = torch.device("cpu")
KEYS = {"name", "ours", "reference", "unit", "ratio", "target", "met", "skipped", "spread", "others"}


def finish(events: Generator[Any, None, T]) -> tuple[list[Any], T]:
    """All events of a generator, and its return value."""
    seen = []
    while True:
        try:
            seen.append(next(events))
        except StopIteration as end:
            return seen, end.value


@pytest.fixture(scope="module")
def text() -> CharText:
    line = "".join(f"{n} sheep sleep in the barn; " for n in range(400))
    return CharText(line * 3, line[:3000])


def test_rare_characters_share_one_id() -> None:
    rare = "".join(chr(0x4E00 + i) for i in range(300))
    text = CharText("abc" * 1000 + rare, "ab\u4e00" * 100)
    assert text.vocab_size == N_CHARACTERS
    assert set(text.inputs.unique().tolist()) <= set(range(N_CHARACTERS))
    assert text.inputs.shape == text.targets.shape == (4, CONTEXT)
    assert text.inputs.flatten()[1:].tolist() == text.targets.flatten()[:-1].tolist()


def test_a_short_text_is_refused() -> None:
    with pytest.raises(ValueError, match="too short"):
        CharText("abc" * 10, "ab")


def test_batches_are_drawn_by_the_seed(text: CharText) -> None:
    draws = [text.batch(3, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)]
    assert torch.equal(draws[0][0], draws[1][0])
    assert not torch.equal(draws[0][0], draws[2][0])
    assert torch.equal(draws[0][0][:, 1:], draws[0][1][:, :-1])


def test_the_reference_is_gpt_2(text: CharText) -> None:
    model = reference.ReferenceGPT(text.vocab_size, CONTEXT)
    block = 12 * 128**2 + 13 * 128
    assert sum(p.numel() for p in model.parameters()) == (text.vocab_size + CONTEXT) * 128 + 4 * block + 2 * 128
    ids = text.inputs[:2]
    loss = F.cross_entropy(model(ids).flatten(0, 1), text.targets[:2].flatten()).detach()
    assert abs(float(loss) - torch.log(torch.tensor(float(text.vocab_size))).item()) < 0.3
    changed = ids.clone()
    changed[:, 40] = (changed[:, 40] + 1) % text.vocab_size
    assert torch.allclose(model(ids)[:, :40], model(changed)[:, :40], atol=1e-5)
    assert [round(reference.LR * reference.lr_factor(step), 6) for step in (100, 1050, 2000)] == [1e-3, 5.5e-4, 1e-4]


def test_both_have_about_the_same_size(text: CharText) -> None:
    ours, theirs = training.make_ours(text, 0, CPU), training.make_reference(text, 0, CPU)
    assert abs(ours.n_parameters - theirs.n_parameters) <= training.PARAMETER_TOLERANCE * theirs.n_parameters


def test_training_is_compared_at_the_same_loss(text: CharText) -> None:
    events, result = finish(training.bench_training(text, CPU, [0], reference_steps=1, our_steps=3))
    assert result.name == "train"
    assert result.reference is not None
    assert result.ours is not None
    assert result.ratio == pytest.approx(result.reference / result.ours)
    assert result.met is (result.ratio >= training.TARGET)
    assert [event.sentence.split(":")[0] for event in events if isinstance(event, Notice)] == [
        "reference, seed 0",
        "ours, seed 0",
    ]


def test_the_spread_of_the_rounds_and_a_busy_machine_are_named() -> None:
    result = compared("x", 2.0, 6.0, "ms", less_is_better=True, target=2.5, rounds=[(2.0, 6.0), (3.0, 6.0)])
    assert (result.ratio, result.spread, result.met) == (3.0, (2.0, 3.0), True)
    line = bench.format_result(dataclasses.replace(result, others=0.43))
    assert "ratio 3.00 (2.00 to 3.00 in the rounds; higher is better); target 2.5: met" in line
    assert line.endswith("too busy to judge: other programs used 43% of this computer")
    assert "busy" not in bench.format_result(dataclasses.replace(result, others=0.02))


def test_a_loss_that_is_not_reached_misses_the_target(text: CharText) -> None:
    events, result = finish(training.bench_training(text, CPU, [0], reference_steps=3, our_steps=1))
    assert (result.ours, result.ratio, result.met) == (None, None, False)
    assert "not reached" in events[-1].sentence
    assert "not reached" in bench.format_result(result)


def test_the_curve_is_measured_on_the_whole_slice(text: CharText) -> None:
    contestant = training.make_ours(text, 0, CPU, 2)
    _, curve = finish(training.train(contestant, text, 0, CPU))
    with torch.no_grad():
        loss = F.cross_entropy(contestant.model(text.inputs).flatten(0, 1), text.targets.flatten())
    assert [point.step for point in curve] == [2]
    assert curve[0].loss == pytest.approx(float(loss), rel=1e-5)
    assert contestant.model.training


def test_the_cache_changes_nothing_but_the_speed() -> None:
    torch.manual_seed(0)
    model = Decoder(PRESETS[PRESET]).eval()
    prompt = torch.randint(100, (1, 5))
    assert decode_greedily(model, prompt, 12, cached=True) == decode_greedily(model, prompt, 12, cached=False)


def test_ratios_say_how_many_times_better() -> None:
    assert compared("a", 2.0, 12.0, "s", less_is_better=True, target=6).met is True
    assert compared("a", 12.0, 2.0, "/s", less_is_better=False).ratio == 6


@pytest.mark.parametrize(
    ("gap_ms", "late", "due"), [(10, 0, 1), (3, 0, 1), (60, 0, 6), (61, 1, 6), (75, 2, 8), (210, 15, 21)]
)
def test_ticks_that_never_came_count_as_late(gap_ms: int, late: int, due: int) -> None:
    assert late_and_due(gap_ms / 1000) == (late, due)


@pytest.mark.slow
def test_large_data_are_imported_and_trained_on(tmp_path: Path) -> None:
    tiny = (
        "tokenizer.kind=byte",
        "model.n_layer=1",
        "model.context_length=32",
        "train.steps=1",
        "train.eval_batches=1",
    )
    phases, measured = finish(measure_data(tmp_path / "data", 0.0003, tiny))
    names = [event.name.split()[0] for event in phases if isinstance(event, Phase)]
    assert names == ["Generating", "Importing", "Beginning"]
    assert 300_000 < measured.n_bytes < 600_000
    assert 20e6 < measured.imported.peak < measured.trained.peak < PEAK_MB * 1e6
    assert {"Checking the rows", "Comparing the rows", "Importing the rows"} <= set(measured.imported.phases)
    assert 0 < measured.trained.first_step_s < measured.trained.seconds
    for watched in (measured.imported, measured.trained):
        assert watched.cpu_s > 0
        assert set(watched.gaps) == set(watched.phases)
        assert all(0 < gap <= watched.phases[name] for name, (gap, _) in watched.gaps.items())
        assert sum(watched.phases.values()) <= watched.seconds


def test_what_four_times_the_data_add_to_the_memory_is_judged() -> None:
    def watched(peak: int, seconds: float, first_step_s: float = 0.0) -> Watched:
        phases = {"Reading": seconds / 2}
        gaps = {"Reading": (1.5 if first_step_s else 0.5, 0.25)}
        return Watched(peak=peak, seconds=seconds, cpu_s=seconds, phases=phases, gaps=gaps, first_step_s=first_step_s)

    quarter = Measured(n_bytes=5 * 10**8, imported=watched(10**8, 1.0), trained=watched(5 * 10**8, 1.0, 0.5))
    whole = Measured(n_bytes=2 * 10**9, imported=watched(104 * 10**6, 100.0), trained=watched(8 * 10**8, 200.0, 150.0))
    results = {result.name: result for result in compare_sizes(quarter, whole)}
    assert {name: (result.ours, result.met) for name, result in results.items()} == {
        "data import: peak memory": (104.0, True),
        "data import: peak memory of a quarter of the data": (100.0, None),
        "data import: growth from a quarter of the data": (pytest.approx(4), True),
        "data import: speed": (20.0, None),
        "data import: processor time": (50.0, None),
        "data import: Reading": (40.0, None),
        "data import: longest time between events: Reading": (0.5, True),
        "begin training: peak memory": (800.0, False),
        "begin training: peak memory of a quarter of the data": (500.0, None),
        "begin training: growth from a quarter of the data": (pytest.approx(60), False),
        "begin training: speed": (10.0, None),
        "begin training: processor time": (100.0, None),
        "begin training: first step after": (150.0, None),
        "begin training: Reading": (20.0, None),
        "begin training: longest time between events: Reading": (1.5, False),
    }
    assert results["data import: longest time between events: Reading"].unit == "s (0.25 s of processor time)"


def test_a_command_that_fails_is_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = "import sys; sys.exit('train' in sys.argv and f'There is no {sys.argv[-2]}.')"
    monkeypatch.setattr(big_data, "own_command", lambda: [sys.executable, "-c", program])
    with pytest.raises(ValueError, match=r"terrarium train failed: There is no no\.such=1\."):
        finish(measure_data(tmp_path / "data", 0.00001, ("no.such=1",)))


def test_the_command_prints_one_json_object(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TERRARIUM_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(bench_tokenizer_training, "__defaults__", (1,))  # rounds: each starts three processes
    data = tmp_path / "text.txt"
    data.write_text("The goat eats hay.\nBen has 12 kites.\n" * 200, encoding="utf-8")
    assert main(["bench", "tokenizer", "--data", str(data), "--json", "--out", str(tmp_path / "bench.json")]) == 0
    results = json.loads(capsys.readouterr().out)["results"]
    written = json.loads((tmp_path / "bench.json").read_text(encoding="utf-8"))
    assert [{name: row[name] for name in KEYS} for row in written["results"]] == results
    assert written["machine"]["cores"] >= 1
    assert written["machine"]["processor"].endswith(f", {torch.backends.cpu.get_cpu_capability()}")
    assert all(0 <= result["others"] <= 1 for result in results)
    names = ["tokenizer train", "tokenizer encode", "keystroke 1 kB", "keystroke 20 kB", "keystroke 200 kB"]
    assert [result["name"] for result in results] == names
    assert all(set(result) == KEYS and result["ours"] > 0 and result["skipped"] is None for result in results)
    assert all(result["met"] is (result["ratio"] >= 0.9) for result in results[:2]), "of the same vocabulary and ids"
    assert not (tmp_path / "home" / "corpora").exists()
    assert main(["bench", "train", "--seeds", "0"]) == 2


def test_a_file_of_results_is_kept_up_to_date(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, about = tmp_path / "speed.json", {"processor": "AMD EPYC, AVX2", "cores": 2, "system": "Linux"}
    machine = {**about, "torch": "2.13", "date": "2026-11-01"}
    old = compared("decode", 10.0, 4.0, "tokens/s", less_is_better=False, target=3.0)
    busy = Result(name="late", unit="%", ours=0.25, target=1.0, met=True, others=0.3)
    write_results(path, machine, [old, busy])
    again = compared("decode", 1200.0, 300.0, "tokens/s", less_is_better=False, target=3.0, rounds=[(3, 1), (5, 1)])
    write_results(path, {**machine, "date": "2026-11-02"}, [again])
    assert [(row["name"], row["date"]) for row in read_results(path)["results"]] == [
        ("decode", "2026-11-02"),
        ("late", "2026-11-01"),
    ]
    with pytest.raises(ValueError, match=r"another computer or version \(torch differ"):
        write_results(path, {**machine, "torch": "2.14"}, [old])
    assert main(["bench", "table", str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[2:4] == [
        "| decode | 1,200 tokens/s | 300 | 4.00 | 3.00 to 5.00 | 3: reached |",
        r"| late \* | 0.25 % |  |  |  | at most 1: reached |",
    ]
    assert lines[-1].startswith("\\* Other programs used 10\xa0%")
    assert lines[-1].endswith("Measured on 2 cores (AMD EPYC, AVX2), Linux, with torch 2.13.")
    assert main(["bench", "decode", "--out", str(path)]) == 1, "before anything is measured"
    assert "another computer" in capsys.readouterr().err
    path.write_text("[]", encoding="utf-8")
    assert main(["bench", "table", str(path)]) == 1
    assert "holds no measurements" in capsys.readouterr().err


def test_the_docs_have_the_table_of_what_was_measured() -> None:
    table = markdown(read_results(ROOT / "docs" / "speed.json"), bench.TOO_BUSY)
    assert table in (ROOT / "docs" / "experiments" / "speed.md").read_text(encoding="utf-8")


def test_the_bare_loop_learns_exactly_what_the_trainer_does(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The comparison is fair: the same batches, the same updates, the same losses."""
    small = dataclasses.replace(PRESETS[overhead.PRESET], n_layer=1, d_model=64, n_head=2)
    monkeypatch.setattr(overhead, "PRESETS", {overhead.PRESET: small})
    path = tmp_path / "text.txt"
    path.write_text("The sheep sleep in the barn. " * 400, encoding="utf-8")
    spec = DataSpec(source="files", files=(str(path),))
    _, result = finish(bench_overhead(library, "cpu", spec, steps=6))
    assert result.ours is not None
    assert result.met == (result.ours < 3)
    run = RunFolder.open(library.list_runs()[0].folder)
    _, again = finish(prepare_run(library, run.spec))
    trainer = Trainer(again, library, device="cpu")
    bare: BareLoop | None = None
    losses = []
    for event in trainer.events():
        if isinstance(event, RunStarted):
            bare = BareLoop(trainer.context, run.spec.train)
            bare.prepare(0, 6)
        elif isinstance(event, TrainMetrics):
            losses.append(event.loss)
    assert bare is not None
    assert [bare.step(step) for step in range(6)] == pytest.approx(losses, rel=1e-4)  # clipping rounds differently


def test_throughput_is_measured_beside_hugging_face(monkeypatch: pytest.MonkeyPatch) -> None:
    size = ThroughputCase(1, n_layer=1, d_model=32, n_head=2, vocab_size=64, batch_size=2)
    monkeypatch.setattr("tools.bench.throughput.bf16_is_fast", lambda device: False)
    events, (result, share) = finish(bench_throughput(CPU, (size,), rounds=1))
    assert result.ratio == pytest.approx(result.ours / result.reference)
    assert 0 < share.ours < 100
    (counts,) = [event.sentence for event in events if isinstance(event, Notice)]
    ours, theirs = (int(part.replace(",", "")) for part in re.findall(r"[\d,]{3,}", counts))
    assert ours == theirs, "the same architecture"
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    _, (skipped,) = finish(bench_throughput(CPU, (size,), rounds=1))
    assert skipped.skipped == "pip install 'llm-terrarium[bench]'"


def test_generation_is_compared_with_the_same_weights() -> None:
    pytest.importorskip("transformers")
    config = dataclasses.replace(generation.SIZES[0].config, n_layer=1, d_model=32, vocab_size=64)
    size = generation.GenerationCase(0, config, n_tokens=6, target=3.0, first_target=3.0)
    events, results = finish(generation.bench_generation(CPU, (size,), rounds=2))
    *firsts, written, memory = results
    assert [(result.name, result.unit) for result in firsts] == [
        (f"first token 0 M, prompt of {n}", "ms") for n in (32, 512)
    ]
    assert (written.name, memory.name) == ("generate 0 M", "memory 0 M")
    assert written.ours is not None
    assert written.reference is not None
    assert written.met is (written.ours / written.reference >= 3.0)
    assert all(result.spread is not None and result.spread[0] <= result.spread[1] for result in (*firsts, written))
    assert memory.ours is not None
    assert memory.ours > 0
    sentences = [event.sentence for event in events if isinstance(event, Notice)]
    assert sentences == ["the weights are random", "the first 7 of 7 tokens are equal"]


def test_without_transformers_generation_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generation.importlib.util, "find_spec", lambda name: None)
    _, results = finish(generation.bench_generation(CPU))
    assert [result.skipped for result in results] == [SKIPPED] * 3
    assert generation.smollm2_file() is None


def test_without_llama_cpp_it_is_skipped(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(llama_cpp.importlib.util, "find_spec", lambda name: None)
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    assert main(["bench", "llama.cpp", str(tmp_path / "model.gguf")]) == 0
    assert "skipped: llama-cpp-python is not installed" in capsys.readouterr().out
    assert main(["bench", "llama.cpp"]) == 2


@pytest.mark.parametrize(("millions", "size"), [(1, generation.SIZES[0]), (10, generation.SIZES[1])])
def test_models_have_their_nominal_size(millions: int, size: generation.GenerationCase) -> None:
    model = build_model(size.config)
    assert round(model.n_parameters / 1e6) == millions
    table = model.embedding.weight.numel()
    read = model.n_parameters if size.config.tied_embeddings else model.n_parameters - table
    assert generation.bytes_per_token(model) == 4 * read
