"""What oneDNN keeps: a process of its own each time, since the libraries read their limits once."""

import os
import subprocess
import sys

import pytest

MANY_SHAPES = """
import re, sys, torch
from pathlib import Path
from paraformer_platform.training.kernel_caches import limit_kernel_caches
if sys.argv[1] == "limited":
    limit_kernel_caches()
torch.set_num_threads(1)
layer = torch.nn.Linear(512, 2048).bfloat16()
peak = lambda: int(re.search(r"VmRSS:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024
with torch.no_grad():
    layer(torch.ones(8, 512).bfloat16())
    before = peak()
    for frames in range(16, 816):
        layer(torch.ones(frames, 512).bfloat16())
print(peak() - before)
"""


def megabytes_kept(how: str) -> float:
    roots = os.pathsep.join(path for path in sys.path if path)
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": roots}
    run = [sys.executable, "-c", MANY_SHAPES, how]
    return float(subprocess.run(run, env=environment, capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_800_shapes_of_one_layer_are_not_all_kept():
    kept, limited = megabytes_kept("as it is"), megabytes_kept("limited")
    if kept < 100:
        pytest.skip(f"on this CPU nothing much is kept: {kept:.0f} MB")
    assert limited < 0.6 * kept, (kept, limited)


def test_what_the_user_has_set_stays(monkeypatch):
    from paraformer_platform.training.kernel_caches import LIMITS, limit_kernel_caches

    monkeypatch.setenv("LRU_CACHE_CAPACITY", "7")
    monkeypatch.setenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "9")
    limit_kernel_caches()
    assert [os.environ[name] for name in LIMITS] == ["7", "9"]
