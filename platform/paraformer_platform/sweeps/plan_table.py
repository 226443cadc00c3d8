"""What ``paraformer sweep FILE --dry-run`` prints: the plan as tables."""

from collections.abc import Iterator, Mapping
from typing import cast

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from paraformer_platform.sweeps.calibration import Calibration
from paraformer_platform.sweeps.cost import Estimate, estimate
from paraformer_platform.sweeps.ledger import PLANNED, Record
from paraformer_platform.sweeps.plan import Plan, PlannedTrial, PlannedVariant

CHANGES_SHOWN = 4


def plan_table(
    plan: Plan, records: Mapping[str, Record] | None = None, calibration: Calibration | None = None
) -> Group:
    """Return the whole plan for printing.

    Args:
        plan: The plan.
        records: What the ledger knows of its trials, by trial_key.
        calibration: A few steps of the baseline, for the cost.
    """
    known = records or {}
    parts: list[RenderableType] = [Text(f"{plan.spec.name}: {plan.arithmetic}", style="bold")]
    if plan.spec.hypothesis:
        parts.append(Text(f"Hypothesis: {plan.spec.hypothesis}"))
    if plan.trials:
        parts.append(trial_table(plan, known))
    if plan.aliases is not None:
        parts.append(alias_table(plan.aliases))
    if plan.searched is not None:
        parts.append(Text(f"{plan.spec.search.sampler} proposes up to {plan.searched} variants"))
    parts.append(Text(cost_line(estimate(plan, known, calibration))))
    parts.append(Text(f"data {plan.data_fingerprint} · code {plan.code_version}", style="dim"))
    return Group(*parts)


def plan_rows(plan: Plan, records: Mapping[str, Record]) -> list[dict[str, object]]:
    """Return a row for every planned trial, for programs."""
    variants = {variant.id: variant for variant in plan.variants}
    return [
        {
            "variant": trial.variant,
            "seed": trial.seed,
            "trial_key": trial.trial_key,
            "state": records[trial.trial_key].state if trial.trial_key in records else PLANNED,
            "parameters": variants[trial.variant].parameters,
            "changes": dict(variants[trial.variant].changes),
        }
        for trial in plan.trials
    ]


def trial_table(plan: Plan, records: Mapping[str, Record]) -> Table:
    """Return a row for every variant × seed."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("variant", "seed", "trial_key", "state", "parameters", "changes"):
        is_number = heading in ("seed", "parameters")
        # A key or an id is folded, never cut: it is there to be copied.
        table.add_column(heading, justify="right" if is_number else "left", overflow="fold")
    table.columns[2].no_wrap = True
    variants = {variant.id: variant for variant in plan.variants}
    above = None
    for trial in plan.trials:
        table.add_row(
            *_row(trial, variants[trial.variant], records.get(trial.trial_key), trial.variant != above)
        )
        above = trial.variant
    return table


def alias_table(aliases: Mapping[str, object]) -> Table:
    """Return which effects of a fractional design cannot be told apart."""
    table = Table(box=None, padding=(0, 2, 0, 0), title="Aliases", title_justify="left")
    for heading in ("effect", "of", "cannot be told from"):
        table.add_column(heading)
    factors = cast("Mapping[str, str]", aliases["factors"])
    for effect, others in cast("Mapping[str, list[str]]", aliases["effects"]).items():
        keys = " × ".join(factors[letter].split(".", 1)[-1] for letter in effect)
        table.add_row(effect, keys, " ".join(others) or "nothing of up to three factors")
    return table


def cost_line(cost: Estimate | None) -> str:
    """Return the estimated cost in one line."""
    if cost is None:
        return "Cost: not known before a trial has ended; --calibrate guesses it from a few steps"
    hours = f", {cost.gpu_hours:.1f} GPU-hours" if cost.gpu_hours else ""
    minutes = cost.seconds / 60
    basis = " and ".join(_basis(cost))
    trials = f"{cost.left} trial{'' if cost.left == 1 else 's'}"
    return f"Cost: {trials} left, about {minutes:.1f} minutes one after the other{hours} (by {basis})"


def _basis(cost: Estimate) -> Iterator[str]:
    """Say what an estimate rests on."""
    if cost.measured:
        yield f"{cost.measured} completed trial{'s' if cost.measured > 1 else ''}"
    if (made := cost.calibration) is not None:
        decoding = "" if made.with_decoding else ", without decoding"
        yield (
            f"{made.steps} steps of the baseline on this machine's {made.device}, "
            f"a guess in proportion to parameters and epochs{decoding}"
        )


def _row(trial: PlannedTrial, variant: PlannedVariant, record: Record | None, is_first: bool) -> list[str]:
    size = "" if variant.parameters is None else f"{variant.parameters:,}"
    state = PLANNED if record is None else record.state
    # Values once for each variant, not for each seed.
    described = [variant.id, size, _changes(variant)] if is_first else ["", "", ""]
    return [described[0], str(trial.seed), trial.trial_key, state, described[1], described[2]]


def _changes(variant: PlannedVariant) -> str:
    lines = [f"{key.removeprefix('model.')} = {value}" for key, value in variant.changes.items()]
    more = [f"and {len(lines) - CHANGES_SHOWN} more"] if len(lines) > CHANGES_SHOWN else []
    return "\n".join([*lines[:CHANGES_SHOWN], *more])
