"""Each of Ray's traps, sprung for real where that takes seconds, and how it is met."""

import os
import subprocess
import sys

import pytest

from paraformer_platform.clusters.ray_traps import name_cluster
from paraformer_platform.errors import ClusterError

KILLED_CREATOR = """
import os, time
import ray
from ray.util.placement_group import placement_group
from paraformer_platform.clusters.ray_traps import GroupReaper, remove_abandoned_groups

ray.init(address="local", num_cpus=1, num_gpus=2, include_dashboard=False, object_store_memory=80_000_000)

@ray.remote(num_cpus=0)
class Controller:
    def reserve(self):
        self.group = placement_group([{"GPU": 1}, {"GPU": 1}])
        ray.get(self.group.ready())
        return os.getpid()

def free():
    return ray.available_resources().get("GPU", 0)

def wait_for(condition, seconds):
    begun = time.monotonic()
    while not condition() and time.monotonic() - begun < seconds:
        time.sleep(0.1)
    return time.monotonic() - begun

own = placement_group([{"CPU": 1}])  # of the driver, as Tune's are
ray.get(own.ready())
living = Controller.remote()
process = ray.get(living.reserve.remote())
wait_for(lambda: free() == 0, 20)
assert free() == 0
assert remove_abandoned_groups() == 0, "a living creator's group was taken"
os.kill(process, 9)
time.sleep(3)
print("free without help:", free())
with GroupReaper(interval=0.5):
    seconds = wait_for(lambda: free() == 2, 60)
print("free:", free(), "after", round(seconds, 1))
print("own:", ray.util.placement_group_table(own)["state"])
"""


def run(code: str, **environment: str) -> str:
    roots = os.pathsep.join(path for path in sys.path if path)
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": roots, "RAY_raylet_start_wait_time_s": "120", **environment},
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_gpus_that_a_killed_trial_left_reserved_are_free_again_within_seconds():
    """On two faked GPUs, without the dashboard. Ray alone keeps them, which is the trap; once it does not, a
    reaper is no longer needed."""
    output = run(KILLED_CREATOR)
    assert "free without help: 0.0" in output or "free without help: 0\n" in output
    assert "free: 2.0 after" in output
    assert "own: CREATED" in output


def test_the_cluster_is_named_for_ray_trains_helpers(monkeypatch):
    import ray

    class Context:
        gcs_address = "127.0.0.1:6379"

    monkeypatch.setattr(ray, "get_runtime_context", Context)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    name_cluster()
    assert os.environ["RAY_ADDRESS"] == "127.0.0.1:6379"
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")  # what the user says goes
    name_cluster()
    assert os.environ["RAY_ADDRESS"] == "10.0.0.1:6379"


def test_a_sweep_without_an_address_joins_no_ray_that_happens_to_run(monkeypatch):
    import ray

    from paraformer_platform.clusters.connection import Connection

    asked = {}
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", lambda **options: asked.update(options))
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    with Connection():
        assert asked["address"] == "local"


def test_a_ray_whose_raylet_dies_while_it_starts_is_named_in_words(monkeypatch):
    """Ray raises a bare Exception then, after 30 seconds (found by a kill at random)."""
    import ray

    from paraformer_platform.clusters.connection import Connection

    def init(**options):
        raise Exception("The current node timed out during startup.\nThis could happen because …")

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", init)
    with pytest.raises(ClusterError, match=r"no Ray could be started .*timed out during startup\. Is its"):
        Connection().__enter__()
