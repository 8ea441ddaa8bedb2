"""The code of a design runs on its own, holds the same weights, and computes the same as the model itself."""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import random
import runpy
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from terrarium.models.architecture.lookback import is_fixed
from terrarium.models.architecture.transformer import EncoderDecoder, build_model
from terrarium.models.code_view import module_source, reference
from terrarium.models.code_view.reference.model import Model
from terrarium.models.code_view.source import constants
from terrarium.models.design import total_parameters
from terrarium.models.settings.activations import ACTIVATIONS
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.norms import NORMS
from terrarium.models.settings.positions import POSITIONS
from terrarium.models.settings.presets import PRESETS
from tests import ROOT
from tests.models.designs import tiny_design

SMALL: dict[str, Any] = {
    "vocab_size": 37,
    "context_length": 24,
    "n_layer": 2,
    "d_model": 24,
    "n_head": 4,
    "init_std": 0.3,
    "dropout": 0.0,
}


def load(source: str, folder: Path) -> ModuleType:
    # A name of its own: Python takes a module of the same size and second for the one that it has compiled.
    path = folder / f"generated_{len([*folder.iterdir()])}.py"
    path.write_text(source, encoding="utf-8")
    spec = importlib.util.spec_from_file_location("generated", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def check_equal(config: ModelConfig, folder: Path) -> None:
    check_same(config, load(module_source(config), folder).Model())


@torch.no_grad()
def check_same(config: ModelConfig, theirs: nn.Module) -> None:
    """That `theirs` takes the weights of the built model, strictly, and computes the same."""
    torch.manual_seed(0)
    ours = build_model(config).eval()
    for parameter in ours.parameters():  # nothing may hide behind a zero
        nn.init.normal_(parameter, std=0.3)
    theirs.eval().load_state_dict(ours.state_dict())
    ids = torch.randint(0, config.vocab_size, (2, min(17, config.context_length)))
    source = torch.randint(0, config.vocab_size, (2, min(11, config.context_length)))
    if isinstance(ours, EncoderDecoder):
        expected, got = ours(source, ids), theirs(source, ids)
    else:
        expected = ours.hidden(ids) if config.head == "none" else ours(ids)
        got = theirs(ids, ids) if isinstance(theirs, Model) else theirs(ids)
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset(name: str, tmp_path: Path) -> None:
    preset = PRESETS[name]
    small = SMALL | {"n_kv_head": min(preset.n_kv_head, 2), "d_ff": 0, "n_expert": min(preset.n_expert, 3)}
    check_equal(dataclasses.replace(preset, **small), tmp_path)


EVERY = [
    *({"position": name} for name in POSITIONS),
    *({"norm": name} for name in NORMS),
    *({"activation": name} for name in ACTIVATIONS),
    {"position": "rope", "nope_interval": 2},
    {"position": "rope", "rope_fraction": 0.5},
]


@pytest.mark.parametrize("topology", ["decoder-only", "encoder-only", "encoder-decoder"])
@pytest.mark.parametrize("slots", EVERY, ids=str)
def test_every_position_norm_and_activation(slots: dict[str, Any], topology: str, tmp_path: Path) -> None:
    check_equal(ModelConfig(topology=topology, **(SMALL | {"n_encoder_head": 2} | slots)), tmp_path)


def fillings() -> st.SearchStrategy[ModelConfig]:
    """Any legal filling of the slots, small."""
    flag = st.booleans()
    slots: dict[str, st.SearchStrategy[Any]] = {
        "topology": st.sampled_from(("decoder-only", "encoder-only", "encoder-decoder")),
        "position": st.sampled_from(tuple(POSITIONS)),
        "rope_scaling": st.sampled_from(("none", "linear", "dynamic", "llama3", "yarn")),
        "rope_factor": st.sampled_from((1.0, 2.5)),
        "rope_original_context": st.sampled_from((8, 64)),
        "rope_fraction": st.sampled_from((1.0, 0.5, 0.0)),
        "nope_interval": st.sampled_from((0, 1, 2)),
        "n_bucket": st.sampled_from((4, 8)),
        "max_distance": st.sampled_from((16, 20)),
        "norm": st.sampled_from(tuple(NORMS)),
        "norm_place": st.sampled_from(("pre", "post")),
        "embedding_norm": flag,
        "n_head": st.sampled_from((2, 3, 4)),
        "n_kv_head": st.sampled_from((0, 1)),
        "n_encoder_head": st.sampled_from((0, 2, 6)),
        "n_encoder_layer": st.sampled_from((0, 1)),
        "d_head": st.sampled_from((0, 6)),
        "sliding_window": st.sampled_from((0, 1, 5)),
        "qk_norm": flag,
        "scaled_scores": flag,
        "activation": st.sampled_from(tuple(ACTIVATIONS)),
        "d_encoder_ff": st.sampled_from((0, 20)),
        "n_expert": st.sampled_from((0, 3)),
        "conv_width": st.sampled_from((0, 1, 3)),
        "max_ngram": st.sampled_from((0, 2, 3)),
        "ngram_rows": st.sampled_from((7, 50)),
        "head": st.sampled_from(("language", "sequence", "token", "span", "none")),
        "tied_embeddings": flag,
        "head_transform": flag,
        "head_bias": flag,
        "pooler": flag,
        "n_segment": st.sampled_from((0, 2)),
        "bias": st.sampled_from(("all", "attention", "feed-forward", "none")),
        "scaled_embeddings": flag,
        "scaled_logits": flag,
        "zero_init_output": flag,
    }
    drawn = st.fixed_dictionaries(slots).map(lambda values: {**SMALL, **values})
    return drawn.filter(lambda values: not ModelConfig.problems(values)).map(lambda values: ModelConfig(**values))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_random_designs(seed: int, tmp_path: Path) -> None:
    """Equal, and without an unused name, as ruff sees it."""
    draw, n = random.Random(seed), 0
    while n < 30:
        config = tiny_design(draw)
        if config is not None:
            check_equal(config, tmp_path)
            n += 1
    check_format(tmp_path)


@pytest.mark.parametrize("name", [name for name in PRESETS if name.endswith("-tiny")])
def test_the_whole_reference_computes_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a design's constants, but nothing cut."""
    config = dataclasses.replace(PRESETS[name], dropout=0.0)
    parts = [importlib.import_module(f"{reference.__name__}.{part}") for part in reference.PARTS]
    names = [constant for constant in vars(parts[0]) if constant.isupper()]
    for constant, value in constants(config, names).items():
        for part in parts:
            monkeypatch.setattr(part, constant, value)
    check_same(config, Model())


def test_no_torch_is_imported() -> None:
    code = (
        "import sys; from terrarium.models.code_view import module_source; "
        "from terrarium.models.settings.presets import PRESETS; "
        "module_source(PRESETS['gpt2-tiny']); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(config=fillings())
def test_any_filling(config: ModelConfig, tmp_path: Path) -> None:
    check_equal(config, tmp_path)


@pytest.mark.parametrize("name", ["gpt2-tiny", "bert-tiny", "t5-tiny", "moe-tiny"])
def test_it_runs_on_its_own(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing of ours is there for it to import."""
    path = tmp_path / "design.py"
    path.write_text(module_source(PRESETS[name], name), encoding="utf-8")
    for own in [module for module in sys.modules if module.split(".")[0] in ("app", "models", "resources")]:
        monkeypatch.setitem(sys.modules, own, None)
    runpy.run_path(str(path), run_name="__main__")
    said = capsys.readouterr().out
    assert f"{total_parameters(PRESETS[name]):,} parameters" in said
    assert "torch.Size([2, 8, 1024])" in said


def test_it_is_formatted_as_our_own_code_is(tmp_path: Path) -> None:
    for name, config in PRESETS.items():
        path = tmp_path / f"{name.replace('.', '_')}.py"
        path.write_text(module_source(config, name), encoding="utf-8")
    check_format(tmp_path)


def check_format(folder: Path) -> None:
    options = ["--isolated", "--line-length", "120"]
    for command in (["check", "--select", "E,F,W,I,UP"], ["format", "--check"]):
        subprocess.run([sys.executable, "-m", "ruff", *command, *options, str(folder)], check=True)


def test_a_name_cannot_leave_its_place() -> None:
    source = module_source(PRESETS["gpt2-tiny"], '"""\nimport os\n\\')
    compile(source, "design", "exec")
    assert "\nimport os" not in source


def test_a_layer_that_looks_back_begins_as_ours(tmp_path: Path) -> None:
    """But for its factors, which are drawn."""
    looks = {"d_head": 12, "n_head": 8, "n_kv_head": 0, "qk_norm": True, "lookback": 4, "tied_embeddings": True}
    config = dataclasses.replace(PRESETS["llama-tiny"], **(SMALL | looks))
    ours = build_model(config)
    theirs: nn.Module = load(module_source(config), tmp_path).Model()
    expected = {name: parameter for name, parameter in ours.named_parameters() if is_fixed(name, config)}
    for name, parameter in theirs.named_parameters():
        assert parameter.requires_grad == (name not in expected)
        if name.endswith("output.weight") and name in expected:
            assert torch.equal(parameter != 0, expected[name] != 0)
        elif name in expected and not name.endswith(("up.weight", "gate.weight")):
            torch.testing.assert_close(parameter, expected[name], rtol=1e-5, atol=1e-5)
    assert torch.equal(theirs.embedding.weight[:, -1], ours.embedding.weight[:, -1])  # type: ignore[union-attr, index]
    norms = [name for name, _ in ours.named_parameters() if name.endswith("norm.weight")]
    for name in norms:
        torch.testing.assert_close(theirs.get_parameter(name), ours.get_parameter(name), rtol=1e-5, atol=1e-5)
