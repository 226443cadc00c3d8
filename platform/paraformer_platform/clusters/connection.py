"""Starting a Ray of our own or joining one that runs; the only place that does.

A process that is connected to a Ray already keeps it. ``Connection(address=None)`` starts a Ray for this
process alone, which dies with it; any other address
joins a cluster. What was started is stopped by its own process ids: ``ray stop`` would end every Ray on the
machine.
"""

import logging
import os
import socket
from types import TracebackType

from paraformer_platform.clusters.authentication import (
    protect_token_file,
    token_source,
    use_token_if_any,
)
from paraformer_platform.clusters.growth import nodes_to_come
from paraformer_platform.clusters.preflight import Node, nodes_from_ray
from paraformer_platform.clusters.runtime_env import cluster_runtime_env, export_to_local_workers
from paraformer_platform.errors import ClusterError

Seconds = float
ANSWER_WITHIN: Seconds = 5.0
OBJECT_STORE_BYTES = 256 * 1024**2
"""Trials hand over a few numbers; Ray's default would take a third of the memory."""
NOTHING = logging.CRITICAL + 1
"""Log level for Ray in the driver: a trial's faults are in its ledger entry, the live table stays whole."""
TRIAL_DRIVER = "trial_driver"
"""Resource that cluster.yaml gives to machines which are not taken away, as spot machines are."""
LOCAL = (None, "", "local")


class Connection:
    """A Ray to run trials on, as a context manager.

    Args:
        address: None or "local" for a Ray of our own, "auto" for the one on this machine, else host:port or ray://….
        cpus: CPUs of a Ray of our own; None takes what this process may use.

    Raises:
        ClusterError: no Ray starts, nobody answers, or the token is refused; with the remedy.
    """

    def __init__(self, address: str | None = None, cpus: int | None = None) -> None:
        self.address = address
        self._cpus = cpus
        self._was_there = False

    @property
    def is_local(self) -> bool:
        """Whether this Ray is our own and ends with us."""
        return self.address in LOCAL

    def __enter__(self) -> "Connection":
        if not self.is_local:
            use_token_if_any()  # Ray reads the mode when it is imported
        import ray

        self._was_there = ray.is_initialized()
        if self._was_there:
            return self
        if self.is_local:
            self._start()
        else:
            self._join()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        import ray

        if not self._was_there:
            ray.shutdown()

    def nodes(self) -> list[Node]:
        """Return the living nodes."""
        import ray

        return nodes_from_ray(ray.nodes())

    def capacity(self) -> list[Node]:
        """Return the living nodes, and those that an autoscaler may add."""
        return self.nodes() if self.is_local else [*self.nodes(), *nodes_to_come()]

    def driver_resources(self) -> dict[str, float]:
        """Return what keeps the driver of a gang off spot machines, on a cluster that says so."""
        import ray

        return {TRIAL_DRIVER: 1.0} if ray.cluster_resources().get(TRIAL_DRIVER) else {}

    def _start(self) -> None:
        export_to_local_workers()
        import ray

        try:
            ray.init(
                address="local",
                num_cpus=self._cpus or usable_cpus(),
                include_dashboard=False,
                log_to_driver=False,
                logging_level=NOTHING,
                object_store_memory=OBJECT_STORE_BYTES,
            )
        except Exception as error:  # a bare Exception where one of its processes dies or is slow
            raise ClusterError(
                f"no Ray could be started on this machine: {_first_line(error)}. Is its memory full, or was "
                "a process killed? Its logs are in /tmp/ray/session_latest/logs; the same command tries again"
            ) from error
        protect_token_file()
        _silence_raylet()

    def _join(self) -> None:
        assert self.address is not None
        if self.address != "auto":
            check_somebody_answers(self.address)
        export_to_local_workers()
        import ray

        try:
            ray.init(
                address=self.address,
                log_to_driver=False,
                logging_level=NOTHING,
                runtime_env=cluster_runtime_env(),
            )
        except Exception as error:  # Ray raises ConnectionError, RuntimeError, ValueError and its own
            raise ClusterError(_refused(self.address, error)) from error


def _silence_raylet() -> None:
    """Keep Ray's remarks on killed processes, screens of its own log, off the terminal.

    They are printed whatever ``log_to_driver`` says. What became of a trial is in its ledger entry, and that
    Ray itself died is said by the runner.
    """
    from ray._private import worker

    if hasattr(worker, "print_to_stdstream"):
        worker.print_to_stdstream = lambda *_, **__: None


def usable_cpus() -> int:
    """Return the CPUs this process may use, which in a container are fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def check_somebody_answers(address: str) -> None:
    """Refuse an address at which no port is open, in seconds; Ray itself would try for minutes.

    Raises:
        ClusterError: the address is not host:port, or nobody listens there.
    """
    host, separator, port = address.removeprefix("ray://").rpartition(":")
    if not separator or not port.isdigit():
        raise ClusterError(
            f"the Ray address {address!r} is not 'auto', 'local', host:port or ray://host:port"
        )
    try:
        socket.create_connection((host, int(port)), timeout=ANSWER_WITHIN).close()
    except OSError as error:
        raise ClusterError(
            f"no Ray answers at {address} ({error}). Start one there (ray start --head --port {port}), "
            "forward the port, or leave --address out for a Ray on this machine"
        ) from error


def _refused(address: str, error: Exception) -> str:
    source = token_source()
    token = f"the token from {source} was used" if source else "no token was found"
    return (
        f"the Ray at {address} could not be joined: {_first_line(error)} ({token}). "
        "Copy the head's token (ray get-auth-token) to ~/.ray/auth_token, and use its Ray and Python versions"
    )


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
