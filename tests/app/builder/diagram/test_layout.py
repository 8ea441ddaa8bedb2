"""Where the pieces stand: nothing overlaps, arrows end at boxes, areas are to scale. No Qt: words are guessed."""

from __future__ import annotations

import dataclasses
import itertools

import pytest

from terrarium.app.builder.diagram.describe import describe
from terrarium.app.builder.diagram.geometry import Picture, Point, Rect
from terrarium.app.builder.diagram.layout import layout_area, layout_blocks
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.presets import PRESETS
from tests.app.builder.diagram.designs import DESIGNS

NOT_BOXES = {"stream", "encoder.stream", "decoder.stream", "memory", "tied", "feed_forward.experts"}


def measure(text: str, look: str) -> float:
    return {"title": 6.8, "detail": 6.2, "caption": 6.2, "badge": 8.5}[look] * len(text)


def blocks(config: ModelConfig) -> Picture:
    return layout_blocks(config, describe(config, 8, 128), 8, 128, measure)


def test_every_part_is_drawn_and_no_box_overlaps_another() -> None:
    for name in DESIGNS:
        picture, parts = blocks(DESIGNS[name]), describe(DESIGNS[name], 8, 128)
        added = [
            node
            for node in picture.nodes
            if node.look == "sum" and node.key.split(".")[-1] in ("position", "segment", "ngrams")
        ]
        drawn = [node.key for node in picture.nodes if node not in added]
        assert len(set(drawn)) == len(drawn), name
        missing = {
            key
            for key in parts
            if key not in drawn and key.removeprefix("encoder.").removeprefix("decoder.") not in NOT_BOXES
        }
        assert not missing, name
        for one, other in itertools.combinations(picture.nodes, 2):
            assert not one.rect.overlaps(other.rect), (name, one.key, other.key)
        assert all(picture.frame.holds(node.rect) for node in picture.nodes)


def test_words_and_buttons_stand_clear_of_boxes() -> None:
    for name in DESIGNS:
        picture = blocks(DESIGNS[name])
        boxes = [node for node in picture.nodes if node.look != "attention"]
        for label in picture.labels:
            width = measure(label.text, label.look)
            left = {"left": label.at.x, "right": label.at.x - width, "centre": label.at.x - width / 2}[label.align]
            place = Rect(left, label.at.y - 5, width, 10)
            assert not any(place.overlaps(box.rect) for box in boxes), (name, label.text)
            assert picture.frame.holds(place), (name, label.text)
        for button in picture.steps:
            place = Rect(button.at.x - 8, button.at.y - 8, 16, 16)
            assert not any(place.overlaps(box.rect) for box in boxes), (name, button.slot)


def test_arrows_end_at_the_edge_of_a_box() -> None:
    for name in DESIGNS:
        picture = blocks(DESIGNS[name])
        for wire in picture.wires:
            if wire.arrow:
                assert any(_touches(node.rect, wire.points[-1]) for node in picture.nodes), (name, wire)


def _touches(rect: Rect, point: Point) -> bool:
    near = rect.grown(1.5)
    return (
        near.left <= point.x <= near.right
        and near.top <= point.y <= near.bottom
        and not (rect.left + 2 < point.x < rect.right - 2 and rect.top + 2 < point.y < rect.bottom - 2)
    )


@pytest.mark.parametrize("name", [name for name in PRESETS if name.endswith("tiny")])
def test_a_tiny_preset_is_readable_in_a_narrow_column(name: str) -> None:
    frame = layout_blocks(PRESETS[name], describe(PRESETS[name], 8, 256), 8, 256, measure).frame
    assert 560 / frame.width >= 0.7


def test_pre_and_post_norm_differ_in_place() -> None:
    pre, post = (blocks(dataclasses.replace(PRESETS["gpt2-tiny"], norm_place=place)) for place in ("pre", "post"))
    assert pre.node("attention_norm").rect.left > 0, "inside the loop"
    assert pre.node("attention_norm").rect.y > pre.node("attention.sum").rect.y
    assert post.node("attention_norm").rect.x == pytest.approx(0), "on the spine"
    assert post.node("attention_norm").rect.y < post.node("attention.sum").rect.y


def test_the_encoder_stands_beside_the_decoder_and_feeds_keys_and_values_only() -> None:
    picture = blocks(PRESETS["bart-tiny"])
    assert picture.node("encoder.attention.core").rect.right < picture.node("decoder.attention.core").rect.left
    ends = [wire.points[-1] for wire in picture.wires if wire.look == "memory" and wire.arrow]
    fed = {
        key
        for end in ends
        for key in ("query", "key", "value")
        if _touches(picture.node(f"decoder.cross_attention.{key}").rect, end)
    }
    assert fed == {"key", "value"}


@pytest.mark.parametrize(("n", "used"), [(2, 1), (8, 2), (16, 16), (64, 6), (200, 8)])
def test_experts_are_marked_as_used(n: int, used: int) -> None:
    picture = blocks(dataclasses.replace(PRESETS["moe-tiny"], n_expert=n, n_expert_used=used))
    looks = [dot.look for dot in picture.dots if dot.look != "tap"]
    assert len(looks) == min(n, 64)
    assert looks.count("used") == used


def test_areas_are_in_proportion_to_parameters() -> None:
    for name in DESIGNS:
        parts = describe(DESIGNS[name], 8, 128)
        picture = layout_area(DESIGNS[name], parts, 600, 500, measure)
        areas = {node.key: node.rect for node in picture.nodes if node.look == "area"}
        assert set(areas) == {key for key, part in parts.items() if part.n_parameters}
        scales = [parts[key].total_parameters / (rect.width * rect.height) for key, rect in areas.items()]
        assert max(scales) == pytest.approx(min(scales), rel=1e-6)
        assert all(Rect(-0.01, -0.01, 600.02, 500.02).holds(rect) for rect in areas.values())
        for one, other in itertools.combinations(areas.values(), 2):
            assert not Rect(one.left + 1e-6, one.top + 1e-6, one.width - 2e-6, one.height - 2e-6).overlaps(other)
