"""How much work the tests do, in one place: every claim is checked in both profiles, at more points in `full`.

``RFOS_TESTS=quick`` (the default, what the README runs) or ``RFOS_TESTS=full`` (what `.ci/run` runs). Numbers of
examples, instances, points and runs are written down as those of `full` and pass through `scaled`. What sets a
false-alarm rate is computed from the number that was run, so that the rate is the same in both.
"""

import os

from hypothesis import HealthCheck, settings

SHARES = {"quick": 0.2, "full": 1.0}
"""How much of the full number of instances each profile takes."""

PROFILE = os.environ.get("RFOS_TESTS", "quick")

if PROFILE not in SHARES:
    raise ValueError(f"RFOS_TESTS is {PROFILE!r}: choose among {', '.join(SHARES)}")

FULL = PROFILE == "full"


def scaled(full: int, least: int = 5) -> int:
    """Return how many instances this profile takes where `full` takes so many; `least` of them at least."""
    return max(min(full, least), round(full * SHARES[PROFILE]))


for profile, share in SHARES.items():
    # Compilation breaks deadlines; fixed seeds, so that a red suite is red for everyone.
    settings.register_profile(
        profile,
        deadline=None,
        derandomize=True,
        print_blob=True,
        max_examples=round(100 * share),
        suppress_health_check=[HealthCheck.too_slow],
    )
