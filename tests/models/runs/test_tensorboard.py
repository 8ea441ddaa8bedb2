"""TensorBoard itself reads the values of the run's logs from the exported files."""

import errno
from pathlib import Path

import pytest

from terrarium.models.library.library import Library
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.runs.tensorboard import write_tensorboard
from terrarium.models.settings.model_config import ModelConfig
from tests.models.training.support import make_run, train


def test_tensorboard_reads_the_logged_values(library: Library, tiny_config: ModelConfig, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = make_run(library, tiny_config, layer_interval=5)
    train(run, library)
    run = RunFolder.open(run.folder)
    folder = write_tensorboard(run, tmp_path)
    assert folder == tmp_path / run.id
    events = EventAccumulator(str(folder))
    events.Reload()
    rows = run.read_metrics()
    for tag, kind, key in (
        ("loss/train", "train", "loss"),
        ("loss/validation", "val", "loss"),
        ("learning_rate", "train", "lr"),
        ("gradient_norm", "train", "grad_norm"),
        ("bits_per_byte/validation", "val", "bits_per_byte"),
    ):
        expected = {row["step"]: row[key] for row in rows if row["kind"] == kind}
        seen = {scalar.step: scalar.value for scalar in events.Scalars(tag)}
        assert seen == pytest.approx(expected, rel=1e-6)
    for row in run.read_layers():
        for layer, ratio in row["update_ratio"].items():
            (value,) = [s.value for s in events.Scalars(f"update_ratio/{layer}") if s.step == row["step"]]
            assert value == pytest.approx(ratio, rel=1e-6)
    seconds = [scalar.wall_time for scalar in events.Scalars("loss/train")]
    clock = [row["elapsed_s"] for row in rows if row["kind"] == "train"]
    assert [second - seconds[0] for second in seconds] == pytest.approx([t - clock[0] for t in clock], abs=1e-3)
    assert len(events.Tensors("samples/text_summary")) == len(run.read_samples())
    with pytest.raises(ValueError, match="already exists"):
        write_tensorboard(run, tmp_path)


def test_a_full_disk_leaves_nothing_behind(
    library: Library, tiny_config: ModelConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(library, tiny_config)
    train(run, library)

    def is_full(tag: str, value: float) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("terrarium.models.runs.tensorboard.scalar", is_full)
    with pytest.raises(OSError, match="No space left"):
        write_tensorboard(run, tmp_path / "board")
    assert list((tmp_path / "board").iterdir()) == []


def test_incomplete_rows_are_reported(library: Library, tiny_config: ModelConfig, tmp_path: Path) -> None:
    run = make_run(library, tiny_config)
    (run.folder / "metrics.jsonl").write_text('{"kind": "train", "step": 1}\n{"step": 2}\n')
    with pytest.raises(ValueError, match=r"metrics\.jsonl is damaged: kind of line 2 is None"):
        write_tensorboard(run, tmp_path)
