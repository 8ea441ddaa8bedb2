"""Whether a training fits, in words."""

from __future__ import annotations

from terrarium.app.session.device_memory import DeviceMemory, budget, check_fit, format_memory_use

GB = 2**30
CPU = DeviceMemory(kind="cpu", label="CPU (2 cores)", n_bytes=10 * GB, is_free=True)
CUDA = DeviceMemory(kind="cuda", label="NVIDIA H100", n_bytes=80 * GB, bfloat16_from=256)


def sentence(needed: int, device_memory: DeviceMemory) -> str:
    return check_fit(needed, device_memory).sentence.replace("\u00a0", " ")


def test_what_fits_leaves_a_margin_for_the_estimate() -> None:
    assert sentence(GB, CPU) == "Takes 10 % of what is free on CPU (2 cores)."
    assert sentence(1, CPU) == "Takes less than 1 % of what is free on CPU (2 cores)."
    assert [check_fit(n * GB, CPU).level for n in (1, 8, 9, 10, 11)] == ["fits", "fits", "tight", "tight", "no"]
    assert sentence(240 * GB, CUDA) == "Takes 3.0 times the memory of NVIDIA H100."
    assert sentence(40 * GB, CUDA) == "Takes 50 % of the memory of NVIDIA H100."
    assert budget(CPU) == 8 * GB
    assert check_fit(8 * GB, CPU).level == "fits"


def test_without_a_device_or_its_memory_nothing_is_promised() -> None:
    assert check_fit(GB, None).level == "unknown"
    assert "Torch is loading" in check_fit(GB, None).sentence
    silent = DeviceMemory(kind="mps", label="Apple GPU", n_bytes=None)
    assert check_fit(GB, silent).level == "unknown"
    assert budget(silent) is None
    assert format_memory_use(GB, silent) == "1.00 GiB"


def test_amounts_share_their_unit_where_they_can() -> None:
    assert format_memory_use(GB, CPU) == "1.00 of 10.0 GiB"
    assert format_memory_use(GB // 4, CPU) == "256 MiB of 10.0 GiB"


def test_wide_models_are_trained_in_bfloat16_where_that_is_fast() -> None:
    assert [CUDA.precision(width) for width in (128, 256)] == ["float32", "bfloat16"]
    assert CPU.precision(4096) == "float32"
