"""How busy the machine of a training is: processor, memory, GPUs, sampled now and then beside the training.

The names are those of MLflow's own system metrics, so that its pages show them under System metrics. Samples
are taken every ten seconds by a thread and at the end of each epoch, when they are written to the journal; a
sample costs under a millisecond. They are measured and belong to no step, so they are numbered on their own.
"""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Self

import psutil
import torch

from paraformer_platform.lookout import Lookout

Seconds = float
INTERVAL: Seconds = 10.0
LEAST_PAUSE: Seconds = 1.0
"""Short epochs are not sampled more often than this."""
MEGABYTE = 1e6

Sample = tuple[int, dict[str, float]]
"""Milliseconds since 1970, and the values by name."""


class MachineLoad(Lookout):
    """Samples the machine while it is entered, as a context manager.

    Args (of the constructor):
        device: What the training runs on; its GPU is watched.
        clock: Seconds that only grow; a test passes its own.
    """

    def __init__(self, device: torch.device, clock: Callable[[], Seconds] = time.monotonic) -> None:
        super().__init__(INTERVAL)
        self._device = device
        self._clock = clock
        self._samples: list[Sample] = []
        self._lock = threading.Lock()
        self._last: Seconds = clock()

    def __enter__(self) -> Self:
        psutil.cpu_percent()  # the first answer covers the time since the last question
        return super().__enter__()

    def take(self) -> list[Sample]:
        """Return the samples since the last call, one of now among them unless the last one is fresh."""
        if self._clock() - self._last >= LEAST_PAUSE:
            self._sample()
        with self._lock:
            samples, self._samples = self._samples, []
        return samples

    def look(self) -> bool:
        """Take a sample."""
        self._sample()
        return True

    def _sample(self) -> None:
        with self._lock:
            self._last = self._clock()
            self._samples.append((time.time_ns() // 1_000_000, {**_machine(), **_gpu(self._device)}))


def _machine() -> dict[str, float]:
    memory = psutil.virtual_memory()
    return {
        "system/cpu_utilization_percentage": psutil.cpu_percent(),
        "system/system_memory_usage_megabytes": round(memory.used / MEGABYTE, 1),
        "system/system_memory_usage_percentage": round(100 * memory.used / memory.total, 1),
    }


def _gpu(device: torch.device) -> dict[str, float]:
    """Describe the training's GPU, by its number among those that the process sees."""
    if device.type != "cuda":
        return {}
    name = f"system/gpu_{device.index or 0}"
    free, total = torch.cuda.mem_get_info(device)
    values = {
        f"{name}_memory_usage_megabytes": round((total - free) / MEGABYTE, 1),
        f"{name}_memory_usage_percentage": round(100 * (1 - free / total), 1),
    }
    with suppress(Exception):  # no NVML, or a card that does not tell: nothing to end a training for
        values[f"{name}_utilization_percentage"] = float(torch.cuda.utilization(device))
        values[f"{name}_power_usage_watts"] = torch.cuda.power_draw(device) / 1000
    return values
