"""Attention maps of real recordings."""

from collections.abc import Callable
from pathlib import Path

import matplotlib.image
import pytest
import torch
from torch import Tensor

from paraformer.errors import ConfigError
from paraformer_platform.inspection.attention import AttentionMap, draw_attention, observe_attention
from paraformer_platform.training.recogniser import Recogniser


def test_every_frame_distributes_its_attention_once(
    recogniser: Callable[..., Recogniser], wave: Tensor
) -> None:
    model = recogniser("model.encoder.num_layers=2")
    first, second = (observe_attention(model, wave, layer) for layer in (0, 1))
    frames = int(model.model.output_lengths(torch.tensor([model.frontend.extractor.num_frames(len(wave))])))
    assert first.weights.shape == (2, frames, frames)
    torch.testing.assert_close(first.weights.sum(dim=2), torch.ones(2, frames))
    assert not torch.equal(first.weights, second.weights)


def test_local_attention_is_seen_to_be_local(recogniser: Callable[..., Recogniser], wave: Tensor) -> None:
    model = recogniser("model.encoder.attention=local", "model.encoder.attention_window=4")
    seen = observe_attention(model, wave, 0)
    frame = torch.arange(seen.weights.shape[1])
    far = (frame[:, None] - frame[None, :]).abs() > 2
    assert seen.weights[:, far].max() == 0
    assert all(0 < seconds <= 2 * seen.frame_shift for seconds in seen.reach)


def test_reach_is_the_mean_distance() -> None:
    """One head looks at its own frame; the other always at frame 0: (0 + 1 + 2) / 3 frames of 40 ms."""
    weights = torch.stack([torch.eye(3), torch.tensor([[1.0, 0.0, 0.0]] * 3)])
    assert AttentionMap(weights, 0.04, 0).reach == pytest.approx([0.0, 0.04])


def test_the_picture_has_a_panel_for_each_head(tmp_path: Path) -> None:
    sizes = []
    for heads in (4, 5):
        path = tmp_path / f"{heads}.png"
        draw_attention(AttentionMap(torch.rand(heads, 20, 20).softmax(2), 0.04, 0), path)
        picture = matplotlib.image.imread(path)
        assert picture[..., :3].std() > 0.05
        sizes.append(picture.shape[0])
    assert sizes[1] > 1.8 * sizes[0]  # a fifth head begins a second row


def test_a_layer_that_is_not_there(recogniser: Callable[..., Recogniser], wave: Tensor) -> None:
    with pytest.raises(ConfigError, match="no layer 1: the encoder has layers 0 to 0"):
        observe_attention(recogniser(), wave, 1)


def test_an_attention_that_keeps_no_weights(
    recogniser: Callable[..., Recogniser],
    wave: Tensor,
    repository: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(repository)
    model = recogniser("model.encoder.attention=examples.local_attention:LocalAttention")
    with pytest.raises(ConfigError, match="LocalAttention, which keeps no weights"):
        observe_attention(model, wave, 0)


def test_an_unknown_kind_of_picture(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"must end in one of .*\.png"):
        draw_attention(AttentionMap(torch.ones(1, 2, 2) / 2, 0.04, 0), tmp_path / "picture.xyz")
