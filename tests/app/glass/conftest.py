"""What the tests of all panels of the glass box begin with."""

from __future__ import annotations

import pytest

from app.glass.focus import Focus


@pytest.fixture
def focus() -> Focus:
    """Nothing is looked into yet."""
    return Focus()
