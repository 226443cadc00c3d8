"""The command ``paraformer``: every verb has a file of its own, which imports what is heavy when it is used.

What the user can mend (a ``ParaformerError``) is one message on standard error and exit code 2, Ctrl-C is
130. A traceback is a fault of this program.
"""

import os
import sys
from typing import Annotated

import typer
from typer.core import TyperGroup

from paraformer.errors import ParaformerError
from paraformer_platform.cli import (
    config,
    data,
    demo_page,
    doctor,
    evaluate,
    init,
    plot,
    profile,
    report,
    rerun,
    resume,
    status,
    stop,
    submit,
    sweep,
    sync,
    train,
    transcribe,
    ui,
)

USER_FAULT = 2
INTERRUPTED = 130
"""128 + SIGINT, as shells have it."""


class Verbs(TyperGroup):
    """The verbs, and what becomes of errors they leave to the command line."""

    def invoke(self, ctx: typer.Context) -> object:  # type: ignore[override]
        """Run a verb."""
        try:
            return super().invoke(ctx)
        except ParaformerError as error:
            typer.echo(f"paraformer: {error}", err=True)
            sys.exit(USER_FAULT)
        except KeyboardInterrupt:
            typer.echo("interrupted", err=True)
            sys.exit(INTERRUPTED)


app = typer.Typer(
    name="paraformer",
    cls=Verbs,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Train, compare and use Paraformer speech recognisers.",
)


@app.callback()
def main(
    version: Annotated[bool, typer.Option("--version", is_eager=True, help="Print the version.")] = False,
) -> None:
    """Train, compare and use Paraformer speech recognisers."""
    if version:
        import importlib.metadata

        typer.echo(importlib.metadata.version("paraformer-ablation-platform"))
        raise typer.Exit


def _verb(function: object, name: str, example: str) -> None:
    app.command(name, epilog=f"Example: {example}")(function)  # type: ignore[type-var]


_verb(train.train, "train", "paraformer train --config experiments/paraformer_base.yaml --run-name first")
_verb(evaluate.evaluate, "evaluate", "paraformer evaluate --checkpoint runs/first/checkpoints/best.pt")
_verb(
    transcribe.transcribe,
    "transcribe",
    "paraformer transcribe --checkpoint runs/first/checkpoints/best.pt a.wav b.flac",
)
_verb(
    demo_page.demo_page,
    "demo-page",
    "paraformer demo-page --checkpoint runs/first/checkpoints/best.pt",
)
_verb(sweep.sweep, "sweep", "paraformer sweep experiments/sweeps/demo.yaml --dry-run")
_verb(status.status, "status", "paraformer status demo")
_verb(stop.stop, "stop", "paraformer stop demo")
_verb(resume.resume, "resume", "paraformer resume demo")
_verb(rerun.rerun, "rerun", "paraformer rerun 0123456789abcdef0123456789abcdef")
_verb(sync.sync, "sync", "paraformer sync demo")
_verb(ui.ui, "ui", "paraformer ui --port 5000")
_verb(submit.submit, "submit", "paraformer submit experiments/sweeps/demo.yaml --address http://head:8265")
_verb(report.report, "report", "paraformer report demo")
_verb(
    profile.profile,
    "profile",
    "paraformer profile --config experiments/paraformer_small.yaml --output results/profile.json",
)
_verb(init.init, "init", "paraformer init my_experiment")
_verb(doctor.doctor, "doctor", "paraformer doctor --address auto")
app.add_typer(data.app, name="data")
app.add_typer(config.app, name="config")
app.add_typer(plot.app, name="plot")


def run() -> None:
    """Run the command line and exit; import paths may name modules of the folder that it is run from."""
    sys.path.append(os.getcwd())
    app()
