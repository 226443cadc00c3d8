"""What the page is told: every number against the model's own, and recordings that are refused."""

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from paraformer.audio import read_audio
from paraformer.errors import ConfigError, DataError
from paraformer_platform.demo.hearing import MOST_PIXELS, attention, hear, read_recording
from paraformer_platform.training.recogniser import Recogniser

pytestmark = pytest.mark.speech


def pixels(text: str, rows: int) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), dtype=np.uint8).reshape(rows, -1)


def wav(samples: np.ndarray, rate: int = 16_000) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format="WAV", subtype="PCM_16")
    return file.getvalue()


def test_a_known_sentence_is_shown_with_times_and_firings(trained: Any, recogniser: Recogniser) -> None:
    for one in trained.utterances:
        heard = hear(recogniser, read_audio(one.path))
        assert heard["text"] == one.text
        assert len(heard["tokens"]) == len(one.text) == len(heard["predictor"]["fires"])
        assert sum(heard["predictor"]["weights"]) == pytest.approx(heard["predictor"]["count"], abs=0.01)
        assert heard["predictor"]["fires"] == sorted(heard["predictor"]["fires"])
        assert all(0 <= token["start"] <= token["end"] <= heard["seconds"] + 0.1 for token in heard["tokens"])


def test_the_spectrogram_has_low_tones_at_the_bottom(recogniser: Recogniser) -> None:
    """A tone of 300 Hz is loudest in the lowest eighth of the mel bins."""
    tone = 0.3 * np.sin(2 * np.pi * 300 * np.arange(16_000) / 16_000)
    noise = 0.001 * np.random.default_rng(0).standard_normal(16_000)
    picture = hear(recogniser, torch.from_numpy(tone + noise).float())["spectrogram"]
    shown = pixels(picture["pixels"], picture["rows"])
    assert shown.shape == (80, picture["columns"])
    assert shown[70:].mean() > shown[:40].mean()


def test_attention_is_that_of_the_layer(trained: Any, recogniser: Recogniser) -> None:
    wave = read_audio(trained.utterances[0].path)
    first, second = attention(recogniser, wave, 0), attention(recogniser, wave, 1)
    assert len(first["heads"]) == 2
    assert pixels(first["heads"][0]["pixels"], first["side"]).shape == (first["side"], first["side"])
    assert first["heads"][0]["pixels"] != second["heads"][0]["pixels"]
    with pytest.raises(ConfigError, match="there is no layer 2: the encoder has layers 0 to 1"):
        attention(recogniser, wave, 2)


def test_attention_of_a_long_recording_stays_small(recogniser: Recogniser) -> None:
    noise = torch.randn(16_000 * 12, generator=torch.Generator().manual_seed(0)) * 0.1
    seen = attention(recogniser, noise, 0)  # 12 s are 300 frames
    assert seen["side"] == MOST_PIXELS
    assert seen["seconds"] == pytest.approx(12, abs=0.1)


@pytest.mark.parametrize(
    ("audio", "words"),
    [
        (b"", "cannot be read as audio"),
        (b"RIFF this is no audio at all", r"the audio cannot be read as audio .*convert it to WAV"),
        (wav(np.zeros(16_000)), "the recording is silent"),
        (wav(np.ones(800) * 0.1), r"is 0.05 s long; it must be at least 0.1 s"),
        (wav(np.ones(48_000) * 0.1), r"is 3.0 s long, more than the 2 s allowed"),
        (wav(np.zeros(0)), "holds no audio"),
    ],
    ids=["empty", "not audio", "silent", "short", "long", "no samples"],
)
def test_what_cannot_be_heard_is_refused(recogniser: Recogniser, audio: bytes, words: str) -> None:
    with pytest.raises(DataError, match=words) as caught:
        read_recording(audio, recogniser, most_seconds=2)
    assert "BytesIO" not in str(caught.value)


def test_other_rates_and_channels_are_taken(trained: Any, recogniser: Recogniser, tmp_path: Path) -> None:
    wave = read_audio(trained.utterances[0].path).numpy()
    stereo = np.stack([np.repeat(wave, 3), np.repeat(wave, 3)], axis=1)
    taken = read_recording(wav(stereo, 48_000), recogniser, most_seconds=10)
    assert len(taken) == pytest.approx(len(wave), abs=2)
