"""Settings of the whole suite; they must be in force before rfos is imported."""

import os
import sys
import tomllib
from pathlib import Path

os.environ.setdefault("RFOS_BOUNDSCHECK", "1")
os.environ.setdefault("MPLBACKEND", "Agg")

import pytest
from hypothesis import settings
from strength import PROFILE

settings.load_profile(PROFILE)

MOST_WORKERS = 4
"""So that the tests of memory fit an ordinary machine."""

INTERPRETED = os.environ.get("NUMBA_DISABLE_JIT", "0") != "0"


class OtherSkips:
    """Makes a run fail in which a test is skipped for a reason that is not listed."""

    def __init__(self, expected: list[str]) -> None:
        self.expected = expected
        self.found: dict[str, str] = {}

    def note(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        """Take note of a test, or a whole file, that is skipped."""
        if report.skipped and not hasattr(report, "wasxfail"):
            assert isinstance(report.longrepr, tuple)
            reason = report.longrepr[2].removeprefix("Skipped: ")
            if reason not in self.expected:
                self.found[report.nodeid] = reason

    pytest_runtest_logreport = pytest_collectreport = lambda self, report: self.note(report)

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Turn success into failure."""
        if self.found and exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say which."""
        for nodeid, reason in self.found.items():
            terminalreporter.write_line(f"SKIPPED UNEXPECTEDLY {nodeid}: {reason}", red=True)


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads its options
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Share the tests of folders among the processors; files and single tests run here, unless `-n` says otherwise."""
    affinity = getattr(os, "sched_getaffinity", None)
    workers = min((len(affinity(0)) if affinity else os.cpu_count()) or 1, MOST_WORKERS)
    asked = config.getoption("numprocesses", 0)  # None where `-n` is not given, 0 where pytest-xdist is missing or off
    folders = all(Path(argument).is_dir() for argument in config.args)
    if asked is None and workers > 1 and folders and not hasattr(config, "workerinput") and not config.option.usepdb:
        config.option.numprocesses = workers
        # Each begins with a half of the files, in order, and takes from the other's end when it is done.
        config.option.dist = "worksteal"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(config: pytest.Config) -> None:
    """Compile once, before there are workers that would each compile the same.

    QuantEcon compiles when it is first imported, and keeps that: two processes that do so at the same time leave parts
    that do not fit together, and each later import aborts.
    """
    from commands import PATIENCE, run, started

    quantecon = [
        sys.executable,
        "-c",
        "import importlib.util as u; u.find_spec('quantecon') and __import__('quantecon')",
    ]
    with started(quantecon) as other:
        done = run([sys.executable, "-m", "rfos._kernels.warm"], cwd=config.rootpath)
        other.wait(PATIENCE)
    reporter = config.pluginmanager.getplugin("terminalreporter")
    if reporter is not None:
        reporter.write(done.stderr)


def pytest_configure(config: pytest.Config) -> None:
    """Where RFOS_EXPECTED_SKIPS names a file with a list of reasons, as in .ci/run, no test is skipped for another."""
    listed = os.environ.get("RFOS_EXPECTED_SKIPS")
    if listed and not hasattr(config, "workerinput"):
        expected = tomllib.loads(Path(listed).read_text())["interpreted" if INTERPRETED else "compiled"]
        config.pluginmanager.register(OtherSkips(expected))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs compiled kernels where the JIT is off."""
    if INTERPRETED:
        for item in items:
            if "jit" in item.keywords:
                item.add_marker(pytest.mark.skip(reason="NUMBA_DISABLE_JIT is set"))
