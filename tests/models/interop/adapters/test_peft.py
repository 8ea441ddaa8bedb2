"""LoRA adapters: the same logits, gradients and merged weights as PEFT's, both ways; and what cannot be read."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor

from terrarium.models.architecture.lora import LoraLinear
from terrarium.models.architecture.transformer import AnyModel
from terrarium.models.data.batch import Batch
from terrarium.models.events import Notice, result_of
from terrarium.models.interop.adapters.peft import CONFIG, WEIGHTS, export_peft, import_peft
from terrarium.models.interop.export import export_hf
from terrarium.models.interop.loading import load_model
from terrarium.models.library.library import Library
from terrarium.models.training.objective import weighted_nll
from terrarium.models.training.setup import set_up
from tests.models.interop import support
from tests.models.interop.adapters.support import DESIGNS, IDS, MODULES, Case, make_case
from tests.models.interop.support import drive
from tests.models.training.support import make_run, train

pytestmark = pytest.mark.filterwarnings("ignore")  # PEFT's, about things that are as they should be


@pytest.fixture(scope="module", autouse=True)
def no_model_cards() -> Iterator[None]:
    """PEFT writes one beside each adapter, which takes as long as the adapter itself."""
    from peft import PeftModel

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PeftModel, "create_or_update_model_card", lambda model, folder: None)
        yield


@pytest.fixture(scope="module", params=["llama", "mistral", "gpt2"])
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    return make_case(request.param, tmp_path_factory.mktemp("peft"))


def assert_close(ours: Tensor, theirs: Tensor) -> None:
    """Equal but for rounding: float32 with sums in another order differs by 1.2e-6 at most."""
    support.assert_close(ours, theirs, tolerance=1e-5)


def logits(model: Any) -> Tensor:
    with torch.no_grad():
        found = model(IDS)
    return getattr(found, "logits", found)


def merged(model: AnyModel, folder: Path) -> dict[str, Tensor]:
    """The weights of one of ours by the names there."""
    return load_file(result_of(export_hf(model, None, folder)) / "model.safetensors")


@pytest.mark.parametrize("tune", [{}, {"lora_r": 3, "lora_rslora": True, "lora_alpha": 5.0}], ids=["plain", "rslora"])
def test_ours_computes_the_same_there(case: Case, tmp_path: Path, tune: dict[str, Any]) -> None:
    from peft import PeftModel, get_peft_model_state_dict

    run = case.tuned(**tune)
    folder = result_of(export_peft(run, tmp_path / "adapter"))
    model = PeftModel.from_pretrained(case.base(), folder).eval()
    ours = load_model(run.folder)[0]
    assert_close(logits(ours), logits(model))
    assert (logits(ours) - logits(load_model(case.parent.folder)[0])).abs().max() > 0.01
    assert set(load_file(folder / WEIGHTS)) == set(get_peft_model_state_dict(model))
    theirs = model.merge_and_unload().state_dict()
    for name, weight in merged(ours, tmp_path / "merged").items():
        assert_close(weight, theirs[name])


@settings(max_examples=2, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    r=st.integers(1, 5), alpha=st.integers(1, 8), is_rs=st.booleans(), seed=st.integers(0, 99), patterned=st.booleans()
)
def test_theirs_computes_the_same_here(
    case: Case, tmp_path_factory: pytest.TempPathFactory, r: int, alpha: int, is_rs: bool, seed: int, patterned: bool
) -> None:
    from peft import PeftModel

    folder, first = tmp_path_factory.mktemp("one") / "adapter", MODULES[case.family][0]
    patterns = {"rank_pattern": {first: r + 1}, "alpha_pattern": {first: 2 * alpha}} if patterned else {}
    model = case.adapter(folder, seed, r=r, lora_alpha=alpha, use_rslora=is_rs, **patterns)
    run = result_of(import_peft(folder, case.parent.id, case.library))
    assert run.status == "imported"
    assert_close(logits(load_model(run.folder)[0]), logits(model))
    again = result_of(export_peft(run, folder.parent / "again"))
    assert_close(logits(PeftModel.from_pretrained(case.base(), again).eval()), logits(model))


def test_only_some_matrices_may_be_adapted(case: Case, tmp_path: Path) -> None:
    model = case.adapter(tmp_path / "adapter", target_modules=MODULES[case.family][:1])
    run = result_of(import_peft(tmp_path / "adapter", case.parent.id, case.library))
    assert_close(logits(load_model(run.folder)[0]), logits(model))


def test_the_gradients_of_an_adapter(case: Case, tmp_path: Path) -> None:
    from peft import PeftModel

    run = case.tuned()
    folder = result_of(export_peft(run, tmp_path / "adapter"))
    model = PeftModel.from_pretrained(case.base(), folder, is_trainable=True)
    ours = result_of(set_up(run, case.library, "cpu", None)).model
    weights = torch.ones(3, 19)
    weighted_nll(ours, Batch(inputs=IDS[:, :-1], targets=IDS[:, 1:], weights=weights)).backward()
    (model(IDS, labels=IDS).loss * weights.sum()).backward()
    found = {name.replace(".default", ""): parameter.grad for name, parameter in model.named_parameters()}
    layers = {name: layer for name, layer in ours.named_modules() if isinstance(layer, LoraLinear)}
    if case.family == "gpt2":  # query, key and value are one matrix there
        theirs = found["base_model.model.transformer.h.1.attn.c_attn.lora_A.weight"]
        parts = [layers[f"blocks.1.attention.{name}"].lora_a.grad for name in ("query", "key", "value")]
        assert_close(torch.cat([part for part in parts if part is not None]), theirs)
        name = "base_model.model.transformer.h.0.mlp.c_fc"
    else:
        name = "base_model.model.model.layers.0.mlp.up_proj"
    layer = layers["blocks.0.feed_forward.up"]
    for ours_grad, letter in ((layer.lora_a.grad, "A"), (layer.lora_b.grad, "B")):
        assert ours_grad is not None
        assert_close(ours_grad, found[f"{name}.lora_{letter}.weight"])


def change(**options: Any) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        file = folder / CONFIG
        file.write_text(json.dumps(json.loads(file.read_text()) | options))

    return apply


def cut(folder: Path) -> None:
    data = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(data[: len(data) // 2])


def lose_one(folder: Path) -> None:
    tensors = load_file(folder / WEIGHTS)
    del tensors[min(tensors)]
    save_file(tensors, folder / WEIGHTS)


def pickled(folder: Path) -> None:
    (folder / WEIGHTS).rename(folder / "adapter_model.bin")


@pytest.mark.parametrize("case", ["llama"], indirect=True)
@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (change(peft_type="IA3"), "'IA3' are not supported"),
        (change(use_dora=True), "DoRA is not supported"),
        (change(modules_to_save=["lm_head"]), "modules_to_save is not supported"),
        (change(bias="all"), "trained biases are not supported"),
        (change(init_lora_weights="pissa"), "begin as 'pissa'"),
        (change(r="eight"), "is damaged: its r"),
        (change(alpha_pattern={"(a+)+$": 3}), "regular expression"),
        (cut, f"{WEIGHTS} is damaged"),
        (lose_one, "only one of the two matrices"),
        (pickled, "can run code when it is opened"),
        (lambda folder: (folder / WEIGHTS).unlink(), f"{WEIGHTS} is missing"),
    ],
)
def test_an_adapter_that_cannot_be_read(
    case: Case, tmp_path: Path, damage: Callable[[Path], None], complaint: str
) -> None:
    case.adapter(tmp_path / "adapter")
    damage(tmp_path / "adapter")
    runs = sorted(case.library.runs.iterdir())
    with pytest.raises(ValueError, match=re.escape(complaint)):
        result_of(import_peft(tmp_path / "adapter", case.parent.id, case.library))
    assert sorted(case.library.runs.iterdir()) == runs


@pytest.mark.parametrize("case", ["llama"], indirect=True)
@pytest.mark.parametrize("other", ["gpt2-tiny", "wider", "shallower"])
def test_an_adapter_for_another_model(case: Case, tmp_path: Path, other: str) -> None:
    case.adapter(tmp_path / "adapter")
    designs = {
        "gpt2-tiny": DESIGNS["gpt2"],
        "wider": dataclasses.replace(DESIGNS["llama"], d_ff=56),
        "shallower": dataclasses.replace(DESIGNS["llama"], n_layer=1),
    }
    library = Library(tmp_path / "home")
    run = make_run(library, designs[other], steps=1, sample_interval=0, eval_interval=0)
    train(run, library)
    with pytest.raises(ValueError, match="the adapter belongs to another model"):
        result_of(import_peft(tmp_path / "adapter", run.id, library))


@pytest.mark.parametrize("family", ["experts", "ours"])
def test_experts_and_a_design_that_no_class_computes(family: str, tmp_path: Path) -> None:
    from peft import PeftModel

    case = make_case(family, tmp_path / "home")
    run = case.tuned()
    events, folder = drive(export_peft(run, tmp_path / "adapter"))
    said = [event.sentence for event in events if isinstance(event, Notice)]
    assert ["contains its code" in sentence for sentence in said] == [True] * (family == "ours")
    ours = logits(load_model(run.folder)[0])
    assert_close(ours, logits(PeftModel.from_pretrained(case.base(), folder).eval()))
    assert (ours - logits(load_model(case.parent.folder)[0])).abs().max() > 0.01
    back = result_of(import_peft(folder, case.parent.id, case.library))
    assert torch.equal(logits(load_model(back.folder)[0]), ours)


def test_an_adapter_with_our_names_alone_is_read(tmp_path: Path) -> None:
    """As they were written once."""
    case = make_case("ours", tmp_path / "home")
    run = case.tuned()
    folder = result_of(export_peft(run, tmp_path / "adapter"))
    tensors = {
        name.replace("base_model.model.model.", "base_model.model."): tensor
        for name, tensor in load_file(folder / WEIGHTS).items()
    }
    save_file(tensors, folder / WEIGHTS)
    back = result_of(import_peft(folder, case.parent.id, case.library))
    assert torch.equal(logits(load_model(back.folder)[0]), logits(load_model(run.folder)[0]))


@pytest.mark.parametrize("case", ["llama"], indirect=True)
def test_what_is_no_adapter_alone_is_not_exported_as_one(case: Case, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has no LoRA adapter to export"):
        result_of(export_peft(case.parent, tmp_path / "a"))
    with pytest.raises(ValueError, match=r"trained more than its adapter \(embedding.weight\)"):
        result_of(export_peft(case.tuned(train_embeddings=True), tmp_path / "a"))
