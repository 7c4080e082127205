"""Standard output and standard error as a command may find them: absent (a program without a console, `>&-`), of an
encoding without some letters, a pipe whose reader has gone (`| head -1`), a terminal that was closed."""

import contextlib
import errno
import os
import sys
from collections.abc import Iterator

from mpkit.errors import MpkitError

_READER_GONE = (errno.EPIPE, errno.EIO, errno.EBADF, errno.ENXIO, errno.EINVAL)  # EINVAL: a closed pipe on Windows


@contextlib.contextmanager
def usable_streams() -> Iterator[None]:
    """Within the block, sys.stdout and sys.stderr take every text. What nobody can read is lost. Writing to standard
    output raises MpkitError where another fault loses text, e.g. a full disk."""
    before = sys.stdout, sys.stderr
    if None in (sys.stdin, *before):
        _open_missing_descriptors()
    sys.stdout, sys.stderr = streams = _Stream(sys.stdout, "the standard output"), _Stream(sys.stderr)
    try:
        yield
    finally:
        with contextlib.suppress(MpkitError):
            sys.stdout.flush()
        sys.stderr.flush()
        sys.stdout, sys.stderr = before
        for stream in streams:
            stream.release()


def _open_missing_descriptors() -> None:
    """Opens the null device as each of the file descriptors 0 to 2 that is closed. Otherwise the next files that are
    opened would get these numbers, and messages of native libraries would be written into them."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)


class _Stream:
    """A text stream, or None, as a stream that can always be written to. `name`: of a stream whose loss is an error."""

    def __init__(self, stream, name: str = ""):
        self._stream, self._name, self._null = stream, name, None
        if stream is None:
            self._use_null_device()

    def write(self, text: str) -> int:
        self._attempt(lambda: self._stream.write(_writable(text, getattr(self._stream, "encoding", None))))
        return len(text)

    def flush(self) -> None:
        self._attempt(self._stream.flush)

    def __getattr__(self, name: str):
        return getattr(self._stream, name)

    def _attempt(self, action) -> None:
        try:
            action()
        except ValueError:  # the stream is closed
            self._use_null_device()
        except OSError as error:
            self._discard()
            if self._name and error.errno not in _READER_GONE:
                raise MpkitError(f"{self._name} cannot be written ({error.strerror})") from None

    def _discard(self) -> None:
        """Leads what the stream still holds, and all that follows, to the null device."""
        stream = self._stream
        self._use_null_device()
        with contextlib.suppress(OSError, ValueError):
            os.dup2(self._null.fileno(), stream.fileno())

    def _use_null_device(self) -> None:
        self.release()
        self._stream = self._null = open(os.devnull, "w", encoding="utf-8", errors="backslashreplace")

    def release(self) -> None:
        """Closes the null device, if it was opened."""
        if self._null is not None:
            self._null.close()


def _writable(text: str, encoding: str | None) -> str:
    """The text, in which letters that the encoding lacks are written as escapes such as \\u03b1."""
    encoding = encoding or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)
