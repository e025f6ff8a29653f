"""Stops processes of a running loop for moments, as a busy machine does."""

from __future__ import annotations

import os
import random
import signal
import threading
from pathlib import Path

PROCESSES = ("worker", "join", "train", "serve")


def torment(demo: int, over: threading.Event) -> None:
    """Stop a process of the loop that `demo` has started, and go on with it, until it is over."""
    rng = random.Random(4)
    while not over.wait(rng.random() / 10):
        child = rng.choice(children(demo) or [None])
        if child is None:
            continue
        try:
            os.kill(child, signal.SIGSTOP)
            over.wait(rng.choice([0.02, 0.05, 0.2]))
            os.kill(child, signal.SIGCONT)
        except ProcessLookupError:
            continue


def children(parent: int) -> list[int]:
    """Pids of the demo's own processes of the loop, no others of this machine."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rsplit(")", 1)[1].split()
            words = (stat.parent / "cmdline").read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[1]) == parent and any(name.encode() in words for name in PROCESSES):
            found.append(int(stat.parent.name))
    return found
