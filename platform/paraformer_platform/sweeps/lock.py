"""``sweep.lock.json``: the plan as it was when the sweep began, so that a resume cannot become another sweep.

::

    lock = lock_of(plan, command="paraformer sweep demo.yaml")
    check_resume(path, lock, extend=False)     # refuses drift of plan, data or code, with the differences
    write_lock(path, lock)                     # one atomic rename

What may change on a resume: how it runs (resources, budget, retries), what is kept of it, the report's
settings, and words. With ``extend`` variants, seeds and proposals may be added; nothing is ever taken away.
"""

import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from paraformer_platform.errors import SweepError
from paraformer_platform.sweeps.objective import Objective
from paraformer_platform.sweeps.plan import Plan, PlannedTrial, PlannedVariant
from paraformer_platform.whole_file import write_whole

VERSION = 1
LOCK_FILE = "sweep.lock.json"
COMPARED = ("method", "metric", "baseline", "search", "data_fingerprint", "code_version")
"""What must not change between the begin of a sweep and its end, beside variants, seeds and trials."""
MOST_SHOWN = 10
CONFIRM = "confirm"
"""Stage of the trials that confirm what a search has found; those of the search itself have none."""

Lock = dict[str, Any]


def lock_of(
    plan: Plan,
    command: str = "",
    proposed: Iterable[tuple[PlannedVariant, Iterable[PlannedTrial]]] = (),
    confirmed: Iterable[tuple[PlannedVariant, Iterable[PlannedTrial]]] = (),
) -> Lock:
    """Return the lock of a plan, as plain data.

    Args:
        plan: The plan.
        command: The command that began the sweep.
        proposed: What a search has added so far, in the order of its proposals.
        confirmed: What is trained once more from fresh seeds, the baseline first; see `confirmation`.
    """
    added, fresh = list(proposed), list(confirmed)
    searched = [*plan.variants, *(variant for variant, _ in added)]
    known = {variant.id for variant in searched}
    variants = [*searched, *(variant for variant, _ in fresh if variant.id not in known)]
    trials = [*plan.trials, *(trial for _, trials in added for trial in trials)]
    spec = plan.spec
    lock = {
        "version": VERSION,
        "name": spec.name,
        "hypothesis": spec.hypothesis,
        "method": spec.method,
        "metric": {"name": spec.metric.name, "goal": spec.metric.goal},
        "secondary_metrics": [{"name": item.name, "goal": item.goal} for item in spec.secondary_metrics],
        "baseline": "baseline" if any(variant.id == "baseline" for variant in variants) else None,
        "seeds": list(spec.seeds),
        "factors": _factors(variants),
        "search": _search(plan),
        "confirm": _confirm(plan, [variant.id for variant, _ in fresh]),
        "early_terminate": None if spec.early_terminate is None else vars(spec.early_terminate),
        "aliases": plan.aliases,
        "report": vars(spec.report),
        "checkpoints": vars(spec.checkpoints),
        "data_fingerprint": plan.data_fingerprint,
        "code_version": plan.code_version,
        "command": command,
        "variants": [_variant(variant) for variant in variants],
        "trials": [
            *(_trial(trial) for trial in trials),
            *({**_trial(trial), "stage": CONFIRM} for _, trials in fresh for trial in trials),
        ],
    }
    return dict(json.loads(json.dumps(lock)))  # as it will be read back: tuples are lists


def write_lock(path: Path, lock: Mapping[str, Any]) -> None:
    """Write a lock file; a crash leaves the old one or the new one.

    Raises:
        StorageError: The file cannot be written.
    """
    write_whole(path, json.dumps(lock, indent=1, ensure_ascii=False) + "\n")


def read_lock(path: Path) -> Lock | None:
    """Return a lock; None when there is none.

    Raises:
        SweepError: The file cannot be read.
    """
    try:
        lock = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise SweepError(f"{path} cannot be read: {error}; move it away to begin the sweep afresh") from error
    if not isinstance(lock, dict) or lock.get("version") != VERSION:
        raise SweepError(
            f"{path} is no lock file of version {VERSION}; move it away to begin the sweep afresh"
        )
    return lock


def plan_hash(lock: Mapping[str, Any]) -> str:
    """Return 16 digits that name a plan: what it compares, not the words around it."""
    parts = {name: lock[name] for name in ("name", "seeds", "variants", "trials", *COMPARED)}
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def check_resume(path: Path, lock: Mapping[str, Any], *, extend: bool = False) -> Lock | None:
    """Refuse a lock that differs from the one written when the sweep began.

    Args:
        path: The lock file of the sweep.
        lock: What would be run now.
        extend: Allow additions.

    Returns:
        The lock that is there; None when the sweep is new.

    Raises:
        SweepError: It differs; the message shows how.
    """
    before = read_lock(path)
    if before is None:
        return None
    drift, added = differences(before, lock)
    if drift:
        remedy = "give the sweep a new name, or go back to the file, data and code that it began with"
        raise SweepError(_message(f"{path.parent.name} was begun with another plan", drift, remedy))
    if added and not extend:
        remedy = "say --extend to add this to the sweep"
        raise SweepError(_message(f"{path.parent.name} was begun with a smaller plan", added, remedy))
    return before


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Compare two locks.

    Returns:
        What changed or was taken away, and what was added; a line each.
    """
    drift = [f"{name}: {before[name]} → {now[name]}" for name in COMPARED if _changed(name, before, now)]
    old, new = _entries(before), _entries(now)
    searched = before["search"] is not None
    for name, entry in old.items():
        if name not in new and not (searched and _is_proposed(name, before)):
            drift.append(f"- {name}: {entry}")
        elif name in new and new[name] != entry:
            drift.append(f"{name}: {entry} → {new[name]}")
    added = [f"+ {name}: {entry}" for name, entry in new.items() if name not in old]
    for line, is_addition in _confirm_differences(before.get("confirm"), now.get("confirm")):
        (added if is_addition else drift).append(line)
    if _cap(before) != _cap(now):
        line = f"run_cap: {_cap(before):g} → {_cap(now):g}"
        (added if _cap(now) > _cap(before) else drift).append(line)
    return drift, added


def _changed(name: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    if name == "baseline" and (before["search"] is not None or before.get("confirm") is not None):
        return False  # the search may have proposed it, or the confirmation added it
    if name == "search" and before[name] is not None and now[name] is not None:
        return bool(
            {**before[name], "run_cap": None, "planned": 0} != {**now[name], "run_cap": None, "planned": 0}
        )
    return bool(before[name] != now[name])


def _entries(lock: Mapping[str, Any]) -> dict[str, str]:
    """Every variant and trial, by a name that can be compared, but what confirms: it is chosen again."""
    trials = [trial for trial in lock["trials"] if trial.get("stage") != CONFIRM]
    variants = {trial["variant"] for trial in trials}
    entries = {
        f"variant {variant['id']}": json.dumps(variant["changes"])
        for variant in lock["variants"]
        if variant["id"] in variants
    }
    for trial in trials:
        entries[f"trial {trial['variant']}/seed-{trial['seed']}"] = trial["trial_key"]
    return entries


def _confirm_differences(
    before: Mapping[str, Any] | None, now: Mapping[str, Any] | None
) -> Iterator[tuple[str, bool]]:
    """Yield how the confirmation differs, and whether that only adds to it."""
    if now is None:
        if before is not None:
            yield f"- confirm: {before['top']} best, seeds {before['seeds']}", False
        return
    if before is None:
        yield f"+ confirm: {now['top']} best, seeds {now['seeds']}", True
        return
    if before["top"] != now["top"]:
        yield f"confirm.top: {before['top']} → {now['top']}", now["top"] > before["top"]
    if before["seeds"] != now["seeds"]:
        more = set(before["seeds"]) < set(now["seeds"])
        yield f"confirm.seeds: {before['seeds']} → {now['seeds']}", more


def _cap(lock: Mapping[str, Any]) -> float:
    """Return how many variants the search may propose; none means all there are."""
    cap = (lock["search"] or {}).get("run_cap")
    return math.inf if cap is None else float(cap)


def _is_proposed(name: str, lock: Mapping[str, Any]) -> bool:
    """Tell whether an entry came from the search, which proposes it again when it is resumed."""
    planned = {variant["id"] for variant in lock["variants"][: lock["search"]["planned"]]}
    kind, _, label = name.partition(" ")
    return (label if kind == "variant" else label.rpartition("/")[0]) not in planned


def _message(headline: str, lines: list[str], remedy: str) -> str:
    shown = lines[:MOST_SHOWN] + (
        [f"… and {len(lines) - MOST_SHOWN} more"] if len(lines) > MOST_SHOWN else []
    )
    return "\n  ".join([f"{headline}:", *shown]) + f"\n{remedy}"


def _factors(variants: Iterable[PlannedVariant]) -> dict[str, list[object]]:
    """Every key that some variant sets, with its different values in order."""
    factors: dict[str, list[object]] = {}
    for variant in variants:
        for key, value in variant.changes.items():
            values = factors.setdefault(key, [])
            if value not in values:
                values.append(value)
    return factors


def _search(plan: Plan) -> dict[str, object] | None:
    if plan.searched is None:
        return None
    parameters = {name: repr(config) for name, config in plan.spec.parameters.items()}
    return {
        **vars(plan.spec.search),
        "parameters": parameters,
        "exclude": list(plan.spec.exclude),
        "run_cap": plan.spec.run_cap,
        "planned": len(plan.variants),
    }


def _confirm(plan: Plan, chosen: list[str]) -> dict[str, object] | None:
    settings = plan.spec.confirm
    if settings is None:
        return None
    metric = Objective.of(plan.spec.metric).name
    return {"top": settings.top, "seeds": list(settings.seeds), "metric": metric, "chosen": chosen[1:]}


def _trial(trial: PlannedTrial) -> dict[str, object]:
    return {"trial_key": trial.trial_key, "variant": trial.variant, "seed": trial.seed}


def _variant(variant: PlannedVariant) -> dict[str, object]:
    return {"id": variant.id, "changes": dict(variant.changes), "group": variant.group}
