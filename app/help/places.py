"""The places in the window that help can link to, as plain names; app.shell.navigator leads to them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from terrarium.app.help.panels import PANELS
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.run_spec import TrainConfig
from terrarium.models.settings.sampling_config import NUMERIC_SETTINGS, SamplingConfig

_BEFORE_PANELS: Mapping[str, str] = {
    "home": "Home",
    "models": "Models → Download a model",
    "tokenizer/explore": "Tokenizer → Explore",
    "tokenizer/steps": "Tokenizer → Steps",
    "tokenizer/vocabulary": "Tokenizer → Vocabulary",
    "tokenizer/compare": "Tokenizer → Compare",
    "tokenizer/decode": "Tokenizer → Decode",
    "tokenizer/chat": "Tokenizer → Conversation",
    "tokenizer/about": "Tokenizer → About",
    "tokenizer/train": "Tokenizer → Train",
    "data": "Data",
    "data/import": "Data → Import",
    "data/hub": "Data → Hugging Face hub",
    "builder/diagram": "Builder → Diagram",
    "builder/positions": "Builder → Positions",
    "builder/mask": "Builder → Mask",
    "builder/compare": "Builder → Compare",
    "builder/code": "Builder → Code",
    "builder/costs": "Builder → Costs",
    "training/new": "Training → New run",
    "training/recipes": "Training → Learn a task",
    "training/run/curves": "Training → a run → Curves",
    "training/run/rewards": "Training → an aligned run → Rewards",
    "training/run/machine": "Training → a run → Time machine",
    "training/run/scores": "Training → a run → Scores",
    "training/run/data": "Training → a run → Data",
    "training/run/doctor": "Training → a run → Doctor",
    "training/run/lineage": "Training → a run → Lineage",
}
_AFTER_PANELS: Mapping[str, str] = {
    "chat/weights": "Chat → Settings → Weights",
    "chat/draft": "Chat → Settings → Draft model",
    "chat/serve": "Chat → Settings → Serve to other programs",
    "chat/mode/chat": "Chat",
    "chat/mode/notebook": "Chat → Notebook",
    "chat/mode/fill": "Chat → Fill masks",
    "chat/mode/answer": "Chat → Text to text",
    "chat/mode/prefer": "Chat → Judge replies",
    "chat/mode/compare": "Chat → Compare models",
    "chat/mode/pairs": "Chat → Minimal pairs",
    "chat/mode/embeddings": "Chat → Embeddings",
}


def _settings(kind: Any, place: str, words: str, names: frozenset[str] | None = None) -> dict[str, str]:
    """Return the place of each setting of a form, with its title."""
    return {
        f"{place}/{f.name}": f"{words} → {f.metadata['label']}"
        for f in dataclasses.fields(kind)
        if "label" in f.metadata and (names is None or f.name in names)
    }


def all_places() -> dict[str, str]:
    """Return the path of each place in the window, as shown to the user."""
    return {
        **_BEFORE_PANELS,
        **{f"chat/{key}": f"Chat → {panel.title}" for key, panel in PANELS.items()},
        **_AFTER_PANELS,
        **_settings(ModelConfig, "builder/settings", "Builder → Settings"),
        **_settings(TrainConfig, "training/new", "Training → New run"),
        **_settings(SamplingConfig, "chat/settings", "Chat → Settings", frozenset((*NUMERIC_SETTINGS, "max_tokens"))),
    }


def search_words() -> dict[str, str]:
    """Return the additional search terms of places that have any."""
    return {**_FOUND_BY, **{f"chat/{key}": panel.find_by for key, panel in PANELS.items() if panel.find_by}}


_FOUND_BY: Mapping[str, str] = {
    "models": "hub Hugging Face GGUF Ollama LM Studio published pretrained open import",
    "builder/code": "PyTorch Python module source export",
    "builder/compare": "designs architectures side by side",
    "builder/costs": "memory FLOPs parameters time dry run",
    "builder/diagram": "architecture blocks",
    "data/import": "files tables texts conversations CSV JSON Parquet open",
    "data/hub": "datasets download browse",
    "training/new": "train a model sweep queue fine-tune LoRA DPO PPO GRPO",
    "training/recipes": "fine-tuning translation summary questions code alignment",
    "training/run/curves": "loss metrics export compare runs",
    "training/run/lineage": "fork resume parent",
    "training/run/rewards": "PPO GRPO KL",
    "training/run/scores": "evaluate accuracy test export",
    "chat/mode/compare": "compare models",
    "chat/mode/prefer": "preferences judge pairs DPO RLHF",
    "chat/serve": "API OpenAI server",
    "chat/weights": "quantisation int8 bfloat16",
}

PLACES: Mapping[str, str] = all_places()
"""Place -> its path in the window, as shown to the user."""

FOUND_BY: Mapping[str, str] = search_words()
"""Place -> additional search terms."""
