"""Batched Viterbi against enumeration of every CTC path."""

from itertools import groupby, product

import pytest
import torch
from torch import Tensor

from paraformer.alignment import align


def paths(frames: int, transcript: list[int]) -> list[tuple[int, ...]]:
    """Every path of so many labels that spells the transcript."""
    labels = sorted({0, *transcript})
    return [
        path
        for path in product(labels, repeat=frames)
        if [label for label, _ in groupby(path) if label] == transcript
    ]


def spelled(slots: Tensor, transcript: list[int]) -> tuple[int, ...]:
    return tuple(0 if slot == 0 else transcript[slot - 1] for slot in slots.tolist())


@pytest.mark.parametrize("seed", range(5))
def test_it_finds_the_best_of_all_paths(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    transcripts = [[1, 2, 3], [2, 2], [3], [], [1, 1, 2]]
    frame_lens = torch.tensor([7, 6, 1, 4, 5])
    tokens = torch.zeros(5, 3, dtype=torch.long)
    for row, transcript in enumerate(transcripts):
        tokens[row, : len(transcript)] = torch.tensor(transcript)
    log_probs = torch.randn(5, 7, 4, generator=generator).mul(2).log_softmax(2)
    found = align(log_probs, frame_lens, tokens, torch.tensor([3, 2, 1, 0, 3]))
    assert found.feasible.all()
    for row, transcript in enumerate(transcripts):
        size = int(frame_lens[row])
        best = max(
            paths(size, transcript),
            key=lambda path: sum(log_probs[row, frame, label].item() for frame, label in enumerate(path)),
        )
        assert spelled(found.slots[row, :size], transcript) == best
        assert not found.slots[row, size:].any()


def test_every_token_gets_frames_in_order() -> None:
    generator = torch.Generator().manual_seed(1)
    log_probs = torch.randn(3, 60, 20, generator=generator).log_softmax(2)
    tokens = torch.randint(1, 20, (3, 25), generator=generator)
    found = align(log_probs, torch.full((3,), 60), tokens, torch.full((3,), 25))
    for slots in found.slots:
        assert [slot for slot, _ in groupby(slots.tolist()) if slot] == list(range(1, 26))


def test_too_few_frames_are_reported() -> None:
    """Two equal tokens need a blank between them: three frames."""
    log_probs = torch.zeros(3, 3, 5).log_softmax(2)
    tokens = torch.tensor([[2, 2], [2, 2], [2, 3]])
    found = align(log_probs, torch.tensor([2, 3, 2]), tokens, torch.tensor([2, 2, 2]))
    assert found.feasible.tolist() == [False, True, True]
    assert not found.slots[0].any()
    assert found.slots[1].tolist() == [1, 0, 2]
