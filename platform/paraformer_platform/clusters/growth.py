"""What an autoscaler may still add to a cluster: the node types of its configuration.

Ray's newer autoscaler (KubeRay's default) reports its node types to every driver. The one that ``ray up``
starts does not: its configuration is a file in the head's home folder, where submitted jobs run.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from paraformer_platform.clusters.preflight import Node, node_of

BOOTSTRAP_FILE = Path("~/ray_bootstrap_config.yaml")
"""Where ``ray up`` puts the autoscaler's configuration on the head."""
WITHOUT_END = 10_000
"""Machines of a type that has no upper limit; far above what a sweep asks for at once."""


def nodes_to_come() -> list[Node]:
    """Return the nodes an autoscaler may add at most; none without an autoscaler. Needs a running Ray."""
    from ray._private.state import state

    config = state.get_cluster_config()
    groups = config.node_group_configs if config is not None else ()
    reported = [(group.name, group.resources, group.max_count) for group in groups]
    return [node for group in reported or _types_of_ray_up() for node in _nodes(*group)]


def _types_of_ray_up(file: Path = BOOTSTRAP_FILE) -> Iterable[tuple[str, Mapping[str, float], int]]:
    """Read node types from the file of ``ray up``, but the head's own."""
    import yaml

    try:
        config: dict[str, Any] = yaml.safe_load(file.expanduser().read_text())
    except OSError:
        return
    for name, settings in config.get("available_node_types", {}).items():
        if name != config.get("head_node_type"):
            yield name, settings["resources"], settings.get("max_workers", config["max_workers"])


def _nodes(name: str, resources: Mapping[str, float], most: int) -> list[Node]:
    count = WITHOUT_END if most < 0 else most
    node = node_of(f"{name} (to come)", resources)
    return [node] * min(count, WITHOUT_END)
