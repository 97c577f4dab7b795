"""`rfos bound` and `rfos verify` as a user runs them."""

import functools
import json
import math
import re
import shutil
from dataclasses import replace
from fractions import Fraction
from types import MappingProxyType

import pytest
from commands import here, run

from bounds.rmax import default_weights, t1, t1_restarts
from bounds.sharp import t1_observed, t1_plus
from rfos.commands.bound import evaluate
from rfos.commands.options import whole
from rfos.laboratory.verification import verify as verification
from rfos.laboratory.verification.registry import STATEMENTS

ABSTRACT = ("bound", "--states", "16", "--actions", "2", "--branching", "2")
WINDOW = ("bound", "--case", "window", "--window", "3", "--game", "matching-pennies")
POLICY = ("bound", "--case", "policy", "--game")
SIZES = {"n_states": 16, "n_actions": 2, "branching": 2}
POINT = {**SIZES, "epsilon": "0.8", "delta": "0.2", "discount": "0.8", "r_max": 1}


@pytest.fixture(scope="module")
def call(tmp_path_factory):
    """A command run in this process, once: status, standard output and standard error."""
    folder = tmp_path_factory.mktemp("commands")

    @functools.cache
    def run(*arguments):
        done = here(*arguments, cwd=folder)
        return done.returncode, done.stdout, done.stderr

    return run


@pytest.fixture(scope="module")
def as_json(call):
    def run(*arguments):
        status, out, err = call(*arguments, "--json")
        assert status == 0, err
        return json.loads(out)

    return run


def test_bound_prints_what_the_bounds_say(as_json):
    """m, N, steps and log10 of T1 and T1+ at the paper's point, and rivals."""
    found = as_json(*ABSTRACT)
    wanted = t1().evaluate(**POINT, **default_weights("continuing"))
    theorems = found["theorems"]
    for name in ("m", "effective_horizon", "blocks", "steps"):
        assert theorems["T1"][name]["value"] == wanted[name]
    assert theorems["T1+"]["steps"]["value"] == t1_plus().steps.evaluate(**POINT, **default_weights("episodic"))
    assert theorems["T1, classical count"]["steps"]["log10"] > theorems["T1"]["steps"]["log10"]
    assert sum(theorems["T1"]["parts"].values()) == pytest.approx(theorems["T1"]["steps"]["log10"])
    assert "lower bound" in found["rivals"]


def test_bound_prints_a_table(call):
    """Theorems, numbers, elasticities, factors and rivals, and at which accuracy these stand."""
    _, text, _ = call(*ABSTRACT)
    for piece in ("T1+", "92,804,735", "elasticity", "factors", "Lattimore", "1/(1-discount)"):
        assert piece in text
    _, text, _ = call(*ABSTRACT, "--r-max", "4")
    assert "R_max = 1 and so at epsilon/R_max = 0.2" in text


def test_bound_takes_sizes_from_a_game(as_json):
    """Window 3 of Matching Pennies: 64, 2, 2; eleven levels of a mixed action: 11 meta-states and actions, B = 1."""
    window = as_json(*WINDOW, "--inner-steps", "10")
    assert {k: window["point"][k] for k in SIZES} == {"n_states": "64", "n_actions": "2", "branching": "2"}
    theorems = window["theorems"]
    assert {"T1 with B = |S|", "T1+ with X2"} <= set(theorems)
    assert theorems["T1"]["samples_log10"] == pytest.approx(theorems["T1"]["steps"]["log10"] + 1)
    assert theorems["T1"]["samples_value"] == 10 * theorems["T1"]["steps"]["value"]
    order = [
        theorems[name]["steps"]["log10"]
        for name in ("T1 with B = |S|", "T1, classical count", "T1", "T1+", "T1+ with X2")
    ]
    assert order == sorted(order, reverse=True)
    policy = as_json(*POLICY, "matching-pennies", "--levels", "11")
    assert policy["point"]["n_states"] == policy["point"]["n_actions"] == "11"
    assert policy["theorems"]["T1'"]["steps"]["value"] == 9 * 121


@pytest.mark.parametrize(
    ("game", "levels", "rows", "points"),
    [("ipd", 2, None, 2**5), ("ipd", 3, None, 3**5), ("ipd", 3, 2, 3**2), ("rock-paper-scissors", 4, None, 10)],
)
def test_levels_are_points_per_probability_as_in_solve(as_json, game, levels, rows, points):
    """K levels are steps of 1/(K-1): K per row for two actions, C(K+1, 2) for three; memory one (ipd) has 5 rows."""
    extra = () if rows is None else ("--inner-states", str(rows))
    found = as_json(*POLICY, game, "--levels", str(levels), *extra)
    assert found["point"]["n_states"] == found["point"]["n_actions"] == str(points)


def test_policy_case_says_why_one_successor_and_what_a_meta_step_is(call):
    """B = 1 by observation, and the inner steps of an episode, each in one line."""
    _, text, _ = call(*POLICY, "matching-pennies", "--levels", "3", "--inner-steps", "100")
    (line,) = [line for line in text.splitlines() if "B = 1" in line]
    assert "one visit reveals a row (N4, T1')" in line
    (line,) = [line for line in text.splitlines() if "inner episode" in line]
    assert "--inner-steps (here 100)" in line


def finite_difference(bound, values, *names, odds=False):
    """∂log10(bound)/∂log10(x) for x the value of all `names`, or 1/(1-x), by steps of one part in 10^4 up and down."""
    ends = []
    for sign in (1, -1):
        share = 1 + Fraction(sign, 10**4)
        moved = {n: 1 - (1 - Fraction(values[n])) / share if odds else Fraction(values[n]) * share for n in names}
        here = {**values, **moved}
        ends.append(bound.log10(**{k: x for k, x in here.items() if k in (*bound.symbols, *bound.weights)}))
    return (ends[0] - ends[1]) / (math.log10(1 + 1e-4) - math.log10(1 - 1e-4))


def test_elasticities_are_slopes_of_the_bounds():
    """Against finite differences, at sizes where rounding does not matter; B = |Ŝ| moves both together."""
    point = {"n_states": 10**8, "n_actions": 10**6, "branching": 20000, "epsilon": "1e-6", "delta": "1/100"}
    point |= {"discount": "9/10", "r_max": 2}
    found = evaluate(point, case="window")["theorems"]
    bounds = {
        "T1": (t1().steps, default_weights("continuing")),
        "T1 with B = |S|": (t1("known", False, "classical").steps, default_weights("continuing")),
        "T1+": (t1_plus().steps, default_weights("episodic")),
        "T1 with X4": (t1_restarts().steps, {"w_plan": Fraction(1, 100), "w_sim": Fraction(99, 100), "horizon": 10}),
    }
    for name, (bound, weights) in bounds.items():
        tied = name == "T1 with B = |S|"
        values = {**point, **weights, **({"branching": point["n_states"]} if tied else {})}
        slopes = found[name]["elasticities"]
        for variable in ("n_states", "n_actions", "epsilon", "delta", "r_max", *(() if tied else ("branching",))):
            names = (variable, "branching") if tied and variable == "n_states" else (variable,)
            wanted = finite_difference(bound, values, *names)
            # T1's horizon is smoothed, which the difference steps over
            cut = name.startswith("T1") and "effective_horizon" in found[name]
            slack = 0.3 if cut and variable in ("epsilon", "r_max") else 0
            assert slopes[variable] == pytest.approx(wanted, rel=1e-4, abs=slack + 1e-5), (name, variable)
        assert ("branching" in slopes) is not tied
        wanted = finite_difference(bound, values, "discount", odds=True)
        slack = 1.5 if "effective_horizon" in found[name] else 1e-5
        assert slopes["1/(1-discount)"] == pytest.approx(wanted, rel=1e-4, abs=slack), name


def test_elasticities_in_the_variables_of_a_case_by_hand(as_json):
    """|Ŝ| = A^(nh), |Â| = A, B = A^(n-1); and N = K^rows each for shaper and opponent, of which T1' is the product."""
    for name, slopes in ((n, t["elasticities"]) for n, t in as_json(*WINDOW)["theorems"].items()):
        s, a, b = (slopes.get(k, 0) for k in SIZES)
        assert slopes["window"] == pytest.approx(s * 3 * math.log(4)), name
        assert slopes["players"] == pytest.approx(s * 6 * math.log(2) + b * 2 * math.log(2)), name
        assert slopes["inner_actions"] == pytest.approx(6 * s + a + b), name
    slopes = as_json(*POLICY, "ipd", "--levels", "4")["theorems"]["T1'"]["elasticities"]
    assert slopes["levels"] == pytest.approx(10)
    assert slopes["inner_states"] == pytest.approx(10 * math.log(4))
    assert slopes["players"] == pytest.approx(10 * math.log(4))
    assert slopes["inner_actions"] == pytest.approx(2 * 5 * 2 * (1 / 2 + 1 / 3 + 1 / 4))
    three = as_json(*POLICY, "rock-paper-scissors", "--levels", "6")["theorems"]["T1'"]["elasticities"]
    assert three["levels"] == pytest.approx(2 * (6 / 6 + 6 / 7))


@pytest.mark.parametrize("optimise", [False, True])
def test_nothing_but_epsilon_over_r_max_matters(optimise):
    """(3ε, 3R_max) for (ε, R_max): the same theorems, elasticities, factors and rivals."""
    small = evaluate({**POINT, "branching": 1}, optimise=optimise)
    large = evaluate({**POINT, "branching": 1, "epsilon": "2.4", "r_max": 3}, optimise=optimise)
    assert small["rivals"] == large["rivals"]
    assert small["theorems"] == large["theorems"]


def test_rivals_stand_at_the_point_of_the_theorems():
    """R-max: |S|²|A|/(ε/R_max)³/(1-γ)⁶ at ε = .8, R_max = 4."""
    found = evaluate({**POINT, "r_max": 4})["rivals"]
    assert found["R-max"]["log10"] == pytest.approx(math.log10(512 / 0.2**3 / 0.2**6))
    assert found["lower bound"]["log10"] == pytest.approx(math.log10(32 / 0.2**2 / 0.2**3))


def test_bound_of_any_size_and_optimised(as_json):
    """10^500 states; chosen weights are never worse than equal ones."""
    found = as_json("bound", "--states", "10^500", "--actions", "2", "--branching", "2", "--optimise")
    assert found["point"]["n_states"] == "10^500.00"
    for theorem in found["theorems"].values():
        assert theorem["steps"]["log10"] > 500
        assert theorem["steps"]["value"] is None
        if theorem["label"] != "T1 with X4":  # which has nothing to choose but planning
            assert theorem["optimisation_gain"] >= 1
            assert theorem["default_gain"] >= 1


def test_optimise_uses_the_weights_and_the_lambda_that_it_chose():
    """The bound printed is the bound there: three times smaller where m = 1 needs no share, by λ alone a tenth."""
    point = {"n_states": 2, "n_actions": 1, "branching": 1, "epsilon": "1e-3", "delta": "1/60", "discount": "1/60"}
    point |= {"r_max": 1}
    plain, found = evaluate(point)["theorems"], evaluate(point, optimise=True)["theorems"]
    families = {"T1": t1(), "T1+": t1_plus(rate_is="free"), "T1' with X1": t1_observed("free")}
    for name, least in {"T1": 2.5, "T1+": 3.2, "T1' with X1": 1.1}.items():
        entry, default = found[name], plain[name]
        assert ("rate" in entry["weights"]) is (name != "T1")
        steps = families[name].steps
        values = {k: x for k, x in {**point, **entry["weights"]}.items() if k in (*steps.symbols, *steps.parameters)}
        assert entry["steps"]["value"] == steps.evaluate(**{**values, **entry["weights"]})
        gain = default["steps"]["value"] / entry["steps"]["value"]
        assert gain == pytest.approx(entry["default_gain"])
        assert gain >= least
    for name, family in (("T1", t1()), ("T1+", t1_plus())):
        shares = dict.fromkeys(family.steps.weights, Fraction(1, len(family.steps.weights)))
        equal = family.steps.evaluate(**point, **shares)
        assert found[name]["optimisation_gain"] == pytest.approx(equal / found[name]["steps"]["value"])


def test_optimise_names_lambda_and_says_once_where_the_defaults_do(call):
    """T1+ at 16 states gains under 0.1 % on the default weights."""
    _, text, _ = call(*ABSTRACT, "--optimise")
    assert "lambda" in text
    assert "at equal weights and the default lambda" in text
    assert text.count("the default weights are as good") == 1
    _, text, _ = call(*POLICY, "matching-pennies", "--levels", "3", "--optimise")
    assert "times smaller than at the default lambda" in text


def test_the_default_shares_of_epsilon_are_printed(call):
    """The theorems that have the same ones on one line; where they are chosen, those that were."""
    assert "\n  w_plan 0.010, w_sim 0.620, w_hor 0.060, w_esc 0.310: T1, classical count, T1\n" in call(*ABSTRACT)[1]
    assert "epsilon is shared out" not in call(*ABSTRACT, "--optimise")[1]


def definitions_of(text):
    return [line for line in text.splitlines() if " &= " in line]


@pytest.mark.processes
@pytest.mark.parametrize("case", [ABSTRACT, WINDOW, (*POLICY, "ipd")], ids=["sizes", "window", "policy"])
def test_latex_is_definitions_that_fit_a_page_and_a_legend(case, call, tmp_path):
    """V_max, m, k0, C, H, N and λ by name, short; pdflatex sets them, no line is 100 pt too wide."""
    status, out, _ = call(*case, "--latex")
    assert status == 0
    lines = definitions_of(out)
    assert {line.partition(" &= ")[0] for line in lines} >= {r"V_{\max}", "m", "k_0", "C", "H", "N", r"\lambda"}
    assert max(map(len, lines)) < 400
    assert r"\item[$\lambda$]" in out
    assert "n_states" not in out
    if shutil.which("pdflatex") is None:
        pytest.skip("needs a TeX engine: pdflatex")
    document = "\n".join([r"\documentclass{article}\usepackage{amsmath}\begin{document}", out, r"\end{document}"])
    (tmp_path / "bound.tex").write_text(document)
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "bound.tex"]
    done = run(command, cwd=tmp_path)
    assert done.returncode == 0, done.stdout[-2000:]
    assert all(float(width) < 100 for width in re.findall(r"Overfull \\hbox \(([0-9.]+)pt", done.stdout))


def test_json_holds_the_formulas_and_wins_over_latex(as_json, call):
    """--latex --json prints the object, with the lines of --latex in it."""
    found = as_json(*ABSTRACT, "--latex")
    _, out, _ = call(*ABSTRACT, "--latex")
    lines = [line for theorem in found["theorems"].values() for line in theorem["definitions"]]
    assert [line.removesuffix(r" \\") for line in definitions_of(out)] == lines


def test_numbers_are_printed_as_they_were_given(as_json):
    """A discount of .9999999 is not 1."""
    found = as_json(*ABSTRACT, "--discount", "0.9999999", "--epsilon", "1/3")
    assert (found["point"]["discount"], found["point"]["epsilon"]) == ("0.9999999", "1/3")


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (("bound",), ("--states, --actions, --branching not given", "--case")),
        (("bound", "--states", "16"), ("--actions, --branching not given",)),
        (("bound", "--states", "0", "--actions", "2", "--branching", "2"), ("--states is 0: it must be at least 1",)),
        (("bound", "--states", "64", "--actions", "2", "--branching", "100"), ("--branching is 100", "|S| = 64")),
        ((*ABSTRACT, "--case", "window"), ("leave --states",)),
        ((*ABSTRACT, "--window", "4"), ("--window does not go with sizes of its own",)),
        ((*ABSTRACT, "--game", "chicken"), ("--game does not go with sizes of its own",)),
        (("verify", "--statement", "p2+"), ("unknown statement 'p2+'", "choose one such as 'P2+'")),
        (("bound", "--case", "window"), ("--game",)),
        (("bound", "--case", "dream", "--game", "chicken"), ("dream", "window or policy")),
        (("bound", "--case", "window", "--game", "poker"), ("poker",)),
        ((*POLICY, "chicken", "--levels", "1"), ("--levels is 1: it must be at least 2",)),
        ((*POLICY, "ipd", "--levels", "10^900"), ("10^4000 policies",)),
        ((*POLICY, "ipd", "--levels", "10^9000"), ("10^4000 policies",)),
        (("bound", "--case", "window", "--game", "chicken", "--window", "10^9000"), ("10^4000 windows",)),
        ((*ABSTRACT, "--inner-steps", "0"), ("--inner-steps is 0: it must be from 1",)),
        (
            (*ABSTRACT, "--epsilon", "__import__('os').system('false')"),
            ("'--epsilon'", "is not a number; write 0.05 or 1/3"),
        ),
        ((*ABSTRACT, "--epsilon", "7"), ("epsilon is 7", "5")),
        ((*ABSTRACT, "--delta", "2"), ("delta must be",)),
        ((*ABSTRACT, "--discount", "1"), ("discount must be",)),
        (("bound", "--states", "9^99999", "--actions", "2", "--branching", "2"), ("too large", "digits")),
        (("bound", "--states", "10^100000", "--actions", "2", "--branching", "2"), ("too large", "digits")),
        (("bound", "--states", "exit()", "--actions", "2", "--branching", "2"), ("exit()", "4^3")),
        (("verify", "--statement", "P9"), ("P9", "choose among 'G1'", "'P2+'")),
        (("verify", "--instances", "0"), ("instances is 0",)),
        (("verify", "--instances", "-5"), ("'-5' is negative",)),
        (("verify", "--instances", "many"), ("many",)),
    ],
)
def test_bad_input_gets_one_line_that_says_how_to_mend_it(call, arguments, names):
    """Exit status 2, one line, no traceback."""
    status, out, err = call(*arguments)
    assert status == 2, err
    assert out == ""
    (line,) = [line for line in err.strip().splitlines() if "checking" not in line]
    for name in names:
        assert name in line


@pytest.mark.parametrize(
    ("text", "number"), [("64", 64), ("4^3", 64), ("007", 7), ("1^999999", 1), ("0^2", 0), ("5^0", 1), ("0^0", 1)]
)
def test_whole_numbers_are_read_with_powers(text, number):
    """Up to 10,000 digits; powers of 0 and 1 are never too large."""
    assert whole(text) == number


def test_verify_prints_a_table_and_json(as_json, tmp_path):
    """Every statement asked for, its instances, ratio, violations and verdict."""
    options = ("verify", "--instances", "20", "--statement", "P2+", "--statement", "N1", "--jobs", "1")
    result = here(*options, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    for piece in ("P2+: simulation lemma, sharp; ", "N1", "holds", "1.0000", "left/right"):
        assert piece in result.stdout
    found = as_json(*options)
    assert [s["id"] for s in found["statements"]] == ["P2+", "N1"]
    assert all(s["violations"] == 0 and s["verdict"] == "holds" for s in found["statements"])
    caught = as_json(*options, "--mutants")
    assert all(s["verdict"] == "caught" for s in caught["statements"])


def test_verify_ends_with_1_on_a_violation(tmp_path, monkeypatch):
    """A statement made false beforehand."""
    true = STATEMENTS["N1"]
    wrong = replace(true, sides=lambda instance, mutant: true.sides(instance, True))
    monkeypatch.setattr(verification, "STATEMENTS", MappingProxyType({"N1": wrong}))
    result = here("verify", "--instances", "50", "--jobs", "1", cwd=tmp_path)
    assert result.returncode == 1, result.stderr
    assert "VIOLATED" in result.stdout


def test_verify_lists_every_statement_with_its_title_and_source(as_json, call):
    """Nothing is run; the same as text, as JSON, and of those that are asked for."""
    status, text, _ = call("verify", "--list")
    assert status == 0
    found = as_json("verify", "--list")["statements"]
    assert [line["id"] for line in found] == list(STATEMENTS)
    assert {line["kind"] for line in found} == {"exact", "simulated", "false"}
    for line in found:
        assert f"{line['id']}: {line['title']} ({line['source']})" in text
        assert line["source"]
    assert {line["id"]: line["source"] for line in found}["P1, rewards"] == "P1; Hoeffding 1963, Theorem 2"
    assert [line["id"] for line in as_json("verify", "--list", "--statement", "P4")["statements"]] == ["P4"]


@pytest.mark.parametrize("option", [(), ("--mutants",)])
def test_a_code_is_never_printed_without_its_title(call, option):
    """In the table, below it, and where faults are named."""
    _, text, _ = call("verify", "--instances", "5", "--statement", "P2+", "--statement", "N1", "--jobs", "1", *option)
    for code in ("P2+", "N1"):
        lines = [line for line in text.splitlines() if re.search(rf"(?<![\w']){re.escape(code)}(?!\w)", line)]
        assert len(lines) == 2 + len(option)
        assert all(f"{code}: {STATEMENTS[code].title}" in line for line in lines)
