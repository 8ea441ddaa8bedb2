"""The panels of the glass box, as plain data: the rail, the places, the palette and the tests read this one table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Panel:
    """A panel of the glass box, at the right of the chat tab.

    key: its name in the settings and, after “chat/”, of its place. title, tip: on the rail. icon: a Phosphor icon.
    term: the glossary's entry that explains it. find_by: more words by which the palette finds it.
    widget: “module:Class” of a GlassPanel, imported when the panel is first shown.
    follows: what it is about: the “token” in focus, or the open “model”.
    for_labels: whether it has something to show for a model that predicts labels instead of tokens.
    """

    key: str
    title: str
    tip: str
    icon: str
    term: str
    widget: str
    find_by: str = ""
    follows: str = "token"
    for_labels: bool = False

    def load(self) -> Callable[..., Any]:
        """Import and return the widget's class: (session, theme, focus) -> GlassPanel."""
        module, _, name = self.widget.partition(":")
        made: Callable[..., Any] = getattr(import_module(module), name)
        return made


_ALL = (
    Panel(
        key="pass",
        title="Whole pass",
        tip="How one token came about, from the text to the draw, in one picture",
        icon="path",
        term="Next-token prediction",
        widget="terrarium.app.whole_pass.pass_panel:PassPanel",
    ),
    Panel(
        key="next",
        title="Next token",
        tip="Which tokens were likely here, and how one was chosen",
        icon="chart-bar-horizontal",
        term="Next-token prediction",
        widget="terrarium.app.glass.next_token.next_token_panel:NextTokenPanel",
    ),
    Panel(
        key="attention",
        title="Attention",
        tip="What each head attends to",
        icon="eye",
        term="Attention",
        widget="terrarium.app.glass.attention.attention_panel:AttentionPanel",
        for_labels=True,
    ),
    Panel(
        key="layers",
        title="Layers",
        tip="How the answer forms layer by layer (logit lens)",
        icon="stack",
        term="Logit lens",
        widget="terrarium.app.glass.layers.lens_panel:LensPanel",
    ),
    Panel(
        key="ablation",
        title="Switch off",
        tip="What happens to the answer without a part of the model (ablation)",
        icon="power",
        term="Ablation",
        widget="terrarium.app.glass.ablation.ablation_panel:AblationPanel",
        for_labels=True,
    ),
    Panel(
        key="inputs",
        title="Inputs",
        tip="Which words the answer depends on (input attribution)",
        icon="text-aa",
        term="Attribution",
        widget="terrarium.app.glass.ablation.inputs_panel:InputsPanel",
        for_labels=True,
    ),
    Panel(
        key="calibration",
        title="Tuned probabilities",
        tip="Whether the model is as sure as it is right (calibration), and the temperature that mends it",
        icon="gauge",
        term="Calibration",
        widget="terrarium.app.glass.calibration.calibration_panel:CalibrationPanel",
        find_by="calibration reliability ECE confidence overconfident temperature scaling",
        follows="model",
        for_labels=True,
    ),
)

PANELS: Mapping[str, Panel] = {panel.key: panel for panel in _ALL}
"""Key -> panel, in the order of the rail."""
