"""The built-in twin of a design with a custom block, and what a comparison of both shows."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from terrarium.models.architecture.transformer import build_model
from terrarium.models.design import total_parameters
from terrarium.models.library.library import Library
from terrarium.models.library.run_index import RunIndex
from terrarium.models.library.run_record import RunInfo
from terrarium.models.runs.twin import TwinResult, compare_twins, size_difference, twin_of, twin_specs
from terrarium.models.settings.model_config import ModelConfig, differences
from terrarium.models.settings.presets import PRESETS
from tests.models.own_blocks import NORM_BLOCK, POSITION_BLOCK, STARTS, put_block, start_source, with_block
from tests.models.training.support import make_spec
from tests.runs_on_disk import make_run

SOURCES = {**{start: start_source(start) for start in STARTS}, "position": POSITION_BLOCK, "norm": NORM_BLOCK}
SMALL = ("terrarium-tiny", "gpt2-tiny", "llama-tiny", "bert-tiny", "t5-tiny", "bart-tiny")


@pytest.mark.parametrize("preset", SMALL)
@pytest.mark.parametrize("start", SOURCES)
def test_a_twin_is_legal_built_in_and_as_large(library: Library, start: str, preset: str) -> None:
    design = with_block(PRESETS[preset], put_block(SOURCES[start]))
    twin = twin_of(design)
    assert not twin.has_custom_blocks
    assert abs(size_difference(design, twin)) < 0.01
    wider = dataclasses.replace(twin, d_ff=twin.ff_width + 1), dataclasses.replace(twin, d_ff=max(1, twin.ff_width - 1))
    n = total_parameters(design)
    assert all(abs(total_parameters(twin) - n) <= abs(total_parameters(other) - n) for other in wider), "the nearest"
    kinds = {"attention_block", "feed_forward_block", "position_block", "norm_block", "block_options"}
    assert differences(design, twin).keys() <= kinds | {"position", "d_ff"}


def test_a_twin_is_the_model_that_the_tree_counts(library: Library, tiny_config: ModelConfig) -> None:
    design = with_block(tiny_config, put_block(SOURCES["retention"]))
    twin = twin_of(design, "attention")
    built = build_model(design).n_parameters, build_model(twin).n_parameters
    assert built == (total_parameters(design), total_parameters(twin))
    assert abs(built[0] - built[1]) <= tiny_config.d_model * tiny_config.n_layer
    assert (design.position, twin.position) == ("none", "rope"), "retention knows the order, built-in attention must"


def test_only_the_block_in_the_place_is_replaced(library: Library, tiny_config: ModelConfig) -> None:
    design = with_block(with_block(tiny_config, put_block(SOURCES["retention"])), put_block(SOURCES["experts"]))
    design = dataclasses.replace(design, block_options=("attention.decay=0.9", "feed_forward.share=0.25"))
    twin = twin_of(design, "feed_forward")
    assert (twin.attention_block, twin.feed_forward_block) == (design.attention_block, "")
    assert twin.block_options == ("attention.decay=0.9",)
    other = twin_of(design, "attention")
    assert (other.attention_block, other.feed_forward_block) == ("", design.feed_forward_block)
    assert abs(size_difference(design, other)) < 0.02, "the experts are as wide as a share of d_ff"
    with pytest.raises(ValueError, match="its own twin"):
        twin_of(design, "norm")
    with pytest.raises(ValueError, match="its own twin"):
        twin_of(tiny_config)


def test_both_designs_are_trained_with_the_same_seeds(
    library: Library, tmp_path: Path, tiny_config: ModelConfig
) -> None:
    base = make_spec(tmp_path, with_block(tiny_config, put_block(SOURCES["convolution"])), seed=4)
    twin = twin_of(base.model)
    specs = twin_specs(base, twin, 2)
    assert [(spec.name, spec.train.seed) for spec in specs] == [
        ("small seed=4", 4),
        ("small twin seed=4", 4),
        ("small seed=5", 5),
        ("small twin seed=5", 5),
    ]
    assert [spec.model for spec in specs] == [base.model, twin] * 2
    assert all(dataclasses.replace(spec.train, seed=4) == base.train for spec in specs)
    with pytest.raises(ValueError, match="between 1 and 500 seeds"):
        twin_specs(base, twin, 501)


def infos_of(
    library: Library, block: ModelConfig, twin: ModelConfig, losses: dict[int, tuple[float, ...]]
) -> list[RunInfo]:
    """Finished runs of both with these losses by seed, of the block first."""
    for seed, of_both in losses.items():
        for name, model, loss in zip(("block", "twin"), (block, twin), of_both, strict=False):
            make_run(library, model, f"{name}-{seed}", losses=[loss + 1, loss], seed=seed, eval_interval=1)
    index = RunIndex(library.runs)
    index.refresh()
    list(index.measure())
    return index.infos()


def result_of(*args: object) -> TwinResult:
    result = compare_twins(infos_of(*args))  # type: ignore[arg-type]
    assert result is not None
    return result


def test_a_clear_difference(library: Library, tiny_config: ModelConfig) -> None:
    design = with_block(tiny_config, put_block(SOURCES["retention"]))
    losses: dict[int, tuple[float, ...]] = {0: (1.0, 1.03), 1: (1.2, 1.24), 2: (0.9, 0.92)}
    result = result_of(library, design, twin_of(design), losses)
    assert result.differences == pytest.approx({0: -0.03, 1: -0.04, 2: -0.02})
    assert result.sentence == "The block is better by 0.030 (0.005 to 0.055) nats per token."
    assert result.block.mean == pytest.approx(3.1 / 3)
    assert result.block.step_s == 0.5
    assert (result.block.n_parameters, result.twin.n_parameters) == (
        total_parameters(design),
        total_parameters(twin_of(design)),
    )


@pytest.mark.parametrize(
    ("losses", "sentence"),
    [
        ({0: (1.05, 1.0), 1: (1.06, 1.0), 2: (1.04, 1.0)},
         "The block is worse by 0.050 (0.025 to 0.075) nats per token."),
        ({0: (1.0, 1.1), 1: (1.1, 1.0), 2: (1.0, 1.03)},
         "No difference can be seen with three seeds: the block's loss differs from its twin's by −0.010 "
         "(−0.262 to +0.242) nats per token."),
        ({0: (1.0, 1.1), 1: (1.1,)},
         "With one seed, the block is better by 0.100 nats per token: another seed may show the opposite."),
    ],
)  # fmt: skip
def test_other_results(
    library: Library, tiny_config: ModelConfig, losses: dict[int, tuple[float, ...]], sentence: str
) -> None:
    design = with_block(tiny_config, put_block(SOURCES["retention"]))
    assert result_of(library, design, twin_of(design), losses).sentence == sentence


def test_runs_that_differ_in_more_are_no_comparison(library: Library, tiny_config: ModelConfig) -> None:
    design = with_block(tiny_config, put_block(SOURCES["retention"]))
    twin = twin_of(design)
    losses: dict[int, tuple[float, ...]] = {0: (1.0, 1.1)}
    infos = infos_of(library, design, twin, losses)
    assert compare_twins(infos) is not None
    assert compare_twins(infos[:1]) is None
    make_run(library, dataclasses.replace(twin, n_layer=3), "deeper", losses=[1.0])
    assert compare_twins(infos_of(library, design, twin, losses)) is None, "a third design"
    other = [info for info in infos_of(library, design, twin, {}) if info.id in ("block-0", "deeper")]
    assert compare_twins(other) is None, "not only the block differs"
