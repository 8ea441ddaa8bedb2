"""A run from the weights of another model: what it starts from, what it trains, and that it needs nothing else."""

import dataclasses
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from tokenizers import Tokenizer
from torch import Tensor

from terrarium.models.architecture.lora import merged
from terrarium.models.architecture.transformer import AnyModel, build_model
from terrarium.models.design import trained_parameters
from terrarium.models.events import RunStarted, TrainMetrics
from terrarium.models.inspect.position_weights import (
    PositionRunsFound,
    PositionWeightsRead,
    find_position_runs,
    read_position_weights,
)
from terrarium.models.interop.loading import load_model
from terrarium.models.library.library import Library
from terrarium.models.library.run_record import checkpoint_step, inspect_run
from terrarium.models.runs.fork import fork_run, spec_like
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.run_spec import DataSpec, RunSpec, TokenizerSpec, TrainConfig
from terrarium.models.settings.spec_changes import changed_spec
from terrarium.models.settings.tune_spec import TuneSpec
from terrarium.models.training.trainer import Trainer, prepare_run
from terrarium.models.training.tuning import build_run_model, keeps_head_of, tuned_design
from tests.models.training.support import assert_same_end, final_weights, make_spec, result_of, train

Trained = Callable[..., RunFolder]

MODES: dict[str, dict[str, Any]] = {
    "all": {},
    "last": {"n_last": 1},
    "head": {"train_embeddings": True},
    "lora": {"lora_r": 2, "lora_dropout": 0.1},
    "rows": {"mode": "lora", "lora_r": 2, "lora_rslora": True, "train_embeddings": True},
}


@pytest.fixture
def tiny_config(tiny_config: ModelConfig) -> ModelConfig:
    """With two layers, of which one may be frozen."""
    return dataclasses.replace(tiny_config, n_layer=2)


@pytest.fixture
def parent(trained_at_once: Trained, tiny_config: ModelConfig) -> RunFolder:
    """A trained run, shared by all tests."""
    return trained_at_once(tiny_config, steps=6)


def tuned_spec(library: Library, parent: RunFolder, mode: str, **settings: Any) -> RunSpec:
    """A spec that starts from `parent`, a run of another library, and trains for a few steps."""
    spec = make_spec(library.home, ModelConfig(), **{"optimizer": "adamw", "lr": 1e-3, "layer_interval": 2} | settings)
    tune = TuneSpec(**{"parent": str(parent.folder), "mode": mode} | MODES[mode])
    return dataclasses.replace(spec, name="tuned", tune=tune)


def tuned_run(library: Library, parent: RunFolder, mode: str, **settings: Any) -> RunFolder:
    return result_of(prepare_run(library, tuned_spec(library, parent, mode, **settings)))


class Tuned(NamedTuple):
    """A run that was trained to its end in `library`, and the model as it was in memory then."""

    library: Library
    run: RunFolder
    model: AnyModel


@pytest.fixture(scope="module")
def all_tuned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Library, dict[str, Tuned]]:
    """What `tuned` has trained so far, and the library of it."""
    return Library(tmp_path_factory.mktemp("tuned")), {}


@pytest.fixture
def tuned(all_tuned: tuple[Library, dict[str, Tuned]], parent: RunFolder) -> Callable[[str], Tuned]:
    """The run of a mode, trained in one go, once for all tests; they must leave it as it is."""
    library, done = all_tuned

    def tuned_in(mode: str) -> Tuned:
        if mode not in done:
            run = tuned_run(library, parent, mode, keep_checkpoints=9)
            trainer = Trainer(run, library, device="cpu")
            list(trainer.events())
            done[mode] = Tuned(library, RunFolder.open(run.folder), trainer.model)
        return done[mode]

    return tuned_in


def weights_of(path: Path) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in load_model(path)[0].state_dict().items()}


def logits(model: AnyModel) -> Tensor:
    with torch.no_grad():
        return model.eval()(torch.arange(12)[None])  # type: ignore[no-any-return]


def started(run: RunFolder, library: Library) -> AnyModel:
    """The model of a run before its first step."""
    trainer = Trainer(run, library, device="cpu")
    events = trainer.events()
    next(event for event in events if isinstance(event, RunStarted))
    model = trainer.model
    events.close()
    return model


@pytest.mark.parametrize("mode", MODES)
def test_step_0_is_the_parent(library: Library, parent: RunFolder, mode: str) -> None:
    model = started(tuned_run(library, parent, mode), library)
    expected = logits(load_model(parent.folder)[0])
    assert torch.equal(logits(model), expected)
    model.train()  # the parent has no dropout, and what LoRA drops is multiplied by zeros
    with torch.no_grad():
        assert torch.equal(model(torch.arange(12)[None]), expected)


TRAINED = {
    "all": "",
    "last": r"blocks\.1\.|final_norm",
    "head": r"embedding",
    "lora": r".*\.lora_[ab]",
    "rows": r".*\.lora_[ab]|embedding",
}


@pytest.mark.parametrize("mode", MODES)
def test_what_is_frozen_stays_bit_for_bit_and_only_the_rest_is_saved(
    parent: RunFolder, mode: str, tuned: Callable[[str], Tuned]
) -> None:
    run = tuned(mode).run
    counted = trained_parameters(run.spec.model, run.spec.tune).total
    assert run.measured["trained_parameters"] == counted
    before, after, saved = weights_of(parent.folder), weights_of(run.folder), final_weights(run)
    changed = {name for name in after if not torch.equal(before[name], after[name])}
    assert all(re.match(TRAINED[mode], name) for name in saved)
    if "lora" in MODES[mode].get("mode", mode):
        adapted = {name.replace(".lora_a", ".weight") for name in saved if name.endswith(".lora_a")}
        assert len(adapted) == 2 * 6  # query, key, value, output, up and down of two layers
        assert changed == adapted | (saved.keys() & before.keys())
    else:
        assert changed == saved.keys()


@pytest.mark.parametrize("mode", MODES)
def test_a_loaded_run_computes_what_was_trained(parent: RunFolder, mode: str, tuned: Callable[[str], Tuned]) -> None:
    _, run, model = tuned(mode)
    trained, loaded = logits(model), logits(load_model(run.folder)[0])
    assert (trained - loaded).abs().max() < 1e-5
    if mode in ("all", "last", "head"):
        assert torch.equal(trained, loaded)
    assert not torch.equal(loaded, logits(load_model(parent.folder)[0]))


@pytest.mark.parametrize("mode", MODES)
def test_a_tuned_run_resumes_exactly_without_its_parent(
    library: Library, tmp_path: Path, parent: RunFolder, mode: str, tuned: Callable[[str], Tuned]
) -> None:
    reference = tuned(mode).run
    copy = shutil.copytree(parent.folder, tmp_path / "parent")
    run = tuned_run(library, RunFolder.open(copy), mode, keep_checkpoints=9)
    shutil.rmtree(copy)
    for stop_at in (2, 5):
        trainer = Trainer(RunFolder.open(run.folder), library, device="cpu")
        for event in trainer.events():
            if isinstance(event, TrainMetrics) and event.step == stop_at:
                trainer.request_stop()
        torch.rand(5)
    train(run, library)
    assert_same_end(run, reference)
    assert_same_weights(weights_of(run.folder), weights_of(reference.folder))


def assert_same_weights(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    assert [name for name in one if not torch.equal(one[name], other[name])] == []


def test_its_lineage_names_the_parent_and_what_that_learned(library: Library, parent: RunFolder) -> None:
    run = RunFolder.open(tuned_run(library, parent, "all").folder)
    assert run.lineage["parent"] == {"kind": "weights", "run": parent.id, "name": parent.name, "step": 6}
    assert run.lineage["parent_corpus"] == parent.lineage["corpus"]
    assert run.lineage["tokenizer"] == parent.lineage["tokenizer"]
    assert run.spec.model == parent.spec.model
    assert inspect_run(run.folder).parent == (parent.id, 6)


@pytest.mark.parametrize("mode", ["all", "lora"])
def test_a_fork_and_a_run_like_a_tuned_one(parent: RunFolder, mode: str, tuned: Callable[[str], Tuned]) -> None:
    library, run, _ = tuned(mode)
    fork = fork_run(library, run, 6)
    train(fork, library)
    assert_same_weights(weights_of(fork.folder), weights_of(run.folder))
    assert fork.lineage["parent_corpus"] == parent.lineage["corpus"]
    again = result_of(prepare_run(library, spec_like(library, run)))
    train(again, library)
    assert_same_weights(weights_of(again.folder), weights_of(run.folder))


def test_adapters_are_merged_and_put_back_bit_for_bit(tuned: Callable[[str], Tuned]) -> None:
    _, run, model = tuned("lora")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    apart = logits(model)
    with merged(model):
        assert_same_weights(dict(model.state_dict()), weights_of(run.folder))
        assert torch.equal(logits(model), logits(load_model(run.folder)[0]))
    assert_same_weights(dict(model.state_dict()), before)
    assert torch.equal(logits(model), apart)


def test_any_step_and_any_tuned_run_can_be_a_parent(library: Library, parent: RunFolder) -> None:
    run = tuned_run(library, parent, "lora", keep_checkpoints=9)
    train(run, library)
    for name, path in {
        "tuned@3": run.checkpoint_path(3),
        f"{run.id}@best": run.checkpoint_path(RunFolder.open(run.folder).best_step or -1),
        str(run.checkpoint_path(6)): run.checkpoint_path(6),
        str(run.folder): run.checkpoint_path(10),
    }.items():
        spec = tuned_spec(library, parent, "lora")
        assert spec.tune is not None
        child = result_of(
            prepare_run(library, dataclasses.replace(spec, tune=dataclasses.replace(spec.tune, parent=name)))
        )
        assert_same_weights(weights_of(child.folder / "base"), weights_of(path))
        assert child.spec.tune is not None
        assert child.spec.tune.parent == f"{run.id}@{checkpoint_step(path)}"


def test_a_run_like_one_whose_parent_is_gone_starts_from_what_that_has_kept(
    library: Library, tmp_path: Path, parent: RunFolder
) -> None:
    gone = RunFolder.open(shutil.copytree(parent.folder, tmp_path / "gone"))
    run = tuned_run(library, gone, "lora")
    assert run.spec.tune is not None
    assert spec_like(library, run).tune == run.spec.tune
    shutil.rmtree(gone.folder)
    for _ in range(2):  # also of one that was made so
        run = result_of(prepare_run(library, spec_like(library, run)))
        assert_same_weights(weights_of(run.folder / "base"), weights_of(parent.checkpoint_path(6)))
        assert run.lineage["parent"] == {"kind": "weights", "run": parent.id, "name": parent.name, "step": 6}


def test_the_weights_of_a_run_on_the_same_disk_take_no_room(library: Library, parent: RunFolder) -> None:
    run = tuned_run(library, parent, "all")
    kept, own = run.folder / "base" / "model.safetensors", parent.checkpoint_path(6) / "model.safetensors"
    assert kept.samefile(own)


def put(name: str, value: object) -> Callable[[RunSpec], RunSpec]:
    return lambda spec: changed_spec(spec, {name: value})


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (put("tune.parent", "nobody"), "There is no run called 'nobody'"),
        (put("tune.parent", "/nowhere/at/all"), "There is no run called '/nowhere/at/all'"),
        (put("train.optimizer", "muon"), "LoRA is not trained with Muon"),
        (put("tune.mode", "head"), "This model's head is its embedding table"),
    ],
)
def test_a_run_that_cannot_start(
    library: Library, parent: RunFolder, change: Callable[[RunSpec], RunSpec], complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        result_of(prepare_run(library, change(tuned_spec(library, parent, "lora"))))
    assert list(library.runs.glob("*")) == list(library.runs.glob(".*")) == []


def test_a_parent_without_that_step(library: Library, parent: RunFolder) -> None:
    spec = changed_spec(tuned_spec(library, parent, "all"), {"tune.parent": f"{parent.folder}@5"})
    with pytest.raises(ValueError, match="has no checkpoint of step 5: it has those of"):
        result_of(prepare_run(library, spec))


@pytest.mark.parametrize("mode", ["all", "lora"])
def test_a_damaged_base(library: Library, tmp_path: Path, parent: RunFolder, mode: str) -> None:
    copy = RunFolder.open(shutil.copytree(parent.folder, tmp_path / "parent"))
    run = tuned_run(library, copy, mode)
    file = run.folder / "base" / "model.safetensors"
    data = file.read_bytes()
    file.unlink()
    file.write_bytes(data[: len(data) // 2])
    with pytest.raises(ValueError, match=r"base.*model\.safetensors is damaged"):
        train(run, library)


def test_settings_of_fine_tuning_are_refused_where_there_is_none(library: Library, tiny_config: ModelConfig) -> None:
    with pytest.raises(ValueError, match=r"'tune.lora_r' is a setting of fine-tuning"):
        changed_spec(make_spec(library.home, tiny_config), {"tune.lora_r": 4})


ENCODER = ModelConfig(
    topology="encoder-only", vocab_size=261, context_length=32, n_layer=2, n_head=2, d_model=32, pooler=True
)


def labelled(mode: str, design: ModelConfig, labels: tuple[str, ...]) -> RunSpec:
    data = DataSpec(source="dataset", dataset="moods", task="classification", labels=labels)
    tune = TuneSpec(parent="a", mode=mode)
    return RunSpec(name="a", model=design, tokenizer=TokenizerSpec(), data=data, train=TrainConfig(), tune=tune)


@pytest.mark.parametrize("mode", ["all", "head", "lora"])
def test_a_task_gets_a_new_head_unless_the_labels_are_the_same(byte_tokenizer: Tokenizer, mode: str) -> None:
    moods = ("glad", "sad", "calm")
    weights = build_model(ENCODER).state_dict()
    design = tuned_design(ENCODER, byte_tokenizer, "classification", moods)
    assert (design.head, design.n_label) == ("sequence", 3)
    assert tuned_design(ENCODER, byte_tokenizer, "regression", ()).n_label == 1
    spec = labelled(mode, design, moods)
    assert not keeps_head_of(ENCODER, (), spec)
    model = build_run_model(spec, weights, keeps_head=False)
    state = model.state_dict()
    assert all(torch.equal(state[name], weights[name]) for name in state.keys() & weights.keys() if "head" not in name)
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert {"head.weight", "head.bias", "pooler.weight", "pooler.bias"} <= trained
    head = {name: tensor + 1 for name, tensor in state.items() if name.startswith("head.")}
    assert keeps_head_of(design, moods, spec)
    assert not keeps_head_of(design, ("red", "green", "blue"), spec)
    again = build_run_model(spec, weights | head, keeps_head=True).state_dict()
    assert torch.equal(again["head.weight"], head["head.weight"])


def test_a_task_that_a_topology_cannot_learn(byte_tokenizer: Tokenizer) -> None:
    with pytest.raises(ValueError, match="Conversations cannot be learned by a model that is encoder-only"):
        tuned_design(ENCODER, byte_tokenizer, "chat", ())


@pytest.mark.parametrize("change", [{"n_expert": 2, "n_expert_used": 1}, {"topology": "encoder-decoder"}])
def test_adapters_of_every_design(
    library: Library, trained_at_once: Trained, tiny_config: ModelConfig, change: dict[str, Any]
) -> None:
    parent = trained_at_once(dataclasses.replace(tiny_config, conv_width=0, **change), steps=2, sample_interval=0)
    run = tuned_run(library, parent, "lora", steps=3, sample_interval=0)
    train(run, library)
    before, after = weights_of(parent.folder), weights_of(run.folder)
    matrices = {name for name in before if re.search(r"blocks\..*(attention|feed_forward)\..*\.weight$", name)}
    assert {name for name in after if not torch.equal(before[name], after[name])} == {
        name for name in matrices if "norm" not in name and "router" not in name
    }


def test_learned_positions_of_a_run_that_leaves_them_alone(
    library: Library, trained_at_once: Trained, tiny_config: ModelConfig
) -> None:
    parent = trained_at_once(dataclasses.replace(tiny_config, position="learned"), steps=2, sample_interval=0)
    run = tuned_run(library, parent, "lora", steps=3, sample_interval=0)
    train(run, library)
    (found,) = find_position_runs(library, run.spec.model)
    assert isinstance(found, PositionRunsFound)
    (read,) = read_position_weights(found.runs[0])
    assert isinstance(read, PositionWeightsRead)
    assert torch.equal(
        torch.from_numpy(read.learned[""]["position.weight"]), weights_of(parent.folder)["position.weight"]
    )
