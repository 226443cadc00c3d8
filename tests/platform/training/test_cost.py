import os
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from torch import nn

from paraformer_platform.config.schema import ExperimentConfig
from paraformer_platform.training.checkpoint import new_model
from paraformer_platform.training.cost import count_parameters, flops_per_second_of_speech


def test_parameters() -> None:
    assert count_parameters(nn.Linear(3, 4)) == 16


def test_operations_are_per_second_of_speech(config: ExperimentConfig) -> None:
    """So twice the speech costs the same a second, and a second encoder layer costs what its shapes say.

    By the CTC head, whose work does not depend on what an untrained model understands.
    """
    features = torch.randn(200, 80, generator=torch.Generator().manual_seed(0))
    model = new_model(config).eval()
    one = flops_per_second_of_speech(model, [features], 0.01, "ctc_greedy")
    assert flops_per_second_of_speech(model, [features, features], 0.01, "ctc_greedy") == pytest.approx(one)
    deeper = replace(config, model=replace(config.model, encoder=replace(config.model.encoder, num_layers=2)))
    more = flops_per_second_of_speech(new_model(deeper).eval(), [features], 0.01, "ctc_greedy") - one
    # 25 frames a second; four projections of 32 × 32, two of 32 × 64; a product and a sum each.
    projections = 25 * 2 * (4 * 32 * 32 + 2 * 32 * 64)
    # Every frame's scores with all 50, and their sum of all 50.
    attention = 25 * 2 * (50 * 32 + 50 * 32)
    assert more == pytest.approx(projections + attention)


def test_peak_memory_begins_anew() -> None:
    """Also where more was held before; in a process that keeps no freed memory."""
    code = (
        "import torch\n"
        "from paraformer_platform.training.cost import PeakMemory\n"
        "before = torch.ones(50_000_000)\n"
        "del before\n"
        "memory = PeakMemory(torch.device('cpu'))\n"
        "start = memory.megabytes()\n"
        "held = torch.ones(30_000_000)\n"
        "print(memory.megabytes() - start)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True, timeout=120
    )
    assert 100 < float(done.stdout) < 190
