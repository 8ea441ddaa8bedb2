"""The index of a log's curve is made of the log alone, and shows every extreme of it."""

import json
import math
import random
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from terrarium.models.files.jsonl import Row
from terrarium.models.files.log_tail import LogTail
from terrarium.models.library.library import Library
from terrarium.models.runs.curve import POINT_COLUMNS, TRAIN_COLUMNS, Floats, TrainCurve, points_of_rows
from terrarium.models.runs.curve_index import AT_ONCE, BLOCK_ROWS, CurveIndex, IndexedCurve
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.model_config import ModelConfig
from tests.runs_on_disk import make_run

EXTREMES = ("loss", "lr", "grad_norm", "tokens_per_s", "memory_bytes")


@pytest.fixture(autouse=True)
def any_log_is_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("terrarium.models.runs.curve_index.LONG", 0)


def random_rows(n: int, seed: int = 0, first: int = 1) -> list[Row]:
    """Training rows with spikes, gaps and rare figures, and a validation after every tenth."""
    chance = random.Random(seed)
    rows: list[Row] = []
    for step in range(first, first + n):
        measured = {name: chance.lognormvariate(0, 2) for name in ("loss", "lr", "grad_norm", "tokens_per_s")}
        if chance.random() < 0.05:
            measured[chance.choice(("loss", "grad_norm"))] = math.nan
        rows.append(
            {"kind": "train", "step": step, "tokens": 64 * step, "elapsed_s": step / 7, **measured}
            | {"bits_per_byte": None, "peak_share": None, "memory_bytes": step * 9 % 31 if step % 10 == 0 else None}
        )
        if step % 10 == 0:
            rows.append({"kind": "val", "step": step, "tokens": 64 * step, "elapsed_s": step / 7, "loss": 1.5})
    return rows


def write(folder: Path, rows: Sequence[Row], mode: str = "w") -> Path:
    folder.mkdir(exist_ok=True)
    with (folder / "metrics.jsonl").open(mode) as file:
        file.writelines(json.dumps(row).replace("NaN", "null") + "\n" for row in rows)
    return folder


def read(folder: Path, most_bytes: int = AT_ONCE) -> IndexedCurve:
    index = CurveIndex(folder)
    while (curve := index.read(most_bytes)).is_behind:
        pass
    return curve


def column(points: Floats, name: str) -> Floats:
    values: Floats = points[POINT_COLUMNS.index(name)]
    return values


def trained(rows: Sequence[Row], n: int | None = None) -> list[Row]:
    return [row for row in rows if row["kind"] == "train"][:n]


@pytest.mark.parametrize("n", [100, 128, 1000, 5000])
def test_points_are_rows_of_the_log_and_have_each_extreme(n: int, tmp_path: Path) -> None:
    rows = random_rows(n)
    curve = read(write(tmp_path / "run", rows), most_bytes=50_000)
    n_indexed = n // BLOCK_ROWS * BLOCK_ROWS
    whole = points_of_rows(trained(rows, n_indexed))
    steps = column(curve.points, "step").astype(int)
    at = steps - 1
    for i in range(len(TRAIN_COLUMNS)):
        np.testing.assert_array_equal(curve.points[i], whole[i][at])
    assert column(curve.points, "rows").sum() == n_indexed
    for begin in range(0, n_indexed, BLOCK_ROWS):
        block = slice(begin, begin + BLOCK_ROWS)
        seen = curve.points[:, (at >= begin) & (at < begin + BLOCK_ROWS)]
        for name in EXTREMES:
            logged, shown = column(whole[:, block], name), column(seen, name)
            assert (np.nanmin(shown), np.nanmax(shown)) == (np.nanmin(logged), np.nanmax(logged))
        assert np.isnan(column(whole[:, block], "loss")).any() == np.isnan(column(seen, "loss")).any()
    last = (curve.validations or [{"step": 0}])[-1]["step"]
    assert curve.validations == [row for row in rows if row["kind"] == "val"][: len(curve.validations)]
    assert last >= n_indexed - 20


def test_means_of_points_are_those_of_the_rows_that_they_stand_for(tmp_path: Path) -> None:
    rows = random_rows(BLOCK_ROWS * 2)
    points, logged = read(write(tmp_path / "run", rows)).points, column(points_of_rows(trained(rows)), "grad_norm")
    end = 0
    for n, mean in zip(column(points, "rows").astype(int), column(points, "mean:grad_norm"), strict=True):
        part = logged[end : end + n]
        end += n
        if np.isfinite(part).any():
            assert mean == pytest.approx(np.nanmean(part))


def test_what_is_read_of_a_log_does_not_grow_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("terrarium.models.runs.curve_index._MOST_BLOCKS", 4)
    n_points, n_tail = [], []
    for n in (2100, 8300, 33000):
        folder = write(tmp_path / str(n), trained(random_rows(n)))
        curve = read(folder)
        tail = LogTail(folder / "metrics.jsonl")
        tail.skip(curve.ends, curve.lines)
        n_points.append(curve.points.shape[1])
        n_tail.append(len(tail.rows()))
        assert column(curve.points, "rows").sum() + n_tail[-1] == n
    assert max(n_tail) < BLOCK_ROWS
    assert max(n_points) < 16 * 12


def test_a_part_has_each_row_of_its_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = random_rows(3000)
    index = CurveIndex(write(tmp_path / "run", rows))
    index.read(AT_ONCE)
    part = index.part(700, 900)
    first, last = int(column(part, "step")[0]), int(column(part, "step")[-1])
    assert first <= 700 < first + BLOCK_ROWS
    assert last - BLOCK_ROWS < 900 <= last
    np.testing.assert_array_equal(part, points_of_rows(trained(rows)[first - 1 : last]))
    assert index.part(5000, 6000).shape[1] == 0
    monkeypatch.setattr("terrarium.models.runs.curve_index._MOST_ROWS", 256)
    many = index.part(700, 2000)
    assert many.shape[1] < column(many, "rows").sum() == 1408


def test_a_row_that_was_being_written_is_read_once_it_is_whole(tmp_path: Path) -> None:
    rows = random_rows(BLOCK_ROWS)
    folder = write(tmp_path / "run", rows)
    log = folder / "metrics.jsonl"
    whole = log.read_bytes()
    log.write_bytes(whole[:-300])
    assert read(folder).ends == 0
    log.write_bytes(whole)
    assert read(folder).ends == len(whole)
    np.testing.assert_array_equal(read(folder).points, read(write(tmp_path / "other", rows)).points)


def test_a_log_that_a_resume_cut_keeps_the_blocks_before(
    library: Library, tiny_config: ModelConfig, tmp_path: Path
) -> None:
    folder = make_run(library, tiny_config, "cut")
    rows, others = random_rows(1000), random_rows(700, seed=1, first=601)
    read(write(folder, rows))
    RunFolder.open(folder).cut_after(600, {"metrics": (folder / "metrics.jsonl").stat().st_size})
    write(folder, others, "a")
    again = read(write(tmp_path / "again", [row for row in rows if row["step"] <= 600] + others))
    found = CurveIndex(folder).read(1)
    assert found.ends > 300 * 150, "what was before the cut is not read again"
    found = read(folder)
    np.testing.assert_array_equal(found.points, again.points)
    assert (found.validations, found.ends, found.lines) == (again.validations, again.ends, again.lines)


def test_a_training_keeps_the_index_of_its_log(library: Library, tiny_config: ModelConfig) -> None:
    run = RunFolder.open(make_run(library, tiny_config, "grows"))
    run.acquire()
    for row in random_rows(3 * BLOCK_ROWS):
        run.append("metrics", row)
    run.release()
    log = run.folder / "metrics.jsonl"
    (row,) = sqlite3.connect(run.folder / "curve.sqlite").execute("SELECT count(*), max(ends) FROM block").fetchall()
    assert row[0] >= 2
    assert 0 < log.stat().st_size - row[1] < log.stat().st_size / 2


def test_another_log_in_its_place_is_indexed_anew(tmp_path: Path) -> None:
    folder = write(tmp_path / "run", random_rows(1000))
    read(folder)
    write(folder, random_rows(900, seed=1))
    expected = read(write(tmp_path / "other", random_rows(900, seed=1)))
    np.testing.assert_array_equal(read(folder).points, expected.points)
    (folder / "metrics.jsonl").unlink()
    assert read(folder).ends == 0


def damage(file: Path) -> None:
    file.write_bytes(b"not a database" * 1000)


def forbid(file: Path) -> None:
    file.mkdir()


@pytest.mark.parametrize("spoil", [damage, forbid])
def test_where_the_index_cannot_be_used_it_is_made_in_memory(spoil: Callable[[Path], None], tmp_path: Path) -> None:
    folder = write(tmp_path / "run", random_rows(1000))
    spoil(folder / "curve.sqlite")
    CurveIndex(folder).extend(AT_ONCE)
    for _ in range(2):
        found = read(folder)
        np.testing.assert_array_equal(found.points, read(write(tmp_path / "other", random_rows(1000))).points)


def test_a_damaged_line_ends_the_index_before_it(tmp_path: Path) -> None:
    rows = random_rows(1000)
    folder = write(tmp_path / "run", rows[:500])
    with (folder / "metrics.jsonl").open("a") as file:
        file.write("no\n")
    write(folder, rows[500:], "a")
    curve = read(folder)
    tail = LogTail(folder / "metrics.jsonl")
    tail.skip(curve.ends, curve.lines)
    assert curve.ends > 0
    with pytest.raises(ValueError, match="line 501 is not a JSON object"):
        tail.rows()


def test_several_processes_make_the_same_index(tmp_path: Path) -> None:
    folder = write(tmp_path / "run", random_rows(6000))
    program = (
        "import sys; from pathlib import Path; from terrarium.models.runs import curve_index\n"
        "curve_index.LONG = 0; index = curve_index.CurveIndex(Path(sys.argv[1]))\n"
        "for _ in range(60): index.extend(1)"
    )
    writers = [subprocess.Popen([sys.executable, "-c", program, str(folder)]) for _ in range(2)]
    assert [writer.wait() for writer in writers] == [0, 0]
    np.testing.assert_array_equal(read(folder).points, read(write(tmp_path / "other", random_rows(6000))).points)


def test_a_curve_in_memory_is_thinned_as_it_grows_and_takes_details() -> None:
    rows = trained(random_rows(30000))
    whole = points_of_rows(rows)
    curve = TrainCurve(most=20000)
    for row in rows[:100]:
        curve.append(row)
    curve.extend(rows[100:])
    assert (curve.is_whole, curve.version) == (False, 1)
    assert curve["rows"].sum() == 30000
    for name in EXTREMES:
        logged = column(whole, name)
        assert (np.nanmin(curve[name]), np.nanmax(curve[name])) == (np.nanmin(logged), np.nanmax(logged))
    before = len(curve)
    curve.insert(whole[:, 2000:2500])
    seen = (curve["step"] >= 2001) & (curve["step"] <= 2500)
    np.testing.assert_array_equal(curve["loss"][seen], column(whole, "loss")[2000:2500])
    assert len(curve) > before
    assert curve["rows"].sum() == pytest.approx(30000, abs=30)
    assert (np.diff(curve["step"]) > 0).all()
