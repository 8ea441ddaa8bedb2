"""Reading and writing SPEC.toml, the settings of a run as a file with paths relative to it. No torch import."""

from __future__ import annotations

import dataclasses
import re
import tomllib
from pathlib import Path
from typing import Any

import tomli_w

from terrarium.models.extensions.registry import Missing
from terrarium.models.files.atomic import atomic_write_text
from terrarium.models.settings.align_spec import STAGES, AlignSpec, usual_align, usual_align_train
from terrarium.models.settings.extension_names import KEY, with_missing
from terrarium.models.settings.model_config import ModelConfig, upgraded
from terrarium.models.settings.presets import PRESETS
from terrarium.models.settings.run_spec import DataSpec, RunSpec, TokenizerSpec, TrainConfig
from terrarium.models.settings.slots import check_keys, settings_from_dict
from terrarium.models.settings.tune_spec import TuneSpec, usual_train

_MAX_BYTES = 1 << 20
_LONG_KEY = re.compile(r"""(?<![\w."'-])(?:(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+){100}""")


def load_spec(path: Path) -> RunSpec:
    """Read a SPEC.toml: tables [model] (preset= and/or settings), [tokenizer], [data], [train], [tune], [align], [run].

    Relative paths are relative to the file's folder. A `[tokenizer] path`, `[tune] parent` or `[align] reward_model`
    that is not a file or folder there names a tokenizer or run in the library. With [tune], the model and the tokenizer
    are the parent's.

    Raises:
        ValueError: naming the file, the table and the remedy.
    """
    tables = _read_toml(path)
    check_keys(tables, {"model", "tokenizer", "data", "train", "tune", "align", "run", KEY}, str(path))
    for name, table in tables.items():
        if not isinstance(table, dict):
            raise ValueError(f"{path}: {name} must be a table, written [{name}].")
    tables = with_missing(tables)
    run = tables.get("run", {})
    check_keys(run, {"name"}, f"{path} [run]")
    parts: dict[str, Any] = {
        "model": _model_from_table(tables.get("model", {}), f"{path} [model]"),
        "tokenizer": _tokenizer_from_table(tables.get("tokenizer", {}), path),
        "data": _data_from_table(tables.get("data", {}), path),
        "train": settings_from_dict(TrainConfig, tables.get("train", {}), f"{path} [train]"),
    }
    if "tune" in tables:
        tune = parts["tune"] = _tune_from_table(tables["tune"], path)
        usual = usual_train(tune.mode)
        if "align" in tables:
            align = parts["align"] = _align_from_table(tables["align"], path)
            usual |= usual_align_train(align.stage)
        parts["train"] = settings_from_dict(TrainConfig, usual | tables.get("train", {}), f"{path} [train]")
    elif "align" in tables:
        parts["align"] = _align_from_table(tables["align"], path)
    try:
        return RunSpec(name=run.get("name", path.stem), **parts)
    except ValueError as error:
        raise ValueError(f"{path} [run]: {error}") from error


def _read_toml(path: Path) -> dict[str, Any]:
    """Parse a file into tables, with limits: tomllib recurses, and is quadratic in the number of parts of a key."""
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
        if len(data) > _MAX_BYTES or _LONG_KEY.search(text := data.decode()):
            raise ValueError(f"{path} is no SPEC.toml: it has more than 1 MiB, or a key of more than 100 parts.")
        return tomllib.loads(text)
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text: save it as UTF-8.") from error
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path} is not valid TOML: {error}.") from error
    except RecursionError:
        raise ValueError(f"{path} is no SPEC.toml: its values are nested too deep.") from None


def write_spec(path: Path, spec: RunSpec) -> None:
    """Write `spec` as a SPEC.toml, for `load_spec`.

    Raises:
        ValueError: if `path` is a folder.
        OSError: if it cannot be written.
    """
    if path.is_dir():
        raise ValueError(f"{path} is a folder: name the file to write, for example {path / 'spec.toml'}.")
    atomic_write_text(path, spec_to_toml(spec, path.resolve().parent))


def spec_to_toml(spec: RunSpec, folder: Path) -> str:
    """Format `spec` as a SPEC.toml in `folder`: paths inside the folder are relative, all others absolute.

    Settings at their defaults are written, too, so that the file keeps its meaning when defaults change; except slots
    with `omit_default`.
    """
    tables = {part: dict(value) for part, value in spec.to_dict().items() if part != "name"}
    tables["tokenizer"]["path"] = _from_folder(spec.tokenizer.path, folder)
    if spec.tune is not None:
        tables["tune"]["parent"] = _from_folder(spec.tune.parent, folder)
    for setting, model in spec.align.reward_models.items() if spec.align is not None else ():
        tables["align"][setting] = _from_folder(model, folder)
    tables["data"]["files"] = [_from_folder(file, folder) for file in spec.data.files]
    return tomli_w.dumps({"run": {"name": spec.name}, **tables}, multiline_strings=False)


def _from_folder(path: str, folder: Path) -> str:
    """Return a path relative to `folder` if it is inside; other paths, and names in the library, are unchanged."""
    if not Path(path).is_absolute() or not Path(path).is_relative_to(folder):
        return path
    return Path(path).relative_to(folder).as_posix()


def _model_from_table(table: dict[str, Any], where: str) -> ModelConfig:
    """Return the design in `table`, based on its `preset`; an empty table is the default design."""
    preset = table.get("preset", "terrarium-tiny")
    if not isinstance(preset, str) or preset not in PRESETS:
        raise ValueError(f"{where}: there is no preset called {preset!r}: choose one of {', '.join(PRESETS)}.")
    settings = {key: value for key, value in upgraded(table).items() if key != "preset"}
    start = PRESETS[preset].to_dict() if "preset" in table or not settings else {}
    return settings_from_dict(ModelConfig, {**start, **settings}, where)


def _tokenizer_from_table(table: dict[str, Any], path: Path) -> TokenizerSpec:
    spec = settings_from_dict(TokenizerSpec, table, f"{path} [tokenizer]")
    if spec.path and (path.parent / spec.path).exists():
        spec = dataclasses.replace(spec, path=str((path.parent / spec.path).resolve()))
    return spec


def _tune_from_table(table: dict[str, Any], path: Path) -> TuneSpec:
    spec = settings_from_dict(TuneSpec, table, f"{path} [tune]")
    if (path.parent / spec.parent).exists():
        spec = dataclasses.replace(spec, parent=str((path.parent / spec.parent).resolve()))
    return spec


def _align_from_table(table: dict[str, Any], path: Path) -> AlignSpec:
    stage = table.get("stage", AlignSpec.stage)
    usual = usual_align(stage) if stage in STAGES or isinstance(stage, Missing) else {}
    spec = settings_from_dict(AlignSpec, usual | table, f"{path} [align]")
    folder, models = path.parent, spec.reward_models
    return spec.with_reward_models(
        {setting: str((folder / model).resolve()) for setting, model in models.items() if (folder / model).exists()}
    )


def _data_from_table(table: dict[str, Any], path: Path) -> DataSpec:
    if "files" in table and "source" not in table:
        table = {**table, "source": "files"}
    spec = settings_from_dict(DataSpec, table, f"{path} [data]")
    return dataclasses.replace(spec, files=tuple(str((path.parent / file).resolve()) for file in spec.files))
