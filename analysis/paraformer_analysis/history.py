"""What a search tried, in its order: values on dev, the best so far, and what mattered.

All of it is descriptive. A search chooses its next variants by the results of earlier ones, so their values
are no independent sample of anything, and the best of them was lucky too. Test scores of these trials are not
shown anywhere: what is chosen by dev and then picked by test was chosen by test.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from paraformer_analysis import names
from paraformer_analysis.importances import importances
from paraformer_analysis.records import Records


@dataclass(frozen=True)
class Proposal:
    """One variant that a search tried."""

    number: int
    """Place in the order of the search, from 1."""
    variant: str
    changes: str
    value: float
    """Mean over seeds of what the search chose by; NaN when a seed has no result."""
    best_so_far: float
    finished: int
    planned: int
    state: str
    """Why trials are lacking; empty when none is."""
    chosen: bool
    """Whether it was trained again from fresh seeds."""


@dataclass(frozen=True)
class History:
    """A search from its first proposal to its last."""

    metric: str
    """What it chose by, never a score of the test set."""
    goal: str
    proposals: tuple[Proposal, ...]
    importances: Mapping[str, float] | None
    """Share of each parameter in what made variants good, the largest first; None for too few."""

    @property
    def ranked(self) -> list[Proposal]:
        """Proposals, the best first, those without a value last, each as proposed."""
        sign = 1 if self.goal == "minimize" else -1
        return sorted(
            self.proposals, key=lambda one: (math.isnan(one.value), sign * one.value if one.value else 0.0)
        )

    @property
    def in_percent(self) -> bool:
        """Whether the values are error rates."""
        return self.metric.rpartition("/")[2] in ("wer", "cer")


def search_history(records: Records) -> History:
    """Follow a search through its trials.

    Args:
        records: Trials of the search itself, see ``stages.searched``.
    """
    design = records.design
    values = _values(records)
    best, proposals = math.nan, []
    for number, variant in enumerate(design.variants, start=1):
        cells = records.runs[records.runs["variant"] == variant.id]
        found = [values.get(key, math.nan) for key in cells["trial_key"]]
        value = sum(found) / len(found) if found else math.nan
        better = value > best if design.goal == "maximize" else value < best
        best = value if better or math.isnan(best) else best
        proposals.append(
            Proposal(
                number=number,
                variant=variant.id,
                changes=", ".join(f"{key} = {setting}" for key, setting in variant.changes.items()),
                value=value,
                best_so_far=best,
                finished=int(cells["usable"].sum()),
                planned=len(cells),
                state="; ".join(sorted(set(cells.loc[~cells["usable"], "reason"]))),
                chosen=design.confirm is not None and variant.id in design.confirm.chosen,
            )
        )
    return History(design.objective, design.goal, tuple(proposals), _importances(records, proposals))


def _values(records: Records) -> dict[str, float]:
    """Value of the objective at the epoch whose weights were tested, by trial."""
    objective, curves = records.design.objective, records.curves
    selection = records.params.get(names.SELECTION, pd.Series(dtype=object))
    found = {}
    for key, points in curves.groupby("trial_key", observed=True):
        chosen_by = selection.get(key)
        by_metric = {
            metric: part.drop_duplicates("step", keep="last").set_index("step")["value"]
            for metric, part in points.groupby("metric", observed=True)
        }
        course = by_metric.get(objective)
        if course is None or course.dropna().empty:
            continue
        judged = by_metric.get(str(chosen_by), course)
        if judged.dropna().empty:
            continue
        falls = judged is not course or records.design.goal == "minimize"
        step = judged.idxmin() if falls else judged.idxmax()
        found[str(key)] = float(course.get(step, math.nan))
    return found


def _importances(records: Records, proposals: list[Proposal]) -> Mapping[str, float] | None:
    params = pd.DataFrame([dict(variant.changes) for variant in records.design.variants])
    sign = -1 if records.design.goal == "maximize" else 1
    values = pd.Series([sign * proposal.value for proposal in proposals], dtype=float)
    complete = params.notna().all(axis=1) & values.notna()
    return importances(params[complete], values[complete])
