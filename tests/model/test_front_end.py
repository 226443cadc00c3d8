import pytest
import torch
from torch import Tensor

from paraformer.errors import ConfigError
from paraformer.front_end import build_front_end


def stack_by_definition(frames: Tensor) -> Tensor:
    """Low frame rate as it is described: the edges repeated, 7 frames stacked, 6 stepped over."""
    count = -(-len(frames) // 6)
    padded = torch.cat([frames[:1].expand(3, -1), frames, frames[-1:].expand(7, -1)])
    return torch.stack([padded[6 * i : 6 * i + 7].flatten() for i in range(count)])


@pytest.mark.parametrize("frames", [1, 2, 5, 6, 7, 12, 13, 100])
def test_low_frame_rate_stacks_seven_and_steps_over_six(frames: int) -> None:
    features = torch.randn(1, frames, 4)
    stacked = build_front_end("lfr", 4, 32)(features, torch.tensor([frames]))
    assert torch.equal(stacked[0], stack_by_definition(features[0]))


def test_low_frame_rate_repeats_the_last_real_frame_of_a_padded_utterance() -> None:
    features = torch.randn(2, 20, 4)
    features[1, 11:] = torch.nan
    stacked = build_front_end("lfr", 4, 32)(features, torch.tensor([20, 11]))
    assert torch.equal(stacked[1, :2], stack_by_definition(features[1, :11]))


@pytest.mark.parametrize(("name", "shift"), [("conv4", 4), ("lfr", 6)])
@pytest.mark.parametrize("frames", [1, 2, 3, 4, 5, 6, 7, 8, 24, 25, 301])
def test_one_frame_comes_out_of_each_started_group(name: str, shift: int, frames: int) -> None:
    front_end = build_front_end(name, 8, 16)
    lens = torch.tensor([frames])
    out = front_end(torch.randn(1, frames, 8), lens)
    assert front_end.subsampling == shift
    assert out.shape == (1, -(-frames // shift), front_end.output_dim)
    assert front_end.output_lengths(lens).tolist() == [out.shape[1]]


def test_convolutions_do_not_read_padding() -> None:
    front_end = build_front_end("conv4", 8, 16)
    features, lens = torch.randn(2, 40, 8), torch.tensor([40, 17])
    features[1, 17:] = torch.nan
    together = front_end(features, lens)[1, :5]
    alone = front_end(features[1:, :17], lens[1:])[0]
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-6)


def test_an_unknown_front_end_is_named_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match="'conv8', but must be 'conv4' or 'lfr'"):
        build_front_end("conv8", 8, 16)
