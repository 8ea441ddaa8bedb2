"""What the machine gives: how fast it multiplies matrices at best, and how much memory is taken."""

from __future__ import annotations

import time

import psutil
import torch

_PEAK_S = 0.15
"""How long to multiply for. The best of a few multiplications is steady well before."""


def matmul_peak(device: torch.device, dtype: torch.dtype) -> float:
    """The most floating-point operations per second of multiplying large matrices here: measured, 2·n³ for n × n.

    With as many threads as torch may use at the moment. This is what a training's speed can be compared with.
    """
    n = 4096 if device.type == "cuda" else 768
    generator = torch.Generator().manual_seed(0)
    left, right = (torch.rand(n, n, generator=generator).to(device, dtype) for _ in range(2))
    product = torch.empty(n, n, device=device, dtype=dtype)
    best, end = 0.0, 0.0
    while best == 0.0 or time.perf_counter() < end:
        _wait(device)
        began = time.perf_counter()
        torch.mm(left, right, out=product)
        _wait(device)
        if end:
            best = max(best, 2 * n**3 / (time.perf_counter() - began))
        else:  # the first multiplication gets everything ready
            end = time.perf_counter() + _PEAK_S
    return best


def memory_taken(device: torch.device) -> int:
    """Bytes: on CUDA what torch has allocated there, else the main memory of this process."""
    if device.type == "cuda":
        return torch.cuda.memory_allocated(device)
    return int(psutil.Process().memory_info().rss)


def _wait(device: torch.device) -> None:
    """Until all that was asked of the device is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
