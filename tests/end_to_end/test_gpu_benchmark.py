"""The benchmark for GPUs, tried on the CPU, so that it works on the day a GPU is there."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch


def run(repository: Path, *options: str) -> str:
    answer = subprocess.run(
        [sys.executable, "benchmarks/gpu_training.py", *options],
        cwd=repository,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return answer.stdout


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so(repository: Path) -> None:
    assert "not run, torch finds no NVIDIA GPU here" in run(repository)


def test_training_and_reference_are_measured(repository: Path) -> None:
    pytest.importorskip("funasr")
    results = json.loads(
        run(repository, "--device", "cpu", "--quick", "--parts", "training,reference").splitlines()[-1]
    )
    assert results["device"] == "CPU"
    variants = [row["variant"] for row in results["training"]]
    assert variants == ["fp32 (TF32)", "bf16", "bf16, recomputed layers"]
    for row in results["training"]:
        assert row["utterances per second"] > 0
        assert 0 < row["share of matrix rate"] < 1
        assert row["peak memory, MB"] > 0
    assert set(results["reference"]["step"]) == {"funasr fp32", "funasr bf16", "ours fp32", "ours bf16"}
    assert set(results["reference"]["cif"]) == {"funasr cif_v1", "ours"}


@pytest.mark.slow
def test_sharing_is_measured(repository: Path) -> None:
    results = json.loads(run(repository, "--device", "cpu", "--quick", "--parts", "sharing").splitlines()[-1])
    assert results["sharing"].keys() == {"one after another", "four at once"}
