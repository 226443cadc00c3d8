import importlib
import subprocess
import sys

import pytest

import paraformer


@pytest.mark.parametrize("name", paraformer.__all__)
def test_every_public_name_is_there(name: str) -> None:
    found = getattr(paraformer, name)
    assert found.__name__ == name
    assert found is getattr(importlib.import_module(found.__module__), name)


def test_there_are_no_others() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Conformer'"):
        _ = paraformer.Conformer


def test_importing_the_package_and_its_configuration_loads_no_torch() -> None:
    """So that the command line answers at once."""
    code = "import paraformer, paraformer.config, paraformer.errors, sys; sys.exit('torch' in sys.modules)"
    environment = {"PYTHONPATH": str(next(iter(paraformer.__path__)) + "/.."), "PATH": "/usr/bin"}
    assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0
