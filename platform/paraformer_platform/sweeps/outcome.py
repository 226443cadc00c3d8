"""What a trial hands back to the driver, and what went wrong when something did."""

import traceback
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

COMPLETED = "completed"
FAILED = "failed"
STOPPED = "stopped"
BUSY = "busy"
"""Another launcher is at work on the trial."""

CLAIMED = "claimed"
"""Key of the report by which a trial's worker says that it holds the trial and begins to train."""
OUTCOME = "outcome"
"""Key of the report by which a trial's worker hands back its `TrialOutcome`."""

ERROR = "error"
OUT_OF_MEMORY = "out of memory"
WORKER_LOST = "worker lost"
OUT_OF_MEMORY_WORDS = ("OutOfMemory", "out of memory", "MemoryError", "CUDA_ERROR_OUT_OF_MEMORY")


@dataclass(frozen=True)
class TrialOutcome:
    """The end of one attempt at a trial."""

    trial_key: str
    state: str
    """completed, failed, stopped or busy."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """Final metrics of a completed trial; of one that was ended early those of its last epoch."""
    error: str | None = None
    """``Class: message`` of a failed attempt."""
    error_kind: str | None = None
    """error, out of memory or worker lost."""
    trace: str | None = None
    attempt: int = 1
    stored: bool = False
    """Whether the result was in the ledger already and nothing was trained."""
    seconds: float = 0.0
    """Wall time of this attempt."""
    ended_early: bool = False
    """Whether a stopped trial was ended for good by ``early_terminate``; others are gone on with."""

    @property
    def is_final(self) -> bool:
        """Whether the sweep is through with the trial."""
        return self.state in (COMPLETED, FAILED) or self.ended_early

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, for the way from a worker to the driver."""
        return asdict(self)


def error_kind(text: str) -> str:
    """Tell an exhausted memory from every other error by the words of the error."""
    return OUT_OF_MEMORY if any(word in text for word in OUT_OF_MEMORY_WORDS) else ERROR


def failure(trial_key: str, error: BaseException, attempt: int, seconds: float) -> TrialOutcome:
    """Describe an exception that ended an attempt."""
    summary = f"{type(error).__name__}: {error}"
    return TrialOutcome(
        trial_key=trial_key,
        state=FAILED,
        error=summary,
        error_kind=error_kind(summary),
        trace="".join(traceback.format_exception(error)),
        attempt=attempt,
        seconds=seconds,
    )
