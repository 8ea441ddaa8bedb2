"""Models with adapters: as runs of a library here, and as Hugging Face folders there."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from terrarium.models.events import result_of
from terrarium.models.interop.export import export_hf
from terrarium.models.interop.loading import load_model
from terrarium.models.library.library import Library
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.presets import PRESETS
from terrarium.models.settings.tune_spec import TuneSpec
from terrarium.models.training.prepare import prepare_run
from tests.models.training.support import make_run, make_spec, train

SMALL: dict[str, Any] = {
    "n_layer": 2, "n_head": 4, "d_model": 32, "d_ff": 40, "context_length": 32, "vocab_size": 261, "dropout": 0.0
}  # fmt: skip
DESIGNS = {
    "llama": dataclasses.replace(PRESETS["llama-tiny"], **SMALL, n_kv_head=2),
    "mistral": dataclasses.replace(PRESETS["llama-tiny"], **SMALL, n_kv_head=2, sliding_window=8),
    "gpt2": dataclasses.replace(PRESETS["gpt2-tiny"], **SMALL),
    "experts": dataclasses.replace(PRESETS["llama-tiny"], **SMALL, n_kv_head=2, n_expert=3),
    "ours": dataclasses.replace(PRESETS["terrarium-tiny"], **SMALL),
    "qwen3": dataclasses.replace(PRESETS["llama-tiny"], **SMALL, n_kv_head=2, qk_norm=True),
}
MODULES = {
    "llama": ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
    "gpt2": ["c_attn", "c_proj", "c_fc"],
}
MODULES["mistral"] = MODULES["llama"]
IDS = torch.randint(0, 261, (3, 20), generator=torch.Generator().manual_seed(0))


@dataclass(frozen=True)
class Case:
    """A trained model of a family, here as a run of a library, and there as the Hugging Face folder `theirs`."""

    family: str
    library: Library
    parent: RunFolder
    theirs: Path

    def base(self) -> Any:
        """The model there."""
        from transformers import AutoModelForCausalLM

        return AutoModelForCausalLM.from_pretrained(self.theirs, trust_remote_code=True)

    def tuned(self, **tune: Any) -> RunFolder:
        """A trained run with adapters."""
        spec = make_spec(
            self.library.home, ModelConfig(), optimizer="adamw", lr=0.02, steps=4, sample_interval=0, eval_interval=0
        )
        spec = dataclasses.replace(
            spec, tune=TuneSpec(**{"parent": self.parent.id, "mode": "lora", "lora_r": 2} | tune)
        )
        run = result_of(prepare_run(self.library, spec))
        train(run, self.library)
        return run

    def adapter(self, folder: Path, seed: int = 0, **options: Any) -> Any:
        """A model there with an adapter of random numbers, which is saved in `folder`."""
        from peft import LoraConfig, get_peft_model

        options = {"r": 4, "target_modules": MODULES[self.family], "task_type": "CAUSAL_LM"} | options
        model = get_peft_model(self.base(), LoraConfig(**options))
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if "lora_" in name:
                    parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.1)
        model.save_pretrained(folder)
        return model.eval()


def make_case(family: str, home: Path) -> Case:
    """A model that has been trained for two steps."""
    library = Library(home)
    run = make_run(library, DESIGNS[family], steps=2, sample_interval=0, eval_interval=0)
    train(run, library)
    theirs = result_of(export_hf(*load_model(run.folder), home / "theirs"))
    return Case(family, library, run, theirs)
