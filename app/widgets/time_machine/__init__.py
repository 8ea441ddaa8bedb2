"""The time machine: what a run wrote, expected and looked at, at any step that it kept."""

from app.widgets.time_machine.view import TimeMachine

__all__ = ["TimeMachine"]
