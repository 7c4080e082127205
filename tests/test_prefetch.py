"""Stages in threads: same items, same order, same errors, nothing left running."""

import itertools
import threading
import time

import pytest

from mpkit.animation.prefetch import ahead


def workers():
    return [thread for thread in threading.enumerate() if thread.name == "mpkit-ahead"]


def test_items_and_their_order_stay():
    assert list(ahead(ahead(iter(range(100))), capacity=5)) == list(range(100)) and workers() == []


def test_work_goes_on_beside_but_not_far_ahead():
    made = []

    def items():
        for index in itertools.count():
            made.append(index)
            yield index

    stream = ahead(items(), capacity=3)
    assert next(stream) == 0
    deadline = time.monotonic() + 10
    while len(made) < 5 and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.3)
    assert len(made) == 5  # one taken, three ready, one in hand
    stream.close()
    assert workers() == []


def test_an_error_comes_at_its_place():
    def items():
        yield 1
        raise ValueError("the second")

    stream = ahead(items())
    assert next(stream) == 1
    with pytest.raises(ValueError, match="the second"):
        next(stream)
    assert workers() == []


def test_closing_closes_what_is_behind():
    closed = []

    def items():
        try:
            yield from itertools.count()
        finally:
            closed.append(threading.current_thread().name)

    stream = ahead(items())
    next(stream)
    stream.close()
    assert closed == ["mpkit-ahead"] and workers() == []
