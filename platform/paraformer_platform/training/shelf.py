"""The checkpoints of one training on disk: the last, the best, and the epochs whose weights are averaged."""

from dataclasses import replace
from pathlib import Path

from paraformer_platform.training.checkpoint import (
    Checkpoint,
    average_weights,
    load_checkpoint,
    save_checkpoint,
)
from paraformer_platform.training.ranking import Ranking
from paraformer_platform.training.trial_folder import TrialFolder


class Shelf:
    """Keeps what is worth keeping.

    Args:
        place: The trial's folder.
        keep: How many of the best epochs are averaged at the end.
    """

    def __init__(self, place: TrialFolder, keep: int) -> None:
        self._place = place
        self.ranking = Ranking(keep)

    def keep_if_good(self, epoch: int, checkpoint: Checkpoint) -> None:
        """Keep an epoch that was ranked, if it is among the best so far."""
        if epoch in self.ranking.best:
            save_checkpoint(self._file(epoch), checkpoint)
        if epoch == self.ranking.best[0]:
            save_checkpoint(self._place.best_checkpoint, checkpoint)

    def keep_last(self, checkpoint: Checkpoint) -> None:
        """Keep where to go on from, then drop the epochs that are among the best no longer."""
        save_checkpoint(self._place.last_checkpoint, checkpoint)
        kept = {self._file(epoch) for epoch in self.ranking.best}
        for path in self._place.checkpoints.glob("epoch-*.pt"):
            if path not in kept:
                path.unlink()

    def settle(self) -> None:
        """Make the best checkpoint final: the mean of the best epochs' weights, if several were asked for."""
        best = [load_checkpoint(self._file(epoch)) for epoch in self.ranking.best]
        if len(best) > 1:
            averaged = average_weights([checkpoint.weights for checkpoint in best])
            save_checkpoint(self._place.best_checkpoint, replace(best[0], weights=averaged))

    def _file(self, epoch: int) -> Path:
        return self._place.checkpoints / f"epoch-{epoch:04d}.pt"
