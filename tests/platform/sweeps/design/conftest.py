"""A small base experiment and sweep files written in place."""

from collections.abc import Callable
from pathlib import Path

import pytest

from paraformer_platform.config.schema import ExperimentConfig
from paraformer_platform.sweeps.plan import Plan, make_plan
from paraformer_platform.sweeps.spec import SweepSpec, load_sweep

SpecOf = Callable[[str], SweepSpec]
PlanOf = Callable[[str], Plan]


@pytest.fixture
def base() -> ExperimentConfig:
    return ExperimentConfig()


@pytest.fixture
def spec_of(tmp_path: Path) -> SpecOf:
    """Reads a sweep file of the given lines, with a name and a base added."""

    def spec_of(text: str) -> SweepSpec:
        path = tmp_path / "sweep.yaml"
        path.write_text(f"name: s\nbase: base.yaml\n{text}\n")
        return load_sweep(path)

    return spec_of


@pytest.fixture
def plan_of(spec_of: SpecOf, base: ExperimentConfig) -> PlanOf:
    """Plans such a sweep over the default experiment."""
    return lambda text: make_plan(spec_of(text), base, data_fingerprint="data", code_version="code")
