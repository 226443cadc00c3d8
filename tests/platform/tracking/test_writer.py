"""The writer thread: follows, closes, and outlives a store that does not answer."""

import time
from collections import Counter
from dataclasses import replace

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


class Counting:
    """MLflow's client, with a count of its calls, each of which is one request to a server."""

    def __init__(self, client) -> None:
        self._client = client
        self.calls: Counter[str] = Counter()

    def __getattr__(self, name):
        def call(*arguments, **keywords):
            self.calls[name] += 1
            return getattr(self._client, name)(*arguments, **keywords)

        return call


def test_a_minute_of_training_costs_one_request_per_trial_and_five_seconds(
    store, record, journal, make_journal, points, monkeypatch
):
    """Two trials that log 20 points of 3 metrics each in a second, looked at twice a second."""
    client = Counting(store.client)
    monkeypatch.setattr(store, "client", client)
    other = replace(record, trial_key="fedcba9876543210", folder=record.folder.with_name("fedcba9876543210"))
    journals = [journal, make_journal(other.folder)]
    writer = TrackingWriter(store)
    for trial in (record, other):
        writer.follow(trial)
    writer.look(0.0)  # the runs are made
    client.calls.clear()
    step = 0
    for half_seconds in range(1, 121):
        for one in journals:
            one.append(range(step + 1, step + 11))
        step += 10
        writer.look(half_seconds / 2)
    assert client.calls == {"log_batch": 2 * 60 / 5}
    [run] = store.find({names.TRIAL_KEY: other.trial_key})
    assert [found for found, _ in points(run.info.run_id, "train/loss")] == list(range(1, 1201))


def test_a_trial_that_writes_nothing_costs_no_request(store, record, journal, monkeypatch):
    writer = TrackingWriter(store)
    writer.follow(record)
    journal.append([10])
    writer.look(0.0)
    client = Counting(store.client)
    monkeypatch.setattr(store, "client", client)
    for second in range(5, 600, 5):
        writer.look(float(second))
    assert client.calls == {}
