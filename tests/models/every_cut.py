"""Settings that switch on each cut of the draw that there is, found in the settings themselves."""

from __future__ import annotations

import dataclasses
from typing import Any

from terrarium.models.settings.sampling_config import TRUNCATIONS, SamplingConfig

_DEFAULTS = {f.name: f.default for f in dataclasses.fields(SamplingConfig)}
EVERY_CUT: dict[str, dict[str, Any]] = {
    name: {name: 5 if isinstance(_DEFAULTS[name], int) else 0.5} for name in TRUNCATIONS
}
