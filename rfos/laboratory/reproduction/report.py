"""Everything that the experiment returns."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, fields
from typing import Any

import pandas as pd

from rfos._system.display import page
from rfos.laboratory.reproduction.experiment import DELTA, DISCOUNT, HORIZON, Experiment
from rfos.laboratory.reproduction.results import Claim, WindowResult, Yardstick


@dataclass(frozen=True, eq=False)
class Report:
    """Everything that `reproduce` found.

    Attributes
    ----------
    experiment : Experiment
    curves : DataFrame
        A row per run and bin: game, window, epsilon, seed, bin, episode_end, mean_reward (per step), known_pairs.
    results, second : tuple of WindowResult
        Per window, at the experiment's epsilon and at the second one.
    yardsticks : tuple of Yardstick
    claims : tuple of Claim
    """

    experiment: Experiment
    curves: pd.DataFrame
    results: tuple[WindowResult, ...]
    second: tuple[WindowResult, ...]
    yardsticks: tuple[Yardstick, ...]
    claims: tuple[Claim, ...]

    def summary(self) -> dict[str, Any]:
        """Return all but the curves as plain values: what `rfos reproduce --json` writes."""
        return {
            "experiment": asdict(self.experiment),
            "discount": DISCOUNT,
            "horizon": HORIZON,
            "delta": DELTA,
            "results": [asdict(result) for result in self.results],
            "second_epsilon": [asdict(result) for result in self.second],
            "yardsticks": [asdict(yardstick) for yardstick in self.yardsticks],
            "claims": [asdict(claim) for claim in self.claims],
        }

    def to_frame(self) -> pd.DataFrame:
        """Return the results as a table, a row per window and epsilon.

        Returns
        -------
        DataFrame
            The columns are the fields of `WindowResult`. An estimate takes three: its mean, and with _low and _high the
            ends of its interval; a pair of ends two, _low and _high. What was not determined is missing.
        """
        return pd.DataFrame([_row(result) for result in (*self.results, *self.second)])

    def __repr__(self) -> str:
        """Return how many claims have which verdict, on one line."""
        e = self.experiment
        windows = ", ".join(str(window) for window in e.windows)
        counts = Counter(claim.verdict for claim in self.claims)
        verdicts = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
        return f"<Report {e.game}, windows {windows}, {e.seeds} seeds a window: claims {verdicts}>"

    def _repr_html_(self) -> str:
        """Return the claims and the results, for a notebook."""
        claims = [f"{claim.verdict}: {claim.claim}. {claim.evidence}" for claim in self.claims]
        return page(repr(self), self.to_frame(), claims)


def _row(result: WindowResult) -> dict[str, Any]:
    """Return a result as one row of a table."""
    found: dict[str, Any] = {}
    for field in fields(result):
        value = getattr(result, field.name)
        if str(field.type).startswith("Estimate"):
            mean, low, high = (None,) * 3 if value is None else (value.mean, value.low, value.high)
            found |= {field.name: mean, f"{field.name}_low": low, f"{field.name}_high": high}
        elif str(field.type).startswith("tuple"):
            low, high = (None, None) if value is None else value
            found |= {f"{field.name}_low": low, f"{field.name}_high": high}
        else:
            found[field.name] = value
    return found
