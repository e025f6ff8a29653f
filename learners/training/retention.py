"""Which artifacts of a learner are kept: a function of the versions that the log names, and of no clock."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import islice
from typing import Final

from headrace.learners.training.named_artifacts import NamedArtifact

_HOUR_MS: Final = 3_600_000
_DAY_MS: Final = 24 * _HOUR_MS
_MONTH_MS: Final = 30 * _DAY_MS


def retained(
    versions: Sequence[NamedArtifact], newest: int, held: Collection[str] = ()
) -> tuple[NamedArtifact, ...]:
    """Return the versions of one definition whose artifacts are kept.

    These are the newest; behind them the first version of each hour of event time for a day, and the first
    of each day for thirty days, reckoned back from the last version; and those that are held. To thin after
    each version leaves what thinning them all at once leaves.

    Parameters
    ----------
    versions
        The last one is the newest. Their times do not fall.
    newest
        How many of the newest are kept.
    held
        Versions that were pinned or promoted, or that serve.

    Examples
    --------
    >>> hourly = [NamedArtifact(f"1.{n}", "", n * 1_800_000) for n in range(9)]  # two in each hour
    >>> [one.version for one in retained(hourly, 3)]
    ['1.0', '1.2', '1.4', '1.6', '1.7', '1.8']
    >>> [one.version for one in retained(hourly, 3, held={"1.5"})]
    ['1.0', '1.2', '1.4', '1.5', '1.6', '1.7', '1.8']
    """
    last_ms = next((one.time_ms for one in reversed(versions) if one.time_ms is not None), None)
    first_of = _first_of_each(versions, _HOUR_MS), _first_of_each(versions, _DAY_MS)

    def counts(one: NamedArtifact) -> bool:
        if one.version in held:
            return True
        if one.time_ms is None or last_ms is None:
            return False
        age_ms = last_ms - one.time_ms
        return (age_ms < _DAY_MS and one in first_of[0]) or (age_ms < _MONTH_MS and one in first_of[1])

    older = islice(versions, max(0, len(versions) - newest))
    return (*filter(counts, older), *versions[-newest:])


def opens_an_hour(time_ms: int | None, before_ms: int | None) -> bool:
    """Whether a version is the first of an hour of event time.

    Parameters
    ----------
    time_ms, before_ms
        Of the version, and of the one before; None of one that has seen no event time.

    Examples
    --------
    >>> opens_an_hour(3_600_000, 3_599_999), opens_an_hour(3_600_001, 3_600_000), opens_an_hour(5, None)
    (True, False, True)
    """
    if time_ms is None or before_ms is None:
        return time_ms is not before_ms
    return time_ms // _HOUR_MS != before_ms // _HOUR_MS


def _first_of_each(versions: Sequence[NamedArtifact], length_ms: int) -> Collection[NamedArtifact]:
    first: dict[int, NamedArtifact] = {}
    for one in versions:
        if one.time_ms is not None:
            first.setdefault(one.time_ms // length_ms, one)
    return {*first.values()}
