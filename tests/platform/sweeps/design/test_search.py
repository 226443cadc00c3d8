"""A search repeats itself: whichever trial ends first, and after a resume; and it runs no cell twice."""

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from paraformer_platform.config.schema import ExperimentConfig
from paraformer_platform.errors import SweepError
from paraformer_platform.sweeps.plan import PlannedTrial, Planner, make_plan
from paraformer_platform.sweeps.search import SearchTrials
from paraformer_platform.sweeps.settings import MetricConfig, SearchConfig
from paraformer_platform.sweeps.space import ParameterConfig
from paraformer_platform.sweeps.spec import SweepSpec

BASE = ExperimentConfig()
SMALL = {
    "training.num_epochs": ParameterConfig(min=1, max=4),
    "training.batch_size": ParameterConfig(values=(1, 2, 4)),
}
OPEN = {
    "training.learning_rate": ParameterConfig(min=1e-4, max=1e-2, distribution="log_uniform_values"),
    "training.num_epochs": ParameterConfig(min=1, max=4),
}
SAMPLERS = ("tpe", "qmc", "random", "nsgaii")


@dataclass(frozen=True)
class Ended:
    state: str = "completed"
    metrics: Mapping[str, float] = field(default_factory=dict)


def ended(trial: PlannedTrial) -> Ended:
    """A made-up result that depends on the configuration alone."""
    training = trial.config.training
    value = abs(math.log10(training.learning_rate) + 3) + training.num_epochs / training.batch_size
    if training.batch_size == 4 and training.num_epochs == 4:
        value = math.nan
    if training.batch_size == 2 and training.num_epochs == 3:
        return Ended("failed")
    return Ended(metrics={"dev/wer": value + training.seed / 100, "test/wer": -value})


def search(
    parameters: dict[str, ParameterConfig], record: Path | None = None, **keys: object
) -> SearchTrials:
    sampler = SearchConfig(sampler=str(keys.pop("sampler", "tpe")), startup_trials=3)
    spec = SweepSpec(name="s", base="b", method="bayes", parameters=parameters, search=sampler, **keys)  # type: ignore[arg-type]
    assert not spec.faults()
    plan = make_plan(spec, BASE, data_fingerprint="d", code_version="c")
    return SearchTrials(Planner(spec, BASE, "d", "c"), plan, record)


def run(trials: SearchTrials, order: int, most: int = 1000, concurrency: int = 4) -> list[str]:
    """Run trials that end in a random order; returns the proposals in theirs, with the seeds."""
    chance = random.Random(order)
    running: list[PlannedTrial] = []
    proposed: list[str] = []
    while len(proposed) < most and not (trials.exhausted and not running):
        while len(running) < concurrency and (trial := trials.propose()) is not None:
            running.append(trial)
            proposed.append(trial.label)
        if running:
            trial = running.pop(chance.randrange(len(running)))
            trials.tell(trial, ended(trial))
    return proposed


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_cell_of_a_small_space_is_run_once_whatever_the_order(sampler: str) -> None:
    runs = [
        run(search(SMALL, sampler=sampler, seeds=(1, 2)), order, concurrency=1 + order) for order in range(4)
    ]
    assert len(runs[0]) == len(set(runs[0])) == 12 * 2
    assert all(other == runs[0] for other in runs)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_search_goes_on_after_a_resume_as_it_would_have(sampler: str, tmp_path: Path) -> None:
    whole = run(search(OPEN, sampler=sampler, run_cap=14), order=1)
    assert len(whole) == len(set(whole)) == 14
    for stop in (1, 5, 9):
        record = tmp_path / f"{sampler}-{stop}.jsonl"
        run(search(OPEN, record, sampler=sampler, run_cap=14), order=2, most=stop)
        resumed = search(OPEN, record, sampler=sampler, run_cap=14)
        assert run(resumed, order=3) == whole


def test_a_gaussian_process_proposes_what_it_proposed() -> None:
    runs = [run(search(OPEN, sampler="gp", run_cap=7), order) for order in (1, 2)]
    assert runs[0] == runs[1]
    assert len(set(runs[0])) == 7


def test_a_result_that_was_told_stays_though_the_trial_ends_otherwise_later(tmp_path: Path) -> None:
    record = tmp_path / "told.jsonl"
    first = run(search(OPEN, record, run_cap=12), order=1)
    resumed = search(OPEN, record, run_cap=12)
    seen = []
    while (trial := resumed.propose()) is not None:  # no result is awaited: all that are needed are recorded
        seen.append(trial.label)
        resumed.tell(trial, Ended("failed"))
    assert seen == first


def test_a_torn_last_line_of_the_record_is_as_if_never_told(tmp_path: Path) -> None:
    record = tmp_path / "told.jsonl"
    whole = run(search(OPEN, record, run_cap=12), order=1)
    record.write_text(record.read_text()[:-20])
    assert run(search(OPEN, record, run_cap=12), order=2) == whole
    assert run(search(OPEN, record, run_cap=12), order=3) == whole


def test_the_record_of_another_search_is_refused(tmp_path: Path) -> None:
    record = tmp_path / "told.jsonl"
    run(search(OPEN, record, run_cap=12), order=1)
    with pytest.raises(SweepError, match="cannot go on as it began"):
        run(search(OPEN, record, run_cap=12, seeds=(5,)), order=1)


def test_proposals_wait_for_the_results_they_know() -> None:
    trials = search(OPEN, run_cap=12)
    first = [trials.propose() for _ in range(6)]
    assert [trial is not None for trial in first] == [True] * 4 + [False] * 2  # lookahead is 4
    assert first[1] is not None
    trials.tell(first[1], ended(first[1]))
    assert trials.propose() is None  # the first one is still at work
    assert first[0] is not None
    trials.tell(first[0], ended(first[0]))
    assert trials.propose() is not None


def test_a_search_finds_better_values_than_chance() -> None:
    def best(sampler: str) -> float:
        trials = search(OPEN, sampler=sampler, run_cap=40)
        values: list[float] = []
        while (trial := trials.propose()) is not None:
            outcome = ended(trial)
            values.append(outcome.metrics["dev/wer"])
            trials.tell(trial, outcome)
        return sum(sorted(values)[:10])

    assert best("tpe") < best("random")


def test_an_outer_grid_has_a_search_inside_each_cell() -> None:
    toggle = ParameterConfig(values=(True, False), outer="grid")
    trials = search({"model.use_predictor": toggle, **OPEN}, run_cap=5)
    labels = run(trials, order=1)
    assert trials.total == len(labels) == 10
    assert sum("use_predictor=true" in label for label in labels) == 5


def test_a_target_ends_the_search() -> None:
    trials = search(OPEN, run_cap=40, metric=MetricConfig(target=1e9))
    assert len(run(trials, order=1)) < 10


def test_a_metric_that_no_trial_has_is_named() -> None:
    trials = search(OPEN, run_cap=4)
    trial = trials.propose()
    assert trial is not None
    with pytest.raises(SweepError, match=r"metric dev/wer, which .* not among the trial's metrics: test/wer"):
        trials.tell(trial, Ended(metrics={"test/wer": 1.0}))


def test_a_search_never_looks_at_the_test_set() -> None:
    """The same dev scores and other test scores: the same proposals, though the sweep is about test/wer."""
    seen = []
    for sign in (1, -1):
        trials = search(OPEN, run_cap=12)
        seen.append([])
        while (trial := trials.propose()) is not None:
            seen[-1].append(trial.label)
            found = ended(trial)
            trials.tell(trial, Ended(found.state, {**found.metrics, "test/wer": sign * trial.seed}))
    assert seen[0] == seen[1]


def test_a_search_that_is_over_has_as_many_trials_as_it_proposed() -> None:
    trials = search(OPEN, run_cap=40, metric=MetricConfig(target=1e9))
    assert trials.total == 40
    proposed = run(trials, order=1)
    assert trials.total == len(proposed) < 40
