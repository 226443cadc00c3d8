"""What a running sweep shows: one live table on a terminal, plain lines elsewhere."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from paraformer_platform.sweeps.outcome import COMPLETED, FAILED, STOPPED, TrialOutcome
from paraformer_platform.sweeps.queue import TrialQueue

Seconds = float
PLAIN_INTERVAL: Seconds = 30.0
"""Pause between two summary lines when the output is no terminal."""
SHOWN_RUNNING = 8
LEAST_LABEL = 16
"""Characters that the name of a trial gets even in the narrowest terminal."""
GAP = 2


@dataclass
class RunningTrial:
    """The latest news of a trial at work."""

    label: str
    begun: Seconds
    metrics: Mapping[str, float] = field(default_factory=dict)


class Progress:
    """Follows a sweep and shows it; a context manager around the running of it.

    Args:
        queue: The sweep's state.
        metric: Name of the metric that the sweep is about; its best value is shown.
        goal: minimize or maximize.
        secondary: Names of further metrics, shown as trials end.
        concurrency: How many trials run at once.
        gpus_per_trial: For the GPU-hours left; 0 hides them.
        console: Where to write.
    """

    def __init__(
        self,
        queue: TrialQueue,
        *,
        metric: str,
        goal: str = "minimize",
        secondary: Sequence[str] = (),
        concurrency: int = 1,
        gpus_per_trial: float = 0.0,
        console: Console | None = None,
        clock: Callable[[], Seconds] = time.monotonic,
    ) -> None:
        self._queue = queue
        self._metric = metric
        self._shown = (metric, *secondary)
        self._better: Callable[[float, float], float] = min if goal == "minimize" else max
        self.concurrency = max(1, concurrency)
        """How many trials run at once, for the estimate of the time left."""
        self.gpus_per_trial = gpus_per_trial
        """For the GPU-hours left; 0 hides them."""
        self._console = console or Console()
        self._clock = clock
        self._running: dict[str, RunningTrial] = {}
        self._best: tuple[float, str] | None = None
        self._seconds: list[Seconds] = []
        self._seconds_before: list[Seconds] = []
        """Of trials that earlier launches completed."""
        self._stored = 0
        self._note = ""
        self._last_line: Seconds = 0.0
        self._live = Live(
            get_renderable=self.render, console=self._console, refresh_per_second=2, transient=True
        )

    def __enter__(self) -> "Progress":
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._console.is_terminal:
            self._live.stop()
        self._console.print(self.summary(), highlight=False, markup=False, soft_wrap=True)

    def started(self, trial_key: str, label: str) -> None:
        """Show a trial as running."""
        self._running[trial_key] = RunningTrial(label, self._clock())

    def reported(self, trial_key: str, metrics: Mapping[str, float]) -> None:
        """Show a trial's latest metrics."""
        if trial_key in self._running:
            self._running[trial_key].metrics = metrics
        self._say_if_due()

    def set_aside(self, trial_key: str) -> None:
        """Show a trial as no longer running, though it has no final outcome."""
        self._running.pop(trial_key, None)

    def ended(self, label: str, outcome: TrialOutcome) -> None:
        """Take a final outcome in."""
        self._running.pop(outcome.trial_key, None)
        if outcome.stored:
            self._stored += 1
        if outcome.state == COMPLETED and outcome.seconds:
            (self._seconds_before if outcome.stored else self._seconds).append(outcome.seconds)
        value = outcome.metrics.get(self._metric)
        if outcome.state == COMPLETED and value is not None:
            best = value if self._best is None else self._better(value, self._best[0])
            self._best = (best, label) if self._best is None or best != self._best[0] else self._best
        if not outcome.stored:
            self._announce(label, outcome)

    def note(self, text: str) -> None:
        """Show a remark under the table."""
        self._note = text
        if not self._console.is_terminal:
            self._console.print(text, soft_wrap=True)

    def seconds_left(self) -> Seconds | None:
        """Estimate the time left from the trials that ended, of this launch if there are; else None."""
        measured = self._seconds or self._seconds_before
        if not measured:
            return None
        each = sum(measured) / len(measured)
        now = self._clock()
        waiting = max(0, self._queue.left - len(self._running))
        begun = sum(max(0.0, each - (now - trial.begun)) for trial in self._running.values())
        return (waiting * each + begun) / self.concurrency

    def summary(self) -> str:
        """Return the state of the sweep in one line."""
        queue = self._queue
        parts = [
            f"{queue.count(COMPLETED)} of {queue.source.total} trials done"
            + (f" ({self._stored} from before)" if self._stored else ""),
            f"{len(self._running)} running",
            f"{queue.count(FAILED)} failed",
        ]
        if queue.count(STOPPED):
            parts.append(f"{queue.count(STOPPED)} stopped")
        if self._best is not None:
            parts.append(f"best {self._metric} {self._best[0]:.4f} ({self._best[1]})")
        return " · ".join([*parts, *self._left()])

    def _left(self) -> list[str]:
        left = self.seconds_left()
        if left is None or not self._queue.left or self._queue.stop_reason is not None:
            return []
        gpu = left * self.concurrency * self.gpus_per_trial / 3600
        return [f"about {duration(left)} left" + (f", {gpu:.1f} GPU-hours" if self.gpus_per_trial else "")]

    def render(self) -> Group:
        """Return the live view: the summary and a row per running trial."""
        judged = self._metric.replace("test/", "dev/")
        widths = {"time": 7, "epoch": 5, "loss": 8, judged: max(8, len(judged))}
        room = max(LEAST_LABEL, self._console.width - sum(width + GAP for width in widths.values()) - GAP)
        table = Table(box=None, padding=(0, GAP, 0, 0), show_header=bool(self._running))
        table.add_column("running", no_wrap=True)
        for heading, width in widths.items():
            table.add_column(heading, justify="right", width=width, no_wrap=True)
        for trial in list(self._running.values())[:SHOWN_RUNNING]:
            table.add_row(shortened(trial.label, room), *self._numbers(trial, judged))
        if len(self._running) > SHOWN_RUNNING:
            table.add_row(f"and {len(self._running) - SHOWN_RUNNING} more")
        lines: list[Text | Table] = [Text(self.summary(), style="bold"), table]
        return Group(*lines, *([Text(self._note, style="yellow")] if self._note else []))

    def _numbers(self, trial: RunningTrial, judged: str) -> list[str]:
        shown = (trial.metrics.get("train/loss"), trial.metrics.get(judged))
        epoch = trial.metrics.get("epoch")
        return [
            duration(self._clock() - trial.begun),
            "" if epoch is None else f"{epoch:g}",
            *("" if value is None else f"{value:.4f}" for value in shown),
        ]

    def _announce(self, label: str, outcome: TrialOutcome) -> None:
        """Leave one line per ended trial above the live table."""
        if outcome.state == FAILED:
            detail = outcome.error or ""
        else:
            values = {name: outcome.metrics[name] for name in self._shown if name in outcome.metrics}
            detail = "  ".join(f"{name} {value:.4f}" for name, value in values.items())
        line = f"{outcome.state:<9} {label}  {duration(outcome.seconds)}  {detail}"
        style = "red" if outcome.state == FAILED else ""
        self._console.print(line, style=style, highlight=False, markup=False, soft_wrap=True)

    def _say_if_due(self) -> None:
        if self._console.is_terminal or self._clock() - self._last_line < PLAIN_INTERVAL:
            return
        self._last_line = self._clock()
        self._console.print(self.summary(), highlight=False, markup=False, soft_wrap=True)


def duration(seconds: Seconds) -> str:
    """Write a time span as people say it: 48 s, 12 min, 3.5 h."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 100 * 60 else f"{seconds / 3600:.1f} h"


def shortened(label: str, room: int) -> str:
    """Cut a trial's label within its variant, which may be long; the seed at its end stays."""
    if len(label) <= room:
        return label
    variant, separator, seed = label.rpartition(" · ")
    return variant[: max(1, room - len(separator + seed) - 1)] + "…" + separator + seed
