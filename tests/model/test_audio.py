import io

import numpy as np
import pytest
import soundfile
import torch

from paraformer.audio import audio_seconds, read_audio, resample, write_audio
from paraformer.errors import DataError


def tone(rate, seconds=0.5, hertz=440.0):
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(int(rate * seconds)) / rate)).astype(np.float32)


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100, 48000])
@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg", "a.mp3"])
def test_every_rate_and_format_gives_the_same_tone_at_16_khz(name, rate, tmp_path):
    soundfile.write(tmp_path / name, tone(rate), rate)
    wave = read_audio(tmp_path / name)
    assert wave.dtype == torch.float32
    assert 8000 - 1 <= len(wave) < 8000 + 3500  # MP3 pads to whole frames, at 8 kHz of 1152 samples each
    spectrum = torch.fft.rfft(wave[1000:7000]).abs()
    assert spectrum.argmax() * 16000 / 6000 == pytest.approx(440, abs=3)
    level = wave[1000:7000].square().mean().sqrt()
    assert level == pytest.approx(0.5 / 2**0.5, abs=0.01)


def test_channels_are_averaged(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.stack([tone(16000), -tone(16000)], axis=1), 16000)
    assert read_audio(tmp_path / "a.wav").abs().max() <= 1 / 32768


def test_an_open_file_is_read_like_a_path(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(8000), 8000)
    held = io.BytesIO((tmp_path / "a.wav").read_bytes())
    torch.testing.assert_close(read_audio(held), read_audio(tmp_path / "a.wav"))


class Pipe(io.RawIOBase):
    """Bytes that can be read once, from the beginning."""

    def __init__(self, contents):
        self._rest = contents

    def read(self, size=-1):
        contents, self._rest = self._rest, b""
        return contents

    def seekable(self):
        return False

    def tell(self):
        raise OSError("Illegal seek")


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.mp3"])
def test_a_pipe_is_read_like_a_file(name, tmp_path):
    soundfile.write(tmp_path / name, tone(16000), 16000)
    piped = read_audio(Pipe((tmp_path / name).read_bytes()))
    torch.testing.assert_close(piped, read_audio(tmp_path / name))
    with pytest.raises(DataError, match="cannot be read as audio"):
        read_audio(Pipe(b""))


@pytest.mark.parametrize("rate", [7919, 44101, 11025, 192000, 333])
def test_rates_without_a_small_ratio_cost_no_more_than_others(rate):
    """An exact filter from 44,101 Hz took 12 GB and 99 s for one second of audio."""
    wave = torch.from_numpy(tone(rate, 0.5, 100.0))
    resampled = resample(wave, rate, 16000)
    assert len(resampled) == pytest.approx(8000, rel=0.025 if rate < 1000 else 0.0013)
    spectrum = torch.fft.rfft(resampled[1000:7000]).abs()
    assert spectrum.argmax() * 16000 / 6000 == pytest.approx(100, abs=3)


def test_samples_of_another_scale_are_brought_to_a_peak_of_1(tmp_path):
    soundfile.write(tmp_path / "a.wav", 30000 * tone(16000), 16000, subtype="FLOAT")
    torch.testing.assert_close(read_audio(tmp_path / "a.wav"), torch.from_numpy(2 * tone(16000)))
    soundfile.write(tmp_path / "b.wav", 3 * tone(16000), 16000, subtype="FLOAT")  # loud, and only that
    assert read_audio(tmp_path / "b.wav").abs().max() == pytest.approx(1.5, abs=0.01)


@pytest.mark.parametrize("name", ["a.mp3", "a.txt", "a.raw", "no_ending"])
def test_contents_count_and_not_the_name(name, tmp_path):
    soundfile.write(tmp_path / "a.flac", tone(16000), 16000)
    (tmp_path / "a.flac").rename(tmp_path / name)
    torch.testing.assert_close(read_audio(tmp_path / name), torch.from_numpy(tone(16000)), atol=1e-4, rtol=0)


def test_duration_comes_from_the_header(tmp_path):
    soundfile.write(tmp_path / "a.flac", tone(22050, 0.75), 22050)
    assert audio_seconds(tmp_path / "a.flac") == pytest.approx(0.75, abs=1e-4)


def test_written_audio_comes_back_to_the_16th_bit(tmp_path):
    write_audio(tmp_path / "a.flac", tone(16000))
    assert (read_audio(tmp_path / "a.flac") - torch.from_numpy(tone(16000))).abs().max() <= 1 / 32768


def test_resampling_to_the_same_rate_changes_nothing():
    wave = torch.randn(100)
    assert resample(wave, 16000, 16000) is wave


@pytest.mark.parametrize("read", [read_audio, audio_seconds])
def test_bad_files_are_named_with_a_remedy(read, tmp_path):
    with pytest.raises(DataError, match=r"there is no audio file .*gone\.wav; check the path"):
        read(tmp_path / "gone.wav")
    (tmp_path / "empty.wav").touch()
    with pytest.raises(DataError, match=r"empty\.wav is an empty file \(0 bytes\)"):
        read(tmp_path / "empty.wav")
    (tmp_path / "text.wav").write_text("not audio at all")
    with pytest.raises(DataError, match=r"text\.wav cannot be read as audio .*convert it to WAV"):
        read(tmp_path / "text.wav")
    (tmp_path / "a.raw").write_bytes(bytes(1000))
    with pytest.raises(DataError, match=r"a\.raw cannot be read as audio"):
        read(tmp_path / "a.raw")
    with pytest.raises(DataError, match="is a folder"):
        read(tmp_path)


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg", "a.mp3"])
@pytest.mark.parametrize("kept", [3, 40, 1000, 3000])
def test_a_file_cut_short_is_read_as_far_as_it_goes_or_refused(name, kept, tmp_path):
    soundfile.write(tmp_path / name, tone(16000, 2.0), 16000)
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:kept])
    read, message = [], f"{name} cannot be read as audio"
    try:
        read.append(read_audio(tmp_path / name))
    except DataError as error:
        message = str(error)
    assert "does not exist" not in message
    assert f"{name} cannot be read as audio" in message or f"{name} holds no audio" in message
    assert kept >= 1000 or not read
    assert all(0 < len(wave) <= 33000 and wave.isfinite().all() for wave in read)


def test_audio_without_samples_or_with_wild_ones_is_refused(tmp_path):
    soundfile.write(tmp_path / "none.wav", np.zeros(0), 16000)
    with pytest.raises(DataError, match=r"none\.wav holds no audio \(0 samples\)"):
        read_audio(tmp_path / "none.wav")
    soundfile.write(tmp_path / "nan.wav", np.full(100, np.nan), 16000, subtype="FLOAT")
    with pytest.raises(DataError, match="not finite"):
        read_audio(tmp_path / "nan.wav")
