"""Measures the machine: its peak matrix-multiplication speed, and the memory in use."""

from __future__ import annotations

import time
from functools import cache

import psutil
import torch

from terrarium.models.device import synchronize

_PEAK_S = 0.15
"""How long to multiply. The best of a few multiplications is stable well before."""


def peak_matmul_flops(device: torch.device, dtype: torch.dtype) -> float:
    """Measure the peak speed of multiplying large matrices, in FLOP/s, counting 2·n³ operations for n × n.

    Uses the current number of torch threads. Training speed is reported relative to it. Cached for the process.
    """
    return _measured(device, dtype, torch.get_num_threads())


@cache
def _measured(device: torch.device, dtype: torch.dtype, threads: int) -> float:
    n = 4096 if device.type == "cuda" else 768
    generator = torch.Generator().manual_seed(0)
    left, right = (torch.rand(n, n, generator=generator).to(device, dtype) for _ in range(2))
    product = torch.empty(n, n, device=device, dtype=dtype)
    best, end = 0.0, 0.0
    while best == 0.0 or time.perf_counter() < end:
        synchronize(device)
        began = time.perf_counter()
        torch.mm(left, right, out=product)
        synchronize(device)
        if end:
            best = max(best, 2 * n**3 / (time.perf_counter() - began))
        else:  # the first multiplication is warm-up
            end = time.perf_counter() + _PEAK_S
    return best


def memory_in_use(device: torch.device) -> int:
    """Return the bytes in use: on CUDA what torch has allocated, else the resident memory of this process."""
    if device.type == "cuda":
        return torch.cuda.memory_allocated(device)
    return int(psutil.Process().memory_info().rss)
