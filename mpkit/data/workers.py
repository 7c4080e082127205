"""Work divided among processes: pools of workers that render and prepare data, and shares of a training batch."""

import contextlib
import os
import re
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import active_children, get_context, resource_tracker
from pathlib import Path
from typing import Any

from mpkit.errors import MpkitError

# Numerical libraries read these when a process begins. By default each worker would have a thread for every core: on 16
# cores, 12 workers got hardly anything done (docs/training-log.md, 21.).
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


@contextlib.contextmanager
def worker_pool(workers: int, folder: Path) -> Iterator[ProcessPoolExecutor]:
    """A pool of new processes with one thread each, which write into `folder` and exit when their parent does.

    They are not forked: that would copy locks of torch's threads without the threads. After an exception in the block,
    such as ^C, the jobs that are left are dropped, the workers are killed, and their unfinished files are deleted."""
    others = set(active_children())
    with _Pool(workers, mp_context=get_context("spawn"), initializer=start_worker) as pool:
        try:
            yield pool
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            killed = [process for process in active_children() if process not in others]
            for process in killed:
                process.kill()
            for process in killed:
                process.join()
            _delete_unfinished(folder, [process.pid for process in killed])
            raise


def run_jobs(work: Callable, jobs: dict[str, tuple], workers: int, folder: Path) -> Iterator[tuple[str, Any]]:
    """(name, result) of each job when it ends: `work` of its arguments, in a `worker_pool`. A job that crashes its
    process, say in a decoder, breaks the whole pool: all unfinished jobs then run again one by one, so that only that
    one is lost; its result is a text that says so."""
    done = set()
    try:
        with worker_pool(workers, folder) as pool:
            futures = {pool.submit(work, *job): name for name, job in jobs.items()}
            for future in as_completed(futures):
                result = future.result()
                done.add(futures[future])
                yield futures[future], result
        return
    except BrokenProcessPool:
        pass
    for name in [name for name in jobs if name not in done]:
        try:
            with worker_pool(1, folder) as pool:
                yield name, pool.submit(work, *jobs[name]).result()
        except BrokenProcessPool:
            yield name, "reading it ended the process"


class _Pool(ProcessPoolExecutor):
    """Its processes begin in `starting_workers`; their parent ends them."""

    def __init__(self, *arguments, **options):
        with starting_workers():
            super().__init__(*arguments, **options)

    def submit(self, *job):
        with starting_workers():
            return super().submit(*job)


@contextlib.contextmanager
def starting_workers() -> Iterator[None]:
    """Processes that start in this block have one thread each, and never get ^C and SIGHUP."""
    before = {name: os.environ.get(name) for name in THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))
    try:
        with _terminal_signals_blocked():
            yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


@contextlib.contextmanager
def _terminal_signals_blocked() -> Iterator[None]:
    """^C and SIGHUP, which a terminal sends to all processes, wait until the block ends. Processes that start in it
    never get them."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    signals = [signal.SIGINT, signal.SIGHUP]
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        resource_tracker.ensure_running()  # a process of `multiprocessing`; its start unblocks SIGINT
        signal.pthread_sigmask(signal.SIG_BLOCK, signals)
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _delete_unfinished(folder: Path, processes: list[int]) -> None:
    """Deletes the hidden files and folders below `folder` whose names end in the number of one of the processes."""
    for path in list(folder.rglob(".*-*")):
        number = re.search(r"-(\d+)(\.part)?$", path.name)
        if number and int(number[1]) in processes:
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)


def share_of_batch(batch_size: int, part: int, parts: int) -> range:
    """The positions in a batch of process number `part` of `parts` that divide it. Raises MpkitError if the batch
    cannot be divided into equal shares."""
    if batch_size % parts:
        raise MpkitError(f"a batch of {batch_size} cannot be divided among {parts} processes")
    share = batch_size // parts
    return range(part * share, (part + 1) * share)


def start_worker() -> None:
    """What a process does first: one thread, and it ends with its parent."""
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
