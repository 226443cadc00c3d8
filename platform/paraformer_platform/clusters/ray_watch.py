"""Notices that a Ray of our own died under us; Ray itself says so half a minute later and ends the process.

::

    with RayWatch(on_death=lambda name: …):    # called once, from a thread
        ...
"""

from collections.abc import Callable

import psutil

from paraformer_platform.lookout import Lookout

Seconds = float
LOOK_INTERVAL: Seconds = 1.0
NEEDED = ("raylet", "gcs_server")


class RayWatch(Lookout):
    """Looks after the processes that a Ray started by this process cannot do without.

    Args:
        on_death: Told the name of the process that is gone.
        interval: Pause between two looks.
    """

    def __init__(self, on_death: Callable[[str], None], interval: Seconds = LOOK_INTERVAL) -> None:
        super().__init__(interval)
        self._on_death = on_death
        children = psutil.Process().children()
        self._needed = [(child.name(), child) for child in children if child.name() in NEEDED]

    def look(self) -> bool:
        """Tell of the first process that is gone, and look no more."""
        for name, process in self._needed:
            if _is_dead(process):
                self._on_death(name)
                return False
        return True


def _is_dead(process: psutil.Process) -> bool:
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
