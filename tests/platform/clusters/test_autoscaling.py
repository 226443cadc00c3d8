"""Ray's autoscaler with the node types of cluster.yaml, on Ray's fake provider: its nodes are processes here.

The provider, the machines and the setup are exchanged; what stays is what decides about scaling: node types,
their resources, least and most workers. The idle time is shortened.
"""

import json
import shutil
import threading
from contextlib import suppress

import pytest
import yaml

FAKE_HEAD = "ray.head.default"
FAKE_PROVIDER = "ray.autoscaler._private.fake_multi_node.node_provider.FakeMultiNodeProvider"
HEAD_ID = "f" * 51 + "00000"
SWEEP = "tests/platform/clusters/tiny/two_gpus.yaml"
JOB = """
import os, sys
from paraformer_platform.clusters.job_server import connect
from paraformer_platform.clusters.submission import Job
url, folder, command = sys.argv[1:]
# Without an upload: the provider's nodes share the head's disk, and each that unpacks one deletes it from
# under the others.
client = connect(url)
environment = {"env_vars": {"PYTHONPATH": os.environ["PYTHONPATH"]}}
entry = f"cd {folder} && {command}"
sys.exit(Job(client, client.submit_job(entrypoint=entry, runtime_env=environment)).follow(sys.stdout.write))
"""


def fake_config(repository, gcs: str) -> dict:
    from ray.autoscaler._private.util import prepare_config, validate_config

    real = prepare_config(yaml.safe_load((repository / "cluster.yaml").read_text()))
    types = {
        FAKE_HEAD if name == real["head_node_type"] else name: {**settings, "node_config": {}}
        for name, settings in real["available_node_types"].items()
    }
    provider = {
        "type": "external",
        "module": FAKE_PROVIDER,
        "gcs_address": gcs,
        "use_node_id_as_ip": True,
        "disable_node_updaters": True,
    }
    commands = {key: [] for key in real if key.endswith("_commands")}
    config = {**real, **commands, "provider": provider, "available_node_types": types}
    config |= {"head_node_type": FAKE_HEAD, "file_mounts": {}, "auth": {}, "idle_timeout_minutes": 0.1}
    validate_config(config)
    return config


@pytest.fixture
def scaling_cluster(make_cluster, start_head, repository):
    cluster = make_cluster(
        RAY_FAKE_CLUSTER="1",
        AUTOSCALER_UPDATE_INTERVAL_S="1",
        RAY_enable_autoscaler_v2="0",
        RAY_OVERRIDE_NODE_ID_FOR_TESTING=HEAD_ID,
    )
    try:
        # Where `ray up` puts it, so that a sweep can read what may come.
        config = cluster.folder / "ray_bootstrap_config.yaml"
        config.write_text(json.dumps(fake_config(repository, cluster.gcs)))
        start_head(cluster, f"--autoscaling-config={config}")
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(cluster.folder, ignore_errors=True)


class Size(threading.Thread):
    """Notes how many nodes live at once."""

    def __init__(self, cluster) -> None:
        super().__init__(daemon=True)
        self.cluster, self.most, self.over = cluster, 0, threading.Event()

    def run(self) -> None:
        while not self.over.wait(0.3):
            with suppress(OSError):
                self.most = max(self.most, len(self.cluster.living_nodes()))


@pytest.mark.timeout(600)
def test_workers_come_for_a_sweeps_trials_and_go_after_them(
    scaling_cluster, wait_until, repository, tmp_path
):
    """Each machine has one GPU, and two trials ask for one each."""
    cluster = scaling_cluster
    assert len(cluster.living_nodes()) == 1
    size = Size(cluster)
    size.start()
    (tmp_path / "tests").symlink_to(repository / "tests")  # its data folder shall not be the checkout's
    command = f"python -m paraformer_platform sweep {SWEEP} --address auto --override=storage={tmp_path}/runs"
    answer = cluster.run("-c", JOB, cluster.url, str(tmp_path), command, timeout=300)
    size.over.set()
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert len(list(tmp_path.glob("runs/trials/*/results/summary.json"))) == 2
    assert size.most >= 3  # Tune may ask for one more while it starts the next trial
    wait_until(lambda: len(cluster.living_nodes()) == 1, 60, "the workers' end")
