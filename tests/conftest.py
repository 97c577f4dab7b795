"""Settings of the whole suite; they must be in force before rfos is imported."""

import os
import tomllib
from pathlib import Path

os.environ.setdefault("RFOS_BOUNDSCHECK", "1")
os.environ.setdefault("MPLBACKEND", "Agg")

import pytest
from hypothesis import HealthCheck, settings

# Compilation breaks deadlines; fixed seeds, so that a red suite is red for everyone.
settings.register_profile(
    "rfos", deadline=None, derandomize=True, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("rfos")

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
