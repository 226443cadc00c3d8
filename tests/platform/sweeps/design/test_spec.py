"""A sweep file is read with its types, and everything wrong with it is said at once."""

from collections.abc import Callable
from pathlib import Path

import pytest

from paraformer_platform.config.schema import ExperimentConfig
from paraformer_platform.errors import SweepError
from paraformer_platform.sweeps.plan import Plan
from paraformer_platform.sweeps.spec import SweepSpec, load_sweep

SpecOf = Callable[[str], SweepSpec]
PlanOf = Callable[[str], Plan]

GRID = "method: grid\nparameters: {model.encoder.num_layers: {values: [3, 6]}}"


def message(read: Callable[[str], object], text: str) -> str:
    with pytest.raises(SweepError) as caught:
        read(text)
    return str(caught.value)


def test_every_fault_is_listed_at_once(spec_of: SpecOf) -> None:
    text = message(
        spec_of,
        """
method: grid
parameters:
  model.encoder.num_layers: {value_s: [3, 6]}
seeds: [one]
budgett: {gpu_hours: 3}
resources: {worker: 2}
metric: {name: 3}
""",
    )
    assert "5 faults" in text
    for words in (
        "parameters.model.encoder.num_layers.value_s: unknown key; did you mean values?",
        "seeds.0: must be a whole number, not 'one'",
        "budgett: unknown key; did you mean budget?",
        "resources.worker: unknown key; did you mean workers?",
        "metric.name: must be a text, not 3",
    ):
        assert words in text


def test_workers_may_come_and_go(spec_of: SpecOf) -> None:
    spec = spec_of(GRID + "\nresources: {workers: [2, 4]}")
    assert spec.settings()["resources.workers"] == [2, 4]
    text = message(spec_of, GRID + "\nresources: {workers: [4, 2]}")
    assert "resources.workers: workers ([4, 2]): the least must not be above the most" in text


def test_impossible_values_are_listed_at_once(spec_of: SpecOf) -> None:
    text = message(
        spec_of,
        """
method: ablation
ablate:
  - {id: a, set: {model.use_predictor: false}, also_with: [c]}
  - {id: a, set: {}}
seeds: [1, 1]
early_terminate: {type: asha, eta: 1}
budget: {wall: soon}
search: {sampler: magic}
metric: {goal: less}
""",
    )
    for words in (
        "id a stands for more than one variant",
        "ablate.1.set: variant a changes nothing",
        "no other variant is called c",
        "seeds [1, 1] must be different numbers",
        "early_terminate would bias the comparisons of method ablation",
        "early_terminate.eta: eta (1) must be at least 2",
        "budget.wall: wall (soon) must be a time such as 24h",
        "search.sampler: sampler (magic) must be one of tpe, gp",
        "metric.goal: goal (less) must be one of minimize, maximize",
    ):
        assert words in text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("method: gird", "did you mean grid?"),
        ("method: grid", "method grid needs parameters"),
        ("method: grid\nparameters: {data.cmvn: {value: true}}", "nothing varies: every parameter has one"),
        (
            GRID.replace("{", "{data.cmvn: {value: true, baseline: false}, ", 1),
            "all variants have True, the base",
        ),
        (GRID + "\nablate: [{id: a, set: {x: 1}}]", "method grid does not use ablate"),
        (
            "method: grid\nparameters: {training.learning_rate: {min: 1e-4, max: 1.0}}",
            "this range is continuous",
        ),
        ("method: random\nparameters: {training.learning_rate: {min: 1e-4, max: 1.0}}", "needs run_cap"),
        (
            "method: grid\nparameters: {training.seed: {values: [1, 2]}}",
            "seeds are replicates, not a parameter",
        ),
        (
            "method: fractional\nparameters: {a: {values: [1, 2, 3]}, b: {values: [1, 2]}}",
            "exactly two values",
        ),
        (GRID + "\nexclude: ['f(x)']", "uses Call, which is not allowed"),
        ("method: grid\nparameters: {a: {values: [1], when: b}, b: {values: [1]}}", "move b above a"),
        (
            "method: grid\nparameters: {a: {values: [1], outer: grid}}",
            "outer: grid belongs to random and bayes",
        ),
        (GRID + "\nname2: x", "name2: unknown key; did you mean name?"),
        ("seeds: []", "at least one"),
        (GRID + "\nparameters: {}", "duplicate key"),
        ("method: [", "is no YAML"),
    ],
)
def test_faults_of_the_file(spec_of: SpecOf, text: str, words: str) -> None:
    assert words in message(spec_of, text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "method: grid\nparameters: {model.encoder.num_layer: {values: [3]}}",
            "did you mean model.encoder.num_layers?",
        ),
        (
            "method: grid\nparameters: {encoder.hidden_dim: {values: [64]}}",
            "did you mean model.encoder.hidden_dim?",
        ),
        ("ablate: [{id: a, set: {model.encoder: 3}}]", "is a group of keys; name one of them"),
        (
            "ablate: [{id: a, set: {training.num_epochs: many}}]",
            "training.num_epochs: must be a whole number, not 'many'",
        ),
        ("method: grid\nparameters: {training.num_epochs: {min: 0.5, max: 2.5}}", "continuous"),
        (
            "ablate: [{id: a, set: {model.encoder.hidden_dim: 30}}]",
            "variant a: model.encoder.hidden_dim: hidden_dim (30) must be divisible",
        ),
        (GRID + "\nexclude: ['model.encoder.deep == 3']", "has no such key"),
        (
            "ablate: [{id: a, set: {model.encoder.num_layers: 6}}]",
            "a/seed-11: is the same trial as baseline/seed-11",
        ),
    ],
)
def test_faults_against_the_experiment(plan_of: PlanOf, text: str, words: str) -> None:
    assert words in message(plan_of, text)


def test_numbers_are_numbers(plan_of: PlanOf) -> None:
    plan = plan_of("ablate: [{id: slow, set: {training.learning_rate: 1e-5, training.weight_decay: 1}}]")
    slow = plan.variants[1]
    assert slow.config.training.learning_rate == 1e-5
    assert isinstance(slow.config.training.weight_decay, float)


@pytest.mark.parametrize("alias", ["loco", "ofat"])
def test_other_names_of_ablation(spec_of: SpecOf, alias: str) -> None:
    assert spec_of(f"method: {alias}\nablate: [{{id: a, set: {{data.cmvn: false}}}}]").method == "ablation"


def test_early_termination_of_an_ablation_can_be_asked_for(spec_of: SpecOf) -> None:
    spec = spec_of(
        "ablate: [{id: a, set: {data.cmvn: false}}]\nearly_terminate: {type: asha, allow_biased: true}"
    )
    assert spec.early_terminate is not None


def test_wall_time_is_read_as_people_write_it(spec_of: SpecOf) -> None:
    assert spec_of(GRID + "\nbudget: {wall: 1h30m}").budget.wall_seconds == 5400
    assert spec_of(GRID + "\nbudget: {wall: 90}").budget.wall_seconds == 90


def test_overrides_of_the_command_line(spec_of: SpecOf, tmp_path: Path) -> None:
    spec_of(GRID)
    spec = load_sweep(tmp_path / "sweep.yaml", ["resources.max_concurrent=2", "seeds=[1,2]"])
    assert (spec.resources.max_concurrent, spec.seeds) == (2, (1, 2))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SweepError, match=r"sweep file .*none\.yaml cannot be read: No such file"):
        load_sweep(tmp_path / "none.yaml")


def test_the_sweeps_of_the_repository_can_be_planned(repository: Path, base: ExperimentConfig) -> None:
    from paraformer_platform.sweeps.plan import load_base, make_plan

    files = sorted((repository / "experiments" / "sweeps").glob("*.yaml"))
    assert files
    for file in files:
        spec = load_sweep(file)
        plan = make_plan(spec, load_base(spec).config, data_fingerprint="d", code_version="c")
        assert plan.trials or plan.searched


@pytest.mark.parametrize("ledger", ["postgres://h/x", "ledger.db"])
def test_a_ledger_that_is_no_url_is_refused_with_an_example(spec_of: SpecOf, ledger: str) -> None:
    with pytest.raises(SweepError, match=r"ledger must be a SQLAlchemy URL, such as postgresql\+psycopg://"):
        spec_of(GRID + f"\nledger: {ledger}")


def test_a_password_in_the_file_or_the_command_is_refused_and_not_repeated(spec_of: SpecOf) -> None:
    with pytest.raises(SweepError, match=r"ledger postgresql://me:\*\*\*@h/x holds a password") as raised:
        spec_of(GRID + "\nledger: postgresql://me:geheim@h/x")
    assert "geheim" not in str(raised.value)


def test_a_ledger_may_be_named_by_a_variable(spec_of: SpecOf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_LEDGER", "postgresql+psycopg://me:geheim@h/x")
    assert spec_of(GRID + "\nledger: ${oc.env:MY_LEDGER}").ledger == "postgresql+psycopg://me:geheim@h/x"
    monkeypatch.delenv("MY_LEDGER")
    with pytest.raises(SweepError, match="MY_LEDGER"):
        spec_of(GRID + "\nledger: ${oc.env:MY_LEDGER}")


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("run_cap: 3", "method grid does not use run_cap; random or bayes does"),
        ("search: {sampler: gp}", "method grid does not use search; random or bayes does"),
        ("design: {resolution: V}", "method grid does not use design; fractional does"),
        ("metric: {target: 0.1}", "method grid does not use metric.target; bayes does"),
        ("secondary_metrics: [{name: test/cer, target: 1}]", r"secondary_metrics.0.target: .* has no target"),
        ("early_terminate: {type: median, eta: 4}", "type median has no rungs and does not use eta"),
        ("early_terminate: {type: asha, time_metric: step}", "time_metric step needs max_iter"),
        ("early_terminate: {type: asha}\nmetric: {name: cost/rtf}", "cost/rtf comes at the end"),
    ],
)
def test_a_key_that_would_do_nothing_is_a_fault(spec_of: SpecOf, more: str, words: str) -> None:
    with pytest.raises(SweepError, match=words):
        spec_of(GRID + "\n" + more)


def test_a_random_sweep_uses_the_seed_of_search_and_nothing_else_of_it(spec_of: SpecOf) -> None:
    random = GRID.replace("grid", "random") + "\nrun_cap: 2"
    assert spec_of(random + "\nsearch: {seed: 5}").search.seed == 5
    with pytest.raises(SweepError, match="method random uses only the seed of search; lookahead belongs"):
        spec_of(random + "\nsearch: {seed: 5, lookahead: 2}")
