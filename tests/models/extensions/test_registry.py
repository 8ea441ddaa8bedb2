"""What extensions add is in the tables, what is wrong with them is said, and nothing of it stops the program."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import pytest

from terrarium.models.extensions.registry import Missing
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.tasks.stored_scores import list_scores, read_scores
from tests.installed_extension import install, run_python

OPTIMIZER = """Optimizer(title="Drift", help="Drift moves", lr_of="Drift", max_lrs={"lr": 0.01}, lr_range=(1e-6, 0.1),
    matrix_states=0, other_states=0, code="good:make")"""
GOOD = f"""
from terrarium.models.extensions import Extension, Metric, Optimizer, StageKind, StageWords, Truncation

words = StageWords(offer="Learn: Half", does="It learns half.", title="Half", learned="Halved", icon="git-diff",
    explained="Half learns half")
EXTENSION = Extension(title="Good", help="All kinds.",
    optimizers={{"drift": {OPTIMIZER}}},
    sampling_steps={{"odd_cut": Truncation(title="Odd", help="Odd ones.", default=0, range=(0, 9), code="good:odd")}},
    stages={{"half": StageKind(name="half", words=words, objectives={{"preference": "good:Half"}}, options=("beta",),
        usual={{"beta": 0.2}}, usual_train={{"lr": 1e-4}}, checks=("nan",), needs_beta=True)}},
    metrics={{"length_gap": Metric(title="Gap", help="gap", unit="number", higher_is_better=False,
        tasks=("text-to-text", "classification"), code="good:gap")}})

class Half: pass
def gap(gold, predicted): return abs(len(gold) - len(predicted))
def odd(given, value): return given.probabilities < 0
"""
READ = """
import json, sys
from terrarium.models.custom_blocks.store import find_installed_blocks
from terrarium.models.settings.extension_list import list_extensions
from terrarium.models.settings.optimizers import OPTIMIZERS
from terrarium.models.settings.stage_kinds import STAGE_KINDS
from terrarium.models.settings.sampling_config import SamplingConfig, TRUNCATIONS
from terrarium.models.settings.tasks import TASKS
assert "torch" not in sys.modules
import terrarium.app.cli, terrarium.models.training.optim, terrarium.models.inference.sampling_steps
import terrarium.app.kit.forms.sampling_sliders, terrarium.models.tasks.scoring, terrarium.models.diagnosis
"""
SHOW = """
import dataclasses
print(json.dumps({"extensions": [dataclasses.asdict(each) for each in list_extensions(find_installed_blocks())],
    "optimizers": list(OPTIMIZERS), "stages": list(STAGE_KINDS), "steps": list(TRUNCATIONS),
    "metrics": TASKS["classification"].metrics[-1]}))
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return tmp_path / "site"


def test_each_kind_of_entry_is_in_its_tables(site: Path, home: Path) -> None:
    install(site, "terrarium-good", {"good": "good:EXTENSION"}, "good", GOOD)
    found = run_python(READ + SHOW, site, home)
    (info,) = found["extensions"]
    assert (info["package"], info["version"], info["author"]) == ("terrarium-good", "1.2", "Ada Example")
    assert not info["problems"]
    assert [(each["kind"], each["name"], each["title"]) for each in info["additions"]] == [
        ("optimizer", "drift", "Drift"),
        ("sampling step", "odd_cut", "Odd"),
        ("stage", "half", "Half"),
        ("metric", "length_gap", "Gap"),
    ]
    ends = [found["optimizers"][-1], found["steps"][-1], found["stages"][-1], found["metrics"]]
    assert ends == ["drift", "odd_cut", "half", "length_gap"]


def test_the_switch_leaves_them_out(site: Path, home: Path) -> None:
    install(site, "terrarium-good", {"good": "good:EXTENSION"}, "good", GOOD)
    found = run_python(READ + SHOW, site, home, TERRARIUM_NO_EXTENSIONS="1")
    assert found["extensions"] == []
    assert found["optimizers"] == ["muon", "adamw", "lion"]


def test_their_code_is_used_and_its_mistakes_are_said(site: Path, home: Path) -> None:
    install(site, "terrarium-good", {"good": "good:EXTENSION"}, "good", GOOD)
    program = """
import numpy as np
from types import SimpleNamespace
from terrarium.models.inference.sampling_steps import sampling_steps
from terrarium.models.settings.align_spec import AlignSpec, usual_align
from terrarium.models.settings.run_spec import TrainConfig
from terrarium.models.settings.stage_kinds import load_objective
from terrarium.models.tasks.scoring import score
from terrarium.models.training.optim import _MAKERS, _Weights
report = score("text-to-text", [SimpleNamespace(value="ab")] * 2, [{"source": "s", "target": t} for t in ("abc", "a")],
    resamples=0)
said = []
for act in (
    lambda: sampling_steps(np.zeros(4, np.float32), SamplingConfig(odd_cut=3)),
    lambda: _MAKERS["drift"](_Weights([], [], []), TrainConfig(optimizer="drift"), None),
    lambda: SamplingConfig(odd_cut=10),
):
    try:
        act()
    except ValueError as error:
        said.append(str(error))
align = AlignSpec(**usual_align("half"))
objective = load_objective(align.kind, "preference").__name__
print(json.dumps([report.scores["length_gap"].value, said, objective, align.beta]))
"""
    gap, said, objective, beta = run_python(READ + program, site, home)
    assert (gap, objective, beta) == (1.0, "Half", 0.2)
    assert said == [
        "The sampling step “odd_cut” of the package terrarium-good does not say which tokens it keeps, one at least: "
        "switch it off, or update terrarium-good.",
        "The optimizer “drift” cannot be used, because good:make of the package terrarium-good cannot be imported "
        "(AttributeError: module 'good' has no attribute 'make'): update or reinstall terrarium-good.",
        "odd_cut is 10, but must lie between 0 and 9.",
    ]


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("import nowhere_at_all", "bad:EXTENSION cannot be imported (ModuleNotFoundError"),
        ("from terrarium.models.settings.sampling_config import SamplingConfig", "imports nothing of Terrarium but"),
        ("1 +", "bad:EXTENSION cannot be imported (SyntaxError"),
        ("EXTENSION = 5", "its entry point names an object of the type int"),
        ("EXTENSION = Extension(title='', help='x')", "it has no title"),
        ("EXTENSION = Extension(title='T', help='x', optimizers=7)", "its optimizers is 7"),
        ("EXTENSION = E({'Drift': OPTIMIZER})", "small letters"),
        ("EXTENSION = E({'adamw': OPTIMIZER})", "Terrarium has taken this name"),
        ("EXTENSION = E({'drift': OPTIMIZER})", "terrarium-aaa has taken this name"),
        ("EXTENSION = E({'x': 5})", "it is of the type int instead of Optimizer"),
        ("EXTENSION = E({'x': replace(OPTIMIZER, title=3)})", "its title is 3"),
        ("EXTENSION = E({'x': replace(OPTIMIZER, code='good')})", "its code is 'good'"),
        ("EXTENSION = E({'x': replace(OPTIMIZER, max_lrs={'muon_lr': 1.0})})", "max_lrs has to name one learning rate"),
        ("EXTENSION = E({'x': replace(OPTIMIZER, lr_range=(1,))})", "it cannot be checked (ValueError"),
        ("EXTENSION = E({'x': replace(OPTIMIZER, matrix_states=9)})", "it keeps more than 2 numbers per weight"),
        ("EXTENSION = E({}, metrics={'m': replace(METRIC, tasks=('poetry',))})", "its tasks are ('poetry',)"),
        ("EXTENSION = E({}, metrics={'m': replace(METRIC, unit='bananas')})", "its unit is 'bananas'"),
        ("EXTENSION = E({}, sampling_steps={'top_k': STEP})", "Terrarium has taken this name"),
        ("EXTENSION = E({}, sampling_steps={'json': STEP})", "has two words"),
        ("EXTENSION = E({}, sampling_steps={'my_cut': replace(STEP, default=7)})", "its default 7 is not in its range"),
        ("EXTENSION = E({}, stages={'half': replace(STAGE, checks=('luck',))})", "its checks has 'luck'"),
        ("EXTENSION = E({}, stages={'other': STAGE})", "its name has 'half'"),
        ("EXTENSION = E({}, blocks=('nowhere.py',))", "it is not a proper block"),
        ("EXTENSION = E({}, blocks=('../secret.py',))", "does not lead to a file of the package"),
        ("EXTENSION = E({}, blocks=('bad.py',))", "a block is one text"),
    ],
)
def test_a_mistake_is_left_out_and_said(site: Path, home: Path, source: str, problem: str) -> None:
    head = f"""
from dataclasses import replace
from terrarium.models.extensions import Extension, Metric, Optimizer, StageKind, StageWords, Truncation
OPTIMIZER = {OPTIMIZER}
METRIC = Metric(title="M", help="m", unit="share", tasks=("span",), code="good:gap")
STEP = Truncation(title="S", help="s", default=0.0, range=(0.0, 1.0), code="good:odd")
WORDS = StageWords(offer="o", does="d", title="t", learned="l", icon="git-diff", explained="e")
STAGE = StageKind(name="half", words=WORDS, objectives={{"preference": "good:Half"}})
def E(optimizers, **more): return Extension(title="Bad", help="x", optimizers=optimizers, **more)
"""
    install(site, "terrarium-aaa", {"a": "aaa:EXTENSION"}, "aaa", f"{head}EXTENSION = E({{'drift': OPTIMIZER}})\n")
    install(site, "terrarium-bad", {"bad": "bad:EXTENSION"}, "bad", head + source + "\n")
    light = READ.partition("import terrarium.app.cli")[0]
    found = run_python(light + SHOW, site, home)
    good, bad = found["extensions"]
    assert not good["problems"]
    (sentence,) = bad["problems"]
    assert problem in sentence
    assert sentence.endswith("update or uninstall terrarium-bad.")
    assert not bad["additions"]
    assert found["optimizers"] == ["muon", "adamw", "lion", "drift"]


def test_tracebacks_are_in_the_log_and_not_on_screen(site: Path, home: Path) -> None:
    install(site, "terrarium-bad", {"bad": "bad:EXTENSION"}, "bad", "import nowhere_at_all")
    program = (
        "import contextlib, io, json\nfrom terrarium.app.cli import main\n"
        "from terrarium.models.library.library import Library\n"
        "with contextlib.redirect_stderr(io.StringIO()) as err:\n    main(['extension', 'list'])\n"
        "print(json.dumps([err.getvalue(), Library().log_file.read_text('utf-8')]))"
    )
    shown, logged = run_python(program, site, home)
    assert shown == ""
    assert "Traceback" in logged
    assert "No module named 'nowhere_at_all'" in logged


def test_the_name_of_something_missing_survives_copies() -> None:
    name = Missing("drift", "terrarium-good")
    for copied in (copy.deepcopy(name), pickle.loads(pickle.dumps(name))):
        assert copied == "drift"
        assert copied.package == "terrarium-good"


def test_a_run_learns_by_a_stage_of_an_extension(site: Path, home: Path) -> None:
    install(site, "terrarium-good", {"good": "good:EXTENSION"}, "good", GOOD.replace("good:Half", "learn:Hinge"))
    (site / "learn.py").write_text(
        "from terrarium.models.training.stages.preference import SimpoObjective\n\n\n"
        "class Hinge(SimpoObjective):\n"
        "    def _losses(self, pairs, means):\n"
        "        return (1 - means[0] + means[1]).relu()\n"
    )
    program = """
import json
from terrarium.models.library.library import Library
from terrarium.models.runs.run_folder import RunFolder
from tests.models.training.stages.support import CONFIG, figures, make_pairs, run_of
from tests.models.training.support import make_run, train
library = Library()
train(parent := make_run(library, CONFIG, steps=4), library)
make_pairs(library)
run = run_of(library, parent, {"stage": "half"}, "pairs", steps=20, eval_interval=20, batch_size=8)
before, after = figures(train(run, library), validation=True)
record = json.loads((run.folder / "run.json").read_text("utf-8"))
print(json.dumps([before, after, RunFolder.open(run.folder).status, record["spec"]["align"]["stage"]]))
"""
    before, after, status, stage = run_python(program, site, home)
    assert (status, stage) == ("finished", "half")
    assert after["loss"] < 0.5 * before["loss"]
    assert after["rewards/accuracies"] == 1.0


def test_a_run_is_measured_by_a_metric_of_an_extension(site: Path, home: Path) -> None:
    """While it trains, where the lowest is the best, and on the test split; both are read where it is not installed."""
    install(site, "terrarium-good", {"good": "good:EXTENSION"}, "good", GOOD)
    program = """
import contextlib, dataclasses, io, json
from terrarium.app.cli import main
from terrarium.models.events import result_of
from terrarium.models.library.library import Library
from terrarium.models.training.prepare import prepare_run
from tests.models.tasks.small_tasks import make_dataset, make_task_spec
from tests.models.training.support import train
library = Library()
make_dataset(library, "classification", metric="length_gap")
spec = make_task_spec(library, "classification", "encoder-only", steps=8, eval_interval=4, checkpoint_interval=4)
spec = dataclasses.replace(spec, data=dataclasses.replace(spec.data, metric="length_gap"))
train(run := result_of(prepare_run(library, spec)), library)
with contextlib.redirect_stdout(io.StringIO()) as shown:
    assert main(["evaluate", run.id, "--json"]) == 0
print(json.dumps([str(run.folder), json.loads(shown.getvalue())]))
"""
    where, evaluated = run_python(program, site, home)
    run = RunFolder.open(Path(where))
    assert isinstance(run.spec.data.metric, Missing)
    measured = {row["step"]: row["metric_value"] for row in run.each_metric() if row["kind"] == "val"}
    assert run.best_step == min(measured, key=lambda step: measured[step])
    assert measured[8] < measured[0]
    (path,) = list_scores(run.folder)
    stored = read_scores(path)
    assert stored.report.headline == "macro_f1"
    gaps = [abs(len(row.gold) - len(row.prediction)) for row in stored.rows]
    assert evaluated["metric"] == "length_gap"
    assert evaluated["score"] == pytest.approx(sum(gaps) / len(gaps))
    assert len(gaps) == evaluated["n"] == 60
    low, high = evaluated["interval"]
    assert low <= evaluated["score"] <= high
