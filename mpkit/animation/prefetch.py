"""Prefetching: a thread computes the next items of an iterator while the current one is used. So the next frame of a
driver is decoded and tracked while the network renders this one and the encoder writes the last."""

import queue
import threading
from collections.abc import Iterator
from typing import TypeVar

Item = TypeVar("Item")
POLL_SECONDS = 0.1  # how often a thread with a full queue checks whether it was closed


def prefetch(items: Iterator[Item], capacity: int = 2) -> Iterator[Item]:
    """The same items in the same order, computed in a thread of their own, at most `capacity` + 1 in advance.

    An exception of that thread is raised here, after the items before it. Closing this iterator closes `items` and
    waits for the thread.
    """
    ready, closed = queue.Queue(capacity), threading.Event()

    def put(kind: str, value=None) -> bool:
        """Puts an entry into the queue, and returns False if the iterator was closed before there was room."""
        while not closed.is_set():
            try:
                ready.put((kind, value), timeout=POLL_SECONDS)
                return True
            except queue.Full:
                continue
        return False

    def work() -> None:
        try:
            for item in items:
                if not put("item", item):
                    break
        except BaseException as error:
            put("error", error)
        else:
            put("end")
        finally:
            if hasattr(items, "close"):
                items.close()

    thread = threading.Thread(target=work, name="mpkit-prefetch", daemon=True)
    thread.start()
    try:
        while True:
            kind, value = ready.get()
            if kind == "end":
                return
            if kind == "error":
                raise value
            yield value
    finally:
        closed.set()
        thread.join()
