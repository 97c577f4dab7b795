"""Compiled code is cached on disk, loaded by the next process, and never stale."""

import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from commands import run

import rfos
from rfos._kernels import random

pytestmark = pytest.mark.jit

PROGRAM = """
import numpy as np
from rfos._kernels import random
out = np.empty(3)
random.fill_uniform(np.array([1, 2, 3, 4], np.uint64), out)
hits = sum(random.fill_uniform.stats.cache_hits.values())
misses = sum(random.fill_uniform.stats.cache_misses.values())
print(repr(float(out[2])), hits, misses)
"""


@pytest.fixture
def copy(tmp_path):
    """A copy of the package, run in a process of its own with a cache of its own; returns (float, hits, misses)."""
    shutil.copytree(
        Path(rfos.__file__).parent, tmp_path / "package" / "rfos", ignore=shutil.ignore_patterns("__pycache__", "data")
    )
    environment = os.environ | {
        "PYTHONPATH": str(tmp_path / "package"),
        "RFOS_CACHE_DIR": str(tmp_path / "cache"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    environment.pop("RFOS_BOUNDSCHECK", None)

    def run_program(**more):
        command = [sys.executable, "-c", PROGRAM]
        done = run(command, env=environment | more, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        value, hits, misses = done.stdout.split()
        return float(value), int(hits), int(misses)

    run_program.sources = tmp_path / "package" / "rfos" / "_kernels"
    run_program.cache = tmp_path / "cache"
    return run_program


def compiled_files(cache):
    return {path: path.stat().st_mtime_ns for path in cache.rglob("*.nb[ic]")}


@pytest.mark.processes
def test_an_edited_helper_is_noticed_and_nothing_else_is_compiled_again(copy):
    """An edit in another kernel file changes the result; the cache serves unchanged sources only.

    A process with bounds checks never loads code without them, nor the other way round.
    """
    value, hits, misses = copy()
    assert (hits, misses) == (0, 1)
    first = compiled_files(copy.cache)
    assert first
    assert copy(RFOS_BOUNDSCHECK="1") == (value, 0, 1)
    both = compiled_files(copy.cache)
    assert first.items() < both.items()
    assert copy(RFOS_BOUNDSCHECK="1") == (value, 1, 0)
    assert copy() == (value, 1, 0)
    assert compiled_files(copy.cache) == both

    # fill_uniform itself is untouched: only the helper that it calls moves to a file of its own, then changes.
    source = (copy.sources / "random.py").read_text()
    start = source.index("@kernel\ndef uniform")
    end = source.index("@kernel\ndef fill_uniform")
    helper = "import numpy as np\n\nfrom rfos._kernels._jit import kernel\n\n\n" + source[start:end]
    (copy.sources / "helper.py").write_text(helper)
    moved = "from rfos._kernels._jit import kernel\nfrom rfos._kernels.helper import uniform\n"
    text = (source[:start] + source[end:]).replace("from rfos._kernels._jit import kernel\n", moved)
    (copy.sources / "random.py").write_text(text)
    assert copy() == (value, 0, 1)
    assert copy() == (value, 1, 0)
    (copy.sources / "helper.py").write_text(helper.replace("1.0 / 9007199254740992.0", "2.0 / 9007199254740992.0"))
    assert copy() == (2 * value, 0, 1)


@pytest.mark.processes
def test_a_cache_that_cannot_be_written_is_done_without(copy):
    """Where the cache folder cannot be made, kernels compile in memory."""
    copy.cache.write_text("a file, not a folder")
    seen = np.empty(3)
    random.fill_uniform(np.array([1, 2, 3, 4], np.uint64), seen)
    assert copy() == (seen[2], 0, 1)
