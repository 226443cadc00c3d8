"""Transcripts with times as SRT or WebVTT subtitles."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from paraformer.errors import ConfigError

if TYPE_CHECKING:
    from paraformer_platform.training.recogniser import Transcript

MARKS = {"srt": ",", "vtt": "."}
"""Decimal mark of the seconds, by format."""


def subtitles(transcripts: "Sequence[Transcript]", form: str) -> str:
    """One subtitle for each transcript, from its first token to its last.

    Args:
        transcripts: Of one recording, or of pieces whose times go on.
        form: srt or vtt.

    Raises:
        ConfigError: if the model gives no times.
    """
    cues = [
        f"{number}\n{_span(transcript, MARKS[form])}\n{transcript.text}\n"
        for number, transcript in enumerate((one for one in transcripts if one.tokens), start=1)
    ]
    return "\n".join(["WEBVTT\n", *cues] if form == "vtt" else cues)


def _span(transcript: "Transcript", mark: str) -> str:
    start, end = transcript.tokens[0].start, transcript.tokens[-1].end
    if start is None or end is None:
        raise ConfigError("an autoregressive decoder gives no times; use --format text")
    return f"{_clock(start, mark)} --> {_clock(end, mark)}"


def _clock(seconds: float, mark: str) -> str:
    milliseconds = round(1000 * seconds)
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{rest // 1000:02d}{mark}{rest % 1000:03d}"
