"""A card for one stage of a lineage."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt

from terrarium.app.kit.basics import add_menu, button, column, label, plain_tip, row
from terrarium.app.kit.labels import ElidedLabel
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.lineage.clickable_card import ClickableCard
from terrarium.app.lineage.next_steps import NextStep
from terrarium.app.lineage.stage_words import (
    describe_cost,
    describe_details,
    describe_held_out,
    describe_settings,
    describe_source,
    describe_start,
    kind_words,
    meaning_of,
)
from terrarium.app.session.routes import Go
from terrarium.models.alignment.stage_tree import GONE, LineageNode

_NOTHING = "No held-out numbers yet"


class StageCard(ClickableCard):
    """A card of a stage. A click or Enter opens its run.

    Args:
        parent: the stage it started from. steps: the entries of its button; no button if empty. is_shown: whether its
            run is the one shown.
    """

    def __init__(
        self,
        stage: LineageNode,
        parent: LineageNode | None,
        steps: Sequence[NextStep],
        go: Go,
        theme: ThemeProvider,
        *,
        is_shown: bool,
    ) -> None:
        _, icon, meaning = meaning_of(stage.kind)
        is_gone = stage.kind == GONE
        super().__init__(icon, theme, can_open=not is_gone, stands_out=is_shown, dashed=is_gone)
        self.stage = stage
        kind = kind_words(stage)
        title = ElidedLabel(stage.name)
        title.setProperty("role", "subheading")
        self.icon.setAccessibleName(kind)
        badge = label(kind, "pill")
        badge.setToolTip(plain_tip(meaning))
        about = [ElidedLabel(words) for words in (describe_source(stage), describe_settings(stage))]
        for line in about:
            line.setProperty("role", "caption")
        held_out = describe_held_out(stage)
        figures = ElidedLabel(stage.problem or held_out or ("" if is_gone else _NOTHING))
        figures.setProperty("role", "warning" if stage.problem else "small" if held_out else "caption")
        cost = ElidedLabel(describe_cost(stage))
        cost.setProperty("role", "caption")
        self.next_button = button(
            "What next", theme, icon="caret-down", role="link", tip="What can be done with it next"
        )
        self.next_button.setLayoutDirection(Qt.LayoutDirection.RightToLeft)  # the icon on the right
        entries = [(step.words, step.icon, step.tip, lambda route=step.route: route and go(route)) for step in steps]
        add_menu(self.next_button, theme, entries)
        for action, step in zip(self.next_button.menu().actions(), steps, strict=True):
            action.setEnabled(step.route is not None)
        self.next_button.setVisible(bool(steps))
        self.setLayout(
            column(
                row(self.icon, title, badge, grows=title),
                *about,
                figures,
                row(cost, self.next_button, grows=cost),
                margin=(SPACE + SPACE // 2, SPACE, SPACE + SPACE // 2, SPACE // 2),
                spacing=SPACE // 4,
            )
        )
        said = (kind, stage.name, describe_source(stage), describe_settings(stage), describe_cost(stage), held_out)
        self.setAccessibleName(", ".join(filter(None, said)))
        self.next_button.setAccessibleName(f"What next with {stage.name}")
        opens = "This run is shown" if is_shown else "Show this run"
        told = (opens if self.can_open else "", describe_start(stage, parent), describe_details(stage))
        self.setToolTip(plain_tip("\n".join(filter(None, told))))
