"""`paraformer ui`: MLflow's own pages on the tracking store."""

import os
import socket
import sys
from pathlib import Path
from typing import Annotated

import typer

from paraformer_platform.cli.status import StorageOption
from paraformer_platform.cli.sweep import TrackingOption
from paraformer_platform.errors import TrackingError

PortOption = Annotated[int, typer.Option(help="Port on this machine.")]

HOST = "127.0.0.1"
SQLITE = "sqlite:///"


def ui(
    storage: StorageOption = Path("runs"), tracking_uri: TrackingOption = None, port: PortOption = 5000
) -> None:
    """Open MLflow's pages on the store of a storage folder; Ctrl-C ends them."""
    from paraformer_platform.tracking.mlflow_store import resolve_tracking_uri

    uri = resolve_tracking_uri(tracking_uri, storage)
    if uri.startswith(("http://", "https://")):
        typer.echo(f"That store has a server of its own: open {uri}")
        return
    _check_store(uri)
    _check_port(port)
    typer.echo(f"MLflow on {uri}: open http://{HOST}:{port} in a few seconds; Ctrl-C ends it", err=True)
    sys.stderr.flush()
    _become_server(uri, port)


def _check_store(uri: str) -> None:
    """Refuse a database that is not there: MLflow would make an empty one."""
    path = uri.removeprefix(SQLITE)
    if uri.startswith(SQLITE) and not Path(path).is_file():
        raise TrackingError(
            f"there is no MLflow store at {path}: run a sweep or a training first, "
            "or name its folder with --storage"
        )


def _check_port(port: int) -> None:
    """Refuse a port that is taken: the server would say so late, and end as if all were well."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise TrackingError(
                f"port {port} cannot be used ({error.strerror}): name another with --port"
            ) from error


def _become_server(uri: str, port: int) -> None:
    """Replace this process by the server's, so that signals reach it and nothing is left between."""
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", uri]
    command += [
        "--host",
        HOST,
        "--port",
        str(port),
        "--workers",
        "1",
        "--uvicorn-opts",
        "--log-level warning",
    ]
    # MLflow would start seven job processes that outlive it; nothing here uses them.
    environment = {
        **os.environ,
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    os.execve(sys.executable, command, environment)
