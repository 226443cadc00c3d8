"""Which epochs were best so far, by the score of their decoded dev set."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Ranking:
    """Scores of the epochs, the lower the better; of equal ones the earlier epoch is the better."""

    keep: int
    """How many of the best count."""
    scores: dict[int, float] = field(default_factory=dict)
    """Score of every epoch so far."""

    def add(self, epoch: int, score: float) -> None:
        """Add an epoch."""
        self.scores[epoch] = score

    @property
    def best(self) -> list[int]:
        """The best epochs, the very best first."""
        return self.top(self.keep)

    def top(self, count: int) -> list[int]:
        """The so many best epochs, the very best first."""
        return sorted(self.scores, key=lambda epoch: (self.scores[epoch], epoch))[:count]

    def epochs_without_progress(self) -> int:
        """Epochs since the best one."""
        return max(self.scores, default=0) - self.best[0] if self.scores else 0

    def to_state(self) -> dict[str, Any]:
        """Plain values for a checkpoint."""
        return {"scores": dict(self.scores)}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on where `to_state` was taken."""
        self.scores = dict(state["scores"])
