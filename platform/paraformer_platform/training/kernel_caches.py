"""oneDNN compiles its CPU kernels for every shape, and torch and oneDNN each keep the last 1024 of them.

Batches of speech have hundreds of shapes, and a kept kernel holds weights in its own layout. On recorded
digits 250 steps in bf16 peaked at 1.93 GB with the defaults and at 1.24 GB with the limits below, in 0.96 of
the time; a process that trains one trial after the other kept growing.
"""

import os

LIMITS = {
    "LRU_CACHE_CAPACITY": "128",  # torch's cache in front of oneDNN's
    "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "256",
}
"""Entries kept, by the variable that the libraries read when they first need a kernel."""


def limit_kernel_caches() -> None:
    """Keep fewer compiled kernels, from the first one on; what the user has set stays."""
    for name, value in LIMITS.items():
        os.environ.setdefault(name, value)
