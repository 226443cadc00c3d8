"""`paraformer ui`: MLflow's own pages on the tracking store."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from paraformer_platform.cli.status import StorageOption
from paraformer_platform.cli.sweep import TrackingOption

PortOption = Annotated[int, typer.Option(help="Port on this machine.")]


def ui(
    storage: StorageOption = Path("runs"), tracking_uri: TrackingOption = None, port: PortOption = 5000
) -> None:
    """Open MLflow's pages on the store of a storage folder; Ctrl-C ends them."""
    from paraformer_platform.tracking.mlflow_store import resolve_tracking_uri

    uri = resolve_tracking_uri(tracking_uri, storage)
    if uri.startswith(("http://", "https://")):
        typer.echo(f"That store has a server of its own: open {uri}")
        return
    typer.echo(f"MLflow on {uri}: open http://127.0.0.1:{port}", err=True)
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", uri]
    # MLflow would start seven job processes that outlive it; nothing here uses them.
    environment = {
        **os.environ,
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    os.execve(
        sys.executable, [*command, "--host", "127.0.0.1", "--port", str(port), "--workers", "1"], environment
    )
