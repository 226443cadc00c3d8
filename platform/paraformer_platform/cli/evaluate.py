"""`paraformer evaluate`: decode a set with a trained model and score it."""

import json
from pathlib import Path
from typing import Annotated

import typer

from paraformer_platform.cli.options import CheckpointOption, JsonOption, QuietOption, StrategyOption
from paraformer_platform.cli.progress import progress_bar


def evaluate(
    checkpoint: CheckpointOption,
    manifest: Annotated[
        Path | None, typer.Option(help="What to decode; else the test set of the model's experiment.")
    ] = None,
    strategy: StrategyOption = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(help="A metric of your own; may be repeated.", metavar="MODULE:FUNCTION"),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="CSV to write, one row for each utterance.", metavar="FILE")
    ] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Decode recordings and print word and character error rates."""
    from paraformer_platform.training.assessment import assess
    from paraformer_platform.training.custom_metrics import own_names

    with progress_bar("decoding", "utterances", quiet) as advance:
        metrics = assess(checkpoint, manifest, strategy, output, metric, advance)
    if as_json:
        typer.echo(json.dumps(metrics, indent=1))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("", "WER", "CER", box=None, header_style="dim")
    kinds = {"test": "decoded", "test/ctc": "CTC head alone", "test/oracle_length": "true length given"}
    for prefix, label in kinds.items():
        joint = "/" if prefix == "test" else "_"
        rates = [metrics.get(f"{prefix}{joint}{unit}") for unit in ("wer", "cer")]
        if None not in rates:
            table.add_row(label, *(f"{100 * rate:.2f} %" for rate in rates if rate is not None))
    Console().print(table)
    for name in own_names(metrics):
        typer.echo(f"{name.removeprefix('test/')}  {metrics[name]:.4f}")
    typer.echo(
        f"{metrics['utterances']:.0f} utterances, {metrics['cost/rtf']:.4f} seconds a second of speech"
    )
