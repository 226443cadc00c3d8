"""Ray's autoscaler with the node types of cluster.yaml, on Ray's fake provider: its nodes are processes here.

The provider, the machines and the setup are exchanged; what stays is what decides about scaling: node types,
their resources, least and most workers. The idle time is shortened.
"""

import json
import shutil

import pytest
import yaml

FAKE_HEAD = "ray.head.default"
FAKE_PROVIDER = "ray.autoscaler._private.fake_multi_node.node_provider.FakeMultiNodeProvider"
HEAD_ID = "f" * 51 + "00000"
DEMAND = """\
import ray, time
ray.init(address="auto", log_to_driver=False)
@ray.remote(num_gpus=1, num_cpus=4)
def trial():
    time.sleep(3)
    return ray.get_runtime_context().get_node_id()
nodes = ray.get([trial.remote() for _ in range(2)])
print("on", len(set(nodes)), "nodes")
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
        config = cluster.folder / "autoscaling.yaml"
        config.write_text(json.dumps(fake_config(repository, cluster.gcs)))
        start_head(cluster, f"--autoscaling-config={config}")
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(cluster.folder, ignore_errors=True)


def test_workers_come_for_a_sweeps_requests_and_go_after_them(scaling_cluster, wait_until):
    cluster = scaling_cluster
    assert len(cluster.living_nodes()) == 1
    code = (
        "import sys; from paraformer_platform.clusters.job_server import connect;"
        "from paraformer_platform.clusters.submission import submit_job;"
        "sys.exit(submit_job(connect(sys.argv[1]), sys.argv[2]).follow(sys.stdout.write))"
    )
    answer = cluster.run("-c", code, cluster.url, f"python -c '{DEMAND}'", timeout=120)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "on 2 nodes" in answer.stdout  # each machine has one GPU, and two trials asked for one
    wait_until(lambda: len(cluster.living_nodes()) == 1, 60, "the workers' end")
