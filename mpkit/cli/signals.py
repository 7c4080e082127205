"""Signals that end a command: ^C, SIGTERM and SIGHUP. The first one raises an exception, so that everything is cleaned
up; those that arrive during the cleaning are ignored."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator

REPEAT_SECONDS = 1.0  # after which a signal that ended nothing is raised again
ENDING_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


class Interrupted(KeyboardInterrupt):
    """A signal has ended the command. `code` is the exit code, as shells count it."""

    def __init__(self, number: int):
        super().__init__(signal.Signals(number).name)
        self.code = 128 + number


@contextlib.contextmanager
def ending_signals(restore: bool) -> Iterator[None]:
    """Within the block the first signal that ends a command raises Interrupted. Signals that the process ignores, as
    SIGHUP under nohup, stay ignored.

    With `restore` the handlers of before are back after the block. Without, after an interruption all these signals
    are ignored to the end of the process, which is near. A block in another thread than the main one changes
    nothing. An exception that is raised inside a callback of a library can be lost there: PyAV loses one of fifteen. So
    the signal is raised again as long as the block neither ends nor cleans up."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    process = os.getpid()
    repeats: list[threading.Timer] = []

    def end(number, frame) -> None:
        if os.getpid() != process and number != signal.SIGINT:  # a forked worker, which has nothing to clean up
            os._exit(128 + number)
        if interruption_behind(sys.exc_info()[1]) is None:
            repeats.append(threading.Timer(REPEAT_SECONDS, _raise_in_main_thread, (number,)))
            repeats[-1].daemon = True
            repeats[-1].start()
            raise Interrupted(number)

    handled = [number for number in ENDING_SIGNALS if signal.getsignal(number) not in (signal.SIG_IGN, None)]
    before = {number: signal.signal(number, end) for number in handled}
    try:
        yield
    finally:
        for repeat in repeats:
            repeat.cancel()
        if restore:
            for number, handler in before.items():
                signal.signal(number, handler)


def _raise_in_main_thread(number: int) -> None:
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(threading.main_thread().ident, number)
    else:
        signal.raise_signal(number)


def ignore_ending_signals() -> None:
    """From now on, until `ending_signals` restores the handlers."""
    if threading.current_thread() is threading.main_thread():
        for number in ENDING_SIGNALS:
            signal.signal(number, signal.SIG_IGN)


def interruption_behind(error: BaseException | None) -> KeyboardInterrupt | None:
    """The interruption that an exception is, or that was being handled when it was raised; None if there is none."""
    seen = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, KeyboardInterrupt):
            return error
        seen.add(id(error))
        error = error.__context__
    return None
