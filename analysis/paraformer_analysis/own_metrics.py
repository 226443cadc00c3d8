"""Metrics of the user's own: value of every variant, and its difference to the baseline with an interval.

Each utterance has an amount and a weight in the results; the metric of a test set is all amounts over all
weights. Where the weights are the same in every trial (they depend on the reference alone, or are 1), the
difference is resampled like that of error rates. Whether more is better, only the user knows: there is no
verdict.

    Shapes: T trials, U utterances, K seeds, S blocks.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from paraformer_analysis.bootstrap import BlockBootstrap, Estimate
from paraformer_analysis.comparisons import holm, two_sided_p
from paraformer_analysis.names import AMOUNT_PREFIX, WEIGHT_PREFIX
from paraformer_analysis.records import Records
from paraformer_analysis.scores import Floats, Scores
from paraformer_analysis.table import AblationTable, pairs_of, stream_of


@dataclass(frozen=True)
class OwnMetric:
    """One metric of one variant."""

    metric: str
    variant: str
    value: float
    """Mean over the seeds."""
    difference: Estimate | None = None
    """To the baseline; None for the baseline itself, or where weights differ between trials."""
    p: float = math.nan
    p_corrected: float = math.nan


def build_own_metrics(records: Records, table: AblationTable) -> list[OwnMetric]:
    """Measure every own metric that all utterances of all trials have, metric by metric.

    P values are corrected for all metrics and variants together, since all of them are looked at.
    """
    named = [str(column) for column in records.utterances if str(column).startswith(AMOUNT_PREFIX)]
    names = [column.removeprefix(AMOUNT_PREFIX) for column in named]
    found = [one for name in names for one in _measured(records, table, name)]
    correct = holm if table.options.correction == "holm" else list
    corrected = correct([one.p for one in found])
    return [replace(one, p_corrected=p) for one, p in zip(found, corrected, strict=True)]


def _measured(records: Records, table: AblationTable, name: str) -> Iterator[OwnMetric]:
    scores, options = table.scores, table.options
    amounts = _arranged(records, scores, f"{AMOUNT_PREFIX}{name}")
    weights = _arranged(records, scores, f"{WEIGHT_PREFIX}{name}")
    if not (np.isfinite(amounts).all() and np.isfinite(weights).all() and (weights.sum(axis=1) > 0).all()):
        return
    values = dict(zip(scores.trial_keys, amounts.sum(axis=1) / weights.sum(axis=1), strict=True))
    sums = dict(zip(scores.trial_keys, scores.block_sums(amounts), strict=True))
    sizes = scores.block_sums(weights[0])
    comparable = bool((weights == weights[0]).all()) and len(sizes) > 1
    bootstrap = BlockBootstrap(sizes, options.bootstrap, options.seed) if comparable else None
    usable = records.runs[records.runs["usable"]]
    for row in table.rows:
        keys = list(usable.loc[usable["variant"] == row.variant, "trial_key"])
        if not keys:
            continue
        one = OwnMetric(name, row.variant, float(np.mean([values[key] for key in keys])))
        pairs = _pairs(records, table, row.variant)
        if bootstrap is None or not pairs:
            yield one
            continue
        differences = np.stack([sums[after] - sums[before] for before, after in pairs])  # (K, S)
        estimate = bootstrap.estimate(differences, options.alpha, stream_of(row.variant))
        yield replace(one, difference=estimate, p=two_sided_p(estimate))


def _pairs(records: Records, table: AblationTable, variant: str) -> Sequence[tuple[str, str]]:
    base = table.baseline
    return [] if base is None or base.variant == variant else pairs_of(records, base.variant, variant)


def _arranged(records: Records, scores: Scores, column: str) -> Floats:
    """One column of the results as trials × utterances, (T, U); NaN where it is not there."""
    if column not in records.utterances:
        return np.full((len(scores.trial_keys), len(scores.ids)), np.nan)
    by_trial = dict(list(records.utterances.groupby("trial_key", observed=True)))
    rows = [
        pd.Series(by_trial[key][column].to_numpy(), index=by_trial[key]["id"]).reindex(scores.ids)
        for key in scores.trial_keys
    ]
    return np.stack([row.to_numpy(float) for row in rows])
