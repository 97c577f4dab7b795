"""Who looks on while a run goes on."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from rfos._kernels import rmax as kernels
from rfos._system.checkpoints import Arrays


class PlanEvent(NamedTuple):
    """What an observer of a run is told after each plan, the one before the first step included.

    Its arrays are copies, or cannot be written to. Of an agent of one's own it is told besides where pairs become known
    and the policy stays as it was.
    """

    step: int  # steps played so far
    state: int  # the meta-state of the next step; before an episode's first step it is not drawn yet
    policy: NDArray[Any]  # what is played from now on: actions (S,) or (T, S), or probabilities (S, A)
    unknown: NDArray[np.bool_] | None  # (rows,) the rows of counts that are not known; None: the agent does not say


class Observer(Protocol):
    """Looks on while a run goes on."""

    @property
    def step_costs(self) -> kernels.StepCosts | None:
        """Numbers that are added up at each step; an observer may change them when it is told of a plan.

        The rewards in the table are not its own: the run puts them there.
        """
        ...

    def on_plan(self, event: PlanEvent) -> bool:
        """Take note of a new plan, or of more that is known; return whether the run may end here."""
        ...

    def state(self) -> dict[str, NDArray[Any]]:
        """Return what it has noted so far, where the run is left to be taken up again; by default nothing."""
        return {}

    def restore(self, saved: Arrays) -> None:
        """Take up what it had noted."""
        return


def check_step_costs(costs: kernels.StepCosts, rewards: tuple[int, ...], n_states: int) -> None:
    """Raise ValueError unless an observer's arrays are those that kernels add up."""
    expected = {"table": (rewards[0], 2 + rewards[1]), "starts": (n_states,), "total": (2,)}
    for name, shape in expected.items():
        array = getattr(costs, name)
        fits = isinstance(array, np.ndarray) and array.dtype == np.float64 and array.flags.carray
        if not fits or array.shape != shape:
            raise ValueError(f"the step costs' {name} is not a float64 array of shape {shape} that can be written to")
