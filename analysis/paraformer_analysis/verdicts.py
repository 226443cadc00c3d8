"""What a row of the table says in one word, and what the whole table says in a sentence or two."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from paraformer_analysis.table import AblationTable, Row


MOST_NAMED = 5
"""Variants named in one sentence; the table names the others."""


class Verdict(StrEnum):
    """Where a variant stands against the baseline."""

    BASELINE = "baseline"
    BETTER = "better"
    WORSE = "worse"
    EQUIVALENT = "equivalent"
    INCONCLUSIVE = "inconclusive"
    UNTESTED = "untested"


def judge(difference: float, p: float, p_equivalent: float | None, alpha: float) -> Verdict:
    """Judge a difference of error rates from its corrected p values.

    Args:
        difference: Variant minus baseline; lower is better.
        p: Corrected p value of no difference.
        p_equivalent: Corrected p value of a difference beyond the margin; None without a margin.
        alpha: Level of both tests.
    """
    if p < alpha:
        return Verdict.WORSE if difference > 0 else Verdict.BETTER
    if p_equivalent is not None and p_equivalent < alpha:
        return Verdict.EQUIVALENT
    return Verdict.INCONCLUSIVE


@dataclass(frozen=True)
class Sentence:
    """One sentence of an answer."""

    text: str
    verdict: Verdict | None = None
    """The verdict that it is about; None for what stands around the verdicts."""


def answer(table: "AblationTable") -> list[Sentence]:
    """Say what the table shows, in a sentence for each kind of verdict."""
    baseline = table.baseline
    if baseline is None:
        return [Sentence(_without_baseline(table))]
    if baseline.rate is None:
        return [Sentence(f"No answer yet: the baseline has no finished trial ({baseline.state}).")]
    opening = Sentence(f"The baseline's {table.unit} error rate is {_percent(baseline.rate.value)}.")
    groups = [(verdict, [row for row in table.rows if row.verdict is verdict]) for verdict in Verdict]
    said = [
        Sentence(f"{_SENTENCES[verdict](rows, table)}.", verdict)
        for verdict, rows in groups
        if rows and verdict in _SENTENCES
    ]
    return [opening, *said, *_caveat(table)]


def points(value: float, signed: bool = True) -> str:
    """Write a fraction in points, hundredths of the error rate, with a real minus sign."""
    text = f"{100 * value:+.2f}" if signed else f"{100 * value:.2f}"
    return text.replace("-", "−")


def interval(low: float, high: float) -> str:
    """Write an interval of fractions in points."""
    return f"{points(low)} to {points(high)}"


def _percent(value: float) -> str:
    return f"{points(value, signed=False)}\u00a0%"


def _changed(word: str, rows: "Sequence[Row]", table: "AblationTable") -> str:
    named = [
        f"{row.variant} by {points(abs(row.difference.value), signed=False)} points "
        f"({table.confidence} interval {interval(row.difference.low, row.difference.high)})"
        for row in rows
        if row.difference is not None
    ]
    more = len(named) - MOST_NAMED
    return f"{word.capitalize()}: {joined([*named[:MOST_NAMED], f'{more} more'] if more > 0 else named)}"


def _equivalent(rows: "Sequence[Row]", table: "AblationTable") -> str:
    margin = table.options.equivalence_margin
    return f"Equivalent within ±{margin:g} points: {joined([row.variant for row in rows])}"


def _inconclusive(rows: "Sequence[Row]", table: "AblationTable") -> str:
    if len(rows) > MOST_NAMED:
        return f"Not settled: {len(rows)} variants"
    named = [f"{row.variant} ({_plan(row)})" for row in rows]
    return f"Not settled: {joined(named)}"


def _plan(row: "Row") -> str:
    if row.more_seeds is None:
        return "more test material is needed" if row.seeds_known else "more seeds are needed"
    return f"about {row.more_seeds} more seed{'s' if row.more_seeds > 1 else ''} may settle it"


def _untested(rows: "Sequence[Row]", table: "AblationTable") -> str:
    without = [row.variant for row in rows if row.rate is None]
    cut = [row.variant for row in rows if row.rate is not None and row.cut]
    unpaired = [row.variant for row in rows if row.rate is not None and not row.cut]
    parts = (
        ("Without a result", without),
        ("Not tested, since early termination stopped some of the trials", cut),
        ("Not tested, since no seed is shared with the baseline", unpaired),
    )
    return ". ".join(f"{words}: {joined(named)}" for words, named in parts if named)


_SENTENCES = {
    Verdict.BETTER: lambda rows, table: _changed("better", rows, table),
    Verdict.WORSE: lambda rows, table: _changed("worse", rows, table),
    Verdict.EQUIVALENT: _equivalent,
    Verdict.INCONCLUSIVE: _inconclusive,
    Verdict.UNTESTED: _untested,
}


def _without_baseline(table: "AblationTable") -> str:
    finished = [row for row in table.rows if row.rate is not None]
    best = min(finished, key=lambda row: row.rate.value if row.rate else 1.0)
    assert best.rate is not None
    return (
        f"The sweep declares no baseline, so nothing is tested. The lowest error rate is {best.variant}'s, "
        f"{_percent(best.rate.value)} of {table.unit}s ({table.confidence} interval "
        f"{_percent(best.rate.low)} to {_percent(best.rate.high)}); the lowest of many is lower "
        "than it would be on a second try."
    )


def _caveat(table: "AblationTable") -> list[Sentence]:
    few = [row.variant for row in table.rows if row.difference is not None and not row.seeds_known]
    if not few:
        return []
    whose = "" if table.seed_spread_none else f" for {joined(few)}"
    return [
        Sentence(
            f"With fewer than three seeds the spread over seeds cannot be estimated{whose}: "
            "that is about these trained networks, not about the way of training them."
        )
    ]


def joined(parts: Sequence[str]) -> str:
    """Write a list as words: a, b and c."""
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]
