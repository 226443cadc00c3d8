"""What oneDNN keeps, told by its own log: a process each time, since the libraries read their limits once."""

import os
import subprocess
import sys

import pytest

MANY_SHAPES_TWICE = """
import sys, torch
from paraformer_platform.training.kernel_caches import limit_kernel_caches
if sys.argv[1] == "limited":
    limit_kernel_caches()
torch.set_num_threads(1)
layer = torch.nn.Linear(64, 64).bfloat16()
with torch.no_grad():
    for _ in range(2):
        print("pass", flush=True)
        for frames in range(16, 416):
            layer(torch.ones(frames, 64).bfloat16())
"""


def kernels_compiled(how: str) -> list[int]:
    """Return how many kernels each of two passes over the same 400 shapes compiled."""
    roots = os.pathsep.join(path for path in sys.path if path)
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": roots, "ONEDNN_VERBOSE": "profile_create"}
    run = [sys.executable, "-c", MANY_SHAPES_TWICE, how]
    log = subprocess.run(run, env=environment, capture_output=True, text=True, check=True).stdout
    return [part.count("create:cache_miss") for part in log.split("pass\n")[1:]]


def test_few_compiled_kernels_are_kept():
    first, second = kernels_compiled("as it is")
    if not first:
        pytest.skip("this CPU has no oneDNN kernels for bf16")
    assert (first, second) == (400, 0)
    assert kernels_compiled("limited") == [400, 400]


def test_what_the_user_has_set_stays(monkeypatch):
    from paraformer_platform.training.kernel_caches import LIMITS, limit_kernel_caches

    monkeypatch.setenv("LRU_CACHE_CAPACITY", "7")
    monkeypatch.setenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "9")
    limit_kernel_caches()
    assert [os.environ[name] for name in LIMITS] == ["7", "9"]
