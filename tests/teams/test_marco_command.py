"""`rfos marco` as a user runs it, and the study behind it."""

import json

import pandas as pd
import pytest
from matplotlib.figure import Figure

from rfos import plots
from rfos.commands.main import _status
from rfos.laboratory.marco_study import OURS, marco_study
from rfos.teams.baselines import TITLES

SHORT = ("broadcast-channel", "--horizon", "2", "--m", "20", "--epsilon", "0.4", "--episodes", "64", "--seeds", "1")


def here(capsys, *arguments):
    status = _status(["marco", *arguments])
    return status, *capsys.readouterr()


def test_the_table_names_every_method_and_the_bracket(capsys, tmp_path):
    """Files are whole; the figure's lines are those of the methods and the optimum."""
    status, out, _ = here(capsys, *SHORT, "--jobs", "1", "--out", str(tmp_path / "new"))
    assert status == 0
    for title in (*TITLES.values(), "MARCO, centralised"):
        assert title in out
    assert "the best of decentralised policies earns 2;" in out
    assert "does not cover these runs" in out
    frame = pd.read_csv(tmp_path / "new" / "reports.csv")
    assert set(frame["method"]) == {OURS, *TITLES}
    assert len(pd.read_csv(tmp_path / "new" / "summary.csv")) == 6
    assert (tmp_path / "new" / "curves.png").stat().st_size > 5000
    axes = plots.marco_curves(frame, optimum=(2.0, 2.0), ax=Figure().subplots())
    assert len(axes.lines) == 7


def test_json_is_the_study(capsys):
    """One object, with the numbers of the call in Python of the same seed."""
    status, out, _ = here(capsys, *SHORT, "--rivals", "independent", "--jobs", "1", "--seed", "5", "--json")
    found = json.loads(out)
    study = marco_study(
        "broadcast-channel",
        horizon=2,
        m=20,
        epsilon=0.4,
        episodes=64,
        rivals=("independent",),
        seeds=1,
        seed=5,
        jobs=1,
    )
    assert status == 0
    assert [run["until"] for run in found["runs"]] == [run.until for run in study.runs]
    assert [row["value"] for row in found["runs"][0]["rows"]] == [row.value for row in study.runs[0].rows]
    assert found["theorem_m"] == study.theorem_m
    assert "MarcoStudy of broadcast-channel: 2 methods, 2 runs" in repr(study)


@pytest.mark.processes
def test_processes_change_no_number():
    """The same bytes with one process and with two."""
    tables = [
        marco_study(
            "lock", sizes={"digits": 2}, epsilon=0.5, episodes=20, seeds=1, rivals=("decomposed",), jobs=jobs
        ).to_frame()
        for jobs in (1, 2)
    ]
    assert tables[0].equals(tables[1])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("tigre",), "unknown task 'tigre'"),
        (("dec-tiger", "--agents", "3"), "dec-tiger has no size 'agents'"),
        (("lock", "--size", "digits"), "--size is 'digits': give a name and a whole number, such as goals=3"),
        (("dec-tiger", "--epsilon", "0"), "epsilon is 0.0: give a number between 0 and the range of returns"),
        (("dec-tiger", "--delta", "1"), "delta is 1.0"),
        (("dec-tiger", "--rivals", "dqn"), "a rival is 'dqn': choose among uniform, none, reuse"),
        (("dec-tiger", "--explore", "no"), "explore is 'no': choose among centralised"),
        (("dec-tiger", "--seeds", "0"), "seeds is 0"),
        (("dec-tiger", "--m", "0"), "m is 0"),
    ],
)
def test_bad_input_is_one_line(capsys, arguments, says):
    status, out, err = here(capsys, *arguments)
    assert (status, out) == (2, "")
    line = next(line for line in err.splitlines() if line.startswith("rfos:"))
    assert says in line
