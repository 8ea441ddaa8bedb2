"""Histories of runs to draw."""

from __future__ import annotations

import math

from terrarium.app.session.run_history import RunHistory
from terrarium.models.events import LayerMetrics, Noted

LAYERS = ("blocks.0", "blocks.1", "final_norm", "embedding")


def history(n: int = 200, *, end: float = 0.5) -> RunHistory:
    """A run whose loss falls from 7 to `end`, validated every 50 steps; its layers are looked at every tenth.

    Its learning rate was changed at step 60, it was resumed at 100, and saved every 50 steps.
    """
    run = RunHistory()
    for step in range(1, n + 1):
        loss = end + (7 - end) * math.exp(-20 * step / n)
        place = {"step": step, "tokens": 100 * step, "elapsed_s": 0.1 * step}
        measured = {"loss": loss, "bits_per_byte": loss / 3}
        memory = 2.0**20 * step if step % 10 == 1 else None
        speed = {"tokens_per_s": 20_000, "peak_share": 0.25, "memory_bytes": memory}
        run.train.append({**place, **measured, "lr": 0.003, "grad_norm": 1.5, **speed})
        if step % 50 == 0:
            run.val.append({**place, **measured})
            run.add(Noted(step=step, event="saved"))
        if step % 10 == 0:
            ratios = tuple((name, 10.0 ** -(i + 2) * step / n) for i, name in enumerate(LAYERS))
            run.add(LayerMetrics(step=step, tokens=100 * step, elapsed_s=0.1 * step, update_ratio=ratios))
    run.add(Noted(step=60, event="learning rate", detail="multiplied by 0.5 from here on"))
    run.add(Noted(step=100, event="resumed", detail="device cpu"))
    return run
