"""`paraformer report`: the ablation table of a sweep, or of any two trials, as page, Markdown, numbers."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from paraformer_platform.cli.options import JsonOption, QuietOption
from paraformer_platform.cli.progress import working

if TYPE_CHECKING:
    from paraformer_analysis.report import Report

DEFAULT_STORE = Path("runs") / "mlflow.db"
REPORTS = Path("reports")
LEFT_TO_THE_PAGE = ("its interval", "± sd", "relative")
FAULT = 2
"""Exit code of an input that cannot be worked with."""


def report(
    sweep: Annotated[
        str | None, typer.Argument(help="Name of the sweep, or the run id of its parent run.")
    ] = None,
    tracking_uri: Annotated[
        str | None,
        typer.Option(help="MLflow store; else MLFLOW_TRACKING_URI, else runs/mlflow.db.", show_default=False),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder to write into; else reports/<sweep>.", show_default=False)
    ] = None,
    compare: Annotated[
        tuple[str, str] | None,
        typer.Option(help="Compare two trials instead, by run id or name.", metavar="RUN_A RUN_B"),
    ] = None,
    publish: Annotated[
        Path | None,
        typer.Option(help="Also write README.md, pictures and CSV files into a folder of a repository."),
    ] = None,
    log: Annotated[bool, typer.Option(help="Also log the report to the sweep's MLflow run.")] = True,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Write the ablation table of a sweep: page, Markdown, LaTeX, numbers and figures."""
    if (sweep is None) == (compare is None):
        _refuse("name one sweep, or two trials with --compare RUN_A RUN_B, and not both")
    from paraformer_analysis.errors import AnalysisError

    folder = out or REPORTS / (sweep or "compare")
    try:
        with working("reading the runs, drawing the report", quiet):
            made = _make(sweep, compare, _store(tracking_uri), folder, log, publish)
    except AnalysisError as error:
        _refuse(str(error))
    _print(made, folder, as_json)


def _make(
    sweep: str | None,
    compare: tuple[str, str] | None,
    uri: str,
    folder: Path,
    log: bool,
    publish: Path | None,
) -> "Report":
    from paraformer_analysis.report import report_pair, report_sweep

    if compare is not None:
        return report_pair(uri, *compare, folder, publish)
    assert sweep is not None
    return report_sweep(uri, sweep, folder, log, publish)


def _store(tracking_uri: str | None) -> str:
    return tracking_uri or os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{DEFAULT_STORE}"


def _refuse(message: str) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(FAULT)


def _print(made: "Report", folder: Path, as_json: bool) -> None:
    if as_json:
        rows = json.loads(made.numbers.to_json(orient="records"))
        typer.echo(json.dumps({"answer": made.answer, "folder": str(folder), "rows": rows}, indent=1))
        return
    from rich.console import Console
    from rich.table import Table

    console, grid = Console(), made.main_grid
    kept = [place for place, head in enumerate(grid.heads) if head not in LEFT_TO_THE_PAGE]
    shown = Table(box=None, header_style="dim")
    for place in kept:
        left = grid.rows[0][place].kind != "number"
        shown.add_column(grid.heads[place], justify="left" if left else "right", no_wrap=place > 0)
    for row in grid.rows:
        shown.add_row(*(row[place].text for place in kept))
    console.print(shown)
    console.print(f"\n{made.answer}\n", highlight=False)
    typer.echo(f"Written to {folder / 'report.html'}")
