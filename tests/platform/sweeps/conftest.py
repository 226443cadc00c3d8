import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def toy() -> ModuleType:
    """The script of toy trainings, as a module whose functions travel to workers by value."""
    path = Path(__file__).parent / "toy_sweep.py"
    spec = importlib.util.spec_from_file_location("toy_sweep", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["toy_sweep"] = module
    spec.loader.exec_module(module)
    import ray

    ray.cloudpickle.register_pickle_by_value(module)
    return module


@pytest.fixture(scope="session")
def local_ray() -> Iterator[None]:
    """One Ray of two CPUs for the folder."""
    from paraformer_platform.clusters.connection import Connection

    with Connection(cpus=2):
        yield
