import http.server
import json
import os
import threading

import pytest
import torch

from paraformer_platform.clusters import doctor, probes
from paraformer_platform.clusters.findings import Finding, has_errors
from paraformer_platform.clusters.probes import StorageProbe, report_node


def of(findings: list, about: str, level: str) -> list:
    return [found for found in findings if (found["about"], found["level"]) == (about, level)]


def test_every_node_of_a_cluster_is_looked_at_from_a_laptop(cluster, tmp_path):
    """Faked GPUs are the fault here: Ray was told of one per node, and NVIDIA's driver knows of none."""
    nodes = {cluster.ip(2), cluster.ip(3)}
    address = f"--address={cluster.url}"
    answer = cluster.run(
        "-m", "paraformer_platform", "doctor", address, f"--storage={tmp_path}", "--json", timeout=120
    )
    assert answer.returncode == 1, answer.stdout + answer.stderr
    findings = json.loads(answer.stdout[answer.stdout.index("[\n") :])
    for about in ("versions", "storage", "disk"):
        judged = {found["where"] for found in findings if found["about"] == about}
        assert judged > nodes, about
        assert len(judged) == 3, about
    assert len(of(findings, "versions", "ok")) == 3
    assert len(of(findings, "storage", "ok")) == 3
    faked = of(findings, "gpus", "error")
    assert {found["where"] for found in faked} == nodes
    assert faked[0]["message"] == "Ray hands out 1 GPUs, NVIDIA's driver shows 0"
    assert "nvidia-smi" in faked[0]["remedy"]
    assert list(tmp_path.iterdir()) == []  # the probe leaves nothing behind


def test_a_node_with_other_versions_or_code_is_named_with_both(tmp_path):
    ours = probes.versions()
    expected = ours | {"torch": "1.0", "source": "0123456789abcdef"}
    findings = doctor.examine(None, tmp_path, None, expected)
    faults = [found for found in findings if found.about == "versions"]
    assert [found.message for found in faults] == [
        f"torch {ours['torch']}, the driver has 1.0",
        f"source {ours['source']}, the driver has 0123456789abcdef",
    ]
    assert "make setup" in faults[0].remedy
    assert "paraformer submit" in faults[1].remedy
    assert has_errors(findings)


def test_a_healthy_machine_has_no_errors(tmp_path):
    findings = doctor.examine(None, tmp_path, None)
    assert [found for found in findings if found.level == "error" and found.about != "disk"] == []
    assert {found.about for found in findings} >= {"versions", "storage", "disk"}


def test_a_folder_that_each_node_has_for_itself_is_no_shared_storage(tmp_path, monkeypatch):
    monkeypatch.setattr(probes, "SEEN_WITHIN", 0.1)
    drivers = StorageProbe(tmp_path / "drivers", secret="s")
    drivers.begin()
    nodes = StorageProbe(tmp_path / "nodes", secret="s")  # the same path, were these two machines
    report = report_node("node-1", nodes)
    assert "does not see the file that the driver wrote" in report.storage_fault
    node = doctor.NodeAnswer("10.0.0.2", 0, report)
    (fault,) = [found for found in doctor._about_node(node, report.versions) if found.about == "storage"]
    assert (fault.level, fault.where) == ("error", "10.0.0.2")
    assert "mount the same shared folder" in fault.remedy


def test_what_a_node_writes_must_arrive_at_the_driver(tmp_path, monkeypatch):
    monkeypatch.setattr(probes, "SEEN_WITHIN", 0.1)
    probe = StorageProbe(tmp_path, secret="s")
    probe.begin()
    report = report_node("node-0", probe)
    assert report.storage_fault == ""
    (probe.path / "node-0").unlink()
    (fault,) = doctor._written_back([doctor.NodeAnswer("10.0.0.2", 0, report)], probe)
    assert fault.level == "error"
    assert "does not arrive at the driver" in fault.message


@pytest.mark.parametrize("name", ["a file", "/proc"])
def test_a_storage_that_takes_no_files_is_an_error_with_a_remedy(tmp_path, name):
    (tmp_path / "a file").write_text("")
    findings = doctor.examine(None, tmp_path / name, None)
    (fault,) = [found for found in findings if found.about == "storage"]
    assert fault.level == "error"
    assert "cannot be written from the driver" in fault.message
    assert "--storage FOLDER" in fault.remedy


def test_little_disk_is_a_warning_and_none_an_error():
    levels = [
        found.level for found in doctor._about_disk("n", {"/a": 50 * 10**9, "/b": 5 * 10**9, "/c": 10**8})
    ]
    assert levels == ["ok", "warning", "error"]


def test_a_node_that_does_not_answer_is_an_error():
    (fault,) = doctor._about_node(doctor.NodeAnswer("10.0.0.9", 1, None), {})
    assert (fault.level, fault.about) == ("error", "nodes")
    assert "make setup" in fault.remedy


class OtherMlflow(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"2.1.0")

    def log_message(self, *arguments):
        pass


def test_an_mlflow_server_is_asked_for_its_version():
    server = http.server.HTTPServer(("127.0.0.1", 0), OtherMlflow)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    uri = f"http://127.0.0.1:{server.server_port}"
    try:
        (found,) = doctor._about_tracking(uri)
    finally:
        server.shutdown()
        server.server_close()
    assert found.level == "warning"
    assert "server '2.1.0'" in found.message
    (gone,) = doctor._about_tracking(uri)
    assert gone.level == "error"
    assert "ray attach -p 5000" in gone.remedy


def test_findings_keep_to_the_terminals_width():
    found = Finding("error", "gpus", "10.0.0.2", "seen " * 20, "do this and then that " * 8)
    lines = found.shown(80).splitlines()
    assert max(map(len, lines)) <= 80
    assert all(line.startswith("         ") for line in lines[1:])
    assert sum("->" in line for line in lines) == 1
    assert "".join(str(found).split()) == "".join("".join(lines).split())


@pytest.mark.skipif(torch.cuda.is_available(), reason="torch can use the GPU of this machine")
def test_gpus_that_torch_cannot_use_are_an_error(tmp_path, monkeypatch):
    """An old driver: its tool shows the GPU, torch does not. Here it is a script without a GPU."""
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho NVIDIA H100\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    findings = doctor.examine(None, None, None)
    (fault,) = [found for found in findings if found.about == "gpus"]
    assert fault.level == "error"
    assert "NVIDIA's driver shows 1 GPUs, torch (CUDA " in fault.message
    assert "install an NVIDIA driver for CUDA" in fault.remedy


def test_a_machine_without_gpus_is_told_so():
    (found,) = doctor._about_gpus("n", probes.NodeReport({}, (), {}), 0)
    assert (found.level, found.message) == ("ok", "none; trainings run on the CPU")


def test_a_finding_prints_its_remedy_below_itself():
    found = Finding("error", "disk", "10.0.0.2", "0.1 GB free", "free some")
    assert str(found).splitlines() == ["ERROR    disk  10.0.0.2: 0.1 GB free", "         -> free some"]
