"""Every number of a report in one flat frame, unrounded, one row per variant."""

import math
from typing import Any

import pandas as pd

from paraformer_analysis.bootstrap import Estimate
from paraformer_analysis.records import Records
from paraformer_analysis.table import AblationTable, Row


def numbers(table: AblationTable, records: Records) -> pd.DataFrame:
    """Collect all numbers; rates and differences are fractions, not percent."""
    frame = pd.DataFrame([_numbers(row, records.design.rate) for row in table.rows])
    details = table.details.reindex(frame["variant"]).reset_index(drop=True)
    details.columns = [str(column).replace("cost/", "cost_") for column in details.columns]
    return pd.concat([frame, details.drop(columns=[c for c in details if c in frame])], axis=1)


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
