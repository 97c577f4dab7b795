"""The commands: in this process, which has everything imported and compiled, or in one of their own as a user's."""

import contextlib
import io
import subprocess
import sys
from pathlib import Path

from rfos.cli import main


def here(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a command in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.chdir(cwd), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(list(arguments))
        except SystemExit as end:
            status = end.code
    return subprocess.CompletedProcess(arguments, int(status or 0), out.getvalue(), err.getvalue())


def apart(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own."""
    command = [sys.executable, "-m", "rfos", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=600)
