"""The writer thread: follows, closes, and outlives a store that does not answer."""

import time

import pytest

from paraformer_platform.tracking import names
from paraformer_platform.tracking.writer import Ending, TrackingWriter


def test_everything_is_in_mlflow_when_the_writer_is_left(store, record, journal, points):
    with TrackingWriter(store, interval=0.05) as writer:
        writer.follow(record)
        journal.append([10, 20])
        writer.finish(record.trial_key, Ending("completed", attempt=1))
    assert writer.unsent == []
    [run] = store.find({names.TRIAL_KEY: record.trial_key})
    assert run.info.status == "FINISHED"
    assert [step for step, _ in points(run.info.run_id, "train/loss")] == [10, 20]


def test_open_runs_are_closed_as_killed_after_an_interruption(store, record, journal):
    with TrackingWriter(store, interval=0.05) as writer:
        writer.follow(record)
        journal.append([10])
        writer.close_open(Ending("stopped", attempt=1))
    [run] = store.find({names.TRIAL_KEY: record.trial_key})
    assert run.info.status == "KILLED"


def test_a_store_that_is_down_for_a_while_gets_everything_later(
    store, record, journal, points, monkeypatch, caplog
):
    answered = store.client.log_batch

    def down(*_args, **_kwargs):
        raise ConnectionError("connection refused")

    monkeypatch.setattr(store.client, "log_batch", down)
    with TrackingWriter(store, interval=0.05) as writer:
        writer.follow(record)
        journal.append([10])
        time.sleep(0.4)
        assert writer.last_error == "connection refused"
        monkeypatch.setattr(store.client, "log_batch", answered)
        journal.append([20])
        writer.finish(record.trial_key, Ending("completed", attempt=1))
    [run] = store.find({names.TRIAL_KEY: record.trial_key})
    assert run.info.status == "FINISHED"
    assert [step for step, _ in points(run.info.run_id, "train/loss")] == [10, 20]
    assert caplog.text.count("MLflow does not take the results now") == 1


def test_a_store_that_stays_down_costs_no_more_than_the_patience(store, record, journal, monkeypatch):
    def down(*_args, **_kwargs):
        raise ConnectionError("connection refused")

    monkeypatch.setattr(store.client, "log_batch", down)
    begun = time.monotonic()
    with TrackingWriter(store, interval=0.05, patience=0.5) as writer:
        writer.follow(record)
        journal.append([10])
        writer.finish(record.trial_key, Ending("completed", attempt=1))
    assert writer.unsent == [record.trial_key]
    assert time.monotonic() - begun == pytest.approx(0.5, abs=0.45)
