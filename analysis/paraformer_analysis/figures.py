"""The pictures of a report. Rates and differences are drawn in percent and in points."""

import math
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from paraformer_analysis import names, palette
from paraformer_analysis.display import quantity
from paraformer_analysis.effects import TIMES, Effects, is_interaction
from paraformer_analysis.pareto import pareto_front
from paraformer_analysis.table import AblationTable, Row
from paraformer_analysis.verdicts import Verdict, points

WIDTH = 9.2
"""Inches; the width of a text column."""
MOST_PANELS = 12
ROW_NAME, PANEL_NAME, POINT_NAME = 36, 32, 22
"""Characters of a variant's name in a line, beside a row, above a panel of three, and at a point."""
COLOURS = {
    Verdict.BASELINE: palette.INK,
    Verdict.BETTER: palette.BETTER,
    Verdict.WORSE: palette.WORSE,
    Verdict.EQUIVALENT: palette.EQUIVALENT,
    Verdict.INCONCLUSIVE: palette.MUTED,
    Verdict.UNTESTED: palette.MUTED,
}


def styled(draw: Callable[..., Any]) -> Callable[..., Any]:
    """Draw in the report's style, whatever the caller's settings are."""

    def wrapped(*arguments: Any) -> Any:
        with palette.style():
            return draw(*arguments)

    wrapped.__doc__ = draw.__doc__
    return wrapped


@styled
def forest(table: AblationTable) -> Figure | None:
    """Difference of every variant to the baseline with its interval; None if nothing is compared."""
    rows = [row for row in table.rows if row.difference is not None]
    if not rows:
        return None
    figure, axes = panel(height=0.9 + 0.3 * len(rows))
    axes.axvline(0, color=palette.INK, linewidth=0.8)
    margin = table.options.equivalence_margin
    if margin is not None:
        axes.axvspan(-margin, margin, color=palette.RULE, alpha=0.45, linewidth=0)
    for place, row in enumerate(rows):
        _interval(axes, place, row)
        _number(axes, place, row)
    axes.set_yticks(range(len(rows)), [broken(row.variant, ROW_NAME) for row in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlabel(
        f"better  ←   {table.unit} error rate minus the baseline's, points ({table.confidence} intervals)"
        "   →  worse"
    )
    plain_left(axes)
    return figure


def _interval(axes: Any, place: int, row: Row) -> None:
    assert row.difference is not None
    colour, found = COLOURS[row.verdict], row.difference
    axes.plot(
        [100 * found.low, 100 * found.high], [place, place], color=colour, linewidth=2, solid_capstyle="butt"
    )
    filled = colour if row.verdict in (Verdict.BETTER, Verdict.WORSE) else palette.PAPER
    axes.plot(100 * found.value, place, "o", color=colour, markersize=6, markerfacecolor=filled)


def _number(axes: Any, place: int, row: Row) -> None:
    """Write the difference beside its interval, in a column of its own."""
    assert row.difference is not None
    axes.annotate(
        points(row.difference.value),
        (1.01, place),
        xycoords=axes.get_yaxis_transform(),
        va="center",
        fontsize=8,
        color=COLOURS[row.verdict],
        annotation_clip=False,
    )


@styled
def error_types(table: AblationTable) -> Figure:
    """Substitutions, deletions and insertions of every variant, stacked."""
    rows = [row for row in table.rows if row.rate is not None]
    prefix = "char" if table.unit == "character" else "word"
    figure, axes = panel(height=1.1 + 0.3 * len(rows))
    left = np.zeros(len(rows))
    kinds = (("substitutions", 1.0), ("deletions", 0.6), ("insertions", 0.3))
    for kind, strength in kinds:
        part = 100 * table.details.loc[[row.variant for row in rows], f"{prefix}_{kind}"].to_numpy(float)
        axes.barh(
            range(len(rows)),
            part,
            left=left,
            color=palette.EQUIVALENT,
            alpha=strength,
            height=0.6,
            label=kind,
        )
        left += part
    axes.set_yticks(range(len(rows)), [broken(row.variant, ROW_NAME) for row in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlabel(f"errors per hundred {table.unit}s of the reference, mean over seeds")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, borderaxespad=0, handlelength=1)
    plain_left(axes)
    return figure


@styled
def learning_curves(table: AblationTable, curves: pd.DataFrame, rate: str) -> Figure | None:
    """Dev error rate during training, a panel per variant over the baseline's; None without curves."""
    curves = curves[curves["metric"] == f"dev/{rate}"]
    shown = [row for row in table.rows if (curves["variant"] == row.variant).any()][:MOST_PANELS]
    if not shown:
        return None
    columns = min(3, len(shown))
    lines = math.ceil(len(shown) / columns)
    titles = [broken(row.variant, PANEL_NAME) for row in shown]
    height = 0.5 + lines * (1.6 + extra_lines(titles))
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    grid = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False)
    baseline = table.baseline
    for axes, row, title in zip(grid.flat, shown, titles, strict=False):
        if baseline is not None and row.verdict is not Verdict.BASELINE:
            _band(axes, curves[curves["variant"] == baseline.variant], palette.WASH)
        _band(axes, curves[curves["variant"] == row.variant], COLOURS[row.verdict])
        axes.set_title(title)
        axes.yaxis.set_tick_params(labelcolor=palette.MUTED)
    grid[0, 0].set_ylim(bottom=0)
    hide_rest(grid, len(shown))
    grid[0, 0].xaxis.set_major_locator(MaxNLocator(4, integer=True))
    figure.supxlabel("optimiser steps", color=palette.MUTED, fontsize=9)
    figure.supylabel(f"dev {rate.upper()}, %", color=palette.MUTED, fontsize=9)
    return figure


def _band(axes: Any, curves: pd.DataFrame, colour: str) -> None:
    """Mean over seeds, between the lowest and the highest seed."""
    by_step = curves.groupby("step")["value"].agg(["mean", "min", "max"]) * 100
    axes.fill_between(by_step.index, by_step["min"], by_step["max"], color=colour, alpha=0.2, linewidth=0)
    axes.plot(by_step.index, by_step["mean"], color=colour, linewidth=1.5)


@styled
def pareto(table: AblationTable) -> Figure | None:
    """Error rate against each cost that differs between variants; None if no cost does."""
    rows = [row for row in table.rows if row.rate is not None]
    details = table.details.loc[[row.variant for row in rows]]
    costs = [cost for cost in names.COSTS if cost in details and details[cost].nunique() > 1][:3]
    if not costs:
        return None
    figure = Figure(figsize=(WIDTH, 3.0), layout="constrained")
    grid = figure.subplots(1, len(costs), sharey=True, squeeze=False)[0]
    for axes, cost in zip(grid, costs, strict=True):
        _scatter(axes, rows, details[cost].to_numpy(float), names.COSTS[cost])
    grid[0].set_ylabel(f"{table.unit} error rate, %")
    return figure


def _scatter(axes: Any, rows: Sequence[Row], costs: Any, label: str) -> None:
    errors = [100 * row.rate.value for row in rows if row.rate is not None]
    front = pareto_front(errors, costs)
    best = sorted((cost, error) for cost, error, on in zip(costs, errors, front, strict=True) if on)
    axes.step(
        [cost for cost, _ in best],
        [error for _, error in best],
        where="post",
        color=palette.WASH,
        linewidth=1,
    )
    for row, cost, error, on in zip(rows, costs, errors, front, strict=True):
        colour = COLOURS[row.verdict]
        axes.plot(cost, error, "o", color=colour, markerfacecolor=colour if on else "none", markersize=5)
        if on or row.verdict is Verdict.BASELINE:
            on_the_right = 2 * cost > min(costs) + max(costs)
            axes.annotate(
                broken(row.variant, POINT_NAME),
                (cost, error),
                (-5 if on_the_right else 5, 4),
                textcoords="offset points",
                horizontalalignment="right" if on_the_right else "left",
                fontsize=7,
                color=palette.MUTED,
            ).set_in_layout(False)  # a long name takes no room from the panel
    axes.set_xlabel(label)
    axes.margins(x=0.25, y=0.12)
    axes.yaxis.set_tick_params(labelcolor=palette.MUTED)
    axes.xaxis.set_major_locator(MaxNLocator(3))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: quantity(value)))


@styled
def main_effects(effects: Effects) -> Figure:
    """Effect of every level of every factor with its interval."""
    shown = [effect for effect in effects.effects if not is_interaction(effect.term)]
    figure, axes = panel(height=0.9 + 0.3 * len(shown))
    axes.axvline(0, color=palette.INK, linewidth=0.8)
    for place, effect in enumerate(shown):
        axes.plot([effect.low, effect.high], [place, place], color=palette.EQUIVALENT, linewidth=2)
        axes.plot(effect.estimate, place, "o", color=palette.EQUIVALENT, markersize=6)
    axes.set_yticks(range(len(shown)), [f"{effect.term} = {effect.level}" for effect in shown])
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.set_xlabel("distance from the grand mean, points")
    plain_left(axes)
    return figure


@styled
def interactions(effects: Effects) -> Figure | None:
    """Fitted rate at each pair of levels, the surest interactions first; None if none can be estimated."""
    pairs = sorted(
        (test for test in effects.tests if is_interaction(test.term)), key=lambda test: (test.p, test.term)
    )
    if not pairs:
        return None
    shown = pairs[:6]
    columns = min(3, len(shown))
    lines = math.ceil(len(shown) / columns)
    figure = Figure(figsize=(WIDTH, 0.3 + 2.2 * lines), layout="constrained")
    grid = figure.subplots(lines, columns, sharey=True, squeeze=False)
    for axes, test in zip(grid.flat, shown, strict=False):
        _crossing(axes, effects, test.term)
    hide_rest(grid, len(shown))
    figure.supylabel("fitted error rate, %", color=palette.MUTED, fontsize=9)
    return figure


def _crossing(axes: Any, effects: Effects, term: str) -> None:
    first, second = term.split(TIMES)
    one = {effect.level: effect.estimate for effect in effects.of(first)}
    two = {effect.level: effect.estimate for effect in effects.of(second)}
    both = {effect.level: effect.estimate for effect in effects.of(term)}
    colours = (palette.EQUIVALENT, palette.WORSE, palette.BETTER, palette.THIRD, palette.INK)
    for number, (level, main) in enumerate(two.items()):
        fitted = [effects.mean + value + main + both[f"{other}, {level}"] for other, value in one.items()]
        colour = colours[number % len(colours)]
        axes.plot(list(one), fitted, "o-", color=colour, markersize=4, linewidth=1.3, label=level)
    axes.set_xlabel(first, fontsize=8)
    axes.legend(title=second, fontsize=7, title_fontsize=7)
    axes.yaxis.set_tick_params(labelcolor=palette.MUTED)


def broken(name: str, most: int) -> str:
    """Break the name of a variant at its commas into lines of at most so many characters, where it can be."""
    lines = [""]
    for part in re.split(r"(?<=,)", name):
        if lines[-1] and len(lines[-1]) + len(part) > most:
            lines.append("")
        lines[-1] += part
    return "\n".join(lines)


def extra_lines(titles: Sequence[str]) -> float:
    """Inches that the longest of these titles takes beyond its first line."""
    return 0.16 * max(title.count("\n") for title in titles)


def hide_rest(grid: Any, shown: int) -> None:
    """Hide the panels beyond those that are shown; the lowest of each column says what its axis is."""
    columns = grid.shape[1]
    for axes in grid.flat[shown:]:
        axes.set_visible(False)
    for axes in grid.flat[shown - columns : shown]:
        axes.xaxis.set_tick_params(labelbottom=True)


def panel(height: float) -> tuple[Figure, Any]:
    """Make a figure of the width of the text with one plot in it."""
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    return figure, figure.subplots()


def plain_left(axes: Any) -> None:
    """Names of rows need neither a line nor ticks."""
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
