"""Stages that work side by side: while the network paints one frame, the next is decoded and the last is encoded."""

import queue
import threading
from collections.abc import Iterator
from typing import TypeVar

Item = TypeVar("Item")
PATIENCE = 0.1  # seconds between looks at whether anybody still listens


def ahead(items: Iterator[Item], capacity: int = 2) -> Iterator[Item]:
    """The same items in the same order, made in a thread of their own, at most `capacity` + 1 of them in advance.

    What the thread raises is raised here, at its place in the order. Closing this iterator closes `items` and waits for
    the thread.
    """
    ready, closed = queue.Queue(capacity), threading.Event()

    def put(kind: str, value=None) -> bool:
        while not closed.is_set():
            try:
                ready.put((kind, value), timeout=PATIENCE)
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

    thread = threading.Thread(target=work, name="mpkit-ahead", daemon=True)
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
