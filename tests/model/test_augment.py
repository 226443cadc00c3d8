import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from paraformer.augment import (
    AugmentConfig,
    add_noise,
    augment_wave,
    change_speed,
    changed_size,
    draw_speed,
    spec_augment,
)
from paraformer.noise import coloured_noise


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_the_defaults_change_nothing():
    wave, features = torch.randn(1000), torch.randn(50, 8)
    assert torch.equal(augment_wave(wave, 16000, AugmentConfig(), generator()), wave)
    assert torch.equal(spec_augment(features, AugmentConfig(), generator()), features)
    assert not AugmentConfig().changes_samples


@pytest.mark.parametrize("speed", [0.9, 1.0, 1.1])
def test_speed_changes_duration_and_pitch_together(speed):
    seconds = torch.arange(16000) / 16000
    wave = torch.sin(2 * torch.pi * 500 * seconds)
    faster = change_speed(wave, 16000, speed)
    assert len(faster) == pytest.approx(16000 / speed, abs=2)
    spectrum = torch.fft.rfft(faster[1000:9000]).abs()
    assert spectrum.argmax() * 2 == pytest.approx(500 * speed, abs=2)


@pytest.mark.parametrize("snr", [0.0, 10.0, 30.0])
def test_noise_has_the_level_asked_for(snr):
    wave = torch.sin(torch.arange(16000) / 20)
    noise = add_noise(wave, coloured_noise(len(wave), 0, generator()), snr) - wave
    measured = 10 * torch.log10(wave.square().mean() / noise.square().mean())
    assert measured == pytest.approx(snr, abs=0.2)


def test_noise_on_silence_is_silence():
    assert torch.equal(add_noise(torch.zeros(100), torch.ones(100), 10), torch.zeros(100))


def test_a_share_of_the_utterances_stays_clean():
    config = AugmentConfig(noise_snr_db=(0.0, 10.0), noise_slope_db=(0.0, 6.0), noise_share=0.3)
    wave = torch.ones(50)
    noisy = sum(
        not torch.equal(augment_wave(wave, 16000, config, generator(seed)), wave) for seed in range(1000)
    )
    assert noisy == pytest.approx(300, abs=45)  # three standard deviations of a binomial draw


@given(st.integers(1, 5000), st.sampled_from([0.9, 1.0, 1.1, 0.87]), st.sampled_from([8000, 16000, 22050]))
def test_the_size_after_a_change_of_speed_is_known_before(size, speed, rate):
    assert changed_size(size, rate, speed) == len(change_speed(torch.zeros(size), rate, speed))


def test_the_speed_is_drawn_first():
    config = AugmentConfig(speeds=(0.9, 1.0, 1.1), gain_db=(-6, 6), noise_snr_db=(5, 20))
    for seed in range(9):
        size = changed_size(1000, 16000, draw_speed(config, generator(seed)))
        assert len(augment_wave(torch.randn(1000), 16000, config, generator(seed))) == size


def test_the_gain_keeps_within_its_limits_and_uses_them():
    config = AugmentConfig(gain_db=(-6.0, 6.0))
    gains = [augment_wave(torch.ones(1), 16000, config, generator(seed)).item() for seed in range(200)]
    assert 10 ** (-6 / 20) <= min(gains) < 0.55
    assert 1.8 < max(gains) <= 10 ** (6 / 20)


@given(
    st.integers(1, 300), st.integers(0, 3), st.integers(0, 3), st.integers(0, 60), st.integers(0, 60),
    st.integers(0, 1000),
)  # fmt: skip
def test_masks_are_whole_bands_of_bounded_width(frames, time_masks, frequency_masks, wide, high, seed):
    config = AugmentConfig(
        time_masks=time_masks,
        time_mask_frames=wide,
        frequency_masks=frequency_masks,
        frequency_mask_bins=high,
    )
    hidden = spec_augment(torch.ones(frames, 40), config, generator(seed)) == 0
    rows, columns = hidden.all(dim=1), hidden.all(dim=0)
    if not rows.all() and not columns.all():
        assert torch.equal(hidden, rows.unsqueeze(1) | columns)
        assert rows.sum() <= time_masks * min(wide, frames // 5)
        assert columns.sum() <= frequency_masks * min(high, 40)


def test_masks_reach_every_place():
    config = AugmentConfig(time_masks=1, time_mask_frames=10, frequency_masks=1, frequency_mask_bins=10)
    hidden = torch.stack(
        [spec_augment(torch.ones(60, 40), config, generator(seed)) == 0 for seed in range(500)]
    )
    assert hidden.any(dim=0).all()


def test_the_same_generator_state_gives_the_same_augmentation():
    config = AugmentConfig(
        speeds=(0.9, 1.0, 1.1), gain_db=(-6, 6), noise_snr_db=(5, 20), time_masks=2, frequency_masks=2
    )
    wave = torch.randn(8000)
    assert torch.equal(
        augment_wave(wave, 16000, config, generator(3)), augment_wave(wave, 16000, config, generator(3))
    )
    lengths = {len(augment_wave(wave, 16000, config, generator(seed))) for seed in range(20)}
    assert len(lengths) == 3


def test_impossible_values_are_all_named():
    faults = AugmentConfig(
        speeds=(0.1, 1.0), gain_db=(3, -3), silence_share=1.5, noise_share=-1, time_masks=-1
    ).faults()
    assert [fault.path for fault in faults] == [
        "speeds",
        "gain_db",
        "noise_share",
        "silence_share",
        "time_masks",
    ]
    assert str(faults[0]) == "speeds: must lie within 0.5 and 2, but one is 0.1"
    assert AugmentConfig().faults() == []
    [fault] = AugmentConfig(noise_folder="noises").faults()
    assert "is read for noise_snr_db or silence_share" in str(fault)
