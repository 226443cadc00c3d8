import os
import subprocess
import sys

import pytest

from paraformer_platform.errors import TrackingError
from paraformer_platform.tracking import names
from paraformer_platform.tracking.mlflow_store import RunStore, resolve_tracking_uri


def test_the_store_asked_for_comes_before_the_environment_and_that_before_sqlite(monkeypatch, tmp_path):
    assert resolve_tracking_uri(None, tmp_path) == f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://from-environment")
    assert resolve_tracking_uri(None, tmp_path) == "http://from-environment"
    assert resolve_tracking_uri("http://asked", tmp_path) == "http://asked"


def test_a_run_is_made_once_and_found_ever_after(store):
    identity = {names.TRIAL_KEY: "aa"}
    first = store.get_or_create(identity, "a", {names.KIND: "trial"}, 1000)
    assert store.get_or_create(identity, "b", {names.KIND: "trial"}, 2000).info.run_id == first.info.run_id


def test_of_two_runs_made_at_once_the_oldest_stays(store):
    for start in (2000, 1000):
        store.client.create_run(
            store.experiment_id, start_time=start, tags={names.TRIAL_KEY: "bb", names.KIND: "trial"}
        )
    kept = store.remove_duplicates({names.TRIAL_KEY: "bb"})
    assert kept.info.start_time == 1000
    assert [run.info.run_id for run in store.find({names.TRIAL_KEY: "bb"})] == [kept.info.run_id]


def test_more_params_and_metrics_than_one_request_takes(store):
    from mlflow.entities import Metric

    run_id = store.get_or_create({names.TRIAL_KEY: "cc"}, "c", {names.KIND: "trial"}, 1000).info.run_id
    store.log_params(run_id, {f"key.{index}": index for index in range(230)})
    store.log_metrics(run_id, [Metric("loss", 0.5, 1000 + step, step) for step in range(1500)])
    assert len(store.client.get_run(run_id).data.params) == 230
    assert len(store.client.get_metric_history(run_id, "loss")) == 1500


def test_trial_runs_are_indexed_by_their_key(store):
    store.get_or_create({names.TRIAL_KEY: "dd"}, "d", {names.KIND: "trial"}, 1000)
    store.get_or_create({names.TRIAL_KEY: "ee"}, "e", {names.KIND: "trial"}, 1000)
    assert set(store.trial_runs()) == {"dd", "ee"}


def test_a_store_that_cannot_be_made_is_named_with_the_remedy(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(TrackingError, match=r"sqlite:///.*/file/mlflow\.db cannot be opened.*--tracking-uri"):
        RunStore(f"sqlite:///{tmp_path}/file/mlflow.db", "tests")


OPEN = (
    "import sys; from paraformer_platform.tracking.mlflow_store import RunStore; RunStore(sys.argv[1], 'e')"
)


def test_two_that_make_a_store_at_once_both_get_it(tmp_path):
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    both = [subprocess.Popen([sys.executable, "-c", OPEN, uri], env=environment) for _ in range(2)]
    assert [process.wait(timeout=200) for process in both] == [0, 0]
