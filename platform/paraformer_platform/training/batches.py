"""The batches of an epoch: which utterances, on which worker, and the tensors made of them."""

import logging
from collections.abc import Iterator

import torch
from torch.utils.data import DataLoader

from paraformer.batching import BucketBatches
from paraformer.dataset import Batch, SpeechDataset, collate, leave_out_long
from paraformer.errors import ConfigError, DataError
from paraformer.manifest import Utterance
from paraformer_platform.config.schema import ExperimentConfig
from paraformer_platform.training.frontend import Frontend
from paraformer_platform.training.prefetch import prefetched

logger = logging.getLogger(__name__)


class TrainingBatches:
    """The training set, batch by batch.

    Args:
        config: The experiment.
        frontend: Makes tensors of recordings.
        utterances: The training set.
        rank: Of this process.
        world_size: Processes that share each batch.

    Raises:
        ConfigError: if the batch cannot be shared by that many processes.
        DataError: if every utterance is too long.
    """

    def __init__(
        self,
        config: ExperimentConfig,
        frontend: Frontend,
        utterances: list[Utterance],
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        training, data = config.training, config.data
        if training.batch_size % world_size:
            raise ConfigError(
                f"training.batch_size ({training.batch_size}) must be divisible by the number of workers "
                f"({world_size}), which share it"
            )
        kept = _short_enough(config, frontend, utterances)
        self.dataset = frontend.dataset(kept, data.augment, training.seed)
        self._loader_workers = training.loader_workers
        self._accumulate = training.accumulate
        self._plan = BucketBatches(
            self.dataset.frames(),
            batch_size=training.batch_size,
            batch_frames=training.batch_frames,
            seed=training.seed,
            rank=rank,
            world_size=world_size,
        )

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps of the first epoch; with a limit of frames later epochs may differ by a few."""
        return -(-len(self.plan(0)) // self._accumulate)

    def plan(self, number: int) -> list[list[int]]:
        """Which utterances make each batch of an epoch, by the lengths that they have in it."""
        return self._plan.epoch(number, self.dataset.frames(number))

    def epoch(self, number: int, done: int = 0) -> Iterator[list[Batch]]:
        """For each optimiser step of an epoch the batches whose gradients it adds up.

        Args:
            number: Of the epoch, from 0.
            done: Steps of it to leave out.
        """
        self.dataset.set_epoch(number)
        group: list[Batch] = []
        left = self.plan(number)[done * self._accumulate :]
        for batch in load(self.dataset, left, self._loader_workers):
            group.append(batch)
            if len(group) == self._accumulate:
                yield group
                group = []
        if group:
            yield group


def evaluation_batches(
    dataset: SpeechDataset, batch_size: int, rank: int = 0, world_size: int = 1
) -> Iterator[Batch]:
    """This process's share of a set, each utterance once, those of like length together."""
    frames = dataset.frames()
    order = sorted(range(len(frames)), key=lambda index: (frames[index], index))
    mine = order[rank::world_size]
    return load(dataset, [mine[start : start + batch_size] for start in range(0, len(mine), batch_size)])


def load(dataset: SpeechDataset, batches: list[list[int]], workers: int = 0) -> Iterator[Batch]:
    """Tensors of some batches of indices, prepared by a thread, or by so many processes beside this one."""
    loader: DataLoader[Batch] = DataLoader(
        dataset,  # type: ignore[arg-type]  # its items become batches in collate
        batch_sampler=batches,
        collate_fn=collate,
        num_workers=workers,
        pin_memory=torch.cuda.is_available(),
    )
    # Its iterator is made here: that draws from torch's generator, which the thread must not do.
    yield from iter(loader) if workers else prefetched(iter(loader))


def _short_enough(
    config: ExperimentConfig, frontend: Frontend, utterances: list[Utterance]
) -> list[Utterance]:
    data = config.data
    frames = frontend.dataset(utterances).frames()
    limits = {"max_feat_len": data.max_feat_len, "max_token_len": data.max_token_len}
    kept = leave_out_long(utterances, frames, frontend.tokenizer, **limits)
    if not kept:
        raise DataError(
            f"all {len(utterances)} training utterances are longer than data.max_feat_len "
            f"({data.max_feat_len} frames of 10 ms) or data.max_token_len ({data.max_token_len}); raise them"
        )
    if len(kept) < len(utterances):
        left_out = len(utterances) - len(kept)
        logger.info(
            "%d of %d training utterances are left out: longer than data.max_feat_len (%d frames) "
            "or data.max_token_len (%d)",
            left_out,
            len(utterances),
            data.max_feat_len,
            data.max_token_len,
        )
    return kept
