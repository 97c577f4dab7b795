"""What a learner has counted about a team problem, and the models that follow from it (M0, M1)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp

from rfos._kernels.team_play import Tally, play_team
from rfos._system import checks
from rfos._system.arrays import Bool, Float, Int, freeze, hand_over
from rfos._system.randomness import Seed, stream
from rfos.teams.model import DecPOMDP
from rfos.teams.policies import TeamPolicy
from rfos.teams.world import Layout, Rewards, layout, start_branches, tree_numbers

MOST_VISITS = 2**62
"""Largest m: counts are 64-bit integers."""


@dataclass(frozen=True, eq=False)
class Counts:
    """Counts of a team problem, frozen where a row is known, and the models that are made of them.

    A row is a pair (state, joint action), or the pairs that are declared to share their law; the last one is the start
    pair. A row is known once it has `m` visits.

    Attributes
    ----------
    team : DecPOMDP
        Sizes, horizon and rewards are taken from it; of its laws only the start where `known_start`.
    layout : Layout
    m : int
    known_start : bool
        Whether the law of an episode's beginning is known.
    visits, known_at : ndarray of int64, shape (rows,)
        Visits, at most m; the episode in which a row became known, from 1 on, 0 before.
    seen : ndarray of int64, shape (slots,)
        How often each successor (next state, joint observation) of a row was seen.
    paid : ndarray of int64, shape (rows,), or (0,)
        Visits that paid the largest reward, where rewards are sampled.
    """

    team: DecPOMDP
    layout: Layout
    m: int
    known_start: bool
    visits: Int
    seen: Int
    paid: Int
    known_at: Int

    @cached_property
    def known(self) -> Bool:
        """Which rows are known, shape (rows,)."""
        known: Bool = self.visits >= self.m
        known[-1] |= self.known_start
        freeze(known)
        return known

    @property
    def n_known(self) -> int:
        """Number of known rows, without the start's where its law is given."""
        return int(np.count_nonzero(self.known)) - self.known_start

    @property
    def n_rows(self) -> int:
        """Number of rows to be learned, |Z|."""
        return self.layout.n_rows - self.known_start

    @property
    def reward_estimates(self) -> Float:
        """Mean reward of each pair as far as it is known, shape (S, A): the true one unless rewards are sampled."""
        if not len(self.paid):
            return self.team.rewards
        low, high = self.team.reward_range
        share = self.paid / np.maximum(self.visits, 1)
        estimate: Float = (low + (high - low) * share)[self.layout.rows.row[:-1]]
        return estimate.reshape(self.team.rewards.shape)

    def known_from(self, least: int | None = None) -> Bool:
        """Return which rows count as known where `least` visits are enough, shape (rows,); default m."""
        if least is None or least >= self.m:
            return self.known
        known: Bool = self.visits >= least
        known[-1] |= self.known_start
        return known

    def tally(self, least: int | None = None) -> Tally:
        """Return the counts as kernels read them, rows being known from `least` visits on; default m."""
        visits = self.visits.copy()
        if self.known_start:
            visits[-1] = self.m
        freeze(visits)
        return Tally(visits, self.seen, self.paid, self.known_at, self.m if least is None else min(least, self.m))

    def model(self, unknown: float, *, rewards: object = None, least: int | None = None) -> DecPOMDP:
        """Return the empirical model of what is known; the rest leads to an absorbing state.

        Parameters
        ----------
        unknown : float
            Reward per step of an unknown pair and of the absorbing state, which is the last state of the model. The
            absorbing state shows observation 0 to all.
        rewards : array_like of float, shape (S, A), optional
            Of known pairs; default the known or estimated ones.
        least : int, optional
            Visits from which on a pair counts as known; default m.

        Returns
        -------
        DecPOMDP
            With S + 1 states.

        Examples
        --------
        Nothing is known: all is worth what an unknown pair pays.

        >>> from rfos.teams.evaluate import evaluate
        >>> from rfos.teams.policies import constant_policy
        >>> team = DecPOMDP(np.full((2, 2, 2, 1), 0.5), np.zeros((2, 2)), (2,), (1,), horizon=3)
        >>> model = Experience(team, m=1, rng=0).counts().model(1.0)
        >>> model.n_states, evaluate(model, constant_policy(model, (0,))).value
        (3, 3.0)
        """
        team, rows = self.team, self.layout.rows
        n_states, n_actions, n_seen = team.n_states, team.n_joint_actions, team.n_joint_observations
        known = self.known_from(least)
        pair_known = known[rows.row[:-1]]
        width = np.where(pair_known, self.layout.widths[rows.row[:-1]], 1)
        pair = np.repeat(np.arange(len(pair_known)), width)
        offset = np.arange(len(pair)) - np.repeat(np.cumsum(width) - width, width)
        slot = np.where(pair_known[pair], rows.pointer[rows.row[pair]] + offset, 0)
        state = np.where(pair_known[pair], rows.state[slot], n_states)
        observation = np.where(pair_known[pair], self.layout.slot_observation[slot], 0)
        share = np.where(pair_known[pair], self.seen[slot] / np.maximum(self.visits[rows.row[pair]], 1), 1.0)
        absorbing = np.arange(n_actions) + n_states * n_actions
        matrix = sp.csr_array(
            (
                np.append(share, np.ones(n_actions)),
                (
                    np.append(pair, absorbing),
                    np.append(state * n_seen + observation, np.full(n_actions, n_states * n_seen)),
                ),
            ),
            ((n_states + 1) * n_actions, (n_states + 1) * n_seen),
        )
        paid = np.full((n_states + 1, n_actions), float(unknown))
        own = self.reward_estimates if rewards is None else np.asarray(rewards, np.float64)
        paid[:-1] = np.where(pair_known.reshape(n_states, n_actions), own, unknown)
        return DecPOMDP(
            matrix,
            hand_over(paid),
            team.n_actions,
            team.n_observations,
            team.horizon,
            team.discount,
            starts=hand_over(self._starts(bool(known[-1]))),
            name=f"{team.name or 'team'}, learned",
            action_names=team.action_names,
            observation_names=team.observation_names,
        )

    def _starts(self, known: bool) -> Float:
        """Return the law of the beginning in a model: true, estimated, or all in the absorbing state."""
        team = self.team
        law = np.zeros((team.n_states + 1, team.n_joint_observations if team.has_first_observation else 1))
        state, observation, probability = start_branches(team)
        if self.known_start:
            law[state, observation] = probability
        elif known:
            law[state, observation] = self.seen[self.layout.rows.pointer[-2] :] / self.visits[-1]
        else:
            law[-1, 0] = 1.0
        return law if team.has_first_observation else law[:, 0].copy()

    def error(self, least: int | None = None) -> tuple[float, float]:
        """Return the largest total variation of a known row from its true law, and the largest error of its reward.

        Known are rows with `least` visits, default m.

        It looks at what a learner cannot see: to compare the errors that the theory allows with those that occur.
        """
        team, rows = self.team, self.layout.rows
        law = np.append(team.branches.probability, start_branches(team)[2])
        pointer = self.layout.world.pointer[self.layout.pair]
        width = self.layout.widths
        offset = np.arange(len(self.seen)) - np.repeat(rows.pointer[:-1], width)
        true = law[np.repeat(pointer, width) + offset]
        share = self.seen / np.repeat(np.maximum(self.visits, 1), width)
        total = np.add.reduceat(np.abs(share - true), rows.pointer[:-1]) / 2
        learned = self.known_from(least).copy()
        if self.known_start:
            learned[-1] = False
        apart = np.abs(self.reward_estimates - team.rewards).ravel()[learned[rows.row[:-1]]]
        return float(total[learned].max(initial=0.0)), float(apart.max(initial=0.0))


class Experience:
    """A learner at work: episodes are played and counted; `counts` is what it has by then.

    Parameters
    ----------
    team : DecPOMDP
    m : int
        Visits after which a row is known and its estimates are frozen.
    row_keys : array_like of int, shape (S*A,), optional
        Pairs of one key share a row (M8-pool).
    known_start : bool
        Whether the law of an episode's beginning is known; else it is a row too.
    rewards : {"known", "sampled"}
    rng : int, SeedSequence, Generator or None

    Examples
    --------
    >>> team = DecPOMDP(np.full((2, 2, 2, 1), 0.5), np.zeros((2, 2)), (2,), (1,), horizon=3)
    >>> experience = Experience(team, m=1, rng=0)
    >>> experience.play(until=1), experience.episodes, int(experience.counts().visits[-1])
    (True, 1, 1)
    """

    def __init__(
        self,
        team: DecPOMDP,
        *,
        m: int,
        row_keys: object = None,
        known_start: bool = False,
        rewards: Rewards = "known",
        rng: Seed = None,
    ) -> None:
        """Check everything, before any episode."""
        checks.kind("team", team, DecPOMDP, mend="DecPOMDP(W, R, ...) or a task of rfos.teams.tasks makes one")
        self.m = checks.whole("m", m, 1, MOST_VISITS)
        self.team, self.known_start = team, bool(known_start)
        self.layout = layout(team, row_keys, rewards)
        rows = self.layout.n_rows
        self._tally = Tally(
            np.zeros(rows, np.int64),
            np.zeros(len(self.layout.slot_observation), np.int64),
            np.zeros(rows if rewards == "sampled" else 0, np.int64),
            np.zeros(rows, np.int64),
            self.m,
        )
        if self.known_start:
            self._tally.visits[-1] = self.m
        self._stream = stream(rng)
        self._position = np.zeros(1, np.int64)

    @property
    def episodes(self) -> int:
        """Episodes played."""
        return int(self._position[0])

    def play(self, policy: Int | TeamPolicy | None = None, *, until: int) -> bool:
        """Play episodes until one in which a row became known has ended, or there are `until`.

        Parameters
        ----------
        policy : ndarray of int64, shape (H, S), or TeamPolicy, optional
            The joint action at each step in each state, -1 for the one that was taken least there; or trees; default:
            joint actions are drawn uniformly.
        until : int
            Number of the last episode, counted from the first one played.

        Returns
        -------
        bool
            Whether a row became known.
        """
        trees = tree_numbers(self.team, policy) if isinstance(policy, TeamPolicy) else None
        markov = np.empty((0, 0), np.int64)
        if policy is not None and not isinstance(policy, TeamPolicy):
            markov = self._checked(policy)
        return bool(play_team(self.layout.world, markov, trees, self._tally, self._stream, self._position, until))

    def _checked(self, policy: Int) -> Int:
        shape = (self.team.horizon, self.team.n_states)
        own = np.array(policy, np.int64, order="C")
        if own.shape != shape or own.min() < -1 or own.max() >= self.team.n_joint_actions:
            raise ValueError(
                f"the policy has shape {own.shape} and joint actions {own.min(initial=0)} to {own.max(initial=0)}: "
                f"give shape {shape} and joint actions 0 to {self.team.n_joint_actions - 1}"
            )
        return own

    def counts(self) -> Counts:
        """Return what has been counted by now."""
        tally = self._tally
        own = [part.copy() for part in (tally.visits, tally.seen, tally.paid, tally.known_at)]
        for part in own:
            freeze(part)
        visits, seen, paid, known_at = own
        if self.known_start:
            visits = visits.copy()
            visits[-1] = 0
            freeze(visits)
        return Counts(self.team, self.layout, self.m, self.known_start, visits, seen, paid, known_at)
