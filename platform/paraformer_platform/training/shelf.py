"""The checkpoints of one training on disk: the last, the best, and other epochs that are averaged or kept.

::

    last.pt          where the training goes on: weights, optimiser, schedule, position
    best.pt          the model to use: the best epoch's weights, or the mean of several epochs'
    epoch-0007.pt    weights of another epoch: one that will be averaged, or that `Retention` keeps
"""

from dataclasses import dataclass, replace
from pathlib import Path

from paraformer_platform.config.load import read_yaml
from paraformer_platform.training.checkpoint import (
    Checkpoint,
    average_weights,
    load_checkpoint,
    save_checkpoint,
)
from paraformer_platform.training.journal import read_journal
from paraformer_platform.training.ranking import Ranking
from paraformer_platform.training.trial_folder import TrialFolder

EPOCH_FILES = "epoch-*.pt"


@dataclass(frozen=True)
class Retention:
    """How many checkpoints of a training outlive it; while it runs, its last and best are always there."""

    latest: int = 1
    """Newest epochs; the newest one is last.pt, from which a training can be gone on with."""
    best: int = 1
    """Best epochs by the dev score; the first of them is best.pt."""

    def joined(self, other: "Retention") -> "Retention":
        """What keeps enough for both."""
        return Retention(max(self.latest, other.latest), max(self.best, other.best))


DEFAULT_RETENTION = Retention()


class Shelf:
    """Keeps what is worth keeping while a training runs.

    Args:
        place: The trial's folder.
        average: How many of the best epochs are averaged at the end.
        retention: How many checkpoints will outlive the training.
    """

    def __init__(self, place: TrialFolder, average: int, retention: Retention = DEFAULT_RETENTION) -> None:
        self._place = place
        self._best = max(average, retention.best)
        self._latest = retention.latest
        self.ranking = Ranking(average)

    def keep_if_good(self, epoch: int, checkpoint: Checkpoint) -> None:
        """Keep an epoch that was ranked, if it is among the best so far."""
        if epoch in self.ranking.top(self._best) or self._latest > 1:
            save_checkpoint(epoch_file(self._place, epoch), checkpoint)
        if epoch == self.ranking.best[0]:
            save_checkpoint(self._place.best_checkpoint, checkpoint)

    def keep_last(self, checkpoint: Checkpoint) -> None:
        """Keep where to go on from, then drop the epochs that are no longer among the best or the newest."""
        save_checkpoint(self._place.last_checkpoint, checkpoint)
        newest = sorted(self.ranking.scores)[-self._latest :] if self._latest > 1 else []
        _drop_epochs(self._place, {*self.ranking.top(self._best), *newest})

    def settle(self) -> None:
        """Make the best checkpoint final: that of the best epoch, or the mean of the best epochs' weights."""
        if len(self.ranking.best) == 1:
            # What was computed again after a crash may rank otherwise, so best.pt is not taken on trust. The
            # file is gone when a crash came after this.
            own = epoch_file(self._place, self.ranking.best[0])
            if own.exists():
                own.replace(self._place.best_checkpoint)
            return
        best = [load_checkpoint(epoch_file(self._place, epoch)) for epoch in self.ranking.best]
        averaged = average_weights([checkpoint.weights for checkpoint in best])
        save_checkpoint(self._place.best_checkpoint, replace(best[0], weights=averaged))


def prune(place: TrialFolder, retention: Retention) -> None:
    """Delete the checkpoints of a training that is over, but for those that are kept; again at will.

    Args:
        place: The trial's folder.
        retention: What is kept.

    Raises:
        OSError: A file cannot be deleted.
    """
    for unfinished in place.checkpoints.glob(".*.partial"):
        unfinished.unlink(missing_ok=True)
    if retention.latest == 0:
        place.last_checkpoint.unlink(missing_ok=True)
    if retention.best == 0:
        place.best_checkpoint.unlink(missing_ok=True)
    if any(place.checkpoints.glob(EPOCH_FILES)):
        ranking = Ranking(1, _scores(place))
        # The very best and the newest have files of their own.
        newest = sorted(ranking.scores, reverse=True)[1 : retention.latest]
        _drop_epochs(place, {*ranking.top(retention.best)[1:], *newest})


def epoch_file(place: TrialFolder, epoch: int) -> Path:
    """Where the weights of one epoch are kept."""
    return place.checkpoints / f"epoch-{epoch:04d}.pt"


def _drop_epochs(place: TrialFolder, kept: set[int]) -> None:
    files = {epoch_file(place, epoch) for epoch in kept}
    for path in place.checkpoints.glob(EPOCH_FILES):
        if path not in files:
            path.unlink(missing_ok=True)


def _scores(place: TrialFolder) -> dict[int, float]:
    """The score of every epoch of a training, by which its epochs are ranked."""
    selection = str(read_yaml(place.config)[0]["training"]["selection"])
    measured = [event for event in read_journal(place.journal) if selection in event.get("metrics", {})]
    return {event["epoch"]: event["metrics"][selection] for event in measured}
