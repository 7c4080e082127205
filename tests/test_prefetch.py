"""Prefetching keeps items, order and errors, stays within its capacity, and leaves no thread behind."""

import itertools
import threading
import time

import pytest

from mpkit.animation.prefetch import prefetch


def workers():
    """The prefetching threads that run."""
    return [thread for thread in threading.enumerate() if thread.name == "mpkit-prefetch"]


def test_items_and_their_order_are_kept():
    assert list(prefetch(prefetch(iter(range(100))), capacity=5)) == list(range(100)) and workers() == []


def test_items_are_computed_in_advance_up_to_the_capacity():
    made = []

    def items():
        for index in itertools.count():
            made.append(index)
            yield index

    stream = prefetch(items(), capacity=3)
    assert next(stream) == 0
    deadline = time.monotonic() + 10
    while len(made) < 5 and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.3)
    assert len(made) == 5  # one taken, three in the queue, one waiting for room
    stream.close()
    assert workers() == []


def test_an_error_is_raised_after_the_items_before_it():
    def items():
        yield 1
        raise ValueError("the second")

    stream = prefetch(items())
    assert next(stream) == 1
    with pytest.raises(ValueError, match="the second"):
        next(stream)
    assert workers() == []


def test_closing_closes_the_items_in_their_thread():
    closed = []

    def items():
        try:
            yield from itertools.count()
        finally:
            closed.append(threading.current_thread().name)

    stream = prefetch(items())
    next(stream)
    stream.close()
    assert closed == ["mpkit-prefetch"] and workers() == []
