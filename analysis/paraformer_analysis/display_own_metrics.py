"""Metrics of the user's own, as a printed table."""

from collections.abc import Sequence

from paraformer_analysis.display import (
    Cell,
    Grid,
    difference_cell,
    number_cell,
    p_value,
    text_cell,
    with_agree_note,
)
from paraformer_analysis.own_metrics import OwnMetric
from paraformer_analysis.table import AblationTable


def own_metric_grid(found: Sequence[OwnMetric], table: AblationTable) -> Grid | None:
    """Value, difference and interval of every variant in every metric; None without metrics."""
    if not found:
        return None
    corrected = "p (Holm)" if table.options.correction == "holm" else "p"
    heads = ("metric", "variant", "value", "difference", f"{table.confidence} interval", corrected)
    note = (
        "Differences to the baseline are resampled like those of the error rate. Whether more is better, "
        "these metrics do not say, so there is no verdict."
    )
    if all(one.difference is None for one in found):
        note = "Weights differ between trials, or there is no baseline: no difference is tested."
    note = with_agree_note(note, (one.difference for one in found))
    return Grid("own_metrics", "Metrics of your own", heads, tuple(map(_row, found)), note)


def _row(one: OwnMetric) -> tuple[Cell, ...]:
    found = one.difference
    return (
        text_cell(one.metric),
        text_cell(one.variant),
        number_cell(one.value, lambda value: f"{value:.4f}".replace("-", "−")),
        number_cell(found.value if found else None, signed),
        difference_cell(found, signed),
        number_cell(one.p_corrected, p_value),
    )


def signed(value: float) -> str:
    """Write a difference with four places and a real minus sign."""
    return f"{value:+.4f}".replace("-", "−")
