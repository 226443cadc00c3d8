import io

import pytest
from rich.console import Console

from paraformer_platform.sweeps.outcome import COMPLETED, FAILED, TrialOutcome
from paraformer_platform.sweeps.progress import Progress, duration
from paraformer_platform.sweeps.queue import PlannedTrials, TrialQueue


class Trial:
    def __init__(self, key: str) -> None:
        self.trial_key = key


class Sweep:
    """Four trials, two at a time, on a clock of its own."""

    def __init__(self, terminal: bool = False) -> None:
        self.now = 0.0
        self.output = io.StringIO()
        self.queue = TrialQueue(PlannedTrials([Trial(f"t{index}") for index in range(4)]), lambda key: None)
        console = Console(file=self.output, force_terminal=terminal, width=100)
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
