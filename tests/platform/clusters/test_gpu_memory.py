"""How many workers share a GPU, by memory; what cannot be is refused with the numbers and the remedy."""

import pytest

from paraformer_platform.clusters import gpu_memory
from paraformer_platform.clusters.gpu_memory import share_gpus, smallest_card_gb
from paraformer_platform.clusters.preflight import Node, Request, check_request, gangs_at_once, nodes_from_ray
from paraformer_platform.errors import ClusterError

LAPTOP = Node("laptop", cpus=4, gpus=0)
H100S = Node("h100s", cpus=64, gpus=8, gpu_memory_gb=79.6)
T4 = Node("t4", cpus=8, gpus=1, gpu_memory_gb=15.0)


def asks(gpu_mem_gb: float, gpus: float = 0, workers: int = 1) -> Request:
    return Request(workers, 1, gpus, gpu_mem_gb=gpu_mem_gb)


@pytest.mark.parametrize(
    ("request_", "nodes", "share", "at_once"),
    [
        (asks(19.9), [H100S], 0.25, 32),  # 4 × 19.9 = 79.6
        (asks(20), [H100S], 0.3333, 24),  # a fourth one would need 0.4 GB more than there is
        (asks(50), [H100S], 1.0, 8),
        (asks(7), [H100S, T4], 0.5, 18),  # by the smallest card, as Ray may place a worker on any
        (asks(7, gpus=0.75), [T4], 0.75, 1),  # a larger share stays
        (asks(100, gpus=2), [H100S], 2, 4),  # whole GPUs are not shared
        (asks(19.9, workers=2), [H100S], 0.25, 16),
        (asks(0), [LAPTOP], 0, 4),
    ],
)
def test_as_many_workers_share_a_card_as_its_memory_holds(request_, nodes, share, at_once):
    shared = share_gpus(request_, nodes)
    assert shared.gpus_per_worker == share
    assert gangs_at_once(shared, nodes) == at_once
    check_request(shared, nodes)


@pytest.mark.parametrize(
    ("request_", "nodes", "words"),
    [
        (
            asks(20),
            [LAPTOP],
            r"gpu_mem_gb \(20\) asks for a GPU, and there is none.*Leave it out",
        ),
        (asks(20), [H100S, T4], r"needs 20 GB.*the cards of t4 have 15.0 GB\. Lower it"),
        (asks(200, gpus=2), [H100S], r"needs 200 GB.*the cards of h100s have 79.6 GB"),
        (
            asks(20),
            [Node("amd", 8, 1)],
            r"the GPUs of amd is not known\. Start .*\"gpu_mem_gb\": N",
        ),
    ],
)
def test_what_can_never_be_met_is_refused(request_, nodes, words):
    with pytest.raises(ClusterError, match=words):
        share_gpus(request_, nodes)


def test_two_workers_of_more_than_half_a_gpu_do_not_share_two_gpus_three_ways():
    assert gangs_at_once(Request(1, 1, 0.6), [Node("two", 16, 2)]) == 2


def test_a_node_may_tell_the_memory_of_its_gpus_when_it_is_started():
    resources = {"CPU": 8.0, "GPU": 4.0, "gpu_mem_gb": 96.0}
    [node] = nodes_from_ray(
        [{"Alive": True, "NodeManagerAddress": "a", "NodeID": "f00", "Resources": resources}]
    )
    assert node == Node("a", 8.0, 4.0, node_id="f00", gpu_memory_gb=24.0)


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("echo 81559; echo 40960", 40.0),
        ("echo '[N/A]'", None),
        ("echo NVIDIA-SMI has failed; exit 9", None),
        ("exit 127", None),
    ],
)
def test_the_smallest_card_is_read_from_nvidias_tool(tmp_path, monkeypatch, script, expected):
    tool = tmp_path / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\n{script}\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert smallest_card_gb() == expected


def test_without_the_tool_nothing_is_known(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpu_memory.smallest_card_gb() is None
