"""The cost panel: exact numbers, what fits, what a real dry run measured, and the changes that make it fit."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
from pytestqt.qtbot import QtBot

from terrarium.app.builder.costs.cost_panel import CostPanel
from terrarium.app.builder.costs.design_costs import costs_of
from terrarium.app.builder.costs.dry_run import DryRuns
from terrarium.app.builder.costs.stacked_bar import StackedBar
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.session.device_memory import DeviceMemory, budget
from terrarium.app.session.session import Session
from terrarium.models.design import active_parameters, flops_per_token, total_parameters, training_memory
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.presets import PRESETS
from terrarium.models.settings.run_spec import TrainConfig

Until = Callable[[Callable[[], bool]], None]
GB = 2**30
WIDTH = 258
"""What a column of 300 pixels leaves beside its margins and scroll bar."""
ROOM = DeviceMemory(kind="cpu", label="CPU (2 cores)", n_bytes=8 * GB, is_free=True)


@pytest.fixture
def dry_runs(session: Session) -> DryRuns:
    dry_runs = DryRuns(session.worker, session.device, session.training, session.notices, session)
    session.status.add(dry_runs)
    return dry_runs


@pytest.fixture
def panel(qtbot: QtBot, theme: ThemeProvider, tiny_config: ModelConfig) -> CostPanel:
    panel = CostPanel(tiny_config, theme)
    qtbot.addWidget(panel)
    theme.apply_theme(panel)
    panel.resize(280, 900)
    panel.show()
    panel.set_device_memory(ROOM)
    return panel


def leaves(bars: StackedBar) -> int:
    return sum(bar.value for bar in bars.bars if not bar.is_sum)


@pytest.mark.parametrize("name", list(PRESETS))
def test_every_preset_adds_up_in_all_three_bars(panel: CostPanel, name: str) -> None:
    config = PRESETS[name]
    panel.set_design(config, 4, config.context_length)
    assert panel.total.text() == f"{total_parameters(config):,}"
    assert leaves(panel.parameters) == total_parameters(config)
    flops = flops_per_token(config)
    assert flops - len(panel.work.bars) <= leaves(panel.work) <= flops  # each is rounded down to a whole operation
    assert leaves(panel.memory) == sum(training_memory(config, 4, config.context_length).values())
    assert (panel.cache.text() == "none") == (config.topology == "encoder-only")
    is_mixture = config.n_expert > 0
    assert panel.active.isVisible() == is_mixture
    if is_mixture:
        assert panel.active.text() == f"{active_parameters(config):,}"


def test_a_component_has_one_colour_in_every_bar() -> None:
    costs = costs_of(PRESETS["t5-small"], 4, 128, None)
    hues = [{s.name: (s.hue, s.strength) for s in bars} for bars in (costs.parameters, costs.work, costs.memory)]
    shared = set(hues[0]) & set(hues[1]) & set(hues[2])
    assert {"Encoder attention", "Cross-attention", "Decoder feed-forward"} <= shared
    assert all(hues[0][name] == hues[1][name] == hues[2][name] for name in shared)
    assert len({hues[0][name] for name in shared}) == len(shared)


def test_a_tooltip_tells_share_exact_number_and_meaning(panel: CostPanel) -> None:
    config = PRESETS["gpt2-124m"]
    panel.set_design(config, 4, 128)
    tips = {bar.name: panel.memory.tip(bar) for bar in panel.memory.bars}
    assert f"({4 * total_parameters(config):,})" in tips["Weights"]
    assert tips["Weights"].endswith("The trained parameters, in float32")
    share = config.vocab_size * config.d_model / total_parameters(config)
    assert f"{100 * share:.1f}\N{NO-BREAK SPACE}% of all" in panel.parameters.tip(panel.parameters.bars[0])


def test_memory_is_estimated_as_the_device_would_train(panel: CostPanel) -> None:
    config = dataclasses.replace(PRESETS["gpt2-124m"], n_layer=2)
    gpu = DeviceMemory(kind="cuda", label="a GPU", n_bytes=80 * GB, bfloat16_from=256)
    panel.set_device_memory(gpu)
    panel.set_design(config, 4, 128)
    expected = training_memory(config, 4, 128, device="cuda", precision="bfloat16")
    assert leaves(panel.memory) == sum(expected.values())


def test_the_verdict_follows_the_batch(panel: CostPanel) -> None:
    config = PRESETS["gpt2-tiny"]
    verdicts = []
    for batch in (1, 850, 3000):
        panel.set_design(config, batch, config.context_length)
        verdicts.append((panel.fit.verdict.text(), panel.fit.verdict.property("tone"), panel.fit.start.isEnabled()))
    assert verdicts == [("Fits", "ok", True), ("Tight", "warning", True), ("Does not fit", "danger", False)]
    assert "it must fit" in panel.fit.note.text().lower()


def test_before_torch_is_loaded_no_verdict_is_given(panel: CostPanel) -> None:
    panel.set_device_memory(None)
    assert panel.fit.verdict.text() == "…"
    assert "Torch is loading" in panel.fit.sentence.text()


def test_changes_that_make_it_fit_are_offered_and_taken(panel: CostPanel, until: Until) -> None:
    config = PRESETS["gpt2-124m"]
    panel.set_design(config, 24, config.context_length)
    until(lambda: len(panel.proposals.buttons) > 1)
    have = budget(ROOM)
    assert have is not None
    batches: list[int] = []
    designs: list[ModelConfig] = []
    panel.batch_requested.connect(batches.append)
    panel.design_requested.connect(designs.append)
    for button in list(panel.proposals.buttons):
        assert "GiB" in button.accessibleName()
        button.click()
    assert batches
    assert designs
    assert sum(training_memory(config, batches[0], config.context_length).values()) <= have
    assert sum(training_memory(designs[0], 24, designs[0].context_length).values()) <= have
    # What was chosen arrives as the next design, and then there is nothing left to propose.
    panel.set_design(config, batches[0], config.context_length)
    assert not panel.proposals.isEnabled()
    until(lambda: panel.proposals.isHidden())
    assert panel.fit.verdict.text() == "Fits"


def test_only_the_newest_design_gets_proposals(panel: CostPanel, until: Until) -> None:
    for layers in range(12, 4, -1):
        config = dataclasses.replace(PRESETS["gpt2-124m"], n_layer=layers)
        panel.set_design(config, 24, config.context_length)
    until(lambda: panel.proposals.isVisible() and panel.proposals.isEnabled())
    assert any("instead of 5." in button.accessibleName() for button in panel.proposals.buttons) or all(
        "layers" not in button.accessibleName() for button in panel.proposals.buttons
    )


def test_a_real_dry_run_stands_beside_the_estimate(
    panel: CostPanel, session: Session, dry_runs: DryRuns, tiny_config: ModelConfig, until: Until
) -> None:
    def show() -> None:
        panel.set_dry_run(dry_runs.state.result, dry_runs.state.running, dry_runs.state.phase)

    dry_runs.changed.connect(show)
    panel.dry_run_requested.connect(lambda: dry_runs.start(tiny_config, TrainConfig(batch_size=2), length=32))
    panel.dry_run_cancel_requested.connect(dry_runs.cancel)
    panel.set_design(tiny_config, 2, 32)
    height = panel.fit.heightForWidth(WIDTH)
    panel.fit.start.click()
    assert panel.fit.cancel.isVisible()
    assert panel.fit.phase.text() == "Waiting for the worker"
    until(lambda: not dry_runs.state.running)
    assert panel.fit.start.isVisible()
    assert panel.fit.measured["step"].text().endswith("s")
    assert panel.fit.measured["speed"].text() not in ("", "–")
    assert "iB" in panel.fit.measured["memory"].text()
    assert panel.fit.origin.text() == "on 2 × 32 tokens, float32"
    assert panel.fit.note.text().startswith("1,000 such steps take about ")
    assert panel.fit.heightForWidth(WIDTH) == height

    assert session.device.memory is None  # these tests load no device: the panel's is as given
    panel.set_device_memory(dataclasses.replace(ROOM, label=dry_runs.state.result.run.device))  # type: ignore[union-attr]
    assert panel.fit.measured["step"].isEnabled()
    panel.set_design(dataclasses.replace(tiny_config, n_layer=3), 2, 32)
    assert not panel.fit.measured["step"].isEnabled()
    assert panel.fit.origin.text() == "of an earlier design"
    panel.set_design(tiny_config, 4, 32)
    assert panel.fit.origin.text() == "of 2 × 32 tokens"
    panel.set_design(tiny_config, 2, 32)
    assert panel.fit.measured["step"].isEnabled()

    panel.fit.start.click()
    panel.fit.cancel.click()
    assert panel.fit.phase.text() == "Stopping after this step"
    until(lambda: not dry_runs.state.running)
    assert panel.fit.measured["step"].isEnabled()  # the earlier one stands


def test_why_nothing_could_be_measured_goes_with_the_design(panel: CostPanel, tiny_config: ModelConfig) -> None:
    panel.set_design(tiny_config, 2, 32)
    panel.set_dry_run(None, False, "This encoder has no head.")
    assert panel.fit.note.text() == "This encoder has no head."
    assert panel.fit.note.property("role") == "warning"
    panel.set_design(tiny_config, 3, 32)
    assert panel.fit.note.property("role") == "caption"
    assert panel.fit.note.text().startswith("A dry run")


def test_numbers_do_not_move_the_panel(panel: CostPanel, until: Until) -> None:
    config = PRESETS["llama-tiny"]
    panel.set_design(config, 1, config.context_length)
    size = (panel.minimumSizeHint().width(), panel.heightForWidth(WIDTH))
    panel.set_design(dataclasses.replace(config, n_layer=200, d_model=4096), 40, config.context_length)
    assert panel.fit.verdict.text() == "Does not fit"
    assert (panel.minimumSizeHint().width(), panel.heightForWidth(WIDTH)) == size
    assert size[0] <= WIDTH
    until(lambda: panel.proposals.isVisible())
    assert panel.minimumSizeHint().width() == size[0]
