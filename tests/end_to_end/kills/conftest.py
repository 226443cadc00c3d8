import sys
from pathlib import Path

import pytest

# The harness is a script as well (kill_many.py), whose parts import each other by their names.
sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def judge(tmp_path_factory):
    """Compares sweeps with undisturbed ones, which are run once for the folder."""
    from judged import Judge

    return Judge(tmp_path_factory.mktemp("kills"))


@pytest.fixture
def make_sweep(tmp_path):
    """Make sweeps; whatever happens, none stays."""
    from besieged import SETTINGS, Besieged

    made = []

    def make(kind: str) -> Besieged:
        made.append(Besieged(tmp_path / f"{kind}-{len(made)}", SETTINGS[kind]))
        return made[-1]

    yield make
    for sweep in made:
        sweep.end()
