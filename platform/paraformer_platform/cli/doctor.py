"""`paraformer doctor`: is this machine, or that cluster, fit for sweeps?"""

import json
import shlex
import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

WITHOUT_TERMINAL = (10**6, 24)
"""Columns and lines of output that is no terminal: nothing is wrapped in a file."""


def doctor(
    address: Annotated[
        str | None,
        typer.Option(
            help="Cluster to look at: its job server http://HOST:8265, or auto on the head. "
            "Without it: this machine.",
            envvar="PARAFORMER_ADDRESS",
        ),
    ] = None,
    storage: Annotated[
        Path | None,
        typer.Option(help="Folder that trials are to be stored in.", envvar="PARAFORMER_STORAGE"),
    ] = None,
    tracking_uri: Annotated[
        str | None,
        typer.Option(help="MLflow store, as the driver would reach it.", envvar="MLFLOW_TRACKING_URI"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print findings as JSON.")] = False,
    expect: Annotated[str | None, typer.Option(hidden=True)] = None,
) -> None:
    """Compare versions on every node; probe shared storage, MLflow, GPUs and disk.

    Ends with exit code 1 when anything was found that a sweep would fail of.
    """
    from paraformer_platform.clusters.doctor import examine, to_json
    from paraformer_platform.clusters.findings import has_errors

    if address is not None and address.startswith(("http://", "https://")):
        raise typer.Exit(_examine_from_the_head(address, storage, as_json))
    findings = examine(address, storage, tracking_uri, json.loads(expect) if expect else None)
    width = shutil.get_terminal_size(WITHOUT_TERMINAL).columns
    typer.echo(to_json(findings) if as_json else "\n".join(found.shown(width) for found in findings))
    raise typer.Exit(int(has_errors(findings)))


def _examine_from_the_head(address: str, storage: Path | None, as_json: bool) -> int:
    """Run the same command as a job on the cluster, against the versions of this machine."""
    from paraformer_platform.clusters.job_server import connect
    from paraformer_platform.clusters.probes import versions
    from paraformer_platform.clusters.submission import COMMAND, submit_job

    arguments = ["doctor", "--address", "auto", "--expect", json.dumps(versions())]
    arguments += ["--storage", str(storage)] if storage else []
    arguments += ["--json"] if as_json else []
    width = shutil.get_terminal_size(WITHOUT_TERMINAL).columns  # what the job prints is read here
    job = submit_job(connect(address), f"COLUMNS={width} {shlex.join([*COMMAND, *arguments])}")
    return job.follow(sys.stdout.write)
