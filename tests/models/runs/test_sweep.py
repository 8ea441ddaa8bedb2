"""Grids, random searches, and their results."""

import dataclasses
from pathlib import Path

import pytest

from terrarium.models.library.library import Library
from terrarium.models.runs.run_queue import RunQueue
from terrarium.models.runs.sweep import (
    SweepRange,
    SweepValues,
    compare_runs,
    grid,
    parse_range,
    parse_values,
    random_search,
    sweep_infos,
    sweep_tag,
)
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.run_spec import RunSpec
from terrarium.models.settings.spec_changes import differing_settings, value_of
from terrarium.models.settings.tune_spec import TuneSpec
from terrarium.models.training.prepare import prepare_queued
from tests.models.own_blocks import put_block, start_source, with_block
from tests.models.training.support import make_spec, result_of, train


def test_a_grid_has_every_combination(tmp_path: Path, tiny_config: ModelConfig) -> None:
    base = make_spec(tmp_path, tiny_config)
    axes = [parse_values("lr=0.1, 0.2"), parse_values("model.n_layer=1,2,3")]
    specs = grid(base, axes)
    pairs = [(spec.train.lr, spec.model.n_layer) for spec in specs]
    assert pairs == [(lr, n) for lr in (0.1, 0.2) for n in (1, 2, 3)]
    assert specs[0].name == "small lr=0.1 n_layer=1"
    assert {value_of(spec, "train.steps") for spec in specs} == {base.train.steps}


def test_a_random_search_stays_in_range_and_is_reproducible(tmp_path: Path, tiny_config: ModelConfig) -> None:
    base = make_spec(tmp_path, tiny_config)
    axes: list[SweepValues | SweepRange] = [
        parse_range(base, "lr=1e-4..1e-1"),
        parse_range(base, "train.batch_size=2..5"),
        parse_values("train.optimizer=adamw,muon"),
    ]
    specs = random_search(base, axes, 200, seed=3)
    assert specs == random_search(base, axes, 200, seed=3)
    rates = [spec.train.lr for spec in specs]
    assert min(rates) >= 1e-4
    assert max(rates) <= 1e-1
    below = sum(rate < 10**-2.5 for rate in rates)  # the middle, where the logarithm counts
    assert 70 < below < 130
    assert {spec.train.batch_size for spec in specs} == {2, 3, 4, 5}
    assert {spec.train.optimizer for spec in specs} == {"adamw", "muon"}


def test_a_range_of_a_float_whose_value_is_whole(tmp_path: Path, tiny_config: ModelConfig) -> None:
    base = make_spec(tmp_path, tiny_config, grad_clip=1)
    clips = [s.train.grad_clip for s in random_search(base, [parse_range(base, "train.grad_clip=0.2..0.9")], 5)]
    assert all(0.2 <= clip <= 0.9 for clip in clips)
    assert len(set(clips)) > 1


@pytest.mark.parametrize(
    ("text", "sentence"),
    [("lr=0.1", "is not a range"), ("lr=2..1", "is not a range"), ("nothing=1..2", "no setting called"),
     ("optimizer=1..2", "is not a number"), ("steps=1.2..1.8", "no whole number")],
)  # fmt: skip
def test_invalid_ranges_are_refused(tmp_path: Path, tiny_config: ModelConfig, text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        parse_range(make_spec(tmp_path, tiny_config), text)


def test_invalid_sweeps_are_refused(tmp_path: Path, tiny_config: ModelConfig) -> None:
    base = make_spec(tmp_path, tiny_config)
    lr = parse_values("lr=0.1")
    for axes, sentence in (
        ([], "varies nothing"),
        ([lr, lr], "is varied twice"),
        ([SweepValues("train.lr", (-1.0,))], "lr is"),
        ([parse_values("lr=0.1,1e-1")], "occurs twice"),
    ):
        with pytest.raises(ValueError, match=sentence):
            grid(base, axes)
    with pytest.raises(ValueError, match=r"more than 1,000"):
        grid(base, [SweepValues("train.seed", tuple(range(1001)))])
    with pytest.raises(ValueError, match="between 1 and"):
        random_search(base, [lr], 0)
    with pytest.raises(ValueError, match="has no values: give some"):
        parse_values("lr=")


def test_the_result_of_a_sweep_is_read_from_its_runs(library: Library, tiny_config: ModelConfig) -> None:
    base = make_spec(library.home / "texts", tiny_config, steps=4)
    tag = sweep_tag(library, "small")
    queue = RunQueue(library)
    queue.add_new(grid(base, [parse_values("lr=0.000001,0.02")]), tags=(tag,))
    assert sweep_tag(library, "small") == f"{tag}-2", "the other one waits"
    for item in queue.items():
        train(result_of(prepare_queued(library, queue, item)), library)
    assert queue.items() == []
    best, worst = compare_runs(sweep_infos(library, tag))
    assert (best.values, worst.values) == ({"train.lr": 0.02}, {"train.lr": 0.000001})
    assert best.best_loss is not None
    assert worst.best_loss is not None
    assert best.best_loss < worst.best_loss
    assert sweep_tag(library, "of my own") == "sweep-of-my-own", "as tags are kept"
    assert sweep_tag(library, "small") == f"{tag}-2"


@pytest.fixture
def with_retention(library: Library, tmp_path: Path, tiny_config: ModelConfig) -> RunSpec:
    """A run whose attention is a custom block with the options decay and window, one of them set."""
    design = with_block(tiny_config, put_block(start_source("retention")), block_options=("attention.window=8",))
    return make_spec(tmp_path, design, steps=1, sample_interval=0)


def test_the_options_of_a_custom_block_vary(library: Library, with_retention: RunSpec) -> None:
    specs = grid(with_retention, [parse_values("attention.decay=0.8,0.9"), parse_values("train.seed=1,2")])
    assert [spec.model.block_options for spec in specs[1:3]] == [
        ("attention.decay=0.8", "attention.window=8"),
        ("attention.decay=0.9", "attention.window=8"),
    ]
    assert specs[0].name == "small decay=0.8 seed=1"
    assert value_of(specs[0], "attention.decay") == 0.8
    assert value_of(with_retention, "attention.decay") is None
    assert differing_settings(specs) == {"train.seed": (1, 2, 1, 2), "attention.decay": (0.8, 0.8, 0.9, 0.9)}
    drawn = random_search(
        with_retention,
        [parse_range(with_retention, "attention.decay=0.6..0.9"), parse_range(with_retention, "attention.window=2..9")],
        20,
    )
    assert all(0.6 <= float(value_of(spec, "attention.decay")) <= 0.9 for spec in drawn)
    assert {type(value_of(spec, "attention.window")) for spec in drawn} == {int}
    queue = RunQueue(library)
    queue.add_new(specs[::2], tags=("decays",))
    for item in list(queue.items()):
        train(result_of(prepare_queued(library, queue, item)), library)
    assert {run.values["attention.decay"] for run in compare_runs(sweep_infos(library, "decays"))} == {0.8, 0.9}


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ("attention.decay=0.1,0.9", "must lie between 0.5 and 1"),
        ("attention.decay=high,low", "must be a number"),
        ("attention.size=1,2", "has no option 'size': its options are decay, window"),
        ("feed_forward.share=0.5,0.6", "the design has no custom block for feed_forward"),
    ],
)
def test_what_a_block_does_not_have_is_refused(with_retention: RunSpec, values: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        grid(with_retention, [parse_values(values)])


def test_the_options_of_a_parents_block_do_not_vary(with_retention: RunSpec) -> None:
    tuned = dataclasses.replace(with_retention, tune=TuneSpec(parent="a"))
    with pytest.raises(ValueError, match=r"attention\.decay cannot vary"):
        grid(tuned, [parse_values("attention.decay=0.8,0.9")])
    with pytest.raises(ValueError, match="no option called"):
        parse_range(with_retention, "attention.size=1..2")
