"""A solution of a meta-game as a shaper that plays: a function of the opponents' policies, and a file of numbers."""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rfos._system.arrays import Float, Int, floats, integers
from rfos._system.files import atomic
from rfos._system.memory import require_memory
from rfos.games.stochastic import StochasticGame
from rfos.metagames.continuous import RollOut, roll_out
from rfos.metagames.grids import LevelGrid, SimplexGrid
from rfos.metagames.learners import LOLA, FictitiousPlay, Fixed, Learner, NaiveLearner, QLearning, SmoothedBestResponse
from rfos.metagames.policy import PolicyMetaGame
from rfos.planning.solution import Solution

FORMAT = 1
"""Of the files that `Shaper.save` writes."""

FORMS: tuple[tuple[type[Any], Mapping[str, object], tuple[str, ...]], ...] = (
    (Fixed, {}, ()),
    (NaiveLearner, {"parameters": "logits"}, ("step",)),
    (NaiveLearner, {"parameters": "simplex"}, ("step",)),
    (SmoothedBestResponse, {}, ("temperature", "mixing")),
    (QLearning, {}, ("rate", "temperature")),
    (LOLA, {"expansion": "first-order"}, ("step", "look_ahead")),
    (LOLA, {"expansion": "exact"}, ("step", "look_ahead")),
    (LOLA, {"expansion": "shaping"}, ("step", "look_ahead")),
    (FictitiousPlay, {"within": False}, ("mixing",)),
    (FictitiousPlay, {"within": True}, ("mixing",)),
)
"""Learners as numbers: the place in this list, which later formats only append to, and the parameters named."""


@dataclass(frozen=True, eq=False)
class Shaper:
    """A shaper that a solution on the grid defines, for opponents anywhere between grid points.

    Parameters
    ----------
    meta_game : PolicyMetaGame
        Lumped.
    values : ndarray, shape (X,), optional
        Look one step ahead with these values on the grid.
    policy : ndarray of int, shape (X,), optional
        Play that of the nearest grid point. One of `values` and `policy` is given.

    Raises
    ------
    ValueError
        If not exactly one is given, it has another length or holds what is not a value or a meta-action, or the
        meta-game's state is joint.

    Examples
    --------
    Matching Pennies once, against a learner that jumps to its better action: match what it plays.

    >>> from rfos.games.named import matching_pennies
    >>> from rfos.planning.solve import solve
    >>> from rfos.games.stochastic import one_shot
    >>> pure = SimplexGrid(1, 2, 1)
    >>> meta_game = PolicyMetaGame(one_shot(matching_pennies()), [NaiveLearner(2.0, "simplex")], [pure, pure], 0.5)
    >>> shaper = Shaper.of(meta_game, solve(meta_game.to_mdp()))
    >>> shaper([[[0.0, 1.0]]]).tolist()
    [[0.0, 1.0]]
    """

    meta_game: PolicyMetaGame
    values: Float | None = None
    policy: Int | None = None

    def __post_init__(self) -> None:
        """Check that everything fits and take read-only copies."""
        if self.meta_game.joint:
            raise ValueError("the meta-game's state is joint: give the lumped one, `Shaper.of` makes it")
        if (self.values is None) == (self.policy is None):
            raise ValueError("give values to look ahead with, or a policy to project on, not both")
        expected = (self.meta_game.n_opponent_policies,)
        for name, given in (("values", self.values), ("policy", self.policy)):
            if given is None:
                continue
            array: NDArray[Any] = floats(name, given) if name == "values" else integers(name, given)
            if array.shape != expected:
                raise ValueError(f"{name} have shape {array.shape}, expected {expected}: one for each meta-state")
            if name == "values" and not np.isfinite(array).all():
                raise ValueError(f"values hold {array[~np.isfinite(array)][0]}: they must be finite")
            if name == "policy" and not ((array >= 0) & (array < self.meta_game.n_actions)).all():
                worst = int(array[(array < 0) | (array >= self.meta_game.n_actions)][0])
                raise ValueError(f"policy holds {worst}: meta-actions are 0 to {self.meta_game.n_actions - 1}")
            object.__setattr__(self, name, array)

    @classmethod
    def of(cls, meta_game: PolicyMetaGame, solution: Solution, *, look_ahead: bool = True) -> Shaper:
        """Return the shaper of a meta-game's solution, of a joint meta-game where the opponents' policies are known."""
        values, policy = solution.value, solution.policy
        if meta_game.joint:
            q = meta_game.known(values)
            values, policy = q.max(axis=1), q.argmax(axis=1)
        lumped = meta_game.lumped()
        return cls(lumped, values=values) if look_ahead else cls(lumped, policy=policy)

    def __call__(self, opponents: Sequence[ArrayLike], *, own_side: bool = False) -> Float:
        """Return the policy that the shaper plays when the opponents are about to play these.

        Parameters
        ----------
        opponents : sequence of array_like, shapes (S, A_i)
            One for each player from 1 on.
        own_side : bool
            Whether each opponent's rows are in that player's own order of the inner states, as in M-FOS: start, CC, CD,
            DC, DD with its own action first. By default all are in the shaper's order, as everywhere in this package.

        Returns
        -------
        ndarray, shape (S, A_0)
            In the shaper's order, which is its own.

        Raises
        ------
        ValueError
            If a policy has another shape or a row that is no distribution.
        """
        game = self.meta_game.game
        fair = np.full((game.n_states, game.n_actions[0]), 1 / game.n_actions[0])
        others = [np.array(policy) for policy in game.check_policies([fair, *opponents])[1:]]
        if own_side:
            assert game.views is not None
            others = [policy[np.argsort(view)] for policy, view in zip(others, game.views[1:], strict=True)]
        move = int(self.play([other[None] for other in others], steps=1).moves[0, 0])
        return np.array(self.meta_game.grids[0].policy(move))

    def play(self, starts: Sequence[Float], steps: int = 100) -> RollOut:
        """Return a roll-out of the continuous meta-game from the opponents' first policies, shapes (N, S, A_i)."""
        return roll_out(self.meta_game, starts, values=self.values, policy=self.policy, steps=steps)

    def save(self, path: str | Path) -> None:
        """Write the shaper, its game, opponents and grids to an .npz file of numbers, whole or not at all.

        Raises
        ------
        ValueError
            If an opponent or a grid is not one of this package, or the name does not end in .npz.
        OSError
            If the file cannot be written.
        """
        path = shaper_path(path)
        game = self.meta_game.game
        arrays: dict[str, ArrayLike] = {
            "format": FORMAT,
            "discount": self.meta_game.discount,
            "nearest": int(self.meta_game.rounding == "nearest"),
            "inner_discount": game.discount,
            "transitions": game.transitions,
            "rewards": game.rewards,
            "initial": game.initial,
            "n_actions": np.array(game.n_actions, np.int64),
            "views": np.array(game.views),
            "learners": np.array([_as_numbers(learner) for learner in self.meta_game.opponents]),
        }
        for i, grid in enumerate(self.meta_game.grids):
            if isinstance(grid, LevelGrid):
                arrays[f"grid_{i}"] = grid.values
            elif isinstance(grid, SimplexGrid):
                arrays[f"grid_{i}"] = grid.levels
            else:
                raise ValueError(
                    f"the grid of player {i} is a {type(grid).__name__}: only LevelGrid and SimplexGrid go into files"
                )
        arrays |= {"policy": self.policy} if self.values is None else {"values": self.values}  # type: ignore[dict-item]
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic(path) as temporary, temporary.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)


def shaper_path(path: str | Path) -> Path:
    """Return the path of a shaper's file, or raise ValueError if it does not end in .npz or is a folder."""
    found = Path(path)
    if found.suffix != ".npz":
        raise ValueError(f"{found} does not end in .npz: give a name such as shaper.npz")
    if found.is_dir():
        raise ValueError(f"{found} is a folder: give the name of a file")
    return found


def load_shaper(path: str | Path) -> Shaper:
    """Return the shaper that `Shaper.save` wrote; nothing in the file is executed or unpickled.

    Raises
    ------
    ValueError
        If the file is not one that `Shaper.save` writes; the sentence says what is wrong.
    OSError
        If it cannot be read.
    MemoryError
        If what it holds does not fit.
    """
    path = Path(path)
    try:
        with zipfile.ZipFile(path) as archive:
            require_memory(sum(part.file_size for part in archive.infolist()), f"{path}", "give a smaller file")
        with np.load(path, allow_pickle=False) as found:
            arrays = {name: np.array(found[name]) for name in found.files}
        return _from_arrays(arrays)
    except KeyError as error:
        raise ValueError(f"{path} is not a shaper: it lacks {error.args[0]}") from None
    except (
        zipfile.BadZipFile,
        zlib.error,
        struct.error,
        EOFError,
        NotImplementedError,
        RuntimeError,
        ValueError,
        TypeError,
    ) as error:
        raise ValueError(f"{path} is not a shaper: {str(error) or type(error).__name__}") from None


def _as_numbers(learner: Learner) -> tuple[float, float, float]:
    """Return a learner's place in `FORMS` and its parameters, padded with zeros."""
    for code, (kind, fixed, names) in enumerate(FORMS):
        if type(learner) is kind and all(getattr(learner, name) == value for name, value in fixed.items()):
            first, second = ([float(getattr(learner, name)) for name in names] + [0.0, 0.0])[:2]
            return code, first, second
    raise ValueError(f"the learner {type(learner).__name__} is not one of this package: its shaper stays in Python")


def _learner(numbers: Float) -> Learner:
    """Return the learner of what `_as_numbers` returns."""
    if numbers[0] not in range(len(FORMS)):
        raise ValueError(f"learners hold {numbers[0]}, which is not the number of a learner")
    kind, fixed, names = FORMS[int(numbers[0])]
    found: Learner = kind(**fixed, **{name: float(number) for name, number in zip(names, numbers[1:], strict=False)})
    return found


def _from_arrays(arrays: Mapping[str, NDArray[Any]]) -> Shaper:
    """Return the shaper of a file's arrays; every constructor checks what it is given."""

    def number(name: str) -> float:
        array = floats(name, arrays[name])
        if array.shape != ():
            raise ValueError(f"{name} has shape {array.shape}, expected a number")
        return float(array)

    if number("format") != FORMAT:
        raise ValueError(f"its format is {number('format'):g}, this version reads {FORMAT}")
    n_actions = tuple(int(n) for n in integers("n_actions", np.atleast_1d(arrays["n_actions"])))
    game = StochasticGame(
        floats("transitions", arrays["transitions"]),
        floats("rewards", arrays["rewards"]),
        np.atleast_1d(floats("initial", arrays["initial"])),
        n_actions,
        number("inner_discount"),
        views=integers("views", arrays["views"]),
    )
    learners = floats("learners", arrays["learners"])
    if learners.shape != (game.n_players - 1, 3):
        raise ValueError(f"learners have shape {learners.shape}, expected {(game.n_players - 1, 3)}")
    grids: list[LevelGrid | SimplexGrid] = []
    for i, n in enumerate(n_actions):
        levels = arrays[f"grid_{i}"]
        if levels.ndim == 0:
            grids.append(SimplexGrid(game.n_states, n, int(integers(f"grid_{i}", levels))))
        else:
            grids.append(LevelGrid(game.n_states, tuple(floats(f"grid_{i}", levels).ravel().tolist())))
    rounding: Any = "nearest" if number("nearest") else "barycentric"
    meta_game = PolicyMetaGame(game, [_learner(row) for row in learners], grids, number("discount"), rounding)
    if "values" in arrays:
        return Shaper(meta_game, values=arrays["values"])
    return Shaper(meta_game, policy=arrays["policy"])
