"""The command ``paraformer``: every verb has a file of its own, which imports what is heavy when it is used.

What the user can mend (a ``ParaformerError``) is one message on standard error and exit code 2, Ctrl-C is
130. A traceback is a fault of this program.
"""

import os
import sys
from typing import Annotated

import typer

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
from paraformer_platform.cli.verb import Verb, VerbGroup

USER_FAULT = 2
INTERRUPTED = 130
"""128 + SIGINT, as shells have it."""


class Verbs(VerbGroup):
    """The verbs, and what becomes of errors they leave to the command line."""

    def invoke(self, ctx: typer.Context) -> object:  # type: ignore[override]
        """Run a verb."""
        try:
            return super().invoke(ctx)
        except ParaformerError as error:
            typer.echo(f"paraformer: {error}", err=True)
            sys.exit(USER_FAULT)
        except OSError as error:
            from paraformer_platform.whole_file import REMEDIES

            if error.errno not in REMEDIES:
                raise
            where = error.filename or "the storage, or the folder of temporary files,"
            typer.echo(f"paraformer: {where} cannot be written: {REMEDIES[error.errno]}", err=True)
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


TRAIN, SWEEP, LOOK, DATA, CLUSTER = (
    "Train and use a model",
    "Sweeps",
    "Look inside",
    "Experiments and data",
    "Clusters",
)


def _verb(function: object, name: str, panel: str, example: str) -> None:
    app.command(name, cls=Verb, epilog=f"Example: {example}", rich_help_panel=panel)(function)  # type: ignore[type-var]


def _group(group: typer.Typer, name: str, panel: str) -> None:
    for command in group.registered_commands:
        command.cls = Verb
    app.add_typer(group, name=name, cls=VerbGroup, rich_help_panel=panel)


_verb(
    train.train,
    "train",
    TRAIN,
    "paraformer train --config experiments/paraformer_small.yaml --run-name first",
)
_verb(evaluate.evaluate, "evaluate", TRAIN, "paraformer evaluate --checkpoint runs/first/checkpoints/best.pt")
_verb(
    transcribe.transcribe,
    "transcribe",
    TRAIN,
    "paraformer transcribe --checkpoint runs/first/checkpoints/best.pt a.wav recordings/ --format srt",
)
_verb(
    demo_page.demo_page,
    "demo-page",
    TRAIN,
    "paraformer demo-page --checkpoint runs/first/checkpoints/best.pt",
)
_verb(sweep.sweep, "sweep", SWEEP, "paraformer sweep experiments/sweeps/demo.yaml --dry-run")
_verb(status.status, "status", SWEEP, "paraformer status demo")
_verb(stop.stop, "stop", SWEEP, "paraformer stop demo")
_verb(resume.resume, "resume", SWEEP, "paraformer resume demo")
_verb(report.report, "report", SWEEP, "paraformer report demo")
_verb(rerun.rerun, "rerun", SWEEP, "paraformer rerun 0123456789abcdef0123456789abcdef")
_verb(sync.sync, "sync", SWEEP, "paraformer sync demo")
_verb(ui.ui, "ui", LOOK, "paraformer ui --port 5000")
_group(plot.app, "plot", LOOK)
_verb(
    profile.profile,
    "profile",
    LOOK,
    "paraformer profile --config experiments/paraformer_small.yaml --output results/profile.json",
)
_verb(init.init, "init", DATA, "paraformer init my_experiment")
_group(config.app, "config", DATA)
_group(data.app, "data", DATA)
_verb(
    submit.submit,
    "submit",
    CLUSTER,
    "paraformer submit experiments/sweeps/demo.yaml --address http://head:8265 --storage /shared/paraformer",
)
_verb(doctor.doctor, "doctor", CLUSTER, "paraformer doctor --address auto")


def run() -> None:
    """Run the command line and exit; import paths may name modules of the folder that it is run from."""
    sys.path.append(os.getcwd())
    app()
