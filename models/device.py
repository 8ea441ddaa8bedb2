"""Choosing the device and the precision, and messages for when that fails."""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import statistics
import sys
import time
from dataclasses import dataclass

import torch

from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.run_spec import DEVICE_NAMES, TrainConfig

BFLOAT16_FROM = 256
"""The d_model from which bfloat16 gains more than its conversions cost, on devices with hardware support."""


@dataclass(frozen=True, kw_only=True)
class DeviceChoice:
    """A usable device. `sentence` explains a fallback from the requested one; `memory_bytes` is its total, if known."""

    device: torch.device
    label: str
    sentence: str | None = None
    memory_bytes: int | None = None


def return_free_memory() -> None:
    """Return unused cached memory to the device and to the operating system."""
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
    if torch.backends.mps.is_available():
        torch.mps.empty_cache()
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # the C library is not glibc
            ctypes.CDLL("libc.so.6").malloc_trim(0)


def available_devices() -> tuple[str, ...]:
    """Return the devices that torch supports here, the fastest first; "cpu" is always the last."""
    found = []
    if torch.cuda.is_available():
        found.append("cuda")
    if torch.backends.mps.is_available():
        found.append("mps")
    return (*found, "cpu")


def choose_device(name: str = "auto", index: int = 0) -> DeviceChoice:
    """Return the named device if it works in a trial, otherwise the CPU with a sentence. "auto" = the fastest.

    `index`: the CUDA device, counted from 0.

    Raises:
        ValueError: for an unknown name.
    """
    if name not in DEVICE_NAMES:
        raise ValueError(f"There is no device called {name!r}: choose one of {', '.join(DEVICE_NAMES)}.")
    wanted = available_devices()[0] if name == "auto" else name
    if wanted == "cpu":
        return _cpu()
    if wanted not in available_devices():
        return _cpu(f"No usable {wanted.upper()} device was found ({_why_missing(wanted)}), so the CPU is used.")
    try:
        x = torch.ones(8, 8, device=torch.device(wanted, index))
        (x @ x).sum().item()  # synchronises, so that failures surface here
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        return _cpu(f"The {wanted.upper()} device does not start ({reason}), so the CPU is used.")
    if wanted == "cuda":
        properties = torch.cuda.get_device_properties(index)
        label, memory = str(properties.name), int(properties.total_memory)
        return DeviceChoice(device=torch.device("cuda", index), label=label, memory_bytes=memory)
    return DeviceChoice(
        device=torch.device("mps"), label="Apple GPU (MPS)", memory_bytes=torch.mps.recommended_max_memory()
    )


def set_thread_count(n: int) -> None:
    """Set the number of threads that torch uses for the computations of the calling thread."""
    torch.set_num_threads(n)


def faster_thread_count(rounds: int = 12) -> int:
    """Return the number of threads that torch uses now, or half of it if a small training step is faster with that.

    Beside another busy program, fewer threads can be faster, because each thread waits until the others are scheduled.
    Measures alternately, with matrices of a quick start's size, in a tenth of a second.
    """
    n = torch.get_num_threads()
    if n == 1:
        return 1
    layers = torch.nn.Sequential(torch.nn.Linear(128, 512), torch.nn.ReLU(), torch.nn.Linear(512, 128))
    x = torch.ones(1000, 128)
    seconds: dict[int, list[float]] = {threads: [] for threads in (n // 2, n)}
    for _ in range(rounds + 1):
        for threads, found in seconds.items():
            torch.set_num_threads(threads)
            began = time.perf_counter()
            layers(x).sum().backward()
            found.append(time.perf_counter() - began)
    torch.set_num_threads(n)
    return min(seconds, key=lambda threads: statistics.median(seconds[threads][1:]))  # the first round warms up


def core_count() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def synchronize(device: torch.device) -> None:
    """Wait until the device has finished its work, for example before reading a clock."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def bf16_is_fast(device: torch.device) -> bool:
    """Return whether the device multiplies bfloat16 matrices in hardware."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type == "cpu" and platform.machine().lower() in ("x86_64", "amd64"):
        return torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
    return False


def pick_precision(train: TrainConfig, model: ModelConfig, device: torch.device) -> torch.dtype:
    """Return the dtype of matrix products in training; weights, updates and validation are always float32.

    "auto" is bfloat16 if the device supports it in hardware and the model is wide enough to gain more than the
    conversions cost (BFLOAT16_FROM).
    """
    if train.precision == "float32":
        return torch.float32
    if train.precision == "bfloat16":
        return torch.bfloat16
    return torch.bfloat16 if model.d_model >= BFLOAT16_FROM and bf16_is_fast(device) else torch.float32


def seed_global(seed: int, device: torch.device) -> None:
    """Seed the generator of dropout on `device`, like torch.manual_seed, but 0.1 ms faster."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)
    elif device.type == "mps":
        torch.mps.manual_seed(seed)


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether torch or Python raised `error` because memory ran out."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    words = ("not enough memory", "DefaultCPUAllocator", "can't allocate memory", "out of memory")
    return isinstance(error, RuntimeError) and any(word in str(error) for word in words)


def describe_out_of_memory(device: torch.device, remedy: str = "") -> str:
    """Return the message for a training that ran out of memory; `remedy` replaces the general advice."""
    memory = (
        "The memory of this computer" if device.type == "cpu" else f"The memory of the {device.type.upper()} device"
    )
    if remedy:
        return f"{memory} is too small for this run. {remedy}"
    return (
        f"{memory} is too small for this run: use a smaller batch_size (with a larger grad_accum_steps),"
        " a shorter context_length, or a smaller model."
    )


def _cpu(sentence: str | None = None) -> DeviceChoice:
    cores = os.cpu_count() or 1
    label = f"CPU ({cores} core{'' if cores == 1 else 's'})"
    return DeviceChoice(device=torch.device("cpu"), label=label, sentence=sentence, memory_bytes=_main_memory())


def _main_memory() -> int | None:
    """Return the bytes of main memory, or None on Windows."""
    if sys.platform == "win32":
        return None
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _why_missing(name: str) -> str:
    if name == "cuda" and not torch.backends.cuda.is_built():
        return "this torch is built without CUDA"
    if name == "mps" and not torch.backends.mps.is_built():
        return "this torch is built without MPS"
    return "torch finds none"
