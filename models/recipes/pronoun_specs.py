"""The two runs of the pronoun recipe: an encoder and a causal model of the same size. No torch import."""

from __future__ import annotations

import dataclasses

from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.run_spec import DataSpec, RunSpec, TokenizerSpec, TrainConfig
from terrarium.models.tiny_world.pronouns import SOURCE

VOCAB_SIZE = 87
"""Vocabulary size of a word tokenizer trained on the sentences, special tokens included."""
KINDS = ("encoder-only", "decoder-only")
NAMES = {"encoder-only": "Pronouns, encoder", "decoder-only": "Pronouns, causal"}
TRAINING = TrainConfig(
    steps=500,
    batch_size=32,
    optimizer="adamw",
    lr=1e-3,
    warmup_steps=30,
    precision="float32",
    eval_interval=25,
    sample_interval=25,
    prompts=tuple(f"The animal didn't cross the street because it was too {word}." for word in ("tired", "wide")),
    watched_layer=2,
    checkpoint_interval=100,
    keep_checkpoints=5,
)
"""An encoder guesses for up to 200 steps, then learns the task within 50 (measured with four seeds)."""


def pronoun_spec(topology: str, name: str = "", seed: int = 0) -> RunSpec:
    """Return the spec of one of KINDS: word tokens, 0.1 M parameters, no head: it points with its hidden states."""
    model = ModelConfig(
        topology=topology,
        vocab_size=VOCAB_SIZE,
        head="none" if topology == "encoder-only" else "language",
        position="rope",
        norm="rmsnorm",
        activation="swiglu",
        bias="none",
        context_length=32,
        n_layer=2,
        n_head=4,
        d_model=64,
    )
    return RunSpec(
        name=name or NAMES[topology],
        model=model,
        tokenizer=TokenizerSpec(kind="word", vocab_size=VOCAB_SIZE),
        data=DataSpec(source=SOURCE),
        train=dataclasses.replace(TRAINING, seed=seed),
    )
