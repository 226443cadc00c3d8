"""`paraformer rerun`: a trial once more, from what MLflow kept of it."""

import json
from pathlib import Path
from typing import Annotated

import typer

from paraformer_platform.cli.options import JsonOption, QuietOption
from paraformer_platform.cli.progress import progress_bar
from paraformer_platform.cli.status import StorageOption
from paraformer_platform.cli.sweep import TrackingOption
from paraformer_platform.cli.sync import ExperimentOption

RunArgument = Annotated[str, typer.Argument(help="MLflow run id of the trial.")]


def rerun(
    run_id: RunArgument,
    storage: StorageOption = Path("runs"),
    tracking_uri: TrackingOption = None,
    experiment: ExperimentOption = "paraformer",
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Train a trial again and compare; exit code 1 when the result differs.

    The same code on the same hardware gives the same numbers. Nothing is written to MLflow.
    """
    from paraformer_platform.sweeps.rerun import differences, fetch_trial, same_code, train_again
    from paraformer_platform.tracking.mlflow_store import RunStore, resolve_tracking_uri

    store = RunStore(resolve_tracking_uri(tracking_uri, storage), experiment)
    folder = storage / "reruns" / run_id
    trial = fetch_trial(store, run_id, folder / "kept")
    if not same_code(trial):
        typer.echo("This code is not the code that trained the trial; the result may differ.", err=True)
    with progress_bar("training", "steps", quiet) as advance:
        differing = differences(trial, train_again(trial, folder / "trial", advance))
    if as_json:
        shown = {name: {"kept": kept, "again": again} for name, (kept, again) in differing.items()}
        typer.echo(
            json.dumps({"trial_key": trial.trial_key, "same": not differing, "differing": shown}, indent=1)
        )
        raise typer.Exit(1 if differing else 0)
    for name, (kept, again) in differing.items():
        typer.echo(f"{name}: {kept} → {again}")
    typer.echo(f"{trial.trial_key}: " + ("differs" if differing else "the same result"))
    raise typer.Exit(1 if differing else 0)
