"""A thread that looks at something again and again beside other work."""

import threading
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

Seconds = float


class Lookout(ABC):
    """Calls `look` from a thread while it is entered as a context manager, which may be once.

    Args:
        interval: Pause before each look, in seconds.
    """

    def __init__(self, interval: Seconds) -> None:
        self._interval = interval
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name=type(self).__name__, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    @abstractmethod
    def look(self) -> bool:
        """Look once and return whether to look again; what is raised here ends the looking."""

    def _run(self) -> None:
        while not self._over.wait(self._interval) and self.look():
            pass
