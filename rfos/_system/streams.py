"""The standard streams of a command: whether anybody reads them does not change what it does."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Callable, Iterator
from typing import TextIO


class ReaderGone(Exception):
    """Nobody reads the results any more, as of a pipe to ``head``."""


class _Stream(io.TextIOBase):
    """A stream of text that may be None, where it was closed from the beginning: what is written is lost then."""

    def __init__(self, stream: TextIO | None) -> None:
        super().__init__()
        self._stream = stream
        self._error: OSError | None = None

    def failed(self, error: OSError) -> None:
        """Say what it means that the stream cannot be written; called again for all that comes later."""
        raise NotImplementedError

    def write(self, text: str) -> int:
        """Write; a character that the stream does not have becomes a question mark."""
        if not isinstance(text, str):
            raise TypeError(f"text is a {type(text).__name__}: give a str")
        encoding = self.encoding
        self._do(lambda stream: stream.write(text.encode(encoding, "replace").decode(encoding)))
        return len(text)

    def flush(self) -> None:
        """Flush."""
        self._do(lambda stream: stream.flush())

    def _do(self, action: Callable[[TextIO], object]) -> None:
        if self._stream is not None:
            try:
                action(self._stream)
            except OSError as error:
                # What is still in the buffer would fail once more when the interpreter ends.
                with contextlib.suppress(OSError):
                    null = os.open(os.devnull, os.O_WRONLY)
                    os.dup2(null, self._stream.fileno())
                    os.close(null)
                self._stream, self._error = None, error
        if self._error is not None:
            self.failed(self._error)

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The encoding of what is written."""
        return (self._stream and self._stream.encoding) or "utf-8"

    @property
    def errors(self) -> str:  # type: ignore[override]
        """What is done with a character that the encoding does not have."""
        return "replace"

    def isatty(self) -> bool:
        """Return whether it is a terminal."""
        return self._stream is not None and self._stream.isatty()

    def fileno(self) -> int:
        """Return its number."""
        if self._stream is None:
            raise io.UnsupportedOperation("fileno")
        return self._stream.fileno()

    def writable(self) -> bool:
        """Return True."""
        return True


class Results(_Stream):
    """What a command was asked for: it raises ReaderGone, or OSError with one sentence, where it cannot be written."""

    def failed(self, error: OSError) -> None:
        """Raise."""
        if isinstance(error, BrokenPipeError):
            raise ReaderGone from error
        reason = os.strerror(error.errno).lower() if error.errno else str(error)
        raise OSError(f"cannot write the results: {reason}; make room or send them elsewhere") from error


class Messages(_Stream):
    """Progress and complaints: lost where they cannot be written."""

    def failed(self, error: OSError) -> None:
        """Go on."""


@contextlib.contextmanager
def standard_streams() -> Iterator[None]:
    """Put `Results` and `Messages` in the place of stdout and stderr.

    The numbers of streams that are closed are taken by the null device, so that no file that is opened later gets one
    and is written to by whoever writes to stderr.
    """
    while (null := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(null, True)
    os.close(null)
    with contextlib.redirect_stdout(Results(sys.stdout)), contextlib.redirect_stderr(Messages(sys.stderr)):
        yield
