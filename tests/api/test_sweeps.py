"""Sweeps: what a spec may say, what a cell is, what the store keeps, and what the executors agree on."""

import io
import itertools
import json
import multiprocessing
import os
import sqlite3
import sys
import time
import tracemalloc
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import pytest
from commands import run as run_command
from specs import grid, spec

import rfos
from rfos._system.checkpoints import Checkpoint, MisfitError
from rfos.laboratory.sweeps import cells, driver, executors, fingerprint, store
from rfos.laboratory.sweeps import measures as measures_module
from rfos.laboratory.sweeps.cells import DIED, Cell, Outcome, Task
from rfos.laboratory.sweeps.driver import chunked, require_room, sweep
from rfos.laboratory.sweeps.executors import InProcess, Processes
from rfos.laboratory.sweeps.measures import measure
from rfos.laboratory.sweeps.spec import parse_spec, read_spec
from rfos.laboratory.sweeps.store import NondeterminismError, Store
from rfos.learning.agents import Rmax
from rfos.learning.least_m import least_sufficient_m
from rfos.learning.ledger import ledger
from rfos.learning.run import run
from rfos.metagames import policy

SMALL = spec(
    "small cells",
    7,
    grid(opponent=["window-q-learner", "q-learner"], window=[1, 2], agent=["rmax", "paper"]),
    grid(opponent=["naive"], window=None, levels=[3], inner_discount=[0.0], m=[2], horizon=None, steps=[100]),
)

CELL = Cell(
    measure="run",
    game="matching-pennies",
    opponent="window-q-learner",
    agent="rmax",
    epsilon=0.8,
    delta=0.2,
    discount=0.8,
    root=7,
    seed=1,
    window=1,
    m=3,
    steps=50,
)


def rows(path: Path) -> list[tuple[object, ...]]:
    """Everything in a store that a result is, in the order of the keys, read without the package."""
    with sqlite3.connect(path) as connection:
        found = connection.execute("SELECT key, code, cell, result, error FROM cells ORDER BY key").fetchall()
    connection.close()
    return found


# Specs -------------------------------------------------------------------------------------------------------------


def test_a_sweep_is_the_union_of_the_products_of_its_grids():
    """2 * 2 * 2 * 2 seeds and 2 seeds; a point of both grids is one cell."""
    found = parse_spec(SMALL)
    assert found.title == "small cells"
    assert len(found.cells) == 18
    assert {cell.root for cell in found.cells} == {7}
    assert len(parse_spec(SMALL + SMALL[SMALL.index("[[grid]]") :]).cells) == 18


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('title = "small cells"', "title = 3", "title is 3: give a text"),
        ('title = "small cells"', 'title = "two\\nlines"', r"title is 'two\\nlines': give a text .* on one line"),
        ("epsilon = [0.8]", f"epsilon = [{10**400}]", "epsilon is 1000.*: give a number above 0"),
        ("window = [1, 2]", f"window = [{10**400}]", r"window is 1000.*: give a whole number of at most 1e\+18"),
        ('"matching-pennies"', '"public-goods-1000000000000"', "'public-goods-1000000000000': give at most 20 players"),
        ('"matching-pennies"', '"public-goods-21"', "payoffs of 21 players .* give at most 20 players"),
        ('title = "small cells"', "", "the spec has no title: add it"),
        ("seed = 7", "seed = -1", "seed is -1: give a whole number of at least 0"),
        ("seed = 7", "seed = 7\nsteps = 3", "unknown key 'steps': choose among title, seed, grid"),
        ("seed = 7", "seed = 7\nseeed = 3", "unknown key 'seeed': did you mean seed"),
        ("window = [1, 2]", "windows = [1, 2]", "grid 1: unknown key 'windows' in a grid: did you mean window"),
        ("window = [1, 2]", "window = 2", r"window is 2: give a list, such as window = \[2\]"),
        ("window = [1, 2]", "window = []", "window is an empty list: give at least one value"),
        ("window = [1, 2]", "window = [1, 1]", "window has 1 twice: give each value once"),
        ("window = [1, 2]", "window = [0]", "window is 0: give a whole number of at least 1"),
        ("window = [1, 2]", "window = [true]", "window is True: give a whole number"),
        ("window = [1, 2]", "window = [40]", "the largest window here is 15"),
        ("window = [1, 2]", "window = [1]\nlevels = [3]", "give the meta-state once, as window or as levels"),
        ("window = [1, 2]", "", "give the meta-state once, as window or as levels"),
        ("steps = [300]", "", "give the length of the runs once, as steps or as budget"),
        ("m = [3]\nhorizon = [10]\nsteps = [300]", "budget = [10000000000]", r"10\^\d+\.\d steps, above the limit"),
        ("seeds = 2", "seeds = 0", "seeds is 0: give a whole number of at least 1"),
        ("seeds = 2", "", "a grid has no seeds: add it"),
        ("seeds = 2", "seeds = 10000000", "more than 1,000,000 cells"),
        ("epsilon = [0.8]", "epsilon = [0]", "epsilon is 0: give a number above 0"),
        ("epsilon = [0.8]", "epsilon = [nan]", "epsilon is nan: give a number above 0"),
        ("epsilon = [0.8]", 'epsilon = ["1"]', "epsilon is '1': give a number above 0"),
        ("delta = [0.2]", "delta = [1]", "delta is 1: give a number above 0 and below 1"),
        ("discount = [0.8]", "discount = [1.0]", "discount is 1.0: give a number from 0 and below 1"),
        ('measure = ["run"]', 'measure = ["walk"]', "measure is 'walk': choose among run"),
        ('"matching-pennies"', '"checkers"', "unknown game 'checkers'"),
        ('"matching-pennies"', '"public-goods-1"', "n_players is 1: give an integer of at least 2"),
        ('"q-learner"]', '"lola"]', "opponent is 'lola': choose among q-learner, window-q-learner"),
        ('"matching-pennies"]\nopponent = [', '"rock-paper-scissors"]\nopponent = ["grim", ', "the table of grim"),
        ('["rmax", "paper"]', '["dqn"]', "agent is 'dqn': choose among rmax"),
        ('["rmax", "paper"]\n', '["rmax-episode"]\n', None),
        ("horizon = [10]\n", "", None),
        ("inner_discount = [0.0]\n", "", "inner_discount belongs to levels"),
        ("levels = [3]", "levels = [1]", "levels is 1: give a whole number of at least 2"),
        ('"naive"', '"window-q-learner"', "unknown opponent 'window-q-learner'"),
        ("[[grid]]", "[grid]", "not a TOML file"),
        (SMALL, 'title = "x"\nseed = 1\ngrid = []', "begin each grid with"),
        (SMALL, 'title = "x', "not a TOML file"),
    ],
)
def test_a_bad_spec_is_refused_with_the_value_and_the_mend(old, new, message):
    """One line that begins with the source; None: it is a good spec, to show that the change alone is not the fault."""
    assert old in SMALL
    text = SMALL.replace(old, new, 1)
    if message is None:
        parse_spec(text)
        return
    with pytest.raises((ValueError, MemoryError), match=message) as caught:
        parse_spec(text, "file.toml")
    assert str(caught.value).startswith("file.toml")
    assert "\n" not in str(caught.value)


def test_combinations_that_cannot_run_are_refused():
    """Episode planning needs a horizon, pooled counts need windows, tables must be filled in time."""
    for old, new, message in (
        ('["rmax", "paper"]', '["rmax-episode"]', "give horizon"),
        ('agent = ["rmax"]\nepsilon = [0.8]\ndelta = [0.2]\ndiscount = [0.8]\nm = [2]', None, "give window instead"),
    ):
        text = SMALL.replace("horizon = [10]\n", "")
        text = text.replace(old, new) if new else text.replace(old, old.replace("rmax", "rmax-pooled"))
        with pytest.raises(ValueError, match=message):
            parse_spec(text)


def test_what_does_not_fit_into_memory_is_refused_by_the_spec(monkeypatch):
    """The message names the bytes; nothing has been built."""
    monkeypatch.setattr("rfos._system.memory.available_bytes", lambda: 1000)
    with pytest.raises(MemoryError, match=r"matching-pennies with window 1, .* needs [\d,]+ bytes, above the limit"):
        parse_spec(SMALL)


# Cells -------------------------------------------------------------------------------------------------------------


def test_a_seed_depends_on_what_is_measured_and_not_on_the_code():
    """The stream is that of the name's SHA-256; the key differs between versions of the code, the stream does not."""
    assert CELL.key("one") != CELL.key("other")
    assert len({cell.words for cell in (CELL, replace(CELL, seed=2), replace(CELL, m=4))}) == 3
    # Written down once: a change of the name's form would give every cell another stream.
    assert CELL.words[:2] == (407630381, 2982155533)
    result = json.loads(measure(CELL).result)
    seeds = np.random.SeedSequence(7, spawn_key=CELL.words)
    trace = run(cells.process(CELL), Rmax(m=3, epsilon=0.8, delta=0.2), steps=50, bins=50, rng=seeds)
    assert result["curve"]["reward"] == trace.mean_reward.tolist()
    assert result["steps_all_known"] == trace.all_known_at


def test_names_keys_and_results_have_one_spelling():
    """0.8 is 0.8 however it was written, and what does not apply is not named."""
    assert json.loads(CELL.name) == {key: value for key, value in asdict(CELL).items() if value is not None}
    again = Cell(**json.loads(CELL.name))
    assert again == CELL
    assert again.key("c") == CELL.key("c")
    assert measure(again).result == measure(CELL).result
    assert b" " not in measure(CELL).result


def test_the_length_of_a_run_is_the_budget_times_m_times_the_rows():
    """2 * 3 visits * 8 pairs = 48 steps, 5 whole episodes of 10; half the rows where counts are pooled."""
    cell = replace(CELL, steps=None, budget=2)
    assert measures_module.run_length(cell) == 48
    assert measures_module.run_length(replace(cell, horizon=10)) == 50
    assert measures_module.run_length(replace(cell, agent="rmax-pooled")) == 24


def test_an_error_in_a_cell_is_part_of_its_outcome():
    """In one line; nothing is raised."""
    outcome = measure(replace(CELL, game="nonsense"))
    assert outcome.result is None
    assert outcome.error.startswith("ValueError: unknown game 'nonsense'")
    assert "\n" not in outcome.error


def test_the_fingerprint_covers_all_that_a_cell_imports():
    """What a worker has loaded when it has measured a cell is in it; what shows, orders and keeps results is not."""
    program = "import sys; from rfos.laboratory.sweeps import measures"
    loaded = run_command([sys.executable, "-c", f"{program}; print('\\n'.join(sys.modules))"]).stdout.split()
    covered = set(fingerprint.sources())
    root = Path(rfos.__file__).parents[1]
    for name in loaded:
        if name.partition(".")[0] in ("rfos", "bounds") and "sweeps" not in name:
            path = root.joinpath(*name.split("."))
            if name.startswith("rfos") and path.is_dir():
                continue  # the folders of the wings hold no code
            assert (path / "__init__.py" if path.is_dir() else path.with_suffix(".py")) in covered, name
    assert len(covered) > 40
    names = {str(path.relative_to(root)) for path in covered}
    assert not any(name.startswith(("rfos/commands", "rfos/plots", "rfos/testing")) for name in names)
    assert not names & {f"rfos/laboratory/sweeps/{name}.py" for name in ("store", "driver", "fits", "page")}


def test_the_fingerprint_changes_with_a_source_and_with_a_library(tmp_path, monkeypatch):
    """One byte of one source, or another NumPy."""
    fresh = fingerprint._of_packages.__wrapped__
    first = fresh()
    assert first == fingerprint.fingerprint() == fresh()
    learned = fingerprint._learned
    last = fingerprint.sources()[-1].read_bytes()
    monkeypatch.setattr(fingerprint, "_learned", lambda source: learned(source + b"\n0 == 1" * (source == last)))
    assert fresh() != first
    monkeypatch.undo()
    monkeypatch.setattr(fingerprint.importlib.metadata, "version", lambda name: "0.0")
    assert fresh() != first


# The driver and the store ------------------------------------------------------------------------------------------


def test_a_second_run_does_only_what_is_missing(tmp_path):
    """After half the rows are lost, half the cells are measured, and the store is as it was."""
    small = parse_spec(SMALL)
    path = tmp_path / "store.db"
    first = sweep(small, path, InProcess())
    assert (first.cells, first.found, first.measured, first.failed) == (18, 0, 18, ())
    before = rows(path)
    assert len(before) == 18
    connection = sqlite3.connect(path)
    connection.execute("DELETE FROM cells WHERE rowid % 2 = 0")
    connection.commit()
    connection.close()
    second = sweep(small, path, InProcess())
    assert (second.found, second.measured) == (9, 9)
    assert rows(path) == before


def test_what_is_acknowledged_is_on_the_disk(tmp_path):
    """At each acknowledgement another connection sees the rows."""
    small = parse_spec(SMALL)
    path = tmp_path / "store.db"
    code = fingerprint.fingerprint()
    told = []

    def acknowledge(outcomes, left):
        told.append((len(outcomes), left))
        if outcomes:
            assert {outcome.cell.key(code) for outcome in outcomes} <= {row[0] for row in rows(path)}

    sweep(small, path, InProcess(), acknowledge=acknowledge)
    assert told[0] == (0, 18)
    assert told[-1][1] == 0
    assert sum(n for n, _ in told) == 18


def test_chunks_hold_every_cell_once_and_the_longest_first(monkeypatch):
    """However they are cut."""
    small = parse_spec(SMALL).cells
    monkeypatch.setattr(driver, "CHUNK_STEPS", 700)
    chunks = list(chunked(small))
    assert sorted(c.name for chunk in chunks for c in chunk) == sorted(c.name for c in small)
    lengths = [measures_module.run_length(cell) for chunk in chunks for cell in chunk]
    assert lengths == sorted(lengths, reverse=True)
    assert all(len(chunk) == 1 or sum(map(measures_module.run_length, chunk)) <= 700 for chunk in chunks)
    monkeypatch.setattr(driver, "CHUNK_CELLS", 1)
    assert all(len(chunk) == 1 for chunk in chunked(small))


@pytest.fixture
def fault(monkeypatch):
    """Let the measurement of cells with seed 1 do something else."""

    def plant(what):
        honest = measures_module.MEASURES["run"]
        faulty = replace(
            honest, run=lambda cell, checkpoint: what(cell) if cell.seed == 1 else honest.run(cell, checkpoint)
        )
        monkeypatch.setattr(measures_module, "MEASURES", {"run": faulty})

    return plant


def test_failed_cells_are_recorded_and_retried_only_on_request(tmp_path, fault, monkeypatch):
    """The error stands in the store under the cell's key; the mended cells bring what an undisturbed run brings."""
    small = parse_spec(SMALL)
    path = tmp_path / "store.db"

    def broken(cell):
        raise ZeroDivisionError("planted\nin two lines")

    fault(broken)
    told = []
    first = sweep(small, path, InProcess(), fail=lambda key, error: told.append((key, error)))
    assert len(first.failed) == 9
    assert first.measured == 9
    assert sorted(told) == list(first.failed)
    assert {error for _, error in first.failed} == {"ZeroDivisionError: planted in two lines"}
    monkeypatch.undo()
    second = sweep(small, path, InProcess())
    assert (second.found, second.measured, len(second.failed)) == (9, 0, 9)
    third = sweep(small, path, InProcess(), retry=True)
    assert (third.found, third.measured, third.failed) == (9, 9, ())
    sweep(small, tmp_path / "undisturbed.db", InProcess())
    assert rows(path) == rows(tmp_path / "undisturbed.db")


def test_other_bytes_for_the_same_cell_stop_the_run(tmp_path, fault):
    """An audit measures again; a cell with a counter in it is found out, its key named, the store left alone."""
    small = parse_spec(SMALL)
    only = replace(small, cells=tuple(cell for cell in small.cells if cell.seed == 1))
    path = tmp_path / "store.db"
    counter = itertools.count()
    honest = measures_module.MEASURES["run"]
    fault(lambda cell: {**honest.run(cell, Checkpoint()), "plans": next(counter)})
    sweep(only, path, InProcess())
    before = rows(path)
    with pytest.raises(NondeterminismError, match=r"cell [0-9a-f]{64} is not deterministic") as caught:
        sweep(only, path, InProcess(), audit=True)
    assert str(caught.value).split()[1] in {row[0] for row in before}
    assert rows(path) == before


def test_an_audit_of_honest_cells_finds_nothing(tmp_path, monkeypatch):
    """One in a hundred, at least one, is measured again; one in five of 18 cells are four."""
    small = parse_spec(SMALL)
    sweep(small, tmp_path / "store.db", InProcess())
    found = sweep(small, tmp_path / "store.db", InProcess(), audit=True)
    assert (found.audited, found.measured, found.found) == (1, 0, 18)
    monkeypatch.setattr(driver, "AUDITED", 5)
    measured = []
    found = sweep(small, tmp_path / "store.db", InProcess(), audit=True, acknowledge=lambda o, left: measured.extend(o))
    assert found.audited == len(measured) == 4


def test_an_audit_that_loses_its_worker_is_not_called_a_contradiction(tmp_path, monkeypatch):
    """It says nothing against the result: the cell is named as not measured again, and the store is as it was."""
    only = replace(parse_spec(SMALL), cells=(CELL,))
    path = tmp_path / "store.db"
    sweep(only, path, InProcess())
    before = rows(path)
    told = []
    for error in (DIED, "MemoryError: a window of 9 needs 5 bytes"):
        lost = [Outcome(CELL, None, error, 0.0)]
        monkeypatch.setattr(executors, "measure_all", lambda chunk, seconds, lost=lost: lost)
        found = sweep(only, path, InProcess(), audit=True, fail=lambda key, error: told.append((key, error)))
        assert (found.audited, found.unaudited, found.failed) == (0, ((before[0][0], error),), ())
        assert told[-1] == found.unaudited[0]
        assert rows(path) == before


def test_a_transaction_with_a_bad_row_leaves_nothing(tmp_path):
    """Of three outcomes the last contradicts the store: the first two are not kept either."""
    path = tmp_path / "store.db"
    made = [Outcome(replace(CELL, seed=seed), b"{}", None, 0.0) for seed in range(3)]
    with Store(path) as store:
        store.put("code", [made[2]])
        before = rows(path)
        with pytest.raises(NondeterminismError):
            store.put("code", [made[0], made[1], made[2]._replace(result=b"[]")])
        assert rows(path) == before
        store.put("code", made)
    assert len(rows(path)) == 3


def test_a_failure_never_takes_the_place_of_a_result(tmp_path):
    """It is a contradiction, not a retry."""
    with Store(tmp_path / "store.db") as store:
        store.put("code", [measure(CELL)])
        with pytest.raises(NondeterminismError, match="Error: late"):
            store.put("code", [Outcome(CELL, None, "Error: late", 0.0)])
        assert store.keys("code") == {CELL.key("code"): True}


def test_cells_of_another_version_of_the_code_are_kept_and_not_mixed(tmp_path, monkeypatch):
    """The same spec is measured anew, and both versions are there."""
    small = parse_spec(SMALL)
    path = tmp_path / "store.db"
    sweep(small, path, InProcess())
    code = fingerprint.fingerprint()
    monkeypatch.setattr(driver, "fingerprint", lambda modules: "another version")
    found = sweep(small, path, InProcess())
    assert (found.found, found.measured, found.others) == (0, 18, {code: 18})
    with Store(path, read_only=True) as store:
        assert store.codes() == {"another version": 18, code: 18}
        first, second = store.rows(code), store.rows("another version")
    assert sorted((row.cell, row.result) for row in first) == sorted((row.cell, row.result) for row in second)
    assert not {row.key for row in first} & {row.key for row in second}


def test_workers_that_do_not_fit_together_are_refused_before_anything_is_written(tmp_path):
    """Peak of the largest cell times the workers, against their memory."""
    small = parse_spec(SMALL)
    pool = Processes(3)
    each = max(map(measures_module.peak_bytes, small.cells)) + executors.WORKER_BYTES
    pool.memory = 3 * each
    require_room(small.cells, pool)
    pool.memory -= 1
    with pytest.raises(MemoryError, match=rf"3 workers need {3 * each:,} bytes .* use fewer workers"):
        sweep(small, tmp_path / "store.db", pool)
    assert list(tmp_path.iterdir()) == []


def test_only_cells_that_are_still_to_be_measured_need_room(tmp_path):
    """With the largest in the store already the rest goes where it would not have fitted; an audit needs it again."""
    small = parse_spec(SMALL)
    largest = max(map(measures_module.peak_bytes, small.cells))
    done = replace(small, cells=tuple(cell for cell in small.cells if measures_module.peak_bytes(cell) == largest))
    here = InProcess()
    here.memory = largest
    sweep(done, tmp_path / "store.db", here)
    here.memory -= 1
    assert sweep(small, tmp_path / "store.db", here).measured == len(small.cells) - len(done.cells)
    with pytest.raises(MemoryError, match="1 workers need"):
        sweep(done, tmp_path / "store.db", here, audit=True)


def test_a_table_is_built_once_for_all_that_is_measured_in_it(monkeypatch):
    """Two tables, six epsilons, two agents and two measures: two, and in the order of the chunks as well."""
    built = []
    fill = policy.PolicyMetaGame.to_mdp
    monkeypatch.setattr(policy.PolicyMetaGame, "to_mdp", lambda game: built.append(game.discount) or fill(game))
    for kept in (
        cells._as_mdp,
        cells._meta_game,
        measures_module._effort,
        measures_module._run_length,
        measures_module._peak_bytes,
    ):
        kept.cache_clear()
    lists = SMALL[SMALL.rindex("[[grid]]") :].replace("steps = [100]", "budget = [2]")
    lists = lists.replace("discount = [0.8]", "discount = [0.8, 0.9]").replace(
        "[0.8]", "[0.8, 0.7, 0.6, 0.5, 0.4, 0.3]"
    )
    lists = lists.replace('["run"]', '["run", "ledger"]').replace('["rmax"]', '["rmax", "paper"]')
    found = parse_spec('title = "x"\nseed = 1\n' + lists)
    assert len(found.cells) == 96
    assert built == [0.8, 0.9]


def test_what_is_too_large_is_refused_before_its_table_is_built(monkeypatch):
    """By the bytes, and by the time that the table takes; an agent whose m needs the table does not build it either."""
    monkeypatch.setattr(policy.PolicyMetaGame, "to_mdp", lambda game: pytest.fail("built"))
    cells._as_mdp.cache_clear()
    lists = SMALL[SMALL.rindex("[[grid]]") :].replace("m = [2]\n", "").replace('"rmax"', '"rmax-paper-m"')
    text = 'title = "x"\nseed = 1\n' + lists.replace("levels = [3]", "levels = [7]")
    monkeypatch.setattr("rfos.laboratory.sweeps.spec.LONGEST_TABLE", 0)
    with pytest.raises(ValueError, match=r"with 7 levels, .* above the limit of 0"):
        parse_spec(text)
    monkeypatch.setattr("rfos._system.memory.available_bytes", lambda: 1000)
    with pytest.raises(MemoryError, match=r"with 7 levels, .* needs [\d,]+ bytes"):
        parse_spec(text)


def test_a_long_list_is_checked_in_time_proportional_to_it():
    """20,000 epsilons with the last one twice: the pairs would be two hundred million."""
    values = ", ".join(map(str, [*range(1, 20_001), 20_000]))
    began = time.process_time()
    with pytest.raises(ValueError, match=r"epsilon has 20000\.0 twice"):
        parse_spec(SMALL.replace("epsilon = [0.8]", f"epsilon = [{values}]"))
    assert time.process_time() - began < 1


def test_the_estimate_of_memory_is_above_what_a_cell_takes():
    """The peak of all allocations while windows of 8, and policies at 40 levels, are measured."""
    window = replace(CELL, window=8, horizon=10)
    levels = replace(CELL, window=None, levels=40, inner_discount=0.0, opponent="naive", m=1)
    for cell in (window, levels):
        measure(replace(cell, steps=20))  # what is imported and compiled stays
        cells._meta_game.cache_clear()
        cells._as_mdp.cache_clear()
        tracemalloc.start()
        outcome = measure(cell)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert outcome.error is None
        assert peak <= measures_module.peak_bytes(cell) <= 2 * peak


# Executors ---------------------------------------------------------------------------------------------------------


class Deadly(Cell):
    """A cell that ends the process which receives it."""

    def __reduce__(self):
        return os._exit, (1,)


@pytest.mark.jit
def test_a_cell_that_kills_its_worker_is_found_out_and_the_others_are_measured():
    """It alone is recorded as failed, in whatever chunk it came."""
    deadly = Deadly(**vars(replace(CELL, seed=99)))
    honest = [replace(CELL, seed=seed) for seed in range(6)]
    chunks = [tuple(map(Task, part)) for part in ((*honest[:2], deadly), honest[2:4], honest[4:])]
    with Processes(2) as pool:
        found = list(pool.outcomes(chunks))
    outcomes = {outcome.cell.seed: outcome for batch in found for outcome in batch}
    assert set(outcomes) == {0, 1, 2, 3, 4, 5, 99}
    assert outcomes.pop(99).error == DIED
    assert all(outcome.result == measure(outcome.cell).result for outcome in outcomes.values())


def test_a_pool_needs_at_least_one_process():
    """The message names the value."""
    with pytest.raises(ValueError, match="jobs is 0: give at least 1 process"):
        Processes(0)


# Files that are no stores ------------------------------------------------------------------------------------------


def sqlite_file(path: Path, *statements: str) -> None:
    connection = sqlite3.connect(path)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


def text_file(path: Path) -> None:
    path.write_text("my notes, which are longer than a header\n")


def foreign_database(path: Path) -> None:
    sqlite_file(path, "CREATE TABLE mine (x)")


def later_version(path: Path) -> None:
    Store(path).__exit__(None, None, None)
    sqlite_file(path, "PRAGMA user_version = 3")


def fifty_cells(path: Path) -> None:
    with Store(path) as store:
        long = measure(replace(CELL, steps=5000)).result  # 50 bins
        store.put("code", [Outcome(replace(CELL, seed=seed, steps=5000), long, None, 0.0) for seed in range(50)])


def cut(path: Path, missing: int) -> None:
    fifty_cells(path)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - missing)


def half(path: Path) -> None:
    fifty_cells(path)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


def changed_result(path: Path) -> None:
    """Change one letter of one result where SQLite does not look."""
    fifty_cells(path)
    content = path.read_bytes()
    at = content.rindex(b"branching")
    path.write_bytes(content[:at] + b"B" + content[at + 1 :])


def overwritten(path: Path) -> None:
    fifty_cells(path)
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2 // 4096 * 4096)
        file.write(b"x" * 4096)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (text_file, "is not a store of rfos and was left as it is"),
        (foreign_database, "is not a store of rfos and was left as it is"),
        (later_version, "has tables of version 3, this code has 2"),
        (partial(cut, missing=20), r"is damaged \(.* bytes are there\).* restore a copy"),
        (partial(cut, missing=100), r"is damaged \(.* bytes are there\).* restore a copy"),
        (partial(cut, missing=400), r"is damaged \(.* bytes are there\).* restore a copy"),
        (partial(cut, missing=4096), "is damaged .* restore a copy"),
        (half, "is damaged .* restore a copy"),
        (Path.touch, "is empty, so it has been cut off .* restore a copy, or remove the file"),
        (
            changed_result,
            r"is damaged \(1 of 50 rows is not what a sweep writes; cell [0-9a-f]{64}: it is not",
        ),
        (overwritten, "is damaged .* restore a copy"),
    ],
)
@pytest.mark.parametrize("read_only", [False, True])
def test_a_file_that_is_no_sound_store_is_refused_and_left_as_it_is(tmp_path, make, message, read_only):
    """Foreign, of a later version, or truncated: a sentence, and not a byte changed."""
    path = tmp_path / "store.db"
    make(path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=message), Store(path, read_only=read_only) as opened:
        opened.keys("code")
    assert path.read_bytes() == before


def test_a_store_that_its_driver_holds_is_refused_to_another_and_free_afterwards(tmp_path):
    """A reader may look at it all the while."""
    path = tmp_path / "store.db"
    with Store(path) as store:
        store.put("code", [Outcome(CELL, b"{}", None, 0.0)])
        with pytest.raises(OSError, match="is in use by another sweep: wait until it has ended"):
            Store(path)
        with Store(path, read_only=True) as reader:
            assert reader.codes() == {"code": 1}
    with Store(path) as store:
        assert store.codes() == {"code": 1}


def test_a_link_to_a_store_is_the_store(tmp_path):
    """Under both names a second driver is refused, and what one of them writes the other reads."""
    (tmp_path / "elsewhere").mkdir()
    path, link = tmp_path / "elsewhere" / "store.db", tmp_path / "link.db"
    link.symlink_to(path)
    for first, second in ((path, link), (link, path)):
        with Store(first) as opened:
            opened.put("code", [Outcome(CELL, b"{}", None, 0.0)])
            with pytest.raises(OSError, match="is in use by another sweep"):
                Store(second)
        with Store(second) as opened:
            assert opened.codes() == {"code": 1}
    assert link.is_symlink()
    assert not (tmp_path / "link.db.lock").exists()


def test_a_system_without_locks_is_refused(tmp_path, monkeypatch):
    """Two drivers could not be kept apart there; nothing but the lock file is made."""

    def missing(file):
        raise ModuleNotFoundError("No module named 'fcntl'")

    monkeypatch.setattr(store, "_lock", missing)
    with pytest.raises(OSError, match=r"cannot lock the store .* against a second sweep \(No module named 'fcntl'\)"):
        Store(tmp_path / "store.db")
    assert [path.name for path in tmp_path.iterdir()] == ["store.db.lock"]


def test_what_is_written_is_on_the_disk_and_not_in_its_queue(tmp_path):
    """SQLite waits for the disk at each commit (synchronous = FULL), in a new store and in an old one."""
    for _ in range(2):
        with Store(tmp_path / "store.db") as opened:
            assert opened._connection.execute("PRAGMA synchronous").fetchone() == (2,)


def test_a_missing_store_is_not_read(tmp_path):
    """Nor made."""
    with pytest.raises(OSError, match="there is no store"):
        Store(tmp_path / "missing.db", read_only=True)


def test_a_place_that_cannot_be_written_is_refused(tmp_path):
    """A folder that is not there, and one that nobody may write to."""
    for place in (tmp_path / "missing" / "store.db", Path("/proc/store.db")):
        with pytest.raises(OSError, match="choose another --store"):
            Store(place)


# What is measured besides runs -------------------------------------------------------------------------------------

LEDGER = replace(CELL, measure="ledger", m=None, steps=None, budget=3, horizon=10)
LEAST = replace(CELL, measure="least-m", m=None, steps=None, horizon=10, window=2)


def test_a_ledger_cell_is_the_ledger_of_the_same_run():
    """Count, bound, sum of e_t and theorem are those of rfos.learning.ledger.ledger with the cell's stream."""
    result = json.loads(measure(LEDGER).result)
    seeds = np.random.SeedSequence(7, spawn_key=LEDGER.words)
    episodes = measures_module.run_length(LEDGER) // 10
    agent = Rmax(epsilon=0.8, delta=0.2)
    found = ledger(cells.process(LEDGER), agent, episodes=episodes, horizon=10, bins=1, rng=seeds)
    assert result["theorem"] == found.theorem == "X4"
    assert (result["count"], result["undecided"], result["bound"]) == (found.count, found.undecided, found.bound)
    assert result["count_most"] == found.count + found.undecided
    assert 0 < result["ratio"] == found.ratio < 1
    assert (result["exploration_low"], result["exploration_high"]) == found.exploration
    assert result["final_is_optimal"] is True
    assert result["steps_all_known"] == found.trace.all_known_at
    assert result["m"] == 11496


def test_a_least_m_cell_has_its_interval_beside_the_theorys_m():
    """The same search with the cell's stream; the paper's, T1's and T1+'s m stand beside it."""
    result = json.loads(measure(LEAST).result)
    seeds = np.random.SeedSequence(7, spawn_key=LEAST.words)
    options = {"error": measures_module.LEAST_ERROR, "max_runs": measures_module.LEAST_RUNS, "rng": seeds}
    found = least_sufficient_m(cells.process(LEAST), 0.8, 0.2, horizon=10, jobs=2, **options)
    assert (result["m_low"], result["m_high"]) == found.interval
    assert result["error"] == found.error == measures_module.LEAST_ERROR <= 0.05
    assert result["runs"] == found.runs
    assert (result["m_paper"], result["m_T1"], result["m_T1+"]) == (1005, 14258, 30506)


def test_the_papers_schedule_is_one_of_the_agents():
    """R-max with m = 1005 at window 2, epsilon 0.8, delta and discount as in the experiment."""
    assert cells.agent(replace(LEDGER, agent="rmax-paper-m", window=2)) == Rmax(m=1005, epsilon=0.8, delta=0.2)
    assert cells.agent(replace(LEDGER, agent="rmax-paper-m", m=7)) == Rmax(m=7, epsilon=0.8, delta=0.2)


@pytest.mark.jit
@pytest.mark.parametrize(
    "cell",
    [
        replace(LEDGER, m=1, window=7, budget=None, steps=200),
        replace(LEDGER, m=1, window=7, budget=None, steps=200, agent="paper"),
        replace(LEDGER, m=1, window=7, budget=None, steps=200, agent="rmax-episode"),
        replace(LEAST, window=4, epsilon=4.0),
    ],
    ids=lambda cell: f"{cell.measure} {cell.agent}",
)
def test_the_estimate_of_memory_covers_the_ledger_and_the_search(cell):
    """The peak of all allocations while a cell is measured, and not twice as much."""
    measure(cell)  # what is imported and compiled stays
    cells._meta_game.cache_clear()
    tracemalloc.start()
    outcome = measure(cell)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert outcome.error is None
    assert peak <= measures_module.peak_bytes(cell) <= 2 * peak


def grid_of(**changed):
    """A spec of one grid, such as the cell above, with changed lists; None leaves one out."""
    return spec("x", 1, grid(**{"measure": ["ledger"], "m": None, "steps": None, "budget": [3], "seeds": 1} | changed))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"measure": ["least-m"]}, "least-m looks for m, and its runs end by themselves: leave out budget"),
        ({"measure": ["least-m"], "budget": None, "m": [3]}, "leave out m"),
        ({"measure": ["ledger", "least-m"]}, "give it a grid of its own"),
        ({"measure": ["least-m"], "budget": None, "agent": ["paper"]}, "looks for the m of rmax or rmax-pooled"),
        ({"measure": ["least-m"], "budget": None, "window": [7]}, r"takes as long as 10\^\d+\.\d steps"),
        ({"measure": ["least-m"], "budget": None, "opponent": ["q-learner"]}, "q-learner hides its state"),
        ({"opponent": ["q-learner"]}, "measure ledger needs an MDP, and q-learner hides its state"),
        ({"budget": None}, "give the length of the runs once"),
        (
            {"measure": ["least-m"], "budget": None, "epsilon": [1e-300]},
            r"as long as 10\^\d+\.\d steps.* larger epsilon",
        ),
        (
            {"budget": None, "steps": [100], "m": [3], "discount": [1 - 1e-16]},
            r"as long as 10\^1\d\.\d steps.* discount",
        ),
    ],
)
def test_what_a_measure_cannot_do_is_refused(changed, message):
    """In one line that says why; without the fault the grid is good."""
    assert len(parse_spec(grid_of()).cells) == 1
    assert len(parse_spec(grid_of(measure=["least-m"], budget=None)).cells) == 1
    with pytest.raises(ValueError, match=message) as caught:
        parse_spec(grid_of(**changed))
    assert "\n" not in str(caught.value)


def test_the_shipped_specs_are_good_and_found_by_name(tmp_path, monkeypatch):
    """By their names where no such file is in the way; an unknown name is answered with theirs."""
    monkeypatch.chdir(tmp_path)
    states, scaling = read_spec(Path("states")), read_spec(Path("scaling"))
    assert {cell.measure for cell in states.cells} == {cell.measure for cell in scaling.cells} == {"ledger", "least-m"}
    assert {cell.window for cell in states.cells} == {1, 2, 3, 4, 5, 6}
    with pytest.raises(OSError, match="one that is shipped: scaling, states"):
        read_spec(Path("stats"))
    Path("states").write_text(SMALL)
    assert read_spec(Path("states")).title == "small cells"


# Long cells --------------------------------------------------------------------------------------------------------

SHORT = replace(CELL, window=2, steps=2000, m=5)
KINDS = [
    SHORT,
    replace(SHORT, opponent="q-learner", agent="paper", horizon=10),
    replace(SHORT, agent="rmax-episode", horizon=10),
    replace(SHORT, agent="rmax-pooled"),
    replace(SHORT, window=None, levels=3, inner_discount=0.0, opponent="naive"),
    replace(SHORT, measure="ledger"),
    replace(SHORT, measure="ledger", agent="paper", horizon=10),
    replace(SHORT, measure="ledger", agent="rmax-episode", horizon=10),
    replace(LEAST, epsilon=2.0),
]


@pytest.mark.parametrize("cell", KINDS, ids=lambda cell: f"{cell.measure} {cell.agent} {cell.opponent}")
def test_a_cell_in_many_legs_brings_the_bytes_of_one(cell):
    """Left as often as there is occasion, each checkpoint in the state that the last one wrote."""
    checkpoints, outcome = 0, measure(cell, None, 0.0)
    while outcome.state is not None:
        assert outcome.result is outcome.error is None
        checkpoints, outcome = checkpoints + 1, measure(cell, outcome.state, 0.0)
    assert outcome.error is None
    assert outcome.result == measure(cell).result
    assert checkpoints >= 3


def test_a_state_is_numbers_and_nothing_that_is_run():
    """It is NumPy's own format, opened without pickle; with a pickle in it the cell begins again."""
    state = measure(SHORT, None, 0.0).state
    with np.load(io.BytesIO(state), allow_pickle=False) as file:
        assert int(file["position"][0]) > 0
    bad = io.BytesIO()
    np.savez(bad, loop=np.array([print], dtype=object))
    with pytest.raises(MisfitError, match="the checkpoint is damaged"):
        Checkpoint(0.0, bad.getvalue())
    assert measure(SHORT, bad.getvalue()).result == measure(SHORT).result is not None


def test_a_state_that_is_too_large_is_not_kept(monkeypatch):
    """The cell goes on to its end in one checkpoint: the same bytes."""
    monkeypatch.setattr("rfos._system.checkpoints.LARGEST_STATE", 1000)
    assert measure(SHORT, None, 0.0).result == measure(SHORT).result


@pytest.mark.parametrize("executor", [InProcess, pytest.param(lambda: Processes(2), marks=pytest.mark.jit)])
def test_cells_that_are_left_and_taken_up_again_bring_the_same_store(tmp_path, monkeypatch, executor):
    """Short and long cells in many small chunks, so that they end in any order, each long one left as often as it can.

    Nothing stays of that but the results, each acknowledged once. What a worker takes once it has measured small cells
    is within a third of the constant, and no worker is left.
    """
    monkeypatch.setattr(driver, "CHUNK_CELLS", 2)
    short = parse_spec(SMALL)
    small = replace(short, cells=(*short.cells[::3], *KINDS))
    sweep(small, tmp_path / "undisturbed.db", InProcess())
    monkeypatch.setattr(executors, "CHECKPOINT", 0.0)
    told, left, seen, taken = [], [], [], []
    put = Store._put

    def spy(self, code, outcome):
        put(self, code, outcome)
        seen.append(outcome)

    monkeypatch.setattr(Store, "_put", spy)

    def acknowledge(outcomes, remaining):
        told.extend(outcomes)
        left.append(remaining)
        taken.extend(child.memory_info().rss for child in psutil.Process().children())

    pool = executor()
    found = sweep(small, tmp_path / "store.db", pool, acknowledge=acknowledge)
    assert (found.measured, found.failed) == (len(small.cells), ())
    if pool.base:
        assert 2 / 3 < max(taken) / pool.base < 4 / 3
    assert not multiprocessing.active_children()
    assert rows(tmp_path / "store.db") == rows(tmp_path / "undisturbed.db")
    assert len(told) == len(small.cells)
    assert left[-1] == 0
    checkpoints = [outcome for outcome in seen if outcome.state is not None]
    assert len(checkpoints) > 3 * len(KINDS)
    with sqlite3.connect(tmp_path / "store.db") as connection:
        assert connection.execute("SELECT count(*) FROM checkpoints").fetchone() == (0,)
        seconds = dict(connection.execute("SELECT cell, seconds FROM cells"))
    connection.close()
    assert sum(seconds.values()) == pytest.approx(sum(outcome.seconds for outcome in seen))


def test_an_interrupted_cell_goes_on_where_it_was_left(tmp_path, monkeypatch):
    """The first checkpoint after the interrupt starts from the stored state; one of other code does not."""
    only = replace(parse_spec(SMALL), cells=(SHORT,))
    path = tmp_path / "store.db"
    monkeypatch.setattr(executors, "CHECKPOINT", 0.0)
    states, stop = [], [4]

    def checkpoints(chunk, seconds):
        states.append(chunk[0].state)
        if len(states) == stop[0]:
            raise KeyboardInterrupt
        return measures_module.measure_all(chunk, seconds)

    monkeypatch.setattr(executors, "measure_all", checkpoints)
    with pytest.raises(KeyboardInterrupt):
        sweep(only, path, InProcess())
    assert rows(path) == []
    sweep(only, path, InProcess())
    assert states[4] == states[3] != states[2]
    assert states[0] is None
    # Other code begins anew, and leaves alone what is not its own.
    stop[0] = len(states) + 2
    monkeypatch.setattr(driver, "fingerprint", lambda modules: "another version")
    with pytest.raises(KeyboardInterrupt):
        sweep(only, path, InProcess())
    assert states[stop[0] - 2] is None
    with Store(path, read_only=True) as opened:
        assert opened.checkpoints("another version") == {SHORT.key("another version")}
        assert opened.checkpoints(fingerprint.fingerprint()) == set()


def test_a_damaged_checkpoint_is_refused(tmp_path):
    """By its digest, like a result."""
    path = tmp_path / "store.db"
    with Store(path) as opened:
        opened.put("code", [Outcome(CELL, None, None, 1.0, b"state")])
        assert opened.checkpoint(CELL.key("code")) == b"state"
        assert opened.checkpoint("other") is None
    sqlite_file(path, "UPDATE checkpoints SET state = x'00'")
    with Store(path) as opened, pytest.raises(ValueError, match=r"the checkpoint of cell .* is not what was written"):
        opened.checkpoint(CELL.key("code"))


def test_a_worker_with_other_code_is_found_out_by_what_it_brings(monkeypatch):
    """Each chunk says which code measured it; the sweep of a pool ends there, and nothing of it is kept."""
    chunk = (Task(CELL),)
    answer = executors.measured(chunk, 10.0)
    assert executors._checked(answer, chunk)[0].result == measure(CELL).result
    with pytest.raises(ValueError, match=r"a worker that came later has other code \(later\) than this driver"):
        executors._checked(("later", answer[1]), chunk)
