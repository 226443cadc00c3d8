"""How much each searched parameter mattered to a search, by Optuna's PED-ANOVA.

Descriptive only: the search chose its own trials, so nothing here is tested, and the numbers lean to the
regions that it liked.
"""

import warnings
from typing import Any

import numpy as np
import pandas as pd

BEST_SHARE = 0.25
"""Trials that count as good ones."""
LEAST_TRIALS = 8
"""Trials below which a share of importance means nothing."""


def importances(params: pd.DataFrame, values: pd.Series) -> dict[str, float] | None:
    """Share of each parameter in what made trials good, adding up to one.

    Args:
        params: One row per trial, one column per searched parameter.
        values: Error rate of each trial.

    Returns:
        Shares by parameter, the largest first; None for too few trials or without a varying parameter.
    """
    varying = [column for column in params if params[column].nunique() > 1]
    if len(params) < LEAST_TRIALS or not varying or values.nunique() < 2:
        return None
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PED-ANOVA is marked experimental
        study = optuna.create_study(direction="minimize")
        for (_, row), value in zip(params[varying].iterrows(), values, strict=True):
            study.add_trial(_frozen(row, float(value), params[varying]))
        evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=BEST_SHARE)
        found = optuna.importance.get_param_importances(study, evaluator=evaluator, params=varying)
    total = sum(found.values())
    return {key: value / total for key, value in found.items()} if total > 0 else None


def _frozen(row: "pd.Series[Any]", value: float, params: pd.DataFrame) -> Any:
    import optuna

    distributions: dict[str, optuna.distributions.BaseDistribution] = {}
    settings: dict[str, object] = {}
    for column in map(str, params):
        numbers = pd.to_numeric(params[column], errors="coerce")
        if np.isfinite(numbers).all():
            distributions[column] = optuna.distributions.FloatDistribution(
                float(numbers.min()), float(numbers.max())
            )
            settings[column] = float(pd.to_numeric(row[column]))
        else:
            distributions[column] = optuna.distributions.CategoricalDistribution(
                sorted(params[column].astype(str).unique())
            )
            settings[column] = str(row[column])
    return optuna.trial.create_trial(params=settings, distributions=distributions, value=value)
