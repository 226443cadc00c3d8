"""A whole sweep on a head and three nodes: where its trials run, and a node that dies under it."""

import csv
import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from paraformer_analysis.records import read_sweep
from paraformer_analysis.report import make_report
from paraformer_analysis.store import TrackingStore
from paraformer_platform.config.identity import code_version

VICTIM = 4
"""Number of the node that is killed."""
SWEEP = "tests/platform/clusters/tiny/sweep.yaml"
COMPUTED_COSTS = ("cost_parameters", "cost_flops_per_second_of_speech")


def command(cluster, *arguments: str, cwd: Path, **changes: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "paraformer_platform", *arguments],
        env=cluster.users_environment(COLUMNS="200", **changes),
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def results(storage: Path) -> dict[str, object]:
    """Everything that the table is made of, by trial: test metrics and utterances, without times."""
    found = {}
    for folder in (storage / "trials").iterdir():
        summary = json.loads((folder / "results/summary.json").read_text())
        metrics = {name: value for name, value in summary["metrics"].items() if not name.startswith("cost/")}
        with (folder / "results/test.csv").open(newline="") as file:
            rows = [{**row, "decode_seconds": ""} for row in csv.DictReader(file)]
        found[folder.name] = (metrics, rows)
    return found


def table(storage: Path) -> bytes:
    """The report's table.csv, without the columns of time and memory."""
    uri = f"sqlite:///{storage}/mlflow.db"
    numbers = make_report(read_sweep(TrackingStore(uri), "tiny"), uri).numbers
    kept = [name for name in numbers if not name.startswith("cost_") or name in COMPUTED_COSTS]
    return numbers[kept].to_csv(index=False).encode()


@pytest.fixture
def one_machine(cluster, repository, tmp_path):
    """The storage of the same sweep on this machine alone, without the cluster."""
    storage = tmp_path / "one"
    storage.mkdir()
    (tmp_path / "tests").symlink_to(repository / "tests")  # its data folder shall not be the checkout's
    alone = command(cluster, "sweep", SWEEP, f"--override=storage={storage}", cwd=tmp_path)
    output, _ = alone.communicate(timeout=600)
    assert alone.returncode == 0, output
    return storage


class Placement(threading.Thread):
    """Notes on which nodes trials were seen, and kills one of these nodes while a trial runs there.

    Whoever is seen before every node has a trial is paused: on a busy machine one node's worker may take
    longer to start than its neighbours need for all trials, and Ray then gives its trial to one of them.
    """

    def __init__(self, cluster, victim: str) -> None:
        super().__init__(daemon=True)
        self.cluster, self.victim = cluster, victim
        self.seen: set[str] = set()
        self.killed = False
        self.paused: set[int] = set()
        self.over = threading.Event()

    def run(self) -> None:
        try:
            while not self.over.wait(0.3) and not self.killed:
                with suppress(OSError):
                    self.look()
        finally:
            self.go_on()

    def look(self) -> None:
        names = {raylet["nodeId"]: raylet["nodeManagerAddress"] for raylet in self.cluster.raylets()}
        actors = json.loads(self.cluster.get("/logical/actors"))["data"]["actors"]
        for actor in actors.values():
            if actor["state"] == "ALIVE" and "tune_trial" in json.dumps(actor):
                self.seen.add(names[actor["address"]["nodeId"]])
                os.kill(actor["pid"], signal.SIGSTOP)
                self.paused.add(actor["pid"])
        if len(self.seen) == 4:
            os.killpg(self.cluster.processes[self.victim].pid, signal.SIGKILL)
            self.killed = True

    def go_on(self) -> None:
        for pid in self.paused:
            with suppress(ProcessLookupError):  # it was the victim's
                os.kill(pid, signal.SIGCONT)


@pytest.mark.timeout(1500)
def test_four_nodes_one_of_them_killed_find_what_one_machine_finds(
    cluster, one_machine, repository, tmp_path
):
    storage = tmp_path / "four"
    arguments = ("submit", SWEEP, f"--address={cluster.url}", f"--storage={storage}")
    watch = Placement(cluster, cluster.ip(VICTIM))
    cluster.start_node(watch.victim)
    watch.start()
    try:
        submitted = command(cluster, *arguments, cwd=repository)
        output, _ = submitted.communicate(timeout=700)
    finally:
        watch.over.set()
        watch.join()
    assert submitted.returncode == 0, output
    assert watch.seen > {cluster.ip(number) for number in (2, 3, VICTIM)}, watch.seen  # and the head
    assert watch.killed
    assert len(results(storage)) == 9
    assert results(storage) == results(one_machine)
    assert table(storage) == table(one_machine)
    assert table(storage).count(b"\n") == 1 + 3  # the baseline and two variants
    identities = [json.loads(path.read_text()) for path in storage.glob("trials/*/identity.json")]
    # Trained by what was submitted, and not by the older copy that every node has installed.
    assert {identity["code_version"] for identity in identities} == {code_version()}


def test_a_request_that_no_node_can_hold_is_refused_before_anything_waits(cluster, repository, tmp_path):
    storage = tmp_path / "never"
    asked = ("--override", "resources.gpus_per_worker=2")
    submitted = command(
        cluster, "submit", SWEEP, f"--address={cluster.url}", f"--storage={storage}", *asked, cwd=repository
    )
    output, _ = submitted.communicate(timeout=90)
    assert submitted.returncode == 2, output
    assert "which this cluster can never hold" in output
    assert f"{cluster.ip(2)} has 1 CPUs, 1 GPUs" in output
