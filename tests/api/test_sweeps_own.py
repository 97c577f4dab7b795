"""Parts of one's own in a sweep, as a user names them from outside of the package: module:name in a spec."""

import json
import os
import sqlite3
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from commands import here, run
from specs import TURNS, grid, spec

from rfos.laboratory.sweeps import executors
from rfos.laboratory.sweeps.cells import Task
from rfos.laboratory.sweeps.driver import sweep
from rfos.laboratory.sweeps.executors import InProcess, Processes
from rfos.laboratory.sweeps.fingerprint import fingerprint, own_sources
from rfos.laboratory.sweeps.fits import all_fits
from rfos.laboratory.sweeps.measures import measure
from rfos.laboratory.sweeps.spec import GRID_KEYS, check_cell, example, parse_spec
from rfos.laboratory.sweeps.store import Store

MINE = (
    '''
"""Parts of my own."""
import numpy as np
import rfos
from rfos.laboratory.sweeps.cells import agent, process
from rfos.laboratory.sweeps.measures import Measure, run_length
from rfos.laboratory.sweeps.results import number
from my_payoffs import PAYOFFS

def game():
    return rfos.NormalFormGame(np.array(PAYOFFS), name="mine")

def opponent():
    return rfos.WindowQLearner()

def learner():
    return rfos.NaiveLearner(0.3)

def agent_of(epsilon, delta, m):
    return rfos.Rmax(m, epsilon, delta)

FIXED = rfos.Rmax(m=4, epsilon=0.8, delta=0.2)
'''
    + TURNS
    + """
def _earned(cell, checkpoint):
    seeds = np.random.SeedSequence(cell.root, spawn_key=cell.words)
    trace = rfos.run(process(cell), agent(cell), steps=run_length(cell), horizon=cell.horizon, bins=1, rng=seeds)
    return {"earned": 1 + abs(float(trace.mean_reward[0])) * cell.discount}

EARNED = Measure(run=_earned, check={"earned": number(0)}, quantities={"earned": "what was earned"})
WRONG = Measure(run=lambda cell, checkpoint: {"earned": -1.0}, check={"earned": number(0)})

def broken():
    raise KeyError("payoffs")

NUMBER = 3
"""
)
PAYOFFS = "PAYOFFS = [[[1.0, -1.0], [-1.0, 1.0]], [[-1.0, 1.0], [1.0, -1.0]]]\n"
SPEC = spec(
    "mine",
    1,
    grid(game=["mine_a:game"], opponent=["mine_a:opponent"], agent=["mine_a:agent_of"], m=[4], horizon=None),
)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder on the path with a user's modules, which are forgotten afterwards."""
    (tmp_path / "mine_a.py").write_text(MINE)
    (tmp_path / "my_payoffs.py").write_text(PAYOFFS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    forget()
    yield tmp_path
    forget()


def forget():
    """What a new process would not have."""
    from rfos.laboratory.sweeps import cells, measures, parts, spec

    for name in ("mine_a", "my_payoffs"):
        sys.modules.pop(name, None)
    for cached in (parts.game_of, parts.opponent_of, parts.learner_of, parts._own_agent, cells._meta_game):
        cached.cache_clear()
    for cached in (measures._effort, measures._peak_bytes, measures._run_length, spec._check_opponent):
        cached.cache_clear()


def contents(path: Path) -> list[tuple[object, ...]]:
    """The rows of a store, read without the package."""
    with sqlite3.connect(path) as connection:
        found = connection.execute("SELECT key, code, cell, result, error FROM cells ORDER BY key").fetchall()
    connection.close()
    return found


@pytest.mark.jit
def test_a_sweep_of_ones_own_parts_measures_what_their_equals_of_the_package_do(folder):
    """The same curve, m and times for the same seed; in this process and in two others the same bytes."""
    mine = parse_spec(SPEC)
    assert len(mine.cells) == 2
    found = sweep(mine, folder / "here.db", InProcess())
    assert (found.measured, found.failed) == (2, ())
    assert found.code == fingerprint(("mine_a",)) != fingerprint()
    assert found.code.startswith(f"{fingerprint()}+")
    sweep(mine, folder / "there.db", Processes(2))
    assert contents(folder / "here.db") == contents(folder / "there.db")
    cell = mine.cells[0]
    names = {"game": "matching-pennies", "opponent": "window-q-learner", "agent": "rmax"}
    theirs = json.loads(measure(replace(cell, **names)).result)
    ours = json.loads(measure(cell).result)
    for name in ("n_states", "n_actions", "branching", "m", "theorem"):
        assert ours[name] == theirs[name]
    assert ours["r_max"] == "2"
    assert json.loads(cell.name)["game"] == "mine_a:game"
    assert cell.key("c") != replace(cell, **names).key("c")


@pytest.mark.parametrize(
    ("old", "new", "m"),
    [
        ('agent = ["mine_a:agent_of"]', 'agent = ["mine_a:FIXED"]', 4),
        ('agent = ["mine_a:agent_of"]\n', 'agent = ["mine_a:TURNS"]\n', None),
        ("window = [1]", "levels = [3]\ninner_discount = [0]", 4),
    ],
)
def test_an_agent_may_be_an_object_or_play_in_python_and_an_opponent_a_learner(folder, old, new, m):
    """Each runs, and its row is one that the store believes."""
    text = SPEC.replace(old, new)
    if "levels" in new:
        text = text.replace("mine_a:opponent", "mine_a:learner")
    if "TURNS" in new:
        text = text.replace("m = [4]\n", "").replace('["run"]', '["run", "ledger"]')
    wanted = parse_spec(text)
    found = sweep(wanted, folder / "s.db", InProcess())
    assert found.failed == ()
    with Store(folder / "s.db", read_only=True) as store:
        results = [json.loads(row.result) for row in store.rows(found.code)]
    assert {result["m"] for result in results} == {m}
    assert {result["theorem"] for result in results} <= {None, "T1", "T1 with X1", "T1+", "T1'", "T1' with X1"}


def test_the_code_changes_with_a_module_of_ones_own_and_with_what_it_imports(folder):
    """Not with a word in a docstring."""
    first = fingerprint(("mine_a",))
    for name, old, new, same in (
        ("mine_a.py", "Parts of my own", "Parts that are mine", True),
        ("mine_a.py", "NaiveLearner(0.3)", "NaiveLearner(0.4)", False),
        ("my_payoffs.py", "-1.0", "-2.0", False),
    ):
        before = (folder / name).read_text()
        assert old in before
        (folder / name).write_text(before.replace(old, new))
        forget()
        assert (fingerprint(("mine_a",)) == first) is same
        (folder / name).write_text(before)
    forget()
    assert fingerprint(("mine_a",)) == first


@pytest.mark.parametrize("place", ["a", "z"])
def test_the_code_does_not_depend_on_where_it_lies(tmp_path, monkeypatch, place):
    """The folder of the user's module may come before that of the package, or after it, as on another machine."""
    package, own = tmp_path / "m", tmp_path / place
    (package / "rfos").mkdir(parents=True)
    (package / "rfos" / "__init__.py").write_text("")
    own.mkdir()
    (own / "here_only.py").write_text("import rfos\nimport zzz_part\n")
    (own / "zzz_part.py").write_text("1\n")
    monkeypatch.setattr("rfos.laboratory.sweeps.fingerprint.ROOT", package)
    monkeypatch.syspath_prepend(own)
    try:
        found = [str(path.relative_to(root)) for path, root in own_sources("here_only")]
    finally:
        for name in ("here_only", "zzz_part"):
            sys.modules.pop(name, None)
    assert found == ["here_only.py", "rfos/__init__.py", "zzz_part.py"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("mine_a:game", "nowhere:game", "game is 'nowhere:game', and No module named 'nowhere': put the folder of"),
        ("mine_a:game", "mine_a:nothing", "game is 'mine_a:nothing': module mine_a has no nothing"),
        ("mine_a:game", "mine_a: game", "game is 'mine_a: game': give one of your own as module:name"),
        ("mine_a:game", "__import__('os'):x", "give one of your own as module:name"),
        ("mine_a:game", "mine_a:NUMBER", "game is 'mine_a:NUMBER', which is 3: give a function that returns a Normal"),
        ("mine_a:game", "mine_a:broken", "calling it without arguments raised KeyError: 'payoffs': mend it"),
        ("mine_a:game", "mine_a:learner", "'mine_a:learner', which returns a NaiveLearner: let it return a Norm"),
        ("mine_a:opponent", "mine_a:game", "'mine_a:game', which returns a NormalFormGame: let it return an oppon"),
        ("mine_a:opponent", "naiv", "opponent is 'naiv': choose among q-learner"),
        ("mine_a:agent_of", "mine_a:game", "calling it with epsilon, delta, m raised TypeError"),
        (
            "mine_a:agent_of",
            "mine_a:NUMBER",
            "agent is 'mine_a:NUMBER', which is 3: give a function that returns an agent",
        ),
        ("m = [4]", "m = [3]\n#", None),
        ('"mine_a:agent_of"]\n', '"mine_a:FIXED"]\n', None),
        ('"run"', '"mine_a:game"', "measure is 'mine_a:game', which is a function: name a Measure"),
        ('"run"', '"walk"', "measure is 'walk': choose among run, ledger, least-m, or give one of your own as"),
    ],
)
def test_a_part_that_is_none_is_refused_in_one_sentence(folder, old, new, message):
    """With its name and the mend; None: a good change."""
    assert old in SPEC
    text = SPEC.replace(old, new, 1)
    if message is None:
        parse_spec(text)
        return
    with pytest.raises(ValueError) as caught:
        parse_spec(text, "file.toml")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_agent_with_an_m_of_its_own_does_not_take_another(folder):
    """The cell would be named for an m that was not played."""
    text = SPEC.replace("mine_a:agent_of", "mine_a:FIXED").replace("m = [4]", "m = [5]")
    with pytest.raises(ValueError, match="whose m is 4 where the cell asks for 5: leave out m, or take it"):
        parse_spec(text)


def test_a_module_that_breaks_is_named(folder):
    """Whatever it raises while it is imported."""
    (folder / "mine_a.py").write_text("1 / 0\n")
    with pytest.raises(ValueError, match="importing it raised ZeroDivisionError: division by zero: mend the module"):
        parse_spec(SPEC)


@pytest.mark.jit
def test_a_measure_of_ones_own_is_kept_reported_and_fitted_where_it_is_named(folder):
    """Its quantity grows with the discount; a report imports it only if it is told to."""
    text = SPEC.replace('["run"]', '["mine_a:EARNED"]').replace("[0.8]\nm =", "[0.5, 0.7, 0.9]\nm =")
    (folder / "spec.toml").write_text(text)
    done = here("sweep", "spec.toml", "--store", "s.db", "--jobs", "2", "--out", "out", cwd=folder)
    assert done.returncode == 0, done.stderr
    fits = pd.read_csv(folder / "out" / "fits.csv")
    assert set(fits["quantity"]) == {"earned"}
    assert set(fits["reason"]) == {"no bound is stated for these runs"}
    assert pd.read_csv(folder / "out" / "cells.csv")["earned"].notna().all()
    forget()
    done = here("report", "--store", "s.db", "--out", "two", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "mine_a" not in sys.modules
    assert "measure mine_a:EARNED is in the tables only: --measure mine_a:EARNED imports it" in done.stderr
    assert "what was earned" not in done.stdout
    done = here("report", "--store", "s.db", "--out", "three", "--measure", "mine_a:EARNED", cwd=folder)
    assert "what was earned against 1/(1-discount)" in done.stdout
    assert (folder / "three" / "fits.csv").read_bytes() == (folder / "out" / "fits.csv").read_bytes()


def test_a_result_that_its_own_check_refuses_is_a_failed_cell(folder):
    """It is not kept as a result that no reader would believe."""
    cell = replace(parse_spec(SPEC).cells[0], measure="mine_a:WRONG")
    assert measure(cell).error == "ValueError: its result has earned = -1.0"


def test_reading_a_store_imports_nothing_that_it_names(folder, monkeypatch):
    """A store may come from somebody else: a cell of a module that would leave a mark is read, and leaves none."""
    monkeypatch.chdir(folder)
    (folder / "mine_a.py").write_text(MINE + "from pathlib import Path\nPath('mark').touch()\n")
    found = sweep(parse_spec(SPEC), folder / "s.db", InProcess())
    assert Path("mark").exists()
    Path("mark").unlink()
    forget()
    with Store(folder / "s.db", read_only=True) as store:
        rows = store.rows(found.code)
    all_fits(rows)
    for row in rows:
        check_cell(json.loads(row.cell))
    assert len(rows) == 2
    assert not Path("mark").exists()
    assert "mine_a" not in sys.modules


@pytest.mark.jit
def test_a_worker_without_the_module_or_with_another_one_is_found_out(folder, monkeypatch):
    """It says so in one sentence, or its answer has other code; no result of it is kept."""
    cell = parse_spec(SPEC).cells[0]
    (folder / "cell.json").write_text(cell.name)
    program = (
        "import json, sys\n"
        "from pathlib import Path\n"
        "from rfos.laboratory.sweeps.cells import Cell, Task\n"
        "from rfos.laboratory.sweeps.executors import measured\n"
        "cell = Cell(**json.loads(Path(sys.argv[1]).read_text()))\n"
        "try:\n    print(measured((Task(cell),), 10.0)[0])\n"
        "except ValueError as error:\n    print('refused', error)\n"
    )
    (folder / "empty").mkdir()
    other = folder / "other"
    other.mkdir()
    (other / "mine_a.py").write_text(MINE.replace("0.3", "0.5"))
    (other / "my_payoffs.py").write_text(PAYOFFS)
    base = str(Path(__file__).parents[2])

    def of_worker(path):
        environment = {**os.environ, "PYTHONPATH": f"{path}{os.pathsep}{base}"}
        command = [sys.executable, "-c", program, str(folder / "cell.json")]
        return run(command, cwd=folder / "empty", env=environment).stdout.strip()

    said = of_worker(folder / "empty")
    assert said.startswith("refused module 'mine_a' of a sweep cannot be imported here (ModuleNotFoundError")
    assert said.endswith("put its folder on PYTHONPATH")
    chunk = (Task(cell),)
    assert of_worker(folder) == executors._code_of(chunk)
    with pytest.raises(ValueError, match=r"other code .* put the same mine_a on PYTHONPATH"):
        executors._checked((of_worker(other), []), chunk)


# The example -------------------------------------------------------------------------------------------------------


def test_the_example_names_every_key_and_every_value_and_is_a_good_spec(tmp_path):
    """As a user gets it: printed, and given to rfos sweep as it is."""
    done = here("sweep", "--example", cwd=tmp_path)
    assert done.stdout == example()
    assert done.stderr == ""
    for name, key in GRID_KEYS.items():
        assert f"\n{name} = [" in done.stdout
        assert all(choice in done.stdout for choice in key.choices)
    assert all(len(line) <= 120 for line in done.stdout.splitlines())
    (tmp_path / "spec.toml").write_text(done.stdout)
    done = here("sweep", "spec.toml", "--store", "s.db", "--jobs", "1", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "14 cells, 0 already there, 14 measured now, 0 failed" in done.stdout
