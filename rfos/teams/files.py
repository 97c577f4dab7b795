"""Problem files: `.dpomdp` (of the MADP toolbox) and `.pomdp` (Cassandra's), read as data."""

from __future__ import annotations

import math
from functools import partial
from os import PathLike
from typing import Any

import numpy as np
import scipy.sparse as sp

from rfos._system import checks
from rfos._system.arrays import Float
from rfos._system.files import read_regular
from rfos._system.memory import require_memory
from rfos.planning.storages import MAX_STATES
from rfos.teams.entries import FILE_ROW_TOL, Sizes, Tables, picked, require
from rfos.teams.model import LONGEST_EPISODE, DecPOMDP
from rfos.teams.words import PREAMBLE, RESERVED, TABLES, Section, Word, is_number, is_whole, sections

LARGEST_FILE = 2**23
"""Bytes of the largest problem file that is read."""

MOST_AGENTS = 16
"""Agents of the largest team that a file may have."""


def _count(section: Section, words: list[Word], what: str) -> int:
    """Return how many names a file gives, by a number or a list."""
    if not words:
        section.wrong(f"{section.keyword} has no {what}: give how many there are, or their names")
    first = words[0]
    if len(words) > 1 or not is_number(first.text):
        return len(words)
    if not is_whole(first.text) or not 0 < int(first.text) <= MAX_STATES:
        shown = checks.shown(first.text)
        section.wrong(f"the number of {what} is {shown}: give a whole number from 1 to {MAX_STATES}", first)
    return int(first.text)


def _named(section: Section, words: list[Word], what: str) -> tuple[str, ...]:
    """Return names, of which a file gives a list or only how many there are."""
    if len(words) == 1 and is_number(words[0].text):
        return tuple(map(str, range(_count(section, words, what))))
    seen: set[str] = set()
    for word in words:
        if word.text in RESERVED or word.text == ":" or is_number(word.text):
            section.wrong(f"{checks.shown(word.text)} is not a name of {what}: begin names with a letter", word)
        if word.text in seen:
            section.wrong(f"{what} have the name {checks.shown(word.text)} twice: give each its own", word)
        seen.add(word.text)
    return tuple(word.text for word in words)


def _of_each(section: Section, agents: int, what: str) -> list[list[Word]]:
    """Return the words for each agent's actions or observations, a line for each of several agents."""
    if agents == 1:
        return [section.words()]
    rows = section.rows()
    if len(rows) != agents:
        section.wrong(f"{what} are given on {len(rows)} lines where there are {agents} agents: give a line for each")
    return rows


def _agents(section: Section | None) -> int:
    if section is None:
        return 1
    words = section.words()
    count = int(words[0].text) if len(words) == 1 and is_whole(words[0].text) else len(words)
    if len(words) == 1 and is_number(words[0].text) and not is_whole(words[0].text):
        count = 0
    if not 1 <= count <= MOST_AGENTS:
        section.wrong(f"the number of agents is not one from 1 to {MOST_AGENTS}: give it, or a name for each agent")
    return count


def _scaled(law: Float) -> Float:
    scaled: Float = law / law.sum()
    return scaled


def _start(section: Section | None, sizes: Sizes) -> Float:
    """Return the law of the first state."""
    n = len(sizes.states)
    if section is None:
        return np.full(n, 1 / n)
    words = section.words()
    if not words:
        section.wrong("start has nothing after its colon: give uniform, a state, or a probability for each state")
    pick = partial(picked, section, names=sizes.numbers, what="states")
    law = np.zeros(n)
    if section.keyword != "start":
        for word in words:
            law[pick(word)] = 1.0
        law = law if section.keyword == "start include" else 1.0 - law
        if not law.any():
            section.wrong(f"{section.keyword} leaves no state to start in: leave one")
        return _scaled(law)
    alone = words[0].text if len(words) == 1 else ""
    if alone == "uniform":
        return np.full(n, 1 / n)
    if alone and not (n == 1 and is_number(alone) and alone != "0"):
        law[pick(words[0])] = 1.0
        return _scaled(law)
    if len(words) != n:
        section.wrong(f"start has {len(words)} words where there are {n} states: give a probability for each", words[0])
    law[:] = [section.number(word, "a probability", 0.0, 1.0) for word in words]
    if abs(law.sum() - 1) > FILE_ROW_TOL:
        section.wrong(f"the probabilities of start sum to {law.sum():.6g}, not 1: divide them by their sum", words[0])
    return _scaled(law)


def _team(sizes: Sizes, tables: Tables, start: Float, sign: float, horizon: int, discount: float) -> DecPOMDP:
    """Return the problem of full tables."""
    n, a, o = tables.shape
    seen = np.count_nonzero(tables.O, axis=2)
    entries = int((np.count_nonzero(tables.T, axis=1) * seen).sum())
    require_memory(120 * entries, f"{sizes.file}: the law of state and observation", "give a smaller problem")
    blocks = []
    for action in range(a):
        # Row s' holds what is seen there, in its own columns.
        views = sp.csr_array((tables.O[action].ravel(), np.arange(n * o), np.arange(n + 1) * o), (n, n * o))
        views.eliminate_zeros()
        blocks.append(sp.csr_array(tables.T[action]) @ views)
    W: Any = sp.vstack(blocks, format="csr")[np.arange(a * n).reshape(a, n).T.ravel()]
    rewards = tables.R
    if rewards.shape[3] > 1:
        # The mean over what is seen after next state s'.
        rewards = np.einsum("aspo,apo->asp" if rewards.shape[2] > 1 else "asqo,apo->asp", rewards, tables.O)
    else:
        rewards = rewards[:, :, :, 0]
    mean = rewards[:, :, 0] if rewards.shape[2] == 1 < n else (tables.T * rewards).sum(axis=2)
    return DecPOMDP(
        W,
        sign * mean.T + 0.0,  # and no -0.0
        sizes.n_actions,
        sizes.n_observations,
        horizon,
        discount,
        starts=start,
        name=sizes.file.replace("\\", "/").rsplit("/", 1)[-1].rsplit(".", 1)[0],
        state_names=sizes.states,
        action_names=sizes.actions,
        observation_names=sizes.observations,
    )


def read_dpomdp(path: str | PathLike[str], horizon: int, discount: float | None = None) -> DecPOMDP:
    """Return the team problem that a `.dpomdp` or `.pomdp` file describes; nothing in it is executed.

    Both formats are read, whatever the file is called: without `agents:` there is one agent. States, actions and
    observations are named or numbered; entries T, O and R may use wildcards, give one number, a row or a matrix over
    several lines, or say uniform, identity or reset; later entries override earlier ones. `values: cost` turns the
    sign of rewards. `start:` is a distribution, uniform, a state, `start include:` or `start exclude:`; without it the
    start is uniform. No first observation.

    Rows of T and O may sum to 1 within 1e-5 and are divided by their sums.

    Parameters
    ----------
    path : path
        A file of at most 8,388,608 bytes.
    horizon : int
        Steps of an episode: files do not say it.
    discount : float in [0, 1], optional
        Instead of the file's.

    Raises
    ------
    ValueError
        If the file cannot be read or is not what the formats say: one line, with file and line number.
    MemoryError
        If the problem does not fit this machine; nothing has been allocated.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> text = '''discount: 0.9
    ... values: reward
    ... states: left right
    ... actions: look
    ... observations: here there
    ... T: look identity
    ... O: look
    ... 1 0
    ... 0 1
    ... R: look : left : * : * 2'''
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = pathlib.Path(folder, "look.pomdp")
    ...     _ = file.write_text(text)
    ...     read_dpomdp(file, horizon=3)
    <look: 1 agent, 2 states, 1 actions, 2 observations, horizon 3, discount 0.9>
    """
    place = checks.path("path", path)
    checks.whole("horizon", horizon, 1, LONGEST_EPISODE)
    if discount is not None and not 0 <= checks.number(discount) <= 1:
        raise ValueError(f"discount is {checks.shown(discount)}: give a number in [0, 1]")
    file = " ".join(str(place).split())
    try:
        content = read_regular(place, LARGEST_FILE)
    except (OSError, ValueError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise ValueError(f"cannot read {file}: {reason}; give a .dpomdp or .pomdp file") from None
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ValueError(f"{file}:{line}: byte {content[error.start]:#x} is not text: save the file as UTF-8") from None
    given: dict[str, Section] = {}
    entries: list[Section] = []
    for section in sections(file, text):
        key = section.keyword.partition(" ")[0]
        if key in TABLES:
            entries.append(section)
        elif key in given:
            section.wrong(f"{key} is given a second time, after line {given[key].line}: give it once")
        elif entries and key != "start":
            section.wrong(f"{key} comes after {entries[0].keyword} in line {entries[0].line}: give it before")
        else:
            given[key] = section
    last = text.count("\n") + 1
    for key in PREAMBLE:
        if key not in given and key not in ("agents", "start", "values"):
            raise ValueError(f"{file}:{last}: {key} is missing: give {key}: before the first T, O or R")
    agents = _agents(given.get("agents"))
    worth = given["values"].one() if "values" in given else Word("reward", 0)
    if worth.text not in ("reward", "cost"):
        given["values"].wrong(f"values is {checks.shown(worth.text)}: give reward or cost", worth)
    own = given["discount"].number(given["discount"].one(), "discount", 0.0, 1.0)
    words = {key: _of_each(given[key], agents, key) for key in ("actions", "observations")}
    n = _count(given["states"], given["states"].words(), "states")
    a, o = (math.prod(_count(given[key], own_words, key) for own_words in words[key]) for key in words)
    require(file, (n, a, o), 8 * a * n * (4 * n + 4 * o + 7))  # before a name is made
    if n * max(a, o) > MAX_STATES:
        given["states"].wrong(
            f"{n:,} states with {a:,} joint actions and {o:,} joint observations are above the limit of {MAX_STATES}: "
            "give a smaller problem"
        )
    actions, views = (tuple(_named(given[key], own_words, key) for own_words in words[key]) for key in words)
    sizes = Sizes(file, _named(given["states"], given["states"].words(), "states"), actions, views)
    start = _start(given.get("start"), sizes)
    tables = Tables(sizes, entries, start)
    for section in entries:
        tables.fill(section)
    tables.check("T", tables.T, last)
    tables.check("O", tables.O, last)
    factor = 1.0 if worth.text == "reward" else -1.0
    return _team(sizes, tables, start, factor, horizon, own if discount is None else float(discount))
