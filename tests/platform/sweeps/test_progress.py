import io

import pytest
from rich.console import Console

from paraformer_platform.sweeps.outcome import COMPLETED, FAILED, TrialOutcome
from paraformer_platform.sweeps.progress import SHOWN_RUNNING, Progress, duration, shortened
from paraformer_platform.sweeps.queue import PlannedTrials, TrialQueue


class Trial:
    def __init__(self, key: str) -> None:
        self.trial_key = key


class Sweep:
    """Four trials, two at a time, on a clock of its own."""

    def __init__(self, terminal: bool = False, width: int = 100, trials: int = 4) -> None:
        self.now = 0.0
        self.output = io.StringIO()
        self.queue = TrialQueue(
            PlannedTrials([Trial(f"t{index}") for index in range(trials)]), lambda key: None
        )
        console = Console(file=self.output, force_terminal=terminal, width=width)
        self.progress = Progress(
            self.queue,
            metric="test/wer",
            secondary=("test/cer",),
            concurrency=2,
            console=console,
            clock=lambda: self.now,
        )

    def start(self) -> str:
        key = self.queue.next().trial_key
        self.progress.started(key, f"label-{key}")
        return key

    def end(self, key: str, outcome: TrialOutcome) -> None:
        self.queue.ended(outcome)
        self.progress.ended(f"label-{key}", outcome)


def test_the_summary_counts_and_names_the_best():
    sweep = Sweep()
    for wer in (0.5, 0.25, 0.75):
        key = sweep.start()
        sweep.end(key, TrialOutcome(key, COMPLETED, {"test/wer": wer}, seconds=60))
    assert sweep.progress.summary() == (
        "3 of 4 trials done · 0 running · 0 failed · best test/wer 0.2500 (label-t1) · about 30 s left"
    )


def test_time_left_counts_what_running_trials_have_done():
    sweep = Sweep()
    assert sweep.progress.seconds_left() is None
    first, second = sweep.start(), sweep.start()
    sweep.now = 100.0
    sweep.end(first, TrialOutcome(first, COMPLETED, {"test/wer": 0.5}, seconds=100))
    sweep.now = 140.0
    assert second in sweep.queue.running
    # Two trials of 100 s wait; the running one is over its time, so none of it is left; two run at once.
    assert sweep.progress.seconds_left() == pytest.approx(2 * 100 / 2)


def test_without_a_terminal_there_are_plain_lines():
    sweep = Sweep()
    with sweep.progress:
        key = sweep.start()
        sweep.end(key, TrialOutcome(key, FAILED, error="ValueError: no", error_kind="out of memory"))
    lines = sweep.output.getvalue().splitlines()
    assert lines[0] == "failed    label-t0  0 s  ValueError: no"
    assert lines[-1].startswith("0 of 4 trials done · 0 running · 1 failed")
    assert "\x1b" not in sweep.output.getvalue()


def test_secondary_metrics_are_shown_beside_the_metric():
    sweep = Sweep()
    key = sweep.start()
    sweep.end(key, TrialOutcome(key, COMPLETED, {"test/cer": 0.125, "test/wer": 0.5}, seconds=60))
    assert sweep.output.getvalue() == "completed label-t0  60 s  test/wer 0.5000  test/cer 0.1250\n"


def test_the_live_table_shows_the_latest_metrics_of_running_trials():
    sweep = Sweep(terminal=True)
    key = sweep.start()
    sweep.progress.reported(key, {"epoch": 3, "train/loss": 1.25, "dev/wer": 0.5})
    console = Console(file=io.StringIO(), width=100)
    console.print(sweep.progress.render())
    shown = console.file.getvalue()
    assert "label-t0" in shown
    assert "1.2500" in shown
    assert "0.5000" in shown


@pytest.mark.parametrize(("seconds", "words"), [(48, "48 s"), (720, "12 min"), (12600, "3.5 h")])
def test_durations_are_written_as_people_say_them(seconds, words):
    assert duration(seconds) == words


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_long_name_takes_no_number_from_the_screen(width):
    sweep = Sweep(terminal=True, width=width, trials=20)
    for index in range(SHOWN_RUNNING + 3):
        key = sweep.queue.next().trial_key
        sweep.progress.started(
            key, f"model.encoder.num_layers=12,training.learning_rate=0.00{index}317 · seed 22"
        )
        sweep.progress.reported(key, {"train/loss": 12.3456, "dev/wer": 0.4321, "epoch": 17})
    sweep.now = 5000.0
    console = Console(file=io.StringIO(), width=width)
    console.print(sweep.progress.render())
    lines = console.file.getvalue().splitlines()
    rows = [line for line in lines if line.startswith("model.")]
    assert len(rows) == SHOWN_RUNNING
    assert all(row.split()[-5:] == ["83", "min", "17", "12.3456", "0.4321"] for row in rows)
    assert all("seed 22" in row for row in rows)
    assert "and 3 more" in console.file.getvalue()
    assert max(map(len, lines)) <= width


def test_a_label_is_cut_within_its_variant():
    assert shortened("baseline · seed 11", 18) == "baseline · seed 11"
    assert shortened("baseline · seed 11", 17) == "baseli… · seed 11"


def test_a_resumed_sweep_knows_the_time_left_from_earlier_launches():
    sweep = Sweep()
    key = sweep.queue.next().trial_key
    stored = TrialOutcome(key, COMPLETED, {"test/wer": 0.5}, seconds=100.0, stored=True)
    sweep.end(key, stored)
    assert sweep.progress.seconds_left() == pytest.approx(3 * 100 / 2)
    key = sweep.start()
    sweep.end(key, TrialOutcome(key, COMPLETED, {"test/wer": 0.5}, seconds=10.0))
    assert sweep.progress.seconds_left() == pytest.approx(2 * 10 / 2)  # this machine's own
