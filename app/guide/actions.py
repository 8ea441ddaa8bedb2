"""What a step of the guide can do in the window to set it up: a closed set of plain data, done by a Stage."""

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
    """Open the longest trained model that replies in the chat, if none that does is open."""


@dataclass(frozen=True, kw_only=True)
class NewChat:
    """Begin an empty chat, so that the model is not led by what it was told before."""


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
    """Open the design of the model in the chat in the builder, or of the newest one that replies."""


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

    kind: as of a RunFact; "" for Tiny World's, or any where there is none of that.
    """

    view: str
    kind: str = ""


@dataclass(frozen=True, kw_only=True)
class ShowDataset:
    """Show the newest dataset of a task (models.settings.tasks): that which a step before has made."""

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
    """Put a token of the newest reply into focus: “surprising” for that of the lowest probability, or “last”."""

    which: str = "surprising"


@dataclass(frozen=True, kw_only=True)
class TakeCandidate:
    """Continue the newest reply with another candidate of the token in focus, by its rank from 1 on."""

    rank: int


@dataclass(frozen=True, kw_only=True)
class ChooseHead:
    """Put the next attention head into focus."""


@dataclass(frozen=True, kw_only=True)
class SwitchOffPart:
    """Switch the first attention head off, or its first part where it has no heads."""


@dataclass(frozen=True, kw_only=True)
class GoToStep:
    """Let the time machine show the recorded step that is nearest to this."""

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
    """An action out of TOML: `{do = "open", place = "chat/next"}`.

    Raises:
        ValueError: it is no action of these, or has arguments of another name or type.
    """
    action: Action = build(table, "do", ACTIONS)
    return action
