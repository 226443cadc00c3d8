"""A trial's journal: what happened, one JSON line each, appended and synced to disk before training goes on.

::

    {"kind": "state", "state": "started", "time_ms": 1767225600000}
    {"kind": "system", "step": 0, "time_ms": 1767225610000, "metrics": {"system/cpu_utilization_…": 98.5, …}}
    {"kind": "metrics", "step": 100, "epoch": 1, "time_ms": 1767225612345, "metrics": {"train/loss": 3.1, …}}
    {"kind": "state", "state": "completed", "time_ms": 1767225700000}

The journal is the truth of a trial and MLflow its picture. A crash may tear the last line; it is dropped when
the journal is read or opened again. A resumed training first cuts off what was measured after its checkpoint.
"""

import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from paraformer_platform.whole_file import append_line, storing

Event = dict[str, Any]

MEASURED = ("metrics", "system")
"""Kinds of events that a resume cuts off with the epochs that it computes again."""

STARTED, RESUMED, COMPLETED, FAILED, STOPPED = "started", "resumed", "completed", "failed", "stopped"
PREEMPTED = "preempted"
"""A machine was about to be taken away, and a checkpoint was written for that."""


class Journal:
    """Appends events to a journal file; only one process does so at a time.

    Args:
        path: The file; made with its first event.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._samples: int | None = None
        """Samples of the machine that the journal holds, once they were counted."""
        self._drop_torn_line()

    def metrics(self, step: int, epoch: int | None, metrics: Mapping[str, float]) -> None:
        """Write measurements.

        Args:
            step: Optimiser steps done.
            epoch: Epochs done; None where this is no epoch's end but the test's results.
            metrics: Values by name.
        """
        self._append({"kind": "metrics", "step": step, "epoch": epoch, **_now(), "metrics": dict(metrics)})

    def system(self, samples: Iterable[tuple[int, Mapping[str, float]]]) -> None:
        """Write how busy the machine was; samples are numbered through the whole journal.

        Args:
            samples: Milliseconds since 1970 and values by name.
        """
        if self._samples is None:
            self._samples = sum(event["kind"] == "system" for event in read_journal(self.path))
        lines = [
            {"kind": "system", "step": step, "time_ms": time_ms, "metrics": dict(metrics)}
            for step, (time_ms, metrics) in enumerate(samples, start=self._samples)
        ]
        self._samples += len(lines)
        if lines:
            self._append(*lines)

    def params(self, params: Mapping[str, object]) -> None:
        """Write the resolved configuration by dotted keys."""
        self._append({"kind": "params", **_now(), "params": dict(params)})

    def state(self, state: str, **details: object) -> None:
        """Write that the trial started, resumed, completed, failed, stopped or was preempted.

        Args:
            state: One of the six.
            details: What else to say of it.
        """
        self._append({"kind": "state", "state": state, **_now(), **details})

    @property
    def size(self) -> int:
        """Bytes so far; a checkpoint keeps it to say which events belong to it."""
        return self.path.stat().st_size if self.path.exists() else 0

    def cut_back(self, size: int) -> None:
        """Cut off the first measurement behind so many bytes, and everything that follows it.

        What was only said of the trial's state since then stays, for it did happen.
        """
        self._samples = None
        if not self.path.exists():
            return
        content, kept = self.path.read_bytes(), 0
        for line in content.splitlines(keepends=True):
            if kept >= size and json.loads(line)["kind"] in MEASURED:
                break
            kept += len(line)
        self._truncate(kept, len(content))

    def _append(self, *events: Event) -> None:
        append_line(self.path, "\n".join(json.dumps(event, ensure_ascii=False) for event in events))

    def _drop_torn_line(self) -> None:
        if self.path.exists():
            content = self.path.read_bytes()
            self._truncate(content.rfind(b"\n") + 1, len(content))

    def _truncate(self, kept: int, size: int) -> None:
        if kept == size:
            return
        with storing(self.path), self.path.open("rb+") as file:
            file.truncate(kept)
            os.fsync(file.fileno())


def read_journal(path: str | Path) -> list[Event]:
    """The events of a journal, without a torn last line; none if there is no journal."""
    return list(_events(Path(path)))


def _events(path: Path) -> Iterator[Event]:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return
    for line in content[: content.rfind(b"\n") + 1].splitlines():
        yield json.loads(line)


def _now() -> dict[str, int]:
    return {"time_ms": time.time_ns() // 1_000_000}
