"""Settings of the whole suite; they must be in force before rfos is imported."""

import os

os.environ.setdefault("RFOS_BOUNDSCHECK", "1")
os.environ.setdefault("MPLBACKEND", "Agg")

import pytest
from hypothesis import HealthCheck, settings

# Compilation breaks deadlines; fixed seeds, so that a red suite is red for everyone.
settings.register_profile(
    "rfos", deadline=None, derandomize=True, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("rfos")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs compiled kernels where the JIT is off."""
    if os.environ.get("NUMBA_DISABLE_JIT", "0") != "0":
        for item in items:
            if "jit" in item.keywords:
                item.add_marker(pytest.mark.skip(reason="NUMBA_DISABLE_JIT is set"))
