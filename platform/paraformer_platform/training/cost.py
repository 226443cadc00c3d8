"""What a model costs: parameters, memory, time to decode, operations."""

import re
import resource
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

from paraformer.decoding import decode
from paraformer.model import Paraformer

MEGABYTE = 1e6

Shape = torch.Size


def count_parameters(model: nn.Module) -> int:
    """Parameters, trained or not."""
    return sum(parameter.numel() for parameter in model.parameters())


def operation_counter() -> FlopCounterMode:
    """Counts the floating-point operations within its context, the same on a CPU as on a GPU.

    Matrix products, convolutions and attention are counted, a multiplication and an addition as two; what is
    done element by element is not. Torch alone leaves out the fused attention of CPUs.
    """
    aten = torch.ops.aten
    fused = {
        aten._scaled_dot_product_flash_attention_for_cpu: _attention_operations,
        aten._scaled_dot_product_flash_attention_for_cpu_backward: _attention_gradient_operations,
    }
    return FlopCounterMode(display=False, custom_mapping=fused)


def _attention_operations(query: Shape, key: Shape, value: Shape, *rest: object, **options: object) -> int:
    return int(sdpa_flop_count(query, key, value))


def _attention_gradient_operations(
    gradient: Shape, query: Shape, key: Shape, value: Shape, *rest: object, **options: object
) -> int:
    return int(sdpa_backward_flop_count(gradient, query, key, value))


def flops_per_second_of_speech(
    model: Paraformer, features: Sequence[Tensor], frame_shift_seconds: float, strategy: str = "greedy"
) -> float:
    """Floating-point operations of decoding, per second of speech, as `operation_counter` counts them.

    Args:
        model: The model.
        features: Some utterances, `(T, F)` each, decoded one by one.
        frame_shift_seconds: Time between two of their frames.
        strategy: How to decode.
    """
    seconds = sum(len(utterance) for utterance in features) * frame_shift_seconds
    with operation_counter() as counter:
        for utterance in features:
            decode(model, utterance.unsqueeze(0), strategy=strategy)
    return float(counter.get_total_flops() / seconds)


class PeakMemory:
    """The most memory in use since this object was made, of the GPU or, without one, of the process."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        else:
            _forget_peak()

    def megabytes(self) -> float:
        """The peak so far, in 10^6 bytes."""
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated(self._device) / MEGABYTE
        return _process_peak() / MEGABYTE


def _forget_peak() -> None:
    """Let the process's peak begin anew; a process that trains one trial after the other needs it."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:  # not Linux, or not allowed: the peak is then that of the process's whole life
        return


def _process_peak() -> int:
    """Bytes of physical memory that the process held at most."""
    try:
        found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    except OSError:
        found = None
    kilobytes = int(found[1]) if found else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kilobytes * 1024
