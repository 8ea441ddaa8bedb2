"""The options that describe a run, shared by `train`, `find`, `queue add` and `sweep`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from terrarium.app.commands.common import UsageError
from terrarium.app.commands.options import OptionSet, argument, option
from terrarium.app.commands.progress import ProgressLine, drive
from terrarium.models.library.library import Library
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.align_spec import STAGES, AlignSpec, usual_align, usual_align_train
from terrarium.models.settings.design_files import read_design
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.presets import PRESETS
from terrarium.models.settings.run_spec import DataSpec, RunSpec, TokenizerSpec, TrainConfig
from terrarium.models.settings.spec_changes import changed_spec, parse_change
from terrarium.models.settings.spec_file import load_spec
from terrarium.models.settings.tune_spec import TUNE_MODES, TuneSpec, usual_train
from terrarium.models.tokenizers import KINDS, find_tokenizer

_SOURCES = ("spec", "like")
_PARTS = ("preset", "data", "dataset", "tokenizer", "vocab_size", "parent", "mode", "stage")
"""The options that say what is trained, as a SPEC.toml and --like do, too."""
_OF_PARENT = ("preset", "tokenizer", "vocab_size")
"""The settings that a run from weights inherits from its parent."""
_NAMES = {"parent": "from", "changes": "set"}
"""The names on the command line that differ from those of the fields."""


class SpecOptions(OptionSet):
    """The options that describe a run."""

    spec: Path | None = argument("SPEC.toml", "the run's settings; options override them")
    preset: str | None = option(
        "the architecture, or a design of yours: its name or its JSON file (default: terrarium-tiny): "
        f"{', '.join(PRESETS)}",
        metavar="PRESET",
        complete="design",
    )
    data: tuple[str, ...] = option(
        "learn this UTF-8 text (default: the synthetic Tiny World)", many=True, metavar="FILE", complete="file"
    )
    dataset: str | None = option(
        "learn the task of this dataset (they are listed by: terrarium data list)", metavar="NAME", complete="dataset"
    )
    tokenizer: str | None = option(
        f"{', '.join(KINDS)}, a path or a name (default: bpe)", metavar="KIND-or-PATH", complete="tokenizer"
    )
    vocab_size: int | None = option("vocabulary size of a new tokenizer (default: 1024)", metavar="V")
    steps: int | None = option("updates of the weights", metavar="N")
    seed: int | None = option("seed of all random numbers", metavar="S")
    name: str | None = option("name of the run")
    changes: tuple[str, ...] = option(
        "change a setting, as train.lr=0.003 or model.n_layer=4; may be given several times (they are listed by: "
        "terrarium settings)",
        "--set",
        metavar="NAME=VALUE",
        complete="setting",
    )
    parent: str | None = option(
        "fine-tune: start from the weights, design and tokenizer of this run, checkpoint, Hugging Face folder or "
        ".gguf file",
        "--from",
        metavar="MODEL[@STEP]",
        complete="model",
    )
    mode: str | None = option(
        "with --from: train all weights (the default), the last layers, the head, or LoRA adapters", choices=TUNE_MODES
    )
    stage: str | None = option(
        "with --from and --dataset: learn from preferences or rewards instead of texts; --set align.NAME=VALUE "
        "changes a setting of the stage",
        choices=STAGES,
    )
    like: str | None = option(
        "a new run with the settings of this one (path, id or name)", metavar="RUN", complete="run"
    )

    def given(self, *names: str) -> list[str]:
        """Return which of these options were given, without the leading dashes."""
        return [_NAMES.get(name, name.replace("_", "-")) for name in names if getattr(self, name) not in (None, ())]

    def what_is_given(self, *more: str) -> list[str]:
        """Return the options that were given of those that say what is trained, and of `more`."""
        return self.given(*_SOURCES, *_PARTS, *more)

    def to_spec(self) -> RunSpec:
        """Return the spec of the run that the options describe.

        Raises:
            UsageError: if it or the SPEC.toml is invalid.
        """
        given = [f"--{name}" for name in self.given(*_PARTS)]
        source = self.spec or self.like
        if source is not None and given:
            raise UsageError(f"{source} already says what to train: omit {' and '.join(given)}, or {source}.")
        if self.spec is not None and self.like is not None:
            raise UsageError(f"Both {self.spec} and --like say what to train: omit one of them.")
        try:
            if self.like is not None:
                spec = _spec_like(self.like)
            else:
                spec = self._spec_of_parts() if self.spec is None else load_spec(self.spec)
            spec = changed_spec(spec, self.changed())
            return dataclasses.replace(spec, name=self.name) if self.name is not None else spec
        except ValueError as error:
            raise UsageError(str(error)) from error

    def to_queued_spec(self) -> RunSpec:
        """Like `to_spec`, for a run that starts later: missing data files are reported now.

        Raises:
            UsageError: if the options or the SPEC.toml are invalid, or a file is missing.
        """
        spec = self.to_spec()
        for file in spec.data.files if spec.data.source == "files" else ():
            if not Path(file).is_file():
                raise UsageError(f"{file} does not exist: check the name, or choose the file again.")
        return spec

    def changed(self) -> dict[str, Any]:
        """Return the settings that the options change, as "train.lr" -> value."""
        changes = {name: _absolute(name, value) for name, value in map(parse_change, self.changes)}
        given = {"train.steps": self.steps, "train.seed": self.seed}
        return changes | {name: value for name, value in given.items() if value is not None}

    def with_proposals(
        self, spec: RunSpec, library: Library, line: ProgressLine, *, device: str, quiet: bool
    ) -> RunSpec:
        """Fill in the settings proposed for the run's data, model and computer, as the window's form does.

        Settings given on the command line are unchanged, and so is the whole spec of a SPEC.toml, --like or an
        alignment stage. quiet: whether what was proposed is not said.
        """
        if self.spec is not None or self.like is not None or spec.align is not None:
            return spec
        from terrarium.models.training.proposal.calibrate import propose_run

        given = self.changed()
        if self.tokenizer is not None or self.vocab_size is not None:
            given["tokenizer.kind"] = spec.tokenizer.kind
        try:
            proposed, words = drive(propose_run(library, spec, tuple(given), device), line)
        except ValueError:  # training will fail too, and report the reason
            return spec
        if words and not quiet:
            line.say(words)
        return proposed

    def _spec_of_parts(self) -> RunSpec:
        if self.parent is not None:
            return self._tuned(self.parent)
        if self.mode is not None:
            raise UsageError("--mode says what of a model is trained: name the model with --from.")
        if self.stage is not None:
            raise UsageError("--stage says what a model that can reply learns from: name the model with --from.")
        preset = self.preset or "terrarium-tiny"
        data = self._data()
        about = Path(preset).stem if preset.endswith(".json") else preset
        stem = self.dataset or (Path(data.files[0]).stem if data.files else "")
        return RunSpec(
            name=f"{stem}-{about}" if stem else about,
            model=find_design(preset),
            tokenizer=_tokenizer_spec(self.tokenizer or "bpe", self.vocab_size),
            data=data,
            train=TrainConfig(),
        )

    def _tuned(self, parent: str) -> RunSpec:
        """Return the spec of a run from the weights of --from, with the default settings for a model of its size."""
        from terrarium.models.design import total_parameters
        from terrarium.models.interop.parents import parent_config

        given = [f"--{name}" for name in self.given(*_OF_PARENT)]
        given += [name for name in self.changed() if name.startswith(("model.", "tokenizer."))]
        if given:
            raise UsageError(f"A run from weights has the design and tokenizer of its parent: omit {given[0]}.")
        config = parent_config(Library(), parent)
        mode = self.mode or "all"
        path = Path(parent).expanduser()
        data, train, align = self._data(), usual_train(mode, total_parameters(config)), None
        about = path.stem if path.exists() else parent
        learned = self.dataset or (Path(data.files[0]).stem if data.files else "tuned")
        if self.stage is not None:
            if self.dataset is None:
                raise UsageError(
                    f"--stage {self.stage} learns from a dataset of preferences or prompts: name it with --dataset, "
                    "such as “Tiny World 0, wish happy”."
                )
            align = AlignSpec(**usual_align(self.stage))
            data = dataclasses.replace(data, task=align.task)  # the dataset may specify another task
            train |= usual_align_train(self.stage)
        return RunSpec(
            name=f"{about}-{self.stage or learned}",
            model=config,
            tokenizer=TokenizerSpec(),
            data=data,
            train=TrainConfig(**train),
            tune=TuneSpec(parent=str(path.resolve()) if path.exists() else parent, mode=mode),
            align=align,
        )

    def _data(self) -> DataSpec:
        """Return the data named by --data or --dataset; Tiny World if neither is given."""
        files = tuple(str(Path(file).resolve()) for file in self.data)
        if files and self.dataset is not None:
            raise ValueError("--data and --dataset both say what to train on: omit one of them.")
        if self.dataset is not None:
            return DataSpec(source="dataset", dataset=self.dataset)
        return DataSpec(source="files", files=files) if files else DataSpec()


def find_design(text: str) -> ModelConfig:
    """Return a preset, a design of the library by its name, or that of a JSON file.

    Raises:
        ValueError: if there is no such design, or it is damaged.
    """
    if text in PRESETS:
        return PRESETS[text]
    library = Library()
    if text in library.list_designs():
        return library.load_design(text)
    if Path(text).suffix.lower() == ".json":
        return read_design(Path(text))
    raise ValueError(f"There is no design called {text!r}. The presets are {', '.join(PRESETS)}.")


def _absolute(name: str, value: Any) -> Any:
    """Make data files absolute: a queued run may start in another working directory."""
    if name != "data.files" or not isinstance(value, list):
        return value
    return [str(Path(file).resolve()) if isinstance(file, str) else file for file in value]


def _spec_like(run: str) -> RunSpec:
    from terrarium.models.runs.fork import spec_like

    library = Library()
    return spec_like(library, RunFolder.open(library.find_run(run)))


def _tokenizer_spec(wanted: str, vocab_size: int | None) -> TokenizerSpec:
    if wanted in KINDS:
        spec = TokenizerSpec(kind=wanted)
        return spec if vocab_size is None else dataclasses.replace(spec, vocab_size=vocab_size)
    if vocab_size is not None:
        raise ValueError(f"--vocab-size is for a new tokenizer, but {wanted} already exists: omit it.")
    library = Library()
    folder = find_tokenizer(wanted, library).resolve().parent
    return TokenizerSpec(path=folder.name if folder.parent == library.tokenizers.resolve() else str(folder))


def split_checkpoint(text: str) -> tuple[str, int | None]:
    """Split "RUN@STEP" into (RUN, STEP); without a step, return (RUN, None)."""
    name, at, step = text.rpartition("@")
    return (name, int(step)) if at and step.isdecimal() else (text, None)
