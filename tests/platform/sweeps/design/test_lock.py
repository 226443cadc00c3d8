"""A lock file keeps a sweep what it was: drift is shown and refused, additions only when asked for."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from paraformer_platform.config.schema import ExperimentConfig
from paraformer_platform.errors import StorageError, SweepError
from paraformer_platform.sweeps.lock import check_resume, lock_of, plan_hash, read_lock, write_lock
from paraformer_platform.sweeps.plan import Plan, Planner, make_plan
from paraformer_platform.sweeps.search import SearchTrials
from paraformer_platform.sweeps.spec import SweepSpec

SpecOf = Callable[[str], SweepSpec]
PlanOf = Callable[[str], Plan]

TWO = "ablate: [{id: a, set: {data.cmvn: false}}]\nseeds: [1, 2]"
THREE = "ablate: [{id: a, set: {data.cmvn: false}}, {id: b, set: {training.accumulate: 2}}]\nseeds: [1, 2]"
SEARCH = "method: bayes\nparameters: {training.num_epochs: {min: 1, max: 9}}\nrun_cap: 3"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sweeps" / "s" / "sweep.lock.json"


def test_a_lock_is_read_as_it_was_written(plan_of: PlanOf, path: Path) -> None:
    lock = lock_of(plan_of(TWO), "paraformer sweep s.yaml")
    write_lock(path, lock)
    assert read_lock(path) == lock
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    assert lock["factors"] == {"data.cmvn": [False]}
    assert [(trial["variant"], trial["seed"]) for trial in lock["trials"]] == [
        ("baseline", 1),
        ("baseline", 2),
        ("a", 1),
        ("a", 2),
    ]


def test_a_new_sweep_has_no_lock_and_the_same_plan_goes_on(plan_of: PlanOf, path: Path) -> None:
    lock = lock_of(plan_of(TWO))
    assert check_resume(path, lock) is None
    write_lock(path, lock)
    assert check_resume(path, lock_of(plan_of(TWO), "another command")) == lock


def test_what_does_not_change_a_result_may_change(plan_of: PlanOf, path: Path) -> None:
    write_lock(path, lock_of(plan_of(TWO)))
    other = (
        TWO
        + "\nhypothesis: other words\nresources: {workers: 2}\nreport: {alpha: 0.01}\nbudget: {max_failed: 1}"
    )
    assert check_resume(path, lock_of(plan_of(other))) is not None


@pytest.mark.parametrize(
    ("change", "shown"),
    [
        (lambda plan: replace(plan, data_fingerprint="other"), "data_fingerprint: data → other"),
        (lambda plan: replace(plan, code_version="newer"), "code_version: code → newer"),
        (
            lambda plan: replace(plan, variants=plan.variants[:1], trials=plan.trials[:2]),
            '- variant a: {"data.cmvn": false}',
        ),
        (lambda plan: replace(plan, trials=plan.trials[:3]), "- trial a/seed-2"),
        (
            lambda plan: replace(plan, trials=(replace(plan.trials[0], trial_key="x"), *plan.trials[1:])),
            "trial baseline/seed-1: ",
        ),
    ],
)
@pytest.mark.parametrize("extend", [False, True])
def test_drift_is_shown_and_refused(
    plan_of: PlanOf, path: Path, change: Callable[[Plan], Plan], shown: str, extend: bool
) -> None:
    plan = plan_of(TWO)
    write_lock(path, lock_of(plan))
    with pytest.raises(SweepError, match="was begun with another plan") as caught:
        check_resume(path, lock_of(change(plan)), extend=extend)
    assert shown in str(caught.value)
    assert "give the sweep a new name" in str(caught.value)


@pytest.mark.parametrize("more", [THREE, TWO.replace("[1, 2]", "[1, 2, 3]")])
def test_additions_are_refused_unless_asked_for(plan_of: PlanOf, path: Path, more: str) -> None:
    write_lock(path, lock_of(plan_of(TWO)))
    with pytest.raises(SweepError, match=r"(?s)\+ (variant b|trial baseline/seed-3).*say --extend"):
        check_resume(path, lock_of(plan_of(more)))
    assert check_resume(path, lock_of(plan_of(more)), extend=True) is not None


def test_what_a_search_proposed_is_no_drift_when_it_begins_again(
    spec_of: SpecOf, base: ExperimentConfig, path: Path
) -> None:
    spec = spec_of(SEARCH)
    plan = make_plan(spec, base, data_fingerprint="d", code_version="c")
    trials = SearchTrials(Planner(spec, base, "d", "c"), plan)
    while trials.propose() is not None:
        pass
    write_lock(path, lock_of(plan, proposed=trials.proposed))
    assert len((read_lock(path) or {})["trials"]) == 3
    assert check_resume(path, lock_of(plan)) is not None
    reseeded = replace(spec, search=replace(spec.search, seed=5))
    with pytest.raises(SweepError, match="search: "):
        check_resume(path, lock_of(make_plan(reseeded, base, data_fingerprint="d", code_version="c")))


def test_a_search_may_be_lengthened(plan_of: PlanOf, path: Path) -> None:
    write_lock(path, lock_of(plan_of(SEARCH)))
    longer = lock_of(plan_of(SEARCH.replace("run_cap: 3", "run_cap: 5")))
    with pytest.raises(SweepError, match="say --extend"):
        check_resume(path, longer)
    assert check_resume(path, longer, extend=True) is not None
    shorter = lock_of(plan_of(SEARCH.replace("run_cap: 3", "run_cap: 2")))
    with pytest.raises(SweepError, match="another plan"):
        check_resume(path, shorter, extend=True)


def test_the_hash_is_of_the_plan_and_not_of_the_words_around_it(plan_of: PlanOf) -> None:
    assert plan_hash(lock_of(plan_of(TWO), "a")) == plan_hash(lock_of(plan_of(TWO + "\nhypothesis: x"), "b"))
    assert plan_hash(lock_of(plan_of(TWO))) != plan_hash(lock_of(plan_of(THREE)))


@pytest.mark.parametrize("text", ["{", "[]", json.dumps({"version": 99})])
def test_a_damaged_lock_is_named(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True)
    path.write_text(text)
    with pytest.raises(SweepError, match=r"sweep\.lock\.json .*move it away to begin the sweep afresh"):
        read_lock(path)


def test_a_storage_that_cannot_be_written_is_named(plan_of: PlanOf, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"cannot be written: .*look after the storage"):
        write_lock(tmp_path / "file" / "sweep.lock.json", lock_of(plan_of(TWO)))
