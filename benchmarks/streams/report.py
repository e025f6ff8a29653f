"""Figures to a Markdown table: medians over rounds, their spread, and rates against Headrace's."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

from benchmarks.streams.contest import Figure

_HEAD = (
    "peer", "rounds", "events", "keys", "events/s", "min to max", "Headrace is", "CPU µs/event", "CPU ratio",
    "start s", "peak MiB",
)  # fmt: skip


def machine() -> str:
    """What the figures were measured on."""
    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    load = os.getloadavg()[0]
    return (
        f"{os.cpu_count()} x {cpu}, {pages / 2**30:.0f} GiB, Linux {platform.release()}, "
        f"Python {platform.python_version()}, load {load:.1f} at the start; Kafka and Redis on the same cores"
    )


def table(figures: Mapping[str, Sequence[Figure]]) -> str:
    """One row per peer."""
    lines = ["| " + " | ".join(_HEAD) + " |", "|" + "---|" * len(_HEAD)]
    ours = figures.get("headrace") or None
    lines += ["| " + " | ".join(_row(peer, runs, ours)) + " |" for peer, runs in figures.items() if runs]
    notes = [_topic_note(peer, runs) for peer, runs in figures.items() if runs and runs[0].written_s]
    return "\n".join([*lines, *notes])


def _topic_note(peer: str, runs: Sequence[Figure]) -> str:
    """How quick a peer would be if its topic were the end."""
    rate = median(run.events / run.written_s for run in runs if run.written_s)
    return f"\n{peer}: {rate:,.0f} events/s to the last row in its topic, while they were taken on to Redis"


def _row(peer: str, runs: Sequence[Figure], ours: Sequence[Figure] | None) -> list[str]:
    rates = [run.rate for run in runs]
    cpu = _cpu_us(runs)
    return [
        peer,
        str(len(runs)),
        f"{runs[0].events:,}",
        f"{runs[0].accounts:,}",
        f"{median(rates):,.0f}",
        f"{min(rates):,.0f} to {max(rates):,.0f}",
        f"{median(run.rate for run in ours) / median(rates):,.1f}x" if ours else "",
        f"{cpu:,.1f}",
        f"{cpu / _cpu_us(ours):,.1f}x" if ours else "",
        f"{median(run.startup_s for run in runs):.1f}",
        f"{max(run.peak_bytes for run in runs) / 2**20:,.0f}",
    ]


def _cpu_us(runs: Sequence[Figure]) -> float:
    return median(run.cpu_s / run.events * 1e6 for run in runs)
