"""`paraformer sync`: bring MLflow's side of a sweep in order."""

import json
from pathlib import Path
from typing import Annotated

import typer

from paraformer_platform.cli.options import JsonOption, QuietOption
from paraformer_platform.cli.progress import working
from paraformer_platform.cli.status import NameArgument, StorageOption
from paraformer_platform.cli.sweep import TrackingOption

ExperimentOption = Annotated[str, typer.Option(help="MLflow experiment.")]


def sync(
    name: NameArgument,
    storage: StorageOption = Path("runs"),
    tracking_uri: TrackingOption = None,
    experiment: ExperimentOption = "paraformer",
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Rebuild or repair the MLflow runs of a sweep from its journals; close orphans, remove duplicates."""
    from paraformer_platform.sweeps.sync import synchronise
    from paraformer_platform.tracking.mlflow_store import RunStore, resolve_tracking_uri

    store = RunStore(resolve_tracking_uri(tracking_uri, storage), experiment)
    with working("comparing journals with MLflow", quiet):
        report = synchronise(name, storage, store)
    if as_json:
        typer.echo(
            json.dumps({"sweep": name, "trials": dict(report.counts), "orphans": report.orphans}, indent=1)
        )
        return
    done = ", ".join(f"{count} {what}" for what, count in report.counts.items()) or "no trials"
    typer.echo(f"{name}: {done}; {report.orphans} orphaned runs closed")
