"""The commands: in this process, which has everything imported and compiled, or in one of their own as a user's.

All child processes of the tests are started here. None of them outlives its test, Ctrl-C reaches it even if the tests
were started in the background, and how long it takes does not matter.
"""

import contextlib
import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from rfos.commands.main import main

PATIENCE = 600.0
"""Seconds after which a child is taken to hang, however busy the machine is."""

AT_ONCE = 1.0
"""Seconds of the processor within which a request is refused that would otherwise take minutes or for ever."""


def here(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a command in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.chdir(cwd), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(list(arguments))
        except SystemExit as end:
            status = end.code
    return subprocess.CompletedProcess(arguments, int(status or 0), out.getvalue(), err.getvalue())


@contextlib.contextmanager
def started(
    command: Sequence[str], *, before: Callable[[], None] = lambda: None, **options: Any
) -> Iterator[subprocess.Popen[Any]]:
    """A child process in a session of its own, all of which is killed in the end; `before` is called in the child."""

    def begin() -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell has those in the background ignore it
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        before()

    process = subprocess.Popen(command, preexec_fn=begin, start_new_session=True, **options)
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def run(command: Sequence[str], **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a child process to its end; what it prints is text, unless `stdout` or `stderr` say where to."""
    piped = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with started(command, **(piped | options)) as process:
        out, err = process.communicate(timeout=PATIENCE)
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def apart(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own."""
    return run([sys.executable, "-m", "rfos", *arguments], cwd=cwd)


def wait_until(condition: Callable[[], Any], process: subprocess.Popen[Any] | None = None) -> None:
    """Wait until something is so; fail if the process that is to bring it about ends before."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert process is None or process.poll() is None or condition(), f"it ended with {process.returncode}"
        assert time.monotonic() < end, "it hangs"
        time.sleep(0.01)
