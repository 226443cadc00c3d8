"""Whatever is killed, whenever: the same command again, and nothing is lost, doubled or left behind.

30 kills by these tests, 200 by `make test-kills`, whose log is benchmarks/results/kills.json.
"""

import pytest
from attack import Attack

KILLS = {"trials": 12, "served": 7, "searches": 5, "gangs": 6}
SEED = 1


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kind", KILLS)
def test_a_sweep_survives_kills_at_random_moments(kind, judge, tmp_path):
    attack = Attack(kind, SEED, KILLS[kind], tmp_path)
    broken = {sweep.folder.name: laws for sweep, laws in judge.broken(attack) if laws}
    assert broken == {}, attack.log()
    assert len(attack.deaths) == KILLS[kind]


@pytest.mark.timeout(300)
def test_no_process_outlives_the_sweeps(judge):
    assert judge.strays() == []
