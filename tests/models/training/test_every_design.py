"""Every valid design learns from plain text, and every weight that can gets a gradient."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from terrarium.models.architecture.experts import balance_loss
from terrarium.models.architecture.trace import Trace
from terrarium.models.corpora.text_corpora import build_text_corpus
from terrarium.models.interop.loading import load_model
from terrarium.models.library.library import Library
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.run_spec import DataSpec, RunSpec, TokenizerSpec, TrainConfig
from terrarium.models.training.batches import make_batches
from terrarium.models.training.objective import weighted_nll
from terrarium.models.training.trainer import prepare_run
from tests.models.training.support import result_of, train

STEPS = 16
TRAIN = TrainConfig(
    steps=STEPS, batch_size=6, lr=0.01, warmup_steps=3, schedule="constant", eval_interval=0, sample_interval=0
)


@st.composite
def designs(draw: st.DrawFn) -> ModelConfig:
    """A legal filling of all slots that has a plain objective, small enough to learn in a second."""
    values: dict[str, Any] = {}
    n_head, shared = draw(st.sampled_from([(1, 1), (2, 2), (2, 1), (4, 2)]))
    values |= {"n_head": n_head, "n_kv_head": draw(st.sampled_from([0, shared]))}
    values |= {"d_model": n_head * draw(st.sampled_from([8, 10])), "d_head": draw(st.sampled_from([0, 0, 6]))}
    values |= {"context_length": draw(st.integers(8, 16)), "n_layer": draw(st.integers(1, 2))}
    values["n_expert"] = draw(st.sampled_from([0, 0, 2, 4]))
    values["n_expert_used"] = draw(st.integers(1, values["n_expert"] or 2))
    values["dropout"] = draw(st.sampled_from([0.0, 0.0, 0.1]))
    few = {"conv_width": (0, 3), "max_ngram": (0, 3), "sliding_window": (0, 4), "n_segment": (0, 2), "d_ff": (0, 40)}
    few |= {"n_encoder_layer": (0, 2), "n_encoder_head": (0, 1), "d_encoder_ff": (0, 24)}
    values |= {name: draw(st.sampled_from(choices)) for name, choices in few.items()}
    for f in dataclasses.fields(ModelConfig):
        if "choices" in f.metadata and f.name != "head":
            values[f.name] = draw(st.sampled_from(f.metadata["choices"]))
        elif isinstance(f.default, bool):
            values[f.name] = draw(st.booleans())
    return ModelConfig(**values)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    """With a corpus of four letters, over and over."""
    library = Library(tmp_path_factory.mktemp("home"))
    (library.home / "a.txt").write_text("abcd" * 400, encoding="utf-8")
    return library


def can_learn(name: str, config: ModelConfig) -> bool:
    """Whether a weight has a say in the objective: the pooler is for labels only."""
    return not name.startswith("pooler.")


@given(config=designs())
@settings(max_examples=8, deadline=None)
def test_every_design_learns_and_every_weight_takes_part(library: Library, config: ModelConfig) -> None:
    data = DataSpec(source="files", files=(str(library.home / "a.txt"),))
    spec = RunSpec(name="any", model=config, tokenizer=TokenizerSpec(kind="byte"), data=data, train=TRAIN)
    run = result_of(prepare_run(library, spec))
    train(run, library)
    losses = [row["loss"] for row in run.read_metrics()]
    assert len(losses) == STEPS
    first, last = sum(losses[:3]) / 3, sum(losses[-5:]) / 5
    assert first > 4
    assert last < 0.9 * first, losses  # from 5.6 nats; most fall below 2

    model, tokenizer = load_model(run.folder)
    assert tokenizer is not None
    corpus = build_text_corpus(library, [library.home / "a.txt"], data.val_fraction)
    batch = make_batches(corpus, tokenizer, run.spec.model, TRAIN).batch(0)
    trace = Trace(wanted=frozenset({"router"}))
    loss = weighted_nll(model.train(), batch, trace=trace)
    (loss + balance_loss(trace) if config.n_expert else loss).backward()
    for name, parameter in model.named_parameters():
        if can_learn(name, config):
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name
        else:
            assert parameter.grad is None, name
