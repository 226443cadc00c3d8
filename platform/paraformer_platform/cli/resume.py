"""`paraformer resume`: the sweep command again, by the sweep's name."""

from pathlib import Path

from paraformer_platform.cli.options import JsonOption, QuietOption
from paraformer_platform.cli.status import NameArgument, StorageOption
from paraformer_platform.cli.sweep import AddressOption, ConcurrentOption, TrackingOption, sweep


def resume(
    name: NameArgument,
    storage: StorageOption = Path("runs"),
    address: AddressOption = None,
    tracking_uri: TrackingOption = None,
    max_concurrent: ConcurrentOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Go on with a sweep that was begun: the same as running its command again."""
    from paraformer_platform.sweeps.launch import sweep_source

    file, overrides = sweep_source(name, storage)
    sweep(
        file,
        address=address,
        override=overrides,
        tracking_uri=tracking_uri,
        max_concurrent=max_concurrent,
        as_json=as_json,
        quiet=quiet,
    )
