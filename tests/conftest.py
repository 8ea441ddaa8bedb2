"""What all tests share: no screen, one thread, and small things to test with."""

from __future__ import annotations

import functools
import gc
import os
import shutil
import stat
import sys
from collections.abc import Iterator

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")  # before anything imports Qt
os.environ.setdefault("HF_HUB_OFFLINE", "1")  # before anything imports huggingface_hub
# Before anything imports torch: a number that is set holds for the thread that sets it only, and those of windows, and
# processes, begin with this one. Of two threads that compute something small one waits for the other, at full speed.
os.environ.setdefault("OMP_NUM_THREADS", "1")
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from terrarium.app.worker.worker import import_plainly

if TYPE_CHECKING:  # what hands tests out to others needs no torch, and waits for it before it does
    from tokenizers import Tokenizer

    from terrarium.models.library.library import Library
    from terrarium.models.settings.model_config import ModelConfig

_IN_MEMORY = "/dev/shm"
"""A folder whose files are held in memory, on Linux. Tests write theirs there if there is room: on a disk each takes
ten times as long."""

if os.access(_IN_MEMORY, os.W_OK) and shutil.disk_usage(_IN_MEMORY).free > 4 * 2**30:
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", _IN_MEMORY)

import_plainly()
gc.disable()  # until all tests are known: what is imported stays, and looking through it takes seconds


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config) -> None:
    """Hypothesis draws no constants of our sources: it would parse all that are imported, which takes 20 seconds at
    first, and what it draws would depend on them. It does so when all tests are known, before any fixture."""
    if "hypothesis" in sys.modules:  # it takes a second to import, which tests without it need not wait for
        patch = pytest.MonkeyPatch()
        patch.setattr(
            "hypothesis.internal.conjecture.providers.is_local_module_file", lambda path: False, raising=False
        )
        config.add_cleanup(patch.undo)


def pytest_collection_finish() -> None:
    """What the tests themselves consist of is not looked through for garbage while they run, nor now, and the rest more
    rarely than usual: that took a twentieth of all their time."""
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    gc.enable()


def pytest_xdist_auto_num_workers() -> int:
    """One worker more than there are cores: some wait for timers, or for processes that they have started."""
    return (os.cpu_count() or 1) + 1


@pytest.fixture(scope="session", autouse=True)
def disk_need_not_keep_up() -> Iterator[None]:
    """Files and folders are not waited for until the disk has them: no test cuts the power, and each wait takes
    milliseconds."""
    fsync = os.fsync

    def sync_devices_only(descriptor: int) -> None:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            fsync(descriptor)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", sync_devices_only)
        yield


@pytest.fixture(scope="session", autouse=True)
def one_core_of_known_speed() -> Iterator[None]:
    """One thread, also after a window has set torch's threads; and the speed of this machine is measured only once,
    which every training does in its beginning for a sixth of a second."""
    import torch

    from terrarium.models import device
    from terrarium.models.training import setup

    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(device, "core_count", lambda: 1)
        patch.setattr(setup, "peak_matmul_flops", functools.cache(setup.peak_matmul_flops))
        # To compare tensors, torch would import what splits them among machines, which takes most of a second.
        patch.setattr("torch.testing._comparison._HAS_DTENSOR", False, raising=False)
        yield


@pytest.fixture
def tiny_config() -> ModelConfig:
    """Two layers, 32 wide, a byte vocabulary: trains a step in milliseconds."""
    from terrarium.models.settings.model_config import ModelConfig

    return ModelConfig(
        vocab_size=261,
        context_length=32,
        n_layer=2,
        n_head=2,
        d_model=32,
        position="rope",
        norm="rmsnorm",
        activation="relu2",
        bias="none",
        qk_norm=True,
        conv_width=4,
    )


@pytest.fixture(scope="session")
def byte_tokenizer() -> Tokenizer:
    """One token per byte after the five special tokens."""
    from terrarium.models.tokenizers import train_tokenizer

    return train_tokenizer((), "byte", 0)


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Library:
    """An empty library, which is also the default one while the test runs. No custom block may run."""
    from terrarium.models.library.library import Library

    monkeypatch.setenv("TERRARIUM_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))  # where consent to custom blocks is kept
    return Library()
