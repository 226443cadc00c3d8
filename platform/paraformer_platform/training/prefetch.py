"""Batches made ready by a thread while the step before them is computed.

Decoding of audio and features run outside of Python's lock, so they take no time of the training where a
second core is free, and no more than they take anyway where none is.
"""

from collections.abc import Iterator
from queue import Empty, Full, Queue
from threading import Event, Thread
from typing import TypeVar

T = TypeVar("T")

DEPTH = 2
"""How many may wait to be used."""
_LOOK_SECONDS = 0.05
"""How often a full queue is looked at again, to notice that nobody reads it any more."""


def prefetched(source: Iterator[T], depth: int = DEPTH) -> Iterator[T]:
    """The same items in the same order, taken from their source by a thread of its own.

    What the source raises is raised here, in its place. Whoever stops half-way closes the iterator, as
    leaving a loop does, and the thread ends.

    Args:
        source: Read by nobody else meanwhile.
        depth: How many items may be ready before they are asked for.
    """
    ready: Queue[tuple[T] | BaseException | None] = Queue(depth)
    closed = Event()

    def put(item: tuple[T] | BaseException | None) -> None:
        while not closed.is_set():
            try:
                return ready.put(item, timeout=_LOOK_SECONDS)
            except Full:
                continue

    def fetch() -> None:
        try:
            for item in source:
                put((item,))
                if closed.is_set():
                    return
            put(None)
        except BaseException as error:  # also what ends a thread must reach the reader
            put(error)

    thread = Thread(target=fetch, name="prefetch", daemon=True)
    thread.start()
    try:
        while (item := ready.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item[0]
    finally:
        closed.set()
        while not ready.empty():
            try:
                ready.get_nowait()
            except Empty:
                break
        thread.join()
