"""What a search found best is trained once more from fresh seeds: the right variants, each once, for good."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from paraformer_platform.config.schema import ExperimentConfig
from paraformer_platform.errors import SweepError
from paraformer_platform.sweeps.confirmation import ConfirmedTrials
from paraformer_platform.sweeps.lock import check_resume, lock_of, write_lock
from paraformer_platform.sweeps.plan import Plan, PlannedTrial, Planner, make_plan
from paraformer_platform.sweeps.plan_table import plan_table
from paraformer_platform.sweeps.queue import PlannedTrials
from paraformer_platform.sweeps.search import SearchTrials
from paraformer_platform.sweeps.settings import ConfirmConfig, MetricConfig, SearchConfig
from paraformer_platform.sweeps.space import ParameterConfig
from paraformer_platform.sweeps.spec import PointConfig, SweepSpec

BASE = ExperimentConfig()
EPOCHS = {"training.num_epochs": ParameterConfig(min=1, max=6)}
FRESH = ConfirmConfig(seeds=(101, 102))


@dataclass(frozen=True)
class Ended:
    state: str = "completed"
    metrics: Mapping[str, float] = field(default_factory=dict)


def ended(trial: PlannedTrial) -> Ended:
    """Four epochs are best on dev; on test the more the better, which must not matter."""
    epochs = trial.config.training.num_epochs
    return Ended(metrics={"dev/wer": abs(epochs - 4) + trial.seed / 1000, "test/wer": 1 / epochs})


def spec_of(method: str = "bayes", **keys: object) -> SweepSpec:
    search = SearchConfig(lookahead=1) if method == "bayes" else SearchConfig()
    fields = {"parameters": EPOCHS, "confirm": FRESH, "search": search, "run_cap": 6}
    spec = SweepSpec(name="s", base="b", method=method, **{**fields, **keys})  # type: ignore[arg-type]
    assert not spec.faults()
    return spec


def planned(spec: SweepSpec) -> Plan:
    return make_plan(spec, BASE, data_fingerprint="d", code_version="c")


def trials_of(spec: SweepSpec, record: Path | None = None) -> ConfirmedTrials:
    plan, planner = planned(spec), Planner(spec, BASE, "d", "c")
    proposals = None if record is None else record.with_name("proposals.jsonl")
    searched = SearchTrials(planner, plan, proposals) if plan.searched else PlannedTrials(plan.trials)
    return ConfirmedTrials(planner, plan, searched, record)


def run(trials: ConfirmedTrials, outcome=ended, most: int = 1000) -> list[str]:
    proposed = []
    while len(proposed) < most and (trial := trials.propose()) is not None:
        proposed.append(trial.label)
        trials.tell(trial, outcome(trial))
    return proposed


@pytest.mark.parametrize("method", ["bayes", "random"])
def test_the_best_on_dev_and_the_baseline_are_trained_from_fresh_seeds(method: str) -> None:
    trials = trials_of(spec_of(method))
    labels = run(trials)
    assert len(labels) == len(set(labels)) == 6 + 4
    assert labels[6:] == [
        "baseline/seed-101",
        "baseline/seed-102",
        "num_epochs=4/seed-101",
        "num_epochs=4/seed-102",
    ]
    assert trials.exhausted
    assert trials.total == 10


def test_the_baseline_is_the_unchanged_base_file() -> None:
    trials = trials_of(spec_of(run_cap=2))
    run(trials)
    baseline = trials.confirmed[0][1][0]
    assert baseline.config.training.num_epochs == BASE.training.num_epochs
    assert baseline.config.training.seed == 101


def test_a_baseline_value_of_the_file_is_the_baseline() -> None:
    """Also where the search proposes it: then it is chosen as baseline and never as the winner."""
    parameters = {"training.num_epochs": ParameterConfig(min=1, max=6, baseline=4)}
    labels = run(trials_of(spec_of(parameters=parameters)))
    confirmed = {label.split("/")[0] for label in labels[6:]}
    # Three and five are as good; the one that was proposed first is taken.
    assert confirmed in ({"baseline", "num_epochs=3"}, {"baseline", "num_epochs=5"})


def test_several_may_be_confirmed_and_a_goal_may_be_to_maximize() -> None:
    metric = MetricConfig(name="dev/wer", goal="maximize")
    confirm = replace(FRESH, top=2)
    labels = run(trials_of(spec_of(metric=metric, confirm=confirm)))
    # Distances from four: 3 at one epoch; 2 at two and at six, of which one was proposed first.
    chosen = list(dict.fromkeys(label.split("/")[0] for label in labels[6:]))
    assert chosen[:2] == ["baseline", "num_epochs=1"]
    assert chosen[2] in ("num_epochs=2", "num_epochs=6")


def test_nothing_is_chosen_before_the_last_trial_of_the_search_has_ended() -> None:
    trials = trials_of(spec_of("random"))
    running = []
    while (trial := trials.propose()) is not None:
        running.append(trial)
    assert len(running) == 6
    for trial in running[:-1]:
        trials.tell(trial, ended(trial))
        assert trials.propose() is None
        assert not trials.exhausted
    trials.tell(running[-1], ended(running[-1]))
    assert trials.propose() is not None


def test_a_variant_of_which_a_seed_failed_or_gave_no_number_is_not_chosen() -> None:
    def outcome(trial: PlannedTrial) -> Ended:
        epochs = trial.config.training.num_epochs
        if epochs == 4 and trial.seed == 2:
            return Ended("failed")
        return Ended(metrics={"dev/wer": float("nan")}) if epochs in (3, 5) else ended(trial)

    labels = run(trials_of(spec_of("random", seeds=(1, 2))), outcome)
    assert {label.split("/")[0] for label in labels[12:]} <= {"baseline", "num_epochs=2", "num_epochs=6"}
    assert len(labels) == 12 + 4


def test_a_search_in_which_everything_fails_confirms_nothing_and_ends() -> None:
    trials = trials_of(spec_of())
    assert len(run(trials, lambda trial: Ended("failed"))) == 6
    assert trials.exhausted
    assert trials.total == 6


@pytest.mark.parametrize("stop", [3, 6, 7, 9])
def test_a_resume_confirms_what_was_chosen_whatever_failed_trials_do_now(stop: int, tmp_path: Path) -> None:
    record = tmp_path / "confirmed.json"

    def at_first(trial: PlannedTrial) -> Ended:
        return Ended("failed") if trial.label.startswith("num_epochs=4/seed-11") else ended(trial)

    spec = spec_of("random")
    whole = run(trials_of(spec), at_first)
    run(trials_of(spec, record), at_first, most=stop)
    again = run(trials_of(spec, record), ended)
    if record.exists() and stop > 6:  # it was chosen when the failed trial had failed
        assert again == whole
    else:
        assert again[6:] == [label.replace("=3/", "=4/").replace("=5/", "=4/") for label in whole[6:]]


def test_a_search_that_grew_keeps_its_winner_and_may_add_one(tmp_path: Path) -> None:
    record = tmp_path / "confirmed.json"
    low = {"training.num_epochs": ParameterConfig(min=1, max=3)}
    first = run(trials_of(spec_of("random", parameters=low), record))
    assert first[-1].startswith("num_epochs=3")
    grown = run(trials_of(spec_of("random"), record))
    assert {label.split("/")[0] for label in grown[6:]} == {"baseline", "num_epochs=3", "num_epochs=4"}


def test_a_winner_that_is_not_proposed_any_more_is_refused(tmp_path: Path) -> None:
    record = tmp_path / "confirmed.json"
    run(trials_of(spec_of("random"), record))
    low = {"training.num_epochs": ParameterConfig(min=1, max=3)}
    with pytest.raises(SweepError, match="num_epochs=4 was chosen for confirmation, but"):
        run(trials_of(spec_of("random", parameters=low), record))


@pytest.mark.parametrize("method", ["bayes", "random"])
def test_the_lock_tells_confirmed_trials_from_searched_ones_and_a_resume_is_no_drift(
    method: str, tmp_path: Path
) -> None:
    spec, path = spec_of(method), tmp_path / "sweep.lock.json"
    trials = trials_of(spec)
    run(trials)
    lock = lock_of(planned(spec), "", trials.proposed, trials.confirmed)
    fresh = [(trial["variant"], trial["seed"]) for trial in lock["trials"] if trial.get("stage") == "confirm"]
    assert fresh == [("baseline", 101), ("baseline", 102), ("num_epochs=4", 101), ("num_epochs=4", 102)]
    assert lock["baseline"] == "baseline"
    assert lock["confirm"] == {
        "top": 1,
        "seeds": [101, 102],
        "metric": "dev/wer",
        "chosen": ["num_epochs=4"],
    }
    assert len({variant["id"] for variant in lock["variants"]}) == len(lock["variants"]) == 7
    write_lock(path, lock)
    assert check_resume(path, lock_of(planned(spec))) == lock


def test_confirmation_can_be_added_to_a_finished_search_and_never_taken_away(tmp_path: Path) -> None:
    path = tmp_path / "sweep.lock.json"
    write_lock(path, lock_of(planned(spec_of(confirm=None))))
    more = lock_of(planned(spec_of()))
    with pytest.raises(SweepError, match=r"\+ confirm: 1 best"):
        check_resume(path, more)
    assert check_resume(path, more, extend=True) is not None
    write_lock(path, more)
    with pytest.raises(SweepError, match=r"- confirm: 1 best"):
        check_resume(path, lock_of(planned(spec_of(confirm=None))), extend=True)
    with pytest.raises(SweepError, match=r"confirm.seeds: \[101, 102\] → \[101\]"):
        check_resume(path, lock_of(planned(spec_of(confirm=ConfirmConfig(seeds=(101,))))), extend=True)
    wider = ConfirmConfig(seeds=(101, 102, 103), top=2)
    assert check_resume(path, lock_of(planned(spec_of(confirm=wider))), extend=True) is not None


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"method": "grid"}, "method grid does not search; confirm belongs to random and bayes"),
        ({"seeds": (101, 5)}, "seeds [101] were used by the search"),
        ({"confirm": ConfirmConfig(seeds=())}, "seeds [] must be different numbers"),
        ({"confirm": ConfirmConfig(seeds=(7, 7))}, "must be different numbers"),
        ({"confirm": ConfirmConfig(seeds=(7,), top=0)}, "top (0) must be at least 1"),
    ],
)
def test_what_cannot_be_confirmed_is_said(keys: dict[str, object], message: str) -> None:
    fields = {"method": "bayes", "parameters": EPOCHS, "confirm": FRESH, "run_cap": 6}
    spec = SweepSpec(name="s", base="b", **{**fields, **keys})  # type: ignore[arg-type]
    assert any(message in str(fault) for fault in spec.faults())


def test_a_dry_run_counts_what_is_confirmed() -> None:
    plan = planned(spec_of())
    assert "then the best and the baseline × 2 fresh seeds = 4 trials" in plan.arithmetic
    assert plan_table(plan).renderables


def test_what_was_chosen_is_written_down(tmp_path: Path) -> None:
    record = tmp_path / "confirmed.json"
    run(trials_of(spec_of(), record), most=7)
    assert json.loads(record.read_text())["chosen"] == ["num_epochs=4"]


def test_an_included_baseline_is_the_one_that_is_confirmed() -> None:
    spec = spec_of(include=(PointConfig("baseline"),))
    labels = run(trials_of(spec))
    assert [label for label in labels if label.startswith("baseline")] == [
        "baseline/seed-11",
        "baseline/seed-101",
        "baseline/seed-102",
    ]
