"""Designs and runs with custom blocks that may not run here: every page opens, and nothing of them runs."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from terrarium.app.kit.setting_names.preset_words import format_parameter_count
from terrarium.app.kit.setting_names.slot_words import UNUSED
from terrarium.app.session.routes import ShowPlace, ShowRun
from terrarium.app.session.session import Session
from terrarium.app.shell.main_window import MainWindow
from terrarium.models.custom_blocks import store
from terrarium.models.custom_blocks.manifest import read_block
from terrarium.models.settings.model_config import ModelConfig
from tests.runs_on_disk import make_run

_SOURCE = """from torch import nn
BLOCK = {"name": "mine", "slot": "feed_forward", "title": "Mine"}
class Block(nn.Module):
    def forward(self, x):
        return x
"""


def test_every_page_opens(window: MainWindow, session: Session, tmp_path: Path) -> None:
    block = read_block(f"{_SOURCE}open({str(tmp_path / 'it-ran')!r}, 'w').close()\n")
    store.keep_text(block)
    small = ModelConfig(vocab_size=64, context_length=16, n_layer=1, n_head=2, d_model=16)
    known = dataclasses.replace(small, feed_forward_block=str(block.reference))
    missing = dataclasses.replace(small, attention_block=f"elsewhere@{'0' * 64}")
    for name, design in (("waits", known), ("misses", missing)):
        assert format_parameter_count(design) == UNUSED
        session.library.save_design(name, design)
        make_run(session.library, design, f"run-{name}", losses=(3.0, 2.0))
    session.designs.list_changed.emit()
    session.runs.check()
    for name in ("waits", "misses"):
        session.designs.choose(name)
        for tab in ("home", "tokenizer", "data", "builder", "training", "chat"):
            window.show_tab(tab)
        window.session.go(ShowPlace("training/new"))
        window.show_models()
        window.session.go(ShowRun(f"run-{name}"))
        window.guide.show()
    assert not (tmp_path / "it-ran").exists()
