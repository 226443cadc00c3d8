"""`paraformer init`: a new experiment folder to fill in."""

from pathlib import Path
from typing import Annotated

import typer


def init(
    folder: Annotated[Path, typer.Argument(help="The new folder.", metavar="DIR")],
) -> None:
    """Make a folder with a commented experiment file, a sweep, and manifests to fill in."""
    from paraformer_platform.scaffold.experiment_folder import make_experiment_folder

    for path in make_experiment_folder(folder):
        typer.echo(path)
    typer.echo(f"next: fill in the manifests, as {folder / 'README.md'} says")
