"""Fixtures for the tests of all panels of the glass box."""

from __future__ import annotations

import pytest

from terrarium.app.glass.focus import Focus


@pytest.fixture
def focus() -> Focus:
    """A focus without a text."""
    return Focus()
