"""The hub that the tests of downloads ask."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.models.interop.hub.served_hub import ServedHub, served_hub, tiny_models


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedHub]:
    with served_hub(tiny_models(tmp_path_factory.mktemp("tiny models"))) as served:
        yield served


@pytest.fixture
def served(serving: ServedHub) -> ServedHub:
    """The hub, which behaves, and has been asked nothing yet."""
    serving.behave()
    return serving
