"""The two stages of a search: what it tried, and what was trained again from fresh seeds.

Only the second may enter a table that compares: it chose nothing, and nothing was chosen by it.
"""

from collections.abc import Callable
from dataclasses import replace

from paraformer_analysis.design import CONFIRM, Cell
from paraformer_analysis.records import Records


def searched(records: Records) -> Records:
    """Return the trials of the search itself."""
    return _part(records, lambda cell: cell.stage != CONFIRM)


def compared(records: Records) -> Records | None:
    """Return the trials that are compared with each other: all of a design, the confirmed ones of a search.

    A random search that declares no confirmation did not look at its results when it drew its variants, so
    all of them may be compared, corrected for their number.

    Returns:
        None for a search of which nothing is confirmed yet.
    """
    design = records.design
    if not design.searches or (design.method == "random" and design.confirm is None):
        return records
    confirmed = _part(records, lambda cell: cell.stage == CONFIRM)
    if not len(confirmed.runs) or not confirmed.runs["usable"].any():
        return None
    return confirmed


def _part(records: Records, wanted: Callable[[Cell], bool]) -> Records:
    design = records.design
    cells = tuple(cell for cell in design.cells if wanted(cell))
    keys, ids = {cell.trial_key for cell in cells}, {cell.variant for cell in cells}
    utterances = records.utterances[records.utterances["trial_key"].isin(keys)].reset_index(drop=True)
    for column in ("trial_key", "variant"):
        utterances[column] = utterances[column].cat.remove_unused_categories()
    return replace(
        records,
        design=replace(
            design,
            cells=cells,
            variants=tuple(variant for variant in design.variants if variant.id in ids),
            seeds=tuple(dict.fromkeys(cell.seed for cell in cells)),
            baseline=design.baseline if design.baseline in ids else None,
        ),
        runs=records.runs[records.runs["trial_key"].isin(keys)].reset_index(drop=True),
        utterances=utterances,
        curves=records.curves[records.curves["trial_key"].isin(keys)],
        params=records.params[records.params.index.isin(keys)],
    )
