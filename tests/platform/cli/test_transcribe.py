"""Whatever is named, `paraformer transcribe` writes a transcript or says what is wrong, and never breaks."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner, Result

from paraformer_platform.cli.app import app

Transcribe = Callable[..., Result]
SPEECH_LIKE = 0.3 * np.random.default_rng(0).standard_normal(24_000)


@pytest.fixture
def transcribe(untrained: Path) -> Transcribe:
    def run(*arguments: object, stdin: bytes | None = None) -> Result:
        words = ["transcribe", "--checkpoint", str(untrained), *map(str, arguments)]
        return CliRunner().invoke(app, words, input=stdin)

    return run


def write(path: Path, samples: np.ndarray = SPEECH_LIKE, rate: int = 16_000, **options: str) -> Path:
    soundfile.write(path, samples, rate, **options)
    return path


def encoded(**options: str) -> bytes:
    held = io.BytesIO()
    soundfile.write(held, SPEECH_LIKE, 16_000, **options)
    return held.getvalue()


def well(done: Result) -> None:
    assert done.exception is None or isinstance(done.exception, SystemExit | click.exceptions.Exit)
    assert "Traceback" not in done.output


RECORDINGS = {
    "telephone.wav": {"rate": 8000},
    "studio.wav": {"rate": 48_000},
    "cd.flac": {"rate": 44_100},
    "odd_rate.wav": {"rate": 44_101},
    "stereo.wav": {"samples": np.stack([SPEECH_LIKE, -SPEECH_LIKE / 2], axis=1)},
    "surround.wav": {"samples": np.stack([SPEECH_LIKE] * 6, axis=1)},
    "clipped.wav": {"samples": np.clip(50 * SPEECH_LIKE, -1, 1)},
    "eight_bits.wav": {"subtype": "PCM_U8"},
    "floats.wav": {"samples": 30_000 * SPEECH_LIKE, "subtype": "DOUBLE"},
    "fifty_ms.wav": {"samples": SPEECH_LIKE[:800]},
    "one_sample.wav": {"samples": SPEECH_LIKE[:1]},
    "minute.wav": {"samples": np.tile(SPEECH_LIKE, 40)},
    "silence.wav": {"samples": np.zeros(16_000)},
    "song.mp3": {},
    "voice.ogg": {},
    "message.opus": {"format": "OGG", "subtype": "OPUS"},
}


@pytest.mark.parametrize("name", RECORDINGS)
def test_recordings_of_every_kind_are_transcribed(transcribe: Transcribe, tmp_path: Path, name: str) -> None:
    done = transcribe(write(tmp_path / name, **RECORDINGS[name]), "--json")
    well(done)
    assert done.exit_code == 0, done.output
    [row] = json.loads(done.stdout)
    assert row["source"].endswith(name)
    if name == "silence.wav":
        assert row == {"source": row["source"], "text": "", "tokens": []}
    if name == "minute.wav":
        starts = [token["start"] for token in row["tokens"]]
        assert starts == sorted(starts)
        assert max(starts) > 50


WRONG_NAMES = {
    "flac.mp3": {"format": "FLAC"},
    "wav.flac": {"format": "WAV"},
    "ogg.txt": {"format": "OGG"},
    "wav.raw": {"format": "WAV"},
    "flac": {"format": "FLAC"},
}


@pytest.mark.parametrize("name", WRONG_NAMES)
def test_contents_count_and_not_the_name(transcribe: Transcribe, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(encoded(**WRONG_NAMES[name]))
    done = transcribe(tmp_path / name)
    well(done)
    assert done.exit_code == 0, done.output


NO_RECORDINGS = {
    "empty.wav": (b"", "is an empty file (0 bytes)"),
    "text.wav": (b"this is no audio\n" * 99, "cannot be read as audio"),
    "photo.jpg": (b"\xff\xd8\xff\xe0" + bytes(range(256)) * 20, "cannot be read as audio"),
    "header.wav": (encoded(format="WAV")[:44], "holds no audio (0 samples)"),
    "piece_of_header.flac": (encoded(format="FLAC")[:20], "cannot be read as audio"),
    "cut_short.ogg": (encoded(format="OGG")[:3000], "cannot be read as audio"),
    "noughts.mp3": (bytes(5000), "cannot be read as audio"),
}


@pytest.mark.parametrize("name", NO_RECORDINGS)
def test_what_cannot_be_read_is_told(transcribe: Transcribe, tmp_path: Path, name: str) -> None:
    contents, message = NO_RECORDINGS[name]
    (tmp_path / name).write_bytes(contents)
    done = transcribe(tmp_path / name)
    well(done)
    assert done.exit_code == 2
    assert name in done.stderr
    assert message in done.stderr
    assert done.stdout == ""


def test_a_wav_file_cut_short_is_transcribed_as_far_as_it_goes(
    transcribe: Transcribe, tmp_path: Path
) -> None:
    (tmp_path / "half.wav").write_bytes(encoded(format="WAV")[:20_000])
    assert transcribe(tmp_path / "half.wav").exit_code == 0


def test_one_bad_file_does_not_keep_the_others_from_being_transcribed(
    transcribe: Transcribe, tmp_path: Path
) -> None:
    write(tmp_path / "a.wav")
    (tmp_path / "b.wav").write_bytes(b"no audio")
    write(tmp_path / "c.wav")
    done = transcribe(tmp_path, tmp_path / "gone.wav")
    well(done)
    assert done.exit_code == 2
    assert [Path(line.split("\t")[0]).name for line in done.stdout.splitlines()] == ["a.wav", "c.wav"]
    assert "b.wav cannot be read" in done.stderr
    assert "there is no audio file" in done.stderr
    rows = json.loads(transcribe(tmp_path, "--json").stdout)
    assert ["error" in row for row in rows] == [False, True, False]


def test_folders(transcribe: Transcribe, tmp_path: Path) -> None:
    (tmp_path / "named_like.wav").mkdir()
    done = transcribe(tmp_path / "named_like.wav")
    well(done)
    assert done.exit_code == 2
    assert "holds no audio file" in done.stderr


def test_standard_input(transcribe: Transcribe, tmp_path: Path) -> None:
    done = transcribe("-", stdin=encoded(format="FLAC"))
    assert done.exit_code == 0, done.output
    assert done.stdout == transcribe(write(tmp_path / "a.flac")).stdout
    nothing = transcribe("-", stdin=b"")
    well(nothing)
    assert nothing.exit_code == 2
    assert "cannot be read as audio" in nothing.stderr


def test_a_long_recording_has_a_subtitle_for_each_piece(transcribe: Transcribe, tmp_path: Path) -> None:
    """It is cut in pieces of three seconds at most, the longest that the model was to be trained on."""
    path = write(tmp_path / "minute.wav", np.tile(SPEECH_LIKE, 40))
    done = transcribe(path, "--format", "srt")
    assert done.exit_code == 0, done.output
    assert done.stdout.count(" --> ") >= 20
    assert "00:00:5" in done.stdout
