"""Batches of similar length: little padding, the same for the same seed, equal work for every rank.

Random batches of 16 have 60 % padded frames on speech (log-normal durations, mean 5 s), and a training step
costs what its padded frames cost. Here utterances are sorted by their length times a random factor near 1,
cut into batches, and the batches shuffled: batch mates differ in every epoch, and a few per cent are padding.

Several ranks share each cut: rank r takes every world_size-th utterance of it from r on, so that all ranks
have as many batches, of like length. The cuts themselves do not depend on the number of ranks, so that a
training whose ranks come and go sees the same batches.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from paraformer.errors import ConfigError

JITTER = 0.03
"""Greatest relative change of a length before sorting; measured in tests/model/test_batching.py."""


class BucketBatches:
    """The batches of each epoch, as lists of indices.

    Args:
        lengths: Frames of each utterance.
        batch_size: Most utterances in a batch of all ranks together.
        batch_frames: Most frames in a batch of all ranks together, padding included; a single longer
            utterance is a batch of its own. At least one of both limits is needed.
        seed: Together with the epoch's number it decides everything that is random.
        rank: Which of the ranks this is.
        world_size: Number of ranks.
        shuffle: Whether lengths are jittered and batches come in random order. Without it the batches are
            those of sorted utterances, shortest first: for evaluation.

    Raises:
        ConfigError: if neither limit is given, one is below 1, or there is nothing to batch.
    """

    def __init__(
        self,
        lengths: Sequence[int],
        *,
        batch_size: int | None = None,
        batch_frames: int | None = None,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        shuffle: bool = True,
    ) -> None:
        if batch_size is None and batch_frames is None:
            raise ConfigError("batches need a limit: batch_size (utterances), batch_frames, or both")
        for name, limit in (("batch_size", batch_size), ("batch_frames", batch_frames)):
            if limit is not None and limit < 1:
                raise ConfigError(f"{name} ({limit}) must be at least 1")
        if not 0 <= rank < world_size:
            raise ConfigError(f"rank ({rank}) must be at least 0 and below world_size ({world_size})")
        if len(lengths) == 0:
            raise ConfigError("there are no utterances to make batches of")
        self._lengths = np.asarray(lengths, dtype=np.int64)
        self._batch_size = batch_size or len(lengths)
        self._batch_frames = batch_frames
        self._seed, self._rank, self._world_size, self._shuffle = seed, rank, world_size, shuffle

    def epoch(self, number: int, lengths: Sequence[int] | None = None) -> list[list[int]]:
        """Batches of one rank in one epoch; a pure function of the arguments, the seed and the number.

        Args:
            number: Of the epoch, from 0.
            lengths: Frames of each utterance in this epoch, where augmentation changes them.

        Every utterance is in exactly one batch of one rank. With several ranks at most world_size - 1 of them
        are seen twice, where the last cut has too few for all ranks.
        """
        rng = np.random.default_rng((self._seed, number))
        known = self._lengths if lengths is None else np.asarray(lengths, dtype=np.int64)
        keys = known.astype(np.float64)
        if self._shuffle:
            keys = keys * rng.uniform(1 - JITTER, 1 + JITTER, len(keys))
        cuts = list(self._cuts(known, np.argsort(keys, kind="stable")))
        if self._shuffle:
            cuts = [cuts[n] for n in rng.permutation(len(cuts))]
        return [self._share(cut) for cut in cuts]

    def _cuts(self, lengths: np.ndarray, order: np.ndarray) -> Iterator[list[int]]:
        """Cut sorted utterances so that each cut keeps within the limits."""
        cut: list[int] = []
        longest = 0
        for index in order.tolist():
            grown = max(longest, int(lengths[index]))
            if cut and not self._fits(len(cut) + 1, grown):
                yield cut
                cut, grown = [], int(lengths[index])
            cut.append(index)
            longest = grown
        yield cut

    def _fits(self, count: int, longest: int) -> bool:
        if count > self._batch_size:
            return False
        return self._batch_frames is None or count == 1 or count * longest <= self._batch_frames

    def _share(self, cut: list[int]) -> list[int]:
        missing = max(self._world_size - len(cut), 0)
        filled = cut + [cut[n % len(cut)] for n in range(missing)]
        return filled[self._rank :: self._world_size]


def padding_share(batches: Sequence[Sequence[int]], lengths: Sequence[int]) -> float:
    """Share of padded frames in all frames of some batches."""
    padded = sum(len(batch) * max(lengths[index] for index in batch) for batch in batches)
    real = sum(lengths[index] for batch in batches for index in batch)
    return 1 - real / padded
