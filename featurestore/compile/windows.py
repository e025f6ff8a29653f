"""Windows and hops of features, and the bound on what a key may hold of them.

A window `W` with the hop `h` takes ``W / h + 1`` tiles per key, so that a longer window needs a longer hop. A
feature without a `time_window` is over the lifetime of its key: one tile, which never expires.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from headrace.featurestore.compile.definition import Definition
from headrace.schemas.feature_specs import AggregationSpec
from headrace.streams.aggregations import AGGREGATIONS

MAX_TILES = 1_441  # of a key: a day by the minute
MAX_BYTES = 1 << 18  # of a key and feature


def read_window(definition: Definition, aggregation: Any) -> tuple[int, int]:
    """Return window and hop of Feast's `Aggregation` in milliseconds; both 0 for a lifetime.

    Raises
    ------
    DefinitionError
        When the window is no multiple of the hop; the message gives the nearest that are.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> feature = Definition("features.py", "feature 'n'")
    >>> hour, five_minutes = timedelta(hours=1), timedelta(minutes=5)
    >>> read_window(feature, SimpleNamespace(time_window=hour, slide_interval=five_minutes))
    (3600000, 300000)
    >>> read_window(feature, SimpleNamespace(time_window=hour, slide_interval=None))
    (3600000, 3600000)
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
        windows = " or ".join(map(_text, nearest_windows(window_ms, hop_ms)))
        raise definition.error(
            f"its window {_text(window_ms)} is not a multiple of its slide_interval {_text(hop_ms)}",
            f"The nearest windows are {windows}; the nearest slide_interval is "
            f"{_text(nearest_hop(window_ms, hop_ms))}",
        )
    return window_ms, hop_ms


def nearest_windows(window_ms: int, hop_ms: int) -> list[int]:
    """Return the multiples of a hop below and above a window.

    >>> nearest_windows(50, 15)
    [45, 60]
    >>> nearest_windows(10, 15)
    [15]
    """
    below = window_ms // hop_ms * hop_ms
    return [multiple for multiple in (below, below + hop_ms) if multiple]


def nearest_hop(window_ms: int, hop_ms: int) -> int:
    """Return the divisor of a window that is nearest to a hop, in proportion.

    >>> nearest_hop(60, 14)
    15
    >>> nearest_hop(60, 25)
    30
    """
    down = next(n for n in range(max(window_ms // hop_ms, 1), 0, -1) if window_ms % n == 0)
    up = next(n for n in range(-(-window_ms // hop_ms), window_ms + 1) if window_ms % n == 0)
    hops = [window_ms // down, window_ms // up]
    return min(hops, key=lambda hop: max(hop, hop_ms) / min(hop, hop_ms))


def check_state(definition: Definition, spec: AggregationSpec) -> None:
    """Refuse a feature that would take too much memory per key.

    Raises
    ------
    DefinitionError
        With the shortest hop that is allowed.
    """
    if not spec.window_ms:
        return
    tile_bytes = AGGREGATIONS[spec.function].tile_bytes(spec)
    max_tiles = min(MAX_TILES, MAX_BYTES // tile_bytes)
    tiles = spec.window_ms // spec.hop_ms + 1
    if tiles > max_tiles:
        hops = next(n for n in range(max_tiles - 1, 0, -1) if spec.window_ms % n == 0)
        raise definition.error(
            f"its window {_text(spec.window_ms)} of {_text(spec.hop_ms)} each would hold {tiles:,} tiles "
            f"per key, {tiles * tile_bytes:,} bytes; {max_tiles:,} tiles are allowed",
            f"The shortest slide_interval is {_text(spec.window_ms // hops)}",
        )


def _text(duration_ms: int) -> str:
    return str(timedelta(milliseconds=duration_ms))
