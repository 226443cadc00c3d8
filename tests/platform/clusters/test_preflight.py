import pytest

from paraformer_platform.clusters.preflight import Node, Request, check_request, gangs_at_once, nodes_from_ray
from paraformer_platform.errors import ClusterError

LAPTOP = Node("laptop", cpus=4, gpus=0)
GPU_BOX = Node("gpu-box", cpus=16, gpus=2)


@pytest.mark.parametrize(
    ("request_", "nodes", "at_once"),
    [
        (Request(1, 1, 0), [LAPTOP], 4),
        (Request(1, 3, 0), [LAPTOP, LAPTOP], 2),
        (Request(2, 3, 0), [LAPTOP, LAPTOP], 1),
        (Request(1, 1, 0.25), [GPU_BOX], 8),
        (Request(4, 4, 1), [GPU_BOX, GPU_BOX], 1),
        (Request(1, 1, 1), [LAPTOP], 0),
    ],
)
def test_workers_are_counted_node_by_node(request_, nodes, at_once):
    assert gangs_at_once(request_, nodes) == at_once


def test_a_worker_that_no_single_node_holds_is_refused_though_the_sum_would_do():
    with pytest.raises(ClusterError, match=r"1 × \(cpus_per_worker 6.*laptop has 4 CPUs, 0 GPUs.*Lower"):
        check_request(Request(1, 6, 0), [LAPTOP, LAPTOP])


def test_elastic_trials_are_counted_whole_and_one_runs_on_its_least():
    elastic = Request(2, 1, 0, most_workers=4)
    assert gangs_at_once(elastic, [LAPTOP, LAPTOP]) == 2
    assert gangs_at_once(elastic, [Node("small", cpus=3, gpus=0)]) == 1
    with pytest.raises(ClusterError, match=r"asks for at least 2 × \(cpus_per_worker 1"):
        check_request(elastic, [Node("tiny", cpus=1, gpus=0)])


def test_dead_nodes_count_for_nothing():
    alive = {"Alive": True, "NodeManagerAddress": "a", "Resources": {"CPU": 2.0}}
    dead = {"Alive": False, "NodeManagerAddress": "b", "Resources": {"CPU": 64.0}}
    assert nodes_from_ray([alive, dead]) == [Node("a", 2.0, 0.0)]
