"""The whole study: build, solve, play, compare."""

from __future__ import annotations

import time

from rfos.laboratory.shaping_study.answer import Answer, answer_of
from rfos.laboratory.shaping_study.build import build
from rfos.laboratory.shaping_study.compare import compare
from rfos.laboratory.shaping_study.play import play
from rfos.laboratory.shaping_study.progress import Say
from rfos.laboratory.shaping_study.request import ShapingRequest
from rfos.laboratory.shaping_study.solve import solve_meta_game


def shaping_study(request: ShapingRequest, progress: Say | None = None) -> Answer:
    """Return what shaping is worth in a game: the meta-game built, solved, played in the continuous game, compared.

    Each step is a function of its own, for whoever wants to look between them: `build`, `solve_meta_game`, `play` and
    `compare`, in the modules of `rfos.laboratory.shaping_study`.

    Parameters
    ----------
    request : ShapingRequest
    progress : callable, optional
        Called with a sentence now and then.

    Raises
    ------
    ValueError, MemoryError
        If the request is out of range or too large; nothing has been allocated then.

    Examples
    --------
    Matching Pennies once, pure policies or a coin, against a learner that plays a coin for ever: there is nothing to
    gain.

    >>> request = ShapingRequest("matching-pennies", "random", levels="3", inner_discount=0.0, steps=2)
    >>> found = shaping_study(request)
    >>> found
    <Answer matching-pennies against random: shaping is worth +0.000 a step>
    >>> found.to_frame()["name"].tolist()[:2]
    ['one-step look-ahead', 'policy of the nearest grid point']
    """
    began = time.perf_counter()
    compared = compare(play(solve_meta_game(build(request, progress), progress), progress))
    return answer_of(compared, time.perf_counter() - began)
