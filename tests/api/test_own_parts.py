"""A sweep's own parts: whose code measured a cell, and what is said where a part is not what it should be."""

from __future__ import annotations

import importlib
import json
import os
import sys
from pathlib import Path

import pytest
from commands import here
from specs import TURNS

from rfos.laboratory.sweeps.driver import sweep
from rfos.laboratory.sweeps.executors import InProcess
from rfos.laboratory.sweeps.fingerprint import fingerprint
from rfos.laboratory.sweeps.spec import parse_spec
from rfos.laboratory.sweeps.store import Store

MEASURE = """
from rfos.laboratory.sweeps.measures import Measure
from rfos.laboratory.sweeps.results import number

{top}

def _run(cell, checkpoint):
    return {{"found": {value}}}

FOUND = Measure(run=_run, check={{"found": number()}}, quantities={{"found": "what is found"}}{more})
"""

SPEC = """
title = "own parts"
seed = 1
[[grid]]
measure = ["NAME:FOUND"]
game = ["matching-pennies"]
opponent = ["window-q-learner"]
window = [1]
agent = ["rmax"]
epsilon = [0.8]
delta = [0.2]
discount = [0.8]
m = [2]
steps = [20]
seeds = 1
"""


@pytest.fixture
def write(tmp_path, monkeypatch, request):
    """Write a module of a name that no other test has; return its name."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", False)  # as it is unless one asks for it
    name = f"own_{abs(hash(request.node.name))}"
    texts = iter(range(100))

    def written(value="1.0", top="", more="", text=None) -> str:
        source = text or MEASURE.format(value=value, top=top, more=more)
        path = tmp_path / f"{name}.py"
        path.write_text(source)
        # Python compares times in whole seconds: the tests do not wait for the next one.
        time = path.stat().st_mtime + 10 * next(texts)
        os.utime(path, (time, time))
        importlib.invalidate_caches()
        return name

    yield written
    sys.modules.pop(name, None)


def swept(name: str, path: Path):
    """Sweep one cell; return the summary and what the store has of its code."""
    found = sweep(parse_spec(SPEC.replace("NAME", name)), path, InProcess())
    with Store(path, read_only=True) as store:
        return found, [json.loads(row.result)["found"] for row in store.rows(found.code) if row.result]


def test_a_module_that_a_sweep_has_seen_is_not_edited_behind_its_back(write, tmp_path) -> None:
    """The old code's result was stored under the version of the new one."""
    name = write("1.0")
    first, values = swept(name, tmp_path / "s.db")
    assert values == [1.0]
    write("2.0")
    with pytest.raises(ValueError, match=f"module '{name}' was changed on disk since it was imported"):
        swept(name, tmp_path / "s.db")
    importlib.reload(sys.modules[name])
    second, values = swept(name, tmp_path / "s.db")
    assert values == [2.0]
    assert (second.measured, second.code != first.code) == (1, True)
    write("1.0")
    importlib.reload(sys.modules[name])
    third, values = swept(name, tmp_path / "s.db")
    assert (third.code, third.found, values) == (first.code, 1, [1.0])


EDITS = {
    "a function": ({"value": "1.0"}, {"value": "2.0"}),
    "a plain value": ({"top": "SCALE = 1.0"}, {"top": "SCALE = 2.0"}),
    "a default": ({"top": "def f(x=1): return x"}, {"top": "def f(x=2): return x"}),
    "a method": ({"top": "class A:\n    def f(self): return 1"}, {"top": "class A:\n    def f(self): return 2"}),
    "a value of a class": ({"top": "class A:\n    x = 1"}, {"top": "class A:\n    x = 2"}),
    "a new function": ({}, {"top": "def g(): return 1"}),
    "an object": (
        {"top": "import fractions\nF = fractions.Fraction(1)"},
        {"top": "import fractions\nF = fractions.Fraction(2)"},
    ),
}


@pytest.mark.parametrize("edit", EDITS)
def test_a_module_that_was_imported_before_is_not_edited_before_the_sweep(write, tmp_path, edit) -> None:
    before, after = EDITS[edit]
    name = write(**before)
    importlib.import_module(name)
    write(**after)
    with pytest.raises(ValueError, match="was changed on disk since it was imported"):
        swept(name, tmp_path / "s.db")
    assert not (tmp_path / "s.db").exists()


def test_words_about_a_module_may_be_edited(write, tmp_path) -> None:
    name = write(top='"""Words."""')
    first, _ = swept(name, tmp_path / "s.db")
    write(top='"""Other words."""\n# and a remark')
    second, _ = swept(name, tmp_path / "s.db")
    assert (second.code, second.found) == (first.code, 1)


def test_what_was_made_of_a_part_is_made_anew_after_a_reload(write, tmp_path) -> None:
    """The game of the old code was kept under its name."""
    source = (
        "import numpy as np\nimport rfos\ndef game():\n    r = np.array([[[1.0, 0], [0, {}]], [[0, 1.0], [1, 0]]])\n"
    )
    source += "    return rfos.NormalFormGame(r, name='mine')\n"
    name = write(text=source.format("1.0"))
    text = SPEC.replace("NAME:FOUND", "run").replace('"matching-pennies"', f'"{name}:game"')

    def largest() -> str:
        found = sweep(parse_spec(text), tmp_path / "s.db", InProcess())
        with Store(tmp_path / "s.db", read_only=True) as store:
            [row] = store.rows(found.code)
        return json.loads(row.result)["r_max"]

    assert largest() == "1"
    write(text=source.format("3.0"))
    importlib.reload(sys.modules[name])
    assert largest() == "3"


def test_the_version_is_that_of_what_is_loaded(write) -> None:
    name = write("1.0")
    first = fingerprint((name,))
    write("2.0")
    assert fingerprint((name,)) == first
    importlib.reload(sys.modules[name])
    assert fingerprint((name,)) != first


def test_bytecode_of_an_older_file_of_the_same_second_is_not_taken(write, tmp_path) -> None:
    """Python compares time and size: a file that is edited at once and keeps its size would run as it was."""
    name = write("1.0")
    path = tmp_path / f"{name}.py"
    importlib.import_module(name)
    del sys.modules[name]
    time = path.stat().st_mtime
    path.write_text(path.read_text().replace("1.0", "7.0"))
    os.utime(path, (time, time))
    assert swept(name, tmp_path / "s.db")[1] == [7.0]


ENDS = {
    "at import": {"top": "import sys; sys.exit()"},
    "in the measure": {"value": "__import__('sys').exit()"},
}


def test_an_exit_in_a_part_does_not_end_the_sweep(write, tmp_path) -> None:
    """Nothing was printed, and the status was 0."""
    name = write("__import__('sys').exit(0)")
    found, _ = swept(name, tmp_path / "s.db")
    [(_, error)] = found.failed
    assert error == "SystemExit: 0"


def test_an_exit_at_import_is_a_fault_of_the_module(write, tmp_path) -> None:
    name = write(top="import sys; sys.exit(0)")
    with pytest.raises(ValueError, match="importing it raised SystemExit: 0: mend the module"):
        swept(name, tmp_path / "s.db")


def test_an_exit_in_a_game_is_a_fault_of_the_game(write) -> None:
    name = write(text="import sys\ndef game(): sys.exit(3)\n")
    text = SPEC.replace("NAME:FOUND", "run").replace('"matching-pennies"', f'"{name}:game"')
    with pytest.raises(ValueError, match="calling it without arguments raised SystemExit: 3"):
        parse_spec(text)


FAULTS = {
    "effort raises": (", effort=lambda cell: 1 / 0", "and its effort raised ZeroDivisionError: division by zero"),
    "effort is a text": (", effort=lambda cell: 'much'", "whose effort returns 'much': let it return a whole number"),
    "effort exits": (", effort=lambda cell: __import__('sys').exit(0)", "and its effort raised SystemExit: 0"),
    "effort is not a function": (", effort=5", "effort of a measure is 5: give a function of a cell"),
    "memory is nothing": (", memory=lambda cell: None", "whose memory returns None: let it return a whole number"),
    "memory raises": (", memory=lambda cell: {}['x']", "and its memory raised KeyError: 'x'"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_a_measure_says_of_itself_is_checked(write, tmp_path, name) -> None:
    more, sentence = FAULTS[name]
    module = write(more=more)
    (tmp_path / "spec.toml").write_text(SPEC.replace("NAME", module))
    refused = here("sweep", "spec.toml", "--store", "s.db", "--out", "r", cwd=tmp_path)
    assert refused.returncode == 2
    assert sentence in refused.stderr
    assert len(refused.stderr.splitlines()) == 1


def test_a_neighbour_that_does_not_parse_is_said_in_a_sentence(write, tmp_path) -> None:
    (tmp_path / "torn_neighbour.py").write_text("def f(:\n")
    module = write(top="def later():\n    import torn_neighbour")
    with pytest.raises(ValueError, match=r"module 'torn_neighbour', which .* imports, does not parse"):
        swept(module, tmp_path / "s.db")


HIDDEN = (
    """
import numpy as np
import rfos

class Patient:
    n_states, start = 2, 0

    def probabilities(self, game, player):
        return np.array([[1, 0], [0, 1]], float)

    def next_state(self, game, player):
        return np.array([[1, 1, 0, 0], [0, 0, 1, 1]])

def patient():
    return Patient()
"""
    + TURNS
)


@pytest.mark.parametrize("measure", ["ledger", "least-m"])
def test_a_hidden_opponent_is_refused_where_an_mdp_is_needed(write, measure) -> None:
    """It passed, and its cells failed with "AssertionError: "."""
    name = write(text=HIDDEN)
    text = SPEC.replace("NAME:FOUND", measure).replace("window-q-learner", f"{name}:patient")
    if measure == "least-m":
        text = text.replace("m = [2]\nsteps = [20]\n", "")
    with pytest.raises(ValueError, match=f"measure {measure} needs an MDP, and {name}:patient hides its state"):
        parse_spec(text)
    parse_spec(SPEC.replace("NAME:FOUND", "run").replace("window-q-learner", f"{name}:patient"))


def frame_of(path: Path, code: str, measures: tuple[str, ...]):
    from rfos.laboratory.sweeps.fits import all_fits

    with Store(path, read_only=True) as store:
        return all_fits(store.rows(code), measures)


def test_two_measures_with_a_quantity_of_one_name_are_two_tables(write, tmp_path) -> None:
    """Their lines were one table and one figure, under the name of the first."""
    more = '\nOTHER = Measure(run=_run, check={"found": number()}, quantities={"found": "another thing"})'
    name = write(value="float(cell.window)", text=None)
    path = tmp_path / f"{name}.py"
    path.write_text(path.read_text() + more)
    text = SPEC.replace('"NAME:FOUND"', f'"{name}:FOUND", "{name}:OTHER"').replace("[1]", "[1, 2]", 1)
    (tmp_path / "spec.toml").write_text(text)
    done = here("sweep", "spec.toml", "--store", "s.db", "--out", "r", "--jobs", "1", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "r" / "report.html").read_text()
    for what, label in (("FOUND", "What is found"), ("OTHER", "Another thing")):
        assert f"{label} ({name}:{what}) against" in page
        assert list((tmp_path / "r").glob(f"scaling_found_of_{name}_{what}_*.svg"))


def test_a_failed_cell_is_named_in_words(write, tmp_path) -> None:
    name = write("1 / 0")
    (tmp_path / "spec.toml").write_text(SPEC.replace("NAME", name))
    done = here("sweep", "spec.toml", "--store", "s.db", "--out", "r", "--jobs", "1", "--json", cwd=tmp_path)
    said = f"{name}:FOUND of rmax in matching-pennies against window-q-learner, window 1, seed 0"
    assert done.returncode == 1
    assert f" ({said}): ZeroDivisionError" in done.stderr
    assert json.loads(done.stdout)["failed"][0]["cell"] == said
    page = (tmp_path / "r" / "report.html").read_text()
    assert "matching-pennies" in page.split("Failed cells")[1]


def test_the_time_until_all_is_known_is_not_compared_for_an_agent_without_m(write, tmp_path) -> None:
    """Known is visited once for it, and m times for R-max."""
    import rfos
    from rfos.laboratory.sweeps import cells

    name = write(text=HIDDEN)
    text = SPEC.replace("NAME:FOUND", "run").replace('["rmax"]', f'["{name}:TURNS"]').replace("m = [2]\n", "")
    spec = parse_spec(text.replace("window = [1]", "window = [1, 2]").replace("steps = [20]", "steps = [2000]"))
    found = sweep(spec, tmp_path / "s.db", InProcess())
    assert found.failed == ()
    fits = frame_of(tmp_path / "s.db", found.code, ()).fits
    mine = fits[fits["quantity"] == "steps_all_known"]
    assert len(mine) > 0
    assert set(mine["points"]) == {0}
    assert all("its agent has no m" in reason for reason in mine["reason"])
    [agent] = {cells.agent(cell) for cell in spec.cells}
    trace = rfos.run(cells.process(spec.cells[0]), agent, steps=5, rng=1)
    assert " 5 steps without an m: " in repr(trace)


def test_a_picture_of_some_settings_says_so(tmp_path) -> None:
    import pandas as pd

    from rfos import plots

    bands = pd.DataFrame({"label": [f"m {m}" for m in range(10)], "steps": 10, "mean": 0.5, "low": 0.0, "high": 1.0})
    assert plots.sweep_curves(bands).get_title() == "6 of 10 settings"
    assert plots.sweep_curves(bands[:6]).get_title() == ""
    text = SPEC.replace("NAME:FOUND", "run").replace("m = [2]", f"m = {list(range(1, 11))}")
    (tmp_path / "spec.toml").write_text(text)
    done = here("sweep", "spec.toml", "--store", "s.db", "--out", "r", "--jobs", "1", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "6 of 10 settings are drawn, all are in curves.csv" in (tmp_path / "r" / "report.html").read_text()


def test_bands_of_a_report_are_those_of_its_store(tmp_path) -> None:
    import pandas as pd

    from rfos import plots
    from rfos.laboratory.sweeps.tables import curve_bands, report_bands

    text = SPEC.replace("NAME:FOUND", "run").replace("m = [2]", "m = [1, 2]").replace("seeds = 1", "seeds = 3")
    (tmp_path / "spec.toml").write_text(text)
    done = here("sweep", "spec.toml", "--store", "s.db", "--out", "r", "--jobs", "1", "--json", cwd=tmp_path)
    cells, curves = (pd.read_csv(tmp_path / "r" / f"{name}.csv") for name in ("cells", "curves"))
    with Store(tmp_path / "s.db", read_only=True) as store:
        want = curve_bands(store.rows(json.loads(done.stdout)["code"]))
    pd.testing.assert_frame_equal(report_bands(cells, curves), want[["label", "steps", "mean", "low", "high"]])
    with pytest.raises(TypeError, match="report_bands"):
        curve_bands(curves)
    with pytest.raises(ValueError, match="give traces, or what report_bands"):
        plots.sweep_curves(curves)
    with pytest.raises(TypeError, match="give traces, or what curve_bands"):
        plots.learning_curves(5)


def test_least_m_and_aliasing_are_tables(tmp_path) -> None:
    import rfos

    game = rfos.WindowMetaGame(rfos.named_game("matching-pennies"), rfos.QLearner(), window=1, discount=0.5, horizon=3)
    found = rfos.aliasing(game)
    assert found.to_frame().to_dict("records") == [found.row()]
    assert "kappa from" in found._repr_html_()
    coin = rfos.TabularMDP([[0, 0]], [[0.0, 1.0]], 0.5)
    least = rfos.least_sufficient_m(coin, 0.5, 0.2, rng=1)
    assert least.to_frame().to_dict("records") == [least.row()]
    assert least._repr_html_().startswith("<p><code>&lt;LeastM from 1")
