"""Which of llama.cpp's graphs computes a design. No torch."""

from __future__ import annotations

from models.interop.graphs.bert import BERT
from models.interop.graphs.gpt2 import GPT2
from models.interop.graphs.graph import Graph
from models.interop.graphs.rotary import ARCEE, LLAMA, QWEN3
from models.interop.graphs.t5 import T5
from models.settings.model_config import ModelConfig

GRAPHS: dict[str, Graph] = {graph.name: graph for graph in (LLAMA, ARCEE, QWEN3, GPT2, BERT, T5)}
"""By general.architecture; export takes the first that fits."""

_INSTEAD = {"decoder-only": "llama-tiny", "encoder-only": "bert-tiny", "encoder-decoder": "t5-tiny"}
"""A preset that has a graph, by topology."""


def graph_of(config: ModelConfig) -> Graph:
    """The graph that computes this design.

    Raises:
        ValueError: where there is none; it names the closest one, what that needs, and what to do instead.
    """
    if config.head not in ("language", "none") and not _labels_texts(config):
        raise ValueError(
            f"A model with the head “{config.head}” answers with labels, for which llama.cpp has a place in encoders "
            "that label whole texts only: export it as a Hugging Face folder."
        )
    lacking = {name: graph.lacks(config) for name, graph in GRAPHS.items()}
    closest = min(lacking, key=lambda name: (GRAPHS[name].slots["topology"] != config.topology, len(lacking[name])))
    if not lacking[closest]:
        return GRAPHS[closest]
    raise ValueError(
        f"llama.cpp has no graph for this design: the closest one, {closest}, needs {', '.join(lacking[closest])}. "
        f"Export it as a Hugging Face folder, or train the design {_INSTEAD[config.topology]} on the same data."
    )


def _labels_texts(config: ModelConfig) -> bool:
    return config.topology == "encoder-only" and config.head == "sequence"


def preset_instead(config: ModelConfig) -> str:
    """A preset of this topology that has a graph, where the design itself has none; "" where that would not help."""
    has_no_place = config.head not in ("language", "none") and not _labels_texts(config)
    if has_no_place or not all(graph.lacks(config) for graph in GRAPHS.values()):
        return ""
    return _INSTEAD[config.topology]
