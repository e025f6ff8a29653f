"""Windows and hops of features, and the bound on what a key may hold of them.

A window `W` with the hop `h` takes ``W / h + 1`` tiles per key, so that a longer window needs a longer hop. A
feature without a `time_window` is over the lifetime of its key: one tile, which never goes.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from headrace.featurestore.compile.definition import Definition
from headrace.schemas.feature_specs import AggregationSpec
from headrace.streams.aggregations import AGGREGATIONS

MOST_TILES = 1_441  # of a key: a day by the minute
MOST_BYTES = 1 << 18  # of a key and feature


def read_window(definition: Definition, aggregation: Any) -> tuple[int, int]:
    """Window and hop in milliseconds; both 0 for a lifetime.

    Raises
    ------
    DefinitionError
        When the window is no multiple of the hop; the message gives the nearest that are.
    """
    if aggregation.time_window is None:
        if aggregation.slide_interval is not None:
            raise definition.error(
                "it has a slide_interval and no time_window",
                "Write time_window=timedelta(...), or neither for a lifetime",
            )
        return 0, 0
    window_ms = definition.milliseconds("time_window", aggregation.time_window)
    hop_ms = definition.milliseconds("slide_interval", aggregation.slide_interval or aggregation.time_window)
    if window_ms == 0 or hop_ms == 0:
        raise definition.error(
            "its window is empty",
            "Give a time_window of a millisecond or more, or time_window=None for a lifetime",
        )
    if window_ms % hop_ms:
        raise _not_a_multiple(definition, window_ms, hop_ms)
    return window_ms, hop_ms


def _not_a_multiple(definition: Definition, window_ms: int, hop_ms: int) -> Exception:
    below = window_ms // hop_ms * hop_ms
    windows = " or ".join(_shown(w) for w in (below, below + hop_ms) if w)
    return definition.error(
        f"its window {_shown(window_ms)} is not a multiple of its slide_interval {_shown(hop_ms)}",
        f"The nearest windows are {windows}; the nearest slide_interval is "
        f"{_shown(nearest_hop(window_ms, hop_ms))}",
    )


def nearest_hop(window_ms: int, hop_ms: int) -> int:
    """The divisor of a window that is nearest to a hop, in proportion."""
    down = next(n for n in range(window_ms // hop_ms, 0, -1) if window_ms % n == 0)
    up = next(n for n in range(-(-window_ms // hop_ms), window_ms + 1) if window_ms % n == 0)
    hops = [window_ms // down, window_ms // up]
    return min(hops, key=lambda hop: max(hop, hop_ms) / min(hop, hop_ms))


def check_state(definition: Definition, spec: AggregationSpec) -> None:
    """Refuse a feature that would take too much memory per key.

    Raises
    ------
    DefinitionError
        With the shortest hop that will do.
    """
    if not spec.window_ms:
        return
    size = AGGREGATIONS[spec.function].tile_bytes(spec)
    most = min(MOST_TILES, MOST_BYTES // size)
    tiles = spec.window_ms // spec.hop_ms + 1
    if tiles > most:
        parts = next(n for n in range(most - 1, 0, -1) if spec.window_ms % n == 0)
        raise definition.error(
            f"its window {_shown(spec.window_ms)} of {_shown(spec.hop_ms)} each would hold {tiles:,} tiles "
            f"per key, {tiles * size:,} bytes; {most:,} tiles are allowed",
            f"The shortest slide_interval is {_shown(spec.window_ms // parts)}",
        )


def _shown(duration_ms: int) -> str:
    return str(timedelta(milliseconds=duration_ms))
