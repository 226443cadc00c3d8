"""A sweep's trials out of MLflow as frames: one of runs, one of utterances, one of learning curves.

Nothing is left out silently: every planned trial has a row in ``runs``, with its state and, where its result
cannot be used, the reason; what happened on the way is listed in ``deviations``.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from paraformer_analysis import names
from paraformer_analysis.design import Cell, Design, Variant, parse_lock
from paraformer_analysis.deviations import Deviation, deviations_of
from paraformer_analysis.errors import AnalysisError
from paraformer_analysis.results import parse_results
from paraformer_analysis.store import TrackingStore


@dataclass(frozen=True)
class Records:
    """All that a report is made from."""

    design: Design
    runs: pd.DataFrame
    """One row per planned trial: its key, variant, seed, stage, state, whether it was stopped early, whether
    and why not it is usable, tags, metrics."""
    utterances: pd.DataFrame
    """One row per test utterance of each usable trial."""
    curves: pd.DataFrame
    """Metric points: trial_key, variant, seed, metric, step, value."""
    environments: tuple[Mapping[str, Any], ...]
    """Distinct descriptions of where the trials ran."""
    deviations: tuple[Deviation, ...]
    params: pd.DataFrame = field(default_factory=pd.DataFrame)
    """Parameters of the usable trials by trial_key."""
    parent_run_id: str | None = None
    """Run that the report is logged to."""
    experiment_id: str = ""


def read_sweep(store: TrackingStore, name: str) -> Records:
    """Read a sweep by its name or the id of its parent run.

    Raises:
        AnalysisError: no such sweep, no lock file, or no finished trial.
    """
    parent = store.find_sweep(name)
    lock = store.artifact(parent, names.LOCK_FILE)
    if lock is None:
        raise AnalysisError(
            f"the sweep {name!r} (run {parent.info.run_id}) has no {names.LOCK_FILE}: it was stopped before "
            "its plan was recorded. Run the sweep again with the same file"
        )
    design = parse_lock(lock.decode(), f"{names.LOCK_FILE} of run {parent.info.run_id}")
    trials = store.trials(parent.info.experiment_id)
    return _collect(store, design, trials, parent.info.run_id, parent.info.experiment_id)


def read_pair(store: TrackingStore, first: str, second: str) -> Records:
    """Read any two trials, by run id or run name, as a sweep of one variant against a baseline.

    Raises:
        AnalysisError: a run that is not there, the same run twice, or one without results.
    """
    runs = [store.find_trial(first), store.find_trial(second)]
    keys = [run.data.tags[names.TRIAL_KEY] for run in runs]
    if keys[0] == keys[1]:
        raise AnalysisError(f"{first!r} and {second!r} are the same trial {keys[0]}; name two different ones")
    labels = _distinct(first, second, runs)
    seeds = [int(run.data.tags.get(names.SEED) or 0) for run in runs]
    design = Design(
        name=f"{labels[0]} and {labels[1]}",
        variants=(Variant(labels[0]), Variant(labels[1], _parameter_changes(*runs))),
        cells=tuple(Cell(key, label, seeds[0]) for key, label in zip(keys, labels, strict=True)),
        baseline=labels[0],
        method="compare",
        seeds=(seeds[0],),
        command=f"paraformer report --compare {first} {second}",
    )
    records = _collect(store, design, runs, None, runs[0].info.experiment_id)
    if seeds[0] == seeds[1]:
        return records
    note = Deviation(labels[1], f"trained from seed {seeds[1]}, the other from seed {seeds[0]}")
    return _with_deviations(records, [note])


def _distinct(first: str, second: str, runs: Sequence[Any]) -> list[str]:
    shown = [run.data.tags.get(names.DISPLAY_NAME) or run.info.run_id for run in runs]
    return shown if shown[0] != shown[1] else [first, second]


def _parameter_changes(first: Any, second: Any) -> dict[str, Any]:
    before, after = first.data.params, second.data.params
    return {key: after.get(key) for key in sorted({*before, *after}) if before.get(key) != after.get(key)}


def _with_deviations(records: Records, more: Sequence[Deviation]) -> Records:
    return Records(**{**records.__dict__, "deviations": (*records.deviations, *more)})


def _collect(
    store: TrackingStore, design: Design, trials: Sequence[Any], parent: str | None, experiment: str
) -> Records:
    deviations: list[Deviation] = []
    chosen = _choose(design, trials, deviations)
    found = [run for run in chosen.values() if run is not None]
    tables = dict(zip((_key(run) for run in found), store.artifacts(found, names.TEST_FILE), strict=True))
    rows, frames = [], []
    for cell in design.cells:
        row, frame = _read_cell(cell, chosen[cell.trial_key], tables.get(cell.trial_key))
        rows.append(row)
        if frame is not None:
            frames.append(frame)
    runs = pd.DataFrame(rows)
    if not frames:
        raise AnalysisError(_nothing_finished(design, runs))
    finished = [run for run in found if _key(run) in set(runs.loc[runs["usable"], "trial_key"])]
    params = pd.DataFrame({_key(run): run.data.params for run in finished}).T
    environments = _environments(store, finished)
    deviations += deviations_of(runs, design, environments, params)
    return Records(
        design=design,
        runs=runs,
        utterances=_join(frames),
        curves=_curves(store, finished, runs, _followed(design, params)),
        environments=environments,
        deviations=tuple(deviations),
        params=params,
        parent_run_id=parent,
        experiment_id=experiment,
    )


def _key(run: Any) -> str:
    return str(run.data.tags.get(names.TRIAL_KEY, run.info.run_id))


def _choose(design: Design, trials: Sequence[Any], deviations: list[Deviation]) -> dict[str, Any]:
    """Pick one run per planned trial: a completed one before others, then the oldest."""
    by_key: dict[str, list[Any]] = {cell.trial_key: [] for cell in design.cells}
    for run in trials:
        by_key.get(_key(run), []).append(run)
    for key, runs in by_key.items():
        runs.sort(key=lambda run: (_state(run) != names.COMPLETED, run.info.start_time, run.info.run_id))
        if len(runs) > 1:
            others = ", ".join(run.info.run_id for run in runs[1:])
            deviations.append(
                Deviation(key, f"has {len(runs)} runs; {runs[0].info.run_id} is used, not {others}")
            )
    return {key: runs[0] if runs else None for key, runs in by_key.items()}


def _state(run: Any) -> str:
    return str(
        run.data.tags.get(names.STATE) or names.STATE_OF_STATUS.get(run.info.status, run.info.status.lower())
    )


def _read_cell(cell: Cell, run: Any, table: bytes | None) -> tuple[dict[str, Any], pd.DataFrame | None]:
    row: dict[str, Any] = {"trial_key": cell.trial_key, "variant": cell.variant, "seed": cell.seed}
    row |= {"stage": cell.stage, "early": False}
    if run is None:
        return {**row, "state": names.MISSING, "usable": False, "reason": "no run in the store"}, None
    tags, state = run.data.tags, _state(run)
    row |= {
        "state": state,
        "early": state == names.STOPPED and tags.get(names.ERROR, "").startswith(names.STOPPED_EARLY),
        "run_id": run.info.run_id,
        "attempt": int(tags.get(names.ATTEMPT) or 1),
        "error": tags.get(names.ERROR) or "",
        "data": tags.get(names.DATA, ""),
        "code": tags.get(names.CODE, ""),
        "commit": tags.get(names.GIT_COMMIT, ""),
        "dirty": tags.get(names.GIT_DIRTY, "") == "true",
        "not_finite": ", ".join(k for k, v in sorted(run.data.metrics.items()) if not math.isfinite(v)),
        **run.data.metrics,
    }
    if state != names.COMPLETED:
        reason = row["error"] if row["early"] else _excuse(state, row["error"])
        return {**row, "usable": False, "reason": reason}, None
    frame, fault = parse_results(table)
    if frame is None:
        return {**row, "usable": False, "reason": fault}, None
    return {**row, "usable": True, "reason": ""}, frame.assign(
        trial_key=cell.trial_key, variant=cell.variant, seed=cell.seed
    )


def _excuse(state: str, error: str) -> str:
    first = error.splitlines()[0] if error else ""
    return f"{state}: {first}" if first else state


def _join(frames: Iterable[pd.DataFrame]) -> pd.DataFrame:
    joined = pd.concat(frames, ignore_index=True)
    return joined.astype({"trial_key": "category", "variant": "category"})


def _nothing_finished(design: Design, runs: pd.DataFrame) -> str:
    reasons = runs["reason"].value_counts()
    listed = "; ".join(f"{count} × {reason}" for reason, count in reasons.items())
    return (
        f"the sweep {design.name!r} has no finished trial with results: of {len(runs)} planned, {listed}. "
        "Wait for it (paraformer status), or run the sweep again to go on with it"
    )


def _followed(design: Design, params: pd.DataFrame) -> list[str]:
    """Metrics whose course is read: for the learning curves, and what a search chose by at which epoch."""
    chosen = set(params[names.SELECTION].dropna()) if design.searches and names.SELECTION in params else set()
    searched = {design.objective, *chosen} if design.searches else set()
    return list(dict.fromkeys([f"dev/{design.rate}", "train/loss", *sorted(searched)]))


def _curves(
    store: TrackingStore, finished: Sequence[Any], runs: pd.DataFrame, metrics: Sequence[str]
) -> pd.DataFrame:
    cells = runs.set_index("trial_key")
    rows = []
    for metric in metrics:
        for run, points in zip(finished, store.histories(finished, metric), strict=True):
            cell = cells.loc[_key(run)]
            rows += [
                (_key(run), cell["variant"], cell["seed"], metric, point.step, point.value)
                for point in points
            ]
    return pd.DataFrame(rows, columns=["trial_key", "variant", "seed", "metric", "step", "value"])


def _environments(store: TrackingStore, finished: Sequence[Any]) -> tuple[Mapping[str, Any], ...]:
    texts = {text for text in store.artifacts(finished, names.ENVIRONMENT_FILE) if text is not None}
    return tuple(json.loads(text) for text in sorted(texts))
