import pytest
import yaml

from paraformer_platform.clusters.growth import _nodes, _types_of_ray_up
from paraformer_platform.clusters.preflight import Request, check_request, gangs_at_once
from paraformer_platform.errors import ClusterError


@pytest.fixture
def to_come(repository, tmp_path):
    """The nodes that cluster.yaml's autoscaler may add, from the file that `ray up` leaves on the head."""
    from ray.autoscaler._private.util import prepare_config

    prepared = prepare_config(yaml.safe_load((repository / "cluster.yaml").read_text()))
    file = tmp_path / "ray_bootstrap_config.yaml"
    file.write_text(yaml.safe_dump(prepared))
    return [node for group in _types_of_ray_up(file) for node in _nodes(*group)]


def test_a_cluster_without_workers_counts_those_it_may_have(to_come):
    assert len(to_come) == 8  # max_workers of gpu_spot; the head never starts a second head
    assert gangs_at_once(Request(1, 4, 1), to_come) == 8
    assert gangs_at_once(Request(4, 4, 1), to_come) == 2
    check_request(Request(8, 16, 1), to_come)


def test_what_no_node_type_will_ever_have_is_refused_before_anything_waits(to_come):
    with pytest.raises(ClusterError, match=r"asks for 1 × \(cpus_per_worker 4, gpus_per_worker 2\)"):
        check_request(Request(1, 4, 2), to_come)


def test_without_the_file_nothing_is_to_come(tmp_path):
    assert list(_types_of_ray_up(tmp_path / "missing")) == []
