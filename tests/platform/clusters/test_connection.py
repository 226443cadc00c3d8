import ast
import socket

import pytest

from paraformer_platform.clusters.connection import check_somebody_answers
from paraformer_platform.errors import ClusterError


def test_an_address_nobody_answers_at_is_refused_at_once_with_the_remedy():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound, but nobody listens
        port = unused.getsockname()[1]
        with pytest.raises(
            ClusterError, match=rf"no Ray answers at 127\.0\.0\.1:{port}.*leave --address out"
        ):
            check_somebody_answers(f"127.0.0.1:{port}")


@pytest.mark.parametrize("address", ["gpu-box", "ray://gpu-box", "gpu-box:ssh"])
def test_an_address_without_a_port_is_refused(address):
    with pytest.raises(ClusterError, match="is not 'auto', 'local', host:port or ray://host:port"):
        check_somebody_answers(address)


JOIN = """
import sys
from paraformer_platform.clusters.connection import Connection
from paraformer_platform.errors import ClusterError
try:
    with Connection(sys.argv[1]) as connection:
        print(sorted(node.address for node in connection.nodes()))
except ClusterError as error:
    sys.exit(f"refused: {error}")
"""


def test_a_cluster_is_joined_by_host_and_port_with_the_token_in_its_place(cluster):
    answer = cluster.run("-c", JOIN, cluster.gcs, timeout=120)
    assert answer.returncode == 0, answer.stderr
    there = ast.literal_eval(answer.stdout.splitlines()[-1])
    assert {cluster.ip(2), cluster.ip(3)} < set(there)  # and the head


def test_a_wrong_token_is_refused_there_too(cluster):
    """Ray tries for some 20 seconds; its own words name neither token nor remedy."""
    answer = cluster.run("-c", JOIN, cluster.gcs, timeout=90, RAY_AUTH_TOKEN="a-wrong-one")
    assert "refused: the Ray at" in answer.stderr
    assert "the token from RAY_AUTH_TOKEN was used" in answer.stderr
    assert "ray get-auth-token" in answer.stderr
