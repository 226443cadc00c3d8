"""Plans: sizes of designs, identity of trials, and purity."""

from collections.abc import Callable
from dataclasses import replace
from itertools import product
from math import prod
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paraformer_platform.config.schema import ExperimentConfig
from paraformer_platform.sweeps.cost import count_parameters, estimate
from paraformer_platform.sweeps.designs import design, short_names
from paraformer_platform.sweeps.ledger import Record
from paraformer_platform.sweeps.plan import Plan, load_base, make_plan
from paraformer_platform.sweeps.space import ParameterConfig
from paraformer_platform.sweeps.spec import AblateConfig, SweepSpec

PlanOf = Callable[[str], Plan]
SpecOf = Callable[[str], SweepSpec]

KEYS = (
    "training.num_epochs",
    "training.batch_size",
    "training.accumulate",
    "model.encoder.num_layers",
    "data.max_token_len",
)
BASE = ExperimentConfig()


def planned(spec: SweepSpec, base: ExperimentConfig = BASE) -> Plan:
    return make_plan(spec, base, data_fingerprint="data", code_version="code")


def spec(**keys: object) -> SweepSpec:
    made = SweepSpec(name="s", base="b", **keys)  # type: ignore[arg-type]
    assert not made.faults()
    return made


levels = st.lists(st.integers(1, 5), min_size=1, max_size=4)
seeds = st.lists(st.integers(0, 99), min_size=1, max_size=4, unique=True).map(tuple)


@settings(max_examples=40)
@given(sizes=levels, seeds=seeds)
def test_a_grid_has_the_product_of_its_levels_times_the_seeds(
    sizes: list[int], seeds: tuple[int, ...]
) -> None:
    parameters = {
        key: ParameterConfig(values=tuple(range(1, n + 1))) for key, n in zip(KEYS, sizes, strict=False)
    }
    plan = planned(spec(method="grid", parameters=parameters, seeds=seeds))
    assert len(plan.variants) == prod(sizes)
    assert len({trial.trial_key for trial in plan.trials}) == len(plan.trials) == prod(sizes) * len(seeds)
    assert {(trial.variant, trial.seed) for trial in plan.trials} == set(
        product((variant.id for variant in plan.variants), seeds)
    )


@settings(max_examples=40)
@given(changes=st.integers(1, 5), pairs=st.integers(0, 4), seeds=seeds)
def test_an_ablation_is_the_baseline_and_one_each(changes: int, pairs: int, seeds: tuple[int, ...]) -> None:
    pairs = min(pairs, changes - 1)
    others = tuple(f"v{index}" for index in range(1, pairs + 1))
    ablate = tuple(
        AblateConfig(id=f"v{index}", set={KEYS[index]: 7}, also_with=others if index == 0 else ())
        for index in range(changes)
    )
    plan = planned(spec(ablate=ablate, seeds=seeds))
    assert plan.variants[0].id == plan.baseline == "baseline"
    assert plan.variants[0].changes == {}
    assert [len(variant.changes) for variant in plan.variants] == [0] + [1] * changes + [2] * pairs
    assert len(plan.trials) == (1 + changes + pairs) * len(seeds)


def test_each_variant_changes_its_own_keys_only(plan_of: PlanOf) -> None:
    plan = plan_of(
        "ablate: [{id: narrow, set: {model.encoder.hidden_dim: 64, model.decoder.hidden_dim: 64}}]"
    )
    baseline, narrow = (variant.config for variant in plan.variants)
    model = narrow.model
    assert model.encoder.hidden_dim == model.decoder.hidden_dim == 64
    undone = replace(
        narrow,
        model=replace(
            model,
            encoder=replace(model.encoder, hidden_dim=512),
            decoder=replace(model.decoder, hidden_dim=512),
        ),
    )
    assert undone == baseline


def test_a_grid_knows_its_baseline(plan_of: PlanOf) -> None:
    plan = plan_of("""
method: grid
parameters: {model.encoder.num_layers: {values: [3, 6]}, data.cmvn: {values: [false, true]}}
""")
    assert plan.baseline == plan.variants[0].id == "baseline"
    assert [variant.id for variant in plan.variants[1:]] == [
        "num_layers=3,cmvn=false",
        "num_layers=3,cmvn=true",
        "num_layers=6,cmvn=false",
    ]
    assert plan_of("method: grid\nparameters: {model.encoder.num_layers: {values: [3, 4]}}").baseline is None


def test_a_plan_is_a_pure_function() -> None:
    made = spec(
        method="random",
        parameters={
            "training.learning_rate": ParameterConfig(min=1e-4, max=1e-2, distribution="log_uniform_values"),
            "model.use_predictor": ParameterConfig(values=(True, False), outer="grid"),
        },
        run_cap=7,
    )
    first, second = planned(made), planned(made)
    assert first == second
    # The same draws inside each outer cell.
    rates = [(v.changes["model.use_predictor"], v.changes["training.learning_rate"]) for v in first.variants]
    assert len(rates) == 14
    assert {rate for on, rate in rates if on} == {rate for on, rate in rates if not on}


@settings(max_examples=20)
@given(cap=st.integers(1, 15))
def test_a_random_sweep_of_a_small_space_repeats_nothing(cap: int) -> None:
    parameters = {
        "training.num_epochs": ParameterConfig(min=1, max=4),
        "training.accumulate": ParameterConfig(min=1, max=3),
    }
    plan = planned(spec(method="random", parameters=parameters, run_cap=cap))
    assert len(plan.trials) == min(cap, 12)


def test_listed_and_included_points(plan_of: PlanOf) -> None:
    text = "include: [{id: a, set: {data.cmvn: false}}, {id: baseline}]"
    assert [variant.id for variant in plan_of("method: list\n" + text).variants] == ["a", "baseline"]
    grid = "method: grid\nparameters: {model.encoder.num_layers: {values: [3, 4]}}\n"
    assert plan_of(grid + text).baseline == "baseline"


def test_excluded_cells_and_conditions(plan_of: PlanOf) -> None:
    plan = plan_of("""
method: grid
parameters:
  model.use_predictor: {values: [true, false]}
  model.sampler.ratio: {values: [0.2, 0.4], when: model.use_predictor}
  model.encoder.num_layers: {values: [3, 6]}
exclude: ["model.encoder.num_layers == 6 and not model.use_predictor"]
""")
    assert [tuple(variant.changes.values()) for variant in plan.variants] == [
        (True, 0.4, 6),  # the baseline comes first
        (True, 0.2, 3),
        (True, 0.2, 6),
        (True, 0.4, 3),
        (False, 3),
    ]


def test_a_fractional_plan_keeps_its_aliases(plan_of: PlanOf) -> None:
    plan = plan_of("""
method: fractional
parameters:
  model.use_predictor: {values: [true, false]}
  model.encoder.num_layers: {values: [3, 6]}
  data.cmvn: {values: [true, false]}
  training.accumulate: {values: [1, 2]}
""")
    assert len(plan.variants) == 8
    assert plan.baseline == plan.variants[0].id
    assert plan.aliases is not None
    assert plan.aliases["effects"]["AB"] == ["CD"]  # type: ignore[index]
    assert "2^(4-1) = 8 runs of 4 factors, resolution IV" in plan.arithmetic


@pytest.mark.parametrize("method", ["grid", "fractional"])
def test_a_constant_is_the_baselines_too_and_no_factor(spec_of: SpecOf, tmp_path: Path, method: str) -> None:
    (tmp_path / "base.yaml").write_text("training: {num_epochs: 9}\n")
    made = spec_of(f"""
method: {method}
parameters:
  training.num_epochs: {{value: 4}}
  model.encoder.num_layers: {{values: [3, 6]}}
  data.cmvn: {{values: [true, false]}}
""")
    plan = planned(made, load_base(made).config)
    assert plan.variants[0].id == "baseline"
    assert len(plan.variants) == 4
    assert {trial.config.training.num_epochs for trial in plan.trials} == {4}
    assert not any("training.num_epochs" in variant.changes for variant in plan.variants)


def test_the_trial_key_is_of_what_changes_the_result() -> None:
    made = spec(ablate=(AblateConfig(id="a", set={"data.cmvn": False}),))
    keys = {trial.trial_key for trial in planned(made).trials}
    moved = replace(
        BASE, storage="/elsewhere", resources=replace(BASE.resources, workers=4, gpus_per_worker=1.0)
    )
    assert {trial.trial_key for trial in planned(made, moved).trials} == keys
    changed = replace(BASE, training=replace(BASE.training, num_epochs=99))
    assert not keys & {trial.trial_key for trial in planned(made, changed).trials}
    for other in (
        {"data_fingerprint": "other", "code_version": "code"},
        {"data_fingerprint": "data", "code_version": "other"},
    ):
        assert not keys & {trial.trial_key for trial in make_plan(made, BASE, **other).trials}


def test_variants_that_differ_in_their_data_have_their_own_fingerprint() -> None:
    made = spec(ablate=(AblateConfig(id="other", set={"data.folder": "data/other"}),))
    plan = make_plan(made, BASE, data_fingerprint=lambda config: config.data.folder, code_version="code")
    assert len({trial.trial_key for trial in plan.trials}) == 2


def test_short_names_tell_keys_apart() -> None:
    keys = ["model.encoder.hidden_dim", "model.decoder.hidden_dim", "training.seed", "seed"]
    assert short_names(keys) == {
        "model.encoder.hidden_dim": "encoder.hidden_dim",
        "model.decoder.hidden_dim": "decoder.hidden_dim",
        "training.seed": "training.seed",
        "seed": "seed",
    }


def test_parameters_are_counted_once_for_each_model() -> None:
    small = replace(BASE, model=replace(BASE.model, encoder=replace(BASE.model.encoder, num_layers=1)))
    asked: list[int] = []

    def count(config: ExperimentConfig) -> int:
        asked.append(count_parameters(config))
        return asked[-1]

    made = spec(ablate=(AblateConfig(id="b", set={"training.accumulate": 2}),), seeds=(1, 2, 3))
    plan = make_plan(made, small, data_fingerprint="d", code_version="c", count_parameters=count)
    assert [variant.parameters for variant in plan.variants] == asked * 2
    assert asked[0] > 1_000_000


def test_the_cost_is_estimated_from_completed_trials(plan_of: PlanOf) -> None:
    plan = plan_of("ablate: [{id: a, set: {data.cmvn: false}}]\nseeds: [1, 2]\n")
    assert estimate(plan, {}) is None
    key = plan.trials[0].trial_key
    done = Record(key, "completed", None, 1, 0, 0, {"cost/train_seconds": 60.0}, None, None, 0.0)
    cost = estimate(plan, {key: done})
    assert cost is not None
    assert (cost.measured, cost.left, cost.seconds, cost.gpu_hours) == (1, 3, 180.0, 0.0)


def test_a_variant_of_more_epochs_costs_more(plan_of: PlanOf) -> None:
    plan = plan_of("ablate: [{id: long, set: {training.num_epochs: 20}}]\nseeds: [1]\n")
    short, long = plan.trials
    done = Record(short.trial_key, "completed", None, 1, 0, 0, {"cost/train_seconds": 60.0}, None, None, 0.0)
    cost = estimate(plan, {short.trial_key: done})
    assert cost is not None
    assert cost.seconds == pytest.approx(60.0 * 20 / short.config.training.num_epochs)
    assert long.config.training.num_epochs == 20


def test_every_cell_excluded_is_a_fault(plan_of: PlanOf) -> None:
    with pytest.raises(ValueError, match="exclude forbids every cell"):
        plan_of("method: grid\nparameters: {data.cmvn: {values: [true, false]}}\nexclude: ['true']")


def test_designs_do_not_need_the_experiment() -> None:
    made = spec(method="grid", parameters={"x.y": ParameterConfig(min=1, max=3)})
    assert [variant.changes for variant in design(made, {"x.y": 2}).variants] == [
        {"x.y": 2},
        {"x.y": 1},
        {"x.y": 3},
    ]
