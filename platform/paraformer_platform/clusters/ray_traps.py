"""Ray's known traps and how each is met; what Ray does by itself was measured on version 2.60.

- *A trial that Tune ends by force leaves its gang's GPUs reserved.* Trials are asked to stop and return by
  themselves (``sweeps.runner_scheduler``).
- *A killed trial: its gang keeps its placement group until the driver ends.* Ray Train's own cleaner
  needs the dashboard, which a sweep does not start. `GroupReaper` removes the group within seconds.
- *Several Rays on one machine: that cleaner finds "multiple active instances" and dies.* `name_cluster` says
  which one is meant before a trainer starts.
- *ray.init() joins whatever Ray runs on the machine.* ``connection.Connection`` says "local" where it starts
  its own.
- *A driver that joins a cluster uses no token unless RAY_AUTH_MODE says so.* It does, see ``authentication``.
- *A request that no node can hold waits for ever.* ``preflight.check_request`` refuses it; of a gang that
  cannot be placed meanwhile, failures to start are counted (``sweeps.runner_gang.START_FAILURES``).
"""

import logging
import os

from paraformer_platform.lookout import Lookout

Seconds = float
LOOK_INTERVAL: Seconds = 2.0
"""Pause between two looks for groups of processes that are dead."""


def name_cluster() -> None:
    """Tell Ray Train's helpers which cluster is meant: there may be several on this machine."""
    import ray

    os.environ.setdefault("RAY_ADDRESS", ray.get_runtime_context().gcs_address)


def remove_abandoned_groups() -> int:
    """Remove this driver's placement groups whose creator is a dead process; needs a running Ray.

    A group lives as long as the job of its creator. That of a gang is made by Ray Train's controller, which
    dies with its trial; nobody would use it again, and what it reserves the trial's next attempt is missing.

    Returns:
        How many were removed.
    """
    import ray
    from ray._private.state import state
    from ray._raylet import ActorID, PlacementGroupID
    from ray.core.generated import gcs_pb2
    from ray.util.placement_group import PlacementGroup, remove_placement_group

    job = ray.get_runtime_context().get_job_id()
    abandoned = []
    for content in state._connect_and_get_accessor().get_placement_group_table():
        group = gcs_pb2.PlacementGroupTableData.FromString(content)
        is_there = group.state != gcs_pb2.PlacementGroupTableData.REMOVED
        # A group of the driver's own, as Tune makes for every trial, has no actor, which Ray calls dead.
        by_actor = not ActorID(group.creator_actor_id).is_nil()
        if is_there and by_actor and group.creator_actor_dead and group.creator_job_id.hex() == job:
            abandoned.append(PlacementGroup(PlacementGroupID(group.placement_group_id)))
    for group in abandoned:
        remove_placement_group(group)
    return len(abandoned)


class GroupReaper(Lookout):
    """Removes abandoned placement groups from a thread, as a context manager around the trials."""

    def __init__(self, interval: Seconds = LOOK_INTERVAL) -> None:
        super().__init__(interval)

    def look(self) -> bool:
        """Remove what is abandoned now."""
        try:
            remove_abandoned_groups()
        except Exception:  # Ray's own errors of many kinds; the next look may succeed
            logging.getLogger(__name__).debug("no look at placement groups", exc_info=True)
        return True
