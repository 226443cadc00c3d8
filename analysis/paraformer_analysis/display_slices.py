"""Comparisons within groups of utterances, as a printed table."""

from collections.abc import Sequence

from paraformer_analysis.display import (
    Cell,
    Grid,
    difference_cell,
    number_cell,
    p_value,
    percent,
    text_cell,
    with_agree_note,
)
from paraformer_analysis.slices import Slice
from paraformer_analysis.table import AblationTable
from paraformer_analysis.verdicts import Verdict, points


def slice_grid(slices: Sequence[Slice], table: AblationTable) -> Grid | None:
    """Rate, difference and verdict of every variant in every group; None without groups."""
    if not slices:
        return None
    rate = "CER" if table.unit == "character" else "WER"
    corrected = "p (Holm)" if table.options.correction == "holm" else "p"
    heads = (
        "variant",
        "utterances",
        "verdict",
        f"{rate} %",
        "baseline %",
        "difference",
        f"{table.confidence} interval",
        corrected,
        "number",
    )
    corrected_for = ", p corrected for all rows here together" if table.options.correction == "holm" else ""
    note = (
        f"The same test as in the table, on the utterances of each group{corrected_for}. "
        "A verdict in one group and none in another does not show that the groups differ."
    )
    note = with_agree_note(note, (one.difference for one in slices))
    return Grid("slices", "Within groups of utterances", heads, tuple(map(_row, slices)), note)


def _row(one: Slice) -> tuple[Cell, ...]:
    found = one.difference
    return (
        text_cell(one.variant),
        text_cell(f"{one.group}: {one.level}"),
        Cell(one.verdict.value, list(Verdict).index(one.verdict), "verdict"),
        number_cell(one.rate, percent),
        number_cell(one.baseline, percent),
        number_cell(found.value, points),
        difference_cell(found, points),
        number_cell(one.p_corrected, p_value),
        Cell(str(one.utterances), one.utterances),
    )
