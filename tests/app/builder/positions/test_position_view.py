"""The view shows the scheme of the design, reads out what is under the pointer, and never draws random tables."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
from PySide6.QtCore import QPointF, Qt
from PySide6.QtWidgets import QApplication, QLabel, QWidget
from pytestqt.qtbot import QtBot

from terrarium.app.builder.positions.position_view import PositionView
from terrarium.app.builder.positions.schemes import SchemeDisplay, display_of
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.plots.pictures import HeatPicture
from terrarium.app.plots.plot_spec import PlotSpec
from terrarium.app.session.session import Session
from terrarium.models.architecture import position_tables as numbers
from terrarium.models.library.library import Library
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.positions import POSITIONS
from tests.app.heard import Heard
from tests.models.runs_on_disk import put_run, weights_of

SMALL = ModelConfig(context_length=64, d_model=16, n_head=4, vocab_size=11, n_layer=1)
Until = Callable[[Callable[[], bool]], None]


@pytest.fixture
def view(qtbot: QtBot, theme: ThemeProvider) -> PositionView:
    view = PositionView(theme)
    qtbot.addWidget(view)
    view.resize(560, 420)
    view.show()
    return view


def scheme(name: str, **slots: object) -> ModelConfig:
    return dataclasses.replace(SMALL, position=name, **slots)  # type: ignore[arg-type]


def said(state: QWidget) -> str:
    return " ".join(label.text() for label in state.findChildren(QLabel))


def shown(view: PositionView) -> tuple[HeatPicture, PlotSpec]:
    (heat,) = (widget.picture for widget in view.heat if widget.isVisible())
    assert heat is not None
    return heat, view.lines.spec


@pytest.mark.parametrize("mode", ["light", "dark"])
@pytest.mark.parametrize("name", ["sinusoidal", "rope", "alibi", "t5", "fire"])
def test_a_scheme_is_drawn_within_its_room(view: PositionView, theme: ThemeProvider, name: str, mode: str) -> None:
    theme.apply_theme(view)
    theme.set_mode(mode)
    view.set_design(scheme(name), 64)
    QApplication.processEvents()
    heat, lines = shown(view)
    assert view.nothing is None
    assert view.words.text() == view.pictures.words  # type: ignore[union-attr]
    widget = next(widget for widget in view.heat if widget.isVisible())
    assert widget.rect().contains(widget.area.toAlignedRect())
    image = widget.grab().toImage()
    row = heat.values.shape[0] // 4
    spots = [widget.cell_rect(column, row).center().toPoint() for column in range(0, heat.values.shape[1], 3)]
    assert len({image.pixelColor(spot).name() for spot in spots}) > 2
    assert view.minimumSizeHint().width() <= 560
    assert len(lines.series) >= 1


@pytest.mark.parametrize("topology", ["decoder-only", "encoder-only", "encoder-decoder"])
@pytest.mark.parametrize("name", POSITIONS)
def test_every_scheme_is_drawn_or_said_to_have_nothing(view: PositionView, name: str, topology: str) -> None:
    view.set_design(scheme(name, topology=topology), 64)
    QApplication.processEvents()
    if POSITIONS[name].applied_to == "" or (POSITIONS[name].applied_to == "embeddings" and POSITIONS[name].learned):
        assert view.nothing is not None
        assert len(said(view.nothing)) > 20
    else:
        assert view.nothing is None
        heat, lines = shown(view)
        assert np.isfinite(heat.values).any()
        assert len(lines.series) >= 1
        assert view.words.text()


def test_the_pointer_and_the_keys_read_the_table(qtbot: QtBot, view: PositionView) -> None:
    view.set_design(scheme("sinusoidal"), 64)
    QApplication.processEvents()
    heat = view.heat[0]
    place = heat.cell_rect(20, 3).center().toPoint()
    with qtbot.waitSignal(heat.read) as heard:
        qtbot.mouseMove(heat, place)
    value = numbers.sinusoidal_table(np.array([20]), np.array([3]), 16)[0, 0]
    assert heard.args[0].startswith(f"position 20, dimension 3: {value:.3f}".replace("-", "−"))
    heat.setFocus(Qt.FocusReason.TabFocusReason)
    qtbot.keyClick(heat, Qt.Key.Key_Down)
    assert "position 20, dimension 4" in heat.accessibleDescription()
    qtbot.keyClick(heat, Qt.Key.Key_Right, Qt.KeyboardModifier.ShiftModifier)
    assert "position 30, dimension 4" in heat.accessibleDescription()
    qtbot.keyClick(heat, Qt.Key.Key_Escape)
    assert heat.accessibleDescription() == heat.summary()
    assert "16 rows by 64 columns. Lowest: position" in heat.summary()


def test_the_pointer_reads_the_curve(qtbot: QtBot, view: PositionView) -> None:
    view.set_design(scheme("rope", rope_scaling="linear", rope_factor=4.0), 64)
    QApplication.processEvents()
    view.lines.chart.pointed.emit(QPointF(32.0, 0.5))
    words = view.lines.accessibleDescription()
    assert "tokens apart" in words
    assert " scaled" in words
    assert "unscaled" in words


def test_only_what_a_scheme_has_can_be_chosen(view: PositionView) -> None:
    def controls() -> set[str]:
        named: list[QWidget] = [view.stack, view.order, view.show_as, view.stretch, view.source, view.head]
        return {widget.accessibleName() for widget in named if widget.isVisible()}

    view.set_design(scheme("sinusoidal"), 64)
    assert controls() == {"Order"}
    view.set_design(scheme("rope"), 64)
    assert controls() == {"Show"}
    view.set_design(scheme("rope", rope_scaling="linear", rope_factor=2.0), 64)
    assert controls() == {"Show", "Scaling"}
    view.set_design(scheme("alibi", topology="encoder-decoder"), 64)
    assert controls() == {"Stack", "Head"}
    view.set_design(scheme("t5"), 64)
    assert controls() == set()


def test_a_choice_changes_the_picture(qtbot: QtBot, view: PositionView) -> None:
    view.set_design(scheme("rope"), 64)
    before = shown(view)[0].values
    view.show_as.choose("angle")
    view.show_as.changed.emit("angle")
    assert shown(view)[0].colours == "quantity"
    assert not np.array_equal(before, shown(view)[0].values)
    view.set_design(scheme("alibi"), 64)
    view.head.setValue(4)
    assert "Head 4" in shown(view)[0].title
    view.set_design(scheme("alibi", n_head=2), 64)
    assert "Head 2" in shown(view)[0].title  # there is no fourth any more


def test_the_encoder_has_its_own_buckets(view: PositionView) -> None:
    view.set_design(scheme("t5", topology="encoder-decoder"), 64)
    assert np.isnan(shown(view)[0].values).any()
    view.stack.choose("encoder")
    view.stack.changed.emit("encoder")
    assert not np.isnan(shown(view)[0].values).any()


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (scheme("learned"), "random noise"),
        (scheme("none"), "sees only those before it"),
        (scheme("none", topology="encoder-only"), "bag of words"),
        (scheme("none", conv_width=4), "the 3 just before it"),
    ],
)
def test_where_there_is_nothing_to_draw_it_says_why(view: PositionView, config: ModelConfig, words: str) -> None:
    view.set_design(scheme("rope"), 64)
    view.set_design(config, 64)
    assert view.nothing is not None
    assert view.nothing.isVisible()
    assert words in said(view.nothing)
    assert not any(widget.isVisible() for widget in (*view.heat, view.lines, view.words))
    view.set_design(scheme("rope"), 64)
    assert view.nothing is None
    assert view.heat[0].isVisible()


# -- What was trained --------------------------------------------------------------------------------------------------


@pytest.fixture
def trained(qtbot: QtBot, session: Session, theme: ThemeProvider) -> PositionView:
    view = PositionView(theme, session)
    qtbot.addWidget(view)
    view.resize(560, 420)
    view.show()
    return view


def test_a_trained_table_of_this_shape_is_shown(trained: PositionView, library: Library, until: Until) -> None:
    put_run(library, "grown", scheme("learned"))
    put_run(library, "wider", scheme("learned", d_model=32))
    trained.set_design(scheme("learned"), 64)
    assert trained.nothing is not None
    until(lambda: trained.pictures is not None)
    expected = weights_of(scheme("learned"))["position.weight"].numpy()
    np.testing.assert_array_equal(shown(trained)[0].values, expected.T)
    assert trained.words.text().startswith("Learned by “grown” in 40 steps:")
    trained.source.setCurrentIndex(trained.source.findText("“wider”, step 40, 64 × 32"))
    trained.source.activated.emit(trained.source.currentIndex())
    until(lambda: shown(trained)[0].values.shape == (32, 64))
    assert "another design, 64 × 32" in trained.words.text()


def test_another_shape_is_offered_but_not_taken_for_this_one(
    trained: PositionView, library: Library, until: Until
) -> None:
    put_run(library, "wider", scheme("learned", d_model=32))
    trained.set_design(scheme("learned"), 64)
    until(lambda: trained.source.isVisible())
    assert trained.pictures is None
    assert trained.nothing is not None
    assert "choose a run above" in said(trained.nothing)
    trained.set_design(scheme("rope"), 64)
    assert not trained.source.isVisible()


def test_learned_biases_of_each_stack_can_be_chosen(trained: PositionView, library: Library, until: Until) -> None:
    config = scheme("t5", topology="encoder-decoder", n_bucket=8, max_distance=16)
    put_run(library, "pair", config)
    trained.set_design(config, 64)
    until(lambda: trained.source.isVisible())
    assert shown(trained)[1].title == "Bucket by distance"  # true without training
    trained.source.activated.emit(1)
    until(lambda: shown(trained)[1].title.startswith("Learned bias"))
    trained.head.setValue(3)
    decoder = weights_of(config)["decoder.score_bias.weight"].numpy()
    np.testing.assert_array_equal(shown(trained)[1].series[-1].y[:8:2], decoder[:4, 2])
    trained.stack.choose("encoder")
    trained.stack.changed.emit("encoder")
    encoder = weights_of(config)["encoder.score_bias.weight"].numpy()
    middle = len(shown(trained)[1].places()) // 2
    assert shown(trained)[1].series[-1].y[2 * middle] == encoder[0, 2]
    trained.source.activated.emit(0)
    assert shown(trained)[1].title == "Bucket by distance"


def test_a_damaged_checkpoint_is_a_sentence(
    trained: PositionView, library: Library, heard: Heard, session: Session, until: Until
) -> None:
    folder = put_run(library, "hurt", scheme("learned"))
    (path,) = folder.glob("checkpoints/*/model.safetensors")
    path.write_bytes(b"nothing")
    sentences: list[str] = []
    session.notices.failed.connect(lambda sentence, details: sentences.append(sentence))
    trained.set_design(scheme("learned"), 64)
    until(lambda: bool(sentences))
    assert "model.safetensors is damaged" in sentences[0]
    assert trained.pictures is None


def test_a_scheme_without_pictures_is_not_taken_for_none() -> None:
    heading, _ = SchemeDisplay().nothing(ModelConfig(position="rope"), False)
    assert "No positions" not in heading
    assert "RoPE" in heading
    heading, _ = display_of(ModelConfig(position="none")).nothing(ModelConfig(position="none"), False)
    assert heading.startswith("No positions")
