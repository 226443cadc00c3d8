"""What must be true of a sweep that was killed and went on, as of one that nobody touched."""

import csv
import difflib
import hashlib
import io
import json
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from besieged import NAME, Besieged

from paraformer_platform.tracking import names
from paraformer_platform.tracking.mlflow_store import RunStore
from paraformer_platform.training.checkpoint import load_checkpoint

MEASURED = ("train_seconds", "gpu_hours", "peak_memory_mb", "rtf")
"""Costs that are measured and differ from run to run; the others, such as parameters, are computed."""
LOAD = "system/"
"""The machine's load, sampled by the clock; that none is drawn twice is seen with the runs."""
TABLES = ("table.csv", "search.csv")
MEASURED_IN_WORDS = ("training seconds", "GPU-hours", "peak memory, MB", "real-time factor")

Points = dict[str, list[tuple[int, float]]]


@dataclass(frozen=True)
class Findings:
    """What a sweep left."""

    table: str
    """table.csv, of a search search.csv, without measured costs."""
    page: str
    """report.md without measured costs."""
    variants: str
    """Every variant of the lock in its order: of a search, what it proposed."""
    weights: dict[str, str]
    """By trial and checkpoint: a digest of the weights, bit for bit."""
    curves: dict[str, Points]
    """By trial and metric: step and value of every point that MLflow holds, measured costs apart."""


def findings(sweep: Besieged) -> Findings:
    """Make the report of a sweep and read its curves."""
    from paraformer_analysis.report import report_sweep

    folder = sweep.folder / "report"
    report_sweep(sweep.tracking_uri, NAME, folder, False)
    store = RunStore(sweep.tracking_uri, "paraformer")
    curves = {key: _points(store, run) for key, run in store.trial_runs().items()}
    variants = json.dumps(_lock(sweep)["variants"], indent=1)
    page = _page(folder / "report.md")
    [table] = [path for name in TABLES if (path := folder / name).exists()]
    return Findings(_table(table), page, variants, _weights(sweep), curves)


def broken_laws(sweep: Besieged, undisturbed: Findings) -> list[str]:
    """Return every law that a sweep broke, in words."""
    found = findings(sweep)
    store = RunStore(sweep.tracking_uri, "paraformer")
    return [
        *_of_results(found, undisturbed),
        *_of_ledger(sweep),
        *_of_runs(sweep, store),
        *_of_steps(sweep),
        *_of_files(sweep),
        *_of_words(sweep),
    ]


def _of_results(found: Findings, undisturbed: Findings) -> list[str]:
    broken = []
    if found.table != undisturbed.table:
        broken.append(f"the table differs:\n{undisturbed.table}\n{found.table}")
    if found.variants != undisturbed.variants:
        broken.append(f"the variants differ:\n{undisturbed.variants}\n{found.variants}")
    if found.weights != undisturbed.weights:
        broken.append(f"the weights differ: {undisturbed.weights} {found.weights}")
    if found.page != undisturbed.page:
        lines = difflib.unified_diff(undisturbed.page.splitlines(), found.page.splitlines(), n=0, lineterm="")
        broken.append("report.md differs:\n" + "\n".join(lines))
    for key, points in undisturbed.curves.items():
        for metric, curve in points.items():
            now = found.curves.get(key, {}).get(metric)
            if now != curve:
                broken.append(f"{key} {metric}: {now} instead of {curve}")
        broken += [f"{key}: additional {metric}" for metric in found.curves.get(key, {}).keys() - points]
    return broken


def _of_ledger(sweep: Besieged) -> list[str]:
    planned, states = _planned(sweep), {key: state for key, state, _ in sweep.ledger()}
    return [
        f"{key} is {states.get(key)} in the ledger"
        for key in planned | states.keys()
        if key not in planned or states.get(key) != "completed"
    ]


def _of_runs(sweep: Besieged, store: RunStore) -> list[str]:
    runs = store.find({names.KIND: names.KIND_TRIAL})
    counts = Counter(run.data.tags[names.TRIAL_KEY] for run in runs)
    parents = store.find({names.KIND: names.KIND_SWEEP})
    broken = [f"{key} has {counts[key]} runs" for key in _planned(sweep) | counts.keys() if counts[key] != 1]
    broken += [f"{len(parents)} parent runs"] if len(parents) != 1 else []
    every = [*store.client.search_runs([store.experiment_id], max_results=1000)]
    broken += [f"{len(every)} runs for {len(runs)} trials"] if len(every) != len(runs) + 1 else []
    for run in every:
        if run.info.status != names.FINISHED:
            broken.append(f"run {run.info.run_name} is {run.info.status}")
        for key in run.data.metrics:
            history = store.client.get_metric_history(run.info.run_id, key)
            steps = Counter(point.step for point in history)
            broken += [
                f"{run.info.run_name}: {key} {number} times at step {step}"
                for step, number in steps.items()
                if number != 1
            ]
        parent = run.data.tags.get(names.PARENT_RUN)
        if names.TRIAL_KEY in run.data.tags and parent not in [one.info.run_id for one in parents]:
            broken.append(f"run {run.info.run_name} belongs to {parent}")
    return broken


def _of_steps(sweep: Besieged) -> list[str]:
    """No step of a completed trial; one process at a time on a trial; at most an epoch made again."""
    setting, broken = sweep.setting, []
    lines: dict[tuple[str, str], list[tuple[int, str]]] = {}
    for key, rank, step, process, is_complete in sweep.steps():
        lines.setdefault((key, rank), []).append((int(step), process))
        if is_complete == "1":
            broken.append(f"{key} was complete, and process {process} made its step {step}")
    if not len(lines) == len(_planned(sweep)) * setting.workers == setting.trials * setting.workers:
        broken.append(f"{len(lines)} sequences of steps")
    for (key, rank), steps in lines.items():
        broken += [f"{key} rank {rank}: {fault}" for fault in _faults(steps, setting)]
    return broken


def _faults(steps: list[tuple[int, str]], setting) -> list[str]:
    faults, last, before, gone = [], 0, "", set()
    for step, process in steps:
        if process != before:
            if process in gone:
                faults.append(f"process {process} made step {step} though {before} had taken over")
            gone.add(before)
            # A resume begins an epoch again: the one that was lost, or the one after the last that was kept.
            lost = last - step + 1
            if (step - 1) % setting.steps_per_epoch or not 0 <= lost <= setting.steps_per_epoch:
                faults.append(f"went on at step {step} after {last}")
        elif step != last + 1:
            faults.append(f"step {step} came after {last} in one process")
        last, before = step, process
    if last != setting.epochs * setting.steps_per_epoch:
        faults.append(f"ended with step {last}")
    return faults


def _of_files(sweep: Besieged) -> list[str]:
    places = {sweep.folder, sweep.storage.resolve()}  # the storage may be another disk
    paths = {path for place in places for path in place.rglob("*")}
    return [f"left over: {path}" for path in paths if re.search(r"\.(partial|tmp)$", path.name)]


def _of_words(sweep: Besieged) -> list[str]:
    logs = [sweep.output(launch) for launch in range(1, sweep.launches + 1)]
    return [f"{log}: a traceback" for log in logs if "Traceback" in log.read_text()]


def strays(sweep: Besieged) -> list[str]:
    """Return the processes of a sweep that still live."""
    return [f"stray process {process}" for process in sweep.processes()]


def _planned(sweep: Besieged) -> set[str]:
    return {trial["trial_key"] for trial in _lock(sweep)["trials"]}


def _lock(sweep: Besieged) -> dict:
    return json.loads((sweep.storage / "sweeps" / NAME / "sweep.lock.json").read_text())


def _points(store: RunStore, run) -> Points:
    keys = [key for key in run.data.metrics if not (key.endswith(MEASURED) or key.startswith(LOAD))]
    histories = {key: store.client.get_metric_history(run.info.run_id, key) for key in keys}
    return {key: sorted((point.step, point.value) for point in history) for key, history in histories.items()}


def _weights(sweep: Besieged) -> dict[str, str]:
    digests = {}
    for path in sorted(sweep.storage.glob("trials/*/checkpoints/*.pt")):
        weights = load_checkpoint(path).weights
        parts = b"".join(name.encode() + weights[name].numpy().tobytes() for name in sorted(weights))
        digests[f"{path.parents[1].name}/{path.name}"] = hashlib.sha256(parts).hexdigest()
    return digests


def _table(path: Path) -> str:
    rows = list(csv.DictReader(io.StringIO(path.read_text())))
    kept = [{key: value for key, value in row.items() if not key.endswith(MEASURED)} for row in rows]
    return "\n".join(json.dumps(row) for row in kept)


def _page(path: Path) -> str:
    """Blank the columns of measured costs, and leave out how many attempts were made."""
    lines, columns = [], []
    for line in path.read_text().splitlines():
        if re.search(r"took \d+ attempts", line):
            continue
        cells = line.split(" | ")
        if not line.startswith("|"):
            columns = []
        elif not columns:
            columns = [place for place, cell in enumerate(cells) if cell.strip("| ") in MEASURED_IN_WORDS]
        line = re.sub(r"[\d.e-]+ hours of training", "… hours of training", line)
        cells = line.split(" | ")
        lines.append(" | ".join("" if place in columns else cell for place, cell in enumerate(cells)))
    return "\n".join(lines)
