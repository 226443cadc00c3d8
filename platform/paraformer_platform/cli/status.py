"""`paraformer status`: how far a sweep is, also while it runs elsewhere."""

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from paraformer_platform.cli.options import JsonOption

if TYPE_CHECKING:
    from paraformer_platform.sweeps.ledger import Record

NameArgument = Annotated[str, typer.Argument(help="Name of the sweep.")]
StorageOption = Annotated[
    Path, typer.Option(help="Folder of trials, sweeps and the ledger.", envvar="PARAFORMER_STORAGE")
]


def status(name: NameArgument, storage: StorageOption = Path("runs"), as_json: JsonOption = False) -> None:
    """Show the state of every trial of a sweep, from its lock and its ledger."""
    from paraformer_platform.sweeps.sync import read_sweep

    lock, records = read_sweep(name, storage)
    metrics = [item["name"] for item in (lock["metric"], *lock.get("secondary_metrics", ()))]
    rows = [_row(trial, records.get(trial["trial_key"]), metrics) for trial in lock["trials"]]
    if as_json:
        typer.echo(json.dumps(rows, indent=1))
        return
    _print(name, metrics, rows)


def _row(trial: dict[str, Any], record: "Record | None", metrics: list[str]) -> dict[str, Any]:
    from paraformer_platform.sweeps.sync import state_of

    return {
        "variant": trial["variant"],
        "seed": trial["seed"],
        "trial_key": trial["trial_key"],
        "state": state_of(record),
        "attempts": record.attempts if record else 0,
        **{name: record.result.get(name) if record and record.result else None for name in metrics},
        "error": record.error if record else None,
    }


def _print(name: str, metrics: list[str], rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0))
    headings = ("variant", "seed", "state", "attempts", *metrics, "trial_key", "error")
    for heading in headings:
        # A key is there to be copied; an error is cut, the ledger and the trial's folder have all of it.
        table.add_column(heading, no_wrap=True, overflow="ellipsis" if heading == "error" else "fold")
    for row in rows:
        values = {name: "" if row[name] is None else f"{row[name]:.4f}" for name in metrics}
        shown = {**row, **values, "error": row["error"] or ""}
        table.add_row(*(str(shown[heading]) for heading in headings))
    counts = Counter(row["state"] for row in rows)
    console = Console()
    console.print(table)
    console.print(f"{name}: " + ", ".join(f"{count} {state}" for state, count in counts.items()))
