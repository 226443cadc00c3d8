"""`paraformer transcribe`: recordings, or a text spoken by eSpeak NG, to text with a trained model."""

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from paraformer_platform.cli.options import CheckpointOption, QuietOption, StrategyOption
from paraformer_platform.cli.progress import progress_bar

if TYPE_CHECKING:
    from torch import Tensor

    from paraformer_platform.training.recogniser import Recogniser, Transcript

STANDARD_INPUT = Path("-")
AUDIO_SUFFIXES = {".wav", ".flac", ".ogg", ".opus", ".mp3", ".sph"}
"""Which files of a folder are taken; a file that is named is read whatever it is called."""
USER_FAULT = 2


class Form(StrEnum):
    """How transcripts are printed."""

    text = "text"
    json = "json"
    srt = "srt"
    vtt = "vtt"


def transcribe(
    checkpoint: CheckpointOption,
    files: Annotated[
        list[Path] | None, typer.Argument(help="Audio files, folders of them, or - for standard input.")
    ] = None,
    text: Annotated[
        list[str] | None, typer.Option(help="Let eSpeak NG speak this text, and transcribe that.")
    ] = None,
    voice: Annotated[str, typer.Option(help="Voice of --text.")] = "en-us",
    strategy: StrategyOption = None,
    form: Annotated[
        Form, typer.Option("--format", help="text, json (token times and confidences), srt or vtt.")
    ] = Form.text,
    as_json: Annotated[bool, typer.Option("--json", help="Short for --format json.")] = False,
    quiet: QuietOption = False,
) -> None:
    """Write down what is said.

    A recording that cannot be read is told on standard error; the others are transcribed all the same, and
    the exit code is 2.
    """
    from paraformer_platform.cli.subtitles import subtitles
    from paraformer_platform.training.recogniser import Recogniser

    sources: list[Path | str] = [*_audio_files(files or []), *(text or [])]
    if not sources:
        raise typer.BadParameter("name audio files, or a text to speak with --text")
    recogniser = Recogniser.load(checkpoint, strategy)
    outcomes = []
    at_once = form is Form.text and not as_json  # and then the lines themselves show how far it is
    with progress_bar("transcribing", "recordings", quiet or (at_once and sys.stdout.isatty())) as advance:
        for source in sources:
            outcomes.append(_attempt(recogniser, source, voice))
            if at_once:
                _print_text(outcomes[-1], alone=len(sources) == 1)
            advance(len(outcomes), len(sources))
    if as_json or form is Form.json:
        typer.echo(json.dumps([outcome.row() for outcome in outcomes], ensure_ascii=False, indent=1))
    elif form is not Form.text:
        pieces = [piece for outcome in outcomes for piece in outcome.pieces or ()]
        typer.echo(subtitles(pieces, form.value), nl=False)
    if any(outcome.pieces is None for outcome in outcomes):
        raise typer.Exit(USER_FAULT)


@dataclass(frozen=True)
class Outcome:
    """What became of one source."""

    source: str
    pieces: "list[Transcript] | None"
    """Transcripts of its pieces; None where it could not be read."""
    error: str = ""
    """Why not."""

    def row(self) -> dict[str, object]:
        """For JSON: the whole transcript, or the error."""
        from paraformer_platform.training.recogniser import joined

        if self.pieces is None:
            return {"source": self.source, "error": self.error}
        return {"source": self.source, **asdict(joined(self.pieces))}


def _attempt(recogniser: "Recogniser", source: Path | str, voice: str) -> Outcome:
    from paraformer.errors import DataError

    try:
        wave = _samples(source, voice, recogniser.sample_rate)
    except DataError as error:
        typer.echo(f"paraformer: {error}", err=True)
        return Outcome(str(source), None, str(error))
    return Outcome(str(source), recogniser.transcribe_in_pieces([wave])[0])


def _print_text(outcome: Outcome, *, alone: bool) -> None:
    from paraformer_platform.training.recogniser import joined

    if outcome.pieces is not None:
        text = joined(outcome.pieces).text
        typer.echo(text if alone else f"{outcome.source}\t{text}")


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


def _samples(source: Path | str, voice: str, sample_rate: int) -> "Tensor":
    """Samples of a file, of standard input, or of a spoken text."""
    from paraformer.audio import read_audio, resample

    if isinstance(source, Path):
        return read_audio(sys.stdin.buffer if source == STANDARD_INPUT else source, sample_rate)
    import torch

    from paraformer.espeak import speak

    samples, rate = speak(source, voice)
    return resample(torch.from_numpy(samples), rate, sample_rate)
