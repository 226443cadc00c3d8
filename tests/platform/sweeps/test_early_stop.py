"""Sweeps of real trainings that are ended early: real learning curves, and what becomes of them."""

import io
from pathlib import Path

import pytest
import ray
from rich.console import Console

from paraformer_platform.cli.sweep import exit_code
from paraformer_platform.errors import SweepError
from paraformer_platform.sweeps.job import SweepOutcome
from paraformer_platform.sweeps.launch import Launch, LaunchOptions
from paraformer_platform.sweeps.ledger import COMPLETED, STOPPED
from paraformer_platform.sweeps.runner import run_sweep
from paraformer_platform.sweeps.sync import ledger_of, synchronise
from paraformer_platform.sweeps.trial import train_configured
from paraformer_platform.tracking import names
from paraformer_platform.tracking.mlflow_store import RunStore
from paraformer_platform.training.journal import read_journal

SWEEP = """
name: {name}
base: {base}
storage: {storage}
method: grid
metric: {{name: dev/loss, goal: minimize}}
parameters:
  training.learning_rate: {{values: {rates}}}
early_terminate: {{type: {type}, min_iter: 1, eta: 2}}
resources: {{max_concurrent: 1}}
seeds: [11]
"""
GOOD, BAD = "3e-3, 2e-3, 1e-3", "1e-7, 1e-8, 1e-9"
"""At the latter rates the loss of three epochs does not fall at all, the least at the lowest."""


def launch_of(folder: Path, base: Path, name: str, text: str, **values: str) -> Launch:
    path = folder / f"{name}.yaml"
    path.write_text(text.format(name=name, base=base, storage=folder / "runs", **values))
    launch = Launch(path, LaunchOptions())
    launch.write_lock()
    return launch


def run(launch: Launch) -> SweepOutcome:
    return run_sweep(launch.job(), train_configured, Console(file=io.StringIO()))


def states(launch: Launch) -> list[str]:
    """State of every trial, in the order of the plan."""
    records = ledger_of(launch.storage).records()
    return [records[trial.trial_key].state for trial in launch.plan.trials]


def epochs(launch: Launch) -> list[int]:
    """Epochs of every trial, in the order of the plan."""
    journals = [launch.storage / "trials" / trial.trial_key / "journal.jsonl" for trial in launch.plan.trials]
    return [sum(event.get("epoch") is not None for event in read_journal(journal)) for journal in journals]


@pytest.fixture(scope="module")
def asha(local_ray, tiny_experiment, tmp_path_factory) -> tuple[Launch, SweepOutcome]:
    folder = tmp_path_factory.mktemp("asha")
    launch = launch_of(folder, tiny_experiment, "asha", SWEEP, type="asha", rates=f"[2e-3, {BAD}]")
    return launch, run(launch)


def test_asha_ends_those_that_fall_behind(asha):
    launch, outcome = asha
    assert states(launch) == [COMPLETED, STOPPED, STOPPED, STOPPED]
    assert epochs(launch) == [3, 1, 1, 1]
    assert (outcome.completed, outcome.ended_early, outcome.failed) == (1, 3, 0)
    assert exit_code(outcome) == 0  # it went as was asked for


def test_an_ended_trial_is_a_closed_run_that_says_so(asha):
    launch, outcome = asha
    store = RunStore(launch.tracking_uri, "paraformer")
    runs = store.trial_runs()
    shown = [runs[trial.trial_key] for trial in launch.plan.trials]
    assert [run.info.status for run in shown] == ["FINISHED", "KILLED", "KILLED", "KILLED"]
    assert [run.data.tags[names.STATE] for run in shown] == ["completed", *["stopped"] * 3]
    assert [run.data.metrics["epoch"] for run in shown] == [3, 1, 1, 1]
    assert store.client.get_run(outcome.run_id).info.status == "FINISHED"


def test_sync_finds_nothing_to_mend_and_leaves_the_sweep_finished(asha):
    launch, outcome = asha
    store = RunStore(launch.tracking_uri, "paraformer")
    assert synchronise("asha", launch.storage, store).counts == {"unchanged": 4}
    assert store.client.get_run(outcome.run_id).info.status == "FINISHED"


def test_ended_trials_stay_ended_when_the_sweep_is_resumed(asha):
    launch, _ = asha
    again = launch_of(
        launch.storage.parent, Path(launch.spec.base), "asha", SWEEP, type="asha", rates=f"[2e-3, {BAD}]"
    )
    outcome = run(again)
    assert (outcome.completed, outcome.ended_early) == (1, 3)
    assert epochs(again) == [3, 1, 1, 1]


def test_another_sweep_without_early_termination_trains_the_same_trial_to_its_end(asha):
    launch, _ = asha
    text = SWEEP.replace("early_terminate: {{type: {type}, min_iter: 1, eta: 2}}\n", "")
    whole = launch_of(launch.storage.parent, Path(launch.spec.base), "whole", text, rates="[2e-3, 1e-7]")
    assert run(whole).completed == 2
    assert (states(whole), epochs(whole)) == ([COMPLETED, COMPLETED], [3, 3])


def test_hyperband_ends_those_that_fall_behind_within_their_bracket(local_ray, tiny_experiment, tmp_path):
    """The first trial of a bracket is never ended; there are two brackets, drawn by the trials' keys."""
    launch = launch_of(
        tmp_path, tiny_experiment, "hyperband", SWEEP, type="hyperband", rates=f"[2e-3, {BAD}]"
    )
    outcome = run(launch)
    ended = states(launch)
    assert ended[0] == COMPLETED
    assert outcome.ended_early == ended.count(STOPPED) >= 2
    assert all(1 <= count < 3 for count, state in zip(epochs(launch), ended, strict=True) if state == STOPPED)


def test_median_ends_who_is_worse_than_most(local_ray, tiny_experiment, tmp_path):
    """Three trials make a median; each is as good as the tiny model gets, so the fourth one is judged."""
    text = SWEEP.replace(", eta: 2", "")  # median has no rungs
    launch = launch_of(tmp_path, tiny_experiment, "median", text, type="median", rates=f"[{GOOD}, 1e-7]")
    run(launch)
    assert (states(launch), epochs(launch)) == ([*[COMPLETED] * 3, STOPPED], [3, 3, 3, 1])


def test_a_gang_that_falls_behind_ends_on_all_ranks_and_leaves_room_for_the_next(
    local_ray, tiny_experiment, tmp_path
):
    """Two workers need both CPUs of this Ray: as long as one gang holds them, the next cannot begin."""
    text = SWEEP.replace("max_concurrent: 1", "workers: 2, max_concurrent: 1")
    text = text.replace("parameters:", "parameters:\n  training.num_epochs: {{value: 20}}")
    launch = launch_of(tmp_path, tiny_experiment, "gangs", text, type="asha", rates="[2e-3, 1e-7, 1e-8]")
    outcome = run(launch)
    assert states(launch) == [COMPLETED, STOPPED, STOPPED]
    assert epochs(launch)[0] == 20 > max(epochs(launch)[1:])  # an epoch takes a fraction of a look
    assert (outcome.completed, outcome.ended_early, outcome.failed) == (1, 2, 0)
    groups = ray.util.placement_group_table().values()
    assert [group for group in groups if group["state"] != "REMOVED"] == []


def test_a_search_learns_what_an_ended_trial_had_reached(local_ray, tiny_experiment, tmp_path):
    """Were nothing told of an ended trial, the search would wait for it for ever."""
    text = SWEEP.replace("grid", "bayes").replace("seeds:", "run_cap: 3\nsearch: {{lookahead: 1}}\nseeds:")
    launch = launch_of(tmp_path, tiny_experiment, "search", text, type="asha", rates="[2e-3, 1e-7, 1e-8]")
    outcome = run(launch)
    assert outcome.completed + outcome.ended_early == 3
    assert outcome.ended_early >= 1  # at most two of three are each better than all before


def test_a_metric_that_epochs_do_not_report_is_said_at_the_first_epoch(local_ray, tiny_experiment, tmp_path):
    text = SWEEP.replace("dev/loss", "dev/los")
    launch = launch_of(tmp_path, tiny_experiment, "typo", text, type="asha", rates="[2e-3, 1e-7]")
    with pytest.raises(
        SweepError, match=r"judges by dev/los, which epochs do not report; they report .*dev/loss"
    ):
        run(launch)
    assert max(epochs(launch)[:1]) < 3
