"""What is measured of the parts of a model: time, operations, tensors kept for the gradients."""

import time
from collections import Counter, defaultdict
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.profiler import record_function

from paraformer_platform.training.cost import operation_counter

Seconds = float


def wait_for(device: torch.device) -> None:
    """Return when the device has done all it was given; a GPU works on while Python goes ahead."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


class Clock:
    """Time spent in each part, the parts within it included."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._begun: dict[str, Seconds] = {}
        self.seconds: dict[str, Seconds] = defaultdict(float)
        self.calls: Counter[str] = Counter()

    def enter(self, part: str) -> None:
        """Note that a part begins."""
        wait_for(self._device)
        self._begun[part] = time.perf_counter()

    def leave(self, part: str) -> None:
        """Note that it ends."""
        wait_for(self._device)
        self.seconds[part] += time.perf_counter() - self._begun.pop(part)
        self.calls[part] += 1


class OperationCount:
    """Floating-point operations of each part's forward pass, and of everything; see `operation_counter`."""

    def __init__(self) -> None:
        self._counter = operation_counter()
        self._begun: dict[str, int] = {}
        self.operations: Counter[str] = Counter()

    def __enter__(self) -> "OperationCount":
        self._counter.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self._counter.__exit__(*exception)

    @property
    def total(self) -> int:
        """Of everything so far."""
        return int(self._counter.get_total_flops())

    def enter(self, part: str) -> None:
        """Note that a part begins."""
        self._begun[part] = self.total

    def leave(self, part: str) -> None:
        """Note that it ends."""
        self.operations[part] += self.total - self._begun.pop(part)


class KeptTensors:
    """Bytes that autograd keeps of each part until the backward pass, parameters apart.

    Each piece of memory counts once, for the parts in which it was first kept. The graph keeps every piece
    alive, so no address is used twice.
    """

    def __init__(self, model: nn.Module) -> None:
        self._known = {_address(parameter) for parameter in model.parameters()}
        self._open: list[str] = []
        self._hooks = saved_tensors_hooks(self._keep, lambda tensor: tensor)
        self.bytes: Counter[str] = Counter()
        self.total = 0

    def __enter__(self) -> "KeptTensors":
        self._hooks.__enter__()
        return self

    def __exit__(self, *exception: Any) -> None:
        self._hooks.__exit__(*exception)

    def enter(self, part: str) -> None:
        """Note that a part begins."""
        self._open.append(part)

    def leave(self, part: str) -> None:
        """Note that it ends."""
        self._open.remove(part)

    def _keep(self, tensor: Tensor) -> Tensor:
        address = _address(tensor)
        if address not in self._known:
            self._known.add(address)
            size = tensor.untyped_storage().nbytes()
            self.total += size
            for part in self._open:
                self.bytes[part] += size
        return tensor


class TraceMarks:
    """Marks the parts in a trace of torch's profiler."""

    def __init__(self) -> None:
        self._open: dict[str, record_function] = {}

    def enter(self, part: str) -> None:
        """Note that a part begins."""
        self._open[part] = record_function(part)
        self._open[part].__enter__()

    def leave(self, part: str) -> None:
        """Note that it ends."""
        self._open.pop(part).__exit__(None, None, None)


def _address(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()
