"""`rfos bound --case team` as a user runs it."""

import json
import math
from fractions import Fraction

import pytest
from commands import here

from bounds import team_rungs, teams
from rfos.commands.bound_team import SPLITS

TIGER = ("bound", "--case", "team", "--states", "2", "--branching", "8", "--agent-actions", "3,3")
TIGER = (*TIGER, "--observations", "2,2", "--delta", "0.1")
FOUR = (*TIGER, "--horizon", "4", "--epsilon", "0.4")


@pytest.fixture
def call(tmp_path):
    """Status, standard output and standard error of a command run in this process."""

    def run(*arguments):
        done = here(*arguments, cwd=tmp_path)
        return done.returncode, done.stdout, done.stderr

    return run


@pytest.fixture
def as_json(call):
    def run(*arguments):
        status, out, err = call(*arguments, "--json")
        assert status == 0, err
        return json.loads(out)

    return run


def test_team_prints_what_the_bounds_say(as_json):
    """Dec-Tiger, four steps: m and N of M2 and M5, the three rungs, and the lock."""
    found = as_json(*FOUR)
    point = {"n_rows": 19, "branching": 8, "horizon": 4, "epsilon": "2/5", "delta": "1/10", "episode_discount": 1}
    for name, family in (("M2", teams.m2()), ("M5", teams.m5())):
        wanted = family.evaluate(**point, **SPLITS[name])
        for part in ("m", "accuracy", "escape"):
            assert found["theorems"][name][part]["value"] == pytest.approx(float(wanted[part]))
        assert found["theorems"][name]["episodes"]["value"] == wanted["episodes"]
    assert {name: round(e["log10"], 1) for name, e in found["rungs"].items()} == {
        "enumeration": 18.2,
        "reuse": 8.3,
        "centralised": 7.3,
    }
    assert found["rungs"]["centralised"]["value"] == found["theorems"]["M5"]["episodes"]["value"]
    lock = team_rungs.m6a().evaluate(n_actions=9, horizon=4, episodes=1)
    assert {name: cell["value"] for name, cell in found["lock"].items()} == {
        name: lock[name] for name in ("blind", "hindsight", "generic")
    }
    assert found["point"]["policies_log10"] == pytest.approx(30 * math.log10(3))


def test_parts_of_each_bound_add_up_and_elasticities_are_powers(as_json):
    """Shares sum to the logarithm; the episodes grow with ε^-3 nearly, enumeration as |Π| does."""
    found = as_json(*FOUR)
    entries = [e["episodes"] for e in found["theorems"].values()] + list(found["rungs"].values())
    for e in entries:
        assert sum(e["parts"].values()) == pytest.approx(e["log10"], abs=1e-9)
    assert found["theorems"]["M5"]["episodes"]["elasticities"]["epsilon"] == pytest.approx(-3, abs=0.1)
    slope = found["rungs"]["enumeration"]["elasticities"]["log_policies"]
    policies = found["point"]["policies_log10"] * math.log(10)
    assert slope == pytest.approx(policies + policies / (policies + math.log(20)), rel=1e-6)


@pytest.mark.parametrize(("horizon", "cheapest"), [(2, "reuse"), (3, "reuse"), (4, "centralised"), (6, "centralised")])
def test_team_says_which_way_is_cheapest_and_where_they_cross(as_json, horizon, cheapest):
    """From four steps on it is the centralised model; the crossing does not depend on the horizon asked about."""
    found = as_json(*TIGER, "--horizon", str(horizon), "--epsilon", str(Fraction(horizon, 10)))
    assert (found["cheapest"], found["crossing"]) == (cheapest, 4)


def test_the_finer_the_later_the_model_is_cheapest(as_json):
    """M5 grows with ε^-3 and reuse with ε^-2: at 0.01 % of the range they cross at six steps and not at four."""
    assert as_json(*TIGER, "--horizon", "4", "--epsilon", "0.0004")["crossing"] == 6


def test_what_cannot_be_avoided_is_printed_where_a_tree_fits(as_json, call):
    """12 states hold a root, nine leaves, a good and a bad state: M6b at depth 1; two hold none."""
    many = (*FOUR, "--states", "12", "--horizon", "10", "--epsilon", "0.5", "--delta", "0.05")
    point = {"n_actions": 9, "horizon": 10, "epsilon": "1/2", "delta": "1/20"}
    found = as_json(*many)["tree"]
    assert found["depth"] == 1
    assert found["value"] == pytest.approx(team_rungs.m6b().evaluate(**point, depth=1))
    assert "(M6b): at least 6938 episodes, depth 1" in call(*many)[1]
    assert as_json(*FOUR)["tree"] is None


def test_team_prints_tables(call):
    """Theorems, rungs, the crossing, the lock, elasticities and factors; the source is never called the paper's."""
    status, text, err = call(*FOUR)
    assert status == 0, err
    for piece in ("M5+", "cheapest is: centralised", "from 4 steps on", "6,561 episodes", "elasticity", "derived here"):
        assert piece in text


def test_rewards_of_any_range_are_scaled(as_json):
    """ε = 48.4 at R_max = 121 is ε = .4 at 1; errors come back in units of reward."""
    one, large = as_json(*FOUR), as_json(*TIGER, "--horizon", "4", "--epsilon", "48.4", "--r-max", "121")
    assert one["theorems"]["M5"]["episodes"]["value"] == large["theorems"]["M5"]["episodes"]["value"]
    assert large["model"]["error"] == pytest.approx(121 * one["model"]["error"])


def test_discount_is_one_unless_given(as_json):
    """With a discount the episodes are fewer at the same ε."""
    plain, less = as_json(*FOUR), as_json(*FOUR, "--discount", "0.5")
    assert (plain["point"]["discount"], less["point"]["discount"]) == ("1", "0.5")
    assert less["theorems"]["M5"]["episodes"]["value"] < plain["theorems"]["M5"]["episodes"]["value"]


@pytest.mark.parametrize(
    ("arguments", "pieces"),
    [
        (TIGER, ("--horizon not given",)),
        (("bound", "--case", "team"), ("--states, --branching, --horizon not given",)),
        ((*FOUR, "--actions", "8"), ("--actions is 8", "9 joint actions")),
        ((*FOUR, "--game", "chicken"), ("--game does not go with --case team",)),
        ((*FOUR, "--latex"), ("--latex does not go with --case team",)),
        ((*FOUR, "--horizon", "0"), ("--horizon is 0", "from 1")),
        ((*FOUR, "--branching", "9"), ("--branching is 9", "|S||O| = 8")),
        ((*FOUR, "--observations", "2"), ("2 agents", "of 1")),
        ((*FOUR, "--observations", "2,0"), ("--observations is '2,0'", "at least 1")),
        ((*FOUR, "--epsilon", "4"), ("epsilon is 4", "largest return 4")),
        ((*FOUR, "--discount", "1.5"), ("--discount is 1.5", "(0, 1]")),
        ((*FOUR, "--horizon", "2000"), ("--horizon 2000", "10^300 histories")),
        ((*FOUR, "--r-max", "0"), ("--r-max is 0",)),
        (("bound", "--states", "4", "--actions", "2", "--branching", "2", "--horizon", "3"), ("--horizon is for",)),
    ],
)
def test_wrong_requests_are_refused_in_one_sentence(call, arguments, pieces):
    """Status 2 or 1, nothing on standard output, and a message that names the option."""
    status, out, err = call(*arguments)
    assert status != 0
    assert not out
    for piece in pieces:
        assert piece in err
