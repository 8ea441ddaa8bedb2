"""The doctor on alignments: silent on those that learn as they should, and the right diagnosis for those with a fault.

All are really trained, very small (tests/real has those of full size); where a single figure matters, a log is written.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from terrarium.models.diagnosis import Diagnosis, Examination, RunLog, examine, kinds_of
from terrarium.models.diagnosis.findings import PASSED_TITLES, TITLES
from terrarium.models.evaluation.record import Forgetting, OverRefusal
from terrarium.models.events import KnowledgeMeasured, KnownFigure
from terrarium.models.library.library import Library
from terrarium.models.runs.fork import fork_run
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.spec_changes import changed_spec
from terrarium.models.training.trainer import prepare_run
from tests.models.diagnosis.align_suite import (
    AlignRecipe,
    faulty,
    healthy,
    make_library,
    spec_of,
    train_align,
)
from tests.models.training.support import result_of

HEALTHY, FAULTY = healthy(), faulty()


@pytest.fixture(scope="module")
def shared_library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    return Library(tmp_path_factory.mktemp("aligned"))


@pytest.fixture(scope="module")
def parent(shared_library: Library) -> RunFolder:
    """What all of them start from."""
    return make_library(shared_library)


@pytest.fixture(scope="module")
def trained(shared_library: Library, parent: RunFolder) -> Callable[[AlignRecipe], RunFolder]:
    """The run of a recipe, which is trained once for all that only read it."""
    runs: dict[str, RunFolder] = {}

    def run_of(recipe: AlignRecipe) -> RunFolder:
        if recipe.name not in runs:
            runs[recipe.name] = train_align(recipe, shared_library, parent)
        return runs[recipe.name]

    return run_of


Trained = Callable[[AlignRecipe], RunFolder]
Values = Mapping[str, Sequence[float]]


def written(
    library: Library, parent: RunFolder, recipe: AlignRecipe, steps: Values, looks: Values | None = None
) -> RunLog:
    """The log of a run with these figures, one after each step and, `looks`, at the start and after every tenth one."""
    spec = spec_of(dataclasses.replace(recipe, train={"steps": 60, **recipe.train}), library, parent)
    run = result_of(prepare_run(library, spec))
    n = max(*map(len, steps.values()), *(10 * (len(values) - 1) for values in (looks or {}).values()), 0)
    run.acquire()
    try:
        for step in range(n + 1):
            common: dict[str, Any] = {"step": step, "tokens": 0, "elapsed_s": 0.0}
            for is_validation, values, at in ((False, steps, step - 1), (True, looks or {}, step // 10)):
                known = {name: value[at] for name, value in values.items() if 0 <= at < len(value)}
                if known and (not is_validation or step % 10 == 0):
                    run.append("alignment", {**common, "is_validation": is_validation, "figures": known})
            if step:
                run.append("metrics", {"kind": "train", **common, "loss": 0.0, "lr": 1e-3, "grad_norm": 1.0})
    finally:
        run.release()
    return RunLog.read(run)


def found_in(examination: Examination) -> dict[str, Diagnosis]:
    return {diagnosis.kind: diagnosis for diagnosis in examination.diagnoses}


def check_diagnosis(diagnosis: Diagnosis, log: RunLog) -> None:
    """It has evidence, and a remedy that can be applied."""
    assert 0 <= diagnosis.step <= log.last_step
    assert diagnosis.sentence.endswith(".")
    assert any(character.isdigit() for character in diagnosis.sentence)
    assert diagnosis.evidence
    remedy = diagnosis.remedy
    if remedy is not None:
        assert changed_spec(log.spec, remedy.changes) != log.spec
        assert remedy.fork_step is None or remedy.fork_step in log.checkpoints
        assert remedy.fork_step is None or all(name.startswith("train.") for name in remedy.changes)


def test_two_faulty_runs_are_trained_for_each_diagnosis_and_ten_healthy_ones() -> None:
    assert Counter(recipe.stage for recipe in HEALTHY) == dict.fromkeys(("reward", "dpo", "kto", "ppo", "grpo", ""), 2)
    of_alignments = {kind for recipe in HEALTHY for kind in kinds_of(recipe.stage, is_tuned=True)} - set(kinds_of())
    found = Counter(kind for recipe in FAULTY for kind in recipe.found)
    assert set(found) == of_alignments
    assert min(found.values()) >= 2
    assert set(TITLES) == set(PASSED_TITLES) == of_alignments | set(kinds_of())


@pytest.mark.parametrize("recipe", HEALTHY, ids=lambda recipe: recipe.name)
def test_a_healthy_alignment_is_left_alone_at_any_time(recipe: AlignRecipe, trained: Trained) -> None:
    log = RunLog.read(trained(recipe))
    for step in range(log.last_step + 1):
        assert set(found_in(examine(log.until(step)))) == set(), f"at step {step}"
    examination = examine(log)
    if not recipe.stage:
        assert {"forgetting", "over_refusal"} <= {check.kind for check in examination.checks if check.possible}
        return
    assert not examination.is_early
    name = {"reward": "accuracy", "dpo": "rewards/accuracies", "kto": "rewards/accuracies"}.get(recipe.stage, "gold")
    curve = log.figure(name, held_out=True)
    assert curve.last() > 0.8 > curve.first(1), "or it would not be healthy"


@pytest.mark.parametrize("recipe", FAULTY, ids=lambda recipe: recipe.name)
def test_a_fault_is_found_with_its_evidence_and_remedy(recipe: AlignRecipe, trained: Trained) -> None:
    log = RunLog.read(trained(recipe))
    found = found_in(examine(log))
    assert set(recipe.found) <= set(found)
    assert set(found) <= {*recipe.found, *recipe.also}
    for diagnosis in found.values():
        check_diagnosis(diagnosis, log)


def test_a_remedy_works(shared_library: Library, parent: RunFolder, trained: Trained) -> None:
    recipe = next(recipe for recipe in FAULTY if recipe.name == "grpo, a rate of 1e-7")
    log = RunLog.read(trained(recipe))
    remedy = found_in(examine(log))["kl_low"].remedy
    assert remedy is not None
    assert remedy.changes == {"train.lr": 1e-3}
    healed = dataclasses.replace(recipe, name="healed", train={**recipe.train, "lr": remedy.changes["train.lr"]})
    after = RunLog.read(train_align(healed, shared_library, parent))
    assert found_in(examine(after)) == {}
    assert after.figure("kl").last() > 1000 * log.figure("kl").last()


GAMED = {
    "gold": [0.05, 0.18, 0.32, 0.24, 0.10, 0.03, 0.02],
    "reward": [0.1, 0.9, 1.6, 2.3, 2.5, 2.6, 2.7],
    "held_out/replies": [128.0] * 7,
}
FAIR = {
    "gold": [0.05, 0.42, 0.76, 0.73, 0.79, 0.74, 0.78],
    "reward": [0.0, 1.3, 2.1, 2.2, 2.3, 2.3, 2.4],
    "held_out/replies": [128.0] * 7,
}
"""As they were measured of PPO with an annotator that secretly likes long stories, and of a fair one."""


def test_a_reward_that_is_gamed_is_named_at_its_peak_whose_fork_is_the_remedy(
    shared_library: Library, parent: RunFolder
) -> None:
    recipe = AlignRecipe(name="gamed", stage="ppo")
    log = written(shared_library, parent, recipe, {}, GAMED)
    early = next(step for step in range(61) if "reward_hacking" in found_in(examine(log.until(step))))
    assert early == 50, "two looks that are lower, since one may be chance"
    diagnosis = found_in(examine(log))["reward_hacking"]
    check_diagnosis(diagnosis, log)
    assert diagnosis.step == 20
    assert "from 32 % of the replies to 2 %".replace(" %", "\N{NO-BREAK SPACE}%") in diagnosis.sentence
    assert diagnosis.remedy is not None
    assert diagnosis.remedy.words == "Stop at the peak: new run with 20 steps"
    saved = dataclasses.replace(log, checkpoints=(10, 20, 60))
    remedy = found_in(examine(saved))["reward_hacking"].remedy
    assert remedy is not None
    assert (remedy.fork_step, dict(remedy.changes)) == (20, {"train.steps": 21})
    assert remedy.words == "Stop at the peak: fork from step 20 with 21 steps"
    fair = written(shared_library, parent, dataclasses.replace(recipe, name="fair"), {}, FAIR)
    assert all(found_in(examine(fair.until(step))) == {} for step in range(61))


def test_two_reward_models_that_disagree_betray_a_gamed_one_where_nothing_says_what_is_meant(
    shared_library: Library, parent: RunFolder
) -> None:
    recipe = AlignRecipe(name="unknown", stage="ppo")
    reward = [0.0, 0.3, 1.1, 3.2, 3.8, 3.9, 4.0]  # as was measured with reward models of 150 pairs each
    apart = [0.47, 0.39, 0.44, 0.66, 0.75, 0.76, 0.64]
    log = written(shared_library, parent, recipe, {}, {"reward": reward, "reward_disagreement": apart})
    early = next(step for step in range(61) if "reward_hacking" in found_in(examine(log.until(step))))
    assert early == 50, "two looks at which they are half as far apart again"
    diagnosis = found_in(examine(log))["reward_hacking"]
    check_diagnosis(diagnosis, log)
    assert diagnosis.step == 30, "the last one at which they agreed"
    assert "they came to be 0.76 σ apart instead of 0.47" in diagnosis.sentence
    rare = {"reward": reward, "reward_disagreement": apart, "gold": [0.04, 0.08, 0.08, 0.02, 0.0, 0.0, 0.0]}
    log = written(shared_library, parent, dataclasses.replace(recipe, name="rare"), {}, rare)
    assert found_in(examine(log))["reward_hacking"].sentence == diagnosis.sentence
    for name, looks in {
        "agreeing": {"reward": reward, "reward_disagreement": [0.4, 0.5, 0.5, 0.6, 0.55, 0.6, 0.58]},
        "not rising": {"reward": [0.0] * 7, "reward_disagreement": apart},
        "known": {"reward": reward, "reward_disagreement": apart, "gold": FAIR["gold"]},
    }.items():
        fair = written(shared_library, parent, dataclasses.replace(recipe, name=name), {}, looks)
        assert "reward_hacking" not in found_in(examine(fair)), name


def test_the_fork_at_the_peak_ends_there(shared_library: Library, trained: Trained) -> None:
    """Of a run whose checkpoints are real."""
    recipe = next(recipe for recipe in HEALTHY if recipe.stage == "grpo")
    run = trained(recipe)
    log = RunLog.read(run)
    look = log.figure("gold", held_out=True)
    curves = {
        ("gold", True): dataclasses.replace(look, value=look.value * 0 + [0.1, 0.9, 0.1, 0.1][: len(look)]),
        ("reward", True): dataclasses.replace(look, value=look.step),
    }
    fallen = dataclasses.replace(log, figures={("gold", False): log.figure("gold"), **curves})
    assert len(look) == 3
    assert "reward_hacking" not in found_in(examine(fallen)), "a single look may be chance"
    fork = fork_run(shared_library, run, 8, train=changed_spec(run.spec, {"train.steps": 9}).train)
    assert RunLog.read(fork).figure("gold", held_out=True).step.tolist() == [0, 8]
    assert found_in(examine(RunLog.read(fork))) == {}


RISING = [0.1 + i / 30 for i in range(30)]


@pytest.mark.parametrize(
    ("stage", "found", "steps", "looks"),
    [
        ("dpo", "wrong_reference", {"rewards/margins": [0.4, 0.5, 0.6]}, None),
        ("grpo", "wrong_reference", {"kl": [0.3, 0.3, 0.4]}, None),
        ("grpo", "length", {"completions/mean_length": [45.0 + i for i in range(30)], "reward": RISING}, None),
        (
            "ppo",
            "length",
            {
                "completions/mean_length": [45.0 - i for i in range(30)],
                "reward": RISING,
                "gold": [0.1] * 30,
            },
            None,
        ),
        ("dpo", "cut", {}, {"completions/clipped_ratio": [0.0, 0.0, 0.05, 0.16], "kl": [0.0, 1.0, 2.0, 3.0]}),
        (
            "ppo",
            "critic",
            {"val/explained_variance": [-9.0 + i / 10 for i in range(30)], "val/n_updates": [4.0] * 30},
            None,
        ),
        (
            "kto",
            "chosen_falls",
            {"logps/chosen_change": [-i / 60 for i in range(30)], "rewards/margins": [0.0, *RISING]},
            None,
        ),
        ("grpo", "collapse", {"entropy": [0.24 * 0.9**i for i in range(30)], "reward": RISING}, None),
        ("dpo", "kl_high", {}, {"kl": [0.0, 4.0, 9.0, 19.0]}),
        ("reward", "weak_judge", {}, {"accuracy": [0.5, 0.6, 0.7, 0.7], "confidence": [0.5, 0.7, 0.8, 0.93]}),
        ("grpo", "no_signal", {"frac_reward_zero_std": [1.0] * 30, "pass@1": [0.0, 0.01] * 15}, None),
    ],
)
def test_a_log_that_shows_a_fault_is_diagnosed(
    shared_library: Library, parent: RunFolder, stage: str, found: str, steps: Values, looks: Values | None
) -> None:
    recipe = AlignRecipe(name=f"{stage} {found}", stage=stage, train={"steps": 30})
    log = written(shared_library, parent, recipe, steps, looks)
    seen = found_in(examine(log))
    assert set(seen) == {found}
    check_diagnosis(seen[found], log)
    assert seen[found].remedy is not None or found == "wrong_reference"


def test_few_held_out_pairs_prove_nothing(shared_library: Library, parent: RunFolder) -> None:
    recipe = AlignRecipe(name="few pairs", stage="reward", train={"steps": 30})
    looks = {"accuracy": [0.3, 0.7, 0.5, 0.5], "held_out/pairs": [6.0] * 4, "spearman_length": [0.0, 0.2, 0.6, 0.8]}
    log = written(shared_library, parent, recipe, {}, looks)
    assert found_in(examine(log)) == {}


def test_few_pairs_that_are_wrong_are_no_clean_bill_of_health(shared_library: Library, parent: RunFolder) -> None:
    recipe = AlignRecipe(name="one pair", stage="dpo", train={"steps": 30})
    looks = {"rewards/accuracies": [0.0] * 4, "held_out/pairs": [1.0] * 4}
    log = written(shared_library, parent, recipe, {"rewards/accuracies": [1.0] * 30}, looks)
    examination = examine(log)
    assert found_in(examination) == {}
    [check] = [check for check in examination.checks if check.kind == "pairs_unlearned"]
    assert not check.possible
    assert check.words.startswith("Needs more validation pairs: 0")


def test_a_log_without_figures_is_not_judged(shared_library: Library, parent: RunFolder) -> None:
    for stage in ("reward", "dpo", "kto", "ppo", "grpo"):
        log = written(shared_library, parent, AlignRecipe(name=f"{stage}, new", stage=stage), {"nothing": [0.0]})
        examination = examine(log)
        assert examination.diagnoses == ()
        asked = set(kinds_of(stage, is_tuned=stage != "reward")) - {"over_refusal"}
        assert {check.kind for check in examination.checks} == asked
        assert all(check.words.startswith("Needs ") for check in examination.checks if not check.possible)


def test_over_refusal_names_the_words_that_trigger_it_and_its_parent(trained: Trained) -> None:
    recipes = {recipe.name: recipe for recipe in FAULTY}
    diagnosis = found_in(examine(RunLog.read(trained(recipes["refuses, without look-alikes"]))))["over_refusal"]
    assert "“x” (without it " in diagnosis.sentence
    log = RunLog.read(trained(recipes["refuses everything"]))
    assert "No single word triggers it" in found_in(examine(log))["over_refusal"].sentence
    few = OverRefusal(step=30, n=100, n_refused=9)
    assert "over_refusal" not in found_in(examine(dataclasses.replace(log, over_refusal=few)))
    parent = OverRefusal(step=100, n=100, n_refused=0)
    worse = dataclasses.replace(log, over_refusal=few, parent_over_refusal=parent)
    assert "0 % by its parent".replace(" %", "\N{NO-BREAK SPACE}%") in found_in(examine(worse))["over_refusal"].sentence


def test_what_an_alignment_is_to_change_is_not_forgotten(trained: Trained) -> None:
    log = RunLog.read(trained(next(recipe for recipe in HEALTHY if recipe.stage == "dpo")))
    before = {"requests": 0.99, "state": 0.95, "loss": 1.0}
    for after, found in (({"requests": 0.6, "state": 0.92, "loss": 3.0}, False), ({"state": 0.85}, True)):
        measured = [
            KnowledgeMeasured(
                step=step,
                corpus="Tiny World 0",
                seconds=1.0,
                figures=tuple(KnownFigure(kind=kind, value=value, n=120) for kind, value in values.items()),
            )
            for step, values in ((0, before), (24, after))
        ]
        known = dataclasses.replace(log, forgetting=Forgetting(before=measured[0], after=measured[1]))
        diagnosis = found_in(examine(known)).get("forgetting")
        assert (diagnosis is not None) == found
        if diagnosis is not None:
            assert "“What changed?” 95 → 85" in diagnosis.sentence, "in the words of the pages"
            assert "What changed?, right now" in diagnosis.evidence
