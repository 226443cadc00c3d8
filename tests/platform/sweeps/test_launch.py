"""Sweeps of real trainings from their files: in Tune actors, in Ray Train workers, proposed by a search."""

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from paraformer_platform.cli.sweep import exit_code
from paraformer_platform.errors import SweepError
from paraformer_platform.sweeps.job import SweepOutcome
from paraformer_platform.sweeps.launch import Launch, LaunchOptions, sweep_source
from paraformer_platform.sweeps.ledger import Ledger
from paraformer_platform.sweeps.lock import LOCK_FILE, read_lock
from paraformer_platform.sweeps.rerun import differences, fetch_trial, same_code, train_again
from paraformer_platform.sweeps.runner import run_sweep
from paraformer_platform.sweeps.sync import read_sweep
from paraformer_platform.sweeps.trial import train_configured
from paraformer_platform.tracking import names
from paraformer_platform.tracking.mlflow_store import RunStore
from paraformer_platform.training.journal import read_journal

ABLATION = """
name: {name}
base: {base}
storage: {storage}
method: ablation
ablate:
  - {{id: encoder-2, set: {{model.encoder.num_layers: 2}}}}
hypothesis: Two layers are better.
description: A sweep of a test.
secondary_metrics: [{{name: test/cer}}]
tracking: {{tags: {{project: tests}}}}
seeds: [11]
"""
ONE_CELL = """
name: {name}
base: {base}
storage: {storage}
method: list
include: [{{id: baseline}}]
seeds: [11]
"""
SEARCH = """
name: {name}
base: {base}
storage: {storage}
method: bayes
metric: {{name: dev/cer, goal: minimize}}
parameters:
  model.encoder.num_layers: {{values: [1, 2]}}
run_cap: 4
search: {{lookahead: 1}}
seeds: [11]
confirm: {{seeds: [101]}}
"""


def sweep_file(folder: Path, text: str, name: str, base: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.yaml"
    path.write_text(text.format(name=name, base=base, storage=folder / "runs"))
    return path


def run(file: Path, *overrides: str) -> tuple[Launch, SweepOutcome]:
    launch = Launch(file, LaunchOptions(overrides))
    launch.write_lock()
    return launch, run_sweep(launch.job(), train_configured, Console(file=io.StringIO()))


def computed(launch: Launch, variant: str) -> list[tuple[int, dict[str, float]]]:
    """Return step and metrics of every epoch of a variant, measured times and costs apart."""
    [trial] = [trial for trial in launch.plan.trials if trial.variant == variant]
    events = read_journal(launch.storage / "trials" / trial.trial_key / "journal.jsonl")
    return [
        (
            event["step"],
            {key: value for key, value in event["metrics"].items() if not key.startswith("cost/")},
        )
        for event in events
        if event["kind"] == "metrics"
    ]


@pytest.fixture(scope="module")
def file(tiny_experiment, tmp_path_factory) -> Path:
    return sweep_file(tmp_path_factory.mktemp("ablation"), ABLATION, "tiny", tiny_experiment)


@pytest.fixture(scope="module")
def done(local_ray, file) -> tuple[Launch, SweepOutcome]:
    return run(file)


def test_every_cell_is_trained_and_its_results_are_in_mlflow(done):
    launch, outcome = done
    assert (outcome.completed, outcome.planned) == (2, 2)
    assert exit_code(outcome) == 0
    store = RunStore(launch.tracking_uri, "paraformer")
    kept = store.trial_runs()
    assert set(kept) == {trial.trial_key for trial in launch.plan.trials}
    for run_of_trial in kept.values():
        paths = {file.path for file in store.client.list_artifacts(run_of_trial.info.run_id, "results")}
        assert paths == {"results/test.csv", "results/summary.json"}
        assert run_of_trial.data.tags[names.DATA] == launch.plan.data_fingerprint
        assert run_of_trial.data.params["model.encoder.hidden_dim"] == "32"
        assert "test/wer" in run_of_trial.data.metrics
        assert [
            model.name.split()[-1] for model in store.models(run_of_trial.data.tags[names.TRIAL_KEY])
        ] == ["best"]
        assert len(run_of_trial.inputs.dataset_inputs) == 3
    [parent] = store.find({names.KIND: "sweep"})
    assert parent.data.tags["project"] == "tests"
    assert parent.data.tags[names.DESCRIPTION] == "Two layers are better.\n\nA sweep of a test."
    paths = {file.path for file in store.client.list_artifacts(parent.info.run_id, "sweep")}
    assert paths == {"sweep/sweep.lock.json", "sweep/sweep.yaml"}


def test_the_same_command_trains_nothing_and_ends_the_same(done, file):
    launch, outcome = done
    before = computed(launch, "baseline")
    _, again = run(file)
    assert (again.completed, again.run_id) == (outcome.completed, outcome.run_id)
    assert computed(launch, "baseline") == before


def test_another_plan_under_the_same_name_is_refused(done, file):
    changed = file.with_name("changed.yaml")
    changed.write_text(file.read_text().replace("num_layers: 2", "num_layers: 3"))
    with pytest.raises(SweepError, match="was begun with another plan"):
        run(changed)


def test_a_resume_finds_the_file_by_the_sweeps_name(done, file):
    launch, _ = done
    assert sweep_source("tiny", launch.storage) == (file.resolve(), [])


def test_a_sweep_that_names_its_ledger_is_found_through_it(tiny_experiment, tmp_path, monkeypatch):
    monkeypatch.setenv("MY_LEDGER", f"sqlite:///{tmp_path}/elsewhere/of-mine.db")
    file = sweep_file(tmp_path, ONE_CELL + "ledger: ${{oc.env:MY_LEDGER}}\n", "named", tiny_experiment)
    launch = Launch(file, LaunchOptions())
    launch.write_lock()
    [trial] = launch.plan.trials
    ledger = Ledger(launch.job().ledger_url)
    ledger.complete(ledger.claim(trial.trial_key, "host:1:1", 30), {"test/wer": 0.5})
    _, records = read_sweep("named", launch.storage)  # as status, stop and sync do
    assert records[trial.trial_key].result == {"test/wer": 0.5}
    assert not (launch.storage / "ledger.db").exists()
    assert "of-mine" not in "".join(path.read_text() for path in launch.folder.iterdir())


def test_a_rerun_from_what_mlflow_kept_gives_the_same_result(done, tmp_path):
    launch, _ = done
    store = RunStore(launch.tracking_uri, "paraformer")
    run_of_trial = store.trial_runs()[launch.plan.trials[0].trial_key]
    trial = fetch_trial(store, run_of_trial.info.run_id, tmp_path / "kept")
    assert same_code(trial)
    again = train_again(trial, tmp_path / "trial")
    assert "test/wer" in again
    assert differences(trial, again) == {}


def test_ray_train_workers_give_the_same_numbers(done, tiny_experiment, tmp_path):
    launch, _ = done
    file = sweep_file(tmp_path, ONE_CELL, "workers", tiny_experiment)
    in_workers, outcome = run(file, "resources.execution=ray_train", "resources.workers=1")
    assert outcome.completed == 1
    assert computed(in_workers, "baseline") == computed(launch, "baseline")


def test_a_gang_of_two_learns_as_one_worker_does(done, tiny_experiment, tmp_path):
    launch, _ = done
    file = sweep_file(tmp_path, ONE_CELL, "gang", tiny_experiment)
    gang, outcome = run(file, "resources.workers=2")
    assert outcome.completed == 1
    alone = dict(computed(launch, "baseline")[:3])
    together = dict(computed(gang, "baseline")[:3])
    assert together.keys() == alone.keys()
    # Dropout draws other masks on each worker, so the curves are near and not equal.
    for step, metrics in alone.items():
        assert together[step]["dev/loss"] == pytest.approx(metrics["dev/loss"], rel=0.05)


@pytest.mark.parametrize(("method", "shown"), [("bayes", "dev/cer"), ("grid", "test/cer")])
def test_a_search_never_shows_test_scores_on_its_way(method, shown, tiny_experiment, tmp_path):
    text = SEARCH.replace("dev/cer", "test/cer").replace("bayes", method)
    if method == "grid":
        text = "\n".join(
            line for line in text.splitlines() if not line.startswith(("run_cap", "search", "confirm"))
        )
    launch = Launch(sweep_file(tmp_path, text, "shown", tiny_experiment), LaunchOptions(()))
    launch.write_lock()
    assert launch.job().metric == shown


def test_a_search_is_run_cell_by_cell_and_its_winner_is_confirmed(local_ray, tiny_experiment, tmp_path):
    file = sweep_file(tmp_path, SEARCH, "search", tiny_experiment)
    launch, outcome = run(file, "checkpoints.save_trial_latest=0", "checkpoints.save_trial_best=0")
    lock = read_lock(launch.folder / LOCK_FILE)
    layers = {variant["id"]: variant["changes"]["model.encoder.num_layers"] for variant in lock["variants"]}
    assert sorted(layers.values()) == [1, 2]  # a space of two cells, each once
    searched = [trial for trial in lock["trials"] if "stage" not in trial]
    fresh = [(trial["variant"], trial["seed"]) for trial in lock["trials"] if "stage" in trial]
    assert {trial["seed"] for trial in searched} == {11}
    [winner] = set(layers) - {"baseline"}
    assert fresh == [("baseline", 101), (winner, 101)]
    assert (outcome.completed, outcome.planned, exit_code(outcome)) == (4, 4, 0)
    assert len(list((launch.storage / "trials").iterdir())) == 4
    assert json.loads((launch.folder / "launch.json").read_text())["file"] == str(file)
    # save_experiment_best is 1: of all trials' checkpoints the best one's best is left
    kept = [path.name for path in (launch.storage / "trials").glob("*/checkpoints/*")]
    assert kept == ["best.pt"]
    _, again = run(file, "checkpoints.save_trial_latest=0", "checkpoints.save_trial_best=0")
    assert (again.completed, again.planned, again.run_id) == (4, 4, outcome.run_id)
    assert read_lock(launch.folder / LOCK_FILE)["trials"] == lock["trials"]
