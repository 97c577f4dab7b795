"""The same MDP in another form, for comparisons."""

import naive
import numpy as np


def dense_of(mdp):
    """Return transitions (S, A, S) and expected rewards (S, A) of an MDP of any storage, from its rows."""
    transitions = np.zeros((mdp.n_states, mdp.n_actions, mdp.n_states))
    rewards = np.zeros((mdp.n_states, mdp.n_actions))
    for pair, row in naive.mdp_rows(mdp).items():
        for probability, reward, successor in row:
            transitions[*pair, successor] += probability
            rewards[pair] += probability * reward
    return transitions, rewards
