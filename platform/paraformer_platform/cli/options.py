"""Options that several commands share, so that they read the same everywhere."""

from pathlib import Path
from typing import Annotated

import typer

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
QuietOption = Annotated[bool, typer.Option("--quiet", help="Show no progress.")]
CheckpointOption = Annotated[Path, typer.Option(help="The model: runs/NAME/checkpoints/best.pt.")]
StrategyOption = Annotated[
    str | None,
    typer.Option(
        help="greedy, nucleus, ctc_greedy, beam or MODULE:FUNCTION; else as in the training.", metavar="NAME"
    ),
]
ConfigOverrideOption = Annotated[
    list[str] | None, typer.Option(help="Change one value; may be repeated.", metavar="KEY=VALUE")
]
