"""Recordings of the model's own test set, to try the page without a microphone."""

from dataclasses import dataclass
from pathlib import Path

from paraformer.audio import audio_seconds
from paraformer.errors import ParaformerError
from paraformer.manifest import Utterance
from paraformer_platform.config.schema import DataConfig
from paraformer_platform.training.utterances import read_utterances

Seconds = float

MOST = 6


@dataclass(frozen=True)
class Example:
    """One recording."""

    path: Path
    text: str
    """What is said."""
    speaker: str | None


def find_examples(data: DataConfig, most_seconds: Seconds) -> list[Example]:
    """Some recordings of a test set, evenly spread over it; none where it is not on this machine."""
    try:
        utterances = read_utterances(Path(data.folder) / data.test, data.reader)
        step = max(1, len(utterances) // MOST)
        short = [one for one in utterances[::step] if _seconds(one) <= most_seconds]
    except ParaformerError:
        return []
    return [Example(one.path, one.text, one.speaker) for one in short[:MOST]]


def _seconds(utterance: Utterance) -> Seconds:
    return audio_seconds(utterance.path) if utterance.seconds is None else utterance.seconds
