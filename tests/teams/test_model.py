"""Dec-POMDPs: what is wrong is named, with the place and the mend, and what is right is kept as it is."""

import numpy as np
import pytest
import scipy.sparse as sp
from team_brute import random_team

from rfos.planning.mdp import TabularMDP
from rfos.teams.model import DecPOMDP, joint_index, split_index
from rfos.teams.plan import plan

W = np.full((2, 4, 2, 4), 1 / 8)
R = np.zeros((2, 4))
GIVEN = {"W": W, "R": R, "n_actions": (2, 2), "n_observations": (2, 2), "horizon": 3}


def changed(place, value):
    table = W.copy()
    table[place] = value
    return table


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_actions": 2}, "n_actions is 2, not a sequence"),
        ({"n_actions": ()}, "n_actions is empty"),
        ({"n_actions": (2, 0)}, r"n_actions\[1\] is 0"),
        ({"n_observations": (2,)}, "n_actions are of 2 agents and n_observations of 1"),
        ({"horizon": 0}, "horizon is 0"),
        ({"horizon": 2.0}, "horizon is 2.0"),
        ({"discount": 1.5}, "discount is 1.5"),
        ({"discount": np.nan}, "discount is nan"),
        ({"R": np.zeros((2, 3))}, r"R has shape \(2, 3\)"),
        ({"R": [[0, 0, 0, np.inf], [0, 0, 0, 0]]}, r"the reward at \(0, 3\) is inf"),
        ({"W": W[:, :, :, :2]}, r"W has shape \(2, 4, 2, 2\), expected"),
        ({"W": changed((1, 2, 0, 0), 0.5)}, "the row of state 1 under joint action 2 sums to 1.375"),
        ({"W": changed((1, 2), 0.0)}, "the row of state 1 under joint action 2 sums to 0.0"),
        ({"W": changed((0, 3, 0, 0), -0.125)}, "W holds -0.125 in state 0 under joint action 3"),
        ({"W": changed((0, 3, 0, 0), np.nan)}, "W holds nan in state 0 under joint action 3"),
        ({"W": sp.csr_array((8, 7))}, r"W has shape \(8, 7\)"),
        ({"starts": [0.5, 0.6]}, "starts sum to 1.1"),
        ({"starts": [1.5, -0.5]}, r"starts holds 1.5 at \(0,\)"),
        ({"starts": [1.0]}, r"starts has shape \(1,\)"),
        ({"state_names": ("a",)}, "state_names are"),
        ({"action_names": (("a", "a"), ("b", "c"))}, "hold a name twice"),
        ({"observation_names": (("a", "b"),)}, "are of 1 agents, where there are 2"),
    ],
)
def test_what_is_wrong_is_named(change, message):
    """One sentence with place, value and mend."""
    with pytest.raises(ValueError, match=message):
        DecPOMDP(**(GIVEN | change))


def test_dense_and_sparse_tables_make_the_same_team():
    """Entries in any order, and those that come twice summed up."""
    team = random_team(np.random.default_rng(0))
    b = team.branches
    row = np.repeat(np.arange(12), np.diff(b.pointer))
    column = b.state * 4 + b.observation
    order = np.random.default_rng(1).permutation(len(row))
    twice = np.concatenate([order, order])
    sparse = sp.coo_array((b.probability[twice] / 2, (row[twice], column[twice])), (12, 12))
    again = DecPOMDP(sparse, team.rewards, (2, 2), (2, 2), 2, starts=team.starts)
    for one, two in zip(b, again.branches, strict=True):
        assert (one == two).all()


def test_tables_are_own_and_read_only():
    """A change of what was given changes nothing."""
    given = W.copy()
    team = DecPOMDP(**(GIVEN | {"W": given}))
    given[:] = 0
    assert (team.branches.probability == 1 / 8).all()
    for array in (*team.branches, team.rewards, team.starts):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0


def test_joint_numbers_are_split_as_they_were_joined():
    """The first agent's part is the highest digit."""
    sizes = (3, 2, 4)
    assert [joint_index(split_index(k, sizes), sizes) for k in range(24)] == list(range(24))
    assert split_index(8, sizes) == (1, 0, 0)


def test_an_mdp_is_a_team_of_one_and_back():
    """Its optimum is that of backward induction, and its centralised form is itself."""
    rng = np.random.default_rng(2)
    mdp = TabularMDP(rng.dirichlet(np.ones(3), (3, 2)), rng.normal(size=(3, 2)), 0.9)
    team = DecPOMDP.from_mdp(mdp, horizon=4)
    assert np.allclose(team.to_mdp().dense(), mdp.dense())
    full, own = plan(team, "full"), plan(team)
    assert own.converged
    assert own.lower <= full.upper
    assert full.lower <= own.upper
    with pytest.raises(ValueError, match="this is not an MDP"):
        random_team(rng).to_mdp()


def test_tables_of_moves_and_of_observations_are_multiplied():
    """W = P O, and rewards of next states are averaged."""
    rng = np.random.default_rng(3)
    P, O, R3 = rng.dirichlet(np.ones(2), (2, 4)), rng.dirichlet(np.ones(4), (4, 2)), rng.normal(size=(2, 4, 2))  # noqa: E741
    team = DecPOMDP.from_tables(P, O, R3, n_actions=(2, 2), n_observations=(2, 2), horizon=1)
    assert np.allclose(team.branches.probability.reshape(2, 4, 2, 4), np.einsum("sat,ato->sato", P, O))
    assert np.allclose(team.rewards, np.einsum("sat,sat->sa", P, R3))


def test_another_horizon_changes_nothing_else():
    """Names and tables stay."""
    team = random_team(np.random.default_rng(4), discount=0.5, first=True)
    longer = team.with_horizon(7)
    assert (longer.horizon, longer.discount, longer.has_first_observation) == (7, 0.5, True)
    assert (longer.branches.probability == team.branches.probability).all()
