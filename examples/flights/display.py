"""The display of a replay: event time, speed, the arms side by side, counts."""

from __future__ import annotations

import time
from collections import Counter, deque
from datetime import UTC, datetime
from typing import Protocol
from zoneinfo import ZoneInfo

import numpy as np
from rich.align import Align
from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from examples.flights.replay import Tally
from examples.flights.scores import roc_auc
from examples.flights.times import ORIGIN_ZONE

RECENT = 5_000
SPARKS = " ▁▂▃▄▅▆▇█"
COLOURS = ("grey62", "orange3", "deep_sky_blue1", "medium_spring_green", "magenta", "yellow")


class Race:
    """Keeps the latest labels and scores, for the AUC of every arm.

    Parameters
    ----------
    arms
        Their names, in the router's order.

    Attributes
    ----------
    labels
        Number of labels so far.
    history
        AUC of each arm, at every redraw.
    """

    def __init__(self, arms: tuple[str, ...]) -> None:
        self.arms = arms
        self._labels: deque[float] = deque(maxlen=RECENT)
        self._scores: dict[str, deque[float]] = {arm: deque(maxlen=RECENT) for arm in arms}
        self.history: dict[str, list[float]] = {arm: [] for arm in arms}
        self.labels = 0

    def learn(self, label: float, scores: dict[str, float | None]) -> None:
        """Add a label, and the scores that its prediction had by arm."""
        self.labels += 1
        self._labels.append(label)
        for arm in self.arms:
            score = scores.get(arm)
            self._scores[arm].append(float("nan") if score is None else score)

    def auc(self) -> dict[str, float]:
        """Return the AUC of every arm over the latest labels; NaN while there is only one class."""
        labels = np.array(self._labels)
        auc = {}
        for arm in self.arms:
            scores = np.array(self._scores[arm])
            answered = ~np.isnan(scores)
            auc[arm] = roc_auc(labels[answered], scores[answered])
        return auc


class Display(Protocol):
    """Shows a replay while it runs."""

    def is_due(self, tally: Tally) -> bool:
        """Tell whether it is time for an update."""

    def update(self, tally: Tally, race: Race) -> None:
        """Show the replay as it stands."""

    def close(self) -> None:
        """Leave the terminal as it is."""


class PlainDisplay:
    """Prints a line per day of event time, for logs."""

    def __init__(self, start_ms: int, end_ms: int) -> None:
        self._started, self._day = time.monotonic(), ""

    def is_due(self, tally: Tally) -> bool:
        return clock(tally.now_ms)[:10] != self._day

    def update(self, tally: Tally, race: Race) -> None:
        self._day = day = clock(tally.now_ms)[:10]
        seconds = max(time.monotonic() - self._started, 1e-9)
        auc = "  ".join(f"{arm} {value:.3f}" for arm, value in race.auc().items() if value == value)
        print(f"{day}  {tally.events:,} events, {tally.events / seconds:,.0f}/s  AUC {auc}", flush=True)

    def close(self) -> None:
        pass


class LiveDisplay:
    """Redraws a panel on a terminal."""

    def __init__(self, console: Console, start_ms: int, end_ms: int) -> None:
        self._start_ms, self._end_ms, self._started = start_ms, end_ms, time.monotonic()
        self._share: Counter[str] = Counter()
        self._drawn_s = 0.0
        self._live = Live(console=console, refresh_per_second=8, transient=False)
        self._live.start()

    def is_due(self, tally: Tally) -> bool:
        return time.monotonic() - self._drawn_s >= 0.5

    def update(self, tally: Tally, race: Race) -> None:
        self._drawn_s = time.monotonic()
        self._share = Counter({arm: round(0.8 * n) for arm, n in self._share.items()})
        self._share.update(tally.traffic)
        tally.traffic.clear()
        self._live.update(self._panel(tally, race))

    def close(self) -> None:
        self._live.stop()

    def _panel(self, tally: Tally, race: Race) -> Panel:
        seconds = time.monotonic() - self._started
        done = (tally.now_ms - self._start_ms) / (self._end_ms - self._start_ms)
        head = Table.grid(expand=True)
        head.add_column()
        head.add_column(justify="right")
        head.add_row(
            Text(clock(tally.now_ms), style="bold bright_white"),
            Text(
                f"{tally.events / seconds:,.0f} events/s   {self._speed(tally, seconds):,.0f} x real time",
                style="cyan",
            ),
        )
        bar = ProgressBar(total=1.0, completed=min(max(done, 0.0), 1.0))
        counts = Text(
            f"{tally.events:,} events   {tally.predictions:,} predictions   {race.labels:,} labels learned",
            style="dim",
        )
        return Panel(
            Group(head, bar, Text(" "), self._arms(race), Text(" "), Align.center(counts)),
            title="[bold]Headrace[/] · flights from New York, 2013",
            subtitle="will it arrive 15 minutes late? asked an hour before departure",
            border_style="blue",
            padding=(1, 2),
        )

    def _speed(self, tally: Tally, seconds: float) -> float:
        return (tally.now_ms - self._start_ms) / 1000 / seconds

    def _arms(self, race: Race) -> Table:
        table = Table(expand=True, box=None, pad_edge=False)
        table.add_column("arm")
        table.add_column(f"AUC, last {RECENT:,}", justify="right")
        table.add_column("course", ratio=1)
        table.add_column("traffic", ratio=1)
        table.add_column("", justify="right")
        total = max(sum(self._share.values()), 1)
        for (arm, auc), colour in zip(race.auc().items(), COLOURS, strict=False):
            race.history[arm].append(auc)
            share = self._share[arm] / total
            table.add_row(
                Text(arm, style=colour),
                Text(f"{auc:.3f}" if auc == auc else "-", style="bold"),
                Text(sparkline(race.history[arm]), style=colour),
                Text("█" * round(share * 24), style=colour),
                f"{share:.0%}",
            )
        return table


def sparkline(values: list[float], width: int = 26, low: float = 0.5, high: float = 0.8) -> str:
    """Draw the latest values, one character each; NaN is left out."""
    latest = [value for value in values[-width:] if value == value]
    heights = [min(max((value - low) / (high - low), 0.0), 1.0) * (len(SPARKS) - 1) for value in latest]
    return "".join(SPARKS[round(height)] for height in heights)


def clock(now_ms: int) -> str:
    """Return event time on New York's clocks."""
    local = datetime.fromtimestamp(now_ms / 1000, UTC).astimezone(ZoneInfo(ORIGIN_ZONE))
    return local.strftime("%Y-%m-%d %a %H:%M")


def make_display(start_ms: int, end_ms: int) -> Display:
    """Return a live panel on a terminal, else plain lines."""
    console = Console()
    if console.is_terminal:
        return LiveDisplay(console, start_ms, end_ms)
    return PlainDisplay(start_ms, end_ms)
