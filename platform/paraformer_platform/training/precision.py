"""Number formats of matrix products: fp32, or bf16 and fp16 with weights kept in fp32."""

from contextlib import AbstractContextManager, nullcontext

import torch

from paraformer_platform.config.schema import TrainingConfig

_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def autocast(precision: str, device: torch.device) -> AbstractContextManager[object]:
    """Context in which matrix products take the precision's format."""
    if precision == "fp32":
        return nullcontext()
    return torch.autocast(device.type, _DTYPES[precision])


def gradient_scaler(precision: str, device: torch.device) -> torch.amp.GradScaler:
    """Keeps fp16 gradients from vanishing; does nothing for the other formats, which need no such help."""
    return torch.amp.GradScaler(device.type, enabled=precision == "fp16")


def allow_tf32(config: TrainingConfig) -> None:
    """Let NVIDIA GPUs round fp32 products to TF32, or not; nothing changes on a CPU."""
    if torch.cuda.is_available():
        torch.backends.cuda.matmul.allow_tf32 = config.tf32
        torch.backends.cudnn.allow_tf32 = config.tf32
