"""The tutorial's decoding strategy, which lives outside the packages, keeps the laws of those within."""

import importlib
from collections import Counter

import pytest
import torch

from paraformer.config import DecoderConfig, EncoderConfig, ModelConfig, PredictorConfig
from paraformer.decoding import decode
from paraformer.model import Paraformer

NAME = "nucleus_sampling:nucleus_sampling"
FEAT_LENS = torch.tensor([110, 64, 17])

pytestmark = pytest.mark.usefixtures("example_folder")


def _model(decoder: str = "transformer") -> Paraformer:
    torch.manual_seed(4)
    config = ModelConfig(
        encoder=EncoderConfig(num_layers=1, hidden_dim=32, num_heads=4),
        predictor=PredictorConfig(hidden_dim=16),
        decoder=DecoderConfig(kind=decoder, num_layers=1, hidden_dim=24, num_heads=4),
    )
    model = Paraformer.from_config(config, vocab_size=30, feature_dim=20).eval()
    with torch.no_grad():
        model.decoder.output.weight.mul_(6)  # opinions as clear as a trained model's
    return model


def _speech() -> torch.Tensor:
    return torch.randn(3, 110, 20, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("decoder", ["transformer", "autoregressive"])
def test_a_batch_does_not_change_its_members(decoder: str) -> None:
    model, features = _model(decoder), _speech()
    options = {"strategy": NAME, "max_len": 40}
    together = decode(model, features, FEAT_LENS, generator=torch.Generator().manual_seed(1), **options)
    for row, size in enumerate(FEAT_LENS.tolist()):
        seeded = torch.Generator().manual_seed(1)
        one = decode(
            model, features[row : row + 1, :size], FEAT_LENS[row : row + 1], generator=seeded, **options
        )
        assert one[0].tokens == together[row].tokens
        assert one[0].confidences == pytest.approx(together[row].confidences, rel=1e-3)


def test_a_narrow_nucleus_is_the_best_token() -> None:
    model = _model()
    narrow = decode(model, _speech(), FEAT_LENS, strategy=NAME, top_p=1e-6)
    best = decode(model, _speech(), FEAT_LENS)
    assert [found.tokens for found in narrow] == [found.tokens for found in best]


def test_seeds_decide() -> None:
    model = _model()

    def sample(seed: int) -> list[list[int]]:
        generator = torch.Generator().manual_seed(seed)
        return [found.tokens for found in decode(model, _speech(), strategy=NAME, generator=generator)]

    assert sample(1) == sample(1)
    assert sample(1) != sample(2)


def test_a_known_length_is_kept() -> None:
    sizes = torch.tensor([9, 3, 1])
    found = decode(_model(), _speech(), FEAT_LENS, strategy=NAME, oracle_lens=sizes)
    assert [len(hypothesis.tokens) for hypothesis in found] == [9, 3, 1]


def test_tokens_are_drawn_as_often_as_they_are_probable() -> None:
    """.5, .3 and .15 are the nucleus of .9: they are drawn in 10, 6 and 3 of 19 cases, .05 never."""
    draw = importlib.import_module("nucleus_sampling").draw
    logits = torch.tensor([[0.05, 0.3, 0.5, 0.15]]).log()
    drawn = Counter(draw(logits, 0.9, torch.tensor(n / 1900)).item() for n in range(1900))
    assert drawn[0] == 0
    for token, expected in ((2, 1000), (1, 600), (3, 300)):
        assert abs(drawn[token] - expected) <= 1
    assert draw(logits, 0.9, torch.tensor(1.0 - 1e-7)).item() == 3
