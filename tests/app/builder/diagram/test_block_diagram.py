"""The diagram on screen: pointing, the keyboard, edits in place, and the files it writes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QApplication, QCheckBox, QComboBox
from pytestqt.qtbot import QtBot

from terrarium.app.builder.diagram.block_diagram import BlockDiagram
from terrarium.app.builder.diagram.cards import format_parameters
from terrarium.app.builder.diagram.items import Mark, NodeItem, StepItem
from terrarium.app.builder.diagram.lines import WireItem
from terrarium.app.kit.forms.editors import IntBox
from terrarium.app.kit.theme import ThemeProvider
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.presets import PRESETS
from tests.app.wheel import turn_wheel

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def diagram(qtbot: QtBot, theme: ThemeProvider) -> Iterator[BlockDiagram]:
    diagram = BlockDiagram(PRESETS["llama-tiny"], theme, 1, PRESETS["llama-tiny"].context_length)
    qtbot.addWidget(diagram)
    diagram.resize(640, 640)
    diagram.set_design(PRESETS["llama-tiny"], 8, 128)
    diagram.show()
    diagram.activateWindow()
    yield diagram
    diagram.close()


def node(diagram: BlockDiagram, key: str) -> Mark:
    return next(mark for mark in diagram.view.marks if isinstance(mark, NodeItem) and mark.part.key == key)


def button(diagram: BlockDiagram, slot: str, direction: int) -> Mark:
    buttons = (mark for mark in diagram.view.marks if isinstance(mark, StepItem))
    return next(mark for mark in buttons if (mark.step.slot, mark.step.direction) == (slot, direction))


def click(qtbot: QtBot, diagram: BlockDiagram, mark: Mark) -> None:
    qtbot.mouseClick(diagram.view.viewport(), Qt.MouseButton.LeftButton, pos=diagram.view.rect_of(mark).center())


def follow(diagram: BlockDiagram) -> list[dict[str, object]]:
    """Take edits as the builder does, and note them."""
    heard: list[dict[str, object]] = []

    def take(changes: dict[str, object]) -> None:
        heard.append(changes)
        if not ModelConfig.problems({**diagram.config.to_dict(), **changes}):
            diagram.set_design(dataclasses.replace(diagram.config, **changes), 8, 128)  # type: ignore[arg-type]

    diagram.edited.connect(take)
    return heard


@pytest.mark.parametrize("name", [name for name in PRESETS if name.endswith("tiny")])
@pytest.mark.parametrize("mode", ["light", "dark"])
def test_every_family_is_painted_in_both_views(qtbot: QtBot, theme: ThemeProvider, name: str, mode: str) -> None:
    theme.set_mode(mode)
    diagram = BlockDiagram(PRESETS[name], theme, 1, PRESETS[name].context_length)
    qtbot.addWidget(diagram)
    diagram.resize(560, 540)
    ground = diagram.grab().toImage()
    diagram.set_view("area")
    assert diagram.grab().toImage() != ground
    assert diagram.view.transform().m11() > 0.6


def test_a_change_marks_what_is_different_for_a_moment(diagram: BlockDiagram, qtbot: QtBot) -> None:
    diagram.set_design(dataclasses.replace(diagram.config, activation="geglu"), 8, 128)
    fresh = {mark.part.key for mark in diagram.view.marks if mark.fresh}
    assert "feed_forward.activation" in fresh
    assert "embedding" not in fresh
    qtbot.waitUntil(lambda: not any(mark.fresh for mark in diagram.view.marks))


def test_shapes_follow_batch_and_length(diagram: BlockDiagram) -> None:
    diagram.set_design(diagram.config, 3, 40)
    assert "[3, 40, 128]" in {label.text for label in diagram.picture.labels}
    assert not any(mark.fresh for mark in diagram.view.marks), "the design is the same"


def test_pointing_at_a_box_explains_it(diagram: BlockDiagram, qtbot: QtBot) -> None:
    mark = node(diagram, "attention.query")
    qtbot.mouseMove(diagram.view.viewport(), diagram.view.rect_of(mark).center())
    assert diagram.card.isVisible()
    text = diagram.card.text.text().replace("&nbsp;", " ")
    assert "What each token is looking for" in text
    assert "W_q: 128 × 128" in text
    assert "4 × 16,384 = 65,536 parameters" in text
    assert not diagram.card.geometry().intersects(diagram.view.rect_of(mark).adjusted(4, 4, -4, -4))
    qtbot.mouseMove(diagram.view.viewport(), QPoint(2, 2))
    assert not diagram.card.isVisible()


def test_pointing_at_a_line_explains_what_it_carries(diagram: BlockDiagram, qtbot: QtBot) -> None:
    wires = [mark for mark in diagram.view.marks if isinstance(mark, WireItem)]
    wire = next(w for w in wires if w.part.key == "attention.core")
    start, end = wire.wire.points[0], wire.wire.points[-1]
    middle = diagram.view.mapFromScene((start.x + end.x) / 2, (start.y + end.y) / 2)
    qtbot.mouseMove(diagram.view.viewport(), middle)
    assert "[8, 4, 128, 32]" in diagram.card.text.text().partition("<br>")[0]


def test_parameters_in_words(diagram: BlockDiagram) -> None:
    parts = diagram.parts
    assert format_parameters(parts["attention.core"], 1000) == "No parameters"
    assert format_parameters(parts["final_norm"], 1280) == "128 parameters, 10.0 % of the model"


def test_a_click_focuses_the_slot_and_opens_its_editor(diagram: BlockDiagram, qtbot: QtBot) -> None:
    with qtbot.waitSignal(diagram.slot_focused) as focused:
        click(qtbot, diagram, node(diagram, "attention.core"))
    assert focused.args == ["n_head"]
    assert diagram.editor is not None
    assert {"n_head", "n_kv_head", "sliding_window", "qk_norm"} <= diagram.editor.editors.keys()
    click(qtbot, diagram, node(diagram, "attention.core"))
    assert diagram.editor is None, "the second click closes it"


def test_editing_in_place_emits_legal_changes_and_stays_open(diagram: BlockDiagram, qtbot: QtBot) -> None:
    heard = follow(diagram)
    click(qtbot, diagram, node(diagram, "attention.core"))
    assert diagram.editor is not None
    heads = diagram.editor.editors["n_head"].widget
    assert isinstance(heads, IntBox)
    heads.stepUp()
    assert heard[-1] == {"n_head": 8}
    assert heads.value() == 8
    heads.setValue(7)
    assert heard[-1] == {"n_head": 8} or "n_head" not in heard[-1] or 128 % int(str(heard[-1]["n_head"])) == 0
    norm = diagram.editor.editors["qk_norm"].widget
    assert isinstance(norm, QCheckBox)
    norm.click()
    assert heard[-1] == {"qk_norm": True}
    assert "attention.qk_norm" in diagram.parts
    qtbot.keyClick(norm, Qt.Key.Key_Escape)
    assert diagram.editor is None


def test_tab_goes_round_within_the_editor(diagram: BlockDiagram, qtbot: QtBot) -> None:
    click(qtbot, diagram, node(diagram, "attention.core"))
    assert diagram.editor is not None
    stops = [editor.widget for editor in diagram.editor.editors.values()]
    assert stops[0].hasFocus()
    qtbot.keyClick(stops[0], Qt.Key.Key_Backtab)
    assert stops[-1].hasFocus()
    qtbot.keyClick(stops[-1], Qt.Key.Key_Tab)
    assert stops[0].hasFocus()


def test_choices_are_edited_and_an_editor_whose_part_goes_closes(diagram: BlockDiagram, qtbot: QtBot) -> None:
    heard = follow(diagram)
    click(qtbot, diagram, node(diagram, "attention.rope"))
    assert diagram.editor is not None
    position = diagram.editor.editors["position"].widget
    assert isinstance(position, QComboBox)
    position.setCurrentIndex(position.findData("alibi"))
    assert heard == [{"position": "alibi"}]
    assert "score_bias" in diagram.parts
    assert diagram.editor is None


def test_plus_and_minus_on_the_diagram(diagram: BlockDiagram, qtbot: QtBot) -> None:
    heard = follow(diagram)
    click(qtbot, diagram, button(diagram, "n_layer", 1))
    click(qtbot, diagram, button(diagram, "n_head", 1))
    click(qtbot, diagram, button(diagram, "d_model", 1))
    assert [next(iter(changes)) for changes in heard] == ["n_layer", "n_head", "d_model"]
    assert diagram.config.n_layer == 5
    assert diagram.config.d_model % diagram.config.n_head == 0
    diagram.set_design(dataclasses.replace(diagram.config, n_layer=1), 8, 128)
    less = button(diagram, "n_layer", -1)
    assert isinstance(less, StepItem)
    assert not less.enabled
    with qtbot.assertNotEmitted(diagram.edited):
        click(qtbot, diagram, less)


def test_the_keyboard_walks_explains_edits_and_steps(diagram: BlockDiagram, qtbot: QtBot) -> None:
    heard, view = follow(diagram), diagram.view
    view.clearFocus()
    view.setFocus(Qt.FocusReason.TabFocusReason)
    assert view.focused is not None
    assert view.focused.part.key == "ids"
    assert diagram.card.isVisible()
    up, right = Qt.Key.Key_Up, Qt.Key.Key_Right
    walk = ((up, "embedding"), (up, "attention.sum"), (right, "attention.output"), (right, "attention.core"))
    for key, part in walk:
        qtbot.keyClick(view, key)
        assert view.focused.part.key == part
    assert "Grouped-query" in view.accessibleDescription()
    assert "Grouped-query" in diagram.card.text.text()
    qtbot.keyClick(view, Qt.Key.Key_Up, Qt.KeyboardModifier.ShiftModifier)
    assert heard == [{"n_head": 8}]
    assert view.focused is not None
    assert view.focused.part.key == "attention.core", "the keyboard stays where it was"
    qtbot.keyClick(view, Qt.Key.Key_Return)
    assert diagram.editor is not None
    qtbot.keyClick(diagram.editor.editors["n_head"].widget, Qt.Key.Key_Escape)
    assert diagram.editor is None
    qtbot.keyClick(view, Qt.Key.Key_Escape)
    assert view.focused is None
    assert not diagram.card.isVisible()


def test_zoom_pan_and_fit(diagram: BlockDiagram, qtbot: QtBot) -> None:
    view = diagram.view
    fitted = view.transform().m11()
    qtbot.keyClick(view, Qt.Key.Key_Plus)
    assert view.transform().m11() == pytest.approx(1.2 * fitted)
    diagram.zoom(3)
    before = view.horizontalScrollBar().value(), view.verticalScrollBar().value()
    port = view.viewport()
    qtbot.mousePress(port, Qt.MouseButton.LeftButton, pos=QPoint(300, 300))
    _drag(port, QPoint(340, 360))
    with qtbot.assertNotEmitted(diagram.slot_focused):
        qtbot.mouseRelease(port, Qt.MouseButton.LeftButton, pos=QPoint(340, 360))
    assert (view.horizontalScrollBar().value(), view.verticalScrollBar().value()) == (before[0] - 40, before[1] - 60)
    diagram.resize(700, 660)
    assert view.transform().m11() > 2, "a zoom that was chosen stays"
    diagram.fit()
    assert view.is_fitted
    before_wheel = view.transform().m11()
    turn_wheel(port, keys=Qt.KeyboardModifier.ControlModifier)
    assert view.transform().m11() > before_wheel
    qtbot.keyClick(view, Qt.Key.Key_0)
    assert view.is_fitted


def _drag(port: object, to: QPoint) -> None:
    from PySide6.QtCore import QEvent, QPointF
    from PySide6.QtGui import QMouseEvent
    from PySide6.QtWidgets import QWidget

    assert isinstance(port, QWidget)
    place = QPointF(to)
    left, none = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    QApplication.sendEvent(port, QMouseEvent(QEvent.Type.MouseMove, place, port.mapToGlobal(place), left, left, none))


def test_a_problem_outlines_the_parts_of_its_slot(diagram: BlockDiagram) -> None:
    diagram.set_problem("n_head")
    faulty = {mark.part.key for mark in diagram.view.marks if mark.faulty}
    assert "attention.core" in faulty
    assert "embedding" not in faulty
    diagram.set_problem("")
    assert not any(mark.faulty for mark in diagram.view.marks)


def test_the_area_view_is_pointed_at_and_edited_too(diagram: BlockDiagram, qtbot: QtBot) -> None:
    diagram.set_view("area")
    mark = node(diagram, "embedding")
    qtbot.mouseMove(diagram.view.viewport(), diagram.view.rect_of(mark).center())
    assert "131,072 parameters" in diagram.card.text.text()
    with qtbot.waitSignal(diagram.slot_focused) as focused:
        click(qtbot, diagram, mark)
    assert focused.args == ["vocab_size"]


@pytest.mark.parametrize("kind", ["blocks", "area"])
def test_the_svg_is_well_formed_and_names_the_parts(diagram: BlockDiagram, tmp_path: Path, kind: str) -> None:
    diagram.set_view(kind)
    path = tmp_path / "model.svg"
    diagram.export_svg(path)
    root = ElementTree.parse(path).getroot()
    assert root.tag == f"{SVG}svg"
    words = {"".join(text.itertext()).strip() for text in root.iter(f"{SVG}text")}
    assert "Embedding" in words
    if kind == "blocks":
        assert {"Attention", "RoPE", "[8, 128, 128]", "× 4"} <= words
    assert all(mark.isVisible() for mark in diagram.view.marks), "the buttons are back"


def test_the_png_has_twice_the_pixels_of_the_picture(
    diagram: BlockDiagram, theme: ThemeProvider, tmp_path: Path
) -> None:
    diagram.zoom(0.5)
    path = tmp_path / "model.png"
    diagram.export_png(path)
    image, frame = QImage(str(path)), diagram.picture.frame
    assert (image.width(), image.height()) == (round(2 * frame.width), round(2 * frame.height))
    assert image.pixelColor(1, 1).name().upper() == theme.theme.surface.upper()


def test_larger_text_makes_a_larger_picture(diagram: BlockDiagram, theme: ThemeProvider) -> None:
    diagram.resize(1600, 1600)
    before = diagram.view.transform().m11()
    theme.set_text_scale(1.5)
    assert diagram.view.transform().m11() == pytest.approx(1.5 * before)
