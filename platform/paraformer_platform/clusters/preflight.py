"""Whether a cluster can ever run what is asked, found out before anything waits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from paraformer_platform.errors import ClusterError

GPU_MEMORY = "gpu_mem_gb"
"""Resource by which a node may tell the memory of all its GPUs."""


@dataclass(frozen=True)
class Node:
    """What one node of a cluster has in all, in use or not."""

    address: str
    cpus: float
    gpus: float
    node_id: str = ""
    """Ray's id of a living node."""
    gpu_memory_gb: float | None = None
    """Memory of its smallest GPU, where known; in units of 2^30 bytes."""


@dataclass(frozen=True)
class Request:
    """What one trial asks for."""

    workers: int
    """Fewest workers that it trains on."""
    cpus_per_worker: float
    gpus_per_worker: float
    most_workers: int = 0
    """Most workers that it trains on; never below `workers`."""
    gpu_mem_gb: float = 0.0
    """GPU memory that each worker needs; `gpu_memory.share_gpus` turns it into a share of a GPU."""

    def __post_init__(self) -> None:
        """Take the fewest for the most where nothing else was said."""
        object.__setattr__(self, "most_workers", max(self.workers, self.most_workers))

    @property
    def wants_gpu(self) -> bool:
        """Whether it trains on GPUs."""
        return self.gpus_per_worker > 0 or self.gpu_mem_gb > 0

    @property
    def is_elastic(self) -> bool:
        """Whether the number of workers may change while it trains."""
        return self.most_workers > self.workers

    def fits_on(self, node: Node) -> int:
        """Return how many workers of this trial one node can hold."""
        by_cpu = node.cpus // self.cpus_per_worker if self.cpus_per_worker else float("inf")
        by_gpu = _workers_on(node.gpus, self.gpus_per_worker) if self.gpus_per_worker else float("inf")
        return int(min(by_cpu, by_gpu, self.workers))


def _workers_on(gpus: float, each: float) -> float:
    """Return how many workers share some GPUs; a fraction lies on one GPU, never on two."""
    return gpus // each if each >= 1 else gpus * (1 // each)


def gangs_at_once(request: Request, nodes: Sequence[Node]) -> int:
    """Return how many trials of this request run at the same time on these nodes.

    Elastic trials are counted with their most workers, so that a trial is not held small by the next one;
    with less room than that for one, it is one.
    """
    workers = sum(
        Request(10**9, request.cpus_per_worker, request.gpus_per_worker).fits_on(node) for node in nodes
    )
    return workers // request.most_workers or int(workers >= request.workers)


def check_request(request: Request, nodes: Sequence[Node]) -> None:
    """Refuse a request that these nodes can never meet.

    Raises:
        ClusterError: with what was asked for, what each node has, and the remedy.
    """
    if gangs_at_once(request, nodes) >= 1:
        return
    each = f"cpus_per_worker {request.cpus_per_worker:g}, gpus_per_worker {request.gpus_per_worker:g}"
    there = "; ".join(f"{node.address} has {node.cpus:g} CPUs, {node.gpus:g} GPUs" for node in nodes)
    least = f"at least {request.workers}" if request.is_elastic else str(request.workers)
    raise ClusterError(
        f"a trial asks for {least} × ({each}), which this cluster can never hold: {there}. "
        "Lower resources.workers, cpus_per_worker or gpus_per_worker, or use a larger cluster"
    )


def nodes_from_ray(records: Sequence[Mapping[str, object]]) -> list[Node]:
    """Read the living nodes from what ``ray.nodes()`` returns."""
    return [_node(record) for record in records if record["Alive"]]


def _node(record: Mapping[str, object]) -> Node:
    resources = record["Resources"]
    assert isinstance(resources, Mapping)
    return node_of(str(record["NodeManagerAddress"]), resources, str(record.get("NodeID", "")))


def node_of(address: str, resources: Mapping[str, float], node_id: str = "") -> Node:
    """Describe a node by the resources that it was started with, or will be."""
    gpus, memory = resources.get("GPU", 0.0), resources.get(GPU_MEMORY)
    card = memory / gpus if memory and gpus else None
    return Node(address, resources.get("CPU", 0.0), gpus, node_id, card)
