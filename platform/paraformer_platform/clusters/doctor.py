"""Whether a machine or a cluster can run sweeps, looked at node by node; each fault with its remedy."""

import json
import os
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from paraformer_platform.clusters.findings import Finding
from paraformer_platform.clusters.probes import NodeReport, StorageProbe, report_node

Seconds = float
ANSWER_WITHIN: Seconds = 5.0
NODE_ANSWERS_WITHIN: Seconds = 90.0
"""Until a node has its upload unpacked, a process started and torch imported."""
GIGABYTE = 10**9
LITTLE_DISK = 10 * GIGABYTE
"""Below this a node's checkpoints and Ray's spilled objects may fill it within one sweep."""
TOO_LITTLE_DISK = GIGABYTE
SAME_ENVIRONMENT = "set the node up from this checkout again: make setup (ray up cluster.yaml runs it)"
SAME_SOURCE = "use paraformer submit, or --address from a checkout: they upload the code that is to run"


@dataclass(frozen=True)
class NodeAnswer:
    """A node of the cluster, and what it said; None when it did not answer."""

    address: str
    gpus: float
    """GPUs that Ray hands out there."""
    report: NodeReport | None


def examine(
    address: str | None,
    storage: Path | None,
    tracking_uri: str | None,
    expected: Mapping[str, str] | None = None,
) -> list[Finding]:
    """Look at everything that a sweep needs.

    Args:
        address: Ray address to join; None looks at this machine only, without Ray.
        storage: Folder that trials would be stored in; None leaves it out.
        tracking_uri: MLflow store; None leaves it out.
        expected: Versions of the machine that submits, by name; None for this one's.

    Raises:
        ClusterError: nobody answers at the address, or refuses us.
    """
    from paraformer_platform.clusters.probes import versions

    findings, probe = _begin_probe(storage)
    try:
        nodes = list(_this_machine(probe)) if address is None else _ask_cluster(address, probe)
        findings += [found for node in nodes for found in _about_node(node, expected or versions())]
        if probe:
            findings += _written_back(nodes, probe)
    finally:
        if probe:
            probe.end()
    return [*findings, *_about_tracking(tracking_uri)]


def _begin_probe(storage: Path | None) -> tuple[list[Finding], StorageProbe | None]:
    """Write the driver's file; a storage that takes none is a finding, and not probed further."""
    if storage is None:
        return [], None
    probe = StorageProbe(storage, secret=uuid.uuid4().hex)
    try:
        probe.begin()
    except OSError as error:
        probe.end()
        remedy = "name a folder that is mounted on every node, may be written, and has room: --storage FOLDER"
        return [
            Finding("error", "storage", str(storage), f"cannot be written from the driver: {error}", remedy)
        ], None
    return [], probe


def _this_machine(probe: StorageProbe | None) -> Iterator[NodeAnswer]:
    yield NodeAnswer("this machine", 0, report_node("node-0", probe))


def _ask_cluster(address: str, probe: StorageProbe | None) -> list[NodeAnswer]:
    """Run the probe on every living node at the same time."""
    from paraformer_platform.clusters.connection import Connection

    with Connection(address):
        import ray

        nodes = [node for node in ray.nodes() if node["Alive"]]
        asked = [
            _on_node(node["NodeID"]).remote(f"node-{number}", probe) for number, node in enumerate(nodes)
        ]
        answered, _ = ray.wait(asked, num_returns=len(asked), timeout=NODE_ANSWERS_WITHIN)
        return [
            NodeAnswer(
                node["NodeManagerAddress"],
                node["Resources"].get("GPU", 0.0),
                _answer(future) if future in answered else None,
            )
            for node, future in zip(nodes, asked, strict=True)
        ]


def _on_node(node_id: str):  # type: ignore[no-untyped-def]
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    return ray.remote(report_node).options(
        num_cpus=0, max_retries=0, scheduling_strategy=NodeAffinitySchedulingStrategy(node_id, soft=False)
    )


def _answer(future: object) -> NodeReport | None:
    import ray

    try:
        report = ray.get(future)
    except ray.exceptions.RayError:
        return None
    assert isinstance(report, NodeReport)
    return report


def _about_node(node: NodeAnswer, expected: Mapping[str, str]) -> Iterator[Finding]:
    """Judge what a node said."""
    if node.report is None:
        yield Finding(
            "error",
            "nodes",
            node.address,
            f"did not answer within {NODE_ANSWERS_WITHIN:g} s, or could not run our code",
            "look into /tmp/ray/session_latest/logs there; most often its environment is an older one: "
            + SAME_ENVIRONMENT,
        )
        return
    yield from _about_versions(node.address, node.report.versions, expected)
    yield from _about_gpus(node.address, node.report, node.gpus)
    yield from _about_disk(node.address, node.report.free_disk)
    if node.report.storage_fault:
        yield Finding(
            "error",
            "storage",
            node.address,
            node.report.storage_fault,
            "mount the same shared folder at the same path on every node (docs/CLUSTER.md, Shared storage)",
        )


def _about_versions(where: str, found: Mapping[str, str], expected: Mapping[str, str]) -> Iterator[Finding]:
    different = {name: value for name, value in found.items() if expected.get(name, value) != value}
    for name, value in different.items():
        remedy = SAME_SOURCE if name == "source" else SAME_ENVIRONMENT
        yield Finding("error", "versions", where, f"{name} {value}, the driver has {expected[name]}", remedy)
    if not different:
        yield Finding("ok", "versions", where, ", ".join(f"{name} {value}" for name, value in found.items()))


def _about_gpus(where: str, report: NodeReport, handed_out: float) -> Iterator[Finding]:
    seen, usable, cuda = len(report.gpus), report.gpus_of_torch, report.versions.get("cuda", "unknown")
    if handed_out > seen:
        yield Finding(
            "error",
            "gpus",
            where,
            f"Ray hands out {handed_out:g} GPUs, NVIDIA's driver shows {seen}",
            "install the NVIDIA driver (nvidia-smi must list them), or correct --num-gpus of its ray start",
        )
    elif usable < seen:
        yield Finding(
            "error",
            "gpus",
            where,
            f"NVIDIA's driver shows {seen} GPUs, torch (CUDA {cuda}) can use {usable}",
            f"install an NVIDIA driver for CUDA {cuda} or newer (nvidia-smi shows what it is for)",
        )
    else:
        yield Finding("ok", "gpus", where, ", ".join(report.gpus) or "none; trainings run on the CPU")


def _about_disk(where: str, free: Mapping[str, int]) -> Iterator[Finding]:
    for folder, size in free.items():
        message = f"{size / GIGABYTE:.1f} GB free at {folder}"
        remedy = "free some, or take larger disks in cluster.yaml"
        if size >= LITTLE_DISK:
            yield Finding("ok", "disk", where, message)
        else:
            yield Finding("error" if size < TOO_LITTLE_DISK else "warning", "disk", where, message, remedy)


def _written_back(nodes: list[NodeAnswer], probe: StorageProbe) -> Iterator[Finding]:
    """Look for the files that the nodes wrote, from the driver's side."""
    for number, node in enumerate(nodes):
        if node.report is None or node.report.storage_fault:
            continue
        if probe.sees(f"node-{number}"):
            done = f"{probe.folder}: written, renamed and read across nodes"
            yield Finding("ok", "storage", node.address, done)
        else:
            remedy = "mount the same shared folder at the same path on every node"
            message = f"what it wrote to {probe.folder} does not arrive at the driver"
            yield Finding("error", "storage", node.address, message, remedy)


def _about_tracking(uri: str | None) -> Iterator[Finding]:
    """Ask an MLflow server whether it is well; a database is opened by the sweep itself."""
    if uri is None:
        return
    if urlsplit(uri).scheme not in ("http", "https"):
        yield Finding("ok", "mlflow", uri, "a store without a server: only this machine can read it")
        return
    try:
        with urllib.request.urlopen(f"{uri.rstrip('/')}/version", timeout=ANSWER_WITHIN) as response:
            theirs = response.read(100).decode(errors="replace").strip()
    except (OSError, ValueError) as error:
        remedy = "start it on the head (docs/CLUSTER.md, MLflow), or forward its port: ray attach -p 5000"
        yield Finding("error", "mlflow", uri, f"no MLflow server answers: {error}", remedy)
        return
    yield _about_server_version(uri, theirs)


def _about_server_version(uri: str, theirs: str) -> Finding:
    import importlib.metadata

    ours = importlib.metadata.version("mlflow")
    if theirs == ours:
        return Finding("ok", "mlflow", uri, f"MLflow server {theirs}")
    remedy = f"run the server from this checkout's environment (mlflow=={ours})"
    return Finding("warning", "mlflow", uri, f"server {theirs!r}, client {ours}", remedy)


def default_tracking_uri() -> str | None:
    """Return the MLflow store that the environment names."""
    return os.environ.get("MLFLOW_TRACKING_URI") or None


def to_json(findings: list[Finding]) -> str:
    """Return findings as a JSON list."""
    return json.dumps([finding.to_dict() for finding in findings], indent=1)
