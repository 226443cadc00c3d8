"""Every number of a report in flat frames, unrounded."""

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from paraformer_analysis import names
from paraformer_analysis.bootstrap import Estimate
from paraformer_analysis.effects import Effects
from paraformer_analysis.history import History
from paraformer_analysis.own_metrics import OwnMetric
from paraformer_analysis.records import Records
from paraformer_analysis.slices import Slice
from paraformer_analysis.table import AblationTable, Row


def numbers(table: AblationTable, records: Records) -> pd.DataFrame:
    """Collect all numbers of the table, a row per variant; rates and differences are fractions."""
    frame = pd.DataFrame([_numbers(row, records.design.rate) for row in table.rows])
    details = table.details.reindex(frame["variant"]).reset_index(drop=True)
    details.columns = [str(column).replace("cost/", "cost_") for column in details.columns]
    return pd.concat([frame, details.drop(columns=[c for c in details if c in frame])], axis=1)


def trial_numbers(records: Records, compared: Records | None) -> pd.DataFrame:
    """Collect what is known of every planned trial; error rates on test only of those that are compared."""
    columns = ["variant", "seed", "stage", "state", "reason", "attempt", "run_id", "commit", "data", "code"]
    frame = records.runs.reindex(columns=["trial_key", *columns, *names.COSTS])
    frame = frame.rename(columns=lambda column: str(column).replace("cost/", "cost_"))
    if compared is None:
        return frame
    errors = ("substitutions", "deletions", "insertions")
    table = compared.utterances
    kinds = {"wer": ("word", "words"), "cer": ("char", "characters")}
    sums = table.groupby("trial_key", observed=True).sum(numeric_only=True)
    for rate, (prefix, length) in kinds.items():
        rates = sums[[f"{prefix}_{kind}" for kind in errors]].sum(axis=1) / sums[length]
        frame[rate] = frame["trial_key"].map(dict(zip(rates.index.astype(str), rates, strict=True)))
    return frame


def effect_numbers(effects: Effects) -> pd.DataFrame:
    """Collect effects of levels in points, with the test of their term."""
    tests = {test.term: test for test in effects.tests}
    changes = {(change.term, change.level): change for change in effects.changes}
    frame = pd.DataFrame(
        [
            {
                "term": effect.term,
                "level": effect.level,
                "effect_points": effect.estimate,
                "effect_points_low": effect.low,
                "effect_points_high": effect.high,
                "term_df": tests[effect.term].freedom,
                "term_df_error": tests[effect.term].freedom_below,
                "term_f": tests[effect.term].f,
                "term_p": tests[effect.term].p,
                "term_p_corrected": tests[effect.term].p_corrected,
                "aliases": ", ".join(tests[effect.term].aliases),
            }
            for effect in effects.effects
        ]
    )
    found = [changes.get((effect.term, effect.level)) for effect in effects.effects]
    for name, bound in (("", "estimate"), ("_low", "low"), ("_high", "high")):
        frame[f"change_points{name}"] = [getattr(change, bound, math.nan) for change in found]
    return frame


def slice_numbers(slices: Sequence[Slice]) -> pd.DataFrame:
    """Collect the comparisons within groups."""
    return pd.DataFrame(
        [
            {
                "group": one.group,
                "level": one.level,
                "utterances": one.utterances,
                "units": one.units,
                "variant": one.variant,
                "rate": one.rate,
                "baseline_rate": one.baseline,
                **_spread("difference", one.difference),
                "p": one.p,
                "p_corrected": one.p_corrected,
                "p_equivalent": one.p_equivalent,
                "verdict": one.verdict.value,
            }
            for one in slices
        ]
    )


def own_metric_numbers(found: Sequence[OwnMetric]) -> pd.DataFrame:
    """Collect the metrics of the user's own."""
    return pd.DataFrame(
        [
            {
                "metric": one.metric,
                "variant": one.variant,
                "value": one.value,
                **_spread("difference", one.difference),
                "p": one.p,
                "p_corrected": one.p_corrected,
            }
            for one in found
        ]
    )


def history_numbers(history: History) -> pd.DataFrame:
    """Collect what a search tried, in its order."""
    return pd.DataFrame(
        [
            {
                "proposal": one.number,
                "variant": one.variant,
                "changes": one.changes,
                "metric": history.metric,
                "value": one.value,
                "best_so_far": one.best_so_far,
                "trials_finished": one.finished,
                "trials_planned": one.planned,
                "trained_again": one.chosen,
            }
            for one in history.proposals
        ]
    )


def _numbers(row: Row, rate: str) -> dict[str, Any]:
    return {
        "variant": row.variant,
        "changes": row.changes,
        "verdict": row.verdict.value,
        "trials_finished": row.finished,
        "trials_planned": row.planned,
        **_spread(rate, row.rate),
        f"{rate}_sd_over_seeds": row.deviation,
        **_spread("difference", row.difference),
        "difference_relative": row.relative,
        "difference_standard_error": row.difference.standard_error if row.difference else math.nan,
        "difference_seed_variance": row.difference.seed_variance if row.difference else math.nan,
        "difference_block_variance": row.difference.block_variance if row.difference else math.nan,
        "difference_material_variance": row.difference.material_variance if row.difference else math.nan,
        "seeds_agree": bool(row.difference and row.difference.seeds_agree),
        "paired_seeds": row.difference.seeds if row.difference else 0,
        "p": row.p,
        "p_corrected": row.p_corrected,
        "p_equivalent": row.p_equivalent,
        "minimal_detectable": row.detectable,
        "more_seeds": row.more_seeds if row.more_seeds is not None else math.nan,
        "mapsswe_z": row.mapsswe.z if row.mapsswe else math.nan,
        "mapsswe_p": row.mapsswe.p if row.mapsswe else math.nan,
    }


def _spread(name: str, estimate: Estimate | None) -> dict[str, float]:
    low, value, high = (estimate.low, estimate.value, estimate.high) if estimate else (math.nan,) * 3
    return {name: value, f"{name}_low": low, f"{name}_high": high}
