"""Exporting a run's model from the window."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QFileDialog, QRadioButton
from pytestqt.qtbot import QtBot

from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.run.export_dialog import ExportDialog
from terrarium.app.session.routes import NewRun
from terrarium.app.session.session import Session
from terrarium.app.training.training_tab import TrainingTab
from terrarium.models.inference.weight_kinds import GGUF_FORMATS
from terrarium.models.interop.adapters.gguf import is_gguf_adapter
from terrarium.models.interop.graphs.graphs import LOOKBACK_STEPS, with_previous_token_heads
from terrarium.models.interop.loading import load_config
from terrarium.models.interop.publish.onnx_fit import onnx_packages_missing
from terrarium.models.library.library import Library
from terrarium.models.number_words import format_size
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.presets import PRESETS
from tests.app.heard import Until, entries_of
from tests.app.leading import FewTabs
from tests.models.interop.adapters.support import make_case
from tests.models.interop.publish.fake_hub import TOKEN, running_hub
from tests.models.training.support import make_run as prepared_run
from tests.models.training.support import train

SIZES = {"vocab_size": 261, "context_length": 32, "n_layer": 1, "n_head": 2, "n_kv_head": 0, "d_model": 32}
LLAMA = dataclasses.replace(PRESETS["llama-tiny"], **SIZES, d_ff=64)  # type: ignore[arg-type]
OURS = dataclasses.replace(PRESETS["terrarium-tiny"], **SIZES)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Libraries with one finished run each."""
    made = {}
    for name, config in (("llama", LLAMA), ("ours", OURS)):
        library = Library(tmp_path_factory.mktemp(name))
        train(prepared_run(library, config, steps=4, checkpoint_interval=4), library)
        made[name] = library.home
    made["adapter"] = make_case("llama", tmp_path_factory.mktemp("adapter")).tuned().folder.parents[1]
    return made


@pytest.fixture
def session_with(session: Session, homes: dict[str, Path], request: pytest.FixtureRequest) -> Session:
    shutil.copytree(homes[request.param], session.library.home, dirs_exist_ok=True)
    session.runs.changed.emit()
    return session


def opened(session: Session, theme: ThemeProvider, qtbot: QtBot) -> ExportDialog:
    run = min(session.runs.list(), key=lambda run: not run.is_tuned)
    assert run.spec is not None
    dialog = ExportDialog(session, theme, run, run.spec.model)
    qtbot.addWidget(dialog)
    dialog.show()
    return dialog


@pytest.mark.parametrize("session_with", ["llama"], indirect=True)
def test_a_gguf_file_is_written_measured_and_its_commands_copied(
    session_with: Session, theme: ThemeProvider, qtbot: QtBot, tmp_path: Path
) -> None:
    dialog = opened(session_with, theme, qtbot)
    formats = dialog.formats.findChildren(QRadioButton)
    assert [choice.text() for choice in formats] == list(GGUF_FORMATS)
    assert dialog.quantisation == "Q8_0"
    qtbot.waitUntil(lambda: dialog.formats.size_of("Q8_0") not in ("", "…"))
    formats[1].click()
    assert dialog.quantisation == "F16"
    dialog.place.setText(str(tmp_path / "small.gguf"))
    dialog.licence.setText("mit")
    qtbot.mouseClick(dialog.start, Qt.MouseButton.LeftButton)
    assert dialog.export.busy
    assert dialog.cancel.text() == "Cancel"
    assert not dialog.start.isEnabled()
    qtbot.waitUntil(dialog.outcome.isVisible)
    size = (tmp_path / "small.gguf").stat().st_size
    assert dialog.outcome.title.text() == f"{tmp_path / 'small.gguf'} ({format_size(size)})"
    assert dialog.outcome.cost.text().startswith("Perplexity, read back from the file: ")
    qtbot.mouseClick(dialog.outcome.copy, Qt.MouseButton.LeftButton)
    assert QGuiApplication.clipboard().text().splitlines() == [
        f'ollama create small -f "{tmp_path / "small.Modelfile"}"',
        "ollama run small",
    ]
    assert load_config(tmp_path / "small.gguf").ff_width == 64
    assert 'LICENSE """mit"""' in (tmp_path / "small.Modelfile").read_text()
    qtbot.mouseClick(dialog.start, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: "exists already" in dialog.problem.text())
    assert dialog.problem.isVisible()
    assert not dialog.outcome.isVisible()


@pytest.mark.parametrize("session_with", ["ours"], indirect=True)
def test_a_design_without_a_graph_says_so_and_goes_as_a_folder(
    session_with: Session, theme: ThemeProvider, qtbot: QtBot, tmp_path: Path
) -> None:
    dialog = opened(session_with, theme, qtbot)
    qtbot.waitUntil(dialog.refusal.isVisible)
    assert "cannot run this design" in dialog.refusal.text()
    assert "Short convolution 0 (here 4)" in " ".join(dialog.refusal.toolTip().split())
    assert not dialog.start.isEnabled()
    assert not any(each.isVisible() for each in (dialog.formats, dialog.place, dialog.licence))
    with qtbot.waitSignal(dialog.same_asked) as asked:
        qtbot.mouseClick(dialog.same, Qt.MouseButton.LeftButton)
    (design,) = asked.args
    assert design == with_previous_token_heads(OURS)
    dialog.show()
    dialog.kind.choose("hf")
    dialog.kind.changed.emit("hf")
    assert not dialog.refusal.isVisible()
    assert "trust_remote_code=True" in dialog.about.text()
    dialog.place.setText(str(tmp_path / "folder"))
    qtbot.mouseClick(dialog.start, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(dialog.outcome.isVisible)
    names = {path.name for path in (tmp_path / "folder").iterdir()}
    assert {"config.json", "model.safetensors", "modeling_terrarium.py", "tokenizer.json", "README.md"} <= names
    assert "# " in (tmp_path / "folder" / "README.md").read_text("utf-8")


@pytest.mark.parametrize("session_with", ["adapter"], indirect=True)
def test_another_format_keeps_the_folder_and_the_file_dialog_suggests_the_name_that_is_there(
    session_with: Session, theme: ThemeProvider, qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = next(run for run in session_with.runs.list() if run.is_tuned)
    assert run.spec is not None
    dialog = ExportDialog(session_with, theme, run, run.spec.model)
    qtbot.addWidget(dialog)
    dialog.show()
    dialog.place.setText(str(tmp_path / "mine.gguf"))
    for words, name in (
        ("ONNX", f"{run.name}.onnx"),
        ("Hugging Face folder", run.name),
        ("LoRA adapter", f"{run.name}-adapter"),
        ("GGUF file for llama.cpp", f"{run.name}-adapter.gguf"),
    ):
        pressed(dialog, words)
        assert Path(dialog.place.text()) == tmp_path / name
    asked: list[str] = []
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *given: (asked.append(given[2]), ("", ""))[1])
    qtbot.mouseClick(dialog.choose, Qt.MouseButton.LeftButton)
    assert asked == [f"{run.name}-adapter.gguf"], "a name of its own, beside the model's file"
    assert Path(dialog.place.text()) == tmp_path / asked[0]


@pytest.mark.parametrize("session_with", ["llama"], indirect=True)
def test_closing_while_it_writes_leaves_nothing(
    session_with: Session, theme: ThemeProvider, qtbot: QtBot, tmp_path: Path
) -> None:
    dialog = opened(session_with, theme, qtbot)
    dialog.place.setText(str(tmp_path / "small.gguf"))
    qtbot.mouseClick(dialog.start, Qt.MouseButton.LeftButton)
    dialog.close()
    assert not dialog.export.busy
    qtbot.waitUntil(lambda: not list(tmp_path.glob(".tmp-*")))


@pytest.mark.parametrize("session_with", ["llama"], indirect=True)
def test_the_runs_menu_opens_it(session_with: Session, theme: ThemeProvider, qtbot: QtBot, until: Until) -> None:
    tab = TrainingTab(session_with, theme)
    FewTabs(session_with, training=tab)
    qtbot.addWidget(tab)
    tab.show()
    (run,) = session_with.runs.list()
    tab.show_run(run.id)
    until(lambda: tab.run_view.follower.is_loaded)
    entries_of(tab.run_view.head.more.menu())["Export the model…"].trigger()
    [dialog] = tab.window().findChildren(ExportDialog)
    assert dialog.windowTitle() == f"Export {run.name}"
    assert dialog.place.text().endswith(".gguf")
    dialog.close()


@pytest.mark.parametrize("session_with", ["ours"], indirect=True)
def test_the_same_run_is_proposed_with_a_design_that_can_leave(
    session_with: Session, theme: ThemeProvider, qtbot: QtBot, until: Until
) -> None:
    tab = TrainingTab(session_with, theme)
    FewTabs(session_with, training=tab)
    qtbot.addWidget(tab)
    tab.show()
    (run,) = session_with.runs.list()
    tab.show_run(run.id)
    until(lambda: tab.run_view.follower.is_loaded)
    session_with.go(NewRun(like=run.id, design=with_previous_token_heads(OURS)))
    assert tab.pages.currentWidget() is tab.new_run
    design = dataclasses.replace(session_with.designs.current, vocab_size=OURS.vocab_size)
    assert design == with_previous_token_heads(OURS)
    assert run.spec is not None
    assert tab.new_run.form.config.steps == round(run.spec.train.steps * LOOKBACK_STEPS)
    assert tab.new_run.draft.like == run.name
    review = tab.new_run.review
    assert review.like.text() == f"Like “{run.name}”, for llama.cpp"
    assert "takes the place of the short convolutions" in review.differs.text()
    assert f"{round(4 * LOOKBACK_STEPS)} steps are proposed, not 4" in review.differs.text()
    tab.new_run.show_template(run.id)
    assert (review.like.text(), review.differs.text()) == (f"Like “{run.name}”", "")


def test_a_design_that_fits_a_published_class_names_it() -> None:
    from terrarium.app.run.export_dialog import about_folder

    assert about_folder(LLAMA).startswith("For LlamaForCausalLM of transformers.")
    assert about_folder(ModelConfig(n_expert=4)).startswith("Hugging Face's transformers does not know")


@pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # of huggingface_hub
@pytest.mark.parametrize("session_with", ["llama"], indirect=True)
def test_a_model_is_uploaded_to_the_hub(
    session_with: Session, theme: ThemeProvider, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    monkeypatch.setattr("terrarium.models.interop.publish.hub_token._keyring", lambda: None)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    dialog = opened(session_with, theme, qtbot)
    with running_hub() as hub:
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.address)
        next(each for each in dialog.kind.buttons.buttons() if each.text() == "Hugging Face hub").click()
        assert not dialog.place.isVisible()
        qtbot.waitUntil(lambda: "There is no system keyring here" in dialog.hub.about_token.text())
        assert not dialog.start.isEnabled()
        dialog.hub.name.setText("small")
        dialog.hub.pasted.setText(TOKEN)
        assert dialog.hub.pasted.displayText() != TOKEN
        assert not dialog.hub.is_public
        dialog.licence.setText("mit")
        assert dialog.start.text() == "Upload"
        hub.fails = {"/repos/create": 403}
        qtbot.mouseClick(dialog.start, Qt.MouseButton.LeftButton)
        qtbot.waitUntil(dialog.problem.isVisible)
        assert dialog.problem.text().startswith("This token may not write to small")
        hub.fails = {}
        qtbot.mouseClick(dialog.start, Qt.MouseButton.LeftButton)
        qtbot.waitUntil(dialog.outcome.isVisible)
        assert dialog.outcome.title.text() == f"{hub.address}/anna/small"
        assert "It is private" in dialog.outcome.cost.text()
        assert hub.models == {"anna/small": True}
        assert b'license: "mit"' in hub.files["README.md"]
        assert b'from_pretrained("anna/small")' in hub.files["README.md"]
        assert not dialog.hub.token  # forgotten, since there is no keyring
        opened_pages = []
        monkeypatch.setattr(
            "terrarium.app.run.export_outcome.QDesktopServices.openUrl", lambda url: opened_pages.append(url.toString())
        )
        qtbot.mouseClick(dialog.outcome.open, Qt.MouseButton.LeftButton)
        assert opened_pages == [f"{hub.address}/anna/small"]
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        dialog.export.look_up_token()
        qtbot.waitUntil(dialog.start.isEnabled)
        assert dialog.hub.about_token.text().startswith("A token was found")


def pressed(dialog: ExportDialog, words: str) -> None:
    """Press the segment of these words."""
    buttons = (*dialog.kind.buttons.buttons(), *dialog.adapter_as.buttons.buttons())
    next(each for each in buttons if each.text() == words).click()


@pytest.mark.parametrize("session_with", ["llama"], indirect=True)
def test_an_onnx_file_needs_the_extra_and_is_compared(
    session_with: Session, theme: ThemeProvider, qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as without:
        without.setattr("terrarium.models.interop.publish.onnx_fit._PACKAGES", ("a_package_that_nobody_has",))
        dialog = opened(session_with, theme, qtbot)
        assert not dialog.refusal.isVisible()
        pressed(dialog, "ONNX")
        assert "uv tool install 'llm-terrarium[onnx]'" in dialog.refusal.text()
        assert dialog.refusal.isVisible()
        assert not dialog.start.isEnabled()
    if onnx_packages_missing():
        pytest.skip("without the extra “onnx”")
    dialog = opened(session_with, theme, qtbot)
    pressed(dialog, "ONNX")
    assert "reads the whole text again for each token" in dialog.about.text()
    assert dialog.place.text().endswith(".onnx")
    dialog.place.setText(str(tmp_path / "small.onnx"))
    qtbot.mouseClick(dialog.start, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(dialog.outcome.isVisible)
    assert "differ by at most" in dialog.outcome.cost.text()
    assert "input_ids, attention_mask" in dialog.outcome.notes.text()
    assert (tmp_path / "small.onnx").is_file()


@pytest.mark.parametrize("session_with", ["ours"], indirect=True)
def test_a_run_without_an_adapter_offers_none(session_with: Session, theme: ThemeProvider, qtbot: QtBot) -> None:
    dialog = opened(session_with, theme, qtbot)
    assert "LoRA adapter" not in [each.text() for each in dialog.kind.buttons.buttons()]


@pytest.mark.parametrize("session_with", ["adapter"], indirect=True)
def test_an_adapter_goes_alone_as_a_folder_or_a_file(
    session_with: Session, theme: ThemeProvider, qtbot: QtBot, tmp_path: Path
) -> None:
    dialog = opened(session_with, theme, qtbot)
    assert not dialog.adapter_as.isVisible()
    pressed(dialog, "LoRA adapter")
    assert dialog.place.text().endswith("-adapter")
    assert not dialog.licence.isVisible()
    dialog.place.setText(str(tmp_path / "folder"))
    qtbot.mouseClick(dialog.start, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(dialog.outcome.isVisible)
    assert {path.name for path in (tmp_path / "folder").iterdir()} == {
        "adapter_config.json", "adapter_model.safetensors", "tokenizer.json", "tokenizer_config.json"
    }  # fmt: skip
    assert dialog.outcome.cost.text() == "It goes with the Hugging Face folder of “small”."
    assert dialog.outcome.commands.text() == f'PeftModel.from_pretrained(model, "{tmp_path / "folder"}")'
    pressed(dialog, "GGUF file for llama.cpp")
    assert not dialog.outcome.isVisible()
    assert dialog.place.text().endswith("-adapter.gguf")
    dialog.place.setText(str(tmp_path / "small.gguf"))
    qtbot.mouseClick(dialog.start, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(dialog.outcome.isVisible)
    assert is_gguf_adapter(tmp_path / "small.gguf")
    assert dialog.outcome.commands.text() == f'llama-cli -m MODEL.gguf --lora "{tmp_path / "small.gguf"}"'
