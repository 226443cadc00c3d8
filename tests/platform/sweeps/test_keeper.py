"""Which checkpoint files are left: of ended trials what any sweep keeps, of all others everything."""

import json
from pathlib import Path

import pytest

from paraformer_platform.sweeps.keeper import CheckpointKeeper
from paraformer_platform.sweeps.ledger import Ledger
from paraformer_platform.sweeps.lock import LOCK_FILE
from paraformer_platform.sweeps.settings import CheckpointsConfig
from paraformer_platform.sweeps.signals import ask_to_stop, stop_folder

EPOCHS = {1: 0.9, 2: 0.4, 3: 0.5, 4: 0.4, 5: 0.7}
"""Dev score by epoch: the best are 2, 4 (later, so second), 3; the newest 5, 4, 3."""
ALL = {"last.pt", "best.pt", *(f"epoch-{epoch:04d}.pt" for epoch in EPOCHS)}


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(f"sqlite:///{tmp_path}/ledger.db")


def add_trial(storage: Path, key: str) -> None:
    """Write a trial's folder as a training leaves it that kept every epoch."""
    folder = storage / "trials" / key
    (folder / "checkpoints").mkdir(parents=True)
    for name in ALL:
        (folder / "checkpoints" / name).write_bytes(b"weights")
    (folder / "config.yaml").write_text("training: {selection: dev/cer}\n")
    events = [
        {
            "kind": "metrics",
            "step": 10 * epoch,
            "epoch": epoch,
            "time_ms": epoch,
            "metrics": {"dev/cer": score},
        }
        for epoch, score in EPOCHS.items()
    ]
    test = {"kind": "metrics", "step": 50, "epoch": None, "time_ms": 9, "metrics": {"test/wer": 0.3}}
    (folder / "journal.jsonl").write_text("".join(json.dumps(event) + "\n" for event in [*events, test]))


def add_sweep(storage: Path, name: str, keys: list[str], goal: str = "minimize", **wishes: int) -> None:
    lock = {
        "metric": {"name": "test/wer", "goal": goal},
        "checkpoints": vars(CheckpointsConfig(**wishes)),
        "trials": [{"trial_key": key} for key in keys],
    }
    path = storage / "sweeps" / name / LOCK_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(lock))


def complete(ledger: Ledger, key: str, wer: float) -> None:
    ledger.complete(ledger.claim(key, "host:1:1", 30), {"test/wer": wer})


def stop(ledger: Ledger, key: str) -> None:
    ledger.stop(ledger.claim(key, "host:1:1", 30))


def left(storage: Path, key: str) -> set[str]:
    return {path.name for path in (storage / "trials" / key / "checkpoints").iterdir()}


@pytest.mark.parametrize(
    ("latest", "best", "expected"),
    [
        (1, 1, {"last.pt", "best.pt"}),
        (0, 1, {"best.pt"}),
        (1, 0, {"last.pt"}),
        (0, 0, set()),
        (1, 3, {"last.pt", "best.pt", "epoch-0004.pt", "epoch-0003.pt"}),
        (3, 1, {"last.pt", "best.pt", "epoch-0004.pt", "epoch-0003.pt"}),
        (2, 2, {"last.pt", "best.pt", "epoch-0004.pt"}),
        (
            9,
            9,
            ALL,
        ),  # number 2 is among the newest, and 5 among the best, though their weights are there twice
    ],
)
def test_a_completed_trial_keeps_its_newest_and_its_best(tmp_path, ledger, latest, best, expected):
    add_trial(tmp_path, "a")
    add_sweep(tmp_path, "one", ["a"], save_trial_latest=latest, save_trial_best=best, save_experiment_best=0)
    complete(ledger, "a", 0.3)
    keeper = CheckpointKeeper("one", tmp_path, ledger)
    for _ in range(2):  # once more changes nothing
        keeper.trial_ended("a")
        assert left(tmp_path, "a") == expected


def test_what_may_be_gone_on_with_keeps_everything(tmp_path, ledger):
    keys = ["running", "failed", "interrupted", "planned"]
    for key in keys:
        add_trial(tmp_path, key)
    add_sweep(tmp_path, "one", keys, save_trial_latest=0, save_trial_best=0, save_experiment_best=0)
    ledger.plan(["planned"])
    ledger.claim("running", "host:1:1", 30)
    ledger.fail(ledger.claim("failed", "host:1:1", 30), "ValueError: no")
    stop(ledger, "interrupted")
    CheckpointKeeper("one", tmp_path, ledger).sweep_ended()
    assert all(left(tmp_path, key) == ALL for key in keys)


def test_a_trial_that_was_ended_early_for_good_is_over(tmp_path, ledger):
    add_trial(tmp_path, "a")
    add_sweep(tmp_path, "one", ["a"], save_trial_latest=0)
    stop(ledger, "a")
    ask_to_stop(stop_folder(tmp_path / "sweeps" / "one", "a"), "asha")
    add_sweep(tmp_path, "two", ["a"], save_trial_latest=0)  # has no scheduler, and may go on with it
    CheckpointKeeper("one", tmp_path, ledger).sweep_ended()
    assert left(tmp_path, "a") == ALL
    ask_to_stop(stop_folder(tmp_path / "sweeps" / "two", "a"), "asha")
    CheckpointKeeper("one", tmp_path, ledger).sweep_ended()
    assert left(tmp_path, "a") == {"best.pt"}


@pytest.mark.parametrize("goal", ["minimize", "maximize"])
def test_the_best_trials_of_the_sweep_keep_their_best_model_as_trials_end(tmp_path, ledger, goal):
    """At every moment the files are those of the two best trials so far, whatever order they end in."""
    wers = {"a": 0.5, "b": 0.2, "c": 0.4, "d": 0.2, "e": 0.3, "f": float("nan")}
    sign = 1 if goal == "minimize" else -1
    add_sweep(
        tmp_path,
        "one",
        sorted(wers),
        goal,
        save_trial_latest=0,
        save_trial_best=0,
        save_experiment_best=2,
    )
    keeper = CheckpointKeeper("one", tmp_path, ledger)
    order = ["f", "a", "e", "d", "c", "b"]
    for number, key in enumerate(order, start=1):
        add_trial(tmp_path, key)
        complete(ledger, key, wers[key] * sign)
        keeper.trial_ended(key)
        ended = [other for other in order[:number] if other != "f"]
        best = sorted(ended, key=lambda other: (wers[other], other))[:2]
        assert {other for other in order[:number] if left(tmp_path, other) == {"best.pt"}} == set(best)
    again = CheckpointKeeper("one", tmp_path, ledger)  # the next process knows no more than the disk says
    again.sweep_ended()
    assert {key for key in wers if left(tmp_path, key)} == {"b", "d"}


def test_a_crash_between_a_trials_end_and_the_deleting_is_mended_at_the_sweeps_end(tmp_path, ledger):
    keys = ["a", "b", "c"]
    add_sweep(tmp_path, "one", keys, save_trial_latest=0, save_trial_best=0)
    for number, key in enumerate(keys):
        add_trial(tmp_path, key)
        complete(ledger, key, 0.1 * (number + 1))
    (tmp_path / "trials" / "c" / "checkpoints" / "last.pt").unlink()  # the crash came in the midst
    (tmp_path / "trials" / "b" / "checkpoints" / ".best.pt.77.partial").write_bytes(b"torn")
    CheckpointKeeper("one", tmp_path, ledger).sweep_ended()
    assert [left(tmp_path, key) for key in keys] == [{"best.pt"}, set(), set()]


def test_a_shared_trial_keeps_what_either_sweep_keeps(tmp_path, ledger):
    for key, wer in (("a", 0.1), ("shared", 0.2), ("c", 0.3)):
        add_trial(tmp_path, key)
        complete(ledger, key, wer)
    add_sweep(tmp_path, "frugal", ["a", "shared", "c"], save_trial_latest=0, save_trial_best=0)
    add_sweep(tmp_path, "keeps-last", ["shared"], save_trial_latest=1, save_trial_best=0)
    CheckpointKeeper("frugal", tmp_path, ledger).sweep_ended()
    # best.pt too: within the other sweep this trial is the best one
    assert left(tmp_path, "shared") == {"last.pt", "best.pt"}
    assert (left(tmp_path, "a"), left(tmp_path, "c")) == ({"best.pt"}, set())


def test_a_trial_that_no_sweep_of_the_storage_plans_is_left_alone(tmp_path, ledger):
    add_trial(tmp_path, "foreign")
    complete(ledger, "foreign", 0.1)
    add_sweep(tmp_path, "one", [], save_trial_latest=0, save_trial_best=0)
    CheckpointKeeper("one", tmp_path, ledger).trial_ended("foreign")
    assert left(tmp_path, "foreign") == ALL
