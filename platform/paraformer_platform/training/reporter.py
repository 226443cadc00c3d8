"""Whom a training tells of its epochs, and who may ask it to stop: a terminal, Ray Tune, a gang's worker."""

import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Protocol


class Reporter(Protocol):
    """What a training tells while it runs."""

    @property
    def rank(self) -> int:
        """Number of this process among those that train the model together; 0 writes."""

    @property
    def world_size(self) -> int:
        """Number of these processes; the caller has set up their process group if there are several."""

    def epoch_finished(self, metrics: Mapping[str, float]) -> None:
        """Take the metrics of a finished epoch; its checkpoint and journal are written.

        Among them are its number, ``epoch``, and the optimiser steps so far, ``step``.
        """

    def should_stop(self) -> bool:
        """Tell whether training should end now; asked every few steps, all ranks must answer alike."""

    def should_save(self) -> bool:
        """Tell whether a checkpoint should be written now, since a machine will soon be taken away.

        Asked after `should_stop`, all ranks must answer alike. The training goes on: whoever takes the
        machine away ends it, and what ends by itself counts as trained.
        """


class LocalReporter:
    """The reporter of a training in this process.

    Args:
        on_epoch: Called with the metrics of each epoch.
    """

    rank = 0
    world_size = 1

    def __init__(self, on_epoch: Callable[[Mapping[str, float]], None] | None = None) -> None:
        self._on_epoch = on_epoch
        self._stop = threading.Event()

    def epoch_finished(self, metrics: Mapping[str, float]) -> None:
        """Hand the metrics on."""
        if self._on_epoch is not None:
            self._on_epoch(metrics)

    def should_stop(self) -> bool:
        """Tell whether `stop` was called."""
        return self._stop.is_set()

    def should_save(self) -> bool:
        """Nobody takes this machine away."""
        return False

    def stop(self) -> None:
        """Ask the training to end at its next step."""
        self._stop.set()


@contextmanager
def stopping_on_signals(reporter: LocalReporter) -> Iterator[None]:
    """Within it the first Ctrl-C or SIGTERM asks for an orderly end, a second Ctrl-C ends at once."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def handle(number: int, frame: FrameType | None) -> None:
        if reporter.should_stop():
            raise KeyboardInterrupt
        reporter.stop()

    for number in before:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
