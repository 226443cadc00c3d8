"""`paraformer sweep`: run a sweep file, or go on with it."""

import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from paraformer_platform.cli.options import JsonOption, QuietOption
from paraformer_platform.cli.progress import progress_bar

if TYPE_CHECKING:
    from paraformer_platform.sweeps.job import SweepOutcome
    from paraformer_platform.sweeps.launch import Launch, LaunchOptions

FileArgument = Annotated[Path, typer.Argument(help="The sweep's YAML file.")]
AddressOption = Annotated[
    str | None,
    typer.Option(
        help="Ray to run on: host:port, or auto for one that runs on this machine. Left out, one is started.",
        envvar="PARAFORMER_ADDRESS",
    ),
]
OverrideOption = Annotated[
    list[str] | None, typer.Option("--override", "-o", help="Change a key of the sweep file: KEY=VALUE.")
]
ExtendOption = Annotated[
    bool, typer.Option("--extend", help="Allow a plan that adds to the one the sweep began with.")
]
TrackingOption = Annotated[
    str | None,
    typer.Option(help="MLflow store; left out: MLFLOW_TRACKING_URI, or SQLite in the storage folder."),
]
ConcurrentOption = Annotated[int | None, typer.Option(min=1, help="Most trials at once.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Print the plan, and run nothing.")]
CalibrateOption = Annotated[
    bool, typer.Option("--calibrate", help="With --dry-run: guess the cost from a few steps of the baseline.")
]

INCOMPLETE = 1
INTERRUPTED = 130


def sweep(
    file: FileArgument,
    dry_run: DryRunOption = False,
    calibrate: CalibrateOption = False,
    address: AddressOption = None,
    override: OverrideOption = None,
    extend: ExtendOption = False,
    tracking_uri: TrackingOption = None,
    max_concurrent: ConcurrentOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Run every trial of a sweep that is not done yet; the same command goes on after any interruption.

    Exit code 0 when all trials are completed and in MLflow, 1 when some are not, 130 after Ctrl-C.
    """
    from paraformer_platform.sweeps.launch import LaunchOptions

    if calibrate and not dry_run:
        raise typer.BadParameter(
            "--calibrate belongs to --dry-run; a sweep that runs measures its own trials"
        )
    if calibrate and as_json:
        raise typer.BadParameter("--calibrate is for the printed plan; leave --json out")
    options = LaunchOptions(
        overrides=override or (),
        address=address,
        tracking_uri=tracking_uri,
        max_concurrent=max_concurrent,
        extend=extend,
        command=shlex.join(["paraformer", *sys.argv[1:]]),
    )
    launch = _open(file, options, with_sizes=dry_run, quiet=quiet)
    if dry_run:
        print_plan(launch, as_json, calibrate)
        return
    launch.write_lock()
    outcome = run(launch, quiet or as_json)
    report_outcome(launch, outcome, as_json)
    raise typer.Exit(exit_code(outcome))


def _open(file: Path, options: "LaunchOptions", *, with_sizes: bool, quiet: bool) -> "Launch":
    """Read everything; show the making of a synthetic corpus, which takes a minute the first time."""
    from paraformer_platform.sweeps.cost import count_parameters
    from paraformer_platform.sweeps.launch import Launch

    with progress_bar("speaking", "utterances", quiet) as advance:
        return Launch(file, options, advance, count_parameters if with_sizes else None)


def print_plan(launch: "Launch", as_json: bool = False, calibrate: bool = False) -> None:
    """Print every planned trial, with what the ledger knows of it, and keep the plan in the lock file."""
    from rich.console import Console

    from paraformer_platform.sweeps import calibration, cost
    from paraformer_platform.sweeps.ledger import Ledger
    from paraformer_platform.sweeps.plan_table import plan_rows, plan_table

    launch.write_lock()
    known = Ledger(launch.ledger_url).records([trial.trial_key for trial in launch.plan.trials])
    if as_json:
        typer.echo(json.dumps(plan_rows(launch.plan, known), indent=1))
    else:
        base = launch.base
        steps = calibration.calibrate(base, cost.count_parameters(base)) if calibrate else None
        Console().print(plan_table(launch.plan, known, steps))


def run(launch: "Launch", quiet: bool = False) -> "SweepOutcome":
    """Run what is left of a sweep, and show how far it is."""
    from rich.console import Console

    from paraformer_platform.sweeps.runner import run_sweep
    from paraformer_platform.sweeps.trial import train_configured

    console = Console(quiet=quiet)
    console.print(f"{launch.spec.name}: {launch.plan.arithmetic}", highlight=False)
    return run_sweep(launch.job(), train_configured, console)


def report_outcome(launch: "Launch", outcome: "SweepOutcome", as_json: bool = False) -> None:
    """Say what did not work out, and what to do next."""
    name = launch.spec.name
    if as_json:
        typer.echo(json.dumps(_outcome_in_numbers(name, outcome), indent=1))
        return
    for label, error in outcome.failures.items():
        typer.echo(f"failed: {label}: {error}", err=True)
    if outcome.ended_early:
        typer.echo(
            f"Ended early by early_terminate: {outcome.ended_early} trials; the report leaves them out."
        )
    if outcome.unsent:
        typer.echo(
            f"MLflow did not take everything of {len(outcome.unsent)} runs; it is in {launch.storage}. "
            "When it answers again, give the same command, "
            f"or: paraformer sync {name} --storage {launch.storage}{tracking_option(launch)}",
            err=True,
        )
    if outcome.stop_reason is not None:
        typer.echo(f"Stopped: {outcome.stop_reason}. The same command goes on from here.")
    if outcome.completed:
        typer.echo(f"Report: paraformer report {name}{tracking_option(launch)}")
        typer.echo(f"Look:   paraformer ui{tracking_option(launch)}")


def _outcome_in_numbers(name: str, outcome: "SweepOutcome") -> dict[str, object]:
    return {
        "sweep": name,
        "whole": outcome.whole,
        "planned": outcome.planned,
        "completed": outcome.completed,
        "failed": outcome.failed,
        "stopped": outcome.stopped,
        "mlflow_run": outcome.run_id,
        "failures": dict(outcome.failures),
        "unsent": list(outcome.unsent),
        "stop_reason": outcome.stop_reason,
    }


def tracking_option(launch: "Launch") -> str:
    """Return the option that names the MLflow store, where others would not find it."""
    from paraformer_platform.tracking.mlflow_store import resolve_tracking_uri

    found = resolve_tracking_uri(None, "runs")
    return "" if launch.tracking_uri == found else f" --tracking-uri {launch.tracking_uri}"


def exit_code(outcome: "SweepOutcome") -> int:
    """Return the command's exit code."""
    if outcome.interrupted:
        return INTERRUPTED
    return 0 if outcome.whole and not outcome.unsent else INCOMPLETE
