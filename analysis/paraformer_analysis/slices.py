"""The same comparison within groups of test utterances: short and long ones, children and adults.

A change may help one group and harm another; the total shows neither. Each group is tested as the total is,
and Holm's correction is over all groups and variants together, since all of them are looked at.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from paraformer_analysis import names
from paraformer_analysis.bootstrap import BlockBootstrap, Estimate
from paraformer_analysis.comparisons import equivalence_p, holm, two_sided_p
from paraformer_analysis.deviations import Deviation
from paraformer_analysis.records import Records
from paraformer_analysis.scores import Scores, part_of
from paraformer_analysis.table import AblationTable, pairs_of, stream_of
from paraformer_analysis.verdicts import Verdict, judge

LENGTH = "length"
PARTS = ("short", "middle", "long")
MOST_LEVELS = 8
"""Values of a column beyond which they are no groups, unless they are numbers: these are cut in three."""
LEAST_UTTERANCES = 20
"""Utterances below which a group is not looked at on its own."""

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Slice:
    """One variant on one group of utterances. Rates and differences are fractions."""

    group: str
    """What utterances are grouped by, such as length."""
    level: str
    utterances: int
    units: int
    """Words or characters of the references."""
    variant: str
    rate: float
    baseline: float
    """Rate of the baseline on the same utterances."""
    difference: Estimate
    p: float
    p_corrected: float = math.nan
    p_equivalent: float = math.nan
    verdict: Verdict = Verdict.UNTESTED


def build_slices(records: Records, table: AblationTable) -> tuple[list[Slice], list[Deviation]]:
    """Compare every tested variant with the baseline within each group.

    Returns:
        Slices group by group, and notes on groups that were asked for and are not there.
    """
    groups, notes = utterance_groups(records, table.scores)
    base = table.baseline
    tested = [row for row in table.rows if row.difference is not None and row.verdict is not Verdict.BASELINE]
    if base is None or base.rate is None or not tested:
        return [], notes
    found = [
        one
        for group, levels in groups.items()
        for level, mask in levels.items()
        for one in _compared(records, table, group, level, mask, [row.variant for row in tested])
    ]
    return _judged(found, table), notes


def utterance_groups(records: Records, scores: Scores) -> tuple[dict[str, dict[str, Mask]], list[Deviation]]:
    """Return which utterances belong to which level of which group, (U,) masks.

    A group with a single level that is large enough tells nothing beyond the total and is left out.
    """
    columns = _columns(records, scores)
    wanted = records.design.options.slices
    available = {LENGTH: _by_size(scores.lengths, _unit(records), PARTS), **dict(_of_columns(columns))}
    chosen = available if wanted is None else {name: available[name] for name in wanted if name in available}
    whole = {name: _large(levels) for name, levels in chosen.items()}
    missing = [name for name in wanted or () if name not in available]
    notes = [
        Deviation(
            "report.slices",
            f"asks for {name}, by which the test set cannot be divided; it can by {', '.join(available)}",
        )
        for name in missing
    ]
    return {name: levels for name, levels in whole.items() if len(levels) > 1}, notes


def _unit(records: Records) -> str:
    return "characters" if records.design.rate == "cer" else "words"


def _columns(records: Records, scores: Scores) -> pd.DataFrame:
    named = [column for column in records.utterances if str(column).startswith(names.GROUP_PREFIX)]
    once = records.utterances.drop_duplicates("id").set_index("id")[named].reindex(scores.ids)
    return once.fillna("").rename(columns=lambda column: str(column).removeprefix(names.GROUP_PREFIX))


def _of_columns(columns: pd.DataFrame) -> Iterator[tuple[str, dict[str, Mask]]]:
    for name, values in columns.items():
        levels = sorted(set(values) - {""})
        numbers = pd.to_numeric(values, errors="coerce")
        if 2 <= len(levels) <= MOST_LEVELS:
            yield str(name), {level: (values == level).to_numpy() for level in levels}
        elif len(levels) > MOST_LEVELS and numbers[values != ""].notna().all():
            yield str(name), _by_size(numbers.to_numpy(float), "", ("low", "middle", "high"))


def _by_size(values: NDArray[np.float64], unit: str, labels: Sequence[str]) -> dict[str, Mask]:
    """Cut in three parts of about as many utterances; equal values stay together."""
    known = np.isfinite(values)
    edges = np.quantile(values[known], [1 / 3, 2 / 3]) if known.any() else np.zeros(2)
    part = np.where(known, np.searchsorted(edges, values, side="left"), -1)
    found = {}
    for number, label in enumerate(labels):
        mask = part == number
        if mask.any():
            low, high = f"{values[mask].min():g}", f"{values[mask].max():g}"
            reach = low if low == high else f"{low}–{high}"
            found[f"{label}, {reach} {unit}".rstrip()] = mask
    return found


def _large(levels: Mapping[str, Mask]) -> dict[str, Mask]:
    return {level: mask for level, mask in levels.items() if mask.sum() >= LEAST_UTTERANCES}


def _compared(
    records: Records, table: AblationTable, group: str, level: str, mask: Mask, variants: Sequence[str]
) -> Iterator[Slice]:
    part = part_of(table.scores, mask)
    sizes = part.block_sums(part.lengths)
    if len(sizes) < 2 or sizes.sum() == 0:
        return
    base = table.baseline
    assert base is not None
    options = records.design.options
    bootstrap = BlockBootstrap(sizes, options.bootstrap, options.seed)
    pairs = {variant: pairs_of(records, base.variant, variant) for variant in variants}
    before = {variant: part.of([one for one, _ in pair]) for variant, pair in pairs.items()}
    after = {variant: part.of([other for _, other in pair]) for variant, pair in pairs.items()}
    estimates = bootstrap.estimate_all(
        [after[variant] - before[variant] for variant in variants],
        options.alpha,
        [stream_of(variant) for variant in variants],
    )
    for variant, estimate in zip(variants, estimates, strict=True):
        yield Slice(
            group=group,
            level=level,
            utterances=int(mask.sum()),
            units=int(sizes.sum()),
            variant=variant,
            rate=float(after[variant].sum(axis=1).mean() / sizes.sum()),
            baseline=float(before[variant].sum(axis=1).mean() / sizes.sum()),
            difference=estimate,
            p=two_sided_p(estimate),
            p_equivalent=_equivalence(estimate, options.equivalence_margin),
        )


def _equivalence(estimate: Estimate, margin: float | None) -> float:
    return math.nan if margin is None else equivalence_p(estimate, margin / 100)


def _judged(found: Sequence[Slice], table: AblationTable) -> list[Slice]:
    options = table.options
    correct = holm if options.correction == "holm" else list
    p = correct([one.p for one in found])
    equivalent = correct([one.p_equivalent for one in found])
    return [
        replace(
            one,
            p_corrected=first,
            p_equivalent=second,
            verdict=judge(one.difference.value, first, None if math.isnan(second) else second, options.alpha),
        )
        for one, first, second in zip(found, p, equivalent, strict=True)
    ]
