import numpy as np
import pytest
import torch

from paraformer.errors import ConfigError, DataError
from paraformer.features import FeatureConfig, FeatureExtractor, GlobalCmvn


def reference_log_mel(wave, rate=16000, n_fft=400, hop=160, num_mels=80):
    """Float64, from the definition: reflected ends, periodic Hann window, HTK mel triangles."""
    padded = np.pad(wave.astype(np.float64), n_fft // 2, mode="reflect")
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft)
    mels = np.linspace(0, 2595 * np.log10(1 + rate / 2 / 700), num_mels + 2)
    edges = 700 * (10 ** (mels / 2595) - 1)
    bins = np.arange(n_fft // 2 + 1) * rate / n_fft
    rising = (bins - edges[:-2, None]) / np.diff(edges)[:-1, None]
    falling = (edges[2:, None] - bins) / np.diff(edges)[1:, None]
    triangles = np.clip(np.minimum(rising, falling), 0, None)
    starts = range(0, len(padded) - n_fft + 1, hop)
    power = np.array([np.abs(np.fft.rfft(padded[s : s + n_fft] * window)) ** 2 for s in starts])
    return np.log(power @ triangles.T + 1e-9)


def reference_kaldi_fbank(wave, rate=16000, size=400, hop=160, num_mels=80):
    """Float64, from Kaldi's: mean off, pre-emphasis 0.97, Povey window, 512 points, mel from 20 Hz."""
    samples = wave.astype(np.float64) * 32768
    window = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / (size - 1))) ** 0.85
    mel = 1127 * np.log(1 + np.arange(257) * rate / 512 / 700)
    low, high = 1127 * np.log(1 + 20 / 700), 1127 * np.log(1 + rate / 2 / 700)
    edges = np.linspace(low, high, num_mels + 2)
    width = edges[1] - edges[0]
    triangles = np.clip(1 - np.abs(mel - edges[1:-1, None]) / width, 0, None)
    rows = []
    for start in range(0, len(samples) - size + 1, hop):
        frame = samples[start : start + size]
        frame = frame - frame.mean()
        frame = frame - 0.97 * np.concatenate([frame[:1], frame[:-1]])
        power = np.abs(np.fft.rfft(frame * window, 512)) ** 2
        rows.append(np.log(np.maximum(triangles @ power, np.finfo(np.float32).eps)))
    return np.array(rows)


@pytest.fixture
def wave():
    generator = torch.Generator().manual_seed(0)
    return 0.1 * torch.randn(16000, generator=generator)  # some energy in every bin


@pytest.mark.parametrize(
    ("kind", "reference"), [("log_mel", reference_log_mel), ("kaldi_fbank", reference_kaldi_fbank)]
)
def test_features_agree_with_their_definition_in_double_precision(kind, reference, wave):
    features = FeatureExtractor(FeatureConfig(kind=kind))(wave)
    expected = reference(wave.numpy())
    assert features.shape == expected.shape
    np.testing.assert_allclose(features.numpy(), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("kind", ["log_mel", "kaldi_fbank"])
@pytest.mark.parametrize("samples", [1, 100, 399, 400, 401, 559, 560, 800, 16000, 16001])
def test_the_number_of_frames_is_known_beforehand(kind, samples):
    extractor = FeatureExtractor(FeatureConfig(kind=kind))
    features = extractor(torch.randn(samples))
    assert features.shape == (extractor.num_frames(samples), 80)
    assert torch.isfinite(features).all()


@pytest.mark.parametrize("kind", ["log_mel", "kaldi_fbank"])
def test_digital_silence_stays_finite(kind):
    assert torch.isfinite(FeatureExtractor(FeatureConfig(kind=kind))(torch.zeros(8000))).all()


def test_dither_only_where_a_generator_is_given(wave):
    extractor = FeatureExtractor(FeatureConfig(dither=1.0))
    torch.testing.assert_close(extractor(wave), FeatureExtractor()(wave), rtol=0, atol=0)
    dithered = extractor(wave, torch.Generator().manual_seed(1))
    assert not torch.equal(dithered, extractor(wave))
    torch.testing.assert_close(dithered, extractor(wave, torch.Generator().manual_seed(1)), rtol=0, atol=0)


def test_impossible_values_are_all_named_at_once():
    with pytest.raises(ConfigError) as raised:
        FeatureExtractor(FeatureConfig(kind="mfcc", num_mels=0, dither=-1))
    assert "features.kind: must be log_mel or kaldi_fbank, but is 'mfcc'" in str(raised.value)
    assert "features.num_mels: must be at least 1, but is 0" in str(raised.value)
    assert "features.dither" in str(raised.value)


def test_normalised_training_features_have_mean_0_and_deviation_1():
    utterances = [torch.randn(n, 5) * torch.arange(1, 6) + 7 for n in (50, 200, 30)]
    cmvn = GlobalCmvn.from_features(utterances)
    normalised = cmvn.apply(torch.cat(utterances))
    torch.testing.assert_close(normalised.mean(0), torch.zeros(5), atol=1e-5, rtol=0)
    torch.testing.assert_close(normalised.std(0, correction=0), torch.ones(5), atol=1e-5, rtol=0)


def test_a_constant_feature_is_not_blown_up():
    cmvn = GlobalCmvn.from_features([torch.full((10, 2), -20.7)])
    assert torch.isfinite(cmvn.apply(torch.full((3, 2), -20.6))).all()


def test_normalisation_survives_a_checkpoint_and_refuses_no_audio():
    cmvn = GlobalCmvn.from_features([torch.randn(40, 3)])
    again = GlobalCmvn.from_state(cmvn.to_state())
    x = torch.randn(7, 3)
    torch.testing.assert_close(again.apply(x), cmvn.apply(x), rtol=0, atol=0)
    with pytest.raises(DataError, match="at least one frame"):
        GlobalCmvn.from_features([])
