"""Whatever is killed, whenever: the same command again, and nothing is lost, doubled or left behind.

30 kills by these tests, 200 by `make test-kills`, whose log is benchmarks/results/kills.json.
"""

import pytest
from attack import Attack
from judged import carry_out

KILLS = {"trials": 12, "served": 7, "searches": 5, "gangs": 6}
SEED = 1


@pytest.mark.timeout(1800)
def test_sweeps_survive_kills_at_random_moments(judge, tmp_path):
    attacks = [Attack(kind, SEED, kills, tmp_path) for kind, kills in KILLS.items()]
    broken = carry_out(attacks, judge, at_once=2, heard=lambda *_: None)
    assert broken == {}, [attack.log() for attack in attacks if attack.deaths]
    assert {attack.kind: len(attack.deaths) for attack in attacks} == KILLS


@pytest.mark.timeout(300)
def test_no_process_outlives_the_sweeps(judge):
    assert judge.strays() == []
