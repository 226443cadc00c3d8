"""Laws of the projection: what the journal says, once, whatever happened in between."""

import json
from pathlib import Path

import pytest

from paraformer_platform.tracking import names
from paraformer_platform.tracking.cursor import CURSOR_FILE
from paraformer_platform.tracking.mlflow_store import RunStore
from paraformer_platform.tracking.projection import TrialProjection, TrialRecord


def only_run(store, trial_key="0123456789abcdef"):
    [run] = store.find({names.TRIAL_KEY: trial_key})
    return run


def test_a_finished_trial_is_one_run_with_everything(store, record, journal, points):
    journal.append([10, 20])
    (record.folder / "results").mkdir()
    (record.folder / "results" / "test.csv").write_text("id\n")
    projection = TrialProjection(store, record)
    projection.close("completed", attempt=1)
    run = only_run(store)
    assert run.info.status == "FINISHED"
    assert run.data.params == {key: str(value) for key, value in record.params.items()}
    assert run.data.tags[names.STATE] == "completed"
    assert run.data.tags[names.VARIANT] == "baseline"
    assert points(run.info.run_id, "train/loss") == [(10, 0.1), (20, 0.05)]
    assert points(run.info.run_id, "epoch") == [(10, 1.0), (20, 2.0)]
    assert [file.path for file in store.client.list_artifacts(run.info.run_id, "results")] == [
        "results/test.csv"
    ]
    assert run.info.end_time == 1_700_000_020_000


def test_the_three_manifests_are_named_once_by_the_datas_fingerprint(store, record, journal):
    journal.append([10])
    TrialProjection(store, record).update()
    (record.folder / CURSOR_FILE).unlink()
    TrialProjection(store, record).update()  # everything is sent again
    named = [
        (item.dataset.name, item.dataset.digest, {tag.key: tag.value for tag in item.tags})
        for item in only_run(store).inputs.dataset_inputs
    ]
    assert sorted(named, key=lambda item: item[0]) == [
        (f"data/digits/{name}.tsv", ("ab" * 32)[:36], {"mlflow.data.context": context})
        for name, context in (("dev", "validation"), ("test", "test"), ("train", "training"))
    ]


def test_the_machines_load_is_drawn_under_mlflows_own_names(store, record, journal, points):
    journal.append([10])
    sample = {
        "kind": "system",
        "step": 0,
        "time_ms": 1,
        "metrics": {"system/cpu_utilization_percentage": 9.5},
    }
    journal.path.write_text(json.dumps(sample) + "\n" + journal.path.read_text())
    projection = TrialProjection(store, record)
    projection.update()
    assert points(only_run(store).info.run_id, "system/cpu_utilization_percentage") == [(0, 9.5)]
    assert points(only_run(store).info.run_id, "epoch") == [(10, 1.0)]
    assert projection.repair() == "unchanged"


def test_each_point_is_sent_once_and_again_only_without_effect(store, record, journal, points):
    journal.append([10])
    projection = TrialProjection(store, record)
    assert projection.update() == 3
    assert projection.update() == 0
    journal.append([20])
    assert projection.update() == 3
    (record.folder / CURSOR_FILE).unlink()  # a lost cursor: everything is sent again
    assert TrialProjection(store, record).update() == 6
    assert points(only_run(store).info.run_id, "train/loss") == [(10, 0.1), (20, 0.05)]


def test_a_torn_last_line_waits_until_it_is_whole(store, record, journal, points):
    journal.append([10, 20])
    whole = journal.path.read_bytes()
    journal.path.write_bytes(whole[:-7])
    projection = TrialProjection(store, record)
    projection.update()
    assert points(only_run(store).info.run_id, "train/loss") == [(10, 0.1)]
    journal.path.write_bytes(whole)
    projection.update()
    assert points(only_run(store).info.run_id, "train/loss") == [(10, 0.1), (20, 0.05)]


@pytest.mark.parametrize("same_process", [True, False], ids=["same process", "next process"])
def test_a_journal_cut_back_after_sending_leaves_no_double_points(
    store, record, journal, points, same_process
):
    journal.append([10, 20, 30])
    projection = TrialProjection(store, record)
    projection.update()
    journal.cut_back(1)
    journal.append([20, 30], time_offset_ms=60_000)  # computed again later: other timestamps
    projection = projection if same_process else TrialProjection(store, record)
    projection.update()
    assert [step for step, _ in points(only_run(store).info.run_id, "train/loss")] == [10, 20, 30]


def test_a_writer_killed_between_sending_and_noting_it(store, record, journal, points, monkeypatch):
    journal.append([10, 20])
    projection = TrialProjection(store, record)

    def send_and_die(run_id, metrics):
        RunStore.log_metrics(store, run_id, metrics)
        raise KeyboardInterrupt

    monkeypatch.setattr(store, "log_metrics", send_and_die)
    with pytest.raises(KeyboardInterrupt):
        projection.update()
    monkeypatch.undo()
    journal.cut_back(1)
    journal.append([20], time_offset_ms=60_000)
    TrialProjection(store, record).update()
    assert [step for step, _ in points(only_run(store).info.run_id, "train/loss")] == [10, 20]


def test_a_closed_run_is_reopened_by_the_next_attempt(store, record, journal):
    journal.append([10])
    TrialProjection(store, record).close("failed", attempt=1, error="ValueError: no", error_kind="error")
    first = only_run(store)
    assert (first.info.status, first.data.tags[names.ERROR]) == ("FAILED", "ValueError: no")
    journal.append([20])
    again = TrialProjection(store, record)
    assert again.closed == "failed"
    again.update()
    assert only_run(store).info.status == "RUNNING"
    again.close("completed", attempt=2)
    last = only_run(store)
    assert last.info.run_id == first.info.run_id
    assert (last.info.status, last.data.tags[names.ATTEMPT], last.data.tags[names.ERROR]) == (
        "FINISHED",
        "2",
        "",
    )


def test_another_store_starts_from_the_whole_journal(store, record, journal, tmp_path: Path):
    journal.append([10])
    TrialProjection(store, record).close("completed", attempt=1)
    other = RunStore(store.uri, "another experiment")
    object.__setattr__(other, "uri", store.uri + "?")  # the same database under another address
    projection = TrialProjection(other, record)
    assert projection.closed is None
    assert projection.update() == 3


def test_values_that_changed_are_refused(store, record, journal):
    from dataclasses import replace

    journal.append([10])
    TrialProjection(store, record).update()
    (record.folder / CURSOR_FILE).unlink()
    changed: TrialRecord = replace(record, params={"training.seed": 12})
    with pytest.raises(Exception, match="Changing param values is not allowed"):
        TrialProjection(store, changed).update()


def test_repair_tells_a_run_that_is_right_from_one_that_misses_points_and_one_that_has_others(
    store, record, journal, points
):
    from mlflow.entities import Metric

    journal.append([10, 20])
    projection = TrialProjection(store, record)
    projection.update()
    assert projection.repair() == "unchanged"
    run_id = only_run(store).info.run_id
    store.log_metrics(run_id, [Metric("train/loss", 9.0, 1, 30)])
    assert projection.repair() == "rebuilt"
    assert only_run(store).info.run_id != run_id
    store.delete(only_run(store).info.run_id)
    store.get_or_create({names.TRIAL_KEY: record.trial_key}, "empty", {names.KIND: "trial"}, 1000)
    (record.folder / CURSOR_FILE).write_text(
        (record.folder / CURSOR_FILE)
        .read_text()
        .replace(projection._cursor.run_id, only_run(store).info.run_id)
    )
    assert TrialProjection(store, record).repair() == "completed"
    assert points(only_run(store).info.run_id, "train/loss") == [(10, 0.1), (20, 0.05)]


def test_a_clock_that_jumps_back_doubles_and_loses_nothing(store, record, journal, points):
    """The journal was cut back, and what was computed again is stamped an hour before what was cut off."""
    journal.append([10, 20, 30])
    projection = TrialProjection(store, record)
    projection.update()
    journal.cut_back(2)
    journal.append([30, 40], time_offset_ms=-3_600_000)
    projection.close("completed", attempt=2)
    (record.folder / CURSOR_FILE).unlink()
    TrialProjection(store, record).close("completed", attempt=2)
    run = only_run(store)
    assert [step for step, _ in points(run.info.run_id, "train/loss")] == [10, 20, 30, 40]
    assert run.data.metrics["train/loss"] == 1 / 40  # the latest by step, not by the clock
    assert run.info.end_time >= run.info.start_time
    assert TrialProjection(store, record).repair() == "unchanged"
