"""The three sources of queries."""

import sys
import types
from itertools import groupby

import pytest
import torch

from paraformer.config import ModelConfig, PredictorConfig
from paraformer.errors import ConfigError
from paraformer.predictor import EncodedFrames, Predictor
from paraformer.predictor_choice import build_predictor
from paraformer.predictor_ctc_compress import run_weights

KINDS = ("cif", "ctc_compress", "uniform")


def build(kind: str, query_dim: int = 16) -> Predictor:
    torch.manual_seed(0)
    config = ModelConfig(predictor=PredictorConfig(kind=kind, hidden_dim=12))
    return build_predictor(config, encoder_dim=16, query_dim=query_dim, vocab_size=9).eval()


def encoded(lengths: tuple[int, ...] = (20, 13, 4)) -> EncodedFrames:
    generator = torch.Generator().manual_seed(1)
    hidden = torch.randn(len(lengths), max(lengths), 16, generator=generator)
    posteriors = torch.randn(len(lengths), max(lengths), 9, generator=generator).mul(3).log_softmax(2)
    frames = EncodedFrames(hidden, torch.tensor(lengths), posteriors)
    return EncodedFrames(hidden * frames.mask.unsqueeze(2), frames.lengths, posteriors)


def test_run_weights_share_one_among_the_frames_of_a_run() -> None:
    labels = torch.tensor([[0, 5, 5, 0, 5, 7, 7, 7], [3, 3, 3, 3, 0, 0, 0, 0]])
    third, quarter = 1 / 3, 1 / 4
    expected = [[0, 0.5, 0.5, 0, 1, third, third, third], [quarter] * 4 + [0] * 4]
    assert run_weights(labels).tolist() == [pytest.approx(row) for row in expected]


def test_ctc_compress_averages_the_posteriors_of_each_run() -> None:
    predictor, frames = build("ctc_compress"), encoded()
    queries = predictor(frames, predictor.weigh(frames))
    assert frames.ctc_log_probs is not None
    for row, size in enumerate(frames.lengths.tolist()):
        posteriors = frames.ctc_log_probs[row, :size].exp()
        end, means = 0, []
        for label, run in groupby(posteriors.argmax(1).tolist()):
            start, end = end, end + len(list(run))
            if label:
                means.append(posteriors[start:end].mean(0))
        assert queries.lengths[row] == len(means)
        expected = predictor.projection(torch.stack(means))
        torch.testing.assert_close(queries.embeddings[row, : len(means)], expected, atol=1e-5, rtol=1e-5)


def test_in_training_ctc_compress_follows_the_transcript() -> None:
    predictor, frames = build("ctc_compress"), encoded()
    tokens, token_lens = torch.tensor([[1, 2, 2, 5], [7, 0, 0, 0], [3, 3, 3, 0]]), torch.tensor([4, 1, 3])
    alphas = predictor.weigh_known(frames, tokens, token_lens)
    # Three equal tokens do not fit into four frames: there all frames weigh the same.
    torch.testing.assert_close(alphas.sum(1), torch.tensor([4.0, 1.0, 1.0]))
    assert alphas[2, :4].tolist() == [0.25] * 4
    assert torch.equal(predictor(frames, alphas, token_lens).lengths, token_lens)


def test_uniform_weighs_all_frames_alike() -> None:
    frames = encoded()
    alphas = build("uniform").weigh(frames)
    for row, size in enumerate(frames.lengths.tolist()):
        assert (alphas[row, :size] == alphas[row, 0]).all()
        assert alphas[row, 0] > 0
        assert not alphas[row, size:].any()


@pytest.mark.parametrize("kind", KINDS)
def test_what_stands_in_the_padding_does_not_matter(kind: str) -> None:
    predictor, frames = build(kind), encoded()
    alphas = predictor.weigh(frames)
    for row, size in enumerate(frames.lengths.tolist()):
        posteriors = frames.ctc_log_probs
        assert posteriors is not None
        alone = EncodedFrames(
            frames.hidden[row : row + 1, :size],
            frames.lengths[row : row + 1],
            posteriors[row : row + 1, :size],
        )
        torch.testing.assert_close(predictor.weigh(alone)[0], alphas[row, :size], atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_queries_have_the_decoders_width(kind: str) -> None:
    predictor, frames = build(kind, query_dim=24), encoded()
    queries = predictor(frames, predictor.weigh(frames), torch.tensor([3, 2, 1]), max_length=5)
    assert queries.embeddings.shape == (3, 5, 24)


@pytest.mark.parametrize("kind", ["cif", "uniform"])
def test_weights_stay_exact_under_autocast(kind: str) -> None:
    """Summed in bf16, 300 weights miss their total by a tenth."""
    predictor, frames = build(kind), encoded((300, 200))
    expected = predictor.weigh(frames)
    with torch.autocast("cpu", torch.bfloat16):
        found = predictor.weigh(frames)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.sum(1), expected.sum(1), rtol=5e-3, atol=0)


def test_the_count_follows_the_threshold() -> None:
    config = ModelConfig(predictor=PredictorConfig(threshold=0.8))
    predictor = build_predictor(config, 16, 16, 9)
    assert predictor.count(torch.full((1, 10), 0.4)).item() == pytest.approx(5.0)


class EvenWeights(Predictor):
    """A query source of a user's own: every frame weighs the same."""

    def __init__(self, config: PredictorConfig, encoder_dim: int, query_dim: int) -> None:
        super().__init__(config, encoder_dim, query_dim)

    def weigh(self, frames: EncodedFrames) -> torch.Tensor:
        return 0.2 * frames.mask.float()


def test_a_class_of_the_users_own(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("my_predictor")
    module.EvenWeights = EvenWeights  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "my_predictor", module)
    assert ModelConfig(predictor=PredictorConfig(kind="my_predictor:EvenWeights")).faults() == []
    predictor = build("my_predictor:EvenWeights", query_dim=24)
    queries = predictor(encoded(), predictor.weigh(encoded()))
    assert queries.lengths.tolist() == [4, 3, 1]  # 20, 13 and 4 frames: 4, 2.6 and .8 tokens
    assert queries.embeddings.shape == (3, 4, 24)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("torch.nn:Linear", "must be derived from paraformer's Predictor"),
        ("paraformer.predictor:Predictor", "which must define weigh"),
        ("torch.nn:NoSuch", "is 'torch.nn:NoSuch', but torch.nn has no NoSuch"),
        ("no_such_module:Class", "put that folder on PYTHONPATH"),
        (":Class", "'uniform' or an import path 'package.module:name'"),
    ],
)
def test_what_is_no_predictor(kind: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build(kind)
