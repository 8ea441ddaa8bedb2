"""Finds the llama.cpp graph that computes a design. No torch import."""

from __future__ import annotations

import dataclasses

from terrarium.models.interop.graphs.bert import BERT
from terrarium.models.interop.graphs.gpt2 import GPT2
from terrarium.models.interop.graphs.graph import LABELS, Graph
from terrarium.models.interop.graphs.rotary import ARCEE, LLAMA, QWEN3
from terrarium.models.interop.graphs.t5 import T5
from terrarium.models.interop.options import custom_block_misfit
from terrarium.models.settings.block_references import blocks_of
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.presets import PRESETS

GRAPHS: dict[str, Graph] = {graph.name: graph for graph in (LLAMA, ARCEE, QWEN3, GPT2, BERT, T5)}
"""Graphs by general.architecture; export uses the first that fits."""

LOOKBACK_STEPS = 2.1
"""The factor of a training's steps if a layer of previous-token heads replaces convolutions: Tiny World is learned in
1,500 steps with convolutions (97 % of the held-out questions), and in 3,150 with that layer (98 %).
"""

_INSTEAD = {"decoder-only": "llama-tiny", "encoder-only": "bert-tiny", "encoder-decoder": "t5-tiny"}
"""A preset that has a graph, by topology."""


class NoGraphError(ValueError):
    """None of llama.cpp's graphs computes a design. plain: the message in plain words, with an alternative. details:
    the closest graph, and what it needs.
    """

    def __init__(self, plain: str, details: str) -> None:
        super().__init__(f"{plain} {details}")
        self.plain, self.details = plain, details


def graph_of(config: ModelConfig) -> Graph:
    """Return the graph that computes this design.

    Raises:
        NoGraphError: if there is none.
        ValueError: if llama.cpp does not support its head or its custom blocks.
    """
    if misfit := custom_block_misfit(config, "llama.cpp"):
        raise ValueError(misfit)
    if config.head not in ("language", "none") and not _labels_texts(config):
        raise ValueError(
            f"A model with the head “{config.head}” answers with labels, for which llama.cpp has a place in encoders "
            "that label whole texts only: export it as a Hugging Face folder."
        )
    lacking = {name: graph.lacks(config) for name, graph in GRAPHS.items()}
    closest = min(lacking, key=lambda name: (GRAPHS[name].slots["topology"] != config.topology, len(lacking[name])))
    if not lacking[closest]:
        return GRAPHS[closest]
    instead = f"train the design {_INSTEAD[config.topology]} on the same data"
    if _has_convolutions(config):
        instead = "train the same with a first layer that looks back in place of the convolutions"
    raise NoGraphError(
        "Ollama, LM Studio and llama.cpp cannot run this design: grow one that they can, or export it as a Hugging "
        "Face folder.",
        f"To grow one, {instead}. Their closest one, {closest}, needs {', '.join(lacking[closest])}.",
    )


def with_previous_token_heads(config: ModelConfig) -> ModelConfig:
    """Return a decoder for the graph qwen3 with an extra first layer of previous-token heads, without convolutions."""
    heads = next(n for n in (4, 3, 2, 1) if config.n_head % n == 0)
    return dataclasses.replace(
        config,
        **QWEN3.slots,
        rope_scaling="none",
        n_kv_head=0,
        n_layer=config.n_layer + 1,
        lookback=heads,
        d_head=config.d_model * heads // config.n_head,  # so that the heads of one distance copy all channels
    )


def portable(config: ModelConfig) -> ModelConfig | None:
    """Return a design for the same data that has a graph; None if this one has, or if another would not help.

    Vocabulary and context are those of `config`. Convolutions become a layer of previous-token heads, and need
    LOOKBACK_STEPS times as many steps.
    """
    has_no_place = config.head not in ("language", "none") and not _labels_texts(config)
    if has_no_place or blocks_of(config) or not all(graph.lacks(config) for graph in GRAPHS.values()):
        return None
    if _has_convolutions(config):
        return with_previous_token_heads(config)
    preset = PRESETS[_INSTEAD[config.topology]]
    return dataclasses.replace(preset, vocab_size=config.vocab_size, context_length=config.context_length)


def what_differs(config: ModelConfig, design: ModelConfig) -> str:
    """Describe what `portable` has changed of `config` in `design`, in sentences."""
    if not design.looks_back:
        return "The design is another one, which llama.cpp computes."
    others = [
        LABELS[name]
        for name in QWEN3.slots
        if name not in ("conv_width", "max_ngram") and getattr(design, name) != getattr(config, name)
    ]
    places = "the short convolutions and the n-gram embeddings" if config.has_ngrams else "the short convolutions"
    words = (
        f"A first layer whose heads copy the {design.lookback} tokens before, untrained, takes the place of {places}."
    )
    return f"{words} As llama.cpp has them: {', '.join(others)}." if others else words


def _labels_texts(config: ModelConfig) -> bool:
    return config.topology == "encoder-only" and config.head == "sequence"


def _has_convolutions(config: ModelConfig) -> bool:
    return config.topology == "decoder-only" and config.conv_width > 0
