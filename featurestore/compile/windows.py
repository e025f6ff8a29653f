"""Windows and hops of features, and the bound on what a key may hold of them.

A window `W` with the hop `h` takes ``W / h + 1`` tiles per key, so that a longer window needs a longer hop. A
feature without a `time_window` is over the lifetime of its key: one tile, which never expires.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from headrace.featurestore.compile.definition import Definition
from headrace.schemas.numbers import MOST_TILES

FEAST_TILING_HOP = timedelta(minutes=5)  # where a view has tiles and says no size
MAX_BYTES = 1 << 18  # of a key and feature


def tiling_hop(definition: Definition, view: Any) -> timedelta | None:
    """Return the hop of windows that have none of their own; None where the view has no tiles.

    Raises
    ------
    DefinitionError
        When the view has a `tiling_hop_size` that Feast passes over.
    """
    if view.enable_tiling:
        return view.tiling_hop_size or FEAST_TILING_HOP
    if view.tiling_hop_size is not None:
        raise definition.error(
            f"its tiling_hop_size is {view.tiling_hop_size}, which has no effect without enable_tiling",
            "Write enable_tiling=True, or a slide_interval for each aggregation, or take it out",
        )
    return None


def read_window(definition: Definition, aggregation: Any, tiling: timedelta | None = None) -> tuple[int, int]:
    """Return window and hop of Feast's `Aggregation` in milliseconds; both 0 for a lifetime.

    Parameters
    ----------
    tiling
        The hop of a window without `slide_interval`; None: such a window tumbles.

    Raises
    ------
    DefinitionError
        When the window is no multiple of the hop; the message gives the nearest that are. When its hop is no
        multiple of `tiling`.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> feature = Definition("features.py", "feature 'n'")
    >>> hour, five_minutes = timedelta(hours=1), timedelta(minutes=5)
    >>> read_window(feature, SimpleNamespace(time_window=hour, slide_interval=five_minutes))
    (3600000, 300000)
    >>> read_window(feature, SimpleNamespace(time_window=hour, slide_interval=None))
    (3600000, 3600000)
    >>> read_window(feature, SimpleNamespace(time_window=hour, slide_interval=None), tiling=five_minutes)
    (3600000, 300000)
    """
    if aggregation.time_window is None:
        if aggregation.slide_interval is not None:
            raise definition.error(
                "it has a slide_interval and no time_window",
                "Write time_window=timedelta(...), or neither for a lifetime",
            )
        return 0, 0
    window_ms = definition.milliseconds("time_window", aggregation.time_window)
    argument, hop_ms = _hop(definition, aggregation, tiling)
    if window_ms == 0 or hop_ms == 0:
        raise definition.error(
            "its window is empty",
            "Give a time_window of a millisecond or more, or time_window=None for a lifetime",
        )
    if window_ms % hop_ms:
        windows = " or ".join(map(_text, nearest_windows(window_ms, hop_ms)))
        raise definition.error(
            f"its window {_text(window_ms)} is not a multiple of its {argument} {_text(hop_ms)}",
            f"The nearest windows are {windows}; the nearest {argument} is "
            f"{_text(nearest_hop(window_ms, hop_ms))}",
        )
    return window_ms, hop_ms


def _hop(definition: Definition, aggregation: Any, tiling: timedelta | None) -> tuple[str, int]:
    """Return the hop in milliseconds, and the argument that gives it.

    Feast's `Aggregation` has its window for a `slide_interval` that is not given.
    """
    slide = aggregation.slide_interval or aggregation.time_window
    if tiling is None:
        return "slide_interval", definition.milliseconds("slide_interval", slide)
    tile_ms = definition.milliseconds("tiling_hop_size", tiling)
    if slide == aggregation.time_window:
        return "tiling_hop_size", tile_ms
    slide_ms = definition.milliseconds("slide_interval", slide)
    if not tile_ms or slide_ms % tile_ms:
        raise definition.error(
            f"its slide_interval {_text(slide_ms)} is not a multiple of the tiling_hop_size {_text(tile_ms)}",
            "Write one of the two",
        )
    return "slide_interval", slide_ms


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


def check_state(definition: Definition, window_ms: int, hop_ms: int, tile_bytes: int) -> None:
    """Refuse a feature that would take too much memory per key.

    Parameters
    ----------
    tile_bytes
        Of one tile of a key.

    Raises
    ------
    DefinitionError
        With the shortest hop that is allowed.
    """
    if not window_ms:
        return
    max_tiles = min(MOST_TILES, MAX_BYTES // tile_bytes)
    tiles = window_ms // hop_ms + 1
    if tiles > max_tiles:
        hops = next(n for n in range(max_tiles - 1, 0, -1) if window_ms % n == 0)
        raise definition.error(
            f"its window {_text(window_ms)} of {_text(hop_ms)} each would hold {tiles:,} tiles "
            f"per key, {tiles * tile_bytes:,} bytes; {max_tiles:,} tiles are allowed",
            f"The shortest slide_interval is {_text(window_ms // hops)}",
        )


def _text(duration_ms: int) -> str:
    return str(timedelta(milliseconds=duration_ms))
