"""`paraformer plot`: pictures of what a trained model does with one recording."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from paraformer_platform.cli.options import CheckpointOption, JsonOption

if TYPE_CHECKING:
    from torch import Tensor

    from paraformer_platform.inspection.firing import Firing
    from paraformer_platform.training.recogniser import Recogniser

app = typer.Typer(no_args_is_help=True, help="Draw what a trained model does with a recording.")

AudioArgument = Annotated[Path, typer.Argument(help="Audio file.", metavar="AUDIO")]


@app.command(
    epilog="Example: paraformer plot attention --checkpoint runs/first/checkpoints/best.pt a.wav --layer 0"
)
def attention(
    checkpoint: CheckpointOption,
    audio: AudioArgument,
    layer: Annotated[int, typer.Option(help="Layer of the encoder, from 0.")] = 0,
    output: Annotated[Path, typer.Option(help="Picture to write: .png, .svg or .pdf.")] = Path(
        "attention.png"
    ),
    as_json: JsonOption = False,
) -> None:
    """Draw where every head of an encoder layer looks."""
    from paraformer_platform.inspection.attention import draw_attention, observe_attention

    seen = observe_attention(*_heard(checkpoint, audio), layer)
    draw_attention(seen, output)
    if as_json:
        typer.echo(json.dumps({"picture": str(output), "layer": layer, "reach_seconds": seen.reach}))
    else:
        typer.echo(f"{len(seen.weights)} heads, {seen.weights.shape[1]} frames: {output}")


@app.command(
    epilog="Example: paraformer plot predictor --checkpoint runs/first/checkpoints/best.pt a.wav "
    '--transcript "one two"'
)
def predictor(
    checkpoint: CheckpointOption,
    audio: AudioArgument,
    transcript: Annotated[
        str | None, typer.Option(help="What is said, for the CTC alignment; else what the model understands.")
    ] = None,
    output: Annotated[Path, typer.Option(help="Picture to write: .png, .svg or .pdf.")] = Path(
        "predictor.png"
    ),
    as_json: JsonOption = False,
) -> None:
    """Draw the weight of every frame, when tokens fire, and when CTC hears them."""
    from paraformer_platform.inspection.firing import draw_firing, observe_firing

    seen = observe_firing(*_heard(checkpoint, audio), transcript)
    draw_firing(seen, output)
    if as_json:
        typer.echo(json.dumps(_numbers(seen, output), ensure_ascii=False, indent=1))
    else:
        _print(seen, output)


def _heard(checkpoint: Path, audio: Path) -> "tuple[Recogniser, Tensor]":
    from paraformer.audio import read_audio
    from paraformer_platform.training.recogniser import Recogniser

    recogniser = Recogniser.load(checkpoint)
    return recogniser, read_audio(audio, recogniser.sample_rate)


def _numbers(seen: "Firing", picture: Path) -> dict[str, object]:
    return {
        "picture": str(picture),
        "frame_shift_seconds": seen.frame_shift,
        "weights": [round(weight, 4) for weight in seen.alphas.tolist()],
        "count": seen.count,
        "fired": [
            {"token": token, "at": round(time, 3)}
            for token, time in zip(seen.tokens, seen.fires, strict=True)
        ],
        "spoken": [
            {"token": spoken.text, "start": round(spoken.start, 3), "end": round(spoken.end, 3)}
            for spoken in seen.spoken
        ],
    }


def _print(seen: "Firing", picture: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    fired = [(token, f"{time:.2f}") for token, time in zip(seen.tokens, seen.fires, strict=True)]
    spoken = [(one.text, f"{one.start:.2f} to {one.end:.2f}") for one in seen.spoken]
    table = Table("written", "complete at, s", "transcript", "CTC path, s", box=None, header_style="dim")
    for place in range(max(len(fired), len(spoken))):
        left = fired[place] if place < len(fired) else ("", "")
        right = spoken[place] if place < len(spoken) else ("", "")
        table.add_row(*left, *right)
    Console().print(table)
    typer.echo(f"{seen.count:.2f} tokens by the weights, {len(seen.fires)} fired: {picture}")
