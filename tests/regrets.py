"""How far a profile is from an equilibrium."""

import numpy as np


def worst_regret(payoffs, strategies):
    """Largest gain by another action, as a share of the span of the player's payoffs, by summing over profiles."""
    shares = []
    for i, own in enumerate(payoffs):
        joint = np.ones(own.shape)
        for j, strategy in enumerate(strategies):
            joint = joint * np.moveaxis(strategy.reshape(-1, *[1] * (own.ndim - 1)), 0, j) if j != i else joint
        earned = np.moveaxis(own * joint, i, 0).reshape(own.shape[i], -1).sum(axis=1)
        shares.append((earned.max() - earned @ strategies[i]) / np.ptp(own))
    return max(shares)
