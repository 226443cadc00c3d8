"""`paraformer config`: what an experiment file comes to, and where each value is from."""

import json
from pathlib import Path
from typing import Annotated

import typer

from paraformer_platform.cli.options import ConfigOverrideOption, JsonOption

app = typer.Typer(no_args_is_help=True, help="Look at experiment files.")


@app.callback()
def main() -> None:
    """Look at experiment files."""


@app.command(
    epilog="Example: paraformer config show experiments/paraformer_small.yaml "
    "--override model.encoder.num_layers=3"
)
def show(
    file: Annotated[Path, typer.Argument(help="Experiment file.")],
    override: ConfigOverrideOption = None,
    as_json: JsonOption = False,
    changed: Annotated[bool, typer.Option(help="Show only what is not a default.")] = False,
) -> None:
    """Print every value of the resolved experiment and where it comes from."""
    from paraformer_platform.config.conversion import flat_params
    from paraformer_platform.config.load import DEFAULT, load_experiment

    loaded = load_experiment(file, override or ())
    rows = [
        (key, value, loaded.provenance[key])
        for key, value in flat_params(loaded.config).items()
        if not changed or loaded.provenance[key] != DEFAULT
    ]
    if as_json:
        typer.echo(
            json.dumps({key: {"value": value, "from": source} for key, value, source in rows}, indent=1)
        )
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, header_style="dim")
    for head in ("key", "value", "from"):
        # A key is there to be copied: in a narrow window the value gives way.
        table.add_column(head, overflow="fold", no_wrap=head != "value")
    for key, value, source in rows:
        table.add_row(key, json.dumps(value, ensure_ascii=False), source)
    Console().print(table)
