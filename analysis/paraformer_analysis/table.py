"""The ablation table: one row per variant, each compared with the baseline."""

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from paraformer_analysis import names
from paraformer_analysis.bootstrap import LEAST_SEEDS, BlockBootstrap, Estimate
from paraformer_analysis.comparisons import (
    equivalence_p,
    holm,
    minimal_detectable,
    seeds_to_settle,
    two_sided_p,
)
from paraformer_analysis.design import ReportOptions, Variant
from paraformer_analysis.deviations import Deviation
from paraformer_analysis.mapsswe import Mapsswe, mapsswe
from paraformer_analysis.records import Records
from paraformer_analysis.scores import Scores, gather_scores
from paraformer_analysis.verdicts import Verdict, judge

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Row:
    """One variant. Rates and differences are fractions."""

    variant: str
    changes: str
    """What differs from the baseline, ``key = value``."""
    verdict: Verdict
    finished: int
    """Trials with usable results."""
    planned: int
    state: str
    """Why trials are lacking; empty when none is."""
    rate: Estimate | None = None
    deviation: float = math.nan
    """Standard deviation of the rate over seeds."""
    difference: Estimate | None = None
    """Variant minus baseline, over the seeds that both have."""
    relative: float = math.nan
    p: float = math.nan
    p_corrected: float = math.nan
    p_equivalent: float = math.nan
    detectable: float = math.nan
    more_seeds: int | None = None
    mapsswe: Mapsswe | None = None
    cut: int = 0
    """Trials that early termination stopped: this variant's, and the baseline's where both are compared."""

    @property
    def estimates(self) -> tuple[Estimate, ...]:
        """The rate and the difference, as far as there are any."""
        return tuple(estimate for estimate in (self.rate, self.difference) if estimate is not None)

    @property
    def seeds_known(self) -> bool:
        """Whether there are enough paired seeds to know their spread."""
        return self.difference is not None and self.difference.seeds >= LEAST_SEEDS


@dataclass(frozen=True)
class AblationTable:
    """All rows with what they were made of."""

    rows: tuple[Row, ...]
    options: ReportOptions
    unit: str
    """What is counted: word or character."""
    scores: Scores
    details: pd.DataFrame
    """Further numbers by variant: error types, other rates, costs, each a mean over seeds."""
    deviations: tuple[Deviation, ...]

    @property
    def baseline(self) -> Row | None:
        """The baseline's row, None when the sweep declares none."""
        return next((row for row in self.rows if row.verdict is Verdict.BASELINE), None)

    @property
    def confidence(self) -> str:
        """How sure the intervals are: ``95 %``."""
        return self.options.confidence

    @property
    def seed_spread_none(self) -> bool:
        """Whether no comparison at all has enough seeds to know their spread."""
        return not any(row.seeds_known for row in self.rows)

    @property
    def seed_spread_known(self) -> bool:
        """Whether every comparison has enough seeds to know their spread."""
        tested = [row for row in self.rows if row.difference is not None]
        return all(row.seeds_known for row in tested)


def build_table(records: Records) -> AblationTable:
    """Score, compare and judge every variant of a sweep.

    Raises:
        AnalysisError: trials that cannot be compared at all; see ``gather_scores``.
    """
    design, options = records.design, records.design.options
    scores, notes = gather_scores(records, design.rate, options.block)
    bootstrap = BlockBootstrap(scores.block_sums(scores.lengths), options.bootstrap, options.seed)
    rows = _measured([_planned(records, variant) for variant in design.variants], records, scores, bootstrap)
    rows.sort(key=lambda row: row.verdict is not Verdict.BASELINE)
    if design.baseline is not None:
        rows = _compared(rows, records, scores, bootstrap)
    notes += _pairing_notes(rows)
    return AblationTable(
        rows=tuple(rows),
        options=options,
        unit="character" if design.rate == "cer" else "word",
        scores=scores,
        details=_details(records),
        deviations=(*records.deviations, *notes),
    )


def _planned(records: Records, variant: Variant) -> Row:
    """Make the row of a variant, with what became of its trials."""
    cells = records.runs[records.runs["variant"] == variant.id]
    baseline = variant.id == records.design.baseline
    return Row(
        variant=variant.id,
        changes=", ".join(f"{key} = {value}" for key, value in variant.changes.items()),
        verdict=Verdict.BASELINE if baseline else Verdict.UNTESTED,
        finished=int(cells["usable"].sum()),
        planned=len(cells),
        state="; ".join(sorted(set(cells.loc[~cells["usable"], "reason"]))),
        cut=int(cells["early"].sum()),
    )


def _measured(rows: list[Row], records: Records, scores: Scores, bootstrap: BlockBootstrap) -> list[Row]:
    """Add the error rate of every variant that has one."""
    usable = records.runs[records.runs["usable"]]
    keys = {row.variant: list(usable.loc[usable["variant"] == row.variant, "trial_key"]) for row in rows}
    errors = {variant: scores.of(found) for variant, found in keys.items() if found}
    estimates = _estimates(errors, bootstrap, records.design.options.alpha)
    rates = {variant: sums.sum(axis=1) / scores.lengths.sum() for variant, sums in errors.items()}
    return [
        replace(row, rate=estimates[row.variant], deviation=_deviation(rates[row.variant]))
        if row.variant in errors
        else row
        for row in rows
    ]


def _deviation(rates: Floats) -> float:
    return float(rates.std(ddof=1)) if len(rates) > 1 else math.nan


def _estimates(sums: dict[str, Floats], bootstrap: BlockBootstrap, alpha: float) -> dict[str, Estimate]:
    """Bootstrap many variants at once: the resampled counts are gone through only once."""
    if not sums:
        return {}
    found = bootstrap.estimate_all(list(sums.values()), alpha, [stream_of(variant) for variant in sums])
    return dict(zip(sums, found, strict=True))


def _compared(rows: Sequence[Row], records: Records, scores: Scores, bootstrap: BlockBootstrap) -> list[Row]:
    """Test every variant against the baseline and correct for their number."""
    base = records.design.baseline
    assert base is not None
    options = records.design.options
    rows = [replace(row, cut=row.cut + rows[0].cut) if row.variant != base else row for row in rows]
    # Seeds that early termination spared are the lucky ones: what they say of a variant is biased.
    fair = [
        row.variant for row in rows if row.variant != base and (not row.cut or records.design.allow_biased)
    ]
    paired = {variant: _paired(records, scores, base, variant) for variant in fair}
    tested = {variant: sums for variant, sums in paired.items() if len(sums)}
    by_variant = _estimates(tested, bootstrap, options.alpha)
    compared = [_with_difference(row, by_variant.get(row.variant), rows[0], records) for row in rows]
    return _judged(compared, options)


def _paired(records: Records, scores: Scores, base: str, variant: str) -> Floats:
    """Differences of errors by seed and block, (K, S), for the seeds that both have."""
    pairs = pairs_of(records, base, variant)
    if not pairs:
        return np.empty((0, 0))
    return scores.of([other for _, other in pairs]) - scores.of([one for one, _ in pairs])


def pairs_of(records: Records, base: str, variant: str) -> list[tuple[str, str]]:
    """Trials of the baseline and of a variant by their keys, for the seeds that both have."""
    usable = records.runs[records.runs["usable"]]
    before = usable[usable["variant"] == base].drop_duplicates("seed").set_index("seed")["trial_key"]
    after = usable[usable["variant"] == variant].drop_duplicates("seed").set_index("seed")["trial_key"]
    return [(str(before[seed]), str(after[seed])) for seed in after.index if seed in before.index]


def _with_difference(row: Row, estimate: Estimate | None, base: Row, records: Records) -> Row:
    if estimate is None:
        return row
    options = records.design.options
    margin = None if options.equivalence_margin is None else options.equivalence_margin / 100
    base_rate = base.rate.value if base.rate else 0.0
    return replace(
        row,
        difference=estimate,
        relative=estimate.value / base_rate if base_rate else math.nan,
        p=two_sided_p(estimate),
        p_equivalent=math.nan if margin is None else equivalence_p(estimate, margin),
        detectable=minimal_detectable(estimate, options.alpha, options.power),
        mapsswe=_segment_test(records, base.variant, row.variant) if estimate.seeds == 1 else None,
    )


def _judged(rows: Sequence[Row], options: ReportOptions) -> list[Row]:
    correct = holm if options.correction == "holm" else list
    p, p_equivalent = correct([row.p for row in rows]), correct([row.p_equivalent for row in rows])
    count = sum(row.difference is not None for row in rows)
    level = options.alpha / count if count and options.correction == "holm" else options.alpha
    margin = None if options.equivalence_margin is None else options.equivalence_margin / 100
    return [
        _with_verdict(row, one, None if math.isnan(two) else two, options, level, margin)
        for row, one, two in zip(rows, p, p_equivalent, strict=True)
    ]


def _with_verdict(
    row: Row, p: float, p_equivalent: float | None, options: ReportOptions, level: float, margin: float | None
) -> Row:
    """Judge one row; seeds to settle it are reckoned at the level that the strictest comparison must meet."""
    if row.difference is None:
        return row
    verdict = judge(row.difference.value, p, p_equivalent, options.alpha)
    more = seeds_to_settle(row.difference, level, options.power, margin)
    return replace(
        row,
        p_corrected=p,
        p_equivalent=math.nan if p_equivalent is None else p_equivalent,
        verdict=verdict,
        more_seeds=more if verdict is Verdict.INCONCLUSIVE else None,
    )


def _segment_test(records: Records, base: str, variant: str) -> Mapsswe:
    """Matched-pairs segment test of two single trials, always on words."""
    table = records.utterances
    columns = ["id", "reference", "hypothesis"]
    first = table.loc[table["variant"] == variant, columns]
    second = table.loc[table["variant"] == base, columns]
    both = first.merge(second, on="id", suffixes=("", "_base"))
    return mapsswe(both[["reference", "hypothesis", "hypothesis_base"]].itertuples(index=False, name=None))


def stream_of(variant: str) -> int:
    """Number of a variant's random stream: from its name, so that other rows never change its interval."""
    return zlib.crc32(variant.encode())


def _pairing_notes(rows: Sequence[Row]) -> list[Deviation]:
    return [
        Deviation(row.variant, f"shares {row.difference.seeds} of its {row.finished} seeds with the baseline")
        for row in rows
        if row.difference is not None and row.difference.seeds < row.finished
    ]


def _details(records: Records) -> pd.DataFrame:
    """Rates of each error type and other corpus rates from the utterances, and costs from the metrics."""
    sums = (
        records.utterances.drop(columns=["seed"])
        .groupby(["variant", "trial_key"], observed=True)
        .sum(numeric_only=True, min_count=1)  # what a trial does not have, such as a CTC head, is not zero
    )
    rates = pd.DataFrame(index=sums.index)
    for unit, length in (("word", "words"), ("char", "characters")):
        kinds = [f"{unit}_{kind}" for kind in ("substitutions", "deletions", "insertions")]
        rates[unit[0] + "er"] = sums[kinds].sum(axis=1) / sums[length]
        for kind in kinds:
            rates[kind] = sums[kind] / sums[length]
        for other in ("ctc", "oracle"):
            if f"{other}_{unit}_errors" in sums:
                rates[f"{other}_{unit[0]}er"] = sums[f"{other}_{unit}_errors"] / sums[length]
    rates["length_error"] = _length_error(records.utterances)
    costs = records.runs[records.runs["usable"]].set_index(["variant", "trial_key"])
    rates = rates.join(costs[[metric for metric in names.COSTS if metric in costs]])
    return rates.groupby("variant", observed=True).mean()


def _length_error(utterances: pd.DataFrame) -> pd.Series:
    """Mean absolute difference of token counts, where the results hold them."""
    if "hypothesis_tokens" not in utterances:
        return pd.Series(dtype=float)
    wrong = (utterances["hypothesis_tokens"] - utterances["reference_tokens"]).abs()
    return wrong.groupby([utterances["variant"], utterances["trial_key"]], observed=True).mean()
