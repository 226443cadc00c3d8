"""`paraformer transcribe`: recordings, or a text spoken by eSpeak NG, to text with a trained model."""

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from torch import Tensor

    from paraformer_platform.training.recogniser import Recogniser, Transcript

STANDARD_INPUT = Path("-")
AUDIO_SUFFIXES = {".wav", ".flac", ".ogg", ".opus", ".mp3"}


class Form(StrEnum):
    """How transcripts are printed."""

    text = "text"
    json = "json"
    srt = "srt"
    vtt = "vtt"


def transcribe(
    checkpoint: Annotated[Path, typer.Option(help="Such as runs/NAME/checkpoints/best.pt.")],
    files: Annotated[
        list[Path] | None, typer.Argument(help="Audio files, folders of them, or - for standard input.")
    ] = None,
    text: Annotated[
        list[str] | None, typer.Option(help="Let eSpeak NG speak this text, and transcribe that.")
    ] = None,
    voice: Annotated[str, typer.Option(help="Voice of --text.")] = "en-us",
    strategy: Annotated[
        str | None, typer.Option(help="How to decode; else as in the training.", metavar="NAME")
    ] = None,
    form: Annotated[
        Form, typer.Option("--format", help="text, json (token times and confidences), srt or vtt.")
    ] = Form.text,
    as_json: Annotated[bool, typer.Option("--json", help="Short for --format json.")] = False,
) -> None:
    """Write down what is said."""
    from paraformer_platform.cli.subtitles import subtitles
    from paraformer_platform.training.recogniser import Recogniser

    sources: list[Path | str] = [*_audio_files(files or []), *(text or [])]
    if not sources:
        raise typer.BadParameter("name audio files, or a text to speak with --text")
    recogniser = Recogniser.load(checkpoint, strategy)
    chosen = Form.json if as_json else form
    found = ((str(source), _understand(recogniser, source, voice)) for source in sources)
    if chosen is Form.json:
        rows = [{"source": source, **asdict(transcript)} for source, transcript in found]
        typer.echo(json.dumps(rows, ensure_ascii=False, indent=1))
    elif chosen is Form.text:
        for source, transcript in found:
            typer.echo(transcript.text if len(sources) == 1 else f"{source}\t{transcript.text}")
    else:
        typer.echo(subtitles([transcript for _, transcript in found], chosen.value), nl=False)


def _audio_files(named: list[Path]) -> Iterator[Path]:
    """Files as named, and the audio files within folders."""
    from paraformer.errors import DataError

    for path in named:
        if not path.is_dir():
            yield path
            continue
        inside = sorted(file for file in path.rglob("*") if file.suffix.lower() in AUDIO_SUFFIXES)
        if not inside:
            raise DataError(f"{path} holds no audio file ({', '.join(sorted(AUDIO_SUFFIXES))})")
        yield from inside


def _understand(recogniser: "Recogniser", source: Path | str, voice: str) -> "Transcript":
    return recogniser.transcribe([_samples(source, voice, recogniser.sample_rate)])[0]


def _samples(source: Path | str, voice: str, sample_rate: int) -> "Tensor":
    """Samples of a file, of standard input, or of a spoken text."""
    from paraformer.audio import read_audio, resample

    if isinstance(source, Path):
        return read_audio(sys.stdin.buffer if source == STANDARD_INPUT else source, sample_rate)
    import torch

    from paraformer.espeak import speak

    samples, rate = speak(source, voice)
    return resample(torch.from_numpy(samples), rate, sample_rate)
