"""Sync: whatever happened to MLflow's side, it ends with one right run per trial."""

import io
import json
from pathlib import Path

import pytest

from paraformer_platform.errors import SweepError
from paraformer_platform.sweeps.ledger import Ledger
from paraformer_platform.sweeps.lock import LOCK_FILE
from paraformer_platform.sweeps.owners import owner_name
from paraformer_platform.sweeps.signals import ask_to_stop, stop_folder
from paraformer_platform.sweeps.sync import read_sweep, state_of, synchronise
from paraformer_platform.tracking import names
from paraformer_platform.tracking.mlflow_store import RunStore

KEYS = ("done", "broken", "dead", "alive", "untouched")


def lock() -> dict:
    trials = [{"trial_key": key, "variant": key, "seed": 11} for key in KEYS]
    search = None
    plan = {"seeds": [11], "variants": [], "baseline": None, "search": search, "method": "list"}
    words = {"name": "toy", "metric": {"name": "test/wer", "goal": "minimize"}, "trials": trials}
    return {"version": 1, "data_fingerprint": "data", "code_version": "code", **plan, **words}


@pytest.fixture(scope="module")
def storage(tmp_path_factory) -> Path:
    """A storage with a trial in every state."""
    storage = tmp_path_factory.mktemp("storage")
    folder = storage / "sweeps" / "toy"
    folder.mkdir(parents=True)
    (folder / LOCK_FILE).write_text(json.dumps(lock()))
    ledger = Ledger(f"sqlite:///{storage}/ledger.db")
    ledger.complete(ledger.claim("done", owner_name(), 30), {"test/wer": 0.5})
    ledger.fail(ledger.claim("broken", owner_name(), 30), "ValueError: no", "trace")
    ledger.claim(
        "dead", owner_name().rpartition(":")[0] + ":0", 30
    )  # our pid, but another start: a dead process
    ledger.claim("alive", owner_name(), 30)
    for key in KEYS[:-1]:
        journal = storage / "trials" / key / "journal.jsonl"
        journal.parent.mkdir(parents=True)
        event = {"kind": "metrics", "step": 10, "epoch": 1, "time_ms": 1000, "metrics": {"dev/wer": 0.5}}
        journal.write_text(json.dumps(event) + "\n")
    (storage / "trials" / "done" / "environment.json").write_text('{"commit": "abc", "dirty": true}')
    return storage


@pytest.fixture(scope="module")
def store(storage) -> RunStore:
    return RunStore(f"sqlite:///{storage}/mlflow.db", "toy")


def runs(store: RunStore) -> dict[str, str]:
    return {key: run.info.status for key, run in store.trial_runs().items()}


def test_everything_is_drawn_from_nothing(storage, store):
    report = synchronise("toy", storage, store)
    assert runs(store) == {"done": "FINISHED", "broken": "FAILED", "dead": "KILLED"}
    assert report.counts["running"] == 1
    assert report.counts["not begun"] == 1
    [run] = store.find({names.TRIAL_KEY: "broken"})
    assert run.data.tags[names.ERROR] == "ValueError: no"


def test_a_second_time_changes_nothing(storage, store):
    before = {run.info.run_id for run in store.find({names.KIND: "trial"})}
    report = synchronise("toy", storage, store)
    assert report.counts["unchanged"] == 3
    assert {run.info.run_id for run in store.find({names.KIND: "trial"})} == before


def test_duplicates_and_orphans_are_put_away(storage, store):
    for key in ("done", "nobody's"):
        tags = {names.KIND: "trial", names.SWEEP: "toy", names.TRIAL_KEY: key}
        store.client.create_run(store.experiment_id, start_time=2**40, tags=tags)
    report = synchronise("toy", storage, store)
    assert report.orphans == 1
    assert len(store.find({names.TRIAL_KEY: "done"})) == 1
    assert runs(store)["nobody's"] == "KILLED"


def test_a_wiped_store_is_rebuilt(storage):
    store = RunStore(f"sqlite:///{storage}/another.db", "toy")
    synchronise("toy", storage, store)
    assert runs(store) == {"done": "FINISHED", "broken": "FAILED", "dead": "KILLED"}
    [run] = store.find({names.TRIAL_KEY: "done"})
    assert (run.data.tags[names.GIT_COMMIT], run.data.tags[names.GIT_DIRTY]) == ("abc", "true")
    assert [point.value for point in store.client.get_metric_history(run.info.run_id, "dev/wer")] == [0.5]


def test_a_trial_that_its_sweep_stopped_early_says_so(storage):
    """The report tells it from one that was interrupted and goes on when the sweep does."""
    store = RunStore(f"sqlite:///{storage}/early.db", "toy")
    ask_to_stop(stop_folder(storage / "sweeps" / "toy", "dead"), "stopped early by the sweep's scheduler")
    synchronise("toy", storage, store)
    [run] = store.find({names.TRIAL_KEY: "dead"})
    assert run.data.tags[names.STATE] == "stopped"
    assert run.data.tags[names.ERROR] == "stopped early by the sweep's scheduler"


def test_states_for_people(storage):
    _, records = read_sweep("toy", storage)
    states = {key: state_of(records.get(key)) for key in KEYS}
    assert states == {
        "done": "completed",
        "broken": "failed",
        "dead": "interrupted",
        "alive": "running",
        "untouched": "planned",
    }


def test_an_unknown_sweep_is_named_with_those_that_are_there(storage):
    with pytest.raises(SweepError, match=r"there is no sweep tiny in .*: it holds toy; .*--storage"):
        read_sweep("tiny", storage)


def test_status_prints_every_trial(storage, capsys):
    from paraformer_platform.cli.status import status

    status("toy", storage, as_json=True)
    rows = json.load(io.StringIO(capsys.readouterr().out))
    assert [(row["variant"], row["state"]) for row in rows][:2] == [
        ("done", "completed"),
        ("broken", "failed"),
    ]
    assert rows[0]["test/wer"] == 0.5
