"""Notices that a Ray of our own died under us; Ray itself says so half a minute later and ends the process.

::

    with RayWatch(on_death=lambda name: …):    # called once, from a thread
        ...
"""

import threading
from collections.abc import Callable
from types import TracebackType

import psutil

Seconds = float
LOOK_INTERVAL: Seconds = 1.0
NEEDED = ("raylet", "gcs_server")


class RayWatch:
    """Looks after the processes that a Ray started by this process cannot do without.

    Args:
        on_death: Told the name of the process that is gone.
        interval: Pause between two looks.
    """

    def __init__(self, on_death: Callable[[str], None], interval: Seconds = LOOK_INTERVAL) -> None:
        self._on_death = on_death
        self._interval = interval
        self._over = threading.Event()
        children = psutil.Process().children()
        self._needed = [(child.name(), child) for child in children if child.name() in NEEDED]
        self._thread = threading.Thread(target=self._run, name="ray-watch", daemon=True)

    def __enter__(self) -> "RayWatch":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(self._interval):
            for name, process in self._needed:
                if _is_dead(process):
                    self._on_death(name)
                    return


def _is_dead(process: psutil.Process) -> bool:
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
