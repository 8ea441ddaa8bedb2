"""`terrarium doctor`: diagnose a run from its log, with the commands that start the remedies."""

from __future__ import annotations

import dataclasses
import shlex
from typing import Any

from terrarium.app.commands.options import Command, argument
from terrarium.models.diagnosis import Diagnosis, Examination, Remedy, RunLog, examine
from terrarium.models.library.library import Library
from terrarium.models.runs.run_folder import RunFolder


class Doctor(Command, description=__doc__, epilog="The exit code is 0 whatever is found."):
    """What is wrong with a run, and what to do."""

    run_id: str = argument("RUN", "a run's path, id or name; it may still be training", complete="run")

    def run(self) -> None:
        """Examine the run and print what was found."""
        folder = RunFolder.open(Library().find_run(self.run_id))
        examination = examine(RunLog.read(folder))
        self.show({"run": folder.id, **_facts(folder, examination)}, _report(folder, examination))


def remedy_command(run_id: str, remedy: Remedy) -> str:
    """Return the command line that starts the remedy of a run."""
    begin = ["--like", run_id] if remedy.fork_step is None else ["--fork", f"{run_id}@{remedy.fork_step}"]
    settings = [part for name, value in remedy.changes.items() for part in ("--set", f"{name}={value}")]
    return shlex.join(["terrarium", "train", *begin, *settings])


def _facts(folder: RunFolder, examination: Examination) -> dict[str, Any]:
    return {
        "diagnoses": [_diagnosis_facts(folder, diagnosis) for diagnosis in examination.diagnoses],
        "checks": [dataclasses.asdict(check) for check in examination.checks],
    }


def _diagnosis_facts(folder: RunFolder, diagnosis: Diagnosis) -> dict[str, Any]:
    facts = dataclasses.asdict(diagnosis)
    if diagnosis.remedy is not None:
        facts["remedy"]["command"] = remedy_command(folder.id, diagnosis.remedy)
    return facts


def _report(folder: RunFolder, examination: Examination) -> str:
    lines = []
    for diagnosis in examination.diagnoses:
        lines += [f"{diagnosis.title}, from step {diagnosis.step:,}", f"  {diagnosis.sentence}"]
        if diagnosis.remedy is not None:
            lines += [f"  Remedy: {diagnosis.remedy.words}", f"    {remedy_command(folder.id, diagnosis.remedy)}"]
        lines.append("")
    if examination.diagnoses:
        lines.append("Passed:")
    elif examination.is_early:
        lines.append(f"It is too early to tell whether anything is wrong with {folder.name}.")
    else:
        lines.append(f"Nothing is wrong with {folder.name}.")
    lines += [f"  {check.title}: {check.words}" for check in examination.checks if check.possible]
    missing = [check for check in examination.checks if not check.possible]
    if missing:
        lines += ["Not checked:", *(f"  {check.title}: {check.words}" for check in missing)]
    return "\n".join(lines)
