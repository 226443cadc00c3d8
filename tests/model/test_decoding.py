"""Strategies of decoding. The model's weights are random: only the laws of the strategies are tested."""

import math
from itertools import product

import pytest
import torch
from torch import Tensor

from paraformer.cif import integrate_and_fire
from paraformer.config import DecoderConfig, EncoderConfig, LossConfig, ModelConfig
from paraformer.decoding import Hypothesis, decode, n_best
from paraformer.decoding.ctc_greedy import collapse
from paraformer.decoding.n_best import best_ranks
from paraformer.decoding.nucleus import draw
from paraformer.decoding.parallel import ask
from paraformer.decoding.timestamps import token_times
from paraformer.errors import ConfigError
from paraformer.model import Paraformer

FEAT_LENS = torch.tensor([80, 50, 1])


def build(decoder: str = "transformer", ctc_weight: float = 0.3) -> Paraformer:
    torch.manual_seed(0)
    config = ModelConfig(
        encoder=EncoderConfig(num_layers=1, hidden_dim=16, num_heads=2),
        decoder=DecoderConfig(kind=decoder, num_layers=1, hidden_dim=16, num_heads=2),
        loss=LossConfig(ctc_weight=ctc_weight),
    )
    return Paraformer.from_config(config, vocab_size=12, feature_dim=8)


def speech() -> Tensor:
    return torch.randn(3, 80, 8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("strategy", ["greedy", "nucleus", "ctc_greedy"])
def test_every_token_has_a_confidence_and_a_time(strategy: str) -> None:
    for found, size in zip(decode(build(), speech(), FEAT_LENS, strategy=strategy), FEAT_LENS, strict=True):
        assert found.times is not None
        assert len(found.tokens) == len(found.confidences) == len(found.times)
        assert all(0 < confidence <= 1 for confidence in found.confidences)
        edges = [edge for span in found.times for edge in span]
        assert edges == sorted(edges)
        assert all(0 <= edge <= math.ceil(size / 4) * 0.04 + 1e-6 for edge in edges)
        assert 0 not in found.tokens


def test_the_model_is_evaluated_and_then_as_it_was() -> None:
    model = build().train()
    assert decode(model, speech(), FEAT_LENS) == decode(model, speech(), FEAT_LENS)
    assert model.training


def test_the_true_length_can_be_given() -> None:
    found = decode(build(), speech(), FEAT_LENS, oracle_lens=torch.tensor([7, 0, 2]))
    assert [len(hypothesis.tokens) for hypothesis in found] == [7, 0, 2]


def test_a_nucleus_holds_the_least_tokens_that_reach_its_mass() -> None:
    """Of .5, .3, .15 and .05 a nucleus of .7 holds two, drawn 5 to 3; 4000 draws have a deviation of 31."""
    logits = torch.tensor([0.05, 0.5, 0.15, 0.3]).log().expand(1, 4000, 4)
    drawn = draw(logits, 0.7, torch.Generator().manual_seed(0))
    counts = drawn[0].bincount(minlength=4).tolist()
    assert counts[0] == counts[2] == 0
    assert counts[1] == pytest.approx(4000 * 5 / 8, abs=5 * 31)


def test_a_tiny_nucleus_is_greedy() -> None:
    found = decode(build(), speech(), FEAT_LENS, strategy="nucleus", top_p=1e-6)
    assert found == decode(build(), speech(), FEAT_LENS)


def test_nucleus_sampling_follows_its_generator() -> None:
    first, again, other = (
        decode(
            build(), speech(), FEAT_LENS, strategy="nucleus", generator=torch.Generator().manual_seed(seed)
        )
        for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other


def test_ctc_labels_collapse() -> None:
    found = collapse([0, 5, 5, 0, 5, 7], [0.9, 0.4, 0.6, 0.9, 0.7, 0.8], 0.04)
    assert found.tokens == [5, 5, 7]
    assert found.confidences == pytest.approx([0.5, 0.7, 0.8])
    assert found.times == [pytest.approx(span) for span in [(0.04, 0.12), (0.16, 0.20), (0.20, 0.24)]]


def test_times_are_where_the_weight_came_in() -> None:
    """Two tokens of two frames each, with a silence of four frames between them; 60 ms a frame."""
    alphas = torch.tensor([[0.5, 0.5, 0, 0, 0, 0, 0.5, 0.5]])
    fired = integrate_and_fire(torch.ones(1, 8, 1), alphas)
    expected = torch.tensor([[[0.1, 1.9], [6.1, 7.9]]]) * 0.06
    torch.testing.assert_close(token_times(fired, 0.06), expected)


def test_best_ranks_are_those_of_enumeration() -> None:
    scores = torch.randn(4, 3, generator=torch.Generator().manual_seed(0)).sort(1, descending=True).values
    everything = sorted(
        product(range(3), repeat=4),
        key=lambda ranks: -sum(scores[place, rank].item() for place, rank in enumerate(ranks)),
    )
    assert best_ranks(scores.tolist(), 30) == everything[:30]


def test_the_n_best_begin_with_the_greedy_one_and_fall() -> None:
    model = build().eval()
    found = n_best(model, speech(), FEAT_LENS, size=5)
    for best, greedy in zip(found, decode(model, speech(), FEAT_LENS), strict=True):
        assert best[0] == greedy
        scores = [math.prod(hypothesis.confidences) for hypothesis in best]
        assert scores == sorted(scores, reverse=True)
        assert len({tuple(hypothesis.tokens) for hypothesis in best}) == len(best)


def test_the_n_best_of_an_empty_transcript_is_one() -> None:
    model = build().eval()
    with torch.no_grad():
        model.predictor.weight.bias.fill_(-50.0)  # type: ignore[union-attr]
    assert n_best(model, speech(), FEAT_LENS) == [[Hypothesis([], [], [])]] * 3


def test_the_autoregressive_decoder_searches() -> None:
    model = build("autoregressive")
    greedy = decode(model, speech(), FEAT_LENS)
    assert decode(model, speech(), FEAT_LENS, strategy="beam", size=1) == greedy
    assert greedy[0].times is None
    best = n_best(model.eval(), speech(), FEAT_LENS, size=4)
    assert [hypotheses[0] for hypotheses in best] == decode(
        model, speech(), FEAT_LENS, strategy="beam", size=4
    )


@pytest.mark.usefixtures("example_folder")
def test_a_strategy_of_ones_own() -> None:
    model, name = build(), "confident_tokens:confident_tokens"
    greedy = decode(model, speech(), FEAT_LENS)
    assert decode(model, speech(), FEAT_LENS, strategy=name, least=0.0) == greedy
    least = greedy[0].confidences[1]
    found = decode(model, speech(), FEAT_LENS, strategy=name, least=least)
    assert 0 < len(found[0].tokens) < len(greedy[0].tokens)
    assert min(found[0].confidences) == least


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"strategy": "best"}, "'best', but must be one of greedy, nucleus"),
        ({"strategy": "no_package:f"}, "is 'no_package:f', but no_package cannot be imported"),
        ({"strategy": "greedy", "top_p": 0.5}, "unexpected keyword argument 'top_p'"),
        ({"strategy": "nucleus", "top_p": 0.0}, r"top_p \(0.0\) must be above 0"),
        ({"strategy": "nucleus", "temperature": -1.0}, r"temperature \(-1.0\) must be above 0"),
        ({"strategy": "beam"}, "needs decoder.kind 'autoregressive', but it is 'transformer'"),
    ],
    ids=lambda value: value.get("strategy") if isinstance(value, dict) else "",
)
def test_what_cannot_be_decoded_is_refused(options: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        decode(build(), speech(), FEAT_LENS, **options)  # type: ignore[arg-type]


def test_an_autoregressive_decoder_has_no_positions_to_draw_at() -> None:
    with pytest.raises(ConfigError, match="cannot decode in parallel"):
        decode(build("autoregressive"), speech(), FEAT_LENS, strategy="nucleus")


def test_an_untrained_ctc_head_does_not_decode() -> None:
    with pytest.raises(ConfigError, match="ctc_weight is 0"):
        decode(build(ctc_weight=0.0), speech(), FEAT_LENS, strategy="ctc_greedy")


def test_pad_is_never_chosen() -> None:
    model = build().eval()
    with torch.no_grad():
        model.decoder.output.bias[0] = 1e4
    answer = ask(model, speech(), FEAT_LENS)
    assert answer.log_probs[..., 0].isneginf().all()
    assert all(0 not in hypothesis.tokens for hypothesis in decode(model, speech(), FEAT_LENS))
