"""A policy of a team as a drawing: for each agent its tree, nodes that go on alike drawn as one."""

from __future__ import annotations

from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rfos._system import checks
from rfos.teams.model import DecPOMDP
from rfos.teams.policies import MEND, TeamPolicy

MOST_NODES = 400
"""Most nodes of a drawing."""


class Node(NamedTuple):
    """A node of an agent's policy: what it does, and where each observation leads.

    Attributes
    ----------
    step : int
    action : int
    next : tuple of int
        Number of the node after each observation; empty at the last step.
    """

    step: int
    action: int
    next: tuple[int, ...]


def policy_graph(policy: TeamPolicy, n_observations: int, agent: int) -> tuple[tuple[Node, ...], tuple[int, ...]]:
    """Return an agent's tree with equal subtrees of a step merged, and the nodes it begins in.

    Parameters
    ----------
    policy : TeamPolicy
    n_observations : int
        Of the agent.
    agent : int

    Returns
    -------
    nodes : tuple of Node
        The last step's first.
    first : tuple of int
        The node after each first observation; one node where there is none.

    Examples
    --------
    Whatever is seen, action 1 comes next:

    >>> policy_graph(TeamPolicy((([0], [1, 1]),)), 2, 0)
    ((Node(step=1, action=1, next=()), Node(step=0, action=0, next=(0, 0))), (1,))
    """
    tree = policy.trees[agent]
    numbers: dict[Node, int] = {}
    below: list[int] = []
    for step in range(policy.horizon - 1, -1, -1):
        own = []
        for history, action in enumerate(tree[step]):
            children = below[history * n_observations : (history + 1) * n_observations] if below else []
            own.append(numbers.setdefault(Node(step, int(action), tuple(children)), len(numbers)))
        below = own
    return tuple(numbers), tuple(below)


def _arrows(team: DecPOMDP, agent: int, node: Node) -> dict[int, str]:
    """Return the names of the observations that lead to each next node, those that all lead to one left out."""
    found: dict[int, list[str]] = {}
    for observation, after in enumerate(node.next):
        found.setdefault(after, []).append(team.observation_names[agent][observation])
    return {after: "" if len(found) == 1 else ", ".join(names) for after, names in found.items()}


def _graphs(team: DecPOMDP, policy: TeamPolicy) -> list[tuple[tuple[Node, ...], tuple[int, ...]]]:
    """Return the graph of each agent, or raise ValueError where they are too large to be drawn."""
    checks.kind("team", team, DecPOMDP)
    checks.kind("policy", policy, TeamPolicy, mend=MEND)
    policy.check(team)
    graphs = [policy_graph(policy, team.n_observations[i], i) for i in range(team.n_agents)]
    size = sum(len(nodes) for nodes, _ in graphs)
    if size > MOST_NODES:
        raise ValueError(
            f"the policy has {size:,} nodes, more than the {MOST_NODES} that can be drawn: print policy.lines(team)"
        )
    return graphs


def graphviz(team: DecPOMDP, policy: TeamPolicy) -> str:
    """Return a policy as a text that Graphviz draws, for instance ``dot -Tsvg``.

    Parameters
    ----------
    team : DecPOMDP
    policy : TeamPolicy

    Returns
    -------
    str

    Raises
    ------
    ValueError
        If it has more than `MOST_NODES` nodes.

    Examples
    --------
    >>> import numpy as np
    >>> team = DecPOMDP(np.full((1, 2, 1, 2), 0.5), [[0, 1]], (2,), (2,), horizon=2, action_names=(("stay", "go"),))
    >>> print(graphviz(team, TeamPolicy((([0], [0, 1]),))))
    digraph policy {
      subgraph cluster_0 { label="agent 0";
        n0_0 [label="stay"];
        n0_1 [label="go"];
        n0_2 [label="stay"];
        n0_2 -> n0_0 [label="0"];
        n0_2 -> n0_1 [label="1"];
      }
    }
    """
    lines = ["digraph policy {"]
    for i, (nodes, _) in enumerate(_graphs(team, policy)):
        lines.append(f'  subgraph cluster_{i} {{ label="agent {i}";')
        lines += [f"    n{i}_{k} [label={_quoted(team.action_names[i][node.action])}];" for k, node in enumerate(nodes)]
        for k, node in enumerate(nodes):
            for after, name in _arrows(team, i, node).items():
                lines.append(f"    n{i}_{k} -> n{i}_{after} [label={_quoted(name)}];")
        lines.append("  }")
    return "\n".join([*lines, "}"])


def _quoted(text: str) -> str:
    """Return a text in quotes, as Graphviz reads it."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def draw_policy(team: DecPOMDP, policy: TeamPolicy, *, ax: Axes | None = None) -> Axes:
    """Draw a policy: time goes down, an agent beside the other, an action at each node.

    Parameters
    ----------
    team : DecPOMDP
    policy : TeamPolicy
    ax : Axes, optional

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        If it has more than `MOST_NODES` nodes.

    Examples
    --------
    >>> import numpy as np
    >>> team = DecPOMDP(np.full((1, 2, 1, 2), 0.5), [[0, 1]], (2,), (2,), horizon=2)
    >>> len(draw_policy(team, TeamPolicy((([0], [0, 1]),))).texts)
    8
    """
    graphs = _graphs(team, policy)
    if ax is None:
        ax = Figure(figsize=(4.4 * team.n_agents, 1.1 * team.horizon + 0.6), layout="constrained").subplots()
    checks.kind("ax", ax, Axes, mend="matplotlib.pyplot.subplots() makes a figure and one")
    for i, (nodes, _) in enumerate(graphs):
        place = _places(nodes, i)
        for k, node in enumerate(nodes):
            for number, (after, name) in enumerate(_arrows(team, i, node).items()):
                arrow = {"arrowstyle": "->", "color": "0.45", "shrinkA": 9, "shrinkB": 9}
                ax.annotate("", place[after], place[k], arrowprops=arrow)
                share = 0.35 + 0.25 * (number % 2)  # so that names of neighbours do not meet
                x, y = ((1 - share) * a + share * b for a, b in zip(place[k], place[after], strict=True))
                if name:
                    ax.text(x, y, name, fontsize=7, color="0.25", ha="center", va="center")
            box = {"boxstyle": "round", "facecolor": "white", "edgecolor": "0.2", "linewidth": 0.8}
            ax.text(
                place[k][0],
                place[k][1],
                team.action_names[i][node.action],
                fontsize=8,
                ha="center",
                va="center",
                bbox=box,
            )
        ax.text(i + 0.5, 0.7, f"agent {i}", fontsize=9, ha="center", va="center")
    ax.set_xlim(0, team.n_agents)
    ax.set_ylim(-team.horizon + 0.4, 1)
    ax.set_axis_off()
    return ax


def _places(nodes: tuple[Node, ...], agent: int) -> list[tuple[float, float]]:
    """Return where each node is drawn: those of a step side by side, in the agent's column."""
    steps = [[k for k, node in enumerate(nodes) if node.step == step] for step in range(max(n.step for n in nodes) + 1)]
    found = [(0.0, 0.0) for _ in nodes]
    for step, row in enumerate(steps):
        for at, k in enumerate(row):
            found[k] = (agent + (at + 1) / (len(row) + 1), -float(step))
    return found
