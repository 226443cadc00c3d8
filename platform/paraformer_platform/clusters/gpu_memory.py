"""``resources.gpu_mem_gb``: how many trials share a GPU, by the memory that one needs and that cards have.

Ray shares GPUs by fractions and knows nothing of their memory. So what a worker needs is turned into a share
of the smallest card of the cluster: of cards of 80 GB, four workers of 20 GB share one, and each asks for a
quarter.

How much a card has is asked of its node (``nvidia-smi`` there). A node may also be started with the resource
``gpu_mem_gb``, the sum over its cards. That is taken instead, and is the only way for cards of other makers
and for nodes that an autoscaler has yet to add. GB are 2^30 bytes here, as the makers of GPUs count.
"""

import math
import subprocess
from collections.abc import Sequence
from dataclasses import replace

from paraformer_platform.clusters.preflight import Node, Request
from paraformer_platform.errors import ClusterError

Gigabytes = float
MEBIBYTES_PER_GIGABYTE = 1024
RAY_STEPS = 10_000
"""Ray counts fractions of a GPU in steps of a ten thousandth."""
ANSWER_WITHIN = 60.0
"""Seconds in which a node tells the memory of its GPUs."""


def share_gpus(request: Request, nodes: Sequence[Node]) -> Request:
    """Turn a request for GPU memory into one for GPUs.

    Args:
        request: What a trial asks for.
        nodes: The nodes with the memory of their cards, see `measured`.

    Returns:
        The request with the fraction of a GPU that each worker gets; unchanged where it asks for no memory,
        or for whole GPUs, which it does not share.

    Raises:
        ClusterError: There is no GPU, or one that is too small, or the memory of one is not known.
    """
    need = request.gpu_mem_gb
    if not need:
        return request
    with_gpus = [node for node in nodes if node.gpus]
    if not with_gpus:
        raise ClusterError(
            f"resources.gpu_mem_gb ({need:g}) asks for a GPU, and there is none on {len(nodes)} nodes. "
            "Leave it out to train on CPUs, or use a cluster with GPUs"
        )
    unknown = sorted({node.address for node in with_gpus if node.gpu_memory_gb is None})
    if unknown:
        raise ClusterError(
            f"resources.gpu_mem_gb ({need:g}) cannot be met: the memory of the GPUs of {', '.join(unknown)} "
            "is not known. Start these nodes with --resources='{\"gpu_mem_gb\": N}', N being the sum over "
            "their cards, or give resources.gpus_per_worker a fraction instead"
        )
    cards = {node.address: node.gpu_memory_gb or 0.0 for node in with_gpus}
    cards_per_worker = max(1.0, request.gpus_per_worker)
    small = {address: card for address, card in cards.items() if card * cards_per_worker < need}
    if small:
        there = "; ".join(f"the cards of {address} have {card:.1f} GB" for address, card in small.items())
        raise ClusterError(
            f"a worker needs {need:g} GB of GPU memory (resources.gpu_mem_gb), but {there}. Lower it, make "
            "the batch or the model smaller, or use a cluster without these nodes"
        )
    if request.gpus_per_worker >= 1:
        return request
    sharing = math.floor(min(cards.values()) / need)
    share = math.floor(RAY_STEPS / sharing) / RAY_STEPS
    return replace(request, gpus_per_worker=max(request.gpus_per_worker, share))


def measured(nodes: Sequence[Node]) -> list[Node]:
    """Ask living nodes for their GPUs' memory, where they were not started with it. Needs a running Ray."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    # Neither a CPU nor a GPU is asked for: nodes that are busy answer too.
    ask = ray.remote(num_cpus=0, max_retries=0)(smallest_card_gb)
    asked = {
        node: ask.options(
            scheduling_strategy=NodeAffinitySchedulingStrategy(node.node_id, soft=False)
        ).remote()
        for node in nodes
        if node.gpus and node.gpu_memory_gb is None and node.node_id
    }
    return [replace(node, gpu_memory_gb=_answer(asked[node])) if node in asked else node for node in nodes]


def smallest_card_gb() -> Gigabytes | None:
    """Return the memory of this machine's smallest NVIDIA GPU; None where there is none that says so."""
    query = ["nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    numbers = [float(line) for line in answer.stdout.split() if line.replace(".", "").isdigit()]
    return min(numbers) / MEBIBYTES_PER_GIGABYTE if numbers and answer.returncode == 0 else None


def _answer(reference: object) -> Gigabytes | None:
    import ray

    try:
        answer: Gigabytes | None = ray.get(reference, timeout=ANSWER_WITHIN)
    except (ray.exceptions.RayError, TimeoutError):
        return None
    return answer
