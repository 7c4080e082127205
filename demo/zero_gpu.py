"""ZeroGPU: hardware of a Hugging Face Space that lends a GPU for a while to a process that it forks.

What a generator yields there comes back through a pipe, and the generator does not wait until it is taken. Errors come
back as their class's name only, warnings and return values not at all.
"""

import contextlib
import math
import os
import time
import warnings
from collections.abc import Callable, Iterator
from typing import TypeVar

from mpkit.animation.output import Step
from mpkit.errors import MpkitError

# The package `spaces` is on other Spaces too; its decorator does nothing there.
ZERO_GPU = os.environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true")
STEP_SECONDS = 0.2  # at least, between two steps: large pictures would fill the pipe, and the memory of the page

Item = TypeVar("Item")


class Hint(tuple):
    """A warning on its way back: the arguments of `warnings.warn_explicit`."""


def on_zero_gpu(stream: Callable[..., Iterator[Step]], seconds: Callable[..., float]) -> Callable[..., Iterator[Step]]:
    """`stream`, run in a process with a GPU, with fewer steps. `seconds` says for how long a GPU is needed, and takes
    the same arguments.

    The new generator raises MpkitError and warns as `stream` does; it raises gr.Error if no GPU is free. It ends, and
    closes, after `stream` did: files are complete then."""
    import spaces

    @spaces.GPU(duration=seconds)
    def run(*job):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                yield from sparse(stream(*job))
            except MpkitError as error:
                yield error
            for one in caught:
                yield Hint((str(one.message), one.category, one.filename, one.lineno))

    def steps(*job) -> Iterator[Step]:
        with contextlib.closing(run(*job)) as items:
            for item in items:
                if isinstance(item, MpkitError):
                    raise item
                if isinstance(item, Hint):
                    warnings.warn_explicit(*item)
                else:
                    yield item

    return steps


def sparse(steps: Iterator[Item], seconds: float = STEP_SECONDS) -> Iterator[Item]:
    """Steps that are at least `seconds` apart, and the last one."""
    with contextlib.closing(steps):
        yielded, skipped = -math.inf, None
        for step in steps:
            if time.monotonic() - yielded < seconds:
                skipped = step
                continue
            yielded, skipped = time.monotonic(), None
            yield step
        if skipped is not None:
            yield skipped
