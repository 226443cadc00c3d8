import pytest
import soundfile
import torch

from paraformer.errors import DataError
from paraformer.noise import RecordedNoise, babble, coloured_noise, hum, nobody_speaks


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def band_level_db(wave, low, high):
    """Mean power in a band of frequencies, given as shares of the sampling rate, in decibels."""
    spectrum = torch.fft.rfft(wave).abs().square()
    size = len(wave)
    return 10 * torch.log10(spectrum[int(low * size) : int(high * size)].mean()).item()


@pytest.mark.parametrize("slope", [0.0, 3.0, 6.0])
def test_the_spectrum_falls_as_asked(slope):
    noise = coloured_noise(100_000, slope, generator())
    fall = band_level_db(noise, 0.02, 0.03) - band_level_db(noise, 0.16, 0.24)  # three octaves above
    assert fall == pytest.approx(3 * slope, abs=0.7)
    assert noise.square().mean() == pytest.approx(1, abs=0.02)
    assert len(noise) == 100_000


@pytest.mark.parametrize("size", [1, 2, 3, 801])
def test_any_size_can_be_had(size):
    for slope in (0.0, 4.5):
        assert coloured_noise(size, slope, generator()).isfinite().all()
    assert hum(size, 16000, generator()).shape == (size,)
    assert nobody_speaks(size, 16000, generator()).shape == (size,)


def test_hum_is_the_mains_and_its_harmonics():
    wave = hum(16000, 16000, generator())
    spectrum = torch.fft.rfft(wave).abs()
    loud = (spectrum > 0.01 * spectrum.max()).nonzero().flatten()  # in hertz, for one second
    assert any(all(one % mains == 0 for one in loud.tolist()) for mains in (50, 60))


def test_babble_is_many_voices_backwards():
    """Each voice rises by one, so all of them together fall, but for the places where one begins anew."""
    spoken = []

    def speak(draw):
        spoken.append(None)
        return torch.arange(1.0, 501.0)

    falling = babble(400, generator(), speak).diff() < 0
    assert 4 <= len(spoken) <= 10
    assert (~falling).sum() <= len(spoken)
    assert babble(700, generator(1), speak).square().mean() == pytest.approx(1, abs=1e-4)


def test_babble_is_a_share_of_what_is_heard_where_nobody_speaks():
    asked = []

    def speak(draw):
        asked.append(draw.initial_seed())
        return torch.ones(100)

    for seed in range(300):
        nobody_speaks(200, 16000, generator(seed), speak=speak)
    assert len(set(asked)) == pytest.approx(60, abs=21)  # a fifth, within three standard deviations


def test_nobody_speaks_at_many_levels_and_sometimes_digital_silence():
    levels = [nobody_speaks(2000, 16000, generator(seed)).square().mean().sqrt() for seed in range(300)]
    silent = sum(level == 0 for level in levels)
    assert silent == pytest.approx(30, abs=16)
    heard = [20 * level.log10().item() for level in levels if level > 0]
    assert -85.1 <= min(heard) < -75
    assert -22 < max(heard) <= -11.9


def test_recorded_noise_is_a_stretch_of_a_recording(tmp_path):
    ramp = torch.linspace(-1, 1, 4000)
    soundfile.write(tmp_path / "ramp.wav", ramp.numpy(), 16000, subtype="FLOAT")
    (tmp_path / "readme.txt").write_text("no audio")
    source = RecordedNoise(tmp_path, 16000)
    starts = set()
    for seed in range(20):
        noise = source.draw(1000, generator(seed))
        assert noise.square().mean() == pytest.approx(1, abs=1e-4)
        steps = noise.diff()
        assert (steps > 0).sum() >= 998  # rising, but for the place where the recording begins anew
        starts.add(noise[0].item())
    assert len(starts) == 20
    assert source.draw(9000, generator()).shape == (9000,)
    assert torch.equal(source.draw(50, generator(3)), RecordedNoise(tmp_path, 16000).draw(50, generator(3)))


def test_a_folder_without_noise_is_named(tmp_path):
    with pytest.raises(DataError, match=r"there is no audio in .*data\.augment\.noise_folder"):
        RecordedNoise(tmp_path, 16000)
    with pytest.raises(DataError, match="there is no folder"):
        RecordedNoise(tmp_path / "gone", 16000)
