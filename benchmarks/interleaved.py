"""Ratios between contenders, measured side by side in one process.

Machines are noisy and drift, so absolute times of two runs cannot be compared. Here every round runs each
contender once, in random order, and the ratio is taken within the round; what is reported is the median of
those ratios with their quartiles. The clock is the process's CPU time on one thread unless asked otherwise:
it does not count the moments in which somebody else had the core.

    comparison = compare({"loop": loop, "ours": ours}, reference="loop", rounds=7)
    comparison["ours"]["speedup"]["median"]   # how many times faster than the loop
"""

import json
import os
import platform
import random
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

RESULTS = Path(__file__).parent / "results"
Action = Callable[[], object]


def compare(
    contenders: Mapping[str, Action],
    reference: str,
    rounds: int = 7,
    seconds: float = 0.05,
    clock: Callable[[], float] = time.process_time,
) -> dict[str, dict[str, Any]]:
    """Time every contender in every round and report medians, quartiles and speed-ups over the reference.

    Args:
        contenders: What to run, by name.
        reference: Name of the one that the others are compared with.
        rounds: How many times each is measured, after one warm-up.
        seconds: Least time of one measurement; shorter actions are repeated within it.
        clock: What counts as time.
    """
    repeats = {name: _repeats(action, seconds) for name, action in contenders.items()}
    times: dict[str, list[float]] = {name: [] for name in contenders}
    order = random.Random(0)
    for _ in range(rounds):
        for name in order.sample(sorted(contenders), len(contenders)):
            times[name].append(_measure(contenders[name], repeats[name], clock))
    return {
        name: {
            "milliseconds": _summary([1e3 * value for value in values]),
            "speedup": _summary([base / value for base, value in zip(times[reference], values, strict=True)]),
        }
        for name, values in times.items()
    }


def _measure(action: Action, repeats: int, clock: Callable[[], float]) -> float:
    start = clock()
    for _ in range(repeats):
        action()
    return (clock() - start) / repeats


def _repeats(action: Action, seconds: float) -> int:
    action()  # warm-up
    return max(1, round(seconds / max(_measure(action, 1, time.perf_counter), 1e-6)))


def _summary(values: list[float]) -> dict[str, float]:
    low, _, high = statistics.quantiles(values, n=4) if len(values) > 1 else (values[0],) * 3
    return {"median": _figures(statistics.median(values)), "low": _figures(low), "high": _figures(high)}


def _figures(value: float) -> float:
    return float(f"{value:.4g}")


def machine() -> dict[str, Any]:
    """What was measured on: processor, threads, versions, and its rate in large matrix products."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "gemm_gflops": {"fp32": matrix_rate(torch.float32), "bf16": matrix_rate(torch.bfloat16)},
    }


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def matrix_rate(dtype: torch.dtype, size: int = 2048, rounds: int = 5) -> float:
    """Best rate of a square matrix product, in GFLOP/s: the ceiling that shares are taken of."""
    a, b = torch.randn(size, size, dtype=dtype), torch.randn(size, size, dtype=dtype)
    a @ b
    best = min(_measure(lambda: a @ b, 1, time.process_time) for _ in range(rounds))
    return _figures(2 * size**3 / best / 1e9)


def write_results(name: str, results: Mapping[str, Any]) -> Path:
    """Keep results as `benchmarks/results/<name>.json`, with the machine named."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps({"machine": machine(), **results}, indent=2) + "\n")
    return path
