"""Every file of experiments/ can be planned as it stands: none rots unseen while the code moves on."""

from pathlib import Path

import pytest

from paraformer_platform.config.load import load_experiment
from paraformer_platform.sweeps.plan import load_base, make_plan
from paraformer_platform.sweeps.spec import load_sweep

EXPERIMENTS = Path(__file__).resolve().parent.parent / "experiments"


@pytest.mark.parametrize("path", sorted(EXPERIMENTS.glob("*.yaml")), ids=lambda path: path.stem)
def test_an_experiment_is_valid_and_opens_with_the_command_that_runs_it(path: Path) -> None:
    assert load_experiment(path).config.training.num_epochs >= 1
    assert f"paraformer train --config experiments/{path.name}" in path.read_text()


@pytest.mark.parametrize("path", sorted((EXPERIMENTS / "sweeps").glob("*.yaml")), ids=lambda path: path.stem)
def test_a_sweep_is_plannable_compares_with_a_baseline_and_says_what_it_expects(path: Path) -> None:
    spec = load_sweep(path)
    plan = make_plan(spec, load_base(spec).config, data_fingerprint="data", code_version="code")
    assert spec.name == path.stem
    assert len(spec.hypothesis) > 20
    assert len(spec.confirm.seeds if spec.confirm else spec.seeds) >= 3
    if spec.method != "bayes":  # which proposes as it goes
        assert len(plan.trials) == len(plan.variants) * len(spec.seeds)
        assert len(plan.variants) > 1 or spec.method == "list"  # which may ask what one recipe reaches
