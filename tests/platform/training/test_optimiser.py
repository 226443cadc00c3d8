import math
from itertools import pairwise

import pytest
import torch
from torch import nn

from paraformer_platform.config.schema import TrainingConfig
from paraformer_platform.training.optimiser import (
    build_optimiser,
    build_schedule,
    clip_gradients,
    learning_rate_factor,
)


@pytest.mark.parametrize("schedule", ["cosine", "inverse_sqrt", "constant"])
def test_rises_to_one_and_never_again(schedule: str) -> None:
    factors = [learning_rate_factor(schedule, 10, 100)(step) for step in range(101)]
    assert all(a < b for a, b in pairwise(factors[:11]))
    assert factors[10] == 1.0
    assert all(a >= b for a, b in pairwise(factors[10:]))


def test_ends_of_the_schedules() -> None:
    assert learning_rate_factor("cosine", 10, 100)(100) == pytest.approx(0.0)
    assert learning_rate_factor("cosine", 10, 100)(55) == pytest.approx(0.5)
    assert learning_rate_factor("inverse_sqrt", 9, 100)(39) == pytest.approx(math.sqrt(10 / 40))
    assert learning_rate_factor("constant", 10, 100)(100) == 1.0


def test_warm_up_takes_at_most_a_tenth() -> None:
    optimiser = build_optimiser(nn.Linear(2, 2), TrainingConfig(learning_rate=1.0))
    schedule = build_schedule(optimiser, TrainingConfig(warmup_steps=1000), total_steps=50)
    for _ in range(5):
        optimiser.step()
        schedule.step()
    assert schedule.get_last_lr()[0] == 1.0


def test_only_matrices_decay() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.Linear(4, 2))
    model[2].requires_grad_(False)
    decayed, kept = build_optimiser(model, TrainingConfig(weight_decay=0.1)).param_groups
    assert (decayed["weight_decay"], kept["weight_decay"]) == (0.1, 0.0)
    assert [p.shape for p in decayed["params"]] == [(4, 3)]
    assert len(kept["params"]) == 3


def test_clipping() -> None:
    weight = nn.Parameter(torch.zeros(4))
    weight.grad = torch.full((4,), 3.0)
    assert clip_gradients([weight], 0.0).item() == 6.0
    assert weight.grad.norm().item() == 6.0
    assert clip_gradients([weight], 2.0).item() == 6.0
    assert weight.grad.norm().item() == pytest.approx(2.0, rel=1e-5)
