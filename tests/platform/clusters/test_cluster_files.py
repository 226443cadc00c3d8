"""The cluster files against what will read them.

The launcher's files go through Ray's own preparation and validation, the code of `ray up` before it calls a
cloud. That code cannot judge a provider's `node_config`, nor can any test here start a machine. KubeRay is
a Go program that is not here: its manifests go through Ray's own reader of RayCluster objects, and their keys
are compared with the fields that KubeRay's reference lists.
"""

import os
from pathlib import Path

import pytest
import yaml

LAUNCHER_FILES = ("cluster.yaml", "cluster/aws.yaml", "cluster/on_premise.yaml")
KUBERAY_FILES = ("cluster/kuberay_raycluster.yaml", "cluster/kuberay_rayjob.yaml")

# Fields of the ray.io/v1 reference, KubeRay 1.6 (docs.ray.io, KubeRay CRD API reference).
CLUSTER_FIELDS = {
    "authOptions", "autoscalerOptions", "enableInTreeAutoscaling", "gcsFaultToleranceOptions",
    "headGroupSpec", "headServiceAnnotations", "managedBy", "rayVersion", "suspend", "upgradeStrategy",
    "workerGroupSpecs",
}  # fmt: skip
HEAD_FIELDS = {
    "enableIngress", "headService", "labels", "rayStartParams", "resources", "serviceType", "template",
}  # fmt: skip
WORKER_FIELDS = {
    "groupName", "idleTimeoutSeconds", "labels", "maxReplicas", "minReplicas", "numOfHosts", "rayStartParams",
    "replicas", "resources", "scaleStrategy", "suspend", "template",
}  # fmt: skip
JOB_FIELDS = {
    "activeDeadlineSeconds", "backoffLimit", "clusterSelector", "deletionStrategy", "entrypoint",
    "entrypointNumCpus", "entrypointNumGpus", "entrypointResources", "jobId", "managedBy", "metadata",
    "rayClusterSpec", "runtimeEnvYAML", "shutdownAfterJobFinishes", "submissionMode", "submitterConfig",
    "submitterPodTemplate", "suspend", "ttlSecondsAfterFinished",
}  # fmt: skip


def read(repository: Path, name: str) -> dict:
    return yaml.safe_load((repository / name).read_text())


def as_ray_joins_commands(written: dict, key: str) -> object:
    """The setup commands of all nodes come before those of the head and of the workers."""
    if key in ("head_setup_commands", "worker_setup_commands"):
        return written["setup_commands"] + written[key]
    return written[key]


def prepare(config: dict) -> dict:
    from ray.autoscaler._private.util import prepare_config, validate_config

    prepared = prepare_config(config)
    validate_config(prepared)
    return prepared


def cluster_spec(manifest: dict) -> dict:
    return manifest["spec"] if manifest["kind"] == "RayCluster" else manifest["spec"]["rayClusterSpec"]


@pytest.mark.parametrize("name", LAUNCHER_FILES)
def test_ray_takes_every_key_as_it_stands(repository, name):
    written = read(repository, name)
    prepared = prepare(written)
    assert set(written) - set(prepared) <= {"min_workers"}  # provider local moves it into its node type
    for key in set(written) - {"available_node_types", "min_workers"}:
        assert prepared[key] == as_ray_joins_commands(written, key), key
    for node_type, settings in written.get("available_node_types", {}).items():
        assert settings.items() <= prepared["available_node_types"][node_type].items()
    # Every command that matters is written out: none comes from Ray's defaults.
    assert {key for key in prepared if key.endswith("_commands")} - set(written) <= {
        "initialization_commands",
        "worker_setup_commands",
    }


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"worker_nodes_max": 3}, "worker_nodes_max"),
        ({"head_node_type": "haed"}, "head_node_type"),
        ({"max_workers": "many"}, "many"),
    ],
)
def test_a_key_or_value_that_ray_refuses_is_found(repository, change, words):
    with pytest.raises(Exception, match=words):
        prepare(read(repository, "cluster.yaml") | change)


def test_the_cluster_starts_without_workers_and_keeps_drivers_off_spot_machines(repository):
    for name in ("cluster.yaml", "cluster/aws.yaml"):
        types = prepare(read(repository, name))["available_node_types"]
        workers = {key: value for key, value in types.items() if key != "head"}
        assert all(settings["min_workers"] == 0 for settings in workers.values())
        assert types["head"]["resources"]["trial_driver"] > 0
        assert not any("trial_driver" in settings["resources"] for settings in workers.values())
        assert "InstanceMarketOptions" not in types["head"]["node_config"]


@pytest.mark.parametrize("name", LAUNCHER_FILES)
def test_what_is_mounted_exists_and_the_start_asks_for_the_token(repository, name, monkeypatch, tmp_path):
    from ray.autoscaler._private.util import hash_runtime_conf

    monkeypatch.chdir(repository)
    monkeypatch.setenv("HOME", str(tmp_path))
    for file in (".ray/auth_token", ".paraformer/database"):
        (tmp_path / file).parent.mkdir(parents=True)
        (tmp_path / file).write_text("secret")
    prepared = prepare(read(repository, name))
    mounts = dict(prepared["file_mounts"])
    assert Path(mounts.pop("~/paraformer")).resolve() == repository
    hash_runtime_conf(mounts, None, {})  # as `ray up` does; raises for a path that is not there
    assert all(os.path.exists(os.path.expanduser(path)) for path in mounts.values())
    for commands in ("head_start_ray_commands", "worker_start_ray_commands"):
        assert "RAY_AUTH_MODE=token" in prepared[commands][-1]
        assert "ray start" in prepared[commands][-1]


@pytest.mark.parametrize("name", LAUNCHER_FILES)
def test_mlflow_and_the_job_server_listen_on_localhost_only(repository, name):
    start = "\n".join(read(repository, name)["head_start_ray_commands"])
    assert "mlflow server --host 127.0.0.1" in start
    assert "--dashboard-host=127.0.0.1" in start
    assert "0.0.0.0" not in start


@pytest.mark.parametrize("name", LAUNCHER_FILES)
def test_three_places_are_to_be_edited(repository, name):
    text = (repository / name).read_text()
    assert [f"EDIT {place} of 3" in text for place in (1, 2, 3)] == [True] * 3


@pytest.mark.parametrize("name", KUBERAY_FILES)
def test_kuberay_manifests_have_the_fields_of_its_reference_only(repository, name):
    manifest = read(repository, name)
    assert manifest["apiVersion"] == "ray.io/v1"
    spec = cluster_spec(manifest)
    assert set(manifest["spec"]) <= (CLUSTER_FIELDS if manifest["kind"] == "RayCluster" else JOB_FIELDS)
    assert set(spec) <= CLUSTER_FIELDS
    assert set(spec["headGroupSpec"]) <= HEAD_FIELDS
    assert all(set(group) <= WORKER_FIELDS for group in spec["workerGroupSpecs"])
    assert spec["authOptions"] == {"mode": "token"}


@pytest.mark.parametrize("name", KUBERAY_FILES)
def test_rays_autoscaler_reads_the_manifests_as_meant(repository, name):
    from ray.autoscaler._private.kuberay.autoscaling_config import _derive_autoscaling_config_from_ray_cr

    manifest = read(repository, name)
    derived = _derive_autoscaling_config_from_ray_cr(
        {"metadata": manifest["metadata"], "spec": cluster_spec(manifest)}
    )
    prepare(derived)
    types = derived["available_node_types"]
    assert types["headgroup"]["resources"]["trial_driver"] == 1000
    assert types["gpu-spot"]["resources"].items() >= {"CPU": 16, "GPU": 1}.items()
    assert types["gpu-spot"]["min_workers"] == 0
    assert types["gpu-spot"]["max_workers"] == 8
    assert derived["idle_timeout_minutes"] == 10


def test_kuberay_pods_agree_with_each_other(repository):
    """One Ray version, one image, one shared folder: a pod that differs would fail at its first trial."""
    import ray

    for name in KUBERAY_FILES:
        spec = cluster_spec(read(repository, name))
        pods = [spec["headGroupSpec"], *spec["workerGroupSpecs"]]
        containers = [each for pod in pods for each in pod["template"]["spec"]["containers"]]
        assert spec["rayVersion"] == ray.__version__
        assert len({container["image"] for container in containers}) == 1
        for container in containers:
            assert {"name": "shared", "mountPath": "/shared"} in container["volumeMounts"]
