from dataclasses import replace
from itertools import product

import pytest
import torch
from torch import Tensor

from paraformer.attention import record_attention
from paraformer.config import EncoderConfig
from paraformer.encoder import Encoder, build_encoder
from paraformer.errors import ConfigError

FEATURE_DIM = 20
SMALL = EncoderConfig(num_layers=2, hidden_dim=32, num_heads=4, attention_window=8, kernel_size=5)
EVERY = [
    pytest.param(
        replace(SMALL, kind=kind, attention=attention, front_end=front_end),
        id=f"{kind}-{attention}-{front_end}",
    )
    for kind, attention, front_end in product(
        ("transformer", "conformer", "sanm"),
        ("full", "local", "local_attention:LocalAttention"),
        ("conv4", "lfr"),
    )
]


@pytest.fixture(autouse=True)
def _example_attention(example_folder: None) -> None:
    torch.manual_seed(0)


def batch() -> tuple[Tensor, Tensor]:
    """Three utterances whose padding would show itself: it is NaN."""
    features, lens = torch.randn(3, 210, FEATURE_DIM), torch.tensor([203, 77, 5])
    for row, size in zip(features, lens, strict=True):
        row[size:] = torch.nan
    return features, lens


def build(config: EncoderConfig) -> Encoder:
    return build_encoder(config, FEATURE_DIM).eval()


@pytest.mark.parametrize("config", EVERY)
def test_a_batch_does_not_change_its_members(config: EncoderConfig) -> None:
    encoder, (features, lens) = build(config), batch()
    together, encoder_lens = encoder(features, lens)
    for row, size in enumerate(lens.tolist()):
        alone, alone_lens = encoder(features[row : row + 1, :size], lens[row : row + 1])
        frames = alone.shape[1]
        assert alone_lens.tolist() == [frames] == [encoder_lens[row].item()]
        torch.testing.assert_close(together[row, :frames], alone[0], rtol=0, atol=1e-5)
        assert (together[row, frames:] == 0).all()


@pytest.mark.parametrize("config", EVERY)
def test_every_parameter_gets_a_gradient_that_no_padding_reaches(config: EncoderConfig) -> None:
    encoder, (features, lens) = build(config).train(), batch()
    features.requires_grad_()
    encoder(features, lens)[0].square().sum().backward()
    assert {
        name for name, p in encoder.named_parameters() if p.grad is None or not p.grad.isfinite().all()
    } == set()
    assert features.grad is not None
    assert (features.grad[2, 5:] == 0).all()
    assert (features.grad[2, :5] != 0).any()


@pytest.mark.parametrize("config", EVERY)
def test_bf16_autocast_stays_near_fp32(config: EncoderConfig) -> None:
    encoder, (features, lens) = build(config), batch()
    target, outputs, gradients = torch.randn(32), [], []
    for enabled in (False, True):
        encoder.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            out, _ = encoder(features, lens)
        (out.float() @ target).sum().backward()
        outputs.append(out.detach())
        gradients.append(torch.cat([p.grad.flatten() for p in encoder.parameters() if p.grad is not None]))
    assert (outputs[0] - outputs[1]).abs().max() < 0.05 * outputs[0].abs().max()
    assert (gradients[0] - gradients[1]).norm() < 0.05 * gradients[0].norm()


@pytest.mark.parametrize("kind", ["transformer", "conformer", "sanm"])
def test_the_order_of_frames_matters(kind: str) -> None:
    encoder, features = build(replace(SMALL, kind=kind)), torch.randn(1, 40, FEATURE_DIM)
    forward, _ = encoder(features, torch.tensor([40]))
    backward, _ = encoder(features.flip(1), torch.tensor([40]))
    assert (forward - backward.flip(1)).abs().max() > 0.1


@pytest.mark.parametrize("layers", [0, 1, 3])
@pytest.mark.parametrize("kind", ["transformer", "conformer", "sanm"])
@pytest.mark.parametrize("front_end", ["conv4", "lfr"])
def test_depth_and_width_are_free(kind: str, front_end: str, layers: int) -> None:
    config = replace(SMALL, kind=kind, front_end=front_end, num_layers=layers, hidden_dim=24, num_heads=3)
    out, _ = build(config)(*batch())
    assert len(build(config).layers) == layers
    assert out.shape[-1] == build(config).output_dim == 24


def test_the_inner_width_is_four_times_the_width_unless_said() -> None:
    assert build(SMALL).layers[0].feed_forward.expand.out_features == 128
    assert build(replace(SMALL, ffn_dim=50)).layers[0].feed_forward.expand.out_features == 50


@pytest.mark.parametrize("attention", ["full", "local"])
@pytest.mark.parametrize("kind", ["transformer", "conformer", "sanm"])
def test_attention_weights_of_every_layer_can_be_had_and_change_nothing(kind: str, attention: str) -> None:
    encoder, (features, lens) = build(replace(SMALL, kind=kind, attention=attention)), batch()
    plain, encoder_lens = encoder(features, lens)
    with record_attention(encoder):
        recorded, _ = encoder(features, lens)
    assert torch.equal(plain, recorded)
    for layer in encoder.layers:
        weights = layer.attention.get_weights()
        assert weights.shape == (3, 4, plain.shape[1], plain.shape[1])
        assert (weights[1, :, : encoder_lens[1], encoder_lens[1] :] == 0).all()


def test_an_unknown_kind_is_named_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match="'transfomer', but must be 'transformer', 'conformer' or 'sanm'"):
        build(replace(SMALL, kind="transfomer"))
