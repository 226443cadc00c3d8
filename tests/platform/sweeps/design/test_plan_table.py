"""The dry run shows every trial with its key, whole."""

from collections.abc import Callable
from dataclasses import replace
from io import StringIO

from rich.console import Console

from paraformer_platform.sweeps.calibration import Calibration
from paraformer_platform.sweeps.ledger import Record
from paraformer_platform.sweeps.plan import Plan
from paraformer_platform.sweeps.plan_table import plan_table

PlanOf = Callable[[str], Plan]


def printed(plan: Plan, records: dict[str, Record] | None = None) -> str:
    console = Console(width=140, file=StringIO())
    console.print(plan_table(plan, records))
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def test_every_trial_and_what_it_changes_is_shown(plan_of: PlanOf) -> None:
    plan = plan_of("""
hypothesis: Depth matters.
ablate: [{id: shallow, set: {model.encoder.num_layers: 3}}]
seeds: [1, 2]
""")
    text = printed(plan)
    assert "s: baseline + 1 change: 2 variants × 2 seeds = 4 trials" in text
    assert "Hypothesis: Depth matters." in text
    assert "encoder.num_layers = 3" in text
    assert all(trial.trial_key in text for trial in plan.trials)
    assert "Cost: not known before a trial has ended" in text


def test_what_is_done_is_shown_with_the_cost_of_the_rest(plan_of: PlanOf) -> None:
    plan = plan_of("ablate: [{id: shallow, set: {model.encoder.num_layers: 3}}]\nseeds: [1]")
    key = plan.trials[0].trial_key
    text = printed(plan, {key: Record(key, "completed", None, 1, 0, 0, {}, None, None, 120.0)})
    assert "completed" in text
    assert "Cost: 1 trial left, about 2.0 minutes one after the other (by 1 completed trial)" in text


def test_aliases_are_shown_with_the_keys_they_stand_for(plan_of: PlanOf) -> None:
    text = printed(
        plan_of("""
method: fractional
parameters:
  model.use_predictor: {values: [true, false]}
  model.encoder.num_layers: {values: [3, 6]}
  data.cmvn: {values: [true, false]}
  training.accumulate: {values: [1, 2]}
""")
    )
    row = next(line for line in text.splitlines() if line.startswith("AB "))
    assert row.split() == ["AB", "use_predictor", "×", "encoder.num_layers", "CD"]


def test_a_calibration_says_that_it_is_a_guess_and_from_what(plan_of: PlanOf) -> None:
    plan = plan_of("ablate: [{id: a, set: {data.cmvn: false}}]\nseeds: [1]")
    sized = replace(plan, variants=tuple(replace(variant, parameters=1000) for variant in plan.variants))
    epochs = plan.trials[0].config.training.num_epochs
    made = Calibration(600.0, 20, False, "cpu", parameters=1000, epochs=epochs)
    console = Console(width=200, file=StringIO())
    console.print(plan_table(sized, {}, made))
    assert isinstance(console.file, StringIO)
    assert (
        "Cost: 2 trials left, about 20.0 minutes one after the other (by 20 steps of the baseline on this "
        "machine's cpu, a guess in proportion to parameters and epochs, without decoding)"
    ) in console.file.getvalue()
