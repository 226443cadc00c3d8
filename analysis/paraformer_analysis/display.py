"""The table as it is printed: the same cells for the page, for Markdown and for LaTeX."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from paraformer_analysis import names
from paraformer_analysis.bootstrap import LEAST_SEEDS, Estimate
from paraformer_analysis.design import Design
from paraformer_analysis.effects import Effects, TermTest, is_interaction
from paraformer_analysis.pareto import pareto_front
from paraformer_analysis.table import AblationTable, Row
from paraformer_analysis.verdicts import Verdict, points

NOTHING = "–"
ROMAN = {3: "III", 4: "IV", 5: "V", 6: "VI", 7: "VII"}
OWN_INTERVAL = "its interval"
"""Head of the column that holds the interval of the rate itself."""
MARK = " †"
FEW_SEEDS = (
    "† Fewer than three seeds, or fewer shared with the baseline: the spread over seeds cannot be "
    "estimated, so interval and verdict tell about these trained networks only, and would be less sure for "
    "the way of training them."
)
CUT_MARK = " ‡"
CUT = (
    "‡ Early termination stopped trials of this row or of the baseline; what it spared is biased, see below "
    "how this was measured."
)
AGREE_MARK = " §"
AGREE = (
    "§ The seeds happen to agree more closely than the luck of single words lets networks agree: other test "
    "material alone would move these very networks further than this interval reaches. p allows for that."
)
T = TypeVar("T")


@dataclass(frozen=True)
class Cell:
    """One printed value and what it is sorted by."""

    text: str
    order: float | str = ""
    kind: str = "number"
    """number, text or verdict."""


@dataclass(frozen=True)
class Grid:
    """One printed table."""

    name: str
    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""


def text_cell(text: str) -> Cell:
    """Print words."""
    return Cell(text or NOTHING, text, "text")


def number_cell(value: float | None, shape: Callable[[float], str]) -> Cell:
    """Print a number; what is not known is a dash and sorts last."""
    if value is None or not math.isfinite(value):
        return Cell(NOTHING, math.inf)
    return Cell(shape(value), value)


def percent(value: float) -> str:
    """Write a fraction as a percentage without its sign."""
    return f"{100 * value:.2f}"


def p_value(value: float) -> str:
    """Write a p value to three places, or as smaller than that."""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def quantity(value: float) -> str:
    """Write a number that may be large or small with three figures: 12.3 M."""
    for size, letter in ((1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


def main_grid(table: AblationTable) -> Grid:
    """Rate, difference, interval, corrected p value and verdict of every variant."""
    rate = "CER" if table.unit == "character" else "WER"
    corrected = "p (Holm)" if table.options.correction == "holm" else "p"
    heads = (
        "variant",
        "verdict",
        f"{rate} %",
        OWN_INTERVAL,
        "± sd",
        "difference",
        f"{table.confidence} interval",
        "relative",
    )
    rows = tuple(_main_row(row) for row in table.rows)
    few = any(estimate.seeds < LEAST_SEEDS for row in table.rows for estimate in row.estimates)
    cut = any(row.cut for row in table.rows)
    notes = [note for note, applies in ((FEW_SEEDS, few), (CUT, cut)) if applies]
    note = with_agree_note(" ".join(notes), (row.difference for row in table.rows))
    return trimmed(Grid("main", "Results", (*heads, corrected, "seeds"), rows, note))


def _main_row(row: Row) -> tuple[Cell, ...]:
    found = row.difference
    seeds = f"{row.finished}" if row.finished == row.planned else f"{row.finished} of {row.planned}"
    mark = MARK if found is not None and not row.seeds_known else ""
    mark += CUT_MARK if row.cut and row.verdict is not Verdict.BASELINE else ""
    few = MARK if row.rate is not None and row.rate.seeds < LEAST_SEEDS else ""
    return (
        text_cell(row.variant),
        Cell(row.verdict.value + mark, list(Verdict).index(row.verdict), "verdict"),
        number_cell(row.rate.value if row.rate else None, percent),
        _interval(row.rate, lambda bound: percent(max(0.0, bound)), few),
        number_cell(row.deviation, percent),
        number_cell(found.value if found else None, points),
        difference_cell(found, points, mark),
        number_cell(row.relative, lambda value: f"{100 * value:+.0f} %".replace("-", "−")),
        number_cell(row.p_corrected, p_value),
        Cell(seeds, row.finished),
    )


def difference_cell(estimate: Estimate | None, shape: Callable[[float], str], mark: str = "") -> Cell:
    """Print both ends of a difference's interval, marked where its seeds agree too closely to be believed."""
    return _interval(estimate, shape, mark + AGREE_MARK if _agree(estimate) else mark)


def with_agree_note(note: str, differences: Iterable[Estimate | None]) -> str:
    """Add to a table's note what the mark of its differences means, if there is any."""
    return f"{note} {AGREE}".lstrip() if any(map(_agree, differences)) else note


def _agree(estimate: Estimate | None) -> bool:
    return estimate is not None and estimate.seeds_agree


def _interval(estimate: Estimate | None, shape: Callable[[float], str], mark: str) -> Cell:
    if estimate is None or not math.isfinite(estimate.low):
        return Cell(NOTHING, math.inf)
    return Cell(f"{shape(estimate.low)} … {shape(estimate.high)}{mark}", estimate.low)


def error_grid(table: AblationTable) -> Grid:
    """Other error rates of the same checkpoints, all in percent but the length error."""
    prefix = "char" if table.unit == "character" else "word"
    columns = {
        "WER": "wer",
        "CER": "cer",
        "substituted": f"{prefix}_substitutions",
        "deleted": f"{prefix}_deletions",
        "inserted": f"{prefix}_insertions",
        "CTC WER": "ctc_wer",
        "CTC CER": "ctc_cer",
        "true-length WER": "oracle_wer",
        "true-length CER": "oracle_cer",
        "length error": "length_error",
    }
    note = (
        f"Percent; substituted, deleted and inserted {table.unit}s per hundred of the reference. CTC: greedy "
        "decoding of the same checkpoint's CTC head. True-length: the decoder is told how many tokens to "
        "write. Length error: mean distance of the token count from the true one, in tokens."
    )
    shapes = dict.fromkeys(columns.values(), percent) | {"length_error": lambda value: f"{value:.2f}"}
    return _from_details("errors", "Kinds of errors", table, columns, shapes, note)


def cost_grid(table: AblationTable, with_front: bool = True) -> Grid:
    """Costs, and the variants that nobody beats at both error and parameters."""
    columns = {label: metric for metric, label in names.COSTS.items()}
    shapes = dict.fromkeys(columns.values(), quantity)
    note = "Means over seeds. Times and memory hold for the machine named at the foot."
    grid = _from_details("costs", "Costs", table, columns, shapes, note)
    if not with_front or "cost/parameters" not in table.details:
        return grid
    costs = table.details["cost/parameters"].reindex([row.variant for row in table.rows])
    front = pareto_front([row.rate.value if row.rate else math.nan for row in table.rows], list(costs))
    marked = tuple(
        (*cells, Cell("yes" if on else "", 0 if on else 1, "text"))
        for cells, on in zip(grid.rows, front, strict=True)
    )
    return Grid(
        grid.name, grid.title, (*grid.heads, "on the front of error and parameters"), marked, grid.note
    )


def power_grid(table: AblationTable) -> Grid:
    """What each comparison could have seen, and what it would take to see more."""
    rows = tuple(_power_row(row) for row in table.rows if row.difference is not None)
    heads = (
        "variant",
        "paired seeds",
        "detectable",
        "p (uncorrected)",
        "p (equivalence)",
        "more seeds",
        "MAPSSWE p",
    )
    note = (
        "Detectable: the smallest true difference, in points, that a comparison like this finds with "
        f"probability {table.options.power:g} at level {table.options.alpha:g}; with three seeds it is "
        "a rough guess itself. More seeds: how many further seeds would probably settle a row, if the "
        "difference is what it seems to be, the table's correction paid for."
    )
    return trimmed(Grid("power", "What this sweep could see", heads, rows, note))


def _power_row(row: Row) -> tuple[Cell, ...]:
    inconclusive = row.verdict is Verdict.INCONCLUSIVE
    hopeless = (
        Cell("no number of seeds", 1e9) if inconclusive and row.seeds_known else Cell(NOTHING, math.inf)
    )
    more = hopeless if row.more_seeds is None else Cell(f"about {row.more_seeds}", row.more_seeds)
    return (
        text_cell(row.variant),
        Cell(str(row.difference.seeds) if row.difference else NOTHING),
        number_cell(row.detectable, percent),
        number_cell(row.p, p_value),
        number_cell(row.p_equivalent, p_value),
        more,
        number_cell(row.mapsswe.p if row.mapsswe else None, p_value),
    )


def effect_grid(effects: Effects, design: Design) -> Grid:
    """F tests of main effects and interactions, with their aliases."""
    rows = tuple(
        (
            text_cell(test.term),
            _changes(effects, test.term),
            Cell(_freedoms(test), test.freedom),
            number_cell(test.f, lambda value: f"{value:.2f}"),
            number_cell(test.p, p_value),
            number_cell(test.p_corrected, p_value),
            text_cell(", ".join(test.aliases)),
        )
        for test in effects.tests
    )
    heads = (
        "term",
        f"change, points ({design.options.confidence} interval)",
        "df",
        "F",
        "p",
        "p (Holm)",
        "aliases",
    )
    note = (
        "Change: from a factor's first level to another, averaged over the levels of all others; of two "
        "factors, what both changes together do beyond their sum. Least squares on the error rates of single "
        f"trials, means of seeds taken out, {effects.residual_freedom} residual degrees of freedom"
        f"{_material(effects)}; p (Holm) is corrected for the number of terms. An alias is an effect that "
        "this design cannot tell from the one shown."
    ) + _fraction(design)
    return trimmed(Grid("effects", "Effects of the factors", heads, rows, note))


def _material(effects: Effects) -> str:
    if not effects.material:
        return ", so intervals tell about other seeds on this test set"
    return (
        f"; the error of a change adds what the residual and what {effects.material} let expect (min F′), so "
        "intervals tell about other seeds and other test material, like those of the table"
    )


def _freedoms(test: TermTest) -> str:
    below = "" if math.isnan(test.freedom_below) else f", {test.freedom_below:.0f}"
    return f"{test.freedom}{below}"


def _changes(effects: Effects, term: str) -> Cell:
    told = []
    for change in effects.changes_of(term):
        levels = change.level if is_interaction(term) else f"{change.first} → {change.level}"
        within = "" if math.isnan(change.low) else f" ({_points(change.low)} … {_points(change.high)})"
        told.append(f"{levels}: {_points(change.estimate)}{within}")
    return text_cell("; ".join(told))


def _points(value: float) -> str:
    return points(value / 100)


def _fraction(design: Design) -> str:
    """Name the fraction of a fractional design: resolution, letters and generators."""
    if design.fraction is None:
        return ""
    resolution, letters = design.fraction["resolution"], design.fraction["factors"]
    generators = ", ".join(design.fraction["generators"])
    named = ", ".join(f"{letter} {key}" for letter, key in letters.items())
    made = f"generators {generators} with {named}" if generators else f"all runs of {named}"
    size = f"Resolution {ROMAN.get(resolution, resolution)}" if resolution else "Full"
    return f" {size}: {made}."


def _from_details(
    name: str,
    title: str,
    table: AblationTable,
    columns: Mapping[str, str],
    shapes: Mapping[str, Callable[[float], str]],
    note: str,
) -> Grid:
    present = {head: column for head, column in columns.items() if column in table.details}
    rows = []
    for row in table.rows:
        if row.variant in table.details.index:
            values = dict(table.details.loc[row.variant])
            cells = [number_cell(values[column], shapes[column]) for column in present.values()]
        else:
            cells = [number_cell(None, percent)] * len(present)
        rows.append((text_cell(row.variant), *cells))
    return trimmed(Grid(name, title, ("variant", *present), tuple(rows), note))


def trimmed(grid: Grid) -> Grid:
    """Leave out the columns in which no row has anything."""
    filled = [any(row[place].text != NOTHING for row in grid.rows) for place in range(len(grid.heads))]
    return Grid(
        grid.name,
        grid.title,
        _pick(grid.heads, filled),
        tuple(_pick(row, filled) for row in grid.rows),
        grid.note,
    )


def _pick(values: Sequence[T], wanted: Sequence[bool]) -> tuple[T, ...]:
    return tuple(value for value, keep in zip(values, wanted, strict=True) if keep)
