"""A store is made whole or not at all, and one from somebody else is a user's input."""

import hashlib
import json
import os
import random
import shutil
import sqlite3
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from commands import here, run
from specs import grid, spec

from rfos._system import files as files_module
from rfos.laboratory.sweeps import rows, store
from rfos.laboratory.sweeps.cells import Cell, canonical, printable
from rfos.laboratory.sweeps.driver import sweep
from rfos.laboratory.sweeps.executors import InProcess
from rfos.laboratory.sweeps.fingerprint import fingerprint
from rfos.laboratory.sweeps.fits import all_fits
from rfos.laboratory.sweeps.measures import MEASURES, measure
from rfos.laboratory.sweeps.rows import digest
from rfos.laboratory.sweeps.spec import parse_spec
from rfos.laboratory.sweeps.store import Store

SPEC = spec(
    "windows & <rivals>",
    1,
    grid(measure=["run", "ledger"], window=[1, 2], m=[2], steps=[500]),
    grid(measure=["least-m"], game=["chicken"], epsilon=[60], discount=[0.5], m=None, steps=None, seeds=1),
    grid(opponent=["naive"], window=None, levels=[2], inner_discount=[0], m=None, horizon=None, steps=[100], seeds=1),
)
COLUMNS = ("key", "code", "cell", "result", "error", "seconds", "digest")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A store with each kind of cell."""
    path = tmp_path_factory.mktemp("made") / "store.db"
    sweep(parse_spec(SPEC), path, InProcess())
    (path.parent / "spec.toml").write_text(SPEC)
    return path


def contents(path):
    connection = sqlite3.connect(path)
    found = connection.execute(f"SELECT {', '.join(COLUMNS)} FROM cells ORDER BY key").fetchall()
    connection.close()
    return [dict(zip(COLUMNS, row, strict=True)) for row in found]


def plant(path, old, *, honest=True, **columns):
    """Change a row; honest: key and digest fit what it has now, as those of a store that somebody made up."""
    new = {**old, **columns}
    if honest and "key" not in columns:
        new["key"] = hashlib.sha256(f"{new['cell']}\n{new['code']}".encode("utf-8", "surrogatepass")).hexdigest()
    if honest:
        new["digest"] = digest(*(new[name] for name in COLUMNS[:5]))
    connection = sqlite3.connect(path)
    connection.execute("DELETE FROM cells WHERE key = ?", (old["key"],))
    connection.execute("INSERT INTO cells VALUES (?, ?, ?, ?, ?, ?, ?)", [new[name] for name in COLUMNS])
    connection.commit()
    connection.close()


def everything(path):
    """What the Python API, and with it both commands, reads of a store."""
    with Store(path, read_only=True) as opened:
        found = opened.codes()
        read = [row for code in found for row in opened.rows(code)]
        titles = [opened.titles(code) for code in found]
    return found, titles, read, all_fits(read)


# A disk that fills -------------------------------------------------------------------------------------------------

MAKE = """
import os, resource, sys
from pathlib import Path
from rfos.laboratory.sweeps.store import Store
for limit in sys.argv[1:]:
    if os.fork() == 0:
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), resource.RLIM_INFINITY))
        try:
            with Store(Path(limit, "store.db")) as store:
                store.add_title("code", "t" * 100)
        except OSError as error:
            print(limit, error, flush=True)
        os._exit(0)
    assert os.wait()[1] == 0
"""
LIMITS = (0, 1, 4096, 8192, 12288, 20480, 24576, 28672, 32768, 40960, 65536)


@pytest.mark.processes
def test_a_disk_that_fills_while_a_store_is_made_leaves_none_or_a_good_one(tmp_path):
    """A limit on the size of files stands for the disk. With room again the same command works; nothing else is left.

    The tables were in the log when the file got its name, so that it was "damaged" for ever.
    """
    for limit in LIMITS:
        (tmp_path / str(limit)).mkdir()
    done = run([sys.executable, "-c", MAKE, *map(str, LIMITS)], cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    said = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    for limit in LIMITS:
        folder, line = tmp_path / str(limit), said.get(str(limit))
        if limit < 12288:
            assert "cannot make the store" in line
            assert {found.name for found in folder.iterdir()} == {"store.db.lock"}
        assert line is None or "make room and run again" in line
        with Store(folder / "store.db") as opened:
            opened.add_title("code", "title")
            opened.put("code", [measure(CELL)])
        assert {found.name for found in folder.iterdir()} == {"store.db", "store.db.lock"}
        assert everything(folder / "store.db")[0] == {"code": 1}


CELL = Cell(
    measure="run",
    game="matching-pennies",
    opponent="window-q-learner",
    agent="rmax",
    epsilon=0.8,
    delta=0.2,
    discount=0.8,
    root=0,
    seed=0,
    window=1,
    steps=100,
    m=2,
)


@pytest.mark.parametrize("name", ["mkstemp", "fsync", "chmod", "link and replace"])
def test_whichever_step_fails_nothing_is_left_at_the_place_and_no_part_beside_it(tmp_path, monkeypatch, name):
    """Each call of the making fails once; the message is one sentence, and the next try succeeds."""

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        if name == "mkstemp":
            patched.setattr(files_module.tempfile, "mkstemp", full)
        elif name == "chmod":
            patched.setattr(Path, "chmod", full)
        elif name == "fsync":
            patched.setattr(os, "fsync", full)
        else:
            patched.setattr(os, "link", full)
            patched.setattr(
                os,
                "open",
                lambda *a, real=os.open: (
                    full() if a[1] & os.O_EXCL and "store.db" in str(a[0]) and ".lock" not in str(a[0]) else real(*a)
                ),
            )
        with pytest.raises(OSError, match=r"cannot make the store .*: no space left on device; make room"):
            Store(tmp_path / "store.db")
    assert {found.name for found in tmp_path.iterdir()} == {"store.db.lock"}
    with Store(tmp_path / "store.db") as opened:
        assert opened.codes() == {}


def test_a_file_system_without_second_names_has_stores_too(tmp_path, monkeypatch):
    """The file then takes a place that was made for it alone."""
    monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(PermissionError(1, "Operation not permitted")))
    with Store(tmp_path / "store.db") as opened:
        assert opened.codes() == {}
    assert {found.name for found in tmp_path.iterdir()} == {"store.db", "store.db.lock"}


def test_no_file_of_the_user_is_replaced_or_removed(tmp_path, monkeypatch):
    """X.new, X.new-wal and their like stay; a file that appears at the place meanwhile stays, too."""
    mine = [tmp_path / f"store.db{suffix}" for suffix in (".new", ".new-wal", ".new-shm", ".new-journal", ".lock")]
    for path in mine:
        path.write_bytes(b"my own")
    with Store(tmp_path / "store.db") as opened:
        opened.add_title("code", "title")
    assert all(path.read_bytes() == b"my own" for path in mine)

    def appears(path, content):
        path.write_bytes(b"my own")
        return files_module.create(path, content)

    monkeypatch.setattr(store, "create", appears)
    with pytest.raises(OSError, match="has just been made by another program: run again"):
        Store(tmp_path / "other.db")
    assert (tmp_path / "other.db").read_bytes() == b"my own"


def test_a_lock_that_is_a_link_is_not_followed(tmp_path):
    """It led to a file that was made, or locked, wherever it pointed to."""
    (tmp_path / "store.db.lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match=r"cannot write beside the store .*store.db.lock is a link"):
        Store(tmp_path / "store.db")
    assert {found.name for found in tmp_path.iterdir()} == {"store.db.lock"}


def test_what_is_not_a_file_is_not_a_store(tmp_path):
    """A pipe would be waited for without end."""
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, Path("/dev/zero")):
        with pytest.raises(ValueError, match="is not a file: choose another --store"):
            Store(path)


# A store from somebody else ----------------------------------------------------------------------------------------


def test_all_that_the_measures_bring_passes_the_reader(made):
    """Runs, ledgers, searches, with windows and with levels: the check is not too strict, and complete."""
    codes, titles, read, _ = everything(made)
    assert codes == {fingerprint(): 10}
    assert titles == [["windows & <rivals>"]]
    assert {rows.read(row)[0].measure for row in read} == set(MEASURES)
    for change in ({"agent": "rmax-episode"}, {"agent": "rmax-paper-m"}, {"agent": "paper"}, {"agent": "rmax-pooled"}):
        for kind in ("run", "ledger"):
            cell = replace(CELL, measure=kind, horizon=10, **change)
            outcome = measure(cell)
            assert outcome.error is None
            assert rows.read(rows.StoreRow(cell.key("c"), "c", cell.name, outcome.result, None))[1] is not None
    cell = replace(CELL, opponent="q-learner")
    assert rows.read(rows.StoreRow(cell.key("c"), "c", cell.name, measure(cell).result, None))[1] is not None


def of_result(**changes):
    def change(row):
        result = {**json.loads(row["result"]), **changes}
        return {"result": canonical({k: v for k, v in result.items() if v is not ...})}

    return change


def of_cell(**changes):
    def change(row):
        cell = {**json.loads(row["cell"]), **changes}
        return {"cell": canonical({k: v for k, v in cell.items() if v is not ...}).decode()}

    return change


def of_curve(**changes):
    def change(row):
        result = json.loads(row["result"])
        return {"result": canonical({**result, "curve": {**result["curve"], **changes}})}

    return change


def raw(**columns):
    return lambda row: columns


ABSURD = {
    "cell is a list": raw(cell="[]"),
    "cell is a number": raw(cell="5"),
    "cell is nothing": raw(cell=""),
    "cell is null": raw(cell="null"),
    "cell is nested deep": raw(cell="[" * 4000),
    "cell is large": raw(cell='"' + "x" * 20_000 + '"'),
    "cell has an unknown key": of_cell(colour="red"),
    "cell has no seed": of_cell(seed=...),
    "cell has no game": of_cell(game=...),
    "cell has no length": of_cell(steps=...),
    "cell has two lengths": of_cell(budget=2),
    "cell has both kinds": of_cell(levels=2, inner_discount=0.0),
    "cell has an unknown measure": of_cell(measure="walk"),
    "measure is a list": of_cell(measure=["run"]),
    "game is unknown": of_cell(game="checkers"),
    "game is a formula": of_cell(game="$\\frac{1}"),
    "game is large": of_cell(game="public-goods-28"),
    "epsilon is 0": of_cell(epsilon=0.0),
    "epsilon is negative": of_cell(epsilon=-0.8),
    "epsilon is a text": of_cell(epsilon="0.8"),
    "epsilon is tiny": of_cell(epsilon=5e-324),
    "epsilon is NaN": lambda row: {"cell": row["cell"].replace('"epsilon":0.8', '"epsilon":NaN')},
    "epsilon is 1e999": lambda row: {"cell": row["cell"].replace('"epsilon":0.8', '"epsilon":1e999')},
    "delta is 1": of_cell(delta=1.0),
    "discount is 1": of_cell(discount=1.0),
    "window is huge": of_cell(window=10**15),
    "window is a bool": of_cell(window=True),
    "seed is negative": of_cell(seed=-1),
    "seed is huge": of_cell(seed=10**3000),
    "root is a float": of_cell(root=1.5),
    "opponent is unknown": of_cell(opponent="nobody"),
    "cell is spaced": lambda row: {"cell": row["cell"].replace(":", ": ")},
    "cell has a key twice": lambda row: {"cell": '{"agent":"paper",' + row["cell"][1:]},
    "code is empty": raw(code=""),
    "code obeys the terminal": raw(code="\x1b[2J\x1b[31mred"),
    "code has lines": raw(code="a\nb"),
    "code is large": raw(code="c" * 10_000),
    "key is another": raw(key="0" * 64),
    "key obeys the terminal": raw(key="\x1b[2J"),
    "result is a list": raw(result=b"[]"),
    "result is a number": raw(result=b"5"),
    "result is empty": raw(result=b""),
    "result is not UTF-8": raw(result=b"\xff\xfe"),
    "result is nested deep": raw(result=b'{"a":' * 100_000),
    "result is nested deep and whole": raw(result=b'{"a":' * 5000 + b"1" + b"}" * 5000),
    "result is large": raw(result=b'"' + b"x" * 2_000_000 + b'"'),
    "result has no sizes": of_result(n_states=...),
    "result has nothing": raw(result=b"{}"),
    "result has another key": of_result(colour="red"),
    "result has a column of the cell": of_result(window=7),
    "result has a column of the table": of_result(key="k", error="e"),
    "n_states is a text": of_result(n_states="4"),
    "n_states is 0": of_result(n_states=0),
    "n_states is another": of_result(n_states=5),
    "branching is huge": of_result(branching=10**3000),
    "r_max is a number": of_result(r_max=1),
    "r_max divides by 0": of_result(r_max="1/0"),
    "r_max is a formula": of_result(r_max="__import__('os')"),
    "r_max is negative": of_result(r_max="-1"),
    "r_max is huge": of_result(r_max="1" + "0" * 600),
    "m is negative": of_result(m=-2),
    "m is another": of_result(m=3),
    "m is a float": of_result(m=2.0),
    "steps is another": of_result(steps=7),
    "theorem is unknown": of_result(theorem="T99"),
    "theorem is a list": of_result(theorem=["X4"]),
    "theorem is about episodes": of_result(theorem="T1-ep"),
    "steps_all_known is beyond the end": of_result(steps_all_known=10**6),
    "steps_all_known is a text": of_result(steps_all_known="soon"),
    "steps_all_known is negative": of_result(steps_all_known=-1),
    "a value is nested": of_result(plans={"a": [1]}),
}
RUNS = {
    "final_reward is NaN": lambda row: {
        "result": row["result"].replace(b'"final_reward":', b'"final_reward":NaN,"x":')
    },
    "final_reward is huge": of_result(final_reward=10**400),
    "curve is a list": of_result(curve=[1]),
    "curve is empty": of_curve(steps=[], reward=[], known=[]),
    "curve is ragged": of_curve(steps=[1, 2]),
    "curve goes back": of_curve(steps=[2, 1], reward=[0, 0], known=[1, 1]),
    "curve has texts": of_curve(steps=[1], reward=["a"], known=[1]),
    "curve is beyond the end": of_curve(steps=[10**6], reward=[0.5], known=[1]),
    "curve is of other bins": of_curve(steps=[250, 500], reward=[0.5, 0.5], known=[1, 2]),
    "curve has no rewards": of_result(curve={"steps": [1], "known": [1]}),
}
LEDGERS = {
    "count is negative": of_result(count=-5),
    "count is a float": of_result(count=1.5),
    "count and count_most differ": of_result(count_most=10**9),
    "bound is a text": of_result(bound="many"),
    "bound is negative": of_result(bound=-1.0),
    "exploration is the wrong way": of_result(exploration_low=2.0, exploration_high=1.0),
    "reason obeys the terminal": of_result(reason="\x1b[2J"),
    "unit is another": of_result(unit="miles"),
    "final_is_optimal is a number": of_result(final_is_optimal=1),
}
SEARCHES = {
    "m_low is 0": of_result(m_low=0),
    "m_high is below": of_result(m_low=10, m_high=3),
    "m_high is a text": of_result(m_high="inf"),
    "error is 0": of_result(error=0.0),
    "error is 1": of_result(error=1),
    "m_T1 is huge": of_result(m_T1=10**400),
}
KINDS = [
    *((kind, name, change) for kind in ("run", "ledger") for name, change in ABSURD.items()),
    *(("run", name, change) for name, change in RUNS.items()),
    *(("ledger", name, change) for name, change in LEDGERS.items()),
    *(("least-m", name, change) for name, change in SEARCHES.items()),
]


@pytest.mark.parametrize(("kind", "name", "change"), KINDS, ids=lambda value: value if isinstance(value, str) else "")
def test_an_absurd_row_is_counted_and_the_reason_said(made, tmp_path, kind, name, change):
    """With key and digest that fit: a ValueError that counts 1 of 10 rows, on one printable line; not a cell short."""
    path = tmp_path / "store.db"
    shutil.copy(made, path)
    old = next(row for row in contents(path) if json.loads(row["cell"])["measure"] == kind and "horizon" in row["cell"])
    plant(path, old, **change(old))
    with pytest.raises(ValueError, match="is damaged") as caught:
        everything(path)
    line = str(caught.value)
    # A curve of other bins, alone good, may be taken for the right one of its point; it is never averaged with it.
    assert "of 10 rows is not what a sweep writes; cell " in line
    assert line.isprintable()
    assert len(line) < 500 + len(str(path))
    with Store(path) as opened, pytest.raises(ValueError, match="is damaged"):
        opened.keys(fingerprint())


@pytest.mark.parametrize("column", COLUMNS)
def test_no_flipped_bit_makes_a_report_short(made, tmp_path, column):
    """Every bit of the column of a row where that is possible, else 40 of them: said, and never a cell less.

    A bit in `seconds` changes nothing that is read. A flipped bit in `code` put the cell among those of other code.
    """
    rng = random.Random(column)
    row = next(row for row in contents(made) if "ledger" in row["cell"])
    value = row[column]
    path = tmp_path / "store.db"
    whole = made.read_bytes()
    if column in ("error", "seconds"):
        shutil.copy(made, path)
        plant(
            path, row, honest=False, **({"seconds": 1e300} if column == "seconds" else {"error": "x", "result": None})
        )
        if column == "seconds":
            assert everything(path)[0] == {fingerprint(): 10}
        else:
            with pytest.raises(ValueError, match="1 of 10 rows"):
                everything(path)
        return
    content = value.encode() if isinstance(value, str) else value
    bits = rng.sample(range(len(content) * 8), 40)
    start = whole.rindex(content)
    for bit in bits:
        flipped = bytearray(whole)
        flipped[start + bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        with pytest.raises(ValueError, match="is damaged"):
            everything(path)


def fuzz(made: Path, path: Path, rng: random.Random) -> str:
    """Damage a copy of a store somehow and say what came of it: "same", "refused", or the rows that are there."""
    content = bytearray(made.read_bytes())
    kind = rng.choice(["bits", "bytes", "zeros", "cut", "swap", "grow"])
    for _ in range(rng.choice([1, 1, 3, 30])):
        at = rng.randrange(len(content))
        if kind == "bits":
            content[at] ^= 1 << rng.randrange(8)
        elif kind == "bytes":
            content[at] = rng.randrange(256)
        elif kind == "zeros":
            content[at : at + 64] = bytes(len(content[at : at + 64]))
        elif kind == "cut":
            del content[max(1, at) :]
        elif kind == "swap":
            other = rng.randrange(len(content))
            content[at : at + 16], content[other : other + 16] = content[other : other + 16], content[at : at + 16]
        else:
            content[at:at] = rng.randbytes(rng.randrange(1, 200))
    path.write_bytes(content)
    try:
        codes, _, read, _ = everything(path)
    except (ValueError, OSError) as error:
        return "refused" if str(error).isprintable() else f"not printable: {error}"
    assert codes == {fingerprint(): 10}
    assert read == everything(made)[2]
    return "same"


def test_damaged_bytes_are_refused_or_change_nothing(made, tmp_path):
    """200 damaged stores: each is refused in one line, or has the same rows (the damage lies where nothing is)."""
    rng = random.Random(18)
    found = [fuzz(made, tmp_path / "store.db", rng) for _ in range(200)]
    assert set(found) == {"same", "refused"}
    assert found.count("refused") > 50


def test_tables_that_no_sweep_makes_are_refused(made, tmp_path):
    """A trigger, a view, a table beside, a column more: none of them is run or read."""
    for number, statement in enumerate(
        (
            "CREATE TRIGGER gone AFTER INSERT ON cells BEGIN DELETE FROM cells; END",
            "CREATE VIEW mine AS SELECT 1",
            "CREATE TABLE mine (x)",
            "ALTER TABLE cells ADD COLUMN mine TEXT",
            "CREATE INDEX mine ON cells (code)",
            "DROP TABLE checkpoints",
        )
    ):
        path = tmp_path / f"{number}.db"
        shutil.copy(made, path)
        connection = sqlite3.connect(path)
        connection.execute(statement)
        connection.commit()
        connection.close()
        with pytest.raises(ValueError, match="its tables are not those that a sweep makes"):
            Store(path)


def test_a_store_of_before_titles_were_kept_is_still_read(made, tmp_path):
    """It has none; the next sweep adds its own."""
    path = tmp_path / "store.db"
    shutil.copy(made, path)
    connection = sqlite3.connect(path)
    connection.execute("DROP TABLE titles")
    connection.commit()
    connection.close()
    assert everything(path)[1] == [[]]
    sweep(parse_spec(SPEC), path, InProcess())
    assert everything(path)[1] == [["windows & <rivals>"]]


def test_both_commands_refuse_an_absurd_row_in_one_line(made, tmp_path):
    """Exit status 2, nothing written; the store as it was."""
    shutil.copy(made, tmp_path / "store.db")
    (tmp_path / "spec.toml").write_text(SPEC)
    first, second = contents(tmp_path / "store.db")[:2]
    plant(tmp_path / "store.db", first, **of_cell(epsilon=0.0)(first))
    plant(tmp_path / "store.db", second, **of_result(n_states="\x1b[2J")(second))
    for arguments in (
        ("report", "--out", "out"),
        ("sweep", "spec.toml", "--jobs", "1"),
        ("report", "--out", "o", "--json"),
    ):
        done = here(*arguments, "--store", "store.db", cwd=tmp_path)
        assert (done.returncode, done.stdout) == (2, "")
        (line,) = done.stderr.strip().splitlines()
        assert "store.db is damaged (2 of 10 rows are not what a sweep writes; the first is cell" in line
        assert line.isprintable()
    assert not (tmp_path / "out" / "report.html").exists()


def test_texts_of_a_store_are_shown_and_never_run(made, tmp_path):
    """Code, error and title are of the page's text and not of its tags, printable on a terminal, and kept in tables."""
    path = tmp_path / "store.db"
    shutil.copy(made, path)
    evil = "<script>alert(1)</script>"
    for row in contents(path):
        plant(path, row, code=evil)
    failed = next(row for row in contents(path) if "least-m" in row["cell"])
    error = f"Error: {evil} \x1b[31m, \"quoted\", 'and',\rso on\x00"
    plant(path, failed, result=None, error=error)
    connection = sqlite3.connect(path)
    connection.execute("UPDATE titles SET code = ?, title = ?", (evil, evil + "&amp;"))
    connection.commit()
    connection.close()
    done = here("report", "--store", "store.db", "--out", "out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for line in (done.stdout + done.stderr).splitlines():
        assert line.isprintable()
    page = (tmp_path / "out" / "report.html").read_text()
    assert "<script" not in page
    assert "<h1>&lt;script&gt;alert(1)&lt;/script&gt;&amp;amp;</h1>" in page
    assert "code <code>&lt;script&gt;" in page
    assert "\\x1b[31m" in page
    assert "\x1b" not in page
    import csv

    with (tmp_path / "out" / "cells.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert [line["error"] for line in table if line["error"]] == [error]


def test_the_report_has_the_title_of_the_spec(made, tmp_path):
    """On the page, in the terminal and in the JSON; those of all specs of the store, the first one first."""
    shutil.copy(made, tmp_path / "store.db")
    (tmp_path / "two.toml").write_text(SPEC.replace("windows & <rivals>", "a second look"))
    assert here("sweep", "two.toml", "--store", "store.db", "--jobs", "1", cwd=tmp_path).returncode == 0
    done = here("report", "--store", "store.db", "--out", "out", cwd=tmp_path)
    assert done.stdout.splitlines()[:2] == ["windows & <rivals>", "a second look"]
    page = (tmp_path / "out" / "report.html").read_text()
    assert "<h1>windows &amp; &lt;rivals&gt;; a second look</h1>" in page
    done = here("report", "--store", "store.db", "--out", "out", "--json", cwd=tmp_path)
    assert json.loads(done.stdout)["titles"] == ["windows & <rivals>", "a second look"]


def test_two_values_are_said_to_give_no_verdict_when_the_sweep_starts(tmp_path):
    """Windows 1 and 2: one line on stderr, before anything is measured."""
    (tmp_path / "spec.toml").write_text(SPEC)
    done = here("sweep", "spec.toml", "--store", "store.db", "--jobs", "1", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "window has 2 values where all else is equal: a verdict beside a bound needs 3" in done.stderr


def test_an_error_is_stored_printable():
    """What an exception says goes to terminals and pages."""
    assert printable("a\x1b[31m\tb\u202e") == "a\\x1b[31m\\tb\\u202e"
    outcome = measure(replace(CELL, game="\x1b[2J"))
    assert outcome.error.isprintable()


def test_numbers_beyond_whole_columns_are_in_the_tables(made, tmp_path):
    """A bound of 10^200, and a seed of 2^200 as a spec may have: no OverflowError in Parquet, and the same in CSV."""
    (tmp_path / "spec.toml").write_text(SPEC.replace("seed = 1", f"seed = {2**200}"))
    done = here("sweep", "spec.toml", "--store", "s.db", "--jobs", "1", "--out", "large", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert str(2**200) in (tmp_path / "large" / "cells.csv").read_text()
    path = tmp_path / "store.db"
    shutil.copy(made, path)
    old = next(row for row in contents(path) if "ledger" in row["cell"])
    plant(path, old, **of_result(bound=10**200)(old))
    done = here("report", "--store", "store.db", "--out", "out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "1e+200" in (tmp_path / "out" / "cells.csv").read_text()


def test_dask_is_said_to_unpickle_what_a_scheduler_answers(tmp_path):
    """In the help of the option and in the docstring: no check of this package comes before it."""
    from rfos.laboratory.sweeps.executors import Dask

    assert "unpickles what comes back" in " ".join(Dask.__doc__.split())
    help_text = " ".join(here("sweep", "--help", cwd=tmp_path).stdout.replace("│", " ").split())
    assert "dask unpickles what it answers" in help_text
