import numpy as np
import pytest

from paraformer import espeak
from paraformer.errors import DataError

pytest.importorskip("espeakng_loader", reason="eSpeak NG is an extra: pip install '.[speech]'")


def test_a_text_becomes_speech_of_plausible_length_and_level():
    wave, rate = espeak.speak("one two three four five")
    assert rate == 22050
    assert wave.dtype == np.float32
    assert 1 < len(wave) / rate < 4
    assert 0.01 < np.sqrt(np.mean(wave**2)) < 0.5


def test_fresh_processes_give_the_same_samples():
    first, again = (espeak.speak("seven", "en-gb+f3", speed=150, pitch=60)[0] for _ in range(2))
    assert np.array_equal(first, again)


def test_accent_variant_speed_and_pitch_are_heard():
    base, _ = espeak.speak("after the car", "en-us")
    for options in ({"voice": "en-gb"}, {"voice": "en-us+f3"}, {"speed": 300}, {"pitch": 90}):
        other, _ = espeak.speak("after the car", **options)
        assert len(other) != len(base) or not np.array_equal(other, base), options
    slow, fast = (espeak.speak("after the car", speed=speed)[0] for speed in (100, 300))
    assert len(slow) > 1.8 * len(fast)


def test_one_process_says_many_things():
    with espeak.Speaker() as speaker:
        lengths = [len(speaker.speak("one " * count)) for count in (1, 3, 9)]
    assert lengths == sorted(lengths)


def test_british_english_is_not_american():
    assert espeak.accents()["en-gb"] == "gmw/en"
    assert len([voice for voice in espeak.accents() if voice.startswith("en")]) >= 9
    assert len(espeak.variants()) >= 100


def test_unknown_voices_are_refused_with_near_ones():
    # The library itself would take the voice without its variant.
    with pytest.raises(DataError, match=r"there is no variant 'f33' .*did you mean f3\?"):
        espeak.speak("one", "en-us+f33")
    with pytest.raises(DataError, match=r"there is no accent 'en-uss' .*did you mean en-us"):
        espeak.speak("one", "en-uss")
    with pytest.raises(DataError, match="there is no text to speak"):
        espeak.speak(" \n")


def test_a_crash_of_the_library_is_an_error_of_ours():
    with espeak.Speaker() as speaker:
        speaker._process.kill()
        with pytest.raises(DataError, match=r"ended \(exit code -9\) while speaking 'nine' with voice en-us"):
            speaker.speak("nine")


def test_no_process_stays_behind():
    with espeak.Speaker() as speaker:
        process = speaker._process
        assert process.poll() is None
    assert process.poll() is not None
