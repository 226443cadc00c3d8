"""One LoggedModel for each kept checkpoint, whatever happened in between."""

import json
from pathlib import Path

import pytest

from paraformer_platform.tracking import models, names
from paraformer_platform.tracking.mlflow_store import RunStore
from paraformer_platform.tracking.projection import TrialProjection, TrialRecord

KEY = "0123456789abcdef"


@pytest.fixture
def record(journal) -> TrialRecord:
    """A completed trial whose second epoch was the best."""
    events = [
        {"kind": "metrics", "step": 10, "epoch": 1, "time_ms": 1000, "metrics": {"dev/cer": 0.5}},
        {"kind": "metrics", "step": 20, "epoch": 2, "time_ms": 2000, "metrics": {"dev/cer": 0.3}},
        {"kind": "metrics", "step": 30, "epoch": 3, "time_ms": 3000, "metrics": {"dev/cer": 0.4}},
        {"kind": "metrics", "step": 30, "epoch": None, "time_ms": 4000, "metrics": {"test/wer": 0.25}},
    ]
    journal.path.write_text("".join(json.dumps(event) + "\n" for event in events))
    folder = journal.path.parent / "checkpoints"
    folder.mkdir()
    for name in ("best.pt", "last.pt", "epoch-0003.pt"):
        (folder / name).write_bytes(name.encode())
    return TrialRecord(
        trial_key=KEY,
        folder=journal.path.parent,
        name="demo encoder-2 · seed 11",
        tags={names.DATA: "ab" * 32},
        params={
            "training.selection": "dev/cer",
            "training.average_checkpoints": 1,
            "data.folder": "data/digits",
            "data.train": "train.tsv",
            "data.dev": "dev.tsv",
            "data.test": "test.tsv",
        },
    )


@pytest.fixture(autouse=True)
def no_models_left(store: RunStore):
    yield
    for model in store.models(KEY):
        store.client.delete_logged_model(model.model_id)


def by_checkpoint(store: RunStore) -> dict[str, object]:
    there = store.models(KEY)
    found = {model.tags[names.CHECKPOINT]: model for model in there}
    assert len(found) == len(there), "two models of one file"
    return found


def values(model) -> dict[str, tuple[float, int, str | None]]:
    return {point.key: (point.value, point.step, point.dataset_name) for point in model.metrics}


def test_each_kept_file_is_a_model_with_what_was_measured_of_it(store, record):
    TrialProjection(store, record).close("completed", attempt=1)
    found = by_checkpoint(store)
    assert set(found) == {"best", "epoch-0003"}
    best = found["best"]
    assert (str(best.status), best.name) == ("READY", "demo encoder-2 · seed 11 best")
    assert values(best) == {
        "dev/cer": (0.3, 20, "data/digits/dev.tsv"),
        "test/wer": (0.25, 30, "data/digits/test.tsv"),
    }
    assert values(found["epoch-0003"]) == {"dev/cer": (0.4, 30, "data/digits/dev.tsv")}
    assert best.params["data.folder"] == "data/digits"
    kept = Path(best.artifact_location.removeprefix("file://")) / "best.pt"
    assert kept.read_bytes() == b"best.pt"


def test_a_model_and_its_run_know_of_each_other_and_no_metric_point_is_doubled(store, record):
    TrialProjection(store, record).close("completed", attempt=1)
    [run] = store.find({names.TRIAL_KEY: KEY})
    models_of_run = {output.model_id for output in run.outputs.model_outputs}
    assert models_of_run == {model.model_id for model in store.models(KEY)}
    assert {model.source_run_id for model in store.models(KEY)} == {run.info.run_id}
    history = store.client.get_metric_history(run.info.run_id, "dev/cer")
    assert [(point.step, point.value) for point in history] == [(10, 0.5), (20, 0.3), (30, 0.4)]


def test_drawing_again_makes_no_second_model(store, record):
    TrialProjection(store, record).close("completed", attempt=1)
    before = {model.model_id for model in store.models(KEY)}
    projection = TrialProjection(store, record)
    assert projection.repair() == "unchanged"
    projection.close("completed", attempt=1)
    assert {model.model_id for model in store.models(KEY)} == before


@pytest.mark.parametrize("request_name", ["log_model_artifact", "log_outputs", "finalize_logged_model"])
def test_a_model_that_a_killed_writer_left_half_made_is_made_whole(store, record, monkeypatch, request_name):
    def die(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(store.client, request_name, die)
    with pytest.raises(KeyboardInterrupt):
        TrialProjection(store, record).close("completed", attempt=1)
    monkeypatch.undo()
    TrialProjection(store, record).close("completed", attempt=1)
    assert {stem: str(model.status) for stem, model in by_checkpoint(store).items()} == {
        "best": "READY",
        "epoch-0003": "READY",
    }


def test_two_writers_models_of_one_file_become_one(store, record):
    TrialProjection(store, record).close("completed", attempt=1)
    [run] = store.find({names.TRIAL_KEY: KEY})
    tags = {names.TRIAL_KEY: KEY, names.CHECKPOINT: "best"}
    second = store.client.create_logged_model(
        store.experiment_id, name="second", source_run_id=run.info.run_id, tags=tags
    )
    store.client.finalize_logged_model(second.model_id, "READY")
    TrialProjection(store, record).close("completed", attempt=1)
    assert second.model_id not in {model.model_id for model in store.models(KEY)}
    assert set(by_checkpoint(store)) == {"best", "epoch-0003"}


def test_the_model_of_a_file_that_is_no_longer_kept_goes(store, record):
    TrialProjection(store, record).close("completed", attempt=1)
    (record.folder / "checkpoints" / "epoch-0003.pt").unlink()
    TrialProjection(store, record).close("completed", attempt=1)
    assert set(by_checkpoint(store)) == {"best"}


def test_a_run_drawn_anew_has_models_of_its_own(store, record):
    projection = TrialProjection(store, record)
    projection.close("completed", attempt=1)
    projection.rebuild()
    projection.close("completed", attempt=1)
    [run] = store.find({names.TRIAL_KEY: KEY})
    assert {model.source_run_id for model in store.models(KEY)} == {run.info.run_id}
    assert set(by_checkpoint(store)) == {"best", "epoch-0003"}


def test_a_large_checkpoint_is_referred_to(store, record, monkeypatch):
    monkeypatch.setattr(models, "MOST_BYTES", 3)
    TrialProjection(store, record).close("completed", attempt=1)
    folder = Path(by_checkpoint(store)["best"].artifact_location.removeprefix("file://"))
    assert [path.name for path in folder.iterdir()] == ["checkpoint.json"]
    reference = json.loads((folder / "checkpoint.json").read_text())
    assert reference == {"path": str(record.folder / "checkpoints" / "best.pt"), "bytes": 7}


def test_averaged_weights_are_no_epochs(store, record):
    record.params["training.average_checkpoints"] = 2
    TrialProjection(store, record).close("completed", attempt=1)
    assert set(values(by_checkpoint(store)["best"])) == {"test/wer"}


@pytest.mark.parametrize("state", ["failed", "stopped"])
def test_a_trial_that_did_not_complete_has_no_model_yet(store, record, state):
    TrialProjection(store, record).close(state, attempt=1)
    assert store.models(KEY) == []
