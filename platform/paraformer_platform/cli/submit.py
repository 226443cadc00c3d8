"""`paraformer submit`: run a sweep of this checkout on a cluster, and follow it from here."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from paraformer_platform.clusters.submission import Job

AddressOption = Annotated[
    str,
    typer.Option(
        help="The cluster's job server, http://HOST:8265; auto on the head itself.",
        envvar="PARAFORMER_ADDRESS",
        show_envvar=True,
    ),
]
StorageOption = Annotated[
    str,
    typer.Option(
        help="Folder that every node sees, for data, trials and ledger.",
        envvar="PARAFORMER_STORAGE",
        show_envvar=True,
    ),
]


def submit(
    sweep: Annotated[Path, typer.Argument(help="Sweep file, inside this checkout.")],
    address: AddressOption,
    storage: StorageOption,
    override: Annotated[
        list[str] | None,
        typer.Option("--override", "-o", help="Change a key of the sweep file.", metavar="KEY=VALUE"),
    ] = None,
    wait: Annotated[bool, typer.Option(help="Follow the log until the sweep is over.")] = True,
) -> None:
    """Run a sweep on a cluster: this checkout travels there, its log and exit code come back.

    Ctrl-C asks whether to stop the sweep; without a yes it goes on, and this command only stops following it.
    """
    from paraformer_platform.clusters.job_server import connect
    from paraformer_platform.clusters.submission import submit_job, sweep_command

    command = sweep_command(sweep, storage, override or ())
    job = submit_job(connect(address), command)
    typer.echo(f"job {job.id}: {command}", err=True)
    if wait:
        raise typer.Exit(_follow(job))


def _follow(job: "Job") -> int:
    """Show the job until it is over; return its exit code, or that of an interrupted command."""
    try:
        code = job.follow(_write)
    except KeyboardInterrupt:
        return _interrupted(job)
    if code:
        typer.echo(f"job {job.id} ended with exit code {code}: {job.why_failed()}", err=True)
    return code


def _interrupted(job: "Job") -> int:
    from paraformer_platform.clusters.submission import STOPPED

    if _asked_to_stop():
        typer.echo("stopping: trials write their checkpoints, the same command goes on from there", err=True)
        job.stop()
    else:
        typer.echo(
            f"job {job.id} goes on. To follow it: ray job logs --follow {job.id}; "
            f"to stop it: ray job stop {job.id}",
            err=True,
        )
    return STOPPED


def _asked_to_stop() -> bool:
    """Ask whether the job is to be stopped; no answer, as in a script, is a no."""
    try:
        return typer.confirm("\nStop the sweep on the cluster as well?", default=False, err=True)
    except (typer.Abort, KeyboardInterrupt):
        return False


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
