"""A real cluster on this machine: a head and two more nodes, as processes of our own, with their own token.

Where root allows, each node has a network namespace of its own (see ``networks``), so that nobody reaches
another one's localhost. Its nodes run in an environment into which an *older copy* of the packages is
installed, as on a cluster that was set up last week: whatever works here works because the submitted code
goes before the installed one.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
import urllib.request
import venv
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[3]
TOKEN = "a-token-of-this-test-run-0123456789abcdef"
OLDER_MARK = "AN_OLDER_COPY = True\n"
NODES = (2, 3)
"""Numbers of the two nodes; the head is 1."""

# Modules beside this one are imported by their names.
sys.path.insert(0, str(Path(__file__).parent))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@dataclass
class ClusterOnOneMachine:
    folder: Path
    python: Path
    gcs: str
    url: str
    environment: dict[str, str]
    network: Any
    processes: dict[str, subprocess.Popen] = field(default_factory=dict)

    def ip(self, number: int) -> str:
        """Address of a node; 1 is the head."""
        return self.network.ip(number)

    @property
    def token_path(self) -> Path:
        return self.folder / "token"

    def start(self, name: str, *arguments: str) -> None:
        """Start a process of Ray, on the node whose address is the name, if it is one."""
        log = (self.folder / f"{name}.log").open("w")
        ports = [f"--dashboard-agent-listen-port={free_port()}", f"--metrics-export-port={free_port()}"]
        command = [self.python, "-m", "ray.scripts.scripts", "start", *arguments, *ports, "--block"]
        where = self.network.join(name) if name[0].isdigit() else []
        self.processes[name] = subprocess.Popen(
            [
                str(part)
                for part in [*where, *command, "--disable-usage-stats", "--object-store-memory=100000000"]
            ],
            env=self.environment,
            cwd=self.folder,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def start_node(self, ip: str) -> None:
        """Start a node with a disk of its own: in a shared one, unpacking an upload deletes the other's."""
        self.start(
            ip,
            f"--address={self.gcs}",
            f"--node-ip-address={ip}",
            f"--temp-dir={self.folder}/{ip}",
            "--num-cpus=1",
            "--num-gpus=1",
        )
        wait_until(lambda: ip in self.living_nodes(), 90, f"node {ip}")

    def living_nodes(self) -> list[str]:
        return [raylet["nodeManagerAddress"] for raylet in self.raylets() if raylet["state"] == "ALIVE"]

    def raylets(self) -> list[dict]:
        """What the head knows of each node; a node that is only announced has no record yet."""
        nodes = json.loads(self.get("/nodes?view=summary"))["data"]["summary"]
        return [node["raylet"] for node in nodes if node.get("raylet", {}).get("nodeId")]

    def get(self, path: str) -> bytes:
        request = urllib.request.Request(f"{self.url}{path}", headers={"Authorization": f"Bearer {TOKEN}"})
        return urllib.request.urlopen(request, timeout=5).read()

    def run(
        self, *code: str, timeout: float = 60, cwd: Path | None = None, **changes: str
    ) -> subprocess.CompletedProcess:
        """Run this checkout's Python as a user would who has the cluster's token."""
        return subprocess.run(
            [sys.executable, *code],
            env=self.users_environment(**changes),
            cwd=cwd,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def users_environment(self, **changes: str) -> dict[str, str]:
        roots = [str(REPOSITORY / room) for room in ("model", "platform", "analysis")]
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "PYTHONPATH": os.pathsep.join(roots),
            "RAY_AUTH_TOKEN_PATH": str(self.token_path),
            **changes,
        }

    def stop(self) -> None:
        for process in self.processes.values():
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
        for process in self.processes.values():
            try:
                process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self.network.close()


def node_environment(folder: Path) -> Path:
    """Make a Python environment with all dependencies of ours and an older copy of our packages."""
    venv.create(folder, with_pip=False, symlinks=True)
    packages = next(folder.glob("lib/python3*/site-packages"))
    # Not from sys.path: Ray puts a folder of its own, inside site-packages, before it.
    (packages / "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    for package in ("paraformer", "paraformer_platform"):
        (packages / package).mkdir()
        (packages / package / "__init__.py").write_text(OLDER_MARK)
    return folder / "bin" / "python"


def new_cluster(network: Any, **variables: str) -> ClusterOnOneMachine:
    folder = Path(tempfile.mkdtemp(prefix="pf-", dir="/tmp"))  # short: Ray's socket paths must be
    python = node_environment(folder / "env")
    (folder / "token").write_text(TOKEN)
    gcs, url = f"{network.ip(1)}:{free_port()}", f"http://127.0.0.1:{free_port()}"
    environment = {
        "PATH": f"{python.parent}:{os.environ['PATH']}",
        "HOME": str(folder),
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(folder / "token"),
        "OMP_NUM_THREADS": "1",
        "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0",
        "RAY_raylet_start_wait_time_s": "60",
        "RAY_TMPDIR": str(folder),
        **variables,
    }
    return ClusterOnOneMachine(folder, python, gcs, url, environment, network)


def begin_head(cluster: ClusterOnOneMachine, *arguments: str) -> None:
    cluster.start(
        "head",
        "--head",
        f"--node-ip-address={cluster.ip(1)}",
        f"--port={cluster.gcs.rpartition(':')[2]}",
        f"--dashboard-port={cluster.url.rpartition(':')[2]}",
        f"--temp-dir={cluster.folder}/ray",
        "--num-cpus=1",
        *arguments,
    )
    wait_until(lambda: has_job_server(cluster), 120, f"the head's job server ({cluster.folder}/head.log)")


def has_job_server(cluster: ClusterOnOneMachine) -> bool:
    try:
        return len(cluster.living_nodes()) == 1
    except OSError:
        return False


def wait_until(condition, seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s"
        time.sleep(0.3)


@pytest.fixture(name="wait_until")
def wait_until_fixture():
    return wait_until


@pytest.fixture
def make_cluster():
    """Make clusters whose nodes are all in the machine's own network."""
    from networks import Loopback

    return partial(new_cluster, Loopback())


@pytest.fixture
def start_head():
    return begin_head


@pytest.fixture(scope="session")
def cluster():
    """A head with the drivers' resource, and two nodes with one (faked) GPU each."""
    from networks import new_network

    cluster = new_cluster(new_network())
    try:
        begin_head(cluster, '--resources={"trial_driver": 100}')
        for number in NODES:
            cluster.start_node(cluster.ip(number))
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(cluster.folder, ignore_errors=True)
