"""Work divided among processes: pools of workers that render and prepare data, and shares of a training batch."""

import os
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from mpkit.errors import MpkitError


def worker_pool(workers: int) -> ProcessPoolExecutor:
    """A pool of new processes with one thread each, which exit when their parent does.

    They are not forked: that would copy locks of torch's threads without the threads."""
    return ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_start_worker)


def share_of_batch(batch_size: int, part: int, parts: int) -> range:
    """The positions in a batch of process number `part` of `parts` that divide it. Raises MpkitError if the batch
    cannot be divided into equal shares."""
    if batch_size % parts:
        raise MpkitError(f"a batch of {batch_size} cannot be divided among {parts} processes")
    share = batch_size // parts
    return range(part * share, (part + 1) * share)


def _start_worker() -> None:
    import cv2
    import torch

    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    threading.Thread(target=_exit_with_parent, args=(os.getppid(),), daemon=True).start()


def _exit_with_parent(parent: int) -> None:
    """Ends this process within a second after its parent has ended: a killed parent cannot stop its workers."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)
