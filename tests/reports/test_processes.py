"""What becomes of workers whose driver is killed or interrupted, and of commands that nobody listens to any more."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from concurrent.futures import process as process_module
from concurrent.futures.process import BrokenProcessPool

import psutil
import pytest
from commands import PATIENCE, here, run, started, wait_until
from specs import spec

from rfos._system.processes import Pool
from rfos.laboratory.verification.verify import verify

RFOS = [sys.executable, "-m", "rfos"]
ENDLESS = ["verify", "--instances", "20000000", "--statement", "P2+", "--jobs", "2"]
BOUND = ["bound", "--states", "16", "--actions", "2", "--branching", "2"]
MISSED = 141  # 128 + SIGPIPE, as shells name it


def busy(process):
    """The two workers of a command and the process that tracks their resources, all of them at work."""
    children = psutil.Process(process.pid).children(recursive=True)
    return children if len(children) >= 3 and sum(child.cpu_times().user > 0.5 for child in children) >= 2 else []


@pytest.mark.processes
@pytest.mark.parametrize("moment", ["at work", "starting"])
def test_kill_9_of_verify_ends_its_workers(moment, tmp_path):
    """All of them, whatever they are doing."""
    with started([*RFOS, *ENDLESS], cwd=tmp_path, stderr=subprocess.DEVNULL) as process:
        family = psutil.Process(process.pid)
        wait_until(lambda: busy(process) if moment == "at work" else family.children(recursive=True), process)
        children = family.children(recursive=True)
        process.kill()
        process.wait()
        assert psutil.wait_procs(children, timeout=PATIENCE)[1] == []


@pytest.mark.processes
def test_ctrl_c_of_verify_ends_it_at_once_and_in_silence(tmp_path):
    """A terminal sends it to all: status 130, one line, no traceback of a worker, no instance is waited for."""
    with started([*RFOS, *ENDLESS], cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        wait_until(lambda: busy(process), process)
        children = psutil.Process(process.pid).children(recursive=True)
        os.killpg(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=PATIENCE)
        assert psutil.wait_procs(children, timeout=PATIENCE)[1] == []
    assert process.returncode == 130
    assert said == "\nrfos: interrupted; files written so far are whole\n"


@pytest.mark.processes
def test_a_worker_of_verify_that_is_killed_is_told_in_one_line(tmp_path):
    """As by a system without memory: status 2, not a traceback, and no worker is left."""
    with started([*RFOS, *ENDLESS], cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        wait_until(lambda: busy(process), process)
        children = busy(process)
        max(children, key=lambda child: child.cpu_times().user).kill()
        _, said = process.communicate(timeout=PATIENCE)
        assert psutil.wait_procs(children, timeout=PATIENCE)[1] == []
    assert process.returncode == 2
    assert said == "rfos: one of 2 worker processes was killed, or ran out of memory: use fewer jobs, and run again\n"


@pytest.mark.processes
def test_what_is_submitted_while_a_pool_breaks_ends_with_it(monkeypatch):
    """It has an end, and the pool's thread no traceback: a worker dies while another call is being taken in."""
    make = process_module._WorkItem

    def slow(*arguments):
        executor = pool._pool
        if executor is not None and executor._executor_manager_thread is not None:  # the second call
            wait_until(lambda: executor._broken)
        return make(*arguments)

    monkeypatch.setattr(process_module, "_WorkItem", slow)
    with Pool(1) as pool:
        futures = [pool.submit(os._exit, 1), pool.submit(int)]
        pool._pool._executor_manager_thread.join()
        assert all(future.done() and isinstance(future.exception(), BrokenProcessPool) for future in futures)


@pytest.mark.processes
def test_processes_do_not_change_what_is_found():
    """Neither does their number."""
    assert verify(["P2+", "N1"], instances=60, jobs=2) == verify(["P2+", "N1"], instances=60, jobs=1)


# Streams -----------------------------------------------------------------------------------------------------------


def closing(*numbers):
    return lambda: [os.close(number) for number in numbers]


def full(number):
    return lambda: os.dup2(os.open("/dev/full", os.O_WRONLY), number)


def read_by_nobody(number):
    def begin():
        reader, writer = os.pipe()
        os.dup2(writer, number)
        os.close(reader)
        os.close(writer)

    return begin


@pytest.mark.processes
@pytest.mark.jit
@pytest.mark.parametrize(
    ("before", "jobs"),
    [(closing(2), "1"), (closing(0, 2), "2"), (full(2), "1"), (read_by_nobody(2), "2")],
    ids=["closed", "stdin too", "full", "unread"],
)
def test_a_sweep_goes_on_where_its_messages_are_lost(before, jobs, tmp_path):
    """Status 0, both cells are stored, and no message gets into a file that took the number of a closed stream."""
    (tmp_path / "spec.toml").write_text(spec("two cells", 3))
    command = [*RFOS, "sweep", "spec.toml", "--store", "store.db", "--jobs", jobs, "--json"]
    done = run(command, cwd=tmp_path, before=before)
    assert done.returncode == 0
    assert json.loads(done.stdout)["measured"] == 2
    connection = sqlite3.connect(tmp_path / "store.db")
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


@pytest.mark.processes
@pytest.mark.parametrize("before", [closing(2), full(2), read_by_nobody(2)], ids=["closed", "full", "unread"])
def test_bad_input_ends_with_2_where_nobody_reads_why(before, tmp_path):
    """And a violation with 1: the status is that with messages."""
    assert run([*RFOS, "bound", "--states", "x"], cwd=tmp_path, before=before).returncode == 2
    assert run([*RFOS, "report", "--store", "none.db", "--out", "o"], cwd=tmp_path, before=before).returncode == 2


@pytest.mark.processes
@pytest.mark.parametrize("arguments", [[*BOUND, "--latex"], ["bound", "--help"], ["--version"]])
def test_a_reader_that_has_gone_ends_a_command_quietly(arguments, tmp_path):
    """Status 141 as of programs that the signal ends, neither 1, which means that a check failed, nor a word."""
    done = run([*RFOS, *arguments], cwd=tmp_path, before=read_by_nobody(1))
    assert (done.returncode, done.stderr) == (MISSED, "")


@pytest.mark.processes
def test_closed_results_are_not_wanted(tmp_path):
    """Status 0 and no word; with messages closed as well."""
    for arguments, numbers in ((["--version"], (1,)), (BOUND, (0, 1, 2))):
        done = run([*RFOS, *arguments], cwd=tmp_path, before=closing(*numbers))
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.processes
def test_results_that_do_not_fit_are_told_in_one_line(tmp_path):
    """Status 2: what was asked for is not there."""
    done = run([*RFOS, *BOUND], cwd=tmp_path, before=full(1))
    line = "rfos: cannot write the results: no space left on device; make room or send them elsewhere\n"
    assert (done.returncode, done.stderr) == (2, line)


def test_a_terminal_of_few_characters_gets_question_marks(tmp_path):
    """No UnicodeEncodeError, on either stream."""
    done = run(
        [*RFOS, "bound", "--states", "\N{VULGAR FRACTION ONE HALF}"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONIOENCODING": "ascii:strict"},
    )
    assert done.returncode == 2
    assert "'?'" in done.stderr
    assert here(*BOUND, cwd=tmp_path).returncode == 0
