"""`paraformer profile`: what a training step of an experiment costs, part by part."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from paraformer_platform.cli.options import ConfigOverrideOption, JsonOption, QuietOption
from paraformer_platform.cli.progress import progress_bar

if TYPE_CHECKING:
    from paraformer_platform.inspection.profile import Profile


def profile(
    config: Annotated[Path, typer.Option(help="Experiment file.")],
    override: ConfigOverrideOption = None,
    output: Annotated[
        Path | None,
        typer.Option(help="JSON to write; the Chrome trace NAME.trace.json goes beside it.", metavar="FILE"),
    ] = None,
    repeats: Annotated[int, typer.Option(help="Timed steps; medians are reported.", min=1)] = 5,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Measure time, memory and operations of a training step by module, on random features.

    The step is that of a full batch of the longest utterances. No data are needed.
    """
    os.environ.setdefault("KINETO_LOG_LEVEL", "5")  # torch's profiler would chat on standard error
    from paraformer_platform.config.load import load_experiment
    from paraformer_platform.inspection.profile import profile_training

    loaded = load_experiment(config, override or ())
    trace = output.with_suffix(".trace.json") if output else None
    with progress_bar("measuring", "steps", quiet) as advance:
        measured = profile_training(loaded.config, trace, repeats, advance)
    text = json.dumps(measured.to_dict(), indent=1)
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(text + "\n", encoding="utf-8")
    if as_json:
        typer.echo(text)
        return
    _print(measured)
    if output is not None:
        typer.echo(f"written: {output}, {trace}")


def _print(measured: "Profile") -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, header_style="dim")
    table.add_column("forward", no_wrap=True)
    for head in ("calls", "ms", "share", "GFLOP", "of matrix rate", "weights MB", "kept MB"):
        table.add_column(head, justify="right")
    for part in measured.parts:
        table.add_row(
            _indented(part.name),
            str(part.calls),
            f"{1000 * part.seconds:.1f}",
            f"{part.share:.0%}",
            f"{part.operations / 1e9:.2f}",
            f"{part.matrix_share:.0%}",
            f"{part.parameter_mb:.1f}",
            f"{part.kept_mb:.1f}",
        )
    Console().print(table)
    for line in _summary(measured):
        typer.echo(line)


def _indented(name: str) -> str:
    whole, dot, within = name.partition(".")
    return f"  {within}" if dot else whole


def _summary(measured: "Profile") -> Iterator[str]:
    stages = ", ".join(f"{name} {1000 * seconds:.0f}" for name, seconds in measured.stages.items())
    yield (
        f"step {1000 * measured.step_seconds:.0f} ms ({stages}) of {measured.utterances} utterances of "
        f"{measured.frames} frames and {measured.tokens} tokens, {measured.precision} on {measured.device}"
    )
    yield (
        f"{measured.operations / 1e9:.1f} GFLOP: {measured.matrix_share:.0%} of the matrix rate here, "
        f"{measured.matrix_rate / 1e9:.0f} GFLOP/s"
    )
    yield (
        f"{measured.parameters / 1e6:.1f} million parameters, {measured.kept_mb:.0f} MB kept for the "
        f"backward pass, {measured.peak_mb:.0f} MB at the peak"
    )
