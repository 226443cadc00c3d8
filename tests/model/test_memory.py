import pytest
import torch

from paraformer.memory import MemoryBlock
from paraformer.padding import length_mask


@pytest.mark.parametrize("kernel_size", [1, 3, 4, 11])
def test_the_memory_is_a_filter_for_each_channel_over_the_real_positions(kernel_size: int) -> None:
    """Written out: output t = input t + Σ_k filter k · input (t + k - before), absent inputs being zero."""
    block, x, lens = MemoryBlock(3, kernel_size), torch.randn(2, 9, 3), [9, 4]
    x[1, 4:] = torch.nan
    got = block(x, length_mask(torch.tensor(lens), 9))
    before = (kernel_size - 1) // 2
    for row, size in enumerate(lens):
        for t in range(size):
            around = range(max(0, t - before), min(size, t - before + kernel_size))
            taps = [block.filter.weight[:, 0, i - t + before] * x[row, i] for i in around]
            torch.testing.assert_close(got[row, t], x[row, t] + sum(taps))
        assert (got[row, size:] == 0).all()
