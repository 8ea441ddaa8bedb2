"""The chat tab, in which pairs of replies are judged."""

from tests.app.chat.conftest import actor, tab  # noqa: F401
