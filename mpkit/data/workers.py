"""Worker processes of the data engine: one thread each, gone when their parent is."""

import os
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context


def worker_pool(workers: int) -> ProcessPoolExecutor:
    """Fresh processes: a fork would copy the threads of torch, and not run them."""
    return ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_begin)


def _begin() -> None:
    import cv2
    import torch

    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    threading.Thread(target=_follow, args=(os.getppid(),), daemon=True).start()


def _follow(parent: int) -> None:
    """A killed parent cannot tell its workers to stop; so each looks whether it is still there."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)
