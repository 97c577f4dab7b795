"""The suite itself: nothing that is skipped goes unnoticed, nothing depends on the machine's load."""

import ast
import os
import shutil
import sys
import tomllib
from pathlib import Path

import pytest
from commands import run

TESTS = Path(__file__).parents[1]
SKIPPING = """
import pytest

def test_passes():
    pass

@pytest.mark.parametrize("reason", {reasons})
def test_is_skipped(reason):
    pytest.skip(reason)
"""
TEX, GYMNASIUM, INTERPRETED = "needs a TeX engine: pdflatex", "could not import 'gymnasium'", "NUMBA_DISABLE_JIT is set"


def suite(folder, text, *options, **variables):
    """Run one file of tests beside the suite's own settings."""
    shutil.copy(TESTS / "conftest.py", folder)
    (folder / "test_it.py").write_text(text)
    environment = os.environ | {"RFOS_EXPECTED_SKIPS": str(TESTS / "expected_skips.toml")} | variables
    environment.pop("PYTEST_XDIST_WORKER", None)
    (folder / "pytest.ini").write_text(f"[pytest]\npythonpath = {TESTS}\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, "test_it.py"]
    return run(command, env=environment, cwd=folder)


@pytest.mark.processes
@pytest.mark.parametrize(
    ("reasons", "interpreted", "unlisted"),
    [([TEX, GYMNASIUM, INTERPRETED], "0", [GYMNASIUM, INTERPRETED]), ([TEX], "0", []), ([INTERPRETED], "1", [])],
)
def test_a_skip_that_is_not_listed_fails_the_run_that_asks_for_it(reasons, interpreted, unlisted, tmp_path):
    """And is named; the lists of runs with and without the JIT are two."""
    done = suite(tmp_path, SKIPPING.format(reasons=reasons), NUMBA_DISABLE_JIT=interpreted)
    assert done.returncode == bool(unlisted), done.stdout
    said = [line.split("]: ", 1)[1] for line in done.stdout.splitlines() if line.startswith("SKIPPED UNEXPECTEDLY")]
    assert said == unlisted


@pytest.mark.processes
def test_a_file_that_is_skipped_as_a_whole_is_noticed_too(tmp_path):
    """By importorskip at its top; without the variable, as for users, it is no failure."""
    text = f"import pytest\n\npytest.importorskip('no_such_package')\n{SKIPPING.format(reasons=['x'])}"
    assert suite(tmp_path, text + "\n").returncode != 0
    assert suite(tmp_path, SKIPPING.format(reasons=["x"]), RFOS_EXPECTED_SKIPS="").returncode == 0


def test_what_the_tests_import_is_what_they_install():
    """All packages of the extras that a test may need, but for those of linters and benchmarks."""
    extras = tomllib.loads((TESTS.parent / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for name in ("exact", "distributed", "parquet", "interop"):
        assert set(extras[name]) <= set(extras["test"]), name


def attribute(node):
    return ast.unparse(node) if isinstance(node, ast.Attribute) else ""


def test_children_are_started_in_one_place_and_nothing_waits_for_some_seconds():
    """A child that its test does not end, a sleep, a timeout in figures: each fails when the machine is busy."""
    found = []
    for path in sorted(TESTS.rglob("*.py")):
        if path.name == "commands.py" or "benchmarks" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            waits = any(
                k.arg == "timeout" and isinstance(k.value, ast.Constant) and k.value.value for k in node.keywords
            )
            starts = attribute(node.func) in (
                "subprocess.run",
                "subprocess.Popen",
                "subprocess.check_output",
                "time.sleep",
            )
            if waits or starts:
                found.append(f"{path.relative_to(TESTS)}:{node.lineno}: {ast.unparse(node)[:80]}")
    assert found == []
