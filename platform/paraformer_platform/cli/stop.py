"""`paraformer stop`: ask a running sweep to end after its trials' next checkpoints."""

from pathlib import Path

import typer

from paraformer_platform.cli.status import NameArgument, StorageOption


def stop(name: NameArgument, storage: StorageOption = Path("runs")) -> None:
    """Ask a sweep to stop, wherever it runs; trials write checkpoints, the same command goes on later."""
    from paraformer_platform.sweeps.signals import ask_to_stop
    from paraformer_platform.sweeps.sync import is_at_work, read_sweep, sweep_folder

    _, records = read_sweep(name, storage)
    ask_to_stop(sweep_folder(name, storage), "paraformer stop")
    running = sum(map(is_at_work, records.values()))
    typer.echo(f"{name} is asked to stop; {running} running trials write a checkpoint and end")
