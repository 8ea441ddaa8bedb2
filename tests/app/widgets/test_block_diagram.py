"""The diagram draws the config: every part is there, with numbers that add up to the model's."""

from __future__ import annotations

import dataclasses

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from app.theme import ThemeProvider
from app.widgets.block_diagram import BlockDiagram
from app.widgets.block_items import Box
from app.widgets.block_parts import ACTIVATION_CURVES, describe_parts
from models import cost
from models.config import PRESETS, ModelConfig

OUTSIDE = {"embedding", "positions", "final_norm", "head"}
VARIANTS = [
    *PRESETS.values(),
    ModelConfig(norm="layernorm", bias="all", qk_norm=True, conv_width=3, activation="swiglu", tied_embeddings=False),
    ModelConfig(norm="rmsnorm", bias="all", position="rope", n_kv_head=1, n_layer=1),
]


@pytest.mark.parametrize("config", VARIANTS)
def test_the_parts_parameters_are_the_models(config: ModelConfig) -> None:
    parts = describe_parts(config)
    once = sum(part.n_parameters for key, part in parts.items() if key in OUTSIDE)
    per_block = sum(part.n_parameters for key, part in parts.items() if key not in OUTSIDE)
    assert once + config.n_layer * per_block == cost.total_parameters(config)


def test_formulas_have_the_numbers_filled_in() -> None:
    parts = describe_parts(PRESETS["llama-tiny"])
    assert parts["key"].formula == "k = x W_k,  128 → 2 heads × 32"
    assert parts["attention"].formula == "softmax(q kᵀ / √32) v,  causal"
    assert "Grouped-query" in parts["attention"].meaning
    assert "344" in parts["gate"].tooltip


def test_every_activation_has_a_curve() -> None:
    choices = next(f for f in dataclasses.fields(ModelConfig) if f.name == "activation").metadata["choices"]
    assert set(choices) == set(ACTIVATION_CURVES)


def boxes(diagram: BlockDiagram) -> dict[str, Box]:
    return {item.part.key: item for item in diagram.scene().items() if isinstance(item, Box)}


@pytest.mark.parametrize("config", VARIANTS)
def test_every_part_is_drawn_once_and_none_overlaps(qtbot: QtBot, theme: ThemeProvider, config: ModelConfig) -> None:
    diagram = BlockDiagram(config, theme)
    qtbot.addWidget(diagram)
    drawn = boxes(diagram)
    assert set(drawn) == set(describe_parts(config))
    places = [box.placed for box in drawn.values()]
    for i, place in enumerate(places):
        assert diagram.sceneRect().contains(place)
        assert not any(place.intersects(other) for other in places[i + 1 :])


def test_a_change_redraws_and_marks_what_is_different(qtbot: QtBot, theme: ThemeProvider) -> None:
    diagram = BlockDiagram(PRESETS["gpt2-tiny"], theme)
    qtbot.addWidget(diagram)
    diagram.set_config(dataclasses.replace(PRESETS["gpt2-tiny"], activation="swiglu"))
    fresh = {key for key, box in boxes(diagram).items() if box._fresh}
    assert {"gate", "activation"} <= fresh
    assert "embedding" not in fresh
    assert "× 4" in {item.text() for item in diagram.scene().items() if hasattr(item, "text")}


def test_a_problem_outlines_its_parts_until_it_ends(qtbot: QtBot, theme: ThemeProvider) -> None:
    diagram = BlockDiagram(PRESETS["gpt2-tiny"], theme)
    qtbot.addWidget(diagram)
    diagram.set_problem("Attention")
    assert {key for key, box in boxes(diagram).items() if box.outlined} >= {"query", "key", "value", "attention"}
    diagram.set_problem("")
    assert not any(box.outlined for box in boxes(diagram).values())


def test_a_part_is_clicked_and_reached_by_keyboard(qtbot: QtBot, theme: ThemeProvider) -> None:
    diagram = BlockDiagram(PRESETS["gpt2-tiny"], theme)
    qtbot.addWidget(diagram)
    diagram.resize(700, 640)
    diagram.show()
    box = boxes(diagram)["attention"]
    place = diagram.mapFromScene(box.placed.center())
    with qtbot.waitSignal(diagram.part_clicked) as clicked:
        qtbot.mouseClick(diagram.viewport(), Qt.MouseButton.LeftButton, pos=place)
    assert clicked.args[0].key == "attention"
    with qtbot.waitSignals([diagram.part_hovered, diagram.part_clicked]):
        box.setFocus()
        qtbot.keyClick(diagram, Qt.Key.Key_Return)
