"""Tools that open a window have it with all that the tests of the window have."""

from tests.app.conftest import *  # noqa: F403
