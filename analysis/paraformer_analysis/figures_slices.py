"""A picture of differences within groups of utterances."""

import math
from collections.abc import Sequence

from matplotlib.figure import Figure

from paraformer_analysis import palette
from paraformer_analysis.figures import (
    COLOURS,
    PANEL_NAME,
    WIDTH,
    broken,
    extra_lines,
    hide_rest,
    plain_left,
    styled,
)
from paraformer_analysis.slices import Slice
from paraformer_analysis.table import AblationTable
from paraformer_analysis.verdicts import Verdict

MOST_PANELS = 6
COLUMNS = 2


@styled
def slices(found: Sequence[Slice], table: AblationTable) -> Figure | None:
    """Difference to the baseline in every group, a panel per variant; None without groups."""
    variants = list(dict.fromkeys(one.variant for one in found))[:MOST_PANELS]
    if not variants:
        return None
    levels = list(dict.fromkeys((one.group, one.level) for one in found))
    columns = min(COLUMNS, len(variants))
    lines = math.ceil(len(variants) / columns)
    titles = [broken(variant, PANEL_NAME) for variant in variants]
    size = (WIDTH, 0.5 + lines * (0.55 + extra_lines(titles) + 0.27 * len(levels)))
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False)
    for axes, variant, title in zip(grid.flat, variants, titles, strict=False):
        axes.axvline(0, color=palette.INK, linewidth=0.8)
        for one in found:
            if one.variant == variant:
                _interval(axes, levels.index((one.group, one.level)), one)
        axes.set_title(title)
        axes.set_yticks(range(len(levels)), [f"{group}: {level}" for group, level in levels])
        axes.set_ylim(len(levels) - 0.4, -0.6)
        plain_left(axes)
    hide_rest(grid, len(variants))
    figure.supxlabel(
        f"{table.unit} error rate minus the baseline's, points ({table.confidence} intervals)",
        color=palette.MUTED,
        fontsize=9,
    )
    return figure


def _interval(axes: object, place: int, one: Slice) -> None:
    colour, found = COLOURS[one.verdict], one.difference
    filled = colour if one.verdict in (Verdict.BETTER, Verdict.WORSE) else palette.PAPER
    axes.plot([100 * found.low, 100 * found.high], [place, place], color=colour, linewidth=2)  # type: ignore[attr-defined]
    axes.plot(100 * found.value, place, "o", color=colour, markersize=5, markerfacecolor=filled)  # type: ignore[attr-defined]
