"""How many examples property tests try: all of them in `make test-faults`, else a tenth.

`tests/conftest.py` loads the profile `tenth`; ``--hypothesis-profile=full`` the other one.
"""

from __future__ import annotations

from hypothesis import HealthCheck, settings

_FULL, _TENTH, _LEAST = 100, 10, 3
# Nothing depends on how quick the machine is.
_ANY_SPEED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


def register_profiles() -> None:
    settings.register_profile("full", _ANY_SPEED, max_examples=_FULL)
    settings.register_profile("tenth", _ANY_SPEED, max_examples=_TENTH)
    settings.load_profile("tenth")


def tries(count: int, *suppressed: HealthCheck) -> settings:
    """Settings of a test that tries another number of examples than a hundred.

    Parameters
    ----------
    count
        How many in the profile `full`.
    suppressed
        Health checks that are not for this test.
    """
    current = settings()
    share = current.max_examples / _FULL
    checks = [*current.suppress_health_check, *suppressed]
    return settings(max_examples=max(_LEAST, round(count * share)), suppress_health_check=checks)
