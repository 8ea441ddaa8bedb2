"""The actions with which guide steps set the window up: a closed set of plain data, performed by a WindowDriver."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from terrarium.app.guide.from_toml import build


@dataclass(frozen=True, kw_only=True)
class Open:
    """Show a place of the window, such as “chat/next”."""

    place: str


@dataclass(frozen=True, kw_only=True)
class OpenModel:
    """Open the longest-trained chat model in the chat, unless one is open already."""


@dataclass(frozen=True, kw_only=True)
class NewChat:
    """Start an empty chat, so that earlier messages do not influence the model."""


@dataclass(frozen=True, kw_only=True)
class TypeText:
    """Put a text into a field, such as “tokenizer/text”; nothing is sent."""

    field: str
    text: str


@dataclass(frozen=True, kw_only=True)
class ChooseDesign:
    """Open a preset in the builder, with these slots changed."""

    preset: str
    slots: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class OpenModelDesign:
    """Open the design of the chat's model, or of the newest chat model, in the builder."""


@dataclass(frozen=True, kw_only=True)
class SetTemperature:
    """Set the chat's temperature."""

    value: float


@dataclass(frozen=True, kw_only=True)
class PrepareRun:
    """Fill in the form of a new run: a preset with some slots changed, and the number of steps on Tiny World."""

    preset: str
    steps: int
    name: str
    slots: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class ShowRun:
    """Show a view of the newest finished run, or of the newest.

    kind: as in RunFact; "" for a Tiny World run, or any run if there is none.
    """

    view: str
    kind: str = ""


@dataclass(frozen=True, kw_only=True)
class ShowDataset:
    """Show the newest dataset of a task (models.settings.tasks): the one that a previous step made."""

    task: str


@dataclass(frozen=True, kw_only=True)
class StartRecipe:
    """Learn a task, starting from the newest model that can chat. In solutions only."""

    name: str


@dataclass(frozen=True, kw_only=True)
class PointAt:
    """Bring a widget into view, and draw a ring around it for a few seconds."""

    anchor: str


@dataclass(frozen=True, kw_only=True)
class Press:
    """Press a button. In solutions only: a step sets up, the reader acts."""

    anchor: str


@dataclass(frozen=True, kw_only=True)
class ChooseToken:
    """Focus a token of the newest reply: “surprising” for the least probable one, or “last”."""

    which: str = "surprising"


@dataclass(frozen=True, kw_only=True)
class TakeCandidate:
    """Continue the newest reply with another candidate for the token in focus, given by its rank from 1."""

    rank: int


@dataclass(frozen=True, kw_only=True)
class ChooseHead:
    """Focus the next attention head."""


@dataclass(frozen=True, kw_only=True)
class SwitchOffPart:
    """Ablate the first attention head, or the first part of a model without heads."""


@dataclass(frozen=True, kw_only=True)
class GoToStep:
    """Show the nearest recorded step in the time machine."""

    step: int


@dataclass(frozen=True, kw_only=True)
class Judge:
    """Judge pairs as they are shown, by the better side: “left”, “right”, “tie” or “bad”. In solutions only."""

    choice: str
    times: int = 1


@dataclass(frozen=True, kw_only=True)
class ExportFolder:
    """Export the run that is shown as a Hugging Face folder, within the library. In solutions only."""


Action = (
    Open
    | OpenModel
    | NewChat
    | TypeText
    | ChooseDesign
    | OpenModelDesign
    | SetTemperature
    | PrepareRun
    | ShowRun
    | ShowDataset
    | StartRecipe
    | PointAt
    | Press
    | ChooseToken
    | TakeCandidate
    | ChooseHead
    | SwitchOffPart
    | GoToStep
    | Judge
    | ExportFolder
)

ACTIONS: Mapping[str, Callable[..., Action]] = {
    "open": Open,
    "open_model": OpenModel,
    "new_chat": NewChat,
    "type": TypeText,
    "design": ChooseDesign,
    "model_design": OpenModelDesign,
    "temperature": SetTemperature,
    "prepare_run": PrepareRun,
    "show_run": ShowRun,
    "show_dataset": ShowDataset,
    "start_recipe": StartRecipe,
    "point_at": PointAt,
    "press": Press,
    "choose_token": ChooseToken,
    "take_candidate": TakeCandidate,
    "choose_head": ChooseHead,
    "switch_off": SwitchOffPart,
    "go_to_step": GoToStep,
    "judge": Judge,
    "export_folder": ExportFolder,
}
"""The actions by the names that chapters use."""


def parse_action(table: Mapping[str, Any]) -> Action:
    """Parse an action from a TOML table such as `{do = "open", place = "chat/next"}`.

    Raises:
        ValueError: the action is unknown, or an argument has the wrong name or type.
    """
    action: Action = build(table, "do", ACTIONS)
    return action
