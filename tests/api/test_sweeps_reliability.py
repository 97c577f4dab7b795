"""What a sweep survives: kill -9, a full disk, an interrupt, lost workers, files that cannot be used."""

import contextlib
import ctypes
import importlib
import io
import json
import operator
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import psutil
import pytest
from commands import PATIENCE, here, run, started, wait_until
from specs import grid, spec
from strength import scaled

from rfos._system import processes as processes_module
from rfos.laboratory.sweeps import executors
from rfos.laboratory.sweeps.driver import sweep
from rfos.laboratory.sweeps.executors import Dask, InProcess, Processes
from rfos.laboratory.sweeps.spec import parse_spec
from rfos.laboratory.sweeps.store import Store
from rfos.learning import kernel_play

pytestmark = pytest.mark.jit

KILLS, CELLS = scaled(50, 10), scaled(3600)


def spec_text(seeds: int, steps: int, **changed: object) -> str:
    return spec("victims", 3, grid(**{"window": [1, 2], "steps": [steps], "seeds": seeds} | changed))


def look(path: Path, statement: str) -> list[tuple[object, ...]]:
    """What a statement finds in a store; to look never makes an empty file where none is yet."""
    with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        return connection.execute(statement).fetchall()


def rows(path: Path) -> list[tuple[object, ...]]:
    """The whole table in the order of the keys, but for the seconds."""
    return look(path, "SELECT key, code, cell, result, error FROM cells ORDER BY key")


def integrity(path: Path) -> str:
    connection = sqlite3.connect(path)
    (found,) = connection.execute("PRAGMA integrity_check").fetchone()
    connection.close()
    return str(found)


# One warm process forks the drivers, so that a kill costs milliseconds: nothing is imported or compiled again.
KILLER = """
import fcntl, os, random, signal, sqlite3, sys, time
from pathlib import Path
from rfos.laboratory.sweeps import driver
from rfos.laboratory.sweeps.measures import measure
from rfos.laboratory.sweeps.executors import InProcess
from rfos.laboratory.sweeps.spec import parse_spec

spec, path, kills = parse_spec(Path(sys.argv[1]).read_text()), Path(sys.argv[2]), int(sys.argv[3])
driver.CHUNK_CELLS = 2  # many commits, so that kills fall on them
code = driver.fingerprint()
for cell in (spec.cells[0], spec.cells[-1]):
    measure(cell)
[cell.name for cell in spec.cells], list(driver.chunked(spec.cells))  # what they keep is forked with them
moments = random.Random(4)
acknowledged, progressed, complete = set(), 0, 0
for number in range(kills):
    reader, writer = os.pipe()
    if hasattr(fcntl, "F_SETPIPE_SZ"):
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)  # it holds 63 lines: no driver runs away from a slow reader
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        def tell(outcomes, left):
            os.write(writer, "".join(outcome.cell.key(code) + "\\n" for outcome in outcomes).encode())
        driver.sweep(spec, path, InProcess(), acknowledge=tell)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as lines:
        # After so many cells, and some moment later: how busy the machine is does not matter.
        told = [lines.readline() for _ in range(moments.randrange(6))]
        time.sleep(moments.uniform(0.0, 0.02))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        told = [line.strip() for line in [*told, *lines] if line.endswith("\\n")]
    assert len(set(told)) == len(told) and not acknowledged & set(told), "measured twice"
    acknowledged |= set(told)
    progressed += bool(told)
    if path.exists() and path.stat().st_size:
        connection = sqlite3.connect(path)
        assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            kept = {key for (key,) in connection.execute("SELECT key FROM cells")}
            assert acknowledged <= kept, "acknowledged and lost"
        connection.close()
print(len(acknowledged), progressed)
"""


@pytest.mark.processes
def test_kill_9_of_the_driver_loses_nothing_and_duplicates_nothing(tmp_path):
    """At 50 random moments; then the run is finished, and the table is that of an undisturbed one, byte for byte."""
    text = spec_text(seeds=CELLS // 2, steps=2_000)
    (tmp_path / "spec.toml").write_text(text)
    path = tmp_path / "store.db"
    command = [sys.executable, "-c", KILLER, str(tmp_path / "spec.toml"), str(path), str(KILLS)]
    done = run(command)
    assert done.returncode == 0, done.stderr
    acknowledged, progressed = map(int, done.stdout.split())
    # Most kills fell into work under way, and the last one too.
    assert progressed > KILLS // 4
    assert 0 < acknowledged < CELLS
    spec = parse_spec(text)
    found = sweep(spec, path, InProcess())
    assert found.found >= acknowledged
    assert found.found + found.measured == CELLS
    assert integrity(path) == "ok"
    sweep(spec, tmp_path / "undisturbed.db", InProcess())
    assert rows(path) == rows(tmp_path / "undisturbed.db")


def command(tmp_path: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "rfos", "sweep", "spec.toml", "--store", "store.db", *more]


def wait_for_rows(path: Path, process: subprocess.Popen[str], count: int) -> None:
    """Wait until a running sweep has stored so many cells."""

    def there() -> bool:
        with contextlib.suppress(sqlite3.Error):
            return len(rows(path)) >= count
        return False

    wait_until(there, process)


@pytest.mark.processes
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_pool_ends_with_its_driver_and_the_run_is_resumed(tmp_path, how):
    """Killed or interrupted, the command leaves no process behind and a sound store; Ctrl-C exits with 130."""
    text = spec_text(seeds=40, steps=3_000_000)
    (tmp_path / "spec.toml").write_text(text)
    options = {"cwd": tmp_path, "stderr": subprocess.PIPE, "text": True}
    with started(command(tmp_path, "--jobs", "2"), **options) as process:
        wait_for_rows(tmp_path / "store.db", process, 1)
        children = psutil.Process(process.pid).children(recursive=True)
        assert len(children) >= 2
        if how == signal.SIGINT:  # a terminal sends it to all of them
            os.killpg(process.pid, how)
        else:
            process.send_signal(how)
        _, messages = process.communicate(timeout=PATIENCE)
        _, alive = psutil.wait_procs(children, timeout=PATIENCE)
        assert alive == []
    if how == signal.SIGINT:
        assert process.returncode == 130
        assert "Traceback" not in messages
        assert "interrupted" in messages
        assert "the same command goes on from there" in messages
    assert integrity(tmp_path / "store.db") == "ok"
    before = rows(tmp_path / "store.db")
    assert 1 <= len(before) < 80
    small = parse_spec(text)
    some = type(small)(small.title, small.cells[:3])
    sweep(some, tmp_path / "store.db", InProcess())
    after = rows(tmp_path / "store.db")
    assert set(before) <= set(after)


@pytest.mark.processes
def test_workers_that_are_starting_are_interrupted_in_silence(tmp_path):
    """Ctrl-C as soon as both workers are there, long before they measure: status 130 and one line, no traceback."""
    (tmp_path / "spec.toml").write_text(spec_text(seeds=40, steps=3_000_000))
    options = {"cwd": tmp_path, "stderr": subprocess.PIPE, "text": True}
    with started(command(tmp_path, "--jobs", "2"), **options) as process:
        # The workers, and the process that tracks their resources.
        wait_until(lambda: len(psutil.Process(process.pid).children(recursive=True)) >= 3, process)
        os.killpg(process.pid, signal.SIGINT)
        _, messages = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, messages
    assert "Traceback" not in messages
    assert "interrupted" in messages


def test_an_interrupt_is_held_back_whichever_thread_receives_it():
    """What starts a worker is finished first; another thread, which does not block the signal, may be the receiver."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # tests in the background have it ignored
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    told = signal.set_wakeup_fd(writer)
    stop = threading.Event()
    other = threading.Thread(target=stop.wait)
    steps = []

    def start() -> None:
        with processes_module.interrupts_held():
            os.kill(os.getpid(), signal.SIGINT)
            os.read(reader, 1)  # the other thread has received it
            steps.append("finished")

    other.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            start()
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        stop.set()
        other.join()
        signal.set_wakeup_fd(told)
        os.close(reader)
        os.close(writer)
        signal.signal(signal.SIGINT, before)
    assert steps == ["finished"]


def test_a_worker_of_the_pool_that_is_killed_costs_no_cell(tmp_path):
    """Its cells are measured again: the same bytes."""
    small = parse_spec(spec_text(seeds=10, steps=2_000_000))
    killed = []

    def kill_one(outcomes, left):
        if outcomes and not killed:
            # Not the tracker of shared resources, which is a child too and may be the youngest.
            children = psutil.Process().children(recursive=True)
            killed.append([child for child in children if "resource_tracker" not in " ".join(child.cmdline())][-1])
            killed[0].kill()

    found = sweep(small, tmp_path / "store.db", Processes(2), acknowledge=kill_one)
    assert killed
    assert found.failed == ()
    sweep(small, tmp_path / "undisturbed.db", InProcess())
    assert rows(tmp_path / "store.db") == rows(tmp_path / "undisturbed.db")


@pytest.mark.processes
def test_a_full_disk_is_reported_and_nothing_acknowledged_is_lost(tmp_path):
    """A limit on the size of files stands for it: one line, exit status 2; with room the run is finished."""
    (tmp_path / "spec.toml").write_text(spec_text(seeds=300, steps=300))
    limit = 300_000

    def small_files():
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    done = run(command(tmp_path, "--jobs", "1"), cwd=tmp_path, before=small_files)
    assert done.returncode == 2, done.stderr
    *said, line = done.stderr.strip().splitlines()
    assert all("has 2 values" in sentence for sentence in said)
    assert "cannot write to the store store.db" in line
    assert "make room and run again" in line
    kept = rows(tmp_path / "store.db")
    assert 0 < len(kept) < 600
    again = here("sweep", "spec.toml", "--store", "store.db", "--jobs", "1", "--json", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    summary = json.loads(again.stdout)
    assert (summary["found"], summary["measured"]) == (len(kept), 600 - len(kept))
    sweep(parse_spec(spec_text(seeds=300, steps=300)), tmp_path / "undisturbed.db", InProcess())
    assert rows(tmp_path / "store.db") == rows(tmp_path / "undisturbed.db")


def refused(done: subprocess.CompletedProcess[str]) -> str:
    """The one line of a command that ended with exit status 2 and printed nothing else."""
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    (line,) = done.stderr.strip().splitlines()
    return line


@pytest.mark.processes
def test_a_store_that_another_driver_writes_is_refused_and_the_other_goes_on(tmp_path):
    """Two commands on one store: the second says so at once; the first is killed, and the third may go on."""
    arguments = ("sweep", "spec.toml", "--store", "store.db", "--jobs", "1")
    (tmp_path / "spec.toml").write_text(spec_text(seeds=2, steps=1_000_000_000))
    options = {"cwd": tmp_path, "stderr": subprocess.DEVNULL}
    with started(command(tmp_path, "--jobs", "1"), **options) as first:
        wait_until((tmp_path / "store.db").exists, first)  # locked before it is made
        line = refused(here(*arguments, cwd=tmp_path))
        assert "the store store.db is in use by another sweep: wait until it has ended" in line
        assert first.poll() is None
    (tmp_path / "spec.toml").write_text(spec_text(seeds=2, steps=300))
    third = here(*arguments, cwd=tmp_path)
    assert third.returncode == 0, third.stderr
    assert len(rows(tmp_path / "store.db")) == 4


# Four commands in one process, which even the super-user's rights do not let write where nobody may.
COMMANDS = """
import json, sys
from pathlib import Path
from commands import here
done = [here(*arguments, cwd=Path.cwd()) for arguments in json.loads(sys.argv[1])]
print(json.dumps([[one.args, one.returncode, one.stdout, one.stderr] for one in done]))
"""


def without_root() -> None:
    """Take from the super-user the right to write where nobody may; for others there is nothing to take."""
    drop, override = 24, 1  # PR_CAPBSET_DROP, CAP_DAC_OVERRIDE
    ctypes.CDLL(None).prctl(drop, override, 0, 0, 0)


@pytest.mark.processes
@pytest.mark.skipif(sys.platform != "linux", reason="the super-user's rights are taken by a call of Linux")
def test_a_read_only_folder_is_refused_to_a_sweep_and_read_by_a_report(tmp_path):
    """One line, and nothing is written; a finished store there is reported all the same."""
    small = parse_spec(spec_text(seeds=2, steps=300))
    (tmp_path / "spec.toml").write_text(spec_text(seeds=2, steps=300))
    folder = tmp_path / "folder"
    folder.mkdir()
    sweep(small, folder / "store.db", InProcess())
    (folder / "store.db.lock").unlink()
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    folder.chmod(0o555)
    wanted = [["sweep", "spec.toml", "--store", f"folder/{name}.db", "--jobs", "1"] for name in ("store", "new")]
    wanted.append(["report", "--store", "folder/store.db", "--out", "folder/o"])
    wanted.append(["report", "--store", "folder/store.db", "--out", "out", "--json"])
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, sys.path))}
    try:
        all_done = run(
            [sys.executable, "-c", COMMANDS, json.dumps(wanted)], cwd=tmp_path, env=environment, before=without_root
        )
    finally:
        folder.chmod(0o755)
    assert all_done.returncode == 0, all_done.stderr
    *bad, done = [subprocess.CompletedProcess(*one) for one in json.loads(all_done.stdout)]
    lines = [refused(one) for one in bad]
    for name, line in zip(("store.db", "new.db"), lines[:2], strict=True):
        assert f"cannot write beside the store folder/{name}: permission denied; choose another --store" in line
    assert "folder/o" in lines[2]
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["cells"] == 4
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


# The driver of one long cell, which leaves it many times a second.
LONG = """
import sys
from pathlib import Path
from rfos.laboratory.sweeps import driver
from rfos.laboratory.sweeps import executors
from rfos.laboratory.sweeps.spec import parse_spec

executors.CHECKPOINT = 0.05
driver.sweep(parse_spec(Path(sys.argv[1]).read_text()), Path(sys.argv[2]), executors.InProcess())
"""


@pytest.mark.processes
@pytest.mark.parametrize("measure", ["run", "ledger"])
def test_kill_9_in_the_middle_of_a_long_cell_costs_what_came_after_the_last_checkpoint(tmp_path, monkeypatch, measure):
    """The cell goes on at its last checkpoint, plays the steps that are left and no more, and brings the same bytes."""
    steps = 100_000_000
    text = spec_text(1, steps, measure=[measure], window=[2])
    (tmp_path / "spec.toml").write_text(text)
    path = tmp_path / "store.db"

    def begun() -> bool:
        with contextlib.suppress(sqlite3.Error):
            return bool(look(path, "SELECT state FROM checkpoints WHERE seconds > 0.15"))
        return False

    with started([sys.executable, "-c", LONG, str(tmp_path / "spec.toml"), str(path)]) as process:
        wait_until(begun, process)
    assert integrity(path) == "ok"
    assert rows(path) == []
    ((state,),) = look(path, "SELECT state FROM checkpoints")
    with np.load(io.BytesIO(state)) as arrays:
        left_at = int(arrays["position"][0])
    assert 0 < left_at <= steps
    played = []
    advance = kernel_play.kernels.advance

    def counted(world, learners, automaton, behaviour, memory, stream, position, *more):
        before = int(position[0])
        found = advance(world, learners, automaton, behaviour, memory, stream, position, *more)
        played.append(int(position[0]) - before)
        return found

    monkeypatch.setattr(kernel_play.kernels, "advance", counted)
    sweep(parse_spec(text), path, InProcess())
    assert sum(played) == steps - left_at
    sweep(parse_spec(text), tmp_path / "undisturbed.db", InProcess())
    assert sum(played) == 2 * steps - left_at
    assert rows(path) == rows(tmp_path / "undisturbed.db")


def test_a_truncated_or_foreign_store_is_refused_by_both_commands(tmp_path):
    """One line; the file is left as it is, byte for byte."""
    text = spec_text(seeds=30, steps=300)
    (tmp_path / "spec.toml").write_text(text)
    sweep(parse_spec(text), tmp_path / "store.db", InProcess())
    whole = (tmp_path / "store.db").read_bytes()
    cut = [(whole[:-missing], "is damaged") for missing in (20, 400, len(whole) // 2)]
    for content, word in (*cut, (b"", "is empty"), (b"a picture of a cat" * 9, "is not a store of rfos")):
        (tmp_path / "store.db").write_bytes(content)
        for arguments in (("sweep", "spec.toml", "--jobs", "1"), ("report", "--out", "out")):
            line = refused(here(*arguments, "--store", "store.db", cwd=tmp_path))
            assert "store.db" in line
            assert word in line
            assert (tmp_path / "store.db").read_bytes() == content
    assert not (tmp_path / "out").exists()


# A dask cluster ----------------------------------------------------------------------------------------------------


class Cluster:
    """A scheduler and two workers, each a process of its own, as a user starts them."""

    def __init__(self, folder: Path, children: contextlib.ExitStack) -> None:
        self.folder, self.file, self.children = folder, folder / "scheduler.json", children
        self.scheduler = self.start("scheduler", "--port", "0", "--host", "127.0.0.1")
        self.address = self.wait_for_address()
        self.workers = [self.start_worker() for _ in range(2)]

    def wait_for_address(self) -> str:
        """The file is there, and empty, before it is written."""

        def address() -> str | None:
            with contextlib.suppress(FileNotFoundError, json.JSONDecodeError):
                return str(json.loads(self.file.read_text())["address"])
            return None

        wait_until(address, self.scheduler)
        return str(address())

    def wait_for_workers(self, count: int) -> None:
        """Until the scheduler knows just so many."""
        distributed = pytest.importorskip("distributed")
        with distributed.Client(self.address, set_as_default=False) as client:
            wait_until(lambda: len(client.scheduler_info(n_workers=-1)["workers"]) == count)

    def start(self, what: str, *options: str, before: str = "") -> subprocess.Popen[bytes]:
        program = f"{before}from distributed.cli.dask_{what} import main; main()"
        arguments = ["--scheduler-file", str(self.file), "--no-dashboard", *options]
        with (self.folder / f"{what}.log").open("ab") as log:
            child = started([sys.executable, "-c", program, *arguments], stdout=log, stderr=log, cwd=self.folder)
            return self.children.enter_context(child)

    def start_worker(self, before: str = "") -> subprocess.Popen[bytes]:
        return self.start("worker", "--nthreads", "1", "--no-nanny", "--host", "127.0.0.1", before=before)

    def whole(self) -> bool:
        """Whether the scheduler and two workers are alive, others having been replaced."""
        if self.scheduler.poll() is not None:
            return False
        self.workers = [worker for worker in self.workers if worker.poll() is None]
        self.workers += [self.start_worker() for _ in range(2 - len(self.workers))]
        self.wait_for_workers(2)
        return True


@pytest.fixture(scope="module")
def clusters(tmp_path_factory):
    """The clusters that these tests have started, of which the last may be alive."""
    pytest.importorskip("distributed")
    with contextlib.ExitStack() as children:
        yield [], children


@pytest.fixture
def cluster(clusters, tmp_path_factory):
    """Two workers with one thread each: those of the test before, where it has left them alive."""
    made, children = clusters
    if not made or not made[-1].whole():
        made.append(Cluster(tmp_path_factory.mktemp("cluster"), children))
    return made[-1]


def wait_for_workers(dask: Dask, count: int) -> None:
    def there() -> bool:
        with dask:
            return dask.workers == count

    wait_until(there)


@pytest.mark.processes
def test_a_dask_cluster_brings_the_same_bytes_even_if_a_worker_is_killed(tmp_path, cluster):
    """Two worker processes, one of them killed in the middle; then the command on what is left, with other cells."""
    small = parse_spec(spec_text(seeds=10, steps=2_000_000))
    dask = Dask(cluster.address)
    wait_for_workers(dask, 2)
    assert dask.memory > 0
    killed = []

    def kill_one(outcomes, left):
        if outcomes and not killed:
            killed.append(left)
            cluster.workers[0].kill()

    found = sweep(small, tmp_path / "dask.db", dask, acknowledge=kill_one)
    assert killed[0] > 0
    assert (found.measured, found.failed) == (20, ())
    sweep(small, tmp_path / "here.db", InProcess())
    assert rows(tmp_path / "dask.db") == rows(tmp_path / "here.db")
    (tmp_path / "spec.toml").write_text(spec_text(seeds=3, steps=300))
    done = run(command(tmp_path, "--scheduler", cluster.address, "--json"), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["measured"] == 6


@pytest.mark.processes
def test_long_cells_on_a_dask_cluster_are_left_and_taken_up_again(tmp_path, cluster, monkeypatch):
    """By either worker; then a lost connection, and a worker with other code that joined later, are found out."""
    comm = pytest.importorskip("distributed.comm")
    monkeypatch.setattr(executors, "CHECKPOINT", 0.0)
    small = parse_spec(spec_text(seeds=2, steps=2_000))
    checkpoints = []
    put = Store._put
    monkeypatch.setattr(
        Store, "_put", lambda self, code, outcome: put(self, code, outcome) or checkpoints.append(outcome)
    )
    sweep(small, tmp_path / "dask.db", Dask(cluster.address))
    assert sum(outcome.state is not None for outcome in checkpoints) > 3 * 4
    sweep(small, tmp_path / "here.db", InProcess())
    assert rows(tmp_path / "dask.db") == rows(tmp_path / "here.db")

    def lost(future, *_):
        raise comm.CommClosedError("the connection is closed")

    with monkeypatch.context() as patched:
        patched.setattr("distributed.Future.result", lost)
        with pytest.raises(OSError, match="is lost: start it and run again"):
            sweep(small, tmp_path / "lost.db", Dask(cluster.address))

    class Elsewhere:
        """The fingerprint of other code, which becomes the true one on its way to a worker."""

        def __call__(self, own=()):
            return "of the driver"

        def __reduce__(self):
            return operator.attrgetter("fingerprint"), (importlib.import_module("rfos.laboratory.sweeps.fingerprint"),)

    def other_code(outcomes, left):
        monkeypatch.setattr(executors, "fingerprint", Elsewhere())

    with pytest.raises(ValueError, match=r"a worker that came later has other code \([0-9a-f]+\) than this driver"):
        sweep(small, tmp_path / "other.db", Dask(cluster.address), acknowledge=other_code)
    assert rows(tmp_path / "other.db") == []
    with pytest.raises(ValueError, match=r"the workers have other code \([0-9a-f]+\) than this driver"):
        sweep(small, tmp_path / "new.db", Dask(cluster.address))
    assert not (tmp_path / "new.db").exists()


@pytest.mark.processes
def test_workers_without_the_package_and_a_lost_scheduler_are_told_in_one_line(tmp_path, cluster):
    """Exit status 2, and nothing of other programs' talk. Such a worker that joins later ends, and is done without."""
    (tmp_path / "spec.toml").write_text(spec_text(seeds=40, steps=10_000_000))
    options = command(tmp_path, "--scheduler", cluster.address)
    cluster.workers.append(cluster.start_worker("import sys; sys.modules['rfos'] = None; "))
    cluster.wait_for_workers(3)
    again = run(options, cwd=tmp_path)
    assert "cannot measure" in refused(again)
    cluster.workers[-1].kill()
    cluster.workers[-1].wait()
    cluster.wait_for_workers(2)
    with started(options, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as running:
        wait_for_rows(tmp_path / "store.db", running, 1)
        cluster.scheduler.kill()
        _, said = running.communicate(timeout=PATIENCE)
    *before, line = said.strip().splitlines()
    assert all("has 2 values" in sentence for sentence in before)
    assert running.returncode == 2
    assert f"the scheduler at {cluster.address} is lost: start it and run again" in line


@pytest.mark.processes
def test_workers_without_a_module_that_the_spec_names_are_told_in_one_line(tmp_path, cluster, monkeypatch):
    """The driver can import it, they cannot: nothing is measured, and the mend is said."""
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "only_here.py").write_text(
        "import rfos\n\ndef game():\n    return rfos.named_game('chicken')\n"
    )
    monkeypatch.syspath_prepend(tmp_path / "here")
    text = spec_text(2, 300, game=["only_here:game"])
    with pytest.raises(
        ValueError, match=r"module 'only_here' of a sweep cannot be imported here .* on PYTHONPATH"
    ) as said:
        sweep(parse_spec(text), tmp_path / "store.db", Dask(cluster.address))
    assert "\n" not in str(said.value)
    assert rows(tmp_path / "store.db") == []


@pytest.mark.processes
def test_a_scheduler_that_does_not_answer_is_refused(tmp_path, monkeypatch):
    """In one line, and no store is made."""
    pytest.importorskip("distributed")
    monkeypatch.setattr("rfos.laboratory.sweeps.executors.CONNECTING", 1)
    for address in ("tcp://127.0.0.1:1", "nonsense://there"):
        with pytest.raises(OSError, match="no scheduler with workers answers at") as caught:
            sweep(parse_spec(spec_text(seeds=1, steps=10)), tmp_path / "store.db", Dask(address))
        assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []
