"""Ctrl-C in the driver is first a request, then an end; SIGTERM and SIGHUP are an end.

While trials run, the first Ctrl-C calls ``on_first`` (admit no more, ask trials to stop at their next
epoch) and starts a clock; a second one, or the clock, raises KeyboardInterrupt in the main thread.
Outside of that a signal raises at once, and while things are being put away further signals change nothing.
"""

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType

Seconds = float
GRACE: Seconds = 15.0
"""How long trials get to write a checkpoint and return."""
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupts:
    """The driver's signal handlers, as a context manager of the main thread."""

    def __init__(self, grace: Seconds = GRACE) -> None:
        self._grace = grace
        self._on_first: Callable[[], None] | None = None
        self._closing = False
        self._timer: threading.Timer | None = None
        self._before: dict[int, object] = {}
        self.received = False
        """Whether a signal came."""

    def __enter__(self) -> "Interrupts":
        self._before = {number: signal.getsignal(number) for number in SIGNALS}
        if self._before[signal.SIGHUP] == signal.SIG_IGN:  # nohup: the terminal may go
            del self._before[signal.SIGHUP]
        self.install()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop_clock()
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def install(self) -> None:
        """Install the handlers (again: ``ray.init`` puts its own in the place of SIGTERM's)."""
        for number in self._before:
            signal.signal(number, self._handle)

    def ask_first(self, on_first: Callable[[], None]) -> None:
        """From now on the first signal calls this instead of raising."""
        self._on_first = on_first

    def end(self) -> None:
        """End the sweep as SIGTERM would; for other threads."""
        os.kill(os.getpid(), signal.SIGTERM)

    def put_away(self) -> None:
        """From now on signals are only noted, so that what is open is closed."""
        self._closing = True
        self._stop_clock()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        first = not self.received
        self.received = True
        if self._closing:
            return
        if first and self._on_first is not None and number == signal.SIGINT:
            self._start_clock()
            self._on_first()
            return
        self._closing = True
        raise KeyboardInterrupt

    def _start_clock(self) -> None:
        self._timer = threading.Timer(self._grace, os.kill, (os.getpid(), signal.SIGINT))
        self._timer.daemon = True
        self._timer.start()

    def _stop_clock(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
