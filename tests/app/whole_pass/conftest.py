"""The focus, as for the panels of the glass box."""

from tests.app.glass.conftest import focus  # noqa: F401
