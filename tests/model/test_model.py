"""The whole model: the tutorial's interface and the laws that hold for every combination of parts."""

import pytest
import torch

from paraformer.config import (
    DecoderConfig,
    EncoderConfig,
    LossConfig,
    ModelConfig,
    PredictorConfig,
    SamplerConfig,
)
from paraformer.decoding import decode
from paraformer.errors import ConfigError
from paraformer.model import Paraformer

FEAT_LENS = torch.tensor([110, 64, 17, 4, 1])

ENCODERS = ("transformer", "conformer", "sanm")
PREDICTORS = ("cif", "ctc_compress", "uniform")
DECODERS = ("transformer", "sanm", "autoregressive")


def build(
    encoder: str = "transformer",
    predictor: str = "cif",
    decoder: str = "transformer",
    front_end: str = "conv4",
    attention: str = "full",
) -> Paraformer:
    torch.manual_seed(4)
    config = ModelConfig(
        encoder=EncoderConfig(
            kind=encoder,
            num_layers=2,
            hidden_dim=32,
            num_heads=4,
            front_end=front_end,
            attention=attention,
            attention_window=8,
        ),
        predictor=PredictorConfig(kind=predictor, hidden_dim=16),
        decoder=DecoderConfig(kind=decoder, num_layers=2, hidden_dim=24, num_heads=4),
    )
    return Paraformer.from_config(config, vocab_size=30, feature_dim=20).eval()


def speech() -> torch.Tensor:
    """Five utterances with what no one may read behind their ends."""
    features = torch.randn(5, 110, 20, generator=torch.Generator().manual_seed(0))
    beyond = torch.arange(110) >= FEAT_LENS.unsqueeze(1)
    return features.masked_fill(beyond.unsqueeze(2), float("nan"))


def assert_batch_changes_nothing(model: Paraformer) -> None:
    together = decode(model, speech(), FEAT_LENS)
    assert any(hypothesis.tokens for hypothesis in together)
    for row, size in enumerate(FEAT_LENS.tolist()):
        (alone,) = decode(model, speech()[row : row + 1, :size], FEAT_LENS[row : row + 1])
        assert alone.tokens == together[row].tokens
        assert alone.confidences == pytest.approx(together[row].confidences, rel=1e-4)
        if alone.times is not None:
            assert together[row].times is not None
            for ours, theirs in zip(alone.times, together[row].times or [], strict=True):
                assert ours == pytest.approx(theirs, abs=1e-3)


@pytest.mark.parametrize("predictor", PREDICTORS)
@pytest.mark.parametrize("encoder", ENCODERS)
def test_a_batch_does_not_change_its_members(encoder: str, predictor: str) -> None:
    assert_batch_changes_nothing(build(encoder, predictor))


@pytest.mark.parametrize("decoder", ["sanm", "autoregressive"])
def test_nor_with_another_decoder(decoder: str) -> None:
    assert_batch_changes_nothing(build(decoder=decoder))


def test_nor_with_another_front_end_or_attention() -> None:
    assert_batch_changes_nothing(build("sanm", front_end="lfr", attention="local"))


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.usefixtures("example_folder")
def test_nor_with_the_attention_of_the_examples(encoder: str) -> None:
    assert_batch_changes_nothing(build(encoder, attention="local_attention:LocalAttention"))


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("predictor", PREDICTORS)
def test_decoding_is_deterministic(predictor: str, decoder: str) -> None:
    model = build(predictor=predictor, decoder=decoder)
    assert decode(model, speech(), FEAT_LENS) == decode(model, speech(), FEAT_LENS)


def test_training_is_a_function_of_the_seed() -> None:
    model = build().train()
    tokens, token_lens = torch.randint(3, 30, (5, 6)), torch.tensor([6, 4, 2, 1, 0])
    logits = []
    for _ in range(2):
        torch.manual_seed(7)
        logits.append(model(speech().nan_to_num(), tokens, FEAT_LENS, token_lens))
    assert torch.equal(*logits)


def test_the_tutorials_session() -> None:
    model = Paraformer(vocab_size=30, feature_dim=20, hidden_dim=64)
    features, feat_lens = speech(), FEAT_LENS
    tokens, token_lens = torch.randint(3, 30, (5, 6)), torch.tensor([6, 4, 2, 1, 0])
    assert model(features, tokens, feat_lens, token_lens).shape == (5, 6, 30)
    encoder_out, predictor_out = model.eval().encode(features, feat_lens)
    assert encoder_out.shape == (5, 28, 64)
    assert predictor_out.shape == (5, 28)
    decoded = model.decode_greedy(encoder_out, predictor_out, max_len=3)
    assert decoded == [found.tokens[:3] for found in decode(model, features, feat_lens)]


def test_features_without_lengths_are_all_real() -> None:
    model, features = build(), speech()[:1]
    for ours, theirs in zip(model.encode(features), model.encode(features, FEAT_LENS[:1]), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("decoder", DECODERS)
def test_going_step_by_step_gives_the_same_transcript(decoder: str) -> None:
    """As the tutorial's nucleus sampling goes: from BOS until EOS."""
    model = build(decoder=decoder)
    if not model.is_autoregressive:
        with torch.no_grad():
            model.decoder.output.bias[2] = -1e4  # a trained one never writes EOS, but random weights do
    encoder_out, predictor_out = model.encode(speech()[:1], FEAT_LENS[:1])
    tokens = [1]
    while tokens[-1] != 2 and len(tokens) < 20:
        logits = model.decode_step(encoder_out, predictor_out, tokens)
        assert logits.shape == (1, len(tokens), 30)
        logits[..., :2] = -torch.inf
        tokens.append(int(logits[0, -1].argmax()))
    expected = model.decode_greedy(encoder_out, predictor_out, max_len=100)[0]
    assert len(expected) > 3
    assert [token for token in tokens[1:] if token != 2] == expected[:19]


@pytest.mark.parametrize("predictor", PREDICTORS)
def test_silence_decodes(predictor: str) -> None:
    for found in decode(build(predictor=predictor), torch.zeros(2, 50, 20), torch.tensor([50, 3])):
        assert len(found.tokens) == len(found.confidences) == len(found.times or [])


def test_a_predictor_that_fires_nothing_gives_empty_transcripts() -> None:
    model = build()
    assert model.predictor is not None
    with torch.no_grad():
        model.predictor.weight.bias.fill_(-50.0)  # type: ignore[union-attr]
    assert [found.tokens for found in decode(model, speech(), FEAT_LENS)] == [[]] * 5


def test_the_sampler_works_in_training_only() -> None:
    """With all errors shown, the logits of training read the transcript; those of evaluation never do."""
    config = ModelConfig(
        encoder=EncoderConfig(num_layers=1, hidden_dim=16, num_heads=2, dropout=0.0),
        predictor=PredictorConfig(hidden_dim=16, dropout=0.0),
        sampler=SamplerConfig(1.0),
        decoder=DecoderConfig(num_layers=1, hidden_dim=16, num_heads=2, dropout=0.0),
    )
    model = Paraformer.from_config(config, vocab_size=30, feature_dim=20)
    features, feat_lens, token_lens = speech()[:1], FEAT_LENS[:1], torch.tensor([5])
    first, second = torch.full((1, 5), 7), torch.full((1, 5), 9)

    def differ() -> bool:
        ours, theirs = (model(features, tokens, feat_lens, token_lens) for tokens in (first, second))
        return not torch.allclose(ours, theirs)

    assert differ()
    assert model.decoder.training
    model.eval()
    assert not differ()


def test_the_hidden_dimension_is_of_encoder_and_decoder() -> None:
    model = Paraformer(30, 20, 64)
    assert (model.config.encoder.hidden_dim, model.config.decoder.hidden_dim) == (64, 64)
    assert Paraformer(30, 20).config == ModelConfig()


def test_an_impossible_model_is_refused_with_every_fault() -> None:
    config = ModelConfig(encoder=EncoderConfig(kernel_size=2), loss=LossConfig(ctc_weight=-1.0))
    with pytest.raises(ConfigError, match=r"(?s)encoder.kernel_size.*loss.ctc_weight"):
        Paraformer(30, 20, config=config)


def test_times_of_encoder_frames() -> None:
    assert build().frame_shift_seconds == pytest.approx(0.04)
    assert build(front_end="lfr").frame_shift_seconds == pytest.approx(0.06)
    assert build().output_lengths(FEAT_LENS).tolist() == [28, 16, 5, 1, 1]
