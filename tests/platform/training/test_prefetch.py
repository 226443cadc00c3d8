import threading
import time
from collections.abc import Iterator

import pytest

from paraformer_platform.training.prefetch import prefetched


def test_items_come_in_their_order() -> None:
    assert list(prefetched(iter(range(100)))) == list(range(100))
    assert list(prefetched(iter([]))) == []
    assert list(prefetched(iter([None, None]))) == [None, None]


def test_they_are_made_ready_before_they_are_asked_for_and_no_more_than_that() -> None:
    made = []

    def source() -> Iterator[int]:
        for number in range(50):
            made.append(number)
            yield number

    items = prefetched(source(), depth=2)
    assert next(items) == 0
    deadline = time.monotonic() + 20
    while len(made) < 4 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert made == [0, 1, 2, 3]  # one in use, two waiting, one in the thread's hand
    items.close()  # type: ignore[attr-defined]


def test_an_error_comes_in_its_place() -> None:
    def source() -> Iterator[int]:
        yield 1
        raise ValueError("the third is missing")

    items = prefetched(source())
    assert next(items) == 1
    with pytest.raises(ValueError, match="the third is missing"):
        next(items)


def test_whoever_stops_leaves_no_thread_behind() -> None:
    before = threading.active_count()
    for number in prefetched(iter(range(1000))):
        if number == 3:
            break
    deadline = time.monotonic() + 20
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() == before
