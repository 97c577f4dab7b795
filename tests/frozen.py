"""What a change of structure must leave as it is: `python tests/frozen.py FOLDER` writes answers.

Run it before and after a move and compare the folders, `diff -r before after`. Times and code fingerprints are left
out, for they may differ; everything else is equal to the last bit. It takes about three minutes on two cores.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from commands import run

import rfos
from rfos.learning.aliasing import aliasing
from rfos.learning.least_m import least_sufficient_m
from rfos.learning.ledger import ledger

SPEC = """
title = "forty cells"
seed = 5

[[grid]]
measure = ["run"]
game = ["matching-pennies", "prisoners-dilemma"]
opponent = ["q-learner", "window-q-learner"]
window = [1, 2]
agent = ["paper", "rmax"]
epsilon = [0.8]
delta = [0.2]
discount = [0.8]
horizon = [10]
budget = [2]
seeds = 1

[[grid]]
measure = ["ledger"]
game = ["matching-pennies"]
opponent = ["window-q-learner"]
window = [1, 2, 3]
agent = ["rmax"]
epsilon = [0.8, 1.2]
delta = [0.2]
discount = [0.8]
horizon = [10]
budget = [5]
seeds = 2

[[grid]]
measure = ["least-m"]
game = ["matching-pennies"]
opponent = ["window-q-learner"]
window = [1, 2, 3]
agent = ["rmax"]
epsilon = [0.8, 1.2]
delta = [0.2]
discount = [0.8]
horizon = [10]
seeds = 2
"""
POINTS = (
    ("--case", "window", "--window", "3"),
    ("--case", "window", "--game", "prisoners-dilemma", "--window", "2", "--epsilon", "0.4"),
    ("--case", "policy", "--game", "matching-pennies", "--levels", "5"),
    ("--case", "policy", "--game", "ipd", "--levels", "3", "--epsilon", "1"),
    ("--states", "4^600", "--actions", "4", "--branching", "2"),
    ("--states", "50", "--actions", "3", "--branching", "4", "--optimise"),
)
COMMANDS = {
    "reproduce": ("reproduce", "--windows", "2,3", "--seeds", "2", "--jobs", "2", "--json"),
    "reproduce_text": ("reproduce", "--windows", "2", "--seeds", "2", "--jobs", "1"),
    "solve_mp": ("solve", "matching-pennies", "--inner-discount", "0", "--levels", "11", "--steps", "40", "--json"),
    "solve_stag": (
        "solve",
        "stag-hunt",
        "--inner-discount",
        "0",
        "--levels",
        "11",
        "--opponent",
        "lola",
        "--steps",
        "40",
        "--json",
    ),
    "solve_ipd": ("solve", "ipd", "--levels", "3", "--starts", "8", "--steps", "40", "--json"),
    "solve_text": (
        "solve",
        "chicken",
        "--inner-discount",
        "0",
        "--levels",
        "9",
        "--opponent",
        "best-response",
        "--steps",
        "40",
    ),
    "verify": ("verify", "--instances", "50", "--jobs", "2", "--json"),
    "planted": ("verify", "--instances", "50", "--jobs", "2", "--mutants", "--json"),
    **{f"bound_{i}": ("bound", *point, "--json") for i, point in enumerate(POINTS)},
    **{f"bound_{i}_text": ("bound", *point) for i, point in enumerate(POINTS)},
    **{f"bound_{i}_latex": ("bound", *point, "--latex") for i, point in enumerate(POINTS)},
}
VARYING = {"seconds", "fingerprint", "key", "code", "store", "bytes", "figure", "figures", "out", "files", "time"}


def plain(value: Any) -> Any:
    """Return a result as JSON that has the same bytes where the result has."""
    if isinstance(value, np.ndarray):
        return [plain(item) for item in value.tolist()]
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items() if str(key) not in VARYING}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value.item() if isinstance(value, np.generic) else value


def calls() -> dict[str, Any]:
    """Return the rows of calls, as dictionaries of numbers and words."""
    game = rfos.named_game("matching-pennies")
    window = rfos.WindowMetaGame(game, rfos.WindowQLearner(), window=2, discount=0.8, horizon=10)
    rmax = rfos.Rmax(m=20, epsilon=0.8)
    grid = rfos.SimplexGrid(1, 2, 4)
    policy = rfos.PolicyMetaGame(rfos.one_shot(game), [rfos.NaiveLearner(0.5)], [grid, grid], 0.8)
    found: dict[str, Any] = {}
    for name, process, agent in (
        ("window", window, rmax),
        ("paper", window, rfos.PaperRmax(m=20, epsilon=0.8)),
        ("mdp", window.to_mdp(), rmax),
        ("policy", policy, rfos.Rmax(m=2, epsilon=0.8)),
    ):
        trace = rfos.run(process, agent, steps=20_000, rng=3, bins=50)
        found[f"run_{name}"] = {
            "mean": trace.mean_reward,
            "visits": trace.visits,
            "pi": trace.policy,
            "known": trace.known,
        }
    for name, process in (("window", window), ("policy", policy)):
        found[f"ledger_{name}"] = ledger(process, rfos.Rmax(m=3, epsilon=0.8), steps=5000, epsilon=0.8, rng=3).row()
    found["least_m"] = least_sufficient_m(window, 1.2, 0.2, rng=4).row()
    hidden = rfos.WindowMetaGame(game, rfos.QLearner(), window=2, discount=0.8, horizon=10)
    found["aliasing"] = aliasing(hidden).row()
    for method in ("value_iteration", "policy_iteration", "modified_policy_iteration", "linear_programming", "exact"):
        try:
            solved = rfos.solve(window.to_mdp(), method=method, tol=1e-9)
        except ValueError as refused:
            found[f"solve_{method}"] = str(refused)
            continue
        found[f"solve_{method}"] = {"lower": solved.lower, "upper": solved.upper, "pi": solved.policy}
    return found


def write(folder: Path) -> None:
    """Write all answers as files of a folder."""
    folder.mkdir(parents=True)
    for name, found in calls().items():
        (folder / f"{name}.json").write_text(json.dumps(plain(found), indent=1, sort_keys=True))
    with tempfile.TemporaryDirectory() as scratch:
        for name, arguments in COMMANDS.items():
            out = ("--out", str(Path(scratch) / name)) if arguments[0] == "reproduce" else ()
            done = run([sys.executable, "-m", "rfos", *arguments, *out])
            text = done.stdout or done.stderr
            if "--json" in arguments and done.stdout:
                text = json.dumps(plain(json.loads(text)), indent=1, sort_keys=True)
            (folder / f"{name}.txt").write_text(f"{text}\nexit {done.returncode}\n")
            for table in sorted((Path(scratch) / name).glob("*.csv")):
                (folder / f"{name}.{table.name}").write_bytes(table.read_bytes())
        spec, store = Path(scratch) / "forty.toml", Path(scratch) / "forty.sqlite"
        spec.write_text(SPEC)
        run([sys.executable, "-m", "rfos", "sweep", str(spec), "--store", str(store), "--out", str(folder / "sweep")])
    for drawn in (folder / "sweep").iterdir():
        if drawn.suffix not in (".csv",):
            drawn.unlink()


if __name__ == "__main__":
    write(Path(sys.argv[1]))
