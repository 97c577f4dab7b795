"""`rfos bound` and `rfos verify` as a user runs them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bounds.rmax import default_weights, t1
from bounds.sharp import t1_plus

ROOT = Path(__file__).parents[2]
ABSTRACT = ("bound", "--states", "16", "--actions", "2", "--branching", "2")


def rfos(*arguments):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-m", "rfos", *arguments], capture_output=True, text=True, timeout=300, env=environment
    )


def as_json(*arguments):
    result = rfos(*arguments, "--json")
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def test_bound_prints_what_the_bounds_say():
    """m, N, steps and log10 of T1 and T1+ at the paper's point, and rivals."""
    found = as_json(*ABSTRACT)
    point = {
        "n_states": 16,
        "n_actions": 2,
        "branching": 2,
        "epsilon": "0.8",
        "delta": "0.2",
        "discount": "0.8",
        "r_max": 1,
    }
    wanted = t1().evaluate(**point, **default_weights("continuing"))
    theorems = found["theorems"]
    for name in ("m", "horizon", "blocks", "steps"):
        assert theorems["T1"][name]["value"] == wanted[name]
    assert theorems["T1+"]["steps"]["value"] == t1_plus().steps.evaluate(**point, **default_weights("episodic"))
    assert theorems["T1, classical count"]["steps"]["log10"] > theorems["T1"]["steps"]["log10"]
    assert sum(theorems["T1"]["parts"].values()) == pytest.approx(theorems["T1"]["steps"]["log10"])
    assert "lower bound" in found["rivals"]
    text = rfos(*ABSTRACT).stdout
    for piece in ("T1+", "92,804,735", "elasticity", "factors", "Lattimore", "1/(1-discount)"):
        assert piece in text


def test_bound_takes_sizes_from_a_game():
    """Window 3 of Matching Pennies: 64, 2, 2; ten levels of a mixed action: 11 meta-states and actions, B = 1."""
    window = as_json("bound", "--case", "window", "--window", "3", "--game", "matching-pennies", "--inner-steps", "10")
    assert {k: window["point"][k] for k in ("n_states", "n_actions", "branching")} == {
        "n_states": "64",
        "n_actions": "2",
        "branching": "2",
    }
    theorems = window["theorems"]
    assert {"T1 with B = |S|", "T1+ with X2"} <= set(theorems)
    assert theorems["T1"]["samples_log10"] == pytest.approx(theorems["T1"]["steps"]["log10"] + 1)
    order = [
        theorems[name]["steps"]["log10"]
        for name in ("T1 with B = |S|", "T1, classical count", "T1", "T1+", "T1+ with X2")
    ]
    assert order == sorted(order, reverse=True)
    policy = as_json("bound", "--case", "policy", "--levels", "10", "--game", "matching-pennies")
    assert policy["point"]["n_states"] == policy["point"]["n_actions"] == "11"
    assert policy["theorems"]["T1'"]["steps"]["value"] == 9 * 121


def test_bound_of_any_size_and_optimised():
    """10^500 states; chosen weights are never worse than equal ones."""
    found = as_json("bound", "--states", "10^500", "--actions", "2", "--branching", "2", "--optimise")
    assert found["point"]["n_states"] == "10^500.00"
    for theorem in found["theorems"].values():
        assert theorem["steps"]["log10"] > 500
        assert theorem["steps"]["value"] is None
        if theorem["label"] != "T1 with X4":  # which has nothing to choose but planning
            assert theorem["optimisation_gain"] >= 1
            assert theorem["default_gain"] >= 1


def test_formulas_are_latex_with_balanced_braces():
    """One display per number, each with its braces closed."""
    lines = rfos(*ABSTRACT, "--latex").stdout.splitlines()
    formulas = [line for line in lines if line.startswith(r"\[")]
    assert len(formulas) == 8
    for formula in formulas:
        assert formula.endswith(r"\]")
        bare = formula.replace(r"\{", "").replace(r"\}", "")
        assert bare.count("{") == bare.count("}")
        assert r"\varepsilon" in formula
        assert "n_states" not in formula


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (("bound",), ("--states, --actions, --branching not given", "--case")),
        (("bound", "--states", "16"), ("--actions, --branching not given",)),
        ((*ABSTRACT, "--case", "window"), ("leave --states",)),
        (("bound", "--case", "window"), ("--game",)),
        (("bound", "--case", "dream", "--game", "chicken"), ("dream", "window or policy")),
        (("bound", "--case", "window", "--game", "poker"), ("poker",)),
        ((*ABSTRACT, "--epsilon", "__import__('os').system('false')"), ("epsilon must be a number",)),
        ((*ABSTRACT, "--epsilon", "7"), ("epsilon is 7", "5")),
        ((*ABSTRACT, "--delta", "2"), ("delta must be",)),
        ((*ABSTRACT, "--discount", "1"), ("discount must be",)),
        (("bound", "--states", "9^99999", "--actions", "2", "--branching", "2"), ("digits",)),
        (("bound", "--states", "exit()", "--actions", "2", "--branching", "2"), ("exit()", "4^3")),
        (("verify", "--statement", "P9"), ("P9", "choose among")),
        (("verify", "--instances", "0"), ("instances is 0",)),
        (("verify", "--instances", "many"), ("many",)),
    ],
)
def test_bad_input_gets_one_line_that_says_how_to_mend_it(arguments, names):
    """Exit status 2, one line, no traceback."""
    result = rfos(*arguments)
    assert result.returncode == 2, result.stderr
    assert result.stdout == ""
    (line,) = [line for line in result.stderr.strip().splitlines() if "checking" not in line]
    for name in names:
        assert name in line


def test_verify_prints_a_table_and_json():
    """Every statement asked for, its instances, ratio, violations and verdict."""
    options = ("verify", "--instances", "20", "--statement", "P2+", "--statement", "N1", "--jobs", "1")
    result = rfos(*options)
    assert result.returncode == 0, result.stderr
    for piece in ("P2+", "N1", "holds", "1.0000", "left/right"):
        assert piece in result.stdout
    found = as_json(*options)
    assert [s["id"] for s in found["statements"]] == ["N1", "P2+"]
    assert all(s["violations"] == 0 and s["verdict"] == "holds" for s in found["statements"])
    caught = as_json(*options, "--planted")
    assert all(s["verdict"] == "caught" for s in caught["statements"])


def test_verify_ends_with_1_on_a_violation(tmp_path):
    """A statement made false beforehand, in the same process."""
    program = (
        "from dataclasses import replace\nfrom types import MappingProxyType\n"
        "import rfos.verification as v\nfrom rfos.cli import main\n"
        "s = v.STATEMENTS['N1']\n"
        "v.STATEMENTS = MappingProxyType({'N1': replace(s, sides=lambda i, planted: s.sides(i, True))})\n"
        "main(['verify', '--instances', '50', '--jobs', '1'])\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert result.returncode == 1, result.stderr
    assert "VIOLATED" in result.stdout
