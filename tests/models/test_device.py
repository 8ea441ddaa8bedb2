import sys

import pytest
import torch

from terrarium.models import device
from terrarium.models.device import (
    available_devices,
    bf16_is_fast,
    choose_device,
    faster_thread_count,
    is_out_of_memory,
    pick_precision,
)
from terrarium.models.settings.presets import PRESETS
from terrarium.models.settings.run_spec import TrainConfig


def test_auto_is_a_device_that_works() -> None:
    choice = choose_device("auto")
    assert choice.sentence is None
    assert choice.device.type == available_devices()[0]
    assert available_devices()[-1] == "cpu"
    assert choose_device("cpu").label.startswith("CPU (")
    memory = choose_device("cpu").memory_bytes
    assert memory is None if sys.platform == "win32" else memory is not None and memory > 2**28


def test_an_unknown_device_is_refused() -> None:
    with pytest.raises(ValueError, match="no device called 'tpu': choose one of auto, cpu, cuda, mps"):
        choose_device("tpu")


def test_a_device_that_does_not_start_falls_back_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("CUDA driver version is insufficient\nand more")

    monkeypatch.setattr(device, "available_devices", lambda: ("cuda", "cpu"))
    monkeypatch.setattr(torch, "ones", fail)
    for name in ("cuda", "auto"):
        choice = choose_device(name)
        assert choice.device.type == "cpu"
        assert choice.sentence == (
            "The CUDA device does not start (CUDA driver version is insufficient), so the CPU is used."
        )


def test_precision_is_what_was_asked_for_or_what_is_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu, model = torch.device("cpu"), PRESETS["gpt2-124m"]
    assert isinstance(bf16_is_fast(cpu), bool)
    assert pick_precision(TrainConfig(precision="float32"), model, cpu) == torch.float32
    assert pick_precision(TrainConfig(precision="bfloat16"), model, cpu) == torch.bfloat16
    for fast, dtype in ((True, torch.bfloat16), (False, torch.float32)):
        monkeypatch.setattr(device, "bf16_is_fast", lambda _, fast=fast: fast)
        assert pick_precision(TrainConfig(), model, cpu) == dtype
        assert pick_precision(TrainConfig(), PRESETS["gpt2-tiny"], cpu) == torch.float32  # too narrow to gain


def test_running_out_of_memory_is_recognised() -> None:
    with pytest.raises(RuntimeError) as raised:
        torch.empty(2**50)
    assert is_out_of_memory(raised.value)
    words = "DefaultCPUAllocator: can't allocate memory: you tried to allocate 123 bytes. Error code 12"
    also = RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: not enough memory: you tried to allocate")
    for error in (torch.OutOfMemoryError("CUDA out of memory"), RuntimeError(words), also, MemoryError()):
        assert is_out_of_memory(error)
    assert not is_out_of_memory(RuntimeError("shapes cannot be multiplied"))
    assert not is_out_of_memory(ValueError("out of memory"))


def test_the_number_of_threads_is_left_as_it_was() -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        assert faster_thread_count(rounds=2) in (1, 2)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
