"""What a reader of the table must know about its making: cells left out, retries, mixed code or machines."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from paraformer_analysis.design import Design

MIXED_TAGS = {
    "data": "data fingerprints: the trials were not trained and tested on the same data",
    "code": "code versions: differences may come from the code",
    "commit": "git commits",
}
MIXED_MACHINES = {
    "cpu": "kinds of processor: times, memory and RTF cannot be compared",
    "gpu": "kinds of GPU: times and memory cannot be compared, last digits may differ",
    "torch": "versions of torch",
}


@dataclass(frozen=True)
class Deviation:
    """Something that a reader of the table must know about its making."""

    subject: str
    """Trial or variant concerned."""
    what: str
    red: bool = False
    """Whether it puts comparisons in doubt; otherwise it is told for the record."""


def deviations_of(
    runs: pd.DataFrame, design: Design, environments: Sequence[Mapping[str, Any]], params: pd.DataFrame
) -> list[Deviation]:
    """List what departed from the plan.

    Args:
        runs: One row per planned trial, see ``records.Records.runs``.
        design: The plan.
        environments: Distinct descriptions of where usable trials ran.
        params: Parameters of the usable trials by trial_key.
    """
    usable = runs[runs["usable"]]
    found = [*_left_out(runs), *_odd_trials(usable, params), *_mixed(usable, environments)]
    if design.baseline is None and not design.searches:
        found.append(Deviation("the sweep", "declares no baseline: rates are shown, nothing is tested"))
    return sorted(found, key=lambda deviation: not deviation.red)


def _left_out(runs: pd.DataFrame) -> Iterable[Deviation]:
    for _, run in runs[~runs["usable"]].iterrows():
        yield Deviation(_name(run), f"left out: {run['reason']}", red=True)


def _odd_trials(usable: pd.DataFrame, params: pd.DataFrame) -> Iterable[Deviation]:
    planned = pd.to_numeric(params.get("training.num_epochs", pd.Series(dtype=float)), errors="coerce")
    for _, run in usable.iterrows():
        if run["attempt"] > 1:
            what = f"took {run['attempt']} attempts; each went on from the last one's checkpoint"
            yield Deviation(_name(run), what)
        if run["not_finite"]:
            yield Deviation(_name(run), f"{run['not_finite']} not finite at the end", red=True)
        if run["dirty"]:
            yield Deviation(_name(run), "made from a checkout with uncommitted changes", red=True)
        epochs, whole = run.get("epoch"), planned.get(run["trial_key"])
        if pd.notna(epochs) and pd.notna(whole) and epochs < whole:
            what = f"ended after {epochs:g} of {whole:g} epochs, its dev score no longer improving"
            yield Deviation(_name(run), what)


def _mixed(usable: pd.DataFrame, environments: Sequence[Mapping[str, Any]]) -> Iterable[Deviation]:
    for column, what in MIXED_TAGS.items():
        values = sorted(set(usable[column]) - {""})
        if len(values) > 1:
            yield Deviation("all trials", f"made from {len(values)} {what} ({', '.join(values)})", red=True)
    for key, what in MIXED_MACHINES.items():
        kinds = sorted({_shown(environment.get(key)) for environment in environments})
        if len(kinds) > 1:
            yield Deviation("all trials", f"trained on {len(kinds)} {what} ({', '.join(kinds)})", red=True)


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return " + ".join(map(str, value)) or "none"
    return str(value or "not told")


def _name(run: "pd.Series[Any]") -> str:
    return f"{run['variant']}, seed {run['seed']}"
