"""`paraformer train`: one training in this process, its run in MLflow, Ctrl-C at any time."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from paraformer_platform.cli.options import ConfigOverrideOption, QuietOption
from paraformer_platform.cli.progress import rate_column

if TYPE_CHECKING:
    from rich.console import Console

    from paraformer_platform.training.loop import TrialResult

INTERRUPTED = 130


def train(
    config: Annotated[Path, typer.Option(help="Experiment file.")],
    override: ConfigOverrideOption = None,
    run_name: Annotated[
        str | None, typer.Option(help="Name of the run and of its folder; else that of the file.")
    ] = None,
    tracking_uri: Annotated[
        str | None,
        typer.Option(help="MLflow store; else the experiment's, MLFLOW_TRACKING_URI, SQLite in its storage."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the final metrics as JSON.")] = False,
    quiet: QuietOption = False,
) -> None:
    """Train one model; the same command goes on with a training that was interrupted.

    Every epoch the dev set is decoded for real. Ctrl-C ends it in good order: the last epoch's checkpoint is
    kept and the MLflow run closed.
    """
    from rich.console import Console

    from paraformer_platform.config.load import load_experiment
    from paraformer_platform.training.single import train_run

    name = run_name or config.stem
    changes = [*(override or []), *([f"tracking.uri={tracking_uri}"] if tracking_uri else [])]
    loaded = load_experiment(config, changes)
    console = Console(stderr=True, quiet=quiet, highlight=False)
    with _Display(console, loaded.config.training.num_epochs) as display:
        result = train_run(loaded.config, name, display.corpus, display.step, display.epoch)
    _print(result, as_json)
    if result.state == "stopped":
        raise typer.Exit(INTERRUPTED)


class _Display:
    """A bar with rate and time left on a terminal, one line for each epoch everywhere."""

    def __init__(self, console: "Console", epochs: int) -> None:
        from rich.progress import MofNCompleteColumn, Progress, TimeElapsedColumn, TimeRemainingColumn

        columns = (*Progress.get_default_columns()[:2], MofNCompleteColumn(), rate_column())
        self._console, self._epochs = console, epochs
        self._bar = Progress(
            *columns,
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        self._task = self._bar.add_task("starting", total=None)

    def __enter__(self) -> "_Display":
        self._bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.stop()

    def corpus(self, done: int, total: int) -> None:
        """Show how much of a synthetic corpus is made."""
        self._bar.update(self._task, description="making the corpus", completed=done, total=total)

    def step(self, done: int, total: int) -> None:
        """Show the optimiser steps."""
        if self._bar.tasks[0].description != "training":
            self._bar.reset(self._task, description="training", completed=done - 1)
        self._bar.update(self._task, completed=done, total=total)

    def epoch(self, metrics: Mapping[str, float]) -> None:
        """Print a finished epoch."""
        shares = {
            "accuracy": metrics["train/token_accuracy"],
            "dev WER": metrics["dev/wer"],
            "dev CER": metrics["dev/cer"],
        }
        told = "  ".join(f"{name} {100 * share:5.1f} %" for name, share in shares.items())
        number, loss = metrics["epoch"], metrics["train/loss"]
        self._console.print(f"epoch {number:3.0f}/{self._epochs}  loss {loss:6.3f}  {told}", soft_wrap=True)


def _print(result: "TrialResult", as_json: bool) -> None:
    if as_json:
        shown = {"state": result.state, "trial_key": result.trial_key, "folder": str(result.folder)}
        typer.echo(json.dumps({**shown, "metrics": result.metrics}, indent=1))
        return
    if result.state == "stopped":
        typer.echo(f"stopped; the same command goes on from {result.folder}/checkpoints/last.pt", err=True)
        return
    typer.echo(
        f"test WER {100 * result.metrics['test/wer']:.2f} %  CER {100 * result.metrics['test/cer']:.2f} %"
    )
    typer.echo(f"model: {result.folder}/checkpoints/best.pt")
