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
