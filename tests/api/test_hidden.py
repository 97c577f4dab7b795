"""Opponents with a hidden state: what kernels play, the MDP of a shaper who sees it, the automata of the package."""

import itertools
import math

import numpy as np
import pytest
from agents import PythonRmax

import rfos
from rfos.laboratory.reproduction.yardsticks import best_window_policy, full_information
from rfos.learning.theorems import Assumption
from rfos.metagames.automata import (
    AUTOMATA,
    Automaton,
    fictitious_player,
    from_table,
    generous_tit_for_tat,
    grim_trigger,
    tit_for_two_tats,
    tsetlin,
)
from rfos.metagames.opponents import Always

DILEMMA = rfos.named_game("standard-prisoners-dilemma")
PENNIES = rfos.named_game("matching-pennies")
THREE = rfos.named_game("three-player-matching-pennies")


def met(opponent, game=DILEMMA, **options):
    return rfos.WindowMetaGame(game, opponent, **{"window": 1, "discount": 0.9, "horizon": 6, **options})


class Coin:
    """Plays .3, .7 in each window."""

    def probabilities(self, game, player, index):
        return np.tile([0.3, 0.7], (index.n_states, 1))


def test_with_one_state_the_game_is_that_of_a_constant_opponent():
    """Play, counts and rewards, byte for byte: the automaton draws what the window's law draws."""
    mixed = Automaton([[0.3, 0.7]], [[0, 0, 0, 0]])
    agent, options = rfos.Rmax(m=5, epsilon=0.1), {"steps": 2000, "bins": 9, "rng": 4}
    ours = rfos.run(met(mixed), agent, **options)
    theirs = rfos.run(met(Coin()), agent, **options)
    for field in ("mean_reward", "visits", "branch_counts", "policy", "known_at"):
        assert getattr(ours, field).tobytes() == getattr(theirs, field).tobytes()


@pytest.mark.parametrize("name", AUTOMATA)
def test_kernels_play_what_a_loop_of_python_plays(name):
    """For each automaton of the package, restarts included."""
    process, options = met(AUTOMATA[name](DILEMMA)), {"steps": 1500, "bins": 5, "rng": 8}
    ours = rfos.run(process, rfos.Rmax(m=6, epsilon=0.1), **options)
    own = rfos.run(process, PythonRmax(m=6), **options)
    for field in ("mean_reward", "visits", "branch_counts", "policy"):
        assert getattr(ours, field).tobytes() == getattr(own, field).tobytes()


def test_two_hidden_opponents_are_one_automaton():
    """Their replies are drawn independently, and each takes its own next state."""
    opponents = [tsetlin(THREE, 1, depth=2), tsetlin(THREE, 2, depth=3)]
    process = met(opponents, THREE)
    hidden = process.hidden
    assert hidden.n_states == 4 * 6
    for x in range(hidden.n_states):
        first, second = divmod(x, 6)
        expected = np.outer(opponents[0].play[first], opponents[1].play[second]).ravel()
        assert (hidden.play[x] == expected).all()
        pairs = opponents[0].following[first] * 6 + opponents[1].following[second]
        assert (hidden.following[x] == pairs).all()
    own = rfos.run(process, PythonRmax(m=3), steps=800, rng=1)
    assert own.visits.tobytes() == rfos.run(process, rfos.Rmax(m=3, epsilon=0.1), steps=800, rng=1).visits.tobytes()


def test_the_informed_shaper_alternates_against_tit_for_two_tats():
    """She earns T, R, T, R, ...: V* = (T + discount R)/(1 - discount^2) where one defection is forgiven."""
    process = met(tit_for_two_tats(), horizon=None)
    mdp = process.to_mdp(informed=True)
    found = rfos.solve(mdp, tol=1e-10)
    payoffs = DILEMMA.payoffs[0]
    reward, temptation = payoffs[0, 0], payoffs[1, 0]
    by_hand = (temptation + 0.9 * reward) / (1 - 0.81)
    for window in range(4):
        assert found.lower[window * 3] - 1e-9 <= by_hand <= found.upper[window * 3] + 1e-9
        assert found.policy[window * 3 : window * 3 + 2].tolist() == [1, 0]


@pytest.mark.parametrize("discount", [0.2, 0.9])
def test_the_informed_shaper_cooperates_with_a_grim_trigger_if_she_is_patient(discount):
    """R/(1 - discount) against T + discount P/(1 - discount), whichever is more; after a defection P for ever."""
    mdp = met(grim_trigger(), horizon=None, discount=discount).to_mdp(informed=True)
    found = rfos.solve(mdp, tol=1e-10)
    (reward, _), (temptation, punishment) = DILEMMA.payoffs[0].tolist()
    trusted, lost = reward / (1 - discount), punishment / (1 - discount)
    assert found.value[1::2] == pytest.approx(lost, abs=1e-9)
    assert found.value[0::2] == pytest.approx(max(trusted, temptation + discount * lost), abs=1e-9)
    assert (found.policy[0] == 0) == (trusted > temptation + discount * lost) == (discount == 0.9)


@pytest.mark.parametrize("generosity", [0.1, 0.9])
def test_the_informed_shaper_exploits_too_much_generosity(generosity):
    """By hand: the best of always C, always D and alternation, the three policies that are not dominated."""
    mdp = met(generous_tit_for_tat(generosity), horizon=None).to_mdp(informed=True)
    (reward, sucker), (temptation, punishment) = DILEMMA.payoffs[0].tolist()
    best = []
    for after_c, after_d in ((0, 0), (1, 1), (1, 0)):  # what she does where it met C, and where it met D
        rewards, moves = [], np.zeros((2, 2))
        for x, action in enumerate((after_c, after_d)):
            p = (1.0, generosity)[x]
            rewards.append(p * (reward, temptation)[action] + (1 - p) * (sucker, punishment)[action])
            moves[x, action] = 1
        best.append(np.linalg.solve(np.eye(2) - 0.9 * moves, rewards)[0])
    assert rfos.solve(mdp, tol=1e-10).value[0] == pytest.approx(max(best), abs=1e-9)
    assert best.index(max(best)) == (0 if generosity == 0.1 else 1)


def test_the_informed_shaper_takes_every_penny_of_a_fictitious_player():
    """She knows its reply, a pure one, and matches it: 1 a step, 1/(1 - discount) in all."""
    low, high = PENNIES.payoffs[0].min(), PENNIES.payoffs[0].max()
    for memory in (1, 3):
        mdp = met(fictitious_player(PENNIES, memory=memory), PENNIES, horizon=None).to_mdp(informed=True)
        found = rfos.solve(mdp, tol=1e-10)
        assert low < high
        assert found.value == pytest.approx(high / 0.1, abs=1e-8)


def test_the_informed_mdp_is_what_kernels_play():
    """The mean reward of a policy of windows, against its exact mean over the MDP's own starts, within 5 sigma."""
    process = met(generous_tit_for_tat(0.25), horizon=4)
    mdp, actions = process.to_mdp(informed=True), np.array([0, 1, 1, 0])
    trace = rfos.run(process, _Fixed(actions), steps=40_000, rng=3)
    law, mean = mdp.starts, 0.0
    dense = np.zeros((8, 8))
    rewards = np.zeros(8)
    for window in range(4):
        for x in range(2):
            s = window * 2 + x
            dense[s] = _row(mdp, s, actions[window])
            rewards[s] = mdp.rewards[s, actions[window]]
    for _ in range(4):
        mean += law @ rewards / 4
        law = law @ dense
    assert abs(trace.mean_reward.mean() - mean) < 5 * 3 / math.sqrt(10_000)


def _row(mdp, state, action):
    successor, probability, _ = mdp.storage.branches(mdp.finite_rewards)
    row = np.zeros(mdp.n_states)
    np.add.at(row, successor[state * 2 + action], probability[state * 2 + action])
    return row


def mean_rewards(process):
    """Mean reward per step of each deterministic window policy, exactly: laws of window and state, step by step."""
    informed, n_hidden = process.to_mdp(informed=True), process.hidden.n_states
    dense, here = informed.dense(), np.arange(informed.n_states)
    found = {}
    for actions in itertools.product(range(process.n_actions), repeat=process.n_states):
        played = np.repeat(actions, n_hidden)
        law, total = np.array(informed.starts), 0.0
        for _ in range(process.horizon):
            total += law @ informed.rewards[here, played]
            law = law @ dense[here, played]
        found[actions] = total / process.horizon
    return found


@pytest.mark.jit
@pytest.mark.parametrize(
    "opponent",
    [Automaton([[1.0, 0.0]], [[0] * 4]), tit_for_two_tats(), generous_tit_for_tat(0.25), grim_trigger()],
    ids=["always cooperate", "two tats", "generous", "grim"],
)
def test_the_best_window_policy_is_found_against_the_hidden_state(opponent):
    """Exactly, by enumeration in the informed MDP; the estimate has a sampling error of its own."""
    process = met(opponent, horizon=10)
    best = max(mean_rewards(process).values())
    found = best_window_policy(process, rng=3)
    assert found.low <= found.reward <= found.high
    assert found.high - found.low < 0.01
    assert abs(found.reward - best) < 0.005


@pytest.mark.jit
def test_the_best_window_policy_of_a_certain_opponent_is_right_to_the_last_digit():
    """Who always cooperates pays the defector 1 a step in the game scaled to [0, 1]."""
    process = met(Automaton([[1.0, 0.0]], [[0] * 4]), game=rfos.named_game("prisoners-dilemma"), horizon=10)
    found = best_window_policy(process)
    assert (found.low, found.reward, found.high) == (1.0, 1.0, 1.0) == (max(mean_rewards(process).values()),) * 3
    with pytest.raises(ValueError, match=r"the opponents are automata.*solve to_mdp\(informed=True\) instead"):
        full_information(process)


class _Fixed:
    """Plays one action in each window."""

    def __init__(self, actions):
        self.actions = actions

    def begin(self, environment, rng):
        return self

    def act(self, state):
        return int(self.actions[state])

    def observe(self, *step):
        return False

    def policy(self):
        return self.actions


def test_values_of_the_informed_mdp_are_what_kernels_earn():
    """A policy of windows, lifted: its certified value from the starts, within 5 sigma of discounted episodes."""
    process, steps = met(generous_tit_for_tat(0.25), horizon=40, discount=0.5), 40_000
    mdp, actions = process.to_mdp(informed=True), np.array([0, 1, 1, 0])
    found = rfos.evaluate_policy(mdp, np.repeat(actions, 2))
    trace = rfos.run(process, _Fixed(actions), steps=steps, bins=steps, rng=7)
    returns = trace.mean_reward.reshape(-1, 40) @ 0.5 ** np.arange(40)
    low, high = (float(mdp.starts @ ends) for ends in (found.lower, found.upper))
    margin = 5 * returns.std() / math.sqrt(len(returns)) + 6 * 0.5**40
    assert low - margin < returns.mean() < high + margin
    assert margin < 0.3


def test_a_window_hides_the_state_and_the_result_says_so():
    """No theorem covers it, V* is not defined over windows, and the informed MDP is named."""
    process = met(grim_trigger())
    assert not process.is_markov
    assert "state is hidden" in rfos.run(process, rfos.Rmax(m=2), steps=5).coverage.reason
    assert rfos.aliasing(process).kappa == (1.0, 1.0)
    assert rfos.ledger(process, rfos.Rmax(m=2), epsilon=0.5, episodes=5, rng=1).fails is Assumption.MARKOV
    with pytest.raises(ValueError, match=r"hidden.*to_mdp\(informed=True\)"):
        process.to_mdp()
    with pytest.raises(ValueError, match="informed=True is for opponents with a hidden state"):
        met(Always(0)).to_mdp(informed=True)


def test_a_ledger_without_a_count_says_why():
    """The reason where no theorem covers it, that the state is hidden where the reason is another, else the title."""
    process = met(grim_trigger())
    options = {"epsilon": 0.5, "episodes": 50, "rng": 1}
    hidden = "opponent's state is hidden"
    said = repr(rfos.ledger(process, rfos.Rmax(m=2), **options))
    assert said.endswith(": the meta-game is not an MDP (X6 applies; M9, where training sees that state)")
    said = repr(rfos.ledger(process, PythonRmax(m=2), **options))
    assert "no theorem of this package covers an agent of one's own; there is no count, for the opponent's" in said
    assert said.count(hidden) == 1
    said = repr(rfos.ledger(process.to_mdp(informed=True), rfos.Rmax(m=1), epsilon=0.5, steps=50, rng=1))
    assert said.endswith(
        "T1' is R-max in a deterministic MDP: at most min(H, |S|) bad steps for each pair, with certainty"
    )


def test_automata_do_what_their_names_say():
    """By hand, step by step."""

    def replies(automaton, shaper):
        x, found = automaton.start, []
        for a in shaper:
            b = int(automaton.play[x].argmax())
            found.append(b)
            x = automaton.following[x, a * 2 + b]
        return found

    assert replies(tit_for_two_tats(), [1, 0, 1, 1, 1, 0, 0]) == [0, 0, 0, 0, 1, 1, 0]
    assert replies(grim_trigger(), [0, 1, 0, 0]) == [0, 0, 1, 1]
    assert replies(from_table(1, [0, 0, 1, 1]), [1, 0, 1]) == [0, 1, 0]
    # Memory 2, defects only where the shaper defected in both steps: tit for two tats once more.
    table = [int(first >= 2 and second >= 2) for first in range(4) for second in range(4)]
    assert replies(from_table(2, table), [1, 0, 1, 1, 1, 0, 0]) == [0, 0, 0, 0, 1, 1, 0]
    # In matching pennies player 1 differs from what the shaper did most.
    assert replies(fictitious_player(PENNIES, memory=3), [0, 0, 1, 1, 1]) == [0, 1, 1, 1, 0]
    # Tsetlin in the dilemma, aspiration the mean payoff: defection of the shaper is below it.
    assert replies(tsetlin(DILEMMA, depth=2), [0, 1, 1, 1]) == [0, 0, 0, 1]
    assert generous_tit_for_tat(0.25).play.tolist() == [[1.0, 0.0], [0.25, 0.75]]


class Wrong(Automaton):
    """An automaton of a user, with a mistake in it."""


WRONG = {
    "rows": (([[0.6, 0.6], [1, 0]], np.zeros((2, 4), int)), r"player 1 \(Wrong\) plays \[0.6, 0.6\] in state 0"),
    "columns": (
        ([[1, 0]], np.zeros((1, 2), int)),
        r"int64 and shape \(1, 2\): give integers of shape \(1, 4\)",
    ),
    "range": (([[1, 0]], [[0, 0, 7, 0]]), "in state 0 after joint action 2 is 7: give a state from 0 to 0"),
    "start": (([[1, 0]], [[0] * 4], 3), "start of the opponent of player 1 .* is 3: give a state from 0 to 0"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_a_hidden_opponent_returns_is_checked(case):
    """One sentence that names the opponent, the state and the value."""
    tables, message = WRONG[case]
    with pytest.raises(ValueError, match=message):
        rfos.run(met(Wrong(*tables)), rfos.Rmax(m=1), steps=5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Automaton(3, [[0] * 4]), r"have shapes \(\) and \(1, 4\): give \(states, own actions\)"),
        (lambda: tsetlin(DILEMMA, "x"), "player is 'x': give a whole number from 1 to 1"),
        (lambda: tsetlin(DILEMMA, depth=0), "depth is 0: give a whole number from 1 to 10000"),
        (lambda: tsetlin(DILEMMA, aspiration="x"), "aspiration is 'x': give a payoff, or None"),
        (lambda: generous_tit_for_tat(1.5), "generosity is 1.5: give a number from 0 to 1"),
        (lambda: from_table(1, [0, 1]), r"table has shape \(2,\) .* give 4 actions, 0 or 1, for memory 1"),
        (lambda: from_table(11, [0]), "memory is 11: give a whole number from 1 to 10"),
        (lambda: fictitious_player(THREE), "three-player.* has 3 players: a fictitious player replies to one other"),
        (lambda: fictitious_player(DILEMMA, exploration=2), "exploration is 2: give a number from 0 to 1"),
    ],
)
def test_automata_that_cannot_be_are_refused(make, message):
    """Each message names the value and what is expected."""
    with pytest.raises(ValueError, match=message):
        make()


class Stateless:
    """Has a next state, and no start."""

    n_states = 1

    def probabilities(self, game, player):
        return [[1.0, 0.0]]

    def next_state(self, game, player):
        return [[0] * 4]


def test_an_opponent_that_lacks_a_part_is_refused_when_the_game_is_made():
    """The part is named, and what to give."""
    with pytest.raises(TypeError, match=r"player 1 .*\(it has no start\): give n_states, start, probabilities"):
        met(Stateless())
    with pytest.raises(TypeError, match=r"player 1 is the class Automaton"):
        met(Automaton)


def test_what_does_not_fit_is_refused_before_it_is_built(monkeypatch):
    """An automaton of a million states, an informed meta-game, the list of what a window hides."""
    many = from_table(9, np.zeros(4**9, int))
    monkeypatch.setattr("rfos._system.memory.available_bytes", lambda: 10**7)
    with pytest.raises(MemoryError, match=r"the states of the opponent of player 1 \(Automaton\) needs? [\d,]+ bytes"):
        rfos.run(met(many), rfos.Rmax(m=1), steps=5)
    with pytest.raises(MemoryError, match=r"the informed meta-game needs .* choose a shorter window"):
        met(tit_for_two_tats(), window=7).to_mdp(informed=True)
    with pytest.raises(MemoryError, match="hidden states needs"):
        rfos.aliasing(met(tit_for_two_tats(), window=8))


def test_opponents_of_several_kinds_are_refused():
    """All are learners, or automata, or functions of the window."""
    with pytest.raises(ValueError, match="some are automata with a hidden state and some are functions of the window"):
        met([tsetlin(THREE, 1), Coin()], THREE)


def test_a_run_is_taken_up_with_the_hidden_state(monkeypatch):
    """Left after each plan and taken up again: the bytes of the undisturbed run."""
    from rfos._system.checkpoints import Checkpoint, Unfinished

    process, agent = met(tsetlin(DILEMMA, depth=4), horizon=None), rfos.Rmax(m=4, epsilon=0.1)
    whole, state = rfos.run(process, agent, steps=900, rng=6), None
    for _ in range(100):
        try:
            found = rfos.run(process, agent, steps=900, rng=6, checkpoint=Checkpoint(0.0, state))
            break
        except Unfinished as left:
            state = left.state
    assert found.mean_reward.tobytes() == whole.mean_reward.tobytes()
    assert found.visits.tobytes() == whole.visits.tobytes()
